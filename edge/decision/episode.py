"""What all kinds share: an alert's episode with its number, start, escalation, end, peak and cool-down."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from edge.domain import NO_REASON, Kind, Level, Phase, Reason, ReasonCode, Transition


@dataclass(frozen=True, slots=True)
class _Open:
    number: int
    started: float
    level: Level
    peak: float
    expression: str | None
    cause: str | None
    acknowledged: Level | None = None
    """The level at which somebody acknowledged it last."""


class Episode:
    """The episodes of one kind, of which at most one is open. ``count`` hands out numbers that all kinds share.

    A judge decides; this keeps what belongs to an alert and makes its transitions. Times are in seconds.

    No alert is told without an end: ``outlast`` ends one that has lasted too long. The episode itself goes on untold,
    ``lasting``, until the judge ends it because what made it is no longer there; only then can another one start.
    """

    def __init__(self, kind: Kind, count: Callable[[], int]) -> None:
        self._kind = kind
        self._count = count
        self._open: _Open | None = None
        self.lasting = False
        """True while an episode goes on whose alert has been ended for its length."""
        self.cooled_s = float("inf")
        """Seconds since the last episode ended."""

    @property
    def level(self) -> Level | None:
        """Level of the alert that is on, None without one."""
        return None if self._open is None or self.lasting else self._open.level

    @property
    def acknowledged(self) -> bool:
        """Whether the alert that is on has been acknowledged at its level: an escalation asks anew."""
        return self._open is not None and self.level is not None and self._open.acknowledged is self.level

    def acknowledge(self) -> None:
        """Note that somebody knows of the alert that is on, if there is one."""
        if self._open is not None:
            self._open = replace(self._open, acknowledged=self.level)

    @property
    def is_open(self) -> bool:
        """Whether an episode goes on, be it told or not."""
        return self._open is not None

    def wait(self, elapsed_s: float) -> None:
        """Let time pass."""
        self.cooled_s += elapsed_s

    def start(
        self, t: float, score: float, peak: float, expression: str | None = None, cause: str | None = None
    ) -> Transition:
        """Open an episode as a warning; ``peak`` is the strongest signal in the evidence that started it."""
        self._open = _Open(self._count(), t, Level.WARNING, peak, expression, cause)
        return self._transition(self._open, t, Phase.START, score)

    def rise(self, score: float, expression: Callable[[], str | None] = lambda: None) -> None:
        """Note ``score`` where it is the episode's strongest, and what ``expression`` then says."""
        if self._open is not None and score > self._open.peak:
            self._open = replace(self._open, peak=score, expression=expression())

    def escalate(self, t: float, score: float, cause: str | None = None) -> Transition | None:
        """Make an open warning urgent, for ``cause`` where that is another one; None where there is none."""
        if self._open is None or self.level is not Level.WARNING:
            return None
        self._open = replace(self._open, level=Level.URGENT, cause=cause or self._open.cause)
        return self._transition(self._open, t, Phase.ESCALATE, score)

    def outlast(self, t: float, score: float, longest_s: float) -> Transition | None:
        """End the alert that has been on for ``longest_s``, as LASTING; None where none has."""
        if self._open is None or self.lasting or t - self._open.started < longest_s:
            return None
        self.lasting, self.cooled_s = True, 0.0
        return self._transition(self._open, t, Phase.END, score, ReasonCode.LASTING)

    def end(self, t: float, score: float, reason: ReasonCode) -> Transition | None:
        """Close the open episode for ``reason``; None where there is none, or where its alert has been ended before."""
        episode, told = self._open, not self.lasting
        self._open, self.lasting = None, False
        if episode is None or not told:
            return None
        self.cooled_s = 0.0
        return self._transition(episode, t, Phase.END, score, reason)

    def let_go(self) -> None:
        """Forget an episode that goes on untold: whoever is there now, it is not known to go on."""
        if self.lasting:
            self._open, self.lasting = None, False

    def _transition(
        self, episode: _Open, t: float, phase: Phase, score: float, reason: ReasonCode = ReasonCode.NONE
    ) -> Transition:
        return Transition(
            t=t,
            kind=self._kind,
            phase=phase,
            level=episode.level,
            episode=episode.number,
            started=episode.started,
            score=score,
            peak=episode.peak,
            expression=episode.expression,
            reason=Reason(reason) if reason else NO_REASON,
            cause=episode.cause,
            acknowledged=episode.acknowledged is not None,
        )
