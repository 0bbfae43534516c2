"""Traces: a drive as numbers, one observation a line (JSON Lines), without any picture."""

from __future__ import annotations

import json
import logging
import math
from codecs import BOM_UTF8
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from edge.compat import Self
from edge.domain import (
    EXPRESSION,
    EXPRESSIONS,
    FAMILIAR,
    MAX_GAP_S,
    Context,
    Face,
    Kind,
    Level,
    Observation,
    Quality,
    Reading,
    Reason,
    ReasonCode,
    Sight,
    State,
    Step,
)
from edge.errors import UnavailableError
from edge.traces.jsonlines import JsonLinesFile
from edge.words import say

SCHEMA_VERSION = 2
READABLE_VERSIONS = (1, 2)
TRACE_SUFFIXES = frozenset({".jsonl", ".ndjson"})
TOLD_GAP_S = 3600.0
"""A jump in time that is no pause on the road."""
MOST_S = 1e9
"""Longest time in a trace, seconds: some thirty years."""

_log = logging.getLogger(__name__)

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Read = Annotated[float, Field(ge=-1.0, le=1.0)]
"""What a model says of a frame: a share, or where something lies between two opposites."""


def _in_shares(readings: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    """Refuse an expression, or a familiarity, that is no share; other models may say less than 0."""
    for reading in (EXPRESSION, FAMILIAR):
        for name, value in readings.get(reading, {}).items():
            if value < 0:
                raise ValueError(f"{reading}.{name} should be greater than or equal to 0")
    return readings


Readings = Annotated[dict[str, dict[str, Read]], AfterValidator(_in_shares)]
Pixels = Annotated[float, Field(ge=-1e6, le=1e6)]
"""No picture is that large; float32 and the sums of the decision hold it."""
Degrees = Annotated[float, Field(ge=-360, le=360)]
Point = tuple[Pixels, Pixels]


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)


class FacePart(_Part):
    """A face, in pixels of the picture."""

    box: tuple[Pixels, Pixels, Pixels, Pixels]
    points: tuple[Point, Point, Point, Point, Point]
    score: Share


class QualityPart(_Part):
    """Quality of the face, named as in the MQTT contract."""

    brightness: Share
    sharpness: Share
    size_px: Pixels
    yaw_deg: Degrees
    pitch_deg: Degrees
    roll_deg: Degrees
    weight: Share


class ContextPart(_Part):
    """What was known of the vehicle; what was not is left out, and so is its age."""

    speed_kmh: float | None = None
    ignition: bool | None = None
    standstill: bool | None = None
    standing_s: float | None = None
    age_s: dict[str, Annotated[float, Field(ge=0)]] = Field(default_factory=dict)


class ReasonPart(_Part):
    """Why nothing could be seen: a code and what belongs to it; empty where something could."""

    code: ReasonCode = ReasonCode.NONE
    kinds: list[Kind] = Field(default_factory=list)
    text: str = ""


class TraceLine(_Part):
    """One line of a trace.

    ``t`` is in seconds from the trace's origin. ``readings`` holds what each model said of this one frame, by name;
    ``held`` names those that were read of an earlier frame and stood for this one too.
    ``sight_reason`` is the observation's own reason, ``reason`` that of the ``state``. ``signals`` are each kind's
    evidence when the line was written, ``confidence`` beside them; ``unread`` has the code of each kind's reason where
    the state's own does not say it; ``levels`` are those of open alerts. ``device`` and ``time``, by a wall clock that
    can be believed, stand in a line near the beginning of a part where the service wrote it. Version 1 has no context,
    reasons in words alone, and one reading, the expression's probabilities or null under ``expression``.
    """

    version: Literal[1, 2] = Field(alias="schema")
    t: float = Field(ge=0, le=MOST_S)
    sight: Sight
    sight_reason: ReasonPart = ReasonPart()
    face: FacePart | None
    quality: QualityPart | None
    readings: Readings = Field(default_factory=dict)
    held: tuple[str, ...] = ()
    vehicle: ContextPart = ContextPart()
    signals: dict[Kind, Share]
    unread: dict[Kind, str] = Field(default_factory=dict)
    levels: dict[Kind, Level] = Field(default_factory=dict)
    device: str | None = None
    time: AwareDatetime | None = None
    state: State
    reason: str

    @model_validator(mode="before")
    @classmethod
    def _from_version_1(cls, data: Any) -> Any:
        if not isinstance(data, dict) or data.get("schema") != 1:
            return data
        read = {} if data.get("expression") is None else {EXPRESSION: data["expression"]}
        why = data.get("sight_reason") or ""
        told = {"code": ReasonCode.TOLD, "text": why} if isinstance(why, str) and why else {}
        return {**data, "readings": read, "sight_reason": told}

    def observation(self) -> Observation:
        """What the decision was told."""
        face, quality = self.face, self.quality
        return Observation(
            t=self.t,
            sight=self.sight,
            face=Face(face.box, np.array(face.points, np.float32), face.score) if face else None,
            quality=Quality(**{name.removesuffix("_deg"): value for name, value in quality}) if quality else None,
            readings={name: _reading(name, values) for name, values in self.readings.items()},
            reason=Reason(self.sight_reason.code, tuple(self.sight_reason.kinds), self.sight_reason.text),
            held=self.held,
        )

    def context(self) -> Context:
        """What the decision was told of the vehicle."""
        return Context(**dict(self.vehicle))


