"""How long alerts may be kept silent because somebody asks: one bound and one budget, whoever it is."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

HOUR_S = 3600.0
LEAST_S = 30.0
"""A pause counts as this long at least: it forgets what was seen before, so many short ones would be a long one.

An acknowledgement counts as this long too, since it silences what is said in the cab."""
RECALIBRATE_EVERY_S = 300.0
"""Least time between two times that the resting face is learned anew, which forgets what was seen too."""


class SilenceRefusedError(ValueError):
    """Somebody asked for more silence than there may be; the message tells them why, and what is left."""


@dataclass(frozen=True, slots=True)
class _Pause:
    begin: float
    end: float

    def counted_s(self, t: float) -> float:
        """What it takes from the budget of the hour that ends at ``t``."""
        return max(0.0, max(self.end, self.begin + LEAST_S) - max(self.begin, t - HOUR_S))


class Silence:
    """Grants pauses, acknowledgements and new calibrations, of which too many would be no monitoring.

    Pure: ``t`` is monotonic, seconds.
    ``max_pause_s`` bounds a pause with all that prolongs it, ``max_pause_hourly_s`` the pauses of any hour together.
    Command, button and page all ask the same object, and share what there is.
    """

    def __init__(self, max_pause_s: float, max_pause_hourly_s: float) -> None:
        self._max_pause_s = max_pause_s
        self._max_hourly_s = max_pause_hourly_s
        self._pauses: deque[_Pause] = deque()
        self._acknowledged: deque[_Pause] = deque()
        self._since = -math.inf
        self._recalibrated = -math.inf

    def left_s(self, t: float) -> float:
        """How much of the hour's budget is left."""
        taken_s = sum(each.counted_s(t) for each in (*self._pauses, *self._acknowledged))
        return max(0.0, self._max_hourly_s - taken_s)

    def pause(self, t: float, seconds: float) -> None:
        """Grant a pause from ``t`` on; in a pause it takes the place of what is left of that.

        One that begins less than LEAST_S after another prolongs it: what was seen in between is not enough to alert.

        Raises:
            SilenceRefusedError: it would be too long, by itself or with those of the last hour; nothing has changed.
        """
        prolongs, before = self._is_paused(t - LEAST_S), self._pauses.copy()
        since = self._since if prolongs else t
        if t + seconds - since > self._max_pause_s:
            already = f", {t - since:.0f} s of which have passed" if prolongs else ""
            raise SilenceRefusedError(f"a pause is {self._max_pause_s:g} s at most (publish.max_pause_s){already}")
        self.resume(t)
        try:
            self._check_budget(t, seconds)
        except SilenceRefusedError:
            self._pauses = before
            raise
        self._since = since
        self._pauses.append(_Pause(t, t + seconds))
        self._drop_old(t)

    def acknowledge(self, t: float) -> None:
        """Grant that open alerts are acknowledged, which takes LEAST_S from the budget.

        Raises:
            SilenceRefusedError: less is left of it.
        """
        self._check_budget(t, 0.0)
        self._acknowledged.append(_Pause(t, t))
        self._drop_old(t)

    def resume(self, t: float) -> None:
        """End a pause before its time; what it did not use is given back."""
        if self._is_paused(t):
            self._pauses.append(_Pause(self._pauses.pop().begin, t))

    def recalibrate(self, t: float) -> None:
        """Grant that the resting face is learned anew.

        Raises:
            SilenceRefusedError: it was not long ago that it was.
        """
        wait_s = self._recalibrated + RECALIBRATE_EVERY_S - t
        if wait_s > 0:
            every = f"once in {RECALIBRATE_EVERY_S:g} s"
            raise SilenceRefusedError(f"the resting face is learned anew {every} at most; ask again in {wait_s:.0f} s")
        self._recalibrated = t

    def _check_budget(self, t: float, seconds: float) -> None:
        """Refuse what would be more than is left of the hour's budget.

        Raises:
            SilenceRefusedError: it would be.
        """
        left_s = self.left_s(t)
        if max(seconds, LEAST_S) > left_s:
            raise SilenceRefusedError(
                f"all pauses of an hour are {self._max_hourly_s:g} s at most (publish.max_pause_hourly_s), "
                f"and one counts as {LEAST_S:g} s at least, as an acknowledgement does; {left_s:.0f} s are left"
            )

    def _drop_old(self, t: float) -> None:
        for past in (self._pauses, self._acknowledged):
            while past and past[0].counted_s(t) <= 0:
                past.popleft()

    def _is_paused(self, t: float) -> bool:
        return bool(self._pauses) and t < self._pauses[-1].end
