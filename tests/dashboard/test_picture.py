"""What a browser is told of a device, whatever comes on its topics."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from benchmarks.messages import made_alert, made_health, made_state
from edge.compat import UTC
from edge.dashboard.picture import HISTORY_S, KEPT_S, MAX_BYTES, MAX_KINDS, Picture, as_sent
from edge.domain import Phase, Stamp, State
from edge.mqtt.messages import KindPart, LiveMessage, OutboxPart, Topics

TOPICS = Topics("evenkeel", "van-7")
NOW = Stamp(datetime(2026, 5, 4, 9, 30, tzinfo=UTC), 5000.0, clock_synced=True)
SCRIPT = "</script><script>document.title='taken'</script><img src=x onerror=alert(1)>"
OUTBOX = OutboxPart(depth=0, bytes=0, dropped=0, problem=None)


@pytest.fixture
def picture() -> Picture:
    return Picture(TOPICS)


def live(anger: float | None = 0.4, **other: Any) -> bytes:
    said = {
        "time": "2026-05-04T09:30:00Z",
        "uptime_s": 5000.0,
        "clock_synced": True,
        "state": "calm",
        "signals": {"anger": anger},
        "levels": {"anger": None},
        "expression": None,
        "probabilities": None,
        "eyes": None,
        "quality": None,
        "speed_kmh": None,
    }
    return LiveMessage.model_validate(said | other).payload()


@pytest.mark.parametrize("topic", [TOPICS.state, TOPICS.live, TOPICS.alert, TOPICS.health, TOPICS.availability])
@pytest.mark.parametrize(
    "payload",
    [
        b"\xff\xfe",
        b"[" * 5000,
        b"{}",
        b"null",
        b'{"state": 3}',
        SCRIPT.encode(),
        b'{"state": "happy"}',
        b"ONLINE",
        b"x" * (MAX_BYTES + 1),
        b"x" * 10_000_000,
    ],
)
def test_what_is_no_message_of_the_contract_is_counted_and_shown_nowhere(
    topic: str, payload: bytes, picture: Picture
) -> None:
    empty = picture.snapshot(0.0)
    assert picture.received(topic, payload, 0.0) is None
    assert picture.snapshot(0.0) == empty
    assert picture.refused == 1


def test_wrong_types_in_an_else_good_message_are_refused(picture: Picture) -> None:
    good = json.loads(live())
    for key, wrong in (("signals", {"anger": 1.5}), ("signals", {"<b>": 0.1}), ("state", "joy"), ("speed_kmh", "fast")):
        assert picture.received(TOPICS.live, json.dumps(good | {key: wrong}).encode(), 0.0) is None
    assert picture.received(TOPICS.live, json.dumps(good | {"added_later": {"x": 1}}).encode(), 0.0) is not None


def test_another_device_is_none_of_this_page(picture: Picture) -> None:
    assert picture.received("evenkeel/van-8/live", live(), 0.0) is None
    assert picture.received("evenkeel/van-7/live/more", live(), 0.0) is None


def test_a_browser_that_comes_later_is_told_the_past_and_what_holds(picture: Picture) -> None:
    picture.linked(connected=True, problem="")
    picture.received(TOPICS.availability, b"online", 0.0)
    for number in range(40):
        picture.received(TOPICS.live, live(number / 40), number / 15)
    name, told = picture.snapshot(3.0)
    assert name == "snapshot"
    assert told["link"] == {"connected": True, "problem": ""}
    assert told["newest"]["availability"]["word"] == "online"
    assert [t for t, _ in told["points"]] == pytest.approx([0.0, 0.53, 1.07, 1.6, 2.13], abs=0.01)
    assert told["newest"]["live"]["signals"] == {"anger": 39 / 40}


def test_what_cannot_be_judged_is_a_gap_in_the_past(picture: Picture) -> None:
    picture.received(TOPICS.live, live(None), 0.0)
    unreadable = {"anger": KindPart(signal=0.7, level=None, readable=False)}
    state = made_state(NOW).model_copy(update={"kinds": unreadable})
    picture.received(TOPICS.state, state.payload(), 1.0)
    assert [signals for _, signals in picture.snapshot(1.0)[1]["points"]] == [{"anger": None}, {"anger": None}]


def test_the_past_is_forgotten(picture: Picture) -> None:
    picture.received(TOPICS.live, live(), 0.0)
    picture.received(TOPICS.alert, made_alert(NOW).payload(), 0.0)
    told = picture.snapshot(HISTORY_S + 1)[1]
    assert (told["points"], told["marks"]) == ([], [])


def test_an_alert_is_marked_once_and_when_it_was_decided_whatever_the_clock_says(picture: Picture) -> None:
    picture.received(TOPICS.live, live(), 100.0)
    wrong_clock = replace(NOW, time=datetime(1970, 1, 1, tzinfo=UTC), uptime_s=4990.0)
    alert = made_alert(wrong_clock, SCRIPT, phase=Phase.ESCALATE, sequence=3)
    event = picture.received(TOPICS.alert, alert.payload(), 100.0)
    assert event is not None
    assert (event[1]["t"], event[1]["phase"]) == (90.0, "escalate")
    again = alert.model_copy(update={"resent": True})
    assert picture.received(TOPICS.alert, again.payload(), 101.0) is None


def test_an_alert_of_before_the_board_started_or_of_long_ago_is_not_marked(picture: Picture) -> None:
    picture.received(TOPICS.live, live(), 0.0)
    before = made_alert(replace(NOW, uptime_s=90_000.0), sequence=1)
    long_ago = made_alert(replace(NOW, uptime_s=4000.0), sequence=2)
    assert [picture.received(TOPICS.alert, each.payload(), 0.0) for each in (before, long_ago)] == [None, None]


def test_what_is_cleared_in_shadow_mode_is_not_shown_any_more(picture: Picture) -> None:
    picture.received(TOPICS.state, made_state(NOW).payload(), 0.0)
    assert picture.received(TOPICS.state, b"", 1.0) == ("unsaid", {"t": 1.0})
    assert "state" not in picture.snapshot(1.0)[1]["newest"]


def test_what_was_live_before_shadow_mode_is_shown_to_nobody_who_comes_later(picture: Picture) -> None:
    picture.received(TOPICS.live, live(), 0.0)
    assert picture.received(TOPICS.state, b"", 1.0) == ("unsaid", {"t": 1.0})
    assert picture.snapshot(1.0)[1]["newest"] == {}


def test_a_state_that_the_broker_kept_is_doubted_until_the_device_speaks(picture: Picture) -> None:
    state = made_state(NOW).payload()
    picture.received(TOPICS.availability, b"online", 0.0, retained=True)
    picture.received(TOPICS.state, state, 0.0, retained=True)
    assert picture.doubt(KEPT_S) is None
    assert picture.snapshot(KEPT_S)[1]["newest"]["state"]["state"] == "calm"
    assert picture.doubt(KEPT_S + 0.1) == ("unsaid", {"t": KEPT_S + 0.1})
    assert picture.snapshot(KEPT_S + 0.1)[1]["newest"].keys() == {"availability"}
    picture.received(TOPICS.state, state, 10.0, retained=True)
    picture.received(TOPICS.live, live(), 10.1)
    assert picture.doubt(100.0) is None


def test_a_thousand_kinds_are_cut_to_a_few(picture: Picture) -> None:
    many = {f"kind_{number}": 0.1 for number in range(1000)}
    event = picture.received(TOPICS.live, live(signals=many, levels=dict.fromkeys(many)), 0.0)
    assert event is not None
    assert len(event[1]["signals"]) == len(event[1]["levels"]) == MAX_KINDS


def test_no_text_breaks_out_of_an_event(picture: Picture) -> None:
    nasty = f"{SCRIPT}\n\nevent: link\ndata: {{}}\r\u2028"
    state = made_state(NOW, nasty, State.WARNING)
    health = made_health(NOW, OUTBOX, problems=(nasty,))
    for topic, message in ((TOPICS.state, state), (TOPICS.health, health)):
        event = picture.received(topic, message.payload(), 0.0)
        assert event is not None
        sent = as_sent(event)
        assert sent.isascii()
        assert sent.count("\n") == 3
        assert json.loads(sent.splitlines()[1].removeprefix("data: ")) == json.loads(json.dumps(event[1]))
