"""What a start leaves out, each held in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from edge.spare import SPARED

NOT_FOR_THE_SERVICE = ("rich", "sqlalchemy", "duckdb", "ibis", "matplotlib", "scipy", "numpy.random", "can", "gpiozero")
"""What other commands, an extra or nobody needs: each would take time on a small board before the first decision."""

DECIDE = """
from edge.spare import spare
spare()
import numpy as np
from edge.config import Config
from edge.domain import Frame
from edge.pipeline import Pipeline
pixels = np.arange(480 * 640, dtype=np.uint32) * 2654435761 >> 24
step = Pipeline.from_config(Config()).step(Frame(pixels.astype(np.uint8).reshape(480, 640), 0.0))
assert step.observation.sight == "no_face", step
"""


def told(code: str, environ: Mapping[str, str] | None = None) -> list[str]:
    """What ``code`` prints, in words; none of what is spared is set before, unless ``environ`` sets it."""
    bare = {name: value for name, value in os.environ.items() if name not in SPARED}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env={**bare, **(environ or {})}, capture_output=True, text=True, check=False)  # noqa: S603 - our own command
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_the_service_imports_nothing_that_only_others_need() -> None:
    code = "import sys, edge.cli, edge.service.loop, edge.vision.expression; print(*sys.modules)"
    assert not {name for name in told(code) if name in NOT_FOR_THE_SERVICE}


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="threads are counted as Linux tells them")
def test_until_the_first_decision_no_library_starts_a_thread() -> None:
    """One for each processor, which waits for work in a loop, takes processor time that a start has a use for."""
    assert told(f"import os\n{DECIDE}\nprint(len(os.listdir('/proc/self/task')))") == ["1"]


def test_what_the_environment_says_already_stays() -> None:
    show = f"import os; from edge.spare import spare; spare(); print(*map(os.environ.get, {list(SPARED)!r}))"
    assert told(show) == list(SPARED.values())
    assert told(show, {"OPENBLAS_NUM_THREADS": "3"})[0] == "3"


def test_a_program_of_the_configuration_gets_none_of_what_was_set_for_our_libraries() -> None:
    run = f"""
import os, sys
from edge.spare import spare
spare()
from edge.service.standby import Program
show = "import os, sys; sys.exit(sum(name in os.environ for name in {list(SPARED)!r}))"
program = Program((sys.executable, "-c", show))
program.start(0.0)
print(program._process.wait(10))
"""
    assert told(run) == ["0"]
    assert told(run, {"OPENBLAS_NUM_THREADS": "3"}) == ["1"], "what was set before is passed on"
