"""Which alert speaks in the cab, and when. Pure: time comes in with the steps."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from edge.config import CabConfig
from edge.domain import Kind, Level, Phase, Step, Transition

FLOOR_S = 6.0
"""After a warning that is to wake the driver nothing calm is said for so long, seconds."""
SHUT_S = 1.0
"""Eyes that are closed for longer stay closed; a blink is shorter, and no reason to speak again, seconds."""
OPENED_S = 1.0
"""Eyes that were shut count as shut until they are read as open for so long, whatever hides them meanwhile, seconds."""
ACKNOWLEDGED_S = 30.0
"""So long an acknowledgement keeps silent what is to wake a driver whose eyes stay closed, seconds."""


@dataclass(frozen=True, slots=True)
class Cue:
    """Something to be said now. ``wakes``: loud, with tones in front; else a calm voice alone."""

    kind: Kind
    level: Level
    wakes: bool


@dataclass(frozen=True, slots=True)
class Hush:
    """What is being said is to stop at once."""


@dataclass(slots=True)
class _Open:
    level: Level
    said: Level | None = None
    said_t: float = -math.inf
    acknowledged_t: float | None = None


class Plan:
    """Turns steps into cues, one voice at a time.

    A kind that ``wakes`` speaks at each level, and again every ``repeat_s`` while the eyes stay closed, until it is
    acknowledged. Another one offers a break once in its episode, ``offer_every_s`` after the last offer at the
    earliest, never beside a kind that wakes, and never at a known standstill.
    """

    def __init__(self, config: CabConfig, wakes: Mapping[Kind, bool]) -> None:
        self._config = config
        self._wakes = wakes
        self._open: dict[Kind, _Open] = {}
        self._offered_t = self._woke_t = -math.inf
        self._spoke: Kind | None = None
        self._shut = False

    def update(self, step: Step) -> Cue | Hush | None:
        """What is to be said or silenced after this step; None where all stays as it is."""
        t = step.signals.t
        known = {transition.kind for transition in step.transitions if self._ends(transition)}
        for kind, opened in self._open.items():
            acknowledged = kind in step.signals.kinds and step.signals.kinds[kind].acknowledged
            if acknowledged and opened.acknowledged_t is None:
                opened.acknowledged_t = t
                known.add(kind)
            elif not acknowledged:
                opened.acknowledged_t = None
        cue = self._wake(step, t) or self._offer(step, t)
        if cue is not None:
            self._spoke = cue.kind
            return cue
        if self._spoke not in known:  # what another kind says goes on
            return None
        self._spoke = None
        return Hush()

    def _ends(self, transition: Transition) -> bool:
        """Note a step of an episode; whether that ends one."""
        if transition.phase is Phase.END:
            return self._open.pop(transition.kind, None) is not None
        opened = self._open.setdefault(transition.kind, _Open(transition.level))
        opened.level = transition.level
        return False

    def _wake(self, step: Step, t: float) -> Cue | None:
        closed = self._shut_by_now(step)
        for kind, opened in self._of(wakes=True):
            known = opened.acknowledged_t is not None and (not closed or t - opened.acknowledged_t < ACKNOWLEDGED_S)
            again = closed and t - opened.said_t >= self._config.repeat_s
            if not known and (opened.said is not opened.level or again):
                opened.said, opened.said_t, self._woke_t = opened.level, t, t
                return Cue(kind, opened.level, wakes=True)
        return None

    def _shut_by_now(self, step: Step) -> bool:
        figures = step.signals.figures
        if (figures.get("closed_s") or 0.0) > SHUT_S:
            self._shut = True
        elif (figures.get("open_s") or 0.0) >= OPENED_S:
            self._shut = False
        return self._shut

    def _offer(self, step: Step, t: float) -> Cue | None:
        if step.context.standstill is True or self._of(wakes=True) or t - self._woke_t < FLOOR_S:
            return None
        if t - self._offered_t < self._config.offer_every_s:
            return None
        for kind, opened in self._of(wakes=False):
            if opened.said is None and opened.acknowledged_t is None:
                opened.said, self._offered_t = opened.level, t
                return Cue(kind, opened.level, wakes=False)
        return None

    def _of(self, *, wakes: bool) -> list[tuple[Kind, _Open]]:
        """The open episodes that wake the driver, or the others; the urgent ones first."""
        opened = [(kind, each) for kind, each in self._open.items() if self._wakes.get(kind, False) is wakes]
        return sorted(opened, key=lambda item: item[1].level is not Level.URGENT)
