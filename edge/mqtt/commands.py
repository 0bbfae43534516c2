"""Commands from outside: bounded, parsed strictly, rate-limited. A command can do what is listed here and no more."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from edge.config import Config
from edge.domain import Kind, Stamp
from edge.mqtt.extras import Reply
from edge.mqtt.messages import COMMANDS, LIVE, MAX_EPOCH, RESEND, CommandName, OpenKind, Topics

MAX_PAYLOAD_BYTES = 1024
BURST = 5
REFILL_S = 2.0

RESEND_BURST = 10
RESEND_REFILL_S = 1.0

LIVE_BURST = 10
LIVE_REFILL_S = 1.0
MAX_LIVE_S = 60.0
"""Who watches asks again before it is over, so that nothing is sent for long to somebody who has gone."""

PRESS = b"PRESS"
"""What Home Assistant sends for a button that says nothing else."""
CLOCKS_DIFFER_S = 30.0
"""A command may have been issued so far ahead of this device's clock, where its greatest age is not less."""

MAX_CORRELATION_BYTES = 256
MAX_REPLY_TOPIC = 256
MAX_REPLY_LEVELS = 8
"""Characters, and levels; no broker that is known to us allows fewer."""

CommandId = Annotated[str, Field(max_length=64)]
Number = Annotated[int, Field(ge=1, le=MAX_EPOCH)]


class CommandError(ValueError):
    """A command that is refused; the message tells its sender why."""


@dataclass(frozen=True, slots=True)
class Command:
    """A valid command to the service; ``id`` is given back in the answer.

    ``seconds`` belongs to ``pause`` alone, and ``kind``, None for all of them, to ``acknowledge``. ``reply`` is where
    else its sender wants the answer.
    """

    name: CommandName
    seconds: float | None = None
    id: str | None = None
    kind: Kind | None = None
    reply: Reply | None = None


@dataclass(frozen=True, slots=True)
class Resend:
    """A valid ``resend``: alerts ``first`` to ``last`` of an epoch; up to its newest where ``last`` is None."""

    epoch: int
    first: int
    last: int | None = None
    id: str | None = None


@dataclass(frozen=True, slots=True)
class Live:
    """A valid ``live``: somebody watches for so many seconds from now."""

    seconds: float
    id: str | None = None


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a command may ask for: the longest pause, and the greatest age where it tells when it was issued."""

    max_pause_s: float
    max_age_s: float


class CommandPayload(BaseModel):
    """What a command may carry. An empty payload stands for ``{}``."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    id: CommandId | None = Field(default=None, description="Given back in the answer, a refusal too.")
    issued: AwareDatetime | None = Field(
        default=None, description="When it was issued, RFC 3339 with offset; what is too old then is refused."
    )


class _Named(BaseModel):
    model_config = ConfigDict(strict=True)

    id: CommandId | None = None


class PausePayload(CommandPayload):
    """What ``pause`` carries."""

    seconds: float = Field(gt=0, description="For how long; at most publish.max_pause_s.")


class AcknowledgePayload(CommandPayload):
    """What ``acknowledge`` carries."""

    kind: OpenKind | None = Field(default=None, description="The kind whose alert is meant; null means all.")


class ResendPayload(CommandPayload):
    """What ``resend`` carries."""

    epoch: Number = Field(description="The epoch of the alerts that are missing.")
    first: Number = Field(alias="from", description="The first number.")
    last: Number | None = Field(default=None, alias="to", description="The last; null means the epoch's newest.")

    @model_validator(mode="after")
    def _ordered(self) -> ResendPayload:
        if self.last is not None and self.last < self.first:
            raise ValueError("'to' must not be below 'from'")
        return self


class LivePayload(CommandPayload):
    """What ``live`` carries."""

    seconds: float = Field(gt=0, le=MAX_LIVE_S, description="For how long from now; ask again before it is over.")


PAYLOADS: dict[str, type[CommandPayload]] = {
    **dict.fromkeys(COMMANDS, CommandPayload),
    CommandName.PAUSE: PausePayload,
    CommandName.ACKNOWLEDGE: AcknowledgePayload,
    RESEND: ResendPayload,
    LIVE: LivePayload,
}
"""What each command carries."""


def parse_command(name: str, payload: bytes, bounds: Bounds, now: Stamp) -> Command | Resend | Live:
    """The command that a payload means; an empty payload stands for ``{}``, and so does a button's ``PRESS``.

    Raises:
        CommandError: for an unknown name, a payload that is too long, not JSON, or has a missing, unknown or wrong key,
            and for a command that was issued too long ago.
    """
    if name not in COMMANDS:
        raise CommandError(f"unknown command; known: {', '.join(COMMANDS)}")
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise CommandError(f"payload of {len(payload)} bytes; at most {MAX_PAYLOAD_BYTES} are accepted")
    text = b"{}" if payload in (b"", PRESS) else payload
    try:
        if name == RESEND:
            resend = ResendPayload.model_validate_json(text)
            _check_age(resend.issued, bounds.max_age_s, now)
            return Resend(resend.epoch, resend.first, resend.last, resend.id)
        if name == LIVE:
            live = LivePayload.model_validate_json(text)
            _check_age(live.issued, bounds.max_age_s, now)
            return Live(live.seconds, live.id)
        if name == CommandName.PAUSE:
            pause = PausePayload.model_validate_json(text)
            _check_age(pause.issued, bounds.max_age_s, now)
            if pause.seconds > bounds.max_pause_s:
                limit = f"at most {bounds.max_pause_s:g} (publish.max_pause_s)"
                raise CommandError(f"seconds = {pause.seconds:g}: {limit}")
            return Command(CommandName.PAUSE, pause.seconds, pause.id)
        if name == CommandName.ACKNOWLEDGE:
            acknowledged = AcknowledgePayload.model_validate_json(text)
            _check_age(acknowledged.issued, bounds.max_age_s, now)
            return Command(CommandName.ACKNOWLEDGE, id=acknowledged.id, kind=acknowledged.kind)
        plain = CommandPayload.model_validate_json(text)
        _check_age(plain.issued, bounds.max_age_s, now)
        return Command(CommandName(name), id=plain.id)
    except ValidationError as error:
        raise CommandError(_first_fault(error)) from None