@dataclass(frozen=True, slots=True)
class Origin:
    """Whose trace it is; ``now`` tells the wall clock's time (aware), None while it cannot be believed."""

    device: str
    now: Callable[[], datetime | None]


class TraceWriter:
    """Writes steps to ``path``, used as a context manager; what was there before is overwritten, or kept (``append``).

    Times are written relative to ``origin_t``, by default the time of the first step. ``origin`` is told once: the
    device with the first step, the time with the first one at which it is known.

    Raises:
        UnavailableError: the file cannot be written, also from ``write``.
    """

    def __init__(
        self, path: Path, origin_t: float | None = None, *, append: bool = False, origin: Origin | None = None
    ) -> None:
        self._origin_t = origin_t
        self._origin = origin
        self._told = False
        self._file = JsonLinesFile(path, "trace", append=append)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def write(self, step: Step) -> None:
        """Add one step."""
        if self._origin_t is None:
            self._origin_t = step.observation.t
        self._file.write(_to_json(step, self._origin_t, self._heading()))

    def _heading(self) -> dict[str, str]:
        if self._origin is None:
            return {}
        now = self._origin.now()
        if now is not None:
            device, self._origin = self._origin.device, None
            return {"device": device, "time": now.isoformat(timespec="seconds")}
        if self._told:
            return {}
        self._told = True
        return {"device": self._origin.device}


def recorded_s(last_t: float, t: float) -> float:
    """How much of a recording's time lies between two of its lines: none where time goes back, MAX_GAP_S at most."""
    return min(max(t - last_t, 0.0), MAX_GAP_S)


def read_trace(path: Path, on_fault: Callable[[str], None] = _log.warning) -> Iterator[TraceLine]:
    """The lines of a trace, one by one. A line that is cut off, of another version or wrong is left out.

    ``on_fault`` gets one message for each such line and for each time that goes back or jumps by more than an hour,
    with file and line number.

    Raises:
        UnavailableError: the file cannot be read, or none of its lines can be used.
    """
    used = 0
    last_t = -math.inf
    try:
        with path.open("rb") as file:
            for number, text in enumerate(file, 1):
                content = text.removeprefix(BOM_UTF8) if number == 1 else text
                if not content.strip():
                    continue
                line = parse_line(content, f"{path}:{number}", on_fault)
                if line is None:
                    continue
                if line.t < last_t:
                    on_fault(f"{path}:{number}: time goes back from {last_t:g} s to {line.t:g} s; line used")
                elif line.t - last_t > TOLD_GAP_S and used:
                    on_fault(
                        f"{path}:{number}: time jumps from {last_t:g} s to {line.t:g} s; "
                        f"line used, and the gap counts as {MAX_GAP_S:g} s"
                    )
                last_t = line.t
                used += 1
                yield line
    except OSError as error:
        raise UnavailableError(f"{path}: trace cannot be read: {error.strerror}") from error
    if not used:
        raise UnavailableError(f"{path}: no usable line; write a trace with `evenkeel replay CLIP --trace {path.name}`")


