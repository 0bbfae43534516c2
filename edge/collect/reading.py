"""From a topic and a payload to what it says, or to the reason why it says nothing. Pure.

What breaks the contract is refused here and never gets further; kinds and keys that this version does not know pass.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pydantic import Field, ValidationError, model_validator

from edge.compat import UTC, Self
from edge.config import TOPIC_PART
from edge.mqtt.messages import (
    MAX_EPOCH,
    SCHEMA_VERSION,
    AlertMessage,
    CommandResult,
    EpisodeMessage,
    HealthMessage,
    Resent,
    StateMessage,
    Topics,
)

MAX_BYTES = 65_536
"""No payload of the contract comes near this."""

MOST_SAMPLES = 2000
MOST_NAMES = 16
"""No device has so many samples around an alert, or so many kinds or expressions."""

_EPISODE = re.compile(r"episode/([0-9]{1,16})/([0-9]{1,16})")
OPTIONAL = Topics("", "").episode("+", "+").lstrip("/")
"""What a broker may refuse to let us hear: one whose access list is of before there were such messages."""

RESEND = "resend"
END = " end"
"""How the id of a question for an epoch's end ends: only asked when a newer epoch is known, so its answer is final."""

Availability = Literal["online", "offline", "retired"]


class ReadAlert(AlertMessage):
    """An alert as a reader takes it: within what every database counts."""

    sequence: int = Field(ge=1, le=MAX_EPOCH)


class ReadEpisode(EpisodeMessage):
    """A piece of the numbers around an alert as a reader takes it: every sample whole, and in bounds."""

    sequence: int = Field(ge=1, le=MAX_EPOCH)
    total: int = Field(ge=1, le=MOST_SAMPLES)

    @model_validator(mode="after")
    def _whole(self) -> Self:
        count = len(self.t_s)
        if self.first + count > self.total:
            raise ValueError("'first' and the samples go beyond 'total'")
        if len(self.signal_percent) > MOST_NAMES or len(self.expression_percent) > MOST_NAMES:
            raise ValueError(f"more than {MOST_NAMES} kinds or expressions")
        lists: list[Sequence[object]] = [
            *self.signal_percent.values(),
            *self.expression_percent.values(),
            self.open_left_percent,
            self.open_right_percent,
            self.perclos_percent,
            self.weight_percent,
            self.speed_kmh,
        ]
        if any(len(one) != count for one in lists):
            raise ValueError("not as many values as 't_s' has")
        for runs in (*self.levels.values(), self.states, self.reason_codes, self.sights):
            places = [place for place, _ in runs]
            if places != sorted(set(places)) or (places and places[-1] >= count):
                raise ValueError("runs are not in order, or go beyond 't_s'")
        return self


@dataclass(frozen=True, slots=True)
class Sender:
    """Whose topic it was, and whether the broker had kept the message for whoever subscribes."""

    prefix: str
    device: str
    retained: bool


@dataclass(frozen=True, slots=True)
class AlertSaid:
    """One alert; ``payload`` is its text as it came."""

    sender: Sender
    alert: ReadAlert
    time: datetime
    started: datetime
    payload: str


@dataclass(frozen=True, slots=True)
class PieceSaid:
    """A piece of the numbers around an alert; ``payload`` is its text as it came."""

    sender: Sender
    piece: ReadEpisode
    payload: str


@dataclass(frozen=True, slots=True)
class Moment:
    """What a state says of driving; None is not known."""

    watched: bool
    moves: bool | None
    due: bool | None


@dataclass(frozen=True, slots=True)
class StatusSaid:
    """A state or a health: its text, and the newest alert that it tells. ``moment`` is a state's."""

    sender: Sender
    what: Literal["state", "health"]
    time: datetime
    payload: str
    epoch: int
    sequence: int
    moment: Moment | None = None


@dataclass(frozen=True, slots=True)
class AvailabilitySaid:
    """``online``, or ``offline`` (by the device, or by the broker as its last will), or ``retired``: cleared."""

    sender: Sender
    availability: Availability


