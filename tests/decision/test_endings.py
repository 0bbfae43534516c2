"""No alert without an end, no state without an exit, and nothing that is not read is calm."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.config import Config
from edge.decision.decider import Decider
from edge.domain import Kind, Level, Observation, Phase, ReasonCode, Sight, State, Step, Transition
from tests.steady import steady

Look = Callable[..., Observation]

KINDS = Config().alerts.enabled
LONGEST_S = Config().alerts.of("anger").max_alert_s
HOUR_S = 3600.0
BRIEF = Config.model_validate(
    {
        "alerts": {
            kind: {"hold_s": 0.5, "urgent_s": 0.5, "cool_down_s": 1.0, "max_alert_s": 4.0}
            for kind in Config().alerts.expressions
        }
        | {"fatigue": {"microsleep_s": 0.5, "microsleep_urgent_s": 0.5, "release_s": 0.5, "max_alert_s": 4.0}}
    }
)
"""Short times, so that alerts of random drives last too long often."""
UNKNOWN = (State.UNCERTAIN, State.ABSENT, State.BLIND, State.PAUSED)


class Watch:
    """Follows a drive and checks at every step what must always hold; keeps the transitions and what was said."""

    def __init__(self, config: Config | None = None) -> None:
        self.config = config or steady()
        self.decider = Decider(self.config)
        self.transitions: list[Transition] = []
        self.said: list[tuple[float, State, ReasonCode]] = []
        self._started: dict[Kind, float] = {}

    def take(self, observation: Observation) -> Step:
        step = self.decider.update(observation)
        for each in step.transitions:
            if each.phase is Phase.START:
                self._started[each.kind] = each.t
            elif each.phase is Phase.END:
                del self._started[each.kind]
        self.transitions += step.transitions
        word = (step.state, step.reason.code)
        if not self.said or self.said[-1][1:] != word:
            self.said.append((step.signals.t, *word))
        self._check(step)
        return step

    def _check(self, step: Step) -> None:
        for kind, started in self._started.items():
            assert step.signals.t - started < self.config.alerts.of(kind).max_alert_s, f"{kind} has no end"
        judged = step.signals.kinds
        on = {kind for kind, each in judged.items() if each.level is not None}
        assert on == set(self._started)
        assert all(each.readable != bool(each.reason) for each in judged.values())
        if step.state is State.CALM:
            assert all(each.readable for each in judged.values())
            assert not on
        if step.state in UNKNOWN:
            assert step.reason

    def phases(self, kind: Kind = "anger") -> list[tuple[Phase, ReasonCode]]:
        return [(each.phase, each.reason.code) for each in self.transitions if each.kind == kind]


def show(watch: Watch, look: Look, begin: float, seconds: float, fps: float = 5.0, **shown: float) -> Step:
    for n in range(1, round(seconds * fps) + 1):
        step = watch.take(look(begin + n / fps, **shown))
    return step


@pytest.mark.parametrize("anger", [0.52, 0.55, 0.7, 0.9])
def test_a_steady_look_is_no_alert_for_ever(look: Look, anger: float) -> None:
    """Sunglasses, low sun, a resting frown: what is there from the first second to the last of an hour."""
    watch = Watch()
    show(watch, look, 0.0, HOUR_S, anger=anger)
    assert watch.phases()[-1] == (Phase.END, ReasonCode.LASTING)
    assert [phase for phase, _ in watch.phases()].count(Phase.START) == 1
    assert watch.transitions[-1].duration_s == pytest.approx(LONGEST_S, abs=0.21)


@pytest.mark.parametrize("shown", ["anger", "sadness"])
@pytest.mark.parametrize("frown", [0.42, 0.55])
def test_a_resting_frown_of_ten_minutes_alarms_once_at_most_and_not_after_two(
    look: Look, shown: str, frown: float
) -> None:
    """From the first second on, with what ships; steady for some seconds at a time, as a face at rest is."""
    watch, random = Watch(Config()), np.random.default_rng(1)
    t = 0.0
    while t < 600.0:
        seconds, level = float(random.uniform(1.5, 6.0)), frown + float(random.uniform(-0.08, 0.08))
        show(watch, look, t, seconds, **{shown: level})
        t += round(seconds * 5.0) / 5.0
    starts = [each.t for each in watch.transitions if each.phase is Phase.START]
    assert len(starts) <= 1
    assert all(start < 120.0 for start in starts)


def test_after_a_look_that_lasts_the_kind_is_not_readable_and_the_state_says_why(look: Look) -> None:
    watch = Watch()
    step = show(watch, look, 0.0, 200.0, anger=0.9)
    anger, distress = step.signals.kinds["anger"], step.signals.kinds["distress"]
    assert (anger.level, anger.readable, anger.reason.code) == (None, False, ReasonCode.LASTING)
    assert distress.readable
    assert (step.state, step.reason.code) == (State.UNCERTAIN, ReasonCode.LASTING)


def test_a_faint_look_that_lasts_becomes_this_drivers_own_and_clear_anger_is_found_again(look: Look) -> None:
    watch = Watch()
    assert show(watch, look, 0.0, 300.0, anger=0.55).state is State.CALM
    before = len(watch.transitions)
    show(watch, look, 300.0, 6.0, anger=0.9)
    assert [each.phase for each in watch.transitions[before:]] == [Phase.START]


def test_clear_anger_that_lasted_hides_no_later_one(look: Look) -> None:
    """Ten minutes of it are learned, and do not make it usual."""
    watch = Watch()
    show(watch, look, 0.0, 60.0, anger=0.05)
    show(watch, look, 60.0, 600.0, anger=0.9)
    assert show(watch, look, 660.0, 6.0, anger=0.05).state is State.CALM
    before = len(watch.transitions)
    show(watch, look, 666.0, 12.0, anger=0.9)
    assert [each.phase for each in watch.transitions[before:]] == [Phase.START]


def test_what_lasted_is_not_held_against_the_next_driver(look: Look) -> None:
    watch = Watch()
    show(watch, look, 0.0, 150.0, anger=0.9)
    for n in range(1, 106):
        watch.take(Observation(150.0 + n / 5, Sight.NO_FACE))
    step = show(watch, look, 171.0, 3.0, anger=0.05)
    assert (step.state, step.signals.kinds["anger"].readable) == (State.CALM, True)


def test_another_kind_is_judged_while_one_lasts(look: Look) -> None:
    watch = Watch()
    show(watch, look, 0.0, 200.0, anger=0.6)
    show(watch, look, 200.0, 20.0, anger=0.1, sadness=0.85)
    assert (Phase.START, ReasonCode.NONE) in watch.phases("distress")


class TestRecalibrate:
    def test_ends_an_open_alert(self, look: Look) -> None:
        watch = Watch()
        show(watch, look, 0.0, 40.0, anger=0.05)
        show(watch, look, 40.0, 5.0, anger=0.9)
        watch.decider.recalibrate()
        step = show(watch, look, 45.0, 0.2, anger=0.9)
        assert watch.phases()[-1] == (Phase.END, ReasonCode.RECALIBRATING)
        assert (step.state, step.reason.code) == (State.UNCERTAIN, ReasonCode.RECALIBRATING)

    def test_is_never_called_calm_until_the_face_is_known_again(self, look: Look) -> None:
        watch = Watch()
        show(watch, look, 0.0, 40.0, anger=0.05)
        watch.decider.recalibrate()
        watch.said.clear()
        step = show(watch, look, 40.0, 60.0, anger=0.05)
        assert [word for _, *word in watch.said] == [
            [State.UNCERTAIN, ReasonCode.RECALIBRATING],
            [State.CALM, ReasonCode.NONE],
        ]
        assert step.calibrated_percent == 100.0

    def test_keeps_no_alert_from_coming(self, look: Look) -> None:
        watch = Watch()
        show(watch, look, 0.0, 40.0, anger=0.05)
        watch.decider.recalibrate()
        step = show(watch, look, 40.0, 10.0, anger=0.9)
        assert step.signals.kinds["anger"].level is not None
        assert step.state in (State.WARNING, State.URGENT)

    def test_is_nothing_to_wait_for_where_no_face_is_learned(self, look: Look) -> None:
        watch = Watch(steady(baseline={"enabled": False}))
        show(watch, look, 0.0, 5.0, anger=0.05)
        watch.decider.recalibrate()
        assert show(watch, look, 5.0, 1.0, anger=0.05).state is State.CALM


@dataclass(frozen=True)
class Spell:
    """So many seconds of one sight; of a face with a weight and two expressions."""

    seconds: float
    sight: Sight
    weight: float
    anger: float
    fear: float


@dataclass(frozen=True)
class Order:
    """Something that somebody asks for."""

    what: str


share = st.floats(0.0, 1.0)
spells = st.builds(
    Spell,
    st.floats(0.2, 9.0),
    st.sampled_from([Sight.FACE, Sight.FACE, Sight.FACE, *Sight]),
    st.sampled_from([1.0, 1.0, 0.5, 0.0]),
    share,
    share,
)
gaps = st.builds(Spell, st.sampled_from([-1.0, 3.0, 25.0, 1e4]), st.none(), st.just(0.0), st.just(0.0), st.just(0.0))
orders = st.builds(Order, st.sampled_from(["pause", "resume", "recalibrate"]))
drives = st.lists(st.one_of(spells, spells, spells, gaps, orders), max_size=12)


def play(drive: Sequence[Spell | Order], look: Look, fps: float) -> Watch:
    watch, t = Watch(BRIEF), 100.0
    for each in drive:
        if isinstance(each, Order):
            if each.what == "pause":
                watch.decider.pause(t, 5.0)
            elif each.what == "resume":
                watch.decider.resume(t)
            else:
                watch.decider.recalibrate()
            continue
        if each.sight is None:
            t += each.seconds
            continue
        for _ in range(max(1, round(each.seconds * fps))):
            t += 1.0 / fps
            shown = {"anger": each.anger, "fear": min(each.fear, 1.0 - each.anger)}
            face = each.sight is Sight.FACE
            watch.take(look(t, each.weight, **shown) if face else Observation(t, each.sight))
    # whatever came before: a plain face brings everything back to calm, which is every state's exit
    for _ in range(round(60.0 * fps)):
        t += 1.0 / fps
        last = watch.take(look(t))
    assert last.state is State.CALM
    return watch


@settings(max_examples=60, deadline=None)
@given(drive=drives)
def test_every_alert_ends_in_its_time_and_every_state_has_an_exit_at_5_frames_a_second(
    look: Look, drive: list[Spell | Order]
) -> None:
    play(drive, look, 5.0)


@settings(max_examples=10, deadline=None)
@given(drive=drives)
def test_every_alert_ends_in_its_time_and_every_state_has_an_exit_at_60_frames_a_second(
    look: Look, drive: list[Spell | Order]
) -> None:
    play(drive, look, 60.0)


@settings(max_examples=8, deadline=None)
@given(anger=st.floats(0.85, 1.0), seconds=st.floats(6.0, 12.0))
def test_what_lasts_ends_at_the_same_time_at_5_and_at_60_frames_a_second(
    look: Look, anger: float, seconds: float
) -> None:
    ends = []
    for fps in (5.0, 60.0):
        watch = Watch(BRIEF)
        show(watch, look, 0.0, 30.0, fps, anger=0.05)
        show(watch, look, 30.0, seconds, fps, anger=anger)
        show(watch, look, 30.0 + seconds, 10.0, fps, anger=0.05)
        assert watch.phases()[-1] == (Phase.END, ReasonCode.LASTING)
        assert watch.transitions[-1].level is Level.URGENT
        ends.append(watch.transitions[-1].t)
    assert ends[0] == pytest.approx(ends[1], abs=0.5)
