"""Observations made by hand, for every test of the decision."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from edge.domain import EXPRESSION, EXPRESSIONS, EYES, Face, Observation, Quality, Reading, Reason, Sight
from tests.awake import AWAKE

Look = Callable[..., Observation]
Box = tuple[float, float, float, float]

SEAT: Box = (100.0, 80.0, 150.0, 150.0)


def look(
    t: float, weight: float = 1.0, reason: str = "", box: Box = SEAT, eyes: Reading | None = AWAKE, **shown: float
) -> Observation:
    """A face at ``t`` that shows the given expressions, the rest of 1 being neutral, and open ``eyes``, if any."""
    probabilities = np.array([shown.get(name, 0.0) for name in EXPRESSIONS], np.float32)
    probabilities[0] += max(0.0, 1.0 - float(probabilities.sum()))
    quality = Quality(brightness=0.4, sharpness=0.2, size_px=150.0, yaw=0.0, pitch=0.0, roll=0.0, weight=weight)
    face = Face(box=box, points=np.zeros((5, 2), np.float32), score=0.9)
    readings = {EXPRESSION: Reading.expression(probabilities)} if weight else {}
    if weight and eyes is not None:
        readings[EYES] = eyes
    return Observation(t, Sight.FACE, face, quality, readings, Reason.told(reason))


@pytest.fixture(scope="session", name="look")
def look_fixture() -> Look:
    return look