@dataclass(frozen=True, slots=True)
class ResendSaid:
    """What a device answered to ``resend``; ``resent`` None: it refused, with ``message``. ``end``: as ``END`` says."""

    sender: Sender
    message: str
    resent: Resent | None
    end: bool


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing that the contract knows. ``reason`` is one of few, for counting; ``detail`` is for people."""

    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class ClearedSaid:
    """A retained state or health was cleared, as ``evenkeel retire`` does; that the device is, availability tells."""

    sender: Sender


Reading = AlertSaid | PieceSaid | StatusSaid | AvailabilitySaid | ResendSaid | ClearedSaid | Refused


def filters(prefixes: Iterable[str], group: str | None) -> dict[str, int]:
    """What to subscribe to, with the QoS of each.

    State and health come again by themselves, and the numbers around alerts are many messages: the broker does not keep
    them while the collector is away, where they would take the alerts' places in its queue.
    """
    share = f"$share/{group}/" if group else ""
    wanted: dict[str, int] = {}
    for prefix in prefixes:
        topics = Topics(prefix, "+")
        for topic, qos in (
            (topics.alert, 1),
            (topics.availability, 1),
            (topics.result(RESEND), 1),
            (topics.state, 0),
            (topics.health, 0),
            (topics.episode("+", "+"), 0),
        ):
            wanted[share + topic] = qos
    return wanted


def read(topic: str, payload: bytes, *, retained: bool) -> Reading:
    """What a message says."""
    prefix, device, name = (*topic.split("/", 2), "", "")[:3]
    if not re.fullmatch(TOPIC_PART, device) or not re.fullmatch(TOPIC_PART, prefix):
        return Refused("topic", "not a prefix and a device id of the contract")
    sender = Sender(prefix, device, retained)
    if len(payload) > MAX_BYTES:
        return Refused("size", f"{len(payload)} bytes")
    try:
        return _read(sender, name, payload)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in fault["loc"])
        return Refused(_reason(payload), f"{where}: {fault['msg']}" if where else fault["msg"])
    except (OverflowError, UnicodeDecodeError) as error:
        return Refused("invalid", str(error))


def _read(sender: Sender, name: str, payload: bytes) -> Reading:
    topics = Topics("", "")
    readers: dict[str, Callable[[Sender, bytes], Reading]] = {
        topics.availability: _availability,
        topics.alert: _alert,
        topics.state: _state,
        topics.health: _health,
        topics.result(RESEND): _answer,
    }
    if numbers := _EPISODE.fullmatch(name):
        return _piece(sender, int(numbers[1]), int(numbers[2]), payload)
    reader = readers.get(f"//{name}")
    return reader(sender, payload) if reader else Refused("topic", "nothing that is collected")


def _availability(sender: Sender, payload: bytes) -> Reading:
    if payload == b"online":
        return AvailabilitySaid(sender, "online")
    if payload == b"offline":
        return AvailabilitySaid(sender, "offline")
    if not payload:
        return AvailabilitySaid(sender, "retired")
    return Refused("availability", "neither 'online' nor 'offline'")


def _alert(sender: Sender, payload: bytes) -> Reading:
    alert = ReadAlert.model_validate_json(payload)
    if alert.device_id != sender.device:
        return Refused("device_id", "says another device_id than its topic")
    return AlertSaid(sender, alert, alert.time.astimezone(UTC), alert.started.astimezone(UTC), payload.decode())


def _piece(sender: Sender, epoch: int, sequence: int, payload: bytes) -> Reading:
    piece = ReadEpisode.model_validate_json(payload)
    if piece.device_id != sender.device:
        return Refused("device_id", "says another device_id than its topic")
    if (piece.epoch, piece.sequence) != (epoch, sequence):
        return Refused("number", "says another number than its topic")
    return PieceSaid(sender, piece, payload.decode())


def _state(sender: Sender, payload: bytes) -> Reading:
    return _status(sender, "state", StateMessage, payload)


def _health(sender: Sender, payload: bytes) -> Reading:
    return _status(sender, "health", HealthMessage, payload)


def _status(
    sender: Sender, what: Literal["state", "health"], model: type[StateMessage | HealthMessage], payload: bytes
) -> Reading:
    if not payload:
        return ClearedSaid(sender)
    said = model.model_validate_json(payload)
    if said.sequence > MAX_EPOCH:
        return Refused("invalid", f"sequence: more than {MAX_EPOCH}")
    moment = _moment(said) if isinstance(said, StateMessage) else None
    return StatusSaid(sender, what, said.time.astimezone(UTC), payload.decode(), said.epoch, said.sequence, moment)


def _moment(state: StateMessage) -> Moment:
    stands = None if state.context is None else state.context.standstill
    return Moment(state.watching, None if stands is None else not stands, state.break_due)


def _answer(sender: Sender, payload: bytes) -> Reading:
    result = CommandResult.model_validate_json(payload)
    resent = result.resend if result.ok else None
    if resent is not None:
        numbers = [resent.first, resent.last, resent.newest or 0, *(one.last for one in resent.gone)]
        if max(numbers) > MAX_EPOCH:
            return Refused("invalid", f"resend: a number above {MAX_EPOCH}")
    return ResendSaid(sender, result.message, resent, end=(result.id or "").endswith(END))


def _reason(payload: bytes) -> str:
    """Why a payload that is no message of this version is none: no JSON object, another version, or not valid."""
    try:
        content = json.loads(payload)
    except (ValueError, RecursionError):
        return "json"
    if not isinstance(content, dict):
        return "json"
    return "invalid" if content.get("schema") == SCHEMA_VERSION else "schema"
