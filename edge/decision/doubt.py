"""How much closed eyes count, by what else the face does: lids go down in a yawn behind a hand, or in a look aside.

Pure: time comes in with what is seen.
"""

from __future__ import annotations

BUSY_COUNTS = 1 / 3
"""So much counts a second of closed eyes while the jaws are apart or a hand is at the mouth: somebody who yawns behind
the hand, cries, sneezes or eats. Whoever falls asleep with the mouth already open is found later."""
ASIDE_COUNTS = 0.5
"""Likewise while the head is turned aside: lids that look down beside the wheel are foreshortened, and read as shut."""
ASIDE_DEG = 15.0
"""A head is turned aside when its yaw is so far from where this driver faces with open eyes."""
FIRST_S = 0.5
"""What excuses closed eyes is there when they close, or so soon after it: a mouth opens before a yawn's eyes shut, a
head turns before its lids look down. The jaw and the head of who falls asleep sink later, and excuse nothing."""
HELD_S = 1.0
"""A face that was busy counts as busy for so long: cues of a frame flicker, and lids open after the mouth shuts."""
BUSY_S = 8.0
"""Closed eyes count whole after so long of a busy face: that is no yawn and no sneeze."""
FACING_S = 30.0
"""Time constant of where the driver faces."""


class Doubt:
    """Follows one driver's face. ``update`` says how much a second of closed eyes counts now, 0 to 1."""

    def __init__(self) -> None:
        self._facing: float | None = None
        self._faced_s = self._held_s = self._shut_s = self._busy_shut_s = 0.0
        self._was_busy = self._was_aside = False

    def update(self, spoken_s: float, *, closed: bool, busy: bool, yaw: float | None) -> float:
        """Take in a frame that speaks for ``spoken_s``.

        ``busy`` says that the jaws are apart or a hand is at the mouth; ``yaw`` is the head's in degrees, None where
        the eyes cannot be read; ``closed`` says that they are.
        """
        self._held_s = HELD_S if busy else max(self._held_s - spoken_s, 0.0)
        aside = yaw is not None and self._facing is not None and abs(yaw - self._facing) >= ASIDE_DEG
        self._shut_s = self._shut_s + spoken_s if closed else 0.0
        if self._shut_s <= FIRST_S:
            kept = self._shut_s > spoken_s  # not the first frame of this closure
            self._was_busy = self._held_s > 0 or (kept and self._was_busy)
            self._was_aside = aside or (kept and self._was_aside)
        busy = self._was_busy and self._held_s > 0
        self._busy_shut_s = self._busy_shut_s + spoken_s if closed and busy else 0.0
        if yaw is not None and not closed:
            self._face(spoken_s, yaw)
        counts = ASIDE_COUNTS if aside and self._was_aside else 1.0
        return min(counts, BUSY_COUNTS) if 0 < self._busy_shut_s <= BUSY_S else counts

    def _face(self, spoken_s: float, yaw: float) -> None:
        """Follow where the driver faces: the mean of what was seen, then of the last half minute."""
        self._faced_s = min(self._faced_s + spoken_s, FACING_S)
        if self._facing is None:
            self._facing = yaw
        elif spoken_s > 0:
            self._facing += (yaw - self._facing) * spoken_s / self._faced_s
