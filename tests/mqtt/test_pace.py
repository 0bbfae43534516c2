"""However messages come, no second has more than it may, and none waits longer than it must."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge.mqtt.pace import BURST, Pace


@given(st.integers(1, 200), st.lists(st.floats(0.0, 0.4), min_size=1, max_size=60))
def test_no_second_has_more_messages_than_it_may(hz: int, pauses_s: list[float]) -> None:
    pace, t, sent = Pace(hz), 0.0, list[float]()
    for pause_s in pauses_s:
        t += pause_s
        while pace.room(t):
            pace.spend()
            sent.append(t)
    most = hz + max(1.0, hz / BURST)
    assert all(len([other for other in sent if at <= other < at + 1.0]) <= most + 1e-6 for at in sent)


@given(st.integers(1, 200))
def test_after_the_wait_that_it_names_there_is_room_for_one(hz: int) -> None:
    pace = Pace(hz)
    while pace.room(0.0):
        pace.spend()
    wait_s = pace.wait_s(0.0)
    assert wait_s is not None
    assert 0 < wait_s <= 1 / hz + 1e-9
    assert pace.room(wait_s + 1e-6) == 1
    assert pace.wait_s(wait_s + 1e-6) is None


def test_what_could_not_wait_is_made_up_for() -> None:
    pace = Pace(8)
    for _ in range(9):
        pace.spend()
    assert pace.room(0.0) == 0
    assert pace.room(1.0) == 0
    assert pace.room(1.126) == 1


def test_without_a_limit_any_number_may_go_at_once() -> None:
    pace = Pace(None)
    pace.spend()
    assert pace.room(0.0) is None
    assert pace.wait_s(0.0) is None
