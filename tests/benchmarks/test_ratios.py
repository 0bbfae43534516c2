"""What is told of a run: the steadiest part of it, what is wanted, and a clip thinned to a rate."""

from __future__ import annotations

import pytest

from benchmarks.ratios import GOALS, begins_period, goal_rows, steadiest


@pytest.mark.parametrize(("own", "shown"), [(15.0, 15), (30.0, 15), (25.0, 15), (10.0, 10)])
def test_a_clip_is_thinned_to_fifteen_frames_a_second_and_a_slower_one_is_shown_whole(own: float, shown: int) -> None:
    kept = [number for number in range(1, round(own) * 4 + 1) if begins_period(number, 15.0, own)]
    assert len(kept) == 4 * shown


def test_the_steadiest_fifth_of_a_run_is_told() -> None:
    slow, steady = [1.0] * 95 + [9.0] * 5, [1.0] * 95 + [2.0] * 5
    assert steadiest([*slow, *slow, *steady, *slow, *slow]) == pytest.approx(2.0)


def test_every_figure_is_told_beside_what_is_wanted_and_one_that_is_missing_as_such() -> None:
    rows = {name: told for name, *told in goal_rows({"not invoke, following": 0.314, "resident, MB": 88.6})}
    assert rows.keys() == GOALS.keys()
    assert rows["not invoke, following"] == ["31%", "≤ 25%", "32%"]
    assert rows["resident, MB"] == ["89", "≤ 90", "100"]
    assert rows["step following, p99 / p50, best of five"] == ["-", "≤ 2.00", "2.60"]
