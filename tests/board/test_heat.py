"""A hot board gets fewer frames, one that has cooled gets them back, and neither flaps."""

from __future__ import annotations

import pytest

from edge.board.heat import RateLimit
from edge.board.sensors import Heat
from edge.config import HeatConfig

CONFIG = HeatConfig(hot_c=75, cool_c=68, step=0.7, min_fps=5, down_s=20, up_s=60)
HOT, WARM, COOL = Heat(80.0, throttled=False), Heat(72.0, throttled=False), Heat(60.0, throttled=False)
UNKNOWN = Heat(None, None)


def run(limit: RateLimit, heat: Heat, begin: int, seconds: int) -> list[tuple[int, float]]:
    """Each change while a reading every 5 s says the same: when, and to how many frames a second."""
    return [(t, round(limit.fps, 2)) for t in range(begin, begin + seconds, 5) if limit.update(float(t), heat)]


def test_a_hot_board_goes_down_step_by_step_to_the_least_rate_and_no_further() -> None:
    limit = RateLimit(CONFIG, 15.0)
    assert run(limit, HOT, 0, 600) == [(0, 10.5), (20, 7.35), (40, 5.14), (60, 5.0)]
    assert limit.lowered


def test_a_board_that_has_cooled_comes_back_step_by_step_and_slower() -> None:
    limit = RateLimit(CONFIG, 15.0)
    run(limit, HOT, 0, 25)
    assert run(limit, COOL, 25, 600) == [(85, 10.5), (145, 15.0)]
    assert not limit.lowered


def test_between_hot_and_cool_nothing_changes() -> None:
    limit = RateLimit(CONFIG, 15.0)
    assert run(limit, WARM, 0, 600) == []
    run(limit, HOT, 600, 5)
    assert run(limit, WARM, 605, 3600) == []
    assert limit.fps == pytest.approx(10.5)


def test_one_warm_reading_begins_the_wait_for_coolness_anew() -> None:
    limit = RateLimit(CONFIG, 15.0)
    run(limit, HOT, 0, 5)
    assert run(limit, COOL, 5, 55) == []
    limit.update(60.0, WARM)
    assert run(limit, COOL, 65, 600) == [(125, 15.0)]


def test_throttling_counts_as_heat_at_any_temperature_and_without_one() -> None:
    for throttled in (Heat(50.0, throttled=True), Heat(None, throttled=True)):
        limit = RateLimit(CONFIG, 15.0)
        assert limit.update(0.0, throttled)
        assert limit.fps < 15


def test_a_board_that_only_tells_throttling_comes_back_when_that_has_ended() -> None:
    limit = RateLimit(CONFIG, 15.0)
    limit.update(0.0, Heat(None, throttled=True))
    assert run(limit, Heat(None, throttled=False), 5, 300) == [(65, 15.0)]


def test_a_board_that_cannot_tell_keeps_its_rate_and_a_lost_sensor_brings_no_steps_back() -> None:
    limit = RateLimit(CONFIG, 15.0)
    assert run(limit, UNKNOWN, 0, 600) == []
    run(limit, HOT, 600, 5)
    assert run(limit, UNKNOWN, 605, 3600) == []


def test_a_rate_at_or_below_the_least_one_is_left_alone() -> None:
    limit = RateLimit(CONFIG, 3.0)
    assert run(limit, HOT, 0, 600) == []
    assert (limit.fps, limit.lowered) == (3.0, False)


@pytest.mark.parametrize("ambient_c", [25.0, 46.0, 50.0, 55.0, 65.0])
def test_a_board_that_heats_by_its_own_work_is_kept_cool_without_flapping(ambient_c: float) -> None:
    """First order: 30 degrees above ambient at 15 frames a second and none at rest, time constant 90 s, two hours."""
    limit = RateLimit(CONFIG, 15.0)
    temperature_c, changes = ambient_c, []
    for t in range(0, 7200, 5):
        warmth_c = ambient_c + 30.0 * limit.fps / 15.0
        temperature_c += (warmth_c - temperature_c) * 5.0 / 90.0
        if limit.update(float(t), Heat(temperature_c, throttled=None)):
            changes.append(t)
    if ambient_c + 30.0 < CONFIG.hot_c:
        assert changes == [], "it never was hot"
    else:
        assert changes, "it was hot"
        assert temperature_c < CONFIG.hot_c + 1
        assert len(changes) < 7200 / 120, "a change every two minutes at most"
