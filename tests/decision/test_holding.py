"""For how long a reading may stand, and what the decision says of its face meanwhile."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from edge.config import Config
from edge.decision.decider import Decider
from edge.decision.holding import CHANGED, LONGEST_M, LONGEST_S, STIRRED_S, stands
from edge.domain import Eyes, Observation

Look = Callable[..., Observation]


@pytest.mark.parametrize(
    ("age_s", "change", "stirred", "speed_kmh", "told"),
    [
        (LONGEST_S, 0.0, False, None, True),
        (LONGEST_S + 0.01, 0.0, False, None, False),
        (-0.01, 0.0, False, None, False),
        (0.1, CHANGED + 0.1, False, None, False),
        (STIRRED_S, 0.0, True, None, True),
        (STIRRED_S + 0.01, 0.0, True, None, False),
        (LONGEST_S, 0.0, False, 0.0, True),
        (0.4, 0.0, False, LONGEST_M / 0.41 * 3.6, True),
        (0.4, 0.0, False, LONGEST_M / 0.39 * 3.6, False),
    ],
)
def test_a_reading_stands_while_it_is_fresh_and_nothing_speaks_against_it(
    age_s: float,
    change: float,
    stirred: bool,  # noqa: FBT001 - columns
    speed_kmh: float | None,
    told: bool,  # noqa: FBT001 - columns
) -> None:
    assert stands(age_s, change, LONGEST_S, stirred=stirred, speed_kmh=speed_kmh) is told
    assert not stands(age_s, change, 0.0, stirred=stirred, speed_kmh=speed_kmh)


def watched(look: Look, seconds: float = 40.0) -> Decider:
    """A decider that knows a calm driver."""
    decider = Decider(Config())
    for n in range(round(seconds * 10)):
        decider.update(look(n / 10))
    return decider


SHUT = Eyes(0.02, 0.02, 1.0, 1.0).reading()


@pytest.mark.parametrize(
    ("shown", "stirs"),
    [
        ({}, False),
        ({"happiness": 0.9}, False),
        ({"anger": 0.9}, True),
        ({"fear": 0.9}, True),
        ({"yawn": 0.9}, True),
        ({"eyes": SHUT}, True),
        ({"happiness": 0.9, "eyes": SHUT}, True),
    ],
)
def test_one_frame_of_what_may_become_an_alert_stirs_the_decision(
    look: Look,
    shown: dict[str, float],
    stirs: bool,  # noqa: FBT001 - a column
) -> None:
    decider = watched(look)
    assert not decider.stirred
    decider.update(look(40.0, **shown))
    assert decider.stirred is stirs


def test_whoever_cannot_be_read_or_has_an_open_alert_is_not_calm(look: Look) -> None:
    assert watched(look, 0.5).stirred
    decider = watched(look)
    steps = [decider.update(look(40.0 + n / 10, anger=0.9)) for n in range(80)]
    assert any(step.transitions for step in steps)
    decider.update(look(48.0))
    assert decider.stirred


def test_after_the_last_sign_the_decision_is_calm_again(look: Look) -> None:
    decider = watched(look)
    decider.update(look(40.0, anger=0.9))
    for n in range(20):
        decider.update(look(40.1 + n / 10))
    assert not decider.stirred
