"""Commands do what the contract lists and nothing else, whoever sends what."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.messages import made_alert, made_outbox
from edge.compat import UTC
from edge.config import Config
from edge.domain import Stamp
from edge.mqtt.client import Publisher
from edge.mqtt.commands import (
    MAX_PAYLOAD_BYTES,
    Bounds,
    Budgets,
    Command,
    CommandError,
    Live,
    RateLimit,
    Resend,
    parse_command,
    told_id,
)
from edge.mqtt.messages import COMMANDS, CommandName, Topics

if TYPE_CHECKING:
    from benchmarks.mosquitto import Mosquitto
    from tests.conftest import Subscriber

TOPICS = Topics("evenkeel", "van-7")


NOW = Stamp(datetime(2026, 5, 4, tzinfo=UTC), 100.0, clock_synced=True)
KEYS = ["seconds", "id", "enter", "epoch", "from", "to", "issued"]
BOUNDS = Bounds(max_pause_s=3600, max_age_s=60)


def clock() -> Stamp:
    return Stamp(datetime(2026, 5, 4, tzinfo=UTC), time.monotonic(), clock_synced=True)


@pytest.mark.parametrize(
    ("name", "payload", "expected"),
    [
        ("pause", b'{"seconds": 600}', Command(CommandName.PAUSE, 600.0)),
        ("pause", b'{"seconds": 0.5, "id": "abc"}', Command(CommandName.PAUSE, 0.5, "abc")),
        ("resume", b"", Command(CommandName.RESUME)),
        ("recalibrate", b"{}", Command(CommandName.RECALIBRATE)),
        ("reload", b'{"id": "7"}', Command(CommandName.RELOAD, id="7")),
        ("acknowledge", b"", Command(CommandName.ACKNOWLEDGE)),
        ("acknowledge", b'{"kind": "fatigue", "id": "7"}', Command(CommandName.ACKNOWLEDGE, id="7", kind="fatigue")),
        ("resume", b'{"issued": "2026-05-03T23:59:01Z"}', Command(CommandName.RESUME)),
        ("resume", b'{"issued": "2026-05-04T01:59:30+02:00"}', Command(CommandName.RESUME)),
        ("resume", b'{"issued": "2026-05-04T00:00:29Z"}', Command(CommandName.RESUME)),
        ("live", b'{"seconds": 60, "id": "x"}', Live(60, "x")),
        ("resend", b'{"epoch": 3, "from": 5}', Resend(3, 5)),
        ("resend", b'{"epoch": 3, "from": 5, "to": 7, "id": "x"}', Resend(3, 5, 7, "x")),
    ],
)
def test_a_valid_command_is_understood(name: str, payload: bytes, expected: Command) -> None:
    assert parse_command(name, payload, BOUNDS, NOW) == expected


@pytest.mark.parametrize("name", [name for name in CommandName if name is not CommandName.PAUSE])
def test_a_button_that_says_press_is_understood_where_nothing_has_to_be_said(name: CommandName) -> None:
    assert parse_command(name, b"PRESS", BOUNDS, NOW) == Command(name)


@pytest.mark.parametrize(
    ("name", "payload", "why"),
    [
        ("pause", b"", "seconds: Field required"),
        ("pause", b"PRESS", "seconds: Field required"),
        ("resume", b"press", "JSON"),
        ("pause", b'{"seconds": 3601}', "at most 3600"),
        ("pause", b'{"seconds": 0}', "greater than 0"),
        ("pause", b'{"seconds": -1}', "greater than 0"),
        ("pause", b'{"seconds": "60"}', "number"),
        ("pause", b'{"seconds": true}', "number"),
        ("pause", b'{"seconds": NaN}', "finite"),
        ("pause", b'{"seconds": 1e999}', "finite"),
        ("pause", b'{"seconds": 60, "enter": 0.9}', "enter: Extra"),
        ("resume", b'{"seconds": 60}', "seconds: Extra"),
        ("resume", b'{"kind": "anger"}', "kind: Extra"),
        ("acknowledge", b'{"kind": "Anger"}', "kind: "),
        ("acknowledge", b'{"kind": ""}', "kind: "),
        ("acknowledge", b'{"kind": ["anger"]}', "kind: "),
        ("acknowledge", b'{"seconds": 60}', "seconds: Extra"),
        ("resume", b"[]", "object"),
        ("resume", b"\xff\xfe", "JSON"),
        ("resume", b'{"id": "' + b"x" * 65 + b'"}', "at most 64"),
        ("reload", b'{"id": "x"}' + b" " * MAX_PAYLOAD_BYTES, "bytes"),
        ("reload", b"[" * 1000, "JSON"),
        ("resend", b"{}", "epoch: Field required"),
        ("resend", b'{"epoch": 0, "from": 1}', "greater than or equal to 1"),
        ("resend", b'{"epoch": 9007199254740992, "from": 1}', "less than or equal to"),
        ("resend", b'{"epoch": 1, "from": 5, "to": 4}', "'to' must not be below 'from'"),
        ("resend", b'{"epoch": 1.5, "from": 1}', "epoch: "),
        ("resend", b'{"epoch": 1, "first": 1}', "from: Field required"),
        ("resume", b'{"issued": "2026-05-03T23:58:59Z"}', "issued 61 s ago; at most 60 s"),
        ("resume", b'{"issued": "2026-05-04T00:00:31Z"}', "issued 31 s ahead of this device's clock; at most 30 s"),
        ("resume", b'{"issued": "2026-05-04T00:00:00"}', "issued: "),
        ("resume", b'{"issued": 1777852800}', "issued: "),
        ("resend", b'{"epoch": 1, "from": 1, "issued": "2020-01-01T00:00:00Z"}', "at most 60 s"),
        ("pause", b'{"seconds": 5, "issued": "2020-01-01T00:00:00Z"}', "at most 60 s"),
        ("live", b"", "seconds: Field required"),
        ("live", b'{"seconds": 60.5}', "seconds: Input should be less than or equal to 60"),
        ("live", b'{"seconds": 0}', "seconds: Input should be greater than 0"),
        ("live", b'{"seconds": 5, "issued": "2020-01-01T00:00:00Z"}', "at most 60 s"),
        ("shell", b"", "unknown command"),
        ("__class__", b"", "unknown command"),
    ],
)
def test_a_wrong_command_is_refused_with_the_reason(name: str, payload: bytes, why: str) -> None:
    with pytest.raises(CommandError, match=why):
        parse_command(name, payload, BOUNDS, NOW)


@settings(max_examples=500, deadline=None)
@given(
    st.one_of(st.sampled_from(COMMANDS), st.text()),
    st.one_of(
        st.binary(max_size=2000),
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.text(max_size=20),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
        ).map(lambda value: json.dumps(value).encode()),
        st.dictionaries(
            st.sampled_from(["seconds", "id", "enter", "epoch", "from", "to", "issued"]),
            st.floats() | st.integers() | st.text(max_size=70),
        ).map(lambda value: json.dumps(value).encode()),
    ),
)
def test_no_payload_crashes_the_parser_or_asks_for_more_than_is_allowed(name: str, payload: bytes) -> None:
    try:
        command = parse_command(name, payload, BOUNDS, NOW)
    except CommandError:
        return
    if isinstance(command, Resend):
        assert 1 <= command.first <= (command.last or command.first)
        return
    if isinstance(command, Live):
        assert 0 < command.seconds <= 60
        return
    assert command.name in set(CommandName)
    assert (command.seconds is not None) == (command.name is CommandName.PAUSE)
    assert command.seconds is None or 0 < command.seconds <= 3600


def test_a_command_may_be_no_further_ahead_than_it_may_be_old() -> None:
    bounds = Bounds(max_pause_s=3600, max_age_s=5)
    with pytest.raises(CommandError, match="6 s ahead of this device's clock; at most 5 s"):
        parse_command("resume", b'{"issued": "2026-05-04T00:00:06Z"}', bounds, NOW)


@pytest.mark.parametrize(
    ("payload", "told"),
    [
        (b'{"id": "a", "seconds": "x", "z": [1]}', "a"),
        (b'{"id": "a", "issued": "2020-01-01T00:00:00Z"}', "a"),
        (b'{"id": 7}', None),
        (b'{"id": "' + b"x" * 65 + b'"}', None),
        (b'{"id": "a"}' + b" " * MAX_PAYLOAD_BYTES, None),
        (b"[" * 1000, None),
        (b'{"id": "a"', None),
        (b"\xff", None),
        (b"", None),
    ],
)
def test_a_refusal_gives_back_the_id_where_there_is_one(payload: bytes, told: str | None) -> None:
    assert told_id(payload) == told


def test_a_device_without_a_clock_cannot_tell_how_old_a_command_is() -> None:
    unset = Stamp(NOW.time, 1.0, clock_synced=False)
    with pytest.raises(CommandError, match="clock is not set"):
        parse_command("resume", b'{"issued": "2026-05-04T00:00:00Z"}', BOUNDS, unset)


def test_requests_to_resend_and_other_commands_do_not_use_up_each_others_budget() -> None:
    budgets = Budgets()
    assert [budgets.allow("resend", 0.0) for _ in range(11)] == [True] * 10 + [False]
    assert [budgets.allow("pause", 0.0) for _ in range(6)] == [True] * 5 + [False]
    assert budgets.allow("resend", 1.0)
    assert [budgets.allow("live", 0.0) for _ in range(11)] == [True] * 10 + [False]
    assert not budgets.allow("pause", 1.0)


def test_five_commands_may_come_at_once_and_then_one_every_two_seconds() -> None:
    limit = RateLimit()
    assert [limit.allow(10.0) for _ in range(6)] == [True] * 5 + [False]
    assert not limit.allow(11.9)
    assert limit.allow(12.1)
    assert not limit.allow(12.2)
    assert [limit.allow(1000.0) for _ in range(6)] == [True] * 5 + [False]


@pytest.fixture
def publisher(mosquitto: Mosquitto, tmp_path: Path) -> Iterator[Publisher]:
    config = Config.model_validate(
        {"device": {"id": "van-7"}, "mqtt": {"host": "127.0.0.1", "port": mosquitto.port, "reconnect_min_s": 0.1}}
    )
    outbox = made_outbox(tmp_path / "outbox.db", clock())
    with Publisher(config, outbox, clock=clock, environ={}) as started:
        yield started
    outbox.close()


def wait_for_command(publisher: Publisher) -> Command:
    end = time.monotonic() + 10
    while time.monotonic() < end:
        if (command := publisher.poll_command()) is not None:
            return command
        time.sleep(0.005)
    pytest.fail("no command within 10 s")


def test_a_command_reaches_the_service_and_its_answer_the_sender(
    mosquitto: Mosquitto, subscribe: Callable[..., Subscriber], publisher: Publisher
) -> None:
    sender = subscribe(mosquitto.port)
    sender.wait_for(TOPICS.availability)
    sender.publish(TOPICS.command("pause"), '{"seconds": 60, "id": "a1"}')
    command = wait_for_command(publisher)
    assert command == Command(CommandName.PAUSE, 60.0, "a1")
    publisher.answer(command, ok=True, message="paused for 60 s")
    answer = json.loads(sender.wait_for(TOPICS.result("pause")))
    assert (answer["ok"], answer["id"], answer["message"]) == (True, "a1", "paused for 60 s")


def test_a_wrong_command_is_answered_and_never_reaches_the_service(
    mosquitto: Mosquitto, subscribe: Callable[..., Subscriber], publisher: Publisher
) -> None:
    sender = subscribe(mosquitto.port)
    sender.wait_for(TOPICS.availability)
    sender.publish(TOPICS.command("pause"), '{"seconds": 1e9, "id": "a2"}')
    answer = json.loads(sender.wait_for(TOPICS.result("pause")))
    assert (answer["ok"], answer["id"]) == (False, "a2")
    assert "publish.max_pause_s" in answer["message"]
    assert publisher.poll_command() is None


def test_a_retained_command_is_ignored(
    mosquitto: Mosquitto, subscribe: Callable[..., Subscriber], tmp_path: Path
) -> None:
    sender = subscribe(mosquitto.port)
    sender.publish(TOPICS.command("pause"), '{"seconds": 60}', retain=True)
    config = Config.model_validate({"device": {"id": "van-7"}, "mqtt": {"host": "127.0.0.1", "port": mosquitto.port}})
    outbox = made_outbox(tmp_path / "outbox.db", clock())
    with Publisher(config, outbox, clock=clock, environ={}) as publisher:
        sender.wait_for(TOPICS.availability)
        sender.publish(TOPICS.command("resume"))
        assert wait_for_command(publisher).name is CommandName.RESUME
        assert publisher.poll_command() is None


def test_a_flood_of_noise_leaves_the_device_connected_and_obedient_at_once(
    mosquitto: Mosquitto,
    subscribe: Callable[..., Subscriber],
    publisher: Publisher,
) -> None:
    sender = subscribe(mosquitto.port)
    sender.wait_for(TOPICS.availability)
    chance = random.Random(3)  # noqa: S311 - noise
    for i in range(300):
        name = chance.choice(["x", "$", "ü" * 20, "result", "PAUSE"])
        payload = chance.randbytes(chance.randrange(0, 3000)) if i % 2 else b'{"seconds": [' * 50
        sender.publish(TOPICS.command(name), payload)
    assert publisher.poll_command() is None
    sender.publish(TOPICS.command("resume"))
    assert wait_for_command(publisher).name is CommandName.RESUME
    assert publisher.connected


def test_unknown_commands_that_reach_the_device_all_the_same_use_up_no_budget(publisher: Publisher) -> None:
    for number in range(100):
        publisher.received(TOPICS.command(f"unknown-{number}"), b"", retained=False)
    publisher.received(TOPICS.command("resume"), b"", retained=False)
    assert wait_for_command(publisher).name is CommandName.RESUME


def test_alerts_that_a_receiver_lacks_are_sent_again_and_the_answer_tells_what_is_gone(
    mosquitto: Mosquitto, subscribe: Callable[..., Subscriber], publisher: Publisher
) -> None:
    receiver = subscribe(mosquitto.port)
    receiver.wait_for(TOPICS.availability)
    sent = [publisher.publish_alert(made_alert(clock(), str(number))) for number in range(3)]
    receiver.wait_for(TOPICS.alert, count=3)
    epoch = sent[0].epoch
    receiver.publish(TOPICS.command("resend"), json.dumps({"epoch": epoch, "from": 2, "id": "gap"}))
    answer = json.loads(receiver.wait_for(TOPICS.result("resend")))
    assert (answer["ok"], answer["id"]) == (True, "gap")
    assert answer["resend"] == {"epoch": epoch, "from": 2, "to": 3, "queued": 2, "newest": 3, "gone": []}
    receiver.wait_for(TOPICS.alert, count=5)
    again = [json.loads(payload) for payload in receiver.payloads(TOPICS.alert)[3:]]
    assert [(one["sequence"], one["resent"], one["reason"]) for one in again] == [(2, True, "1"), (3, True, "2")]
    receiver.publish(TOPICS.command("resend"), json.dumps({"epoch": epoch + 1, "from": 1, "to": 4}))
    answer = json.loads(receiver.wait_for(TOPICS.result("resend"), count=2))
    assert answer["resend"]["newest"] is None
    assert answer["resend"]["gone"] == [{"from": 1, "to": 4, "reason": "unknown"}]
