"""A receiver that missed alerts asks for them: what is kept is sent again, what is gone is named with its reason."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.messages import made_alert
from edge.compat import UTC
from edge.domain import Stamp
from edge.mqtt.messages import Gone, Resent, Topics
from edge.mqtt.outbox import Bounds, Outbox
from edge.mqtt.outbox.resend import AT_ONCE

START = datetime(2026, 5, 4, 9, 30, tzinfo=UTC)
DAY_S = 86_400.0


def at(seconds: float = 0.0) -> Stamp:
    return Stamp(START + timedelta(seconds=seconds), 100.0 + seconds, clock_synced=True)


def an_outbox(folder: Path, bounds: Bounds | None = None) -> Outbox:
    return Outbox(folder / "outbox.db", Topics("evenkeel", "van-7"), bounds or Bounds(), at())


def decide(outbox: Outbox, count: int, *, delivered: bool = True) -> None:
    for index in range(count):
        outbox.put(made_alert(at(), f"{index}"))
    if delivered:
        outbox.delivered([one.place for one in outbox.waiting(0, 10_000)])


def resend(outbox: Outbox, first: int, last: int | None, epoch: int | None = None) -> Resent:
    answer = outbox.resend(epoch or outbox.newest.epoch, first, last)
    assert answer is not None
    return answer


def queued(outbox: Outbox) -> list[int]:
    return [one.sequence for one in outbox.waiting(0, 10_000)]


def gone(answer: Resent) -> list[tuple[int, int, str]]:
    return [(one.first, one.last, one.reason) for one in answer.gone]


@pytest.fixture
def outbox(tmp_path: Path) -> Outbox:
    return an_outbox(tmp_path)


def test_acknowledged_alerts_are_sent_again_marked_and_otherwise_the_same(outbox: Outbox) -> None:
    outbox.put(made_alert(at(), "why"))
    first = outbox.waiting(0, 1)[0]
    outbox.delivered([first.place])
    assert resend(outbox, 1, 1) == Resent(epoch=outbox.newest.epoch, first=1, last=1, queued=1, newest=1, gone=[])
    again = outbox.waiting(first.place, 10)[0]
    assert json.loads(again.payload) == json.loads(first.payload) | {"resent": True}
    assert (again.epoch, again.sequence, again.device_id) == (first.epoch, first.sequence, first.device_id)
    outbox.delivered([again.place])
    assert (outbox.health().depth, outbox.health().history) == (0, 1)


def test_a_range_may_end_at_the_newest_and_what_waits_is_not_queued_twice(outbox: Outbox) -> None:
    decide(outbox, 3)
    decide(outbox, 2, delivered=False)
    answer = resend(outbox, 2, None)
    assert (answer.first, answer.last, answer.queued, answer.newest) == (2, 5, 4, 5)
    assert queued(outbox) == [4, 5, 2, 3]
    assert resend(outbox, 1, 99).queued == 5
    assert sorted(queued(outbox)) == [1, 2, 3, 4, 5]


def test_an_epoch_that_the_device_does_not_know_is_gone_for_good(outbox: Outbox) -> None:
    answer = resend(outbox, 3, 9, epoch=12)
    assert (answer.queued, answer.newest, gone(answer)) == (0, None, [(3, 9, "unknown")])


def test_numbers_that_do_not_exist_yet_are_neither_queued_nor_gone(outbox: Outbox) -> None:
    assert (resend(outbox, 1, None).last, resend(outbox, 1, 5).gone) == (0, [])
    decide(outbox, 2)
    answer = resend(outbox, 7, 9)
    assert (answer.last, answer.queued, answer.newest, answer.gone) == (6, 0, 2, [])


def test_what_is_gone_is_named_with_its_reason(tmp_path: Path) -> None:
    size = len(made_alert(at(), "0").model_copy(update={"epoch": 10**15}).payload())
    outbox = an_outbox(tmp_path, Bounds(max_bytes=4 * size + 20, history_max_bytes=3 * size + 20))
    decide(outbox, 4)  # the history has no room for the first
    outbox.expire(at(1))
    decide(outbox, 6, delivered=False)  # the queue has none for the first two of these
    outbox.set_aside(outbox.waiting(0, 1)[0].place, "too large")
    answer = resend(outbox, 1, None)
    assert gone(answer) == [(1, 1, "history"), (5, 6, "squeezed"), (7, 7, "set aside")]
    assert answer.queued == 6
    assert sorted(queued(outbox)) == [2, 3, 4, 8, 9, 10]


def test_an_alert_that_waited_for_too_long_is_expired(tmp_path: Path) -> None:
    outbox = an_outbox(tmp_path, Bounds(max_age_days=1, history_days=3))
    decide(outbox, 1)
    decide(outbox, 1, delivered=False)
    outbox.expire(at(1.1 * DAY_S))
    assert gone(resend(outbox, 1, None)) == [(2, 2, "expired")]
    outbox.expire(at(4.2 * DAY_S))
    assert gone(resend(outbox, 1, None)) == [(1, 1, "history"), (2, 2, "expired")]


def test_what_was_asked_for_and_waited_for_too_long_goes_back_to_the_history(tmp_path: Path) -> None:
    outbox = an_outbox(tmp_path, Bounds(max_age_days=1, history_days=3))
    decide(outbox, 1)
    resend(outbox, 1, 1)
    outbox.expire(at(1.1 * DAY_S))
    assert (queued(outbox), outbox.health().history, outbox.health().dropped) == ([], 1, 0)


def test_what_was_asked_for_gives_way_to_what_is_new_and_stays_in_the_history(tmp_path: Path) -> None:
    size = len(made_alert(at(), "0").model_copy(update={"epoch": 10**15}).payload())
    outbox = an_outbox(tmp_path, Bounds(max_bytes=3 * size + 20))
    decide(outbox, 3)
    resend(outbox, 1, None)
    decide(outbox, 3, delivered=False)
    assert queued(outbox) == [4, 5, 6]
    assert outbox.health().dropped == 0
    assert outbox.health().history == 3


def test_a_long_range_is_settled_in_parts(tmp_path: Path) -> None:
    outbox = an_outbox(tmp_path)
    decide(outbox, AT_ONCE + 50)
    answer = resend(outbox, 1, None)
    assert (answer.last, answer.queued) == (AT_ONCE, AT_ONCE)
    assert resend(outbox, AT_ONCE + 1, None).last == AT_ONCE  # first those that are under way
    outbox.delivered([one.place for one in outbox.waiting(0, 10_000)])
    answer = resend(outbox, AT_ONCE + 1, None)
    assert (answer.last, answer.queued) == (AT_ONCE + 50, 50)


def test_while_the_disk_is_away_nothing_on_it_is_called_gone(outbox: Outbox) -> None:
    decide(outbox, 3)
    epoch = outbox.newest.epoch
    outbox._store.database.execute("PRAGMA query_only = ON")
    outbox.put(made_alert(at(1), "in memory"))
    assert outbox.resend(epoch, 1, 3) is None
    assert resend(outbox, 1, None).queued == 1
    outbox.expire(at(100))
    assert resend(outbox, 1, 3, epoch=epoch).queued == 3


def test_the_answer_is_small_however_scattered_the_losses_are(tmp_path: Path) -> None:
    outbox = an_outbox(tmp_path)
    decide(outbox, 120)
    for number in range(1, 120, 2):
        resend(outbox, number, number)
        outbox.set_aside(outbox.waiting(0, 1)[0].place, "odd")
    first, found = 1, 0
    while first <= 120:
        answer = resend(outbox, first, None)
        assert len(answer.model_dump_json()) < 2000
        assert answer.last >= first
        found += answer.queued
        outbox.delivered([one.place for one in outbox.waiting(0, 10_000)])
        first = answer.last + 1
    assert found == 60


@settings(max_examples=40, deadline=None)
@given(
    steps=st.lists(st.sampled_from(["put", "put", "put", "deliver", "aside", "day", "restart"]), max_size=40),
    first=st.integers(1, 30),
    size=st.integers(0, 30),
)
def test_every_number_of_an_answer_is_in_the_queue_or_gone(
    tmp_path_factory: pytest.TempPathFactory, steps: list[str], first: int, size: int
) -> None:
    folder = tmp_path_factory.mktemp("outbox")
    bounds = Bounds(max_bytes=4000, max_age_days=2, history_max_bytes=3000, history_days=3)
    outbox, now = an_outbox(folder, bounds), 0.0
    for step in steps:
        match step:
            case "put":
                outbox.put(made_alert(at(now)))
            case "deliver":
                outbox.delivered([one.place for one in outbox.waiting(0, 2)])
            case "aside" if waiting := outbox.waiting(0, 1):
                outbox.set_aside(waiting[0].place, "why")
            case "day":
                now += DAY_S
                outbox.expire(at(now))
            case "restart":
                outbox.close()
                outbox = Outbox(folder / "outbox.db", Topics("evenkeel", "van-7"), bounds, at(now))
    answer = resend(outbox, first, first + size)
    named = {number for one in answer.gone for number in range(one.first, one.last + 1)}
    waits = {one.sequence for one in outbox.waiting(0, 1000)}
    settled = set(range(first, answer.last + 1))
    assert named <= settled
    assert not named & waits
    assert len(settled) == len(named) + answer.queued
    assert settled <= named | waits
    assert all(isinstance(one, Gone) and one.reason != "unknown" for one in answer.gone)
    outbox.close()