def _check_age(issued: datetime | None, max_age_s: float, now: Stamp) -> None:
    """Refuse a command that says itself that it is not of now.

    Raises:
        CommandError: it is too old, of the future, or the device cannot tell, because its clock is not set.
    """
    if issued is None:
        return
    if not now.clock_synced:
        raise CommandError("issued: this device's clock is not set, so it cannot tell how old that is; leave it out")
    age_s = (now.time - issued).total_seconds()
    if age_s > max_age_s:
        raise CommandError(f"issued {age_s:.0f} s ago; at most {max_age_s:g} s are allowed (publish.max_command_age_s)")
    ahead_s = min(max_age_s, CLOCKS_DIFFER_S)
    if -age_s > ahead_s:
        raise CommandError(f"issued {-age_s:.0f} s ahead of this device's clock; at most {ahead_s:g} s are allowed")


def told_id(payload: bytes) -> str | None:
    """The id in a payload that may otherwise be wrong, so that its refusal can be told from others."""
    if len(payload) > MAX_PAYLOAD_BYTES:
        return None
    try:
        return _Named.model_validate_json(payload or b"{}").id
    except ValidationError:
        return None


def check_reply(config: Config, name: str, reply: Reply) -> None:
    """Refuse to answer where an answer could be taken for something else, or cannot be sent.

    Otherwise whoever may command a device could have it speak on any topic that it has the right to.

    Raises:
        CommandError: it names why.
    """
    if reply.correlation is not None and len(reply.correlation) > MAX_CORRELATION_BYTES:
        size = len(reply.correlation)
        raise CommandError(f"correlation data of {size} bytes; at most {MAX_CORRELATION_BYTES} are given back")
    topics = Topics(config.mqtt.prefix, config.device.id)
    topic = reply.topic
    if topic is None:
        return
    if len(topic) > MAX_REPLY_TOPIC:
        raise CommandError(f"response topic of {len(topic)} characters; at most {MAX_REPLY_TOPIC} are taken")
    if (levels := topic.count("/") + 1) > MAX_REPLY_LEVELS:
        raise CommandError(f"response topic of {levels} levels; at most {MAX_REPLY_LEVELS} are taken")
    if not topic or topic.startswith("$") or any(character in topic for character in "+#\0"):
        raise CommandError(f"response topic {topic!r}: no name of a topic that a client may publish to")
    if topic == topics.result(name) or topic.startswith(topics.reply("")):
        return
    taken = {config.mqtt.prefix, config.discovery.prefix}
    if topic.split("/", 1)[0] in taken:
        allowed = f"{topics.result(name)}, {topics.reply('…')}, or a topic outside {' and '.join(sorted(taken))}"
        raise CommandError(f"response topic {topic!r} is not for answers; take {allowed}")


def _first_fault(error: ValidationError) -> str:
    fault = error.errors(include_url=False, include_context=False, include_input=False)[0]
    where = ".".join(str(part) for part in fault["loc"])[:64]
    message = fault["msg"].removeprefix("Value error, ")
    return f"{where}: {message}" if where else message


class RateLimit:
    """A token bucket: ``burst`` commands at once, then one every ``refill_s`` seconds. ``t`` is monotonic, seconds."""

    def __init__(self, burst: int = BURST, refill_s: float = REFILL_S) -> None:
        self._burst = burst
        self._refill_s = refill_s
        self._tokens = float(burst)
        self._t: float | None = None

    def allow(self, t: float) -> bool:
        """Take one token if there is one."""
        if self._t is not None:
            self._tokens = min(self._burst, self._tokens + (t - self._t) / self._refill_s)
        self._t = t
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class Budgets:
    """How many commands may come: ``resend`` and ``live`` from budgets of their own, what it does not know from none.

    So neither a receiver nor somebody who watches keeps others from being heard.
    """

    def __init__(self, ordinary: RateLimit | None = None) -> None:
        self._ordinary = ordinary or RateLimit()
        self._own = {RESEND: RateLimit(RESEND_BURST, RESEND_REFILL_S), LIVE: RateLimit(LIVE_BURST, LIVE_REFILL_S)}
        self._told = RateLimit(burst=1, refill_s=60.0)

    def allow(self, name: str, t: float) -> bool:
        """Whether this command may be taken up now; ``t`` is monotonic, seconds."""
        return self._own.get(name, self._ordinary).allow(t)

    def may_tell(self, t: float) -> bool:
        """Whether the log may be told of one more command that is not taken up: a flood must not fill it."""
        return self._told.allow(t)
