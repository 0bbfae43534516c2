"""Yawns and nods of one driver: signs that support what the eyes say of drowsiness, and raise nothing by themselves.

Pure: time comes in with what is seen.
"""

from __future__ import annotations

import math
from collections import deque

REMEMBERED_S = 600.0
"""A sign counts for so long."""
YAWN_S = 2.0
"""A mouth that yawns for so long is a yawn; the next begins after as long without."""
NOD_DEG, NOD_S = 12.0, 3.0
"""A head that drops so far below its own level, with closed eyes for half of the time, and is up again within so long
has nodded."""
LEVEL_S = 30.0
"""Time constant of the head's own level."""
YAWNS, NODS = 3, 2
"""So many of either within REMEMBERED_S support."""


class SupportingSigns:
    """Counts yawns and nods. A look down with open eyes is no nod."""

    def __init__(self) -> None:
        self._yawns: deque[float] = deque()
        self._nods: deque[float] = deque()
        self._yawned_s, self._since_yawn_s = 0.0, math.inf
        self._level: float | None = None
        self._down_s = self._down_shut_s = 0.0

    @property
    def present(self) -> bool:
        """Whether there were enough of them lately."""
        return len(self._yawns) >= YAWNS or len(self._nods) >= NODS

    def update(self, t: float, spoken_s: float, *, yawning: bool, pitch: float | None, closed: bool) -> None:
        """Take in a frame at ``t`` that speaks for ``spoken_s``.

        ``pitch`` is the head's in degrees, positive downwards, None where no face is seen; ``closed`` says that the
        eyes are.
        """
        for signs in (self._yawns, self._nods):
            while signs and signs[0] <= t - REMEMBERED_S:
                signs.popleft()
        self._follow_mouth(t, spoken_s, yawning=yawning)
        if pitch is not None:
            self._follow_head(t, spoken_s, pitch, closed=closed)

    def _follow_mouth(self, t: float, spoken_s: float, *, yawning: bool) -> None:
        if not yawning:
            self._since_yawn_s += spoken_s
            if self._since_yawn_s >= YAWN_S:
                self._yawned_s = 0.0
            return
        before, self._since_yawn_s = self._yawned_s, 0.0
        self._yawned_s += spoken_s
        if before < YAWN_S <= self._yawned_s:
            self._yawns.append(t)

    def _follow_head(self, t: float, spoken_s: float, pitch: float, *, closed: bool) -> None:
        level = pitch if self._level is None else self._level
        self._level = level + (pitch - level) * (1 - math.exp(-spoken_s / LEVEL_S))
        if pitch - level >= NOD_DEG:
            self._down_s += spoken_s
            self._down_shut_s += spoken_s if closed else 0.0
            return
        if 0 < self._down_s <= NOD_S and self._down_shut_s >= self._down_s / 2:
            self._nods.append(t)
        self._down_s = self._down_shut_s = 0.0
