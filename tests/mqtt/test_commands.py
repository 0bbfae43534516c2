"""Commands do what the contract lists and nothing else, whoever sends what."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.messages import made_outbox
from edge.config import Config
from edge.mqtt.client import Publisher
from edge.mqtt.commands import MAX_PAYLOAD_BYTES, Command, CommandError, RateLimit, parse_command
from edge.mqtt.messages import CommandName, Stamp, Topics

if TYPE_CHECKING:
    from benchmarks.mosquitto import Mosquitto
    from tests.conftest import Subscriber

TOPICS = Topics("evenkeel", "van-7")


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
    ],
)
def test_a_valid_command_is_understood(name: str, payload: bytes, expected: Command) -> None:
    assert parse_command(name, payload, 3600) == expected


@pytest.mark.parametrize(
    ("name", "payload", "why"),
    [
        ("pause", b"", "seconds: Field required"),
        ("pause", b'{"seconds": 3601}', "at most 3600"),
        ("pause", b'{"seconds": 0}', "greater than 0"),
        ("pause", b'{"seconds": -1}', "greater than 0"),
        ("pause", b'{"seconds": "60"}', "number"),
        ("pause", b'{"seconds": true}', "number"),
        ("pause", b'{"seconds": NaN}', "finite"),
        ("pause", b'{"seconds": 1e999}', "finite"),
        ("pause", b'{"seconds": 60, "enter": 0.9}', "enter: Extra"),
        ("resume", b'{"seconds": 60}', "seconds: Extra"),
        ("resume", b"[]", "object"),
        ("resume", b"\xff\xfe", "JSON"),
        ("resume", b'{"id": "' + b"x" * 65 + b'"}', "at most 64"),
        ("reload", b'{"id": "x"}' + b" " * MAX_PAYLOAD_BYTES, "bytes"),
        ("reload", b"[" * 1000, "JSON"),
        ("shell", b"", "unknown command"),
        ("__class__", b"", "unknown command"),
    ],
)
def test_a_wrong_command_is_refused_with_the_reason(name: str, payload: bytes, why: str) -> None:
    with pytest.raises(CommandError, match=why):
        parse_command(name, payload, 3600)


@settings(max_examples=500, deadline=None)
@given(
    st.one_of(st.sampled_from(list(CommandName)), st.text()),
    st.one_of(
        st.binary(max_size=2000),
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.text(max_size=20),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
        ).map(lambda value: json.dumps(value).encode()),
        st.dictionaries(st.sampled_from(["seconds", "id", "enter"]), st.floats() | st.text(max_size=70)).map(
            lambda value: json.dumps(value).encode()
        ),
    ),
)
def test_no_payload_crashes_the_parser_or_asks_for_more_than_is_allowed(name: str, payload: bytes) -> None:
    try:
        command = parse_command(name, payload, 3600)
    except CommandError:
        return
    assert command.name in set(CommandName)
    assert (command.seconds is not None) == (command.name is CommandName.PAUSE)
    assert command.seconds is None or 0 < command.seconds <= 3600


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
    sender.publish(TOPICS.command("pause"), '{"seconds": 1e9}')
    answer = json.loads(sender.wait_for(TOPICS.result("pause")))
    assert answer["ok"] is False
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


def test_a_flood_of_noise_leaves_the_device_connected_and_obedient(
    mosquitto: Mosquitto,
    subscribe: Callable[..., Subscriber],
    publisher: Publisher,
) -> None:
    sender = subscribe(mosquitto.port)
    sender.wait_for(TOPICS.availability)
    chance = random.Random(3)  # noqa: S311 - noise
    for i in range(300):
        name = chance.choice([*CommandName, "x", "$", "ü" * 20, "result"])
        payload = chance.randbytes(chance.randrange(0, 3000)) if i % 2 else b'{"seconds": [' * 50
        sender.publish(TOPICS.command(name), payload)
    assert publisher.poll_command() is None
    end = time.monotonic() + 30  # the noise has used up the rate limit, which comes back with time
    while (command := publisher.poll_command()) is None and time.monotonic() < end:
        sender.publish(TOPICS.command("resume"))
        time.sleep(0.2)
    assert command is not None
    assert command.name is CommandName.RESUME
    assert publisher.connected
