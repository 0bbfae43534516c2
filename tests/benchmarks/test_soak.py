"""The verdict of a soak: what grows is told, and what only flickers is not."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from benchmarks.soak_report import Sample, judge, logged, trend
from benchmarks.trend import slope_per_hour

MINUTES = 60
FLAT = Sample(
    device="van",
    t=0.0,
    resident_mb=100.0,
    private_mb=50.0,
    threads=9,
    files=11,
    cpu_s=0.0,
    waits=0,
    fps=30.0,
    step_p50_ms=3.0,
    step_p95_ms=5.0,
    age_p50_ms=4.0,
    age_p95_ms=9.0,
    waiting=0.0,
    trouble="",
)


def soaked(change: Callable[[float], dict[str, float]] = lambda _: {}) -> list[Sample]:
    """An hour, a sample every 20 s; ``change`` tells what differs after so many hours."""
    return [dataclasses.replace(FLAT, t=t, **change(t / 3600)) for t in np.arange(0, MINUTES * 60 + 1, 20.0)]  # type: ignore[arg-type]


def test_a_slope_is_not_moved_by_outliers() -> None:
    t = np.arange(0, 3600, 10.0)
    values = 100 + 2 * t / 3600
    values[::5] += np.random.default_rng(1).uniform(-50, 50, len(values[::5]))
    assert slope_per_hour(list(t), list(values)) == pytest.approx(2, abs=0.1)


def test_what_stays_as_it_is_is_well() -> None:
    assert judge(soaked()) == []


def test_memory_that_grows_only_while_it_warms_up_is_well() -> None:
    assert judge(soaked(lambda hours: {"resident_mb": 80 + min(20.0, 200 * hours)})) == []


def test_a_single_high_reading_is_no_growth() -> None:
    assert judge(soaked(lambda hours: {"resident_mb": 115.0 if 0.9 < hours < 0.91 else 100.0})) == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda hours: {"resident_mb": 100 + 1.5 * hours}, "van: resident memory grows by 1.50 MB an hour"),
        (lambda _: {"resident_mb": 121.0}, "van: 121 MB resident, more than 120 MB"),
        (lambda hours: {"threads": 9 + int(10 * hours)}, "van: threads grow by"),
        (lambda hours: {"files": 11 + int(60 * hours)}, "van: open files grow by"),
        (lambda hours: {"step_p50_ms": 3 + 4 * hours}, "van: a step took"),
    ],
)
def test_what_grows_is_told(change: Callable[[float], dict[str, float]], told: str) -> None:
    (finding,) = judge(soaked(change))
    assert finding.startswith(told)


def test_a_short_soak_is_not_failed_by_the_allocators_grain() -> None:
    short = [dataclasses.replace(FLAT, t=t, resident_mb=100 + 0.004 * t / 5) for t in np.arange(0, 180, 5.0)]
    assert judge(short) == []


def test_health_that_is_not_to_be_had_is_left_out() -> None:
    samples = soaked(lambda hours: {"fps": math.nan if 0.3 < hours < 0.6 else 30.0})
    assert trend(samples, "fps").median == 30.0
    assert math.isnan(trend(soaked(lambda _: {"fps": math.nan}), "fps").per_hour)


def test_every_sample_is_a_line_of_the_log(tmp_path: Path) -> None:
    samples = soaked()[:3]
    assert list(logged(samples, tmp_path / "soak.csv")) == samples
    lines = (tmp_path / "soak.csv").read_text().splitlines()
    assert lines[0].startswith("device,t,resident_mb")
    assert len(lines) == 4
