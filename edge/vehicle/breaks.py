"""Whether a break is due, by the time driven and by the alerts since the last break. Pure: time comes with the steps.

This is no tachograph: it knows neither the driver nor other work, and a driver who is changed is one driver.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from edge.config.breaks import BreaksConfig
from edge.domain import Kind, Phase, State, Step

DRIVING = "driving"
"""The reason that is the time driven; the others are kinds of alerts."""

FIRST_PART_S = 15 * 60.0
SECOND_PART_S = 30 * 60.0
"""A break of the EU preset may be taken in two parts, in this order."""
DAILY_REST_S = 9 * 3600.0
"""The shortest daily rest (Article 8): of a longer time without a monitor nobody drove all of it."""
MOVES_S = 30.0
"""A break goes on where the vehicle is moved for less than this in all, seconds: who makes room goes on resting."""
UNKNOWN_S = 600.0
"""A vehicle that moved counts as driven on for so long while its speed is not known, seconds: tunnels are long."""
GAP_S = 30.0
"""Steps that are further apart have a time between them in which nobody watched, seconds."""


@dataclass(frozen=True, slots=True)
class Balance:
    """What has been driven and rested. ``rest_s`` is of the break that goes on now.

    ``first_part``: the first part of a break in two has been taken. ``driven_s`` is None while nothing has ever told
    whether the vehicle moves.
    """

    driven_s: float | None = None
    rest_s: float = 0.0
    first_part: bool = False
    episodes: Mapping[Kind, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BreakStatus:
    """Whether a break is due, for which reasons, after how much driving; ``left_s`` is until the time driven asks one.

    None is what cannot be told.
    """

    due: bool
    reasons: tuple[str, ...]
    driven_s: float | None
    left_s: float | None
    rest_s: float


class Breaks:
    """Follows driving and resting.

    The vehicle is driven while it is known to move. It is a break while it is known to stand, the ignition is off, or
    nobody sits at the wheel of a vehicle that is not known to move. Anything else is neither.
    """

    def __init__(self, config: BreaksConfig) -> None:
        self._config = config
        self._t: float | None = None
        self._driven_s: float | None = None
        self._rest_s = 0.0
        self._shunted_s = 0.0
        self._unknown_s = 0.0
        self._drove = False
        self._rested_now = False
        self._first_part = False
        self._was_whole = False
        self._episodes: Counter[Kind] = Counter()
        self._before: Balance | None = None

    def update(self, step: Step) -> None:
        """Take in one step."""
        t = step.signals.t
        elapsed_s = 0.0 if self._t is None else max(0.0, t - self._t)
        self._t = t
        for transition in step.transitions:
            if transition.phase is Phase.START:
                self._episodes[transition.kind] += 1
        if elapsed_s > GAP_S:
            self._pass_unwatched(elapsed_s)
            return
        moves = self._moves(step, elapsed_s)
        if moves:
            self._drive(elapsed_s)
        elif self._rests(step):
            self._rest(elapsed_s)
        else:
            self._rested_now = False
        if step.context.standstill is not None and self._driven_s is None:
            self._driven_s = 0.0

    @property
    def resting(self) -> bool:
        """Whether a break goes on."""
        return self._rested_now

    @property
    def balance(self) -> Balance:
        """What is to be kept over a restart."""
        return Balance(self._driven_s, self._rest_s, self._first_part, dict(self._episodes))

    @property
    def status(self) -> BreakStatus:
        """Whether a break is due now."""
        limit_s, driven_s = self._config.driving_s, self._driven_s
        left_s = None if limit_s is None or driven_s is None else max(0.0, limit_s - driven_s)
        reasons = [DRIVING] if left_s == 0.0 else []
        reasons += [kind for kind, count in self._config.episodes.items() if self._episodes[kind] >= count]
        return BreakStatus(bool(reasons), tuple(reasons), driven_s, left_s, self._rest_s)

    def restore(self, balance: Balance) -> None:
        """Begin with what was before a restart; ``bridge`` tells later what the time between was."""
        self._driven_s, self._first_part = balance.driven_s, balance.first_part
        self._episodes = Counter(balance.episodes)
        self._before = balance

    def bridge(self, gap_s: float, *, rested: bool) -> None:
        """So long nobody watched before the restart; ``rested``: a break went on when that began."""
        before, self._before = self._before, None
        if before is None:
            return
        rest_s = before.rest_s + gap_s if rested else gap_s if gap_s >= DAILY_REST_S else 0.0
        if not self._drove and self._driven_s == before.driven_s:  # and it may go on
            self._rest_s += rest_s
            self._weigh_rest()
            return
        if self._is_whole(rest_s):
            self._driven_s = max(0.0, (self._driven_s or 0.0) - (before.driven_s or 0.0))
            self._first_part = False
        elif rest_s >= FIRST_PART_S:
            self._first_part = True
        if rest_s >= 60 * self._config.rest_min:
            self._episodes -= Counter(before.episodes)

    def _moves(self, step: Step, elapsed_s: float) -> bool:
        """Whether the vehicle moves, as far as that is known, or moved a while ago."""
        standstill = step.context.standstill
        if standstill is None:
            self._unknown_s += elapsed_s
            return self._drove and self._unknown_s <= UNKNOWN_S and not self._rests(step)
        self._unknown_s = 0.0
        return not standstill

    @staticmethod
    def _rests(step: Step) -> bool:
        context = step.context
        return context.standstill is True or context.ignition is False or step.state is State.ABSENT

    def _drive(self, elapsed_s: float) -> None:
        self._rested_now = False
        self._shunted_s += elapsed_s
        if self._rest_s > 0:
            if self._shunted_s < MOVES_S:
                return
            self._end_rest()
            elapsed_s = self._shunted_s
        self._shunted_s = 0.0
        self._drove = True
        self._driven_s = (self._driven_s or 0.0) + elapsed_s

    def _end_rest(self) -> None:
        self._first_part = self._first_part or (self._rest_s >= FIRST_PART_S and not self._was_whole)
        self._rest_s, self._was_whole = 0.0, False

    def _rest(self, elapsed_s: float) -> None:
        self._drove = False
        self._rested_now = True
        self._rest_s += elapsed_s
        self._weigh_rest()

    def _weigh_rest(self) -> None:
        """What the break that goes on is worth by now."""
        if self._rest_s >= 60 * self._config.rest_min:
            self._episodes.clear()
        if self._is_whole(self._rest_s):
            self._driven_s = None if self._driven_s is None else 0.0
            self._first_part, self._was_whole = False, True

    def _is_whole(self, rest_s: float) -> bool:
        """Whether it ends the period of driving."""
        second = self._config.preset == "eu" and self._first_part and rest_s >= SECOND_PART_S
        return second or rest_s >= self._config.length_s

    def _pass_unwatched(self, elapsed_s: float) -> None:
        """A board that slept, a clock that jumped: a break that went on goes on, anything else is nothing."""
        if self._rested_now:
            self._rest(elapsed_s)
        elif elapsed_s >= DAILY_REST_S:
            self._rest(elapsed_s)
            self._rested_now = False
            self._end_rest()
