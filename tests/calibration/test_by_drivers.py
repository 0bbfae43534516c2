"""Intervals by drawing drivers anew: wide where drivers differ, whatever the number of their drives."""

from __future__ import annotations

import pytest

from calibration.by_drivers import driver_of, quantile_interval, ratio_interval, wider


def test_a_person_with_and_without_glasses_is_one_driver() -> None:
    assert driver_of("person 4, glasses") == driver_of("person 4") != driver_of("person 14")


def test_one_driver_with_all_the_misses_makes_the_interval_wide() -> None:
    spread = ratio_interval([90] * 10, [100] * 10)
    lumped = ratio_interval([100] * 9 + [0], [100] * 10)
    assert spread is not None
    assert list(spread) == pytest.approx([0.9, 0.9]), "drivers who are alike say the same however drawn"
    assert lumped is not None
    assert lumped[0] < 0.75
    assert lumped[1] == 1.0


def test_drivers_count_by_how_much_there_is_of_them() -> None:
    found = ratio_interval([0, 1000], [1, 1000])
    assert found == (0.0, 1.0)
    middle = ratio_interval([0, 1000] * 20, [1, 1000] * 20)
    assert middle is not None
    assert middle[0] > 0.99


@pytest.mark.parametrize("found", [ratio_interval([3], [4]), ratio_interval([3, 0], [4, 0]), ratio_interval([], [])])
def test_one_driver_says_nothing_of_how_drivers_differ(found: object) -> None:
    assert found is None


def test_a_percentile_is_of_all_values_of_the_drivers_drawn() -> None:
    assert quantile_interval([[1.0, 1.0], []], 90) is None
    assert quantile_interval([[1.0, 1.0], [1.0]], 90) == (1.0, 1.0)
    found = quantile_interval([[0.0] * 50] * 8 + [[2.0] * 50], 90)
    assert found is not None
    assert found == (0.0, 2.0)


def test_the_wider_of_two_intervals_covers_both() -> None:
    assert wider((0.2, 0.5), (0.1, 0.4)) == (0.1, 0.5)
    assert wider((0.2, 0.5), None) == (0.2, 0.5)
