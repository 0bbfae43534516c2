"""Drives of half a minute for the page Tune: angry for a while, with a moment in which nobody is there."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edge.decision.decider import Decider
from edge.domain import EXPRESSION, EXPRESSIONS, EYES, Face, Observation, Quality, Reading, Sight
from edge.traces.trace import TraceWriter
from tests.awake import AWAKE
from tests.steady import steady

ANGRY_S = (12.0, 22.0)
GONE_S = (4.0, 6.0)
LENGTH_S = 30.0
FPS = 5


def record(path: Path, shown: float = 0.75) -> Path:
    """Write such a drive; ``shown`` is how much anger there is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    decider = Decider(steady())
    with TraceWriter(path) as writer:
        for n in range(int(LENGTH_S * FPS)):
            writer.write(decider.update(_seen(n / FPS, shown)))
    return path


def _seen(t: float, shown: float) -> Observation:
    if GONE_S[0] <= t < GONE_S[1]:
        return Observation(t, Sight.NO_FACE)
    anger = shown if ANGRY_S[0] <= t < ANGRY_S[1] else 0.05
    read = np.array([{"anger": anger, "neutral": 1 - anger}.get(name, 0.0) for name in EXPRESSIONS], np.float32)
    face = Face((0, 0, 9, 9), np.zeros((5, 2), np.float32), 0.9)
    readings = {EXPRESSION: Reading.expression(read), EYES: AWAKE}
    return Observation(t, Sight.FACE, face, Quality(0.5, 0.5, 90.0, 0.0, 0.0, 0.0, 1.0), readings)
