"""A judge a kind of alert: what it is given, what it answers, and the registry of all of them.

A new kind is one module in ``edge.decision.judges`` with a settings class and a judge under ``@register``. Decision,
configuration, MQTT topics, Home Assistant, traces and tuning go over what is registered.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, ClassVar, Literal, TypeVar

from pydantic import Field

from edge.compat import Self
from edge.decision.episode import Episode
from edge.decision.expression import FollowedExpression
from edge.decision.gate import SpeedGate
from edge.decision.interval import Interval
from edge.domain import EXPRESSION, NO_REASON, Context, Kind, Level, Observation, Reason, ReasonCode, State, Transition
from edge.section import BASIC, Layer, Section

KIND = re.compile(r"[a-z][a-z0-9_]{0,31}")
"""What a kind may be called: it is part of topics, of entity names and of configuration keys."""


Sensitivity = Literal["low", "normal", "high"]
"""How readily alerts come; ``normal`` is what the settings' own defaults are."""


RESERVED = frozenset({"kinds", "sensitivity", "shadow"})
"""What no kind may be called, since [alerts] has its own use for it."""


def cool_down_field(default: float) -> Any:
    """The key ``cool_down_s`` with a kind's own default."""
    return Field(
        default=default,
        ge=0,
        le=3600,
        description="Least time from an alert's end to the next start of its kind, seconds.",
    )


def min_speed_field(default: float) -> Any:
    """The key ``min_speed_kmh`` with a kind's own default."""
    return Field(
        default=default,
        ge=0,
        le=200,
        description="No alert of this kind starts while the vehicle is known to be slower, km/h; 0: at any speed.",
    )


class JudgeSettings(Section):
    """What every kind of alert is set by; its own keys stand beside its judge.

    ``presets`` holds, for each sensitivity but ``normal``, the keys that are not as they are by default.
    """

    layer: ClassVar[Layer] = Layer.TUNER
    presets: ClassVar[Mapping[str, Mapping[str, float]]] = MappingProxyType({})

    enabled: bool = Field(default=True, json_schema_extra=BASIC, description="Judge this kind and publish its alerts.")
    sensitivity: Sensitivity = Field(
        default="normal",
        description="How readily this kind alerts; default: alerts.sensitivity. Keys that are set go before it.",
    )
    cool_down_s: float = cool_down_field(10.0)
    min_speed_kmh: float = min_speed_field(0.0)

    max_alert_s: float = Field(
        default=120.0,
        ge=1,
        le=3600,
        description="An alert that has lasted so long ends; the kind is not readable until the look is gone, seconds.",
    )

    @classmethod
    def at(cls, sensitivity: str, table: Mapping[str, Any]) -> dict[str, Any]:
        """``table`` with what its own sensitivity, else the one given, says of the keys that it does not set."""
        level = table.get("sensitivity", sensitivity)
        preset = cls.presets.get(level, {}) if isinstance(level, str) else {}
        return {**preset, "sensitivity": sensitivity, **table}

    @property
    def warns_at(self) -> float | None:
        """Signal at which a warning can start; None where no one signal tells."""
        return None

    def tried(self) -> Iterator[Self]:
        """The settings that ``evenkeel tune`` tries; by default these alone."""
        yield self


@dataclass(frozen=True, slots=True)
class Moment:
    """What a judge may know of one moment.

    ``unknown`` is the state while the driver cannot be read, else None; ``lost`` says why no open alert can be upheld,
    none where it is not so; in a pause nothing that is observed counts.
    """

    interval: Interval
    observation: Observation
    context: Context
    unknown: State | None
    lost: ReasonCode
    paused: bool = False


