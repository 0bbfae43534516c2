"""The rate at which frames are read: steady, never above what is allowed, and no frame lost to jitter."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest
from numpy.typing import NDArray

from edge.service.pacing import EARLY, Pace

PERIOD_S = 0.05


def taken(arrivals: Iterable[float], fps: float = 1 / PERIOD_S) -> NDArray[np.float64]:
    """Which of these frames are taken, if what comes too early is left out."""
    pace, moments = Pace(), []
    for t in arrivals:
        if t >= pace.open_t:
            pace.take(t, fps)
            moments.append(t)
    return np.array(moments)


def test_a_fast_camera_is_read_at_steady_intervals_of_the_rate() -> None:
    assert np.diff(taken(np.arange(2000) * 0.002)) == pytest.approx(PERIOD_S, abs=EARLY * PERIOD_S)
    assert len(taken(np.arange(2000) * 0.002)) == pytest.approx(4 / PERIOD_S, abs=1)


@pytest.mark.parametrize("share", [1, 2, 3])
def test_of_a_jittering_camera_each_nth_frame_is_taken(share: int) -> None:
    frame_s = PERIOD_S / share
    jitter = np.random.default_rng(1).uniform(-0.1, 0.1, 300 * share) * PERIOD_S
    moments = taken(np.arange(300 * share) * frame_s + jitter)
    assert len(moments) == 300
    assert np.abs(moments - np.arange(300) * PERIOD_S).max() < frame_s


def test_a_rate_that_does_not_divide_the_cameras_is_kept_all_the_same() -> None:
    moments = taken(np.arange(3000) * PERIOD_S / 1.5)
    assert len(moments) == pytest.approx(2000, abs=2)


def test_a_camera_a_little_too_fast_is_held_to_the_rate() -> None:
    moments = taken(np.arange(1000) * 0.99 * PERIOD_S)
    assert len(moments) == pytest.approx(990, abs=2)


def test_a_frame_that_comes_late_puts_off_none_after_it() -> None:
    arrivals = np.arange(100) * PERIOD_S
    arrivals[50] += 0.9 * PERIOD_S
    assert len(taken(arrivals)) == 100


def test_there_is_no_burst_after_a_gap() -> None:
    moments = taken([*np.arange(0, 1, 0.002), *np.arange(11, 12, 0.002)])
    assert np.diff(moments).min() >= (1 - EARLY) * PERIOD_S - 1e-9


def test_another_rate_holds_from_the_next_frame_on() -> None:
    pace = Pace()
    pace.take(0.0, 20)
    pace.take(0.05, 5)
    assert pace.open_t == pytest.approx(0.05 + 0.2 - EARLY * 0.2)
