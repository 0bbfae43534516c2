"""Thresholds are chosen by what false alarms allow, then by what is found, then by how soon."""

from __future__ import annotations

from calibration.choice import Tried, choose, pick
from edge.config import Config
from edge.tuning.score import Score


def tried(enter: float, found: int, false_alarms: int, delay_s: float = 3.0) -> Tried:
    """Of a hundred episodes so many are found; in ten hours without any there are so many alerts."""
    episodes = Score(10.0, 100, found, 0, (delay_s,) * found)
    return Tried(enter, 2.0, episodes, Score(10.0, 0, 0, false_alarms, ()))


def test_it_finds_most_of_those_that_are_allowed() -> None:
    assert pick([tried(0.4, 90, 11), tried(0.5, 80, 10), tried(0.6, 60, 1)], 1.0).enter == 0.5


def test_of_those_that_find_nearly_as_much_it_is_the_quickest() -> None:
    assert pick([tried(0.4, 80, 5, 4.0), tried(0.5, 78, 5, 2.0), tried(0.6, 60, 5, 1.0)], 1.0).enter == 0.5


def test_where_none_is_allowed_it_is_the_nearest_to_it() -> None:
    assert pick([tried(0.4, 90, 40), tried(0.5, 10, 20)], 1.0).enter == 0.5


def test_it_is_chosen_over_all_sources_together() -> None:
    one = [tried(0.4, 90, 0), tried(0.5, 80, 0)]
    other = [tried(0.4, 90, 30), tried(0.5, 80, 10)]
    assert choose([one, other], 1.0).enter == 0.5


def test_every_kind_gets_the_thresholds() -> None:
    kinds = tried(0.55, 1, 0).applied(Config()).alerts.expressions
    assert {(each.enter, each.hold_s) for each in kinds.values()} == {(0.55, 2.0)}
