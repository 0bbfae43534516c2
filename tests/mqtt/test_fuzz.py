"""Whatever is sent to a device's command topics, only a valid command does anything.

What is valid is decided a second time here, by rules written down apart from the device's own. The suite runs a quick
part of the fuzz; ``make fuzz`` (FUZZ_MESSAGES=200000) the whole of it.
"""

from __future__ import annotations

import json
import math
import os
import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.messages import made_outbox
from edge.config import Config
from edge.decision.decider import Decider
from edge.domain import Observation, Sight, State
from edge.mqtt.client import Publisher
from edge.mqtt.commands import Command, RateLimit
from edge.mqtt.messages import COMMANDS, CommandName, Topics
from edge.service.loop import board_stamp

TOPICS = Topics("evenkeel", "van-7")
COUNT = int(os.environ.get("FUZZ_MESSAGES", "3000"))
MAX_PAUSE_S = 3600.0
STEP_S = 0.5  # a power of two: sums of it are exact
KEYS = ["seconds", "id", "kind", "enter", "Seconds", "", "__class__", "seconds ", "id\0"]
WORDS = ["", "a1", "x" * 64, "x" * 65, "$(reboot)", "../../etc/passwd", "\u0000", "ünïcödé", "{{ 7 * 7 }}", "'; --"]
NUMBERS = [0, -0.0, 1, -1, 0.5, 600, 3600, 3600.0001, 1e-320, 1e308, 10**400, -(10**30), 2**63, math.nan, math.inf]


class Unlimited(RateLimit):
    """Lets every command through, so that the limit does not hide what the parser would do."""

    def allow(self, t: float) -> bool:
        del t
        return True


@pytest.fixture
def publisher(tmp_path: Path) -> Iterator[Publisher]:
    """Not started: the messages are handed to it as a session would."""
    config = Config.model_validate({"device": {"id": "van-7"}, "publish": {"max_pause_s": MAX_PAUSE_S}})
    outbox = made_outbox(tmp_path / "outbox.db", board_stamp())
    yield Publisher(config, outbox, clock=board_stamp, environ={}, command_limit=Unlimited())
    outbox.close()


def a_value(chance: random.Random, depth: int = 0) -> Any:
    makers: list[Callable[[], Any]] = [
        lambda: chance.choice(NUMBERS),
        lambda: chance.choice(NUMBERS),
        lambda: chance.uniform(-10, 4000),
        lambda: chance.choice(WORDS),
        lambda: chance.choice([None, True, False]),
    ]
    if depth < 3:
        makers.append(lambda: [a_value(chance, depth + 1) for _ in range(chance.randrange(3))])
        makers.append(lambda: {chance.choice(KEYS): a_value(chance, depth + 1) for _ in range(chance.randrange(3))})
    return chance.choice(makers)()


def a_payload(chance: random.Random) -> bytes:
    """Valid ones, nearly valid ones, JSON of other shapes, damaged text and noise."""
    kind = chance.choice([0, 1, 2, 2, 2, 3, 4, 5, 6])  # what may be valid often enough, whatever the seed
    if kind == 0:
        return chance.randbytes(chance.randrange(0, 1500))
    if kind == 1:
        return b'{"seconds": ' * chance.randrange(1, 400)
    if kind == 2:
        return chance.choice([b"", b"{}", b" ", b"null", b"[]", b'{"seconds": 60}', b'{"seconds":60,"seconds":1e9}'])
    if kind == 3:
        return json.dumps(a_value(chance)).encode()
    fields = {key: a_value(chance, 2) for key in KEYS if chance.random() < (0.6 if key in ("seconds", "id") else 0.05)}
    text = bytearray(json.dumps(fields, ensure_ascii=chance.random() < 0.5).encode(errors="surrogatepass"))
    if kind == 4 and text:
        for _ in range(chance.randrange(1, 4)):
            text[chance.randrange(len(text))] = chance.randrange(256)
    if kind == 5:
        text = text[: chance.randrange(len(text) + 1)] + b" " * chance.choice([0, 0, 1, 2000])
    return bytes(text)


def a_topic(chance: random.Random) -> str:
    name = chance.choice([*COMMANDS] * 4 + ["", "shell", "PAUSE", "pause ", "pause/result", "pause/", "+", "#", "ü"])
    topic = TOPICS.command(name)
    other = [topic.replace("van-7", "van-8"), f"/{topic}", topic.upper(), TOPICS.state, "homeassistant/status", "\0"]
    return topic if chance.random() < 0.8 else chance.choice(other)


def named(kind: object) -> bool:
    return kind is None or (isinstance(kind, str) and re.fullmatch("[a-z][a-z0-9_]{0,31}", kind) is not None)


def valid(topic: str, payload: bytes) -> Command | None:
    """The command that a message means, by rules of its own; None where it means none."""
    name = topic.removeprefix("evenkeel/van-7/command/")
    if name == topic or name not in set(CommandName) or len(payload) > 1024:
        return None
    try:
        fields = json.loads(payload.decode()) if payload else {}
    except (ValueError, RecursionError):
        return None
    own = {"pause": {"seconds"}, "acknowledge": {"kind"}}.get(name, set())
    if not isinstance(fields, dict) or not set(fields) <= {"id"} | own:
        return None
    command_id, seconds = fields.get("id"), fields.get("seconds", 0)
    if not (command_id is None or (isinstance(command_id, str) and len(command_id) <= 64)):
        return None
    if name != "pause":
        kind = fields.get("kind")
        return Command(CommandName(name), id=command_id, kind=kind) if named(kind) else None
    number = isinstance(seconds, int | float) and not isinstance(seconds, bool) and 0 < seconds <= MAX_PAUSE_S
    return Command(CommandName.PAUSE, float(seconds), command_id) if number else None


def test_only_valid_commands_reach_the_service_and_change_what_it_says(publisher: Publisher) -> None:
    seed = random.randrange(10**9)  # noqa: S311 - told on failure
    chance = random.Random(seed)  # noqa: S311 - noise
    decider = Decider(Config())
    pause_left_s, accepted = 0.0, 0
    for number in range(COUNT):
        topic, payload, retained = a_topic(chance), a_payload(chance), chance.random() < 0.1
        told = f"seed {seed}, message {number}: {topic!r} {payload!r} retained {retained}"
        publisher.received(topic, payload, retained=retained)
        command = publisher.poll_command()
        assert command == (None if retained else valid(topic, payload)), told
        t, pause_left_s = number * STEP_S, pause_left_s - STEP_S
        if command is not None:
            accepted += 1
            if command.name is CommandName.PAUSE and command.seconds is not None:
                decider.pause(t, command.seconds)
                pause_left_s = command.seconds
            elif command.name is CommandName.RESUME:
                decider.resume(t)
                pause_left_s = 0.0
        said = decider.update(Observation(t, Sight.NO_FACE)).state
        assert (said is State.PAUSED) == (pause_left_s > 0), told
    assert accepted > COUNT / 50, f"seed {seed}: noise that hardly ever is a command tests little"


def test_with_its_limit_a_flood_of_valid_commands_is_held_to_a_trickle(tmp_path: Path) -> None:
    outbox = made_outbox(tmp_path / "outbox.db", board_stamp())
    publisher = Publisher(Config(), outbox, clock=board_stamp, environ={})
    topic = publisher._topics.command("resume")
    for _ in range(1000):
        publisher.received(topic, b"", retained=False)
    taken = 0
    while publisher.poll_command() is not None:
        taken += 1
    assert 1 <= taken <= 8
    outbox.close()
