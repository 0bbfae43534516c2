"""Commands from outside: bounded, parsed strictly, rate-limited. A command can do what is listed here and no more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edge.mqtt.messages import CommandName

MAX_PAYLOAD_BYTES = 1024
BURST = 5
REFILL_S = 2.0

CommandId = Annotated[str, Field(max_length=64)]


class CommandError(ValueError):
    """A command that is refused; the message tells its sender why."""


@dataclass(frozen=True, slots=True)
class Command:
    """A valid command. ``seconds`` belongs to ``pause`` alone; ``id`` is given back in the answer."""

    name: CommandName
    seconds: float | None = None
    id: str | None = None


class _Payload(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    id: CommandId | None = None


class _PausePayload(_Payload):
    seconds: float = Field(gt=0)


def parse_command(name: str, payload: bytes, max_pause_s: float) -> Command:
    """The command that a payload means; an empty payload stands for ``{}``.

    Raises:
        CommandError: for an unknown name, a payload that is too long, not JSON, or has a missing, unknown or wrong key.
    """
    if name not in set(CommandName):
        raise CommandError(f"unknown command; known: {', '.join(CommandName)}")
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise CommandError(f"payload of {len(payload)} bytes; at most {MAX_PAYLOAD_BYTES} are read")
    try:
        if name == CommandName.PAUSE:
            pause = _PausePayload.model_validate_json(payload or b"{}")
            if pause.seconds > max_pause_s:
                raise CommandError(f"seconds = {pause.seconds:g}: at most {max_pause_s:g} (publish.max_pause_s)")
            return Command(CommandName.PAUSE, pause.seconds, pause.id)
        return Command(CommandName(name), id=_Payload.model_validate_json(payload or b"{}").id)
    except ValidationError as error:
        raise CommandError(_first_fault(error)) from None


def _first_fault(error: ValidationError) -> str:
    fault = error.errors(include_url=False, include_context=False, include_input=False)[0]
    where = ".".join(str(part) for part in fault["loc"])[:64]
    return f"{where}: {fault['msg']}" if where else fault["msg"]


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