class Judge(ABC):
    """Decides on one kind of alert. It keeps its own evidence; the episode's bookkeeping is ``self.episode``'s.

    Pure: time comes in with the moments. ``expression`` is the one smoothed expression that all judges of expressions
    share; a judge of something else leaves it alone.

    A judge's own rule looks at ``episode.is_open`` and ends what it started: an alert that lasts for ``max_alert_s`` is
    ended by ``follow``, whatever the rule says, and the kind is not readable from then on until the rule ends it too.
    """

    kind: ClassVar[Kind]
    Settings: ClassVar[type[JudgeSettings]] = JudgeSettings
    goes_by: ClassVar[str] = EXPRESSION
    """Name of the reading that it goes by."""
    wakes: ClassVar[bool] = False
    """Whether the driver is to be woken by its alerts; else a break is offered."""

    def __init__(self, settings: Any, count_episode: Callable[[], int], expression: FollowedExpression) -> None:
        self.settings = settings
        self.episode = Episode(self.kind, count_episode)
        self.expression = expression
        self.readable = False
        self._gate = SpeedGate()

    @property
    def level(self) -> Level | None:
        """Level of the open alert, None without one."""
        return self.episode.level

    @property
    @abstractmethod
    def signal(self) -> float:
        """The evidence now, 0 to 1, as it is published and drawn."""

    @property
    def reason(self) -> Reason:
        """Why this kind cannot be read now; none where it can, or where the state says it."""
        if self.episode.lasting:
            return Reason(ReasonCode.LASTING)
        return Reason(ReasonCode.SLOW, kinds=(self.kind,)) if self._gated else NO_REASON

    @property
    def holds_up_calm(self) -> bool:
        """Whether the state is calm only while this kind can be read."""
        return True

    @property
    def stirred(self) -> bool:
        """Whether something may build up, so that the expression is worth reading at once; where in doubt, yes."""
        return True

    @property
    def figures(self) -> Mapping[str, float | None]:
        """What it tells of the driver besides, by names that are its own; None is not known now."""
        return {}

    @property
    def _gated(self) -> bool:
        """Whether no alert may start because the vehicle is slow; one that is open goes on."""
        return self._gate.closed and self.level is None

    def follow(self, moment: Moment, *, beside: bool) -> list[Transition]:
        """Take in one moment, with the bounds that hold for alerts of every kind.

        While the vehicle is too slow for this kind, nothing that is observed counts for it, as in a pause. An open
        alert goes on by its own rule, until the vehicle has stood for STANDING_S.
        """
        t = moment.interval.t
        self._gate.update(moment.interval, moment.context.speed_kmh, self.settings.min_speed_kmh)
        transitions = [self.update(replace(moment, paused=True) if self._gated else moment, beside=beside)]
        if self.episode.is_open:
            if self._gate.stood(moment.context) and self.level is not None:
                transitions.append(self.end(t, ReasonCode.STANDSTILL))
            transitions.append(self.episode.outlast(t, self.signal, self.settings.max_alert_s))
        return [each for each in transitions if each is not None]

    @abstractmethod
    def update(self, moment: Moment, *, beside: bool) -> Transition | None:
        """Take in one moment; at most one transition comes of it. ``beside``: an alert of another kind is open."""

    def end(self, t: float, reason: ReasonCode) -> Transition | None:
        """Close the open alert, if there is one, for ``reason``."""
        return self.episode.end(t, self.signal, reason)

    def forget(self) -> None:
        """Drop the evidence for an alert that has not started, and what is left of one that lasted too long."""
        self.episode.let_go()

    def reconfigure(self, settings: Any) -> None:
        """Go on under other settings; evidence and an open alert are kept."""
        self.settings = settings


Registered = TypeVar("Registered", bound=type[Judge])

_judges: dict[Kind, type[Judge]] = {}


def register(judge: Registered) -> Registered:
    """Make a judge's kind known; a decorator.

    Raises:
        ValueError: the kind's name is taken, or cannot be part of a topic.
    """
    if not KIND.fullmatch(judge.kind):
        raise ValueError(f"kind {judge.kind!r}: expected a small letter, then small letters, digits or '_'")
    if judge.kind in RESERVED:
        raise ValueError(f"kind {judge.kind!r}: this name is taken in [alerts]")
    if judge.kind in _judges:
        raise ValueError(f"kind {judge.kind!r}: already registered by {_judges[judge.kind].__module__}")
    _judges[judge.kind] = judge
    return judge


def unregister(kind: Kind) -> None:
    """Take a kind back that ``register`` made known."""
    del _judges[kind]


def going_by(reading: str, kinds: Iterable[Kind]) -> bool:
    """Whether the judge of any of these kinds goes by the reading of this name."""
    return any(_judges[kind].goes_by == reading for kind in kinds)


def registered() -> Mapping[Kind, type[Judge]]:
    """All judges by their kind; ``edge.decision.judges`` holds the shipped ones and registers them when imported."""
    return _judges
