"""The piece of time that one observation stands for."""

from __future__ import annotations

from dataclasses import dataclass

MAX_STEP_S = 0.4
"""Longest time that one frame can speak for: a camera at 3 frames a second counts fully, and a frame after a gap no
more than that."""


@dataclass(frozen=True, slots=True)
class Interval:
    """The ``elapsed_s`` seconds that end at ``t``.

    The observation at ``t`` speaks for the last ``spoken_s`` of them, a longer gap before is nobody's; ``seen_s`` is
    ``spoken_s`` times the weight of what was read, 0 where nothing was.
    """

    t: float
    elapsed_s: float
    spoken_s: float
    seen_s: float
