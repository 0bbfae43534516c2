"""A step of ours and the peer's under pytest-benchmark, for its statistics and comparisons over time.

``pytest benchmarks/test_step.py``; EVENKEEL_PEERS names the folder of the peer's models. Ratios come from
``benchmarks.ratios``, where the contestants take turns; here each runs by itself.
"""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.peer import missing
from benchmarks.ratios import contestants
from edge.tools.bench import KEPT_FRAMES, WARM_UP, bundled_clip, clip_frames

PEERS = Path(os.environ.get("EVENKEEL_PEERS", "../shared/peers"))
FRAMES = 1000


@pytest.mark.benchmark(group="frame in memory to decision")
@pytest.mark.parametrize("name", ["following", "searching", "peer"])
def test_step(benchmark: BenchmarkFixture, name: str) -> None:
    """One frame after the other of the bundled clip."""
    if name == "peer" and (reason := missing(PEERS)):
        pytest.skip(f"{reason}; name the folder with EVENKEEL_PEERS")
    step = contestants(PEERS, FRAMES)[0][name]
    frames = itertools.cycle(clip_frames(bundled_clip(), KEPT_FRAMES))
    run: Any = benchmark.pedantic  # which pytest-benchmark leaves untyped
    run(step, setup=lambda: ((next(frames),), {}), rounds=FRAMES, warmup_rounds=WARM_UP, iterations=1)
