"""The MQTT contract, version 2: every topic and every payload, and pure builders from the pipeline's records.

Nothing here knows a broker, a clock or a source of randomness: time, ids and sequence numbers come in as arguments,
so ``replay`` builds the same payloads as the service and builds them the same way twice. ``README.md`` beside this
module documents the contract for its readers; ``schemas/*.json`` are generated from these models.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, PlainSerializer, WithJsonSchema

from edge.compat import UTC, StrEnum
from edge.decision.kinds import registered
from edge.domain import (
    EXPRESSIONS,
    READABLE,
    UNKNOWN_CONTEXT,
    Context,
    Kind,
    Level,
    Phase,
    Quality,
    Signals,
    Stamp,
    State,
    Step,
    Transition,
)
from edge.episodes import Episode
from edge.words import say

SCHEMA_VERSION: Literal[2] = 2
MAX_EPOCH = 2**53 - 1
"""The highest number that every JSON reader keeps whole."""


DECIMALS = 4


def rfc3339(time: datetime) -> str:
    """``time`` in UTC with milliseconds, as every payload writes it: ``2026-05-04T09:30:00.125Z``."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


Time = Annotated[
    AwareDatetime,
    PlainSerializer(rfc3339, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
Share = Annotated[float, Field(ge=0.0, le=1.0)]
OpenKind = Annotated[Kind, Field(pattern=r"^[a-z][a-z0-9_]{0,31}$")]
"""The name of a kind of alert; the set of kinds is open."""

Epoch = Annotated[int, Field(ge=1, le=MAX_EPOCH)]
Number = Annotated[int, Field(ge=1)]


class CommandName(StrEnum):
    """What a device can be told to do."""

    PAUSE = "pause"
    RESUME = "resume"
    RECALIBRATE = "recalibrate"
    ACKNOWLEDGE = "acknowledge"
    RELOAD = "reload"


RESEND = "resend"
"""The command that the publisher obeys by itself: alerts that a receiver lacks are sent again."""

LIVE = "live"
"""The command that the publisher obeys by itself: for some seconds what is decided of each frame is sent."""

COMMANDS = (*CommandName, RESEND, LIVE)
"""Every command of the contract, by the name in its topic."""


@dataclass(frozen=True, slots=True)
class Topics:
    """Every topic of one device below ``<prefix>/<device_id>/``."""

    prefix: str
    device_id: str

    @property
    def name(self) -> str:
        """What stands in front of each."""
        return f"{self.prefix}/{self.device_id}"

    def _below(self, name: str) -> str:
        return f"{self.prefix}/{self.device_id}/{name}"

    @property
    def availability(self) -> str:
        """``online`` or ``offline``; also the last will."""
        return self._below("availability")

    @property
    def state(self) -> str:
        """StateMessage."""
        return self._below("state")

    @property
    def alert(self) -> str:
        """AlertMessage."""
        return self._below("alert")

    def active(self, kind: Kind) -> str:
        """``ON`` while an alert of this kind is on, else ``OFF``."""
        return self._below(f"alert/{kind}")

    @property
    def health(self) -> str:
        """HealthMessage."""
        return self._below("health")

    @property
    def live(self) -> str:
        """LiveMessage."""
        return self._below("live")

    @property
    def retained(self) -> tuple[str, ...]:
        """Every one on which the broker keeps the last message."""
        return self.availability, self.state, self.health, *map(self.active, registered())

    def episode(self, epoch: int | str, sequence: int | str) -> str:
        """EpisodeMessage: numbers around the alert that has this number, which began its episode."""
        return self._below(f"episode/{epoch}/{sequence}")

    def command(self, name: str) -> str:
        """Where a command is sent; ``+`` gives the filter for all of them."""
        return self._below(f"command/{name}")

    def result(self, name: str) -> str:
        """CommandResult."""
        return self._below(f"command/{name}/result")

    def reply(self, name: str) -> str:
        """CommandResult, for one sender that asked for it there (MQTT 5)."""
        return self._below(f"reply/{name}")


@dataclass(frozen=True, slots=True, order=True)
class Newest:
    """The newest alert that a device has decided; ``sequence`` 0 says that there is none yet in this ``epoch``."""

    epoch: int
    sequence: int


class Part(BaseModel):
    """A table inside a payload. Frozen; unknown keys are ignored, because version 2 may gain some."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False, populate_by_name=True, serialize_by_alias=True)


class Message(Part):
    """What every JSON payload carries."""

    version: Literal[2] = Field(default=SCHEMA_VERSION, alias="schema", description="Version of the contract.")
    time: Time = Field(description="Wall clock of the device, RFC 3339 in UTC.")
    uptime_s: float = Field(ge=0, description="Seconds since the board started, monotonic.")
    clock_synced: bool = Field(description="Whether 'time' can be believed.")

    def payload(self) -> bytes:
        """The JSON text as it goes to the broker."""
        return self.model_dump_json().encode()


class Telling(Message):
    """A message that tells which alert is the newest, so that a receiver knows what it has missed."""

    epoch: Epoch = Field(description="Epoch of the newest alert decided.")
    sequence: int = Field(ge=0, description="Its sequence number; 0 while there is none in this epoch.")


class KindPart(Part):
    """Where one kind of alert stands."""

    signal: Share = Field(description="Smoothed evidence, 0 to 1.")
    level: Level | None = Field(description="Level of the open alert; null without one.")
    readable: bool = Field(description="Whether this kind can be judged now; where not, no alert does not mean calm.")
    reason_code: str = Field(default="", description="Why it cannot, as a word for programs; empty where it can.")
    acknowledged: bool = Field(
        default=False, description="Whether somebody has acknowledged the open alert at its level."
    )


class QualityPart(Part):
    """How well the driver's face can be read in the newest frame."""

    brightness: float = Field(description="Mean luma of the face, 0 to 1.")
    sharpness: float = Field(description="Fine detail, 0 (blurred) to 1 (sharp).")
    size_px: float = Field(description="Square root of the face box's area, pixels.")
    yaw_deg: float = Field(description="Turn to the side, degrees.")
    pitch_deg: float = Field(description="Turn up or down, degrees.")
    roll_deg: float = Field(description="Tilt, degrees.")
    weight: float = Field(description="How much the frame counts, 0 to 1.")


class EyesPart(Part):
    """The driver's eyes, as the eye model reads them; left and right are those of the picture."""

    openness_left: Share | None = Field(description="0 (closed) to 1 (open) in the newest frame; null if unreadable.")
    openness_right: Share | None = Field(description="The other eye's.")
    perclos: Share | None = Field(
        description="Share of the last minute in which the eyes were closed, without blinks; null where too little "
        "of it could be read."
    )
    readable_share: Share | None = Field(description="Share of the last minute in which the eyes could be read.")
    blinks_per_minute: float | None = Field(ge=0, description="Blinks a minute; null as 'perclos' is.")


class ContextPart(Part):
    """The vehicle, as far as it is known; null is unknown."""

    speed_kmh: float | None = Field(description="Speed, km/h.")
    standstill: bool | None = Field(description="Whether the vehicle stands.")
    standing_s: float | None = Field(description="For how long it has stood, seconds; null while it is not known to.")
    ignition: bool | None = Field(description="Whether the ignition is on.")


class BreaksPart(Part):
    """Driving and resting. The device is no tachograph."""

    reasons: list[str] = Field(description="Why a break is due: 'driving', or kinds of alerts; empty where none is.")
    driven_min: float | None = Field(
        ge=0, description="Time driven since the last break that counts, minutes; null where nothing tells the speed."
    )
    left_min: float | None = Field(
        ge=0, description="Driving until a break is due, minutes; null where no rule or no speed tells it."
    )
    rest_min: float = Field(ge=0, description="Length of the break that goes on, minutes.")


class StateMessage(Telling):
    """What is said of the driver now. Unknown (uncertain, absent, blind, paused) is never calm."""

    state: State = Field(description="The state.")
    reason_code: str = Field(default="", description="Why, as a word for programs; may be empty.")
    reason: str = Field(description="The same in words for people; may be empty.")
    watching: bool = Field(
        default=False, description="Whether the driver is being looked at: not while absent, blind or paused."
    )
    kinds: dict[OpenKind, KindPart] = Field(description="Each kind of alert that is judged, by its name.")
    confidence: Share = Field(description="How much recent good data stands behind the expression, 0 to 1.")
    expression: str | None = Field(description="Strongest smoothed expression; null where nothing stands behind it.")
    probabilities: dict[str, float] = Field(description="Smoothed probability of each expression.")
    quality: QualityPart | None = Field(description="Null without a face.")
    calibrated_percent: float | None = Field(
        ge=0, le=100, description="How far the driver's resting face is learned; null where it is not learned at all."
    )
    eyes: EyesPart | None = Field(default=None, description="The eyes; null where no kind goes by them.")
    context: ContextPart | None = Field(default=None, description="The vehicle; null where nothing is known of it.")
    break_due: bool | None = Field(default=None, description="Whether a break is due; null where no rule says so.")
    breaks: BreaksPart | None = Field(default=None, description="What it goes by; null where no rule is set.")


class LiveMessage(Message):
    """What is said of the driver in one frame, for whoever watches; ``state`` tells the same on change, with more."""

    state: State = Field(description="The state.")
    reason_code: str = Field(default="", description="Why, as a word for programs; may be empty.")
    signals: dict[OpenKind, Share | None] = Field(
        description="Smoothed evidence of each kind, 0 to 1; null where it cannot be judged now."
    )
    levels: dict[OpenKind, Level | None] = Field(description="Level of each kind's open alert; null without one.")
    expression: str | None = Field(description="Strongest smoothed expression; null where nothing stands behind it.")
    probabilities: dict[str, float] | None = Field(
        description="Smoothed probability of each expression; null where nothing stands behind it."
    )
    eyes: EyesPart | None = Field(description="The eyes; null where no kind goes by them.")
    quality: QualityPart | None = Field(description="Null without a face.")
    speed_kmh: float | None = Field(description="Speed of the vehicle, km/h; null where it is not known.")


Percent = Annotated[int, Field(ge=0, le=100)]
Percents = list[Percent | None]
"""Whole percent of each sample in a piece; null is not known."""
Run = tuple[Annotated[int, Field(ge=0)], str | None]
Runs = Annotated[
    list[Run],
    Field(description="[index, value]: from this sample of the piece on it is so, until the next entry."),
]


class EpisodeMessage(Message):
    """Some of the numbers around one alert, in a piece; 'first' and 'total' tell where it belongs."""

    id: UUID = Field(description="The episode, as in its alerts.")
    device_id: str = Field(min_length=1, description="The device.")
    epoch: Epoch = Field(description="Epoch of the alert that began the episode.")
    sequence: Number = Field(description="Its sequence number.")
    kind: OpenKind
    started: Time = Field(description="When the episode began, RFC 3339 in UTC.")
    first: int = Field(ge=0, description="Number of the first sample in here; the first of all is 0.")
    total: Number = Field(description="Samples in all pieces together.")
    t_s: list[float] = Field(
        min_length=1, description="Of each sample, seconds from the begin of the episode; before it they are negative."
    )
    signal_percent: dict[OpenKind, Percents] = Field(
        description="Smoothed evidence of each kind; null where it could not be judged."
    )
    threshold_percent: dict[OpenKind, Percent | None] = Field(
        description="Evidence at which each kind can warn; null where there is none."
    )
    levels: dict[OpenKind, Runs] = Field(description="Level of each kind's open alert; null without one.")
    states: Runs
    reason_codes: Runs
    sights: Runs
    expression_percent: dict[str, Percents] = Field(
        description="Smoothed probability of each expression; null where nothing stands behind it."
    )
    open_left_percent: Percents = Field(description="How far the eye is open, left in the picture.")
    open_right_percent: Percents = Field(description="The other eye's.")
    perclos_percent: Percents = Field(description="Share of the last minute in which the eyes were closed.")
    weight_percent: Percents = Field(description="How much the frame counts; null without a face.")
    speed_kmh: list[float | None] = Field(description="Speed of the vehicle; null where it is not known.")


class ModelsPart(Part):
    """The models behind an alert, each as ``name version``."""

    face: str
    expression: str
    eyes: str | None = None


class AlertMessage(Message):
    """One step of one alert episode."""

    id: UUID = Field(description="UUIDv7 of the episode: the same in start, escalate and end.")
    device_id: str = Field(min_length=1, description="The device that decided it, whatever it is called by now.")
    epoch: Epoch = Field(description="Rises from one outbox of a device to the next; orders alerts before 'sequence'.")
    sequence: Number = Field(description="Counts the alerts of an epoch: 1, 2, 3 and so on, without gaps.")
    resent: bool = Field(description="Whether it is sent again because a receiver asked for it.")
    kind: OpenKind
    phase: Phase
    level: Level = Field(description="Level reached; in an end, the highest of the episode.")
    started: Time = Field(description="When the episode began, RFC 3339 in UTC.")
    duration_s: float = Field(ge=0, description="Seconds since the episode began.")
    score: Share = Field(description="Smoothed signal now; at a start it may be below 'enter', reached shortly before.")
    peak: Share = Field(description="Strongest smoothed signal in the episode and in the evidence that started it.")
    expression: str | None = Field(description="Strongest expression; null for a kind that goes by something else.")
    cause: str | None = Field(
        default=None, description="What it comes of, for a kind with several signs: 'microsleep', 'drowsy'; else null."
    )
    reason_code: str = Field(default="", description="Why, as a word for programs; may be empty.")
    reason: str = Field(description="The same in words for people; may be empty.")
    acknowledged: bool = Field(
        default=False, description="Whether somebody acknowledged the episode before this step of it."
    )
    models: ModelsPart
    context: ContextPart | None = Field(
        default=None, description="The vehicle at this moment; null where nothing is known of it."
    )


class StagePart(Part):
    """How long one stage of the pipeline takes, milliseconds."""

    p50_ms: float = Field(ge=0)
    p95_ms: float = Field(ge=0)


class OutboxPart(Part):
    """Alerts that wait for the broker's acknowledgement."""

    depth: int = Field(ge=0, description="Alerts that wait.")
    bytes: int = Field(ge=0, description="Size of their payloads.")
    dropped: int = Field(ge=0, description="Alerts given up since the service started, for size or age.")
    lost: int = Field(default=0, ge=0, description="Alerts that the disk has lost, found since the service started.")
    set_aside: int = Field(
        default=0, ge=0, description="Alerts kept but not sent any more, because no broker would take them."
    )
    history: int = Field(default=0, ge=0, description="Acknowledged alerts that can be sent again.")
    problem: str | None = Field(description="What is wrong with the outbox; null when nothing is.")


class VersionsPart(Part):
    """What runs on the board."""

    evenkeel: str
    python: str
    runtime: str | None = Field(description="TFLite runtime and its version.")
    face_model: str | None
    expression_model: str | None
    eye_model: str | None = None
    follow_model: str | None = Field(
        default=None, description="The model that follows the driver between looks of the face model; null without."
    )


class SinkPart(Part):
    """Something that takes what is decided, as MQTT or a trace."""

    dropped: int = Field(ge=0, description="What it could not take since the service started.")
    problem: str | None = Field(description="What is wrong with it; null when nothing is.")


class VehiclePart(Part):
    """One source of the vehicle's data."""

    speed_age_s: float | None = Field(description="Age of its newest speed, seconds; null without one.")
    ignition_age_s: float | None = Field(description="Age of its newest word on the ignition; null without one.")
    refused: int = Field(ge=0, description="Values that could not be true, since the service started.")
    problem: str | None = Field(description="What is wrong with it; null when nothing is.")


class ShadowPart(Part):
    """What a device in shadow mode would have said since the service started."""

    driven_h: float = Field(ge=0, description="Hours with a face in sight, not known to stand.")
    alerts: dict[OpenKind, int] = Field(description="Alerts of each kind that would have started.")


class HealthMessage(Telling):
    """How the device is. A value that a board cannot tell is null."""

    fps: float | None = Field(description="Frames read a second.")
    fps_limit: float | None = Field(description="Frames a second that are processed at most, lowered on a hot board.")
    dropped_frames: int = Field(ge=0, description="Frames overtaken by a newer one since the service started.")
    bad_frames: int = Field(
        ge=0, description="Frames that could not be read and were passed over since the service started."
    )
    stages: dict[str, StagePart] = Field(description="Time of each stage, by its name.")
    read_share: dict[str, float] = Field(
        default_factory=dict,
        description="Share of the frames that were read, by the reading's name, and in which the face was looked for "
        "(face); what was seen earlier stands for the others.",
    )
    camera_age_s: float | None = Field(description="Age of the newest frame, seconds.")
    memory_mb: float | None = Field(description="Resident memory, megabytes.")
    temperature_c: float | None = Field(description="Temperature of the board, degrees Celsius.")
    throttled: bool | None = Field(description="Whether the board slows itself down (heat, low voltage).")
    outbox: OutboxPart
    sinks: dict[str, SinkPart] = Field(description="What takes what is decided, by its name.")
    shadow: ShadowPart | None = Field(
        default=None, description="In shadow mode, what would have been said; null where it is said."
    )
    context: ContextPart | None = Field(default=None, description="The vehicle; null where nothing is known of it.")
    vehicle: dict[str, VehiclePart] = Field(
        default_factory=dict, description="The configured sources of the vehicle's data, by their names."
    )
    problems: list[str] = Field(description="What is wrong now, in words.")
    versions: VersionsPart


class Gone(Part):
    """Numbers that no receiver will get any more."""

    first: Number = Field(validation_alias="from", serialization_alias="from")
    last: Number = Field(validation_alias="to", serialization_alias="to")
    reason: str = Field(description="Why: 'expired', 'squeezed', 'set aside', 'history' or 'unknown'.")


class Resent(Part):
    """What comes of ``resend``. Every number from ``from`` to ``to`` is either in the queue or gone."""

    epoch: Epoch
    first: Number = Field(validation_alias="from", serialization_alias="from")
    last: int = Field(
        ge=0,
        validation_alias="to",
        serialization_alias="to",
        description="The last number settled; where it is lower than what was asked, ask again from the next.",
    )
    queued: int = Field(ge=0, description="How many of them are in the queue.")
    newest: int | None = Field(description="Newest number of the epoch; null where the device does not know the epoch.")
    gone: list[Gone] = Field(description="What is gone for good.")


class CommandResult(Message):
    """The answer to a command."""

    command: str
    id: str | None = Field(description="The id that the command carried, if any.")
    ok: bool
    message: str = Field(description="What was done, or why it was refused.")
    resend: Resent | None = Field(default=None, description="What comes of 'resend'; null for other commands.")


def state_message(step: Step, stamp: Stamp, *, newest: Newest, breaks: BreaksPart | None = None) -> StateMessage:
    """What the pipeline says of one frame; ``breaks`` is what is known of them beside it."""
    signals = step.signals
    return StateMessage(
        **_stamped(stamp),
        epoch=newest.epoch,
        sequence=newest.sequence,
        state=step.state,
        reason_code=step.reason.code,
        reason=say(step.reason),
        watching=step.state.watching,
        kinds={
            kind: KindPart(
                signal=_share(judged.signal),
                level=judged.level,
                readable=judged.readable,
                reason_code=judged.reason.code,
                acknowledged=judged.acknowledged,
            )
            for kind, judged in signals.kinds.items()
        },
        confidence=_share(signals.confidence),
        expression=_strongest(signals),
        probabilities=_probabilities(signals),
        quality=_quality(step.observation.quality),
        calibrated_percent=None if step.calibrated_percent is None else round(step.calibrated_percent, 1),
        eyes=eyes_part(step),
        context=_context(step.context),
        break_due=None if breaks is None else bool(breaks.reasons),
        breaks=breaks,
    )


def live_message(step: Step, stamp: Stamp) -> LiveMessage:
    """What the pipeline says of one frame, for whoever watches; what is not known is null."""
    signals = step.signals
    return LiveMessage(
        **_stamped(stamp),
        state=step.state,
        reason_code=step.reason.code,
        signals={kind: _share(judged.signal) if judged.readable else None for kind, judged in signals.kinds.items()},
        levels={kind: judged.level for kind, judged in signals.kinds.items()},
        expression=_strongest(signals),
        probabilities=_probabilities(signals) if signals.confidence > 0 else None,
        eyes=eyes_part(step),
        quality=_quality(step.observation.quality),
        speed_kmh=_rounded(step.context.speed_kmh),
    )


def alert_message(
    transition: Transition,
    *,
    episode: Episode,
    device_id: str,
    stamp: Stamp,
    models: ModelsPart,
    context: Context = UNKNOWN_CONTEXT,
    sequence: int = 1,
) -> AlertMessage:
    """One step of an episode; ``stamp`` is the moment of the transition. The outbox gives it its epoch and sequence."""
    return AlertMessage(
        **_stamped(stamp),
        id=episode.id,
        device_id=device_id,
        epoch=1,
        sequence=sequence,
        resent=False,
        kind=transition.kind,
        phase=transition.phase,
        level=transition.level,
        started=episode.started,
        duration_s=round(transition.duration_s, 3),
        score=_share(transition.score),
        peak=_share(transition.peak),
        expression=transition.expression,
        cause=transition.cause,
        reason_code=transition.reason.code,
        reason=say(transition.reason),
        acknowledged=transition.acknowledged,
        models=models,
        context=_context(context),
    )


def health_message(
    stamp: Stamp,
    *,
    newest: Newest,
    versions: VersionsPart,
    outbox: OutboxPart,
    dropped_frames: int,
    bad_frames: int = 0,
    stages: Mapping[str, StagePart],
    read_share: Mapping[str, float] | None = None,
    fps: float | None = None,
    fps_limit: float | None = None,
    camera_age_s: float | None = None,
    memory_mb: float | None = None,
    temperature_c: float | None = None,
    throttled: bool | None = None,
    sinks: Mapping[str, SinkPart] | None = None,
    shadow: ShadowPart | None = None,
    context: Context = UNKNOWN_CONTEXT,
    vehicle: Mapping[str, VehiclePart] | None = None,
    problems: tuple[str, ...] = (),
) -> HealthMessage:
    """How the device is; leave out what the board cannot tell."""
    return HealthMessage(
        **_stamped(stamp),
        epoch=newest.epoch,
        sequence=newest.sequence,
        fps=_rounded(fps),
        fps_limit=_rounded(fps_limit),
        dropped_frames=dropped_frames,
        bad_frames=bad_frames,
        stages=dict(stages),
        read_share={name: _share(share) for name, share in (read_share or {}).items()},
        camera_age_s=_rounded(camera_age_s),
        memory_mb=_rounded(memory_mb),
        temperature_c=_rounded(temperature_c),
        throttled=throttled,
        outbox=outbox,
        sinks=dict(sinks or {}),
        shadow=shadow,
        context=_context(context),
        vehicle=dict(vehicle or {}),
        problems=list(problems),
        versions=versions,
    )


def command_result(
    stamp: Stamp,
    command: str,
    *,
    ok: bool,
    message: str,
    id: str | None = None,  # noqa: A002 - the field's name in the contract
    resend: Resent | None = None,
) -> CommandResult:
    """The answer to ``command``; ``id`` is the one that the command carried."""
    return CommandResult(**_stamped(stamp), command=command, id=id, ok=ok, message=message, resend=resend)


def _stamped(stamp: Stamp) -> dict[str, Any]:
    return {"time": stamp.time, "uptime_s": round(stamp.uptime_s, 3), "clock_synced": stamp.clock_synced}


def _share(value: float) -> float:
    # sums of float32 may pass 1 by a rounding error
    return min(max(round(float(value), DECIMALS), 0.0), 1.0)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)


def _probabilities(signals: Signals) -> dict[str, float]:
    return {name: _share(float(value)) for name, value in zip(EXPRESSIONS, signals.expression, strict=True)}


def _strongest(signals: Signals) -> str | None:
    return EXPRESSIONS[int(signals.expression.argmax())] if signals.confidence > 0 else None


def eyes_part(step: Step) -> EyesPart | None:
    """What the judges that go by the eyes tell of them; None where there is none of these."""
    figures = step.signals.figures
    if "perclos" not in figures:
        return None
    seen = step.observation.eyes
    told = {name: _known(figures[name]) for name in ("perclos", "readable_share", "blinks_per_minute")}
    if seen is None:
        return EyesPart(openness_left=None, openness_right=None, **told)
    return EyesPart(
        openness_left=_known(seen.openness_left if seen.readable_left >= READABLE else None),
        openness_right=_known(seen.openness_right if seen.readable_right >= READABLE else None),
        **told,
    )


def _context(context: Context) -> ContextPart | None:
    """What is known of the vehicle; None where that is nothing."""
    part = ContextPart(
        speed_kmh=_rounded(context.speed_kmh),
        standstill=context.standstill,
        standing_s=_rounded(context.standing_s),
        ignition=context.ignition,
    )
    return part if any(value is not None for _, value in part) else None


def _known(value: float | None) -> float | None:
    return None if value is None else round(value, DECIMALS)


def _quality(quality: Quality | None) -> QualityPart | None:
    if quality is None:
        return None
    return QualityPart(
        brightness=round(quality.brightness, DECIMALS),
        sharpness=round(quality.sharpness, DECIMALS),
        size_px=round(quality.size_px, 1),
        yaw_deg=round(quality.yaw, 1),
        pitch_deg=round(quality.pitch, 1),
        roll_deg=round(quality.roll, 1),
        weight=round(quality.weight, DECIMALS),
    )
