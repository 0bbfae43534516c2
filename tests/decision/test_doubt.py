"""Closed eyes beside a busy mouth or on a head turned aside: what they count, and what is found all the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import numpy as np
import pytest

from edge.config import Config
from edge.decision.closures import OPEN
from edge.decision.decider import Decider
from edge.decision.doubt import ASIDE_COUNTS, ASIDE_DEG, BUSY_COUNTS, BUSY_S, FIRST_S, HELD_S, Doubt
from edge.domain import CUE_NAMES, CUES, EYES, Context, Eyes, Observation, Phase, Reading

Look = Callable[..., Observation]
SHUT, FPS = 0.05, 15.0
AWAKE_S, ALERT_S = 30.0, 1.5


def seen(look: Look, t: float, openness: float, yaw: float, cues: Mapping[str, float]) -> Observation:
    face = look(t, eyes=Eyes(openness, openness, 1.0, 1.0).reading())
    assert face.quality is not None
    values = np.array([cues.get(name, 0.0) for name in CUE_NAMES], np.float32)
    return replace(
        face,
        quality=replace(face.quality, yaw=yaw),
        readings={**face.readings, CUES: Reading(CUE_NAMES, values)},
    )


def first_alert(look: Look, shut_s: float, *, yaw: float = 0.0, mounted: float = 0.0, **cues: float) -> float | None:
    """How long after the eyes shut, for ``shut_s``, an alert starts, if one does.

    The head is at ``mounted`` degrees before, and then at ``yaw`` besides; the cues are of the shut eyes alone.
    """

    def film() -> Iterator[Observation]:
        for n in range(round((AWAKE_S + shut_s) * FPS)):
            asleep = n >= AWAKE_S * FPS
            shown = {"openness": SHUT, "yaw": mounted + yaw} if asleep else {"openness": OPEN, "yaw": mounted}
            yield seen(look, 10 + n / FPS, **shown, cues=cues if asleep else {})
        yield from (seen(look, 10 + AWAKE_S + shut_s + n / FPS, OPEN, mounted, {}) for n in range(75))

    decider = Decider(Config())
    starts = [
        each.t
        for step in map(decider.update, film())
        for each in step.transitions
        if (each.kind, each.phase) == ("fatigue", Phase.START)
    ]
    return starts[0] - 10 - AWAKE_S if starts else None


@pytest.mark.parametrize("cue", ["mouth_open", "hand_at_mouth"])
def test_eyes_that_a_busy_face_shuts_count_a_third(look: Look, cue: str) -> None:
    assert first_alert(look, 3.5, **{cue: 0.9}) is None
    assert first_alert(look, 6.0, **{cue: 0.9}) == pytest.approx(ALERT_S / BUSY_COUNTS, abs=0.2)
    assert first_alert(look, 2.4, **{cue: 0.3}) == pytest.approx(ALERT_S, abs=0.2), "a mouth that is not busy"


@pytest.mark.parametrize("yaw", [-25.0, 25.0])
def test_eyes_that_are_shut_beside_the_wheel_count_half(look: Look, yaw: float) -> None:
    assert first_alert(look, 2.6, yaw=yaw) is None
    assert first_alert(look, 4.0, yaw=yaw) == pytest.approx(ALERT_S / ASIDE_COUNTS, abs=0.2)


@pytest.mark.parametrize("mounted", [-25.0, 25.0])
def test_where_the_driver_faces_is_learned_for_a_camera_that_is_mounted_aside(look: Look, mounted: float) -> None:
    assert first_alert(look, 2.4, mounted=mounted) == pytest.approx(ALERT_S, abs=0.2)


@pytest.mark.parametrize(("busy", "yaw"), [(True, 0.0), (False, 2 * ASIDE_DEG)])
def test_a_jaw_or_a_head_that_sinks_in_sleep_excuses_nothing(busy: bool, yaw: float) -> None:  # noqa: FBT001
    doubt = Doubt()
    for _ in range(100):
        doubt.update(0.1, closed=False, busy=False, yaw=0.0)
    falling = [doubt.update(0.1, closed=True, busy=False, yaw=0.0) for _ in range(round(FIRST_S / 0.1) + 1)]
    asleep = [doubt.update(0.1, closed=True, busy=busy, yaw=yaw) for _ in range(50)]
    assert set(falling + asleep) == {1.0}

    for _ in range(5):
        doubt.update(0.1, closed=False, busy=busy, yaw=yaw)
    assert doubt.update(0.1, closed=True, busy=busy, yaw=yaw) < 1.0, "what was so before the eyes shut"


def test_a_busy_face_is_held_for_a_moment_and_not_for_ever() -> None:
    doubt = Doubt()
    assert doubt.update(0.1, closed=True, busy=True, yaw=0.0) == BUSY_COUNTS
    counts = [doubt.update(0.1, closed=True, busy=False, yaw=0.0) for _ in range(20)]
    assert counts.index(1.0) == pytest.approx(HELD_S / 0.1, abs=1)
    assert set(counts[counts.index(1.0) :]) == {1.0}
    counts = [doubt.update(0.1, closed=True, busy=True, yaw=0.0) for _ in range(round(BUSY_S / 0.1) + 20)]
    assert counts.index(1.0) == pytest.approx(BUSY_S / 0.1, abs=1), "whoever sleeps with an open mouth"


def test_where_a_driver_faces_is_followed_with_open_eyes_alone() -> None:
    doubt = Doubt()
    aside = 2 * ASIDE_DEG
    for _ in range(600):
        doubt.update(0.1, closed=False, busy=False, yaw=0.0)
    assert [doubt.update(0.1, closed=True, busy=False, yaw=aside) for _ in range(600)] == [ASIDE_COUNTS] * 600
    for _ in range(900):
        doubt.update(0.1, closed=False, busy=False, yaw=aside)
    assert doubt.update(0.1, closed=True, busy=False, yaw=aside) == 1.0
    assert doubt.update(0.1, closed=True, busy=False, yaw=None) == 1.0, "no face, no turn"


@pytest.mark.parametrize("unread", ["slow", "hidden"])
def test_where_the_head_turns_while_no_open_eyes_count_is_not_where_the_driver_faces(look: Look, unread: str) -> None:
    decider = Decider(Config())
    speed_kmh, readable = (5.0, 1.0) if unread == "slow" else (60.0, 0.0)
    for n in range(round(40 * FPS)):  # looking about in a car park, or so far aside that the eyes are hidden
        aside = seen(look, n / FPS, OPEN, 2 * ASIDE_DEG, {})
        eyes = Eyes(OPEN, OPEN, readable, readable).reading()
        decider.update(replace(aside, readings={**aside.readings, EYES: eyes}), Context(speed_kmh=speed_kmh))
    for n in range(round(5 * FPS)):
        decider.update(seen(look, 40 + n / FPS, OPEN, 0.0, {}), Context(speed_kmh=60.0))
    for n in range(round(2 * FPS)):
        step = decider.update(seen(look, 45 + n / FPS, SHUT, 0.0, {}), Context(speed_kmh=60.0))
    assert step.signals.kinds["fatigue"].level is not None