def parse_line(text: bytes, where: str, on_fault: Callable[[str], None]) -> TraceLine | None:
    """One line of a trace; None where it cannot be used, which ``on_fault`` hears with ``where`` it stands."""
    try:
        return _LINE.validate_json(text)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
    if fault["type"] == "json_invalid":
        cut = "" if text.endswith(b"\n") else "cut off, "
        on_fault(f"{where}: {cut}not JSON; line left out")
    elif fault["loc"] in {(), ("schema",)}:
        on_fault(f"{where}: not a line of trace version 1 or {SCHEMA_VERSION}; line left out")
    else:
        on_fault(f"{where}: {'.'.join(map(str, fault['loc']))}: {fault['msg'].lower()}; line left out")
    return None


_LINE = TypeAdapter(TraceLine)


def _to_json(step: Step, origin_t: float, heading: dict[str, str]) -> str:
    """One line. Rounded to what the measurement is worth: a tenth of a millisecond, a hundredth of a pixel, 1e-4."""
    observation, signals = step.observation, step.signals
    line = {
        "schema": SCHEMA_VERSION,
        "t": round(observation.t - origin_t, 4),
        **heading,
        "sight": observation.sight,
        "sight_reason": _reason(observation.reason),
        "face": observation.face and _face(observation.face),
        "quality": observation.quality and _quality(observation.quality),
        "readings": {
            name: {each: _rounded(value, -1.0) for each, value in zip(reading.names, reading.values, strict=True)}
            for name, reading in observation.readings.items()
        },
        **({"held": observation.held} if observation.held else {}),
        **_vehicle(step.context),
        "signals": {
            **{kind: _share(judged.signal) for kind, judged in signals.kinds.items()},
            "confidence": _share(signals.confidence),
        },
        **_unread(step),
        **_levels(step),
        "state": step.state,
        "reason_code": step.reason.code,
        "reason": say(step.reason),
    }
    return json.dumps(line, ensure_ascii=False, separators=(",", ":"))


def _reading(name: str, values: dict[str, float]) -> Reading:
    """The expression's in the order EXPRESSIONS, whatever that of the line; another model's as it is written."""
    names = EXPRESSIONS if name == EXPRESSION else tuple(values)
    return Reading(names, np.array([values.get(each, 0.0) for each in names], np.float32))


def _reason(reason: Reason) -> dict[str, object]:
    """What of a reason is not empty."""
    parts = {"code": reason.code, "kinds": list(reason.kinds), "text": reason.text}
    return {name: value for name, value in parts.items() if value}


def _vehicle(context: Context) -> dict[str, dict[str, object]]:
    """The context under its key; nothing where nothing is known."""
    values = {
        "speed_kmh": _hundredths(context.speed_kmh),
        "ignition": context.ignition,
        "standstill": context.standstill,
        "standing_s": _hundredths(context.standing_s),
    }
    known: dict[str, object] = {name: value for name, value in values.items() if value is not None}
    if not known:
        return {}
    return {"vehicle": known | {"age_s": {name: round(age, 2) for name, age in context.age_s.items() if name in known}}}


def _hundredths(value: float | None) -> float | None:
    return None if value is None else round(value, 2)


def _unread(step: Step) -> dict[str, dict[Kind, str]]:
    """What of the kinds' reasons the state's own does not say; left out where it says all."""
    codes = {kind: str(judged.reason.code) for kind, judged in step.signals.kinds.items() if judged.reason}
    return {"unread": codes} if any(code != step.reason.code for code in codes.values()) else {}


def _levels(step: Step) -> dict[str, dict[Kind, Level]]:
    """Those of open alerts; left out where there is none."""
    levels = {kind: judged.level for kind, judged in step.signals.kinds.items() if judged.level is not None}
    return {"levels": levels} if levels else {}


def _face(face: Face) -> dict[str, object]:
    return {
        "box": [round(float(value), 1) for value in face.box],
        "points": [[round(float(x), 2), round(float(y), 2)] for x, y in face.points],
        "score": _share(face.score),
    }


def _quality(quality: Quality) -> dict[str, float]:
    return {
        "brightness": _share(quality.brightness),
        "sharpness": _share(quality.sharpness),
        "size_px": round(quality.size_px, 1),
        "yaw_deg": round(quality.yaw, 1),
        "pitch_deg": round(quality.pitch, 1),
        "roll_deg": round(quality.roll, 1),
        "weight": _share(quality.weight),
    }


def _share(value: float) -> float:
    return _rounded(value, 0.0)


def _rounded(value: float | np.floating[np.typing.NBitBase], least: float) -> float:
    # sums of float32 may pass 1 by a rounding error
    return min(max(round(float(value), 4), least), 1.0)
