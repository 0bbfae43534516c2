"""Yawns and nods: what is one, and that they support what the eyes say and raise nothing by themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from edge.config import Config
from edge.decision.closures import OPEN
from edge.decision.decider import Decider
from edge.decision.signs import NODS, REMEMBERED_S, YAWNS, SupportingSigns
from edge.domain import Eyes, Observation, Phase

Look = Callable[..., Observation]
SHUT = 0.05
FPS = 15


def eyes(openness: float) -> Eyes:
    return Eyes(openness, openness, 1.0, 1.0)


def show(signs: SupportingSigns, t: float, seconds: float, **seen: object) -> float:
    """Let the signs see the same for so long; the time after it."""
    told = {"yawning": False, "pitch": 0.0, "closed": False, **seen}
    for n in range(round(seconds * FPS)):
        signs.update(t + n / FPS, 1 / FPS, **told)  # type: ignore[arg-type]
    return t + seconds


def test_three_yawns_within_ten_minutes_support_and_are_forgotten() -> None:
    signs, t = SupportingSigns(), 10.0
    for count in range(1, YAWNS + 1):
        t = show(signs, show(signs, t, 5, yawning=True), 60)
        assert signs.present is (count >= YAWNS)
    assert not signs_after(signs, t, REMEMBERED_S)


def signs_after(signs: SupportingSigns, t: float, seconds: float) -> bool:
    show(signs, t, seconds)
    return signs.present


def test_one_long_yawn_with_a_pause_is_one_and_a_word_is_none() -> None:
    signs, t = SupportingSigns(), 10.0
    for _ in range(10):
        t = show(signs, show(signs, t, 3, yawning=True), 0.5)
    for _ in range(30):
        t = show(signs, show(signs, t, 0.6, yawning=True), 3)
    assert not signs.present


@pytest.mark.parametrize(
    ("drop", "closed", "seconds", "nods"),
    [
        pytest.param(20.0, True, 1.2, True, id="a nod"),
        pytest.param(20.0, False, 1.2, False, id="a look down with open eyes"),
        pytest.param(6.0, True, 1.2, False, id="closed eyes with the head up"),
        pytest.param(20.0, True, 6.0, False, id="a head that stays down"),
        pytest.param(-20.0, True, 1.2, False, id="a head thrown back"),
    ],
)
def test_a_nod_is_a_head_that_drops_with_closed_eyes_and_comes_up_again(
    *, drop: float, closed: bool, seconds: float, nods: bool
) -> None:
    signs = SupportingSigns()
    t = show(signs, 10.0, 60, pitch=4.0)
    for _ in range(NODS):
        t = show(signs, show(signs, t, seconds, pitch=4.0 + drop, closed=closed), 30, pitch=4.0)
    assert signs.present is nods


def test_the_heads_own_level_is_learned_anew_where_the_driver_sits_otherwise() -> None:
    signs = SupportingSigns()
    t = show(signs, show(signs, 10.0, 60), 120, pitch=25.0)
    for _ in range(NODS + 1):
        t = show(signs, show(signs, t, 0.3, pitch=25.0, closed=True), 20, pitch=25.0)
    assert not signs.present, "blinks with a lower head are no nods"
    for _ in range(NODS):
        t = show(signs, show(signs, t, 1.2, pitch=45.0, closed=True), 20, pitch=25.0)
    assert signs.present


def drive(look: Look, *, yawns: int, nods: int, share: float, seconds: float = 400) -> Iterator[Observation]:
    """First yawns and nods, then slow closures for so large a share of the time."""
    t = 10.0

    def span(length: float, openness: float, pitch: float = 0.0, **face: float) -> Iterator[Observation]:
        nonlocal t
        for _ in range(round(length * FPS)):
            seen = look(t, eyes=eyes(openness).reading(), **face)
            assert seen.quality is not None
            yield replace(seen, quality=replace(seen.quality, pitch=pitch))
            t += 1 / FPS

    yield from span(60, OPEN)
    for _ in range(yawns):
        yield from span(5, OPEN, yawn=0.9)
        yield from span(20, OPEN)
    for _ in range(nods):
        yield from span(1.0, SHUT, pitch=25.0)
        yield from span(40, OPEN)
    closure_s = 0.5
    for _ in range(round(seconds * share / closure_s)):
        yield from span(closure_s, SHUT)
        yield from span(closure_s / share - closure_s, OPEN)


def told(observations: Iterator[Observation]) -> list[tuple[Phase, str | None]]:
    decider = Decider(Config())
    steps = (decider.update(each) for each in observations)
    return [(each.phase, each.cause) for step in steps for each in step.transitions if each.kind == "fatigue"]


@pytest.mark.parametrize(("yawns", "nods"), [(0, 0), (6, 0), (0, 4), (6, 4)])
def test_yawns_and_nods_alone_raise_nothing(look: Look, yawns: int, nods: int) -> None:
    assert told(drive(look, yawns=yawns, nods=nods, share=0.05)) == []


@pytest.mark.parametrize(("yawns", "nods", "warned"), [(0, 0, False), (YAWNS, 0, True), (0, NODS, True)])
def test_they_make_a_drowsy_warning_come_of_fewer_closures(look: Look, *, yawns: int, nods: int, warned: bool) -> None:
    said = told(drive(look, yawns=yawns, nods=nods, share=0.105))
    assert ((Phase.START, "drowsy") in said) is warned
