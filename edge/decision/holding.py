"""For how long what was seen of a face may stand for the frames after it. Pure: time comes in with the frames."""

from __future__ import annotations

LONGEST_S = 0.5
"""No reading stands for longer, whatever is configured: by then a face that changed unnoticed is read."""
LONGEST_M = 12.0
"""Nor while the vehicle drives farther than this: at 130 km/h a reading stands for a third of a second."""
STIRRED_S = 0.14
"""Nor for longer than this where something may build up: at 15 frames a second every third frame is read then. Evidence
gathers over seconds, and the thresholds were chosen on drives of five frames a second."""
CHANGED = 6.0
"""A face whose small picture differs by so many grey levels in the mean is read again. On the
clips that is several times what it differs by from one frame to the next at rest, and less than most faces differ by
from their rest in anger, sadness, a smile or a yawn, and than other people's faces do."""
BETTER = 0.1
"""So is one that is seen better, by so much of a frame's weight, than when it was read."""

FACE_HOLD_S = 0.07
"""A followed face that is still is not looked for again for so long: at 15 frames a second in every second frame, at 10
in each. In that time a nod begins, and none is over."""
MOVED = 4.0
"""A face is looked for at once where its place in the picture, seen small, differs by so many grey levels in the mean.
On the clips no face had moved by a thirtieth of its size from one frame to the next where it was less."""
MOVED_SHARE = 0.1
"""Or by this share of how far the place's grey levels spread: in the dark they are so near to each other that a face
moves far before they differ by MOVED."""


def is_still(change: float, spread: float) -> bool:
    """Whether a face whose place differs by ``change`` since it was looked for is still there.

    ``spread`` is the standard deviation of the place's grey levels then.
    """
    return change < min(MOVED, MOVED_SHARE * spread)


def stands(age_s: float, change: float, hold_s: float, *, stirred: bool, speed_kmh: float | None) -> bool:
    """Whether what was read ``age_s`` ago stands for this frame too, where ``hold_s`` is configured at most.

    ``change`` is how much the small picture of the face differs since then, grey levels; ``stirred`` is what the
    decision says (``Decider.stirred``). A speed that is not known shortens nothing: LONGEST_S is short enough for it.
    """
    longest_s = min(hold_s, STIRRED_S if stirred else LONGEST_S)
    if speed_kmh is not None and speed_kmh > 0:
        longest_s = min(longest_s, LONGEST_M * 3.6 / speed_kmh)
    return 0 <= age_s <= longest_s and change <= CHANGED
