"""Whatever the broker answers, in whatever order: every alert leaves in the end, and one at a time in its order."""

from __future__ import annotations

from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.mqtt.lane import REFUSED_PAUSE_S, AlertLane
from edge.mqtt.notices import Notices
from edge.mqtt.outbox import Outbox, Waiting
from edge.mqtt.session import Answer, Delivery, Ending
from edge.mqtt.suspects import Suspects

TOPIC = "evenkeel/van-7/alert"


class Shelf:
    """An outbox in a list."""

    def __init__(self, count: int) -> None:
        self.places = list(range(1, count + 1))
        self.newest_place = count
        self.taken: list[int] = []

    def waiting(self, after: int, limit: int) -> list[Waiting]:
        found = [place for place in self.places if place > after][:limit]
        return [Waiting(place, 1, place, "evenkeel", "van-7", b"x" * place) for place in found]

    def delivered(self, places: list[int]) -> None:
        self.taken += places
        self.places = [place for place in self.places if place not in places]


def lane_of(shelf: Shelf, unheard_s: float = 100.0) -> AlertLane:
    return AlertLane(cast("Outbox", shelf), Notices(), unheard_s=unheard_s)


@given(
    st.lists(st.sampled_from([0, 0, 16, 128, 135, 149, 151, 153]), max_size=60),
    st.integers(1, 16),
    st.lists(st.booleans(), max_size=60),
)
def test_every_alert_leaves_in_the_end_and_none_overtakes_another_in_a_window_of_one(
    codes: list[int], window: int, breaks: list[bool]
) -> None:
    shelf = Shelf(12)
    lane, now, answers, cuts = lane_of(shelf), 0.0, iter(codes), iter(breaks)
    for _ in range(300):
        if not shelf.places:
            break
        loaded = lane.load(window, now, lambda _: True, under_way=False)
        assert [one.place for one in loaded] == sorted({one.place for one in loaded})
        if next(cuts, False):
            lane.restart()
        else:
            for one in loaded:
                lane.answered(one.place, TOPIC, Answer(next(answers, 0)), now)
        lane.settle()
        now += REFUSED_PAUSE_S + 1
    assert not shelf.places
    assert sorted(shelf.taken) == list(range(1, 13))
    if window == 1:
        assert shelf.taken == sorted(shelf.taken)


def test_while_one_asks_whether_somebody_listens_the_others_wait() -> None:
    shelf = Shelf(5)
    lane = lane_of(shelf)
    first = lane.load(3, 0.0, lambda _: True, under_way=False)
    for one in first:
        lane.answered(one.place, TOPIC, Answer(16), 0.0)
    assert lane.load(3, 1.0, lambda _: True, under_way=False) == []
    assert [one.place for one in lane.load(3, 6.0, lambda _: True, under_way=False)] == [1]
    assert lane.load(3, 6.0, lambda _: True, under_way=True) == []
    lane.answered(1, TOPIC, Answer(), 6.1)
    assert [one.place for one in lane.load(9, 6.2, lambda _: True, under_way=False)] == [2, 3, 4, 5]


def test_what_does_not_fit_is_passed_over_and_offered_to_the_next_connection() -> None:
    shelf = Shelf(4)
    lane = lane_of(shelf)
    loaded = lane.load(9, 0.0, lambda one: one.place != 2, under_way=False)
    assert ([one.place for one in loaded], lane.left_out) == ([1, 3, 4], 1)
    lane.restart()
    assert [one.place for one in lane.load(9, 0.0, lambda _: True, under_way=False)] == [1, 2, 3, 4]


ALERT, STATE = Delivery(TOPIC, 7), Delivery("evenkeel/van-7/state")


def broken_by(*under_way: Delivery, blame: bool = True) -> Ending:
    return Ending("closed", accepted=True, under_way=under_way, blame=blame)


@pytest.mark.parametrize(
    ("endings", "proved"),
    [
        ([broken_by(ALERT)] * 9, False),  # a broker that takes nothing at all
        ([broken_by(ALERT, blame=False)] * 9, True),  # it said that no message was to blame
        ([broken_by(ALERT, STATE)] * 9, True),  # never alone
        ([broken_by()] * 9, True),
    ],
)
def test_no_alert_is_given_up_without_strong_evidence(endings: list[Ending], *, proved: bool) -> None:
    suspects = Suspects()
    assert [suspects.broke(ending, proved=proved) for ending in endings] == [None] * 9


def test_an_alert_that_is_alone_twice_when_a_proved_connection_breaks_is_given_up_unless_it_passed_between() -> None:
    suspects = Suspects()
    assert suspects.broke(broken_by(ALERT, STATE), proved=True) is None
    assert suspects.cautious
    suspects.passed(STATE)
    assert suspects.broke(broken_by(ALERT), proved=True) is None
    suspects.passed(ALERT)
    assert not suspects.cautious
    assert [suspects.broke(broken_by(ALERT), proved=True) for _ in range(3)] == [None, None, ALERT]
    assert not suspects.cautious
