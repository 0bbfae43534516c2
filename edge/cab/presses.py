"""What a button's pin says as presses. Pure: time comes in with each edge."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from edge.compat import StrEnum

BOUNCE_S = 0.03
"""A change counts once it has lasted so long: contacts bounce for some milliseconds, a finger takes longer, seconds."""
STUCK_S = 30.0
"""A button that is down for so long is stuck, seconds."""
MINUTE_S = 60.0
MOST_A_MINUTE = 15
"""More presses are not a driver's: a wire is loose."""


class Press(StrEnum):
    """How long a button was held."""

    SHORT = "short"
    LONG = "long"


class Presses:
    """Makes presses of a pin's edges: a short one when it ends, a long one once it has lasted ``hold_s``.

    One that is never let go is one press, and one that was down at the beginning is none.
    """

    def __init__(self, hold_s: float, t: float, *, down: bool) -> None:
        self._hold_s = hold_s
        self._edge_t, self._edge_down = t, down
        self._since, self._down = t, down
        self._told = down
        self._recent: deque[float] = deque(maxlen=MOST_A_MINUTE)

    def edge(self, t: float, *, down: bool) -> list[Press]:
        """Take a change of the pin; the presses that are complete by then."""
        told = self.at(t)
        if down is not self._edge_down:
            self._edge_t, self._edge_down = t, down
        return told

    def at(self, t: float) -> list[Press]:
        """The presses that are complete by ``t`` and have not been told."""
        return [press for press in self._complete(t) if self._is_a_driver_s(t)]

    def problem(self, t: float) -> str | None:
        """What is wrong with the button, in words."""
        if self._down and t - self._since >= STUCK_S:
            return "it is stuck"
        if self._is_full(t):
            return f"pressed {MOST_A_MINUTE} times in a minute, more is ignored"
        return None

    def _complete(self, t: float) -> Iterator[Press]:
        held_until = t if self._edge_down else self._edge_t
        if self._settles(t, to=True):
            self._told = False
        if self._down and not self._told and held_until - self._since >= self._hold_s:
            self._told = True
            yield Press.LONG
        if self._settles(t, to=False) and not self._told:
            yield Press.SHORT

    def _settles(self, t: float, *, to: bool) -> bool:
        """Whether the pin has come ``to`` rest at another level by now."""
        if self._edge_down is not to or self._down is to or t - self._edge_t < BOUNCE_S:
            return False
        self._down, self._since = to, self._edge_t
        return True

    def _is_a_driver_s(self, t: float) -> bool:
        if self._is_full(t):
            return False
        self._recent.append(t)
        return True

    def _is_full(self, t: float) -> bool:
        return len(self._recent) == MOST_A_MINUTE and t - self._recent[0] < MINUTE_S
