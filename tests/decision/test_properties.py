"""What holds for every drive, however strange."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.config import Config
from edge.decision.decider import Decider
from edge.decision.interval import MAX_STEP_S
from edge.decision.smoothing import TIME_CONSTANT_S
from edge.domain import Kind, Level, Observation, Phase, Sight, State, Step, Transition
from tests.steady import KINDS, steady

Look = Callable[..., Observation]
Moment = tuple[float, Sight, float, float, float]
"""Seconds since the moment before, sight, weight, probability of anger, probability of fear."""

SHORTEST_SPELL_S = 1.0
SETTLED_S = 2.0
"""By then the signals no longer stand on the first few frames alone, which at 5 a second are few indeed."""
FRAME_RATE_TIME_BOUND_S = 0.5
"""Alerts at 5 and at 60 frames a second start and end this near to each other."""

HASTY = Config.model_validate(
    {"alerts": {kind: {"hold_s": 0.5, "urgent_s": 0.5, "cool_down_s": 1.0} for kind in KINDS}}
)
"""Short times, so that random drives go through all levels often."""

share = st.floats(0.0, 1.0)
gap = st.one_of(st.floats(0.0, 0.5), st.sampled_from([-1e4, -0.1, 0.0, 2.0, 20.0, 1e4]))
moment = st.tuples(gap, st.sampled_from(list(Sight)), share, share, share)
runs = st.lists(st.tuples(moment, st.integers(1, 40)), max_size=20)
"""Moments that last: each is repeated, so that alerts come about."""

drives = runs.map(lambda some: [each for each, times in some for _ in range(times)])
quick = settings(max_examples=60, deadline=None)


def observe(drive: list[Moment], look: Look) -> list[Observation]:
    t = 100.0
    seen = []
    for elapsed, sight, weight, anger, fear in drive:
        t += elapsed
        shown = {"anger": anger, "fear": min(fear, 1.0 - anger)}
        seen.append(look(t, weight, **shown) if sight is Sight.FACE else Observation(t, sight))
    return seen


def decide(observations: list[Observation], config: Config | None = None) -> list[Step]:
    decider = Decider(config or steady())
    return [decider.update(observation) for observation in observations]


def alerts(steps: list[Step], kind: Kind) -> list[Transition]:
    return [x for step in steps for x in step.transitions if x.kind is kind]


@quick
@given(drive=drives)
@pytest.mark.parametrize("kind", KINDS)
def test_levels_never_skip_and_each_end_follows_its_start(look: Look, drive: list[Moment], kind: Kind) -> None:
    allowed: dict[Phase | None, set[Phase]] = {
        None: {Phase.START},
        Phase.START: {Phase.ESCALATE, Phase.END},
        Phase.ESCALATE: {Phase.END},
    }
    last: Transition | None = None
    for transition in alerts(decide(observe(drive, look), HASTY), kind):
        before = None if last is None or last.phase is Phase.END else last
        assert transition.phase in allowed[before.phase if before else None]
        if before is None:
            assert transition.level is Level.WARNING
        else:
            assert (transition.episode, transition.started) == (before.episode, before.started)
            assert transition.duration_s >= before.duration_s >= 0.0
            assert transition.peak >= before.peak
            assert transition.level is (Level.URGENT if transition.phase is Phase.ESCALATE else before.level)
        last = transition


@quick
@given(drive=drives)
def test_no_alert_starts_without_its_seconds_of_evidence(look: Look, drive: list[Moment]) -> None:
    config, evidence_s = steady(), 0.0
    decider, last_t = Decider(config), None
    for observation in observe(drive, look):
        step = decider.update(observation)
        elapsed_s = 0.0 if last_t is None else step.signals.t - last_t
        last_t = step.signals.t
        if observation.quality is not None and observation.probabilities is not None:
            evidence_s += min(elapsed_s, MAX_STEP_S) * observation.quality.weight
        if any(x.phase is Phase.START for x in step.transitions):
            assert evidence_s >= config.alerts.expressions["anger"].hold_s - 1e-9


@quick
@given(drive=drives)
def test_no_alert_comes_of_signals_that_are_all_below_the_threshold(look: Look, drive: list[Moment]) -> None:
    weak = [(gap, sight, weight, anger * 0.49, fear * 0.49) for gap, sight, weight, anger, fear in drive]
    assert not [x for step in decide(observe(weak, look)) for x in step.transitions]


@quick
@given(drive=drives)
def test_calm_is_never_said_of_a_driver_who_was_never_read(look: Look, drive: list[Moment]) -> None:
    unread = [(gap, sight, 0.0, anger, fear) for gap, sight, _, anger, fear in drive]
    assert State.CALM not in {step.state for step in decide(observe(unread, look))}


@quick
@given(drive=drives)
def test_numbers_stay_in_their_range_and_time_never_goes_back(look: Look, drive: list[Moment]) -> None:
    steps = decide(observe(drive, look))
    for step in steps:
        assert all(0.0 <= value <= 1.0 for value in (step.signals.of("anger"), step.signals.of("distress")))
        assert 0.0 <= step.signals.confidence <= 1.0
    assert all(later.signals.t >= earlier.signals.t for earlier, later in pairwise(steps))


def frame_rate_bound() -> float:
    """How far signals at 5 and at 60 frames a second may differ after SETTLED_S.

    Where the face changes between two frames of the slower camera, it misses up to one period: the share that one
    frame has in the mean. Changes come SHORTEST_SPELL_S apart at least, and older ones have faded (geometric sum).
    """
    tau = TIME_CONSTANT_S
    one_frame = -math.expm1(-1 / 5 / tau)
    return one_frame / -math.expm1(-SHORTEST_SPELL_S / tau) / -math.expm1(-SETTLED_S / tau)


@settings(max_examples=25, deadline=None)
@given(spells=st.lists(st.tuples(st.floats(SHORTEST_SPELL_S, 4.0), share), min_size=1, max_size=6))
def test_signals_do_not_depend_on_the_frame_rate(look: Look, spells: list[tuple[float, float]]) -> None:
    def shown(t: float) -> float:
        for length, anger in spells:
            if t <= length:
                return anger
            t -= length
        return 0.0

    slow, fast = (
        {
            n: step.signals.of("anger")
            for n, step in enumerate(decide([look(n / fps, anger=shown(n / fps)) for n in range(20 * fps)]))
        }
        for fps in (5, 60)
    )
    for n, anger in slow.items():
        if n >= SETTLED_S * 5:
            assert anger == pytest.approx(fast[12 * n], abs=frame_rate_bound())


@settings(max_examples=25, deadline=None)
@given(begin=st.floats(40.0, 42.0), length=st.floats(4.0, 7.0), anger=st.floats(0.85, 1.0))
def test_alerts_do_not_depend_on_the_frame_rate(look: Look, begin: float, length: float, anger: float) -> None:
    slow, fast = (
        alerts(
            decide(
                [look(n / fps, anger=anger if begin <= n / fps < begin + length else 0.05) for n in range(55 * fps)]
            ),
            "anger",
        )
        for fps in (5, 60)
    )
    assert [x.phase for x in slow] == [x.phase for x in fast] == [Phase.START, Phase.END]
    for one, other in zip(slow, fast, strict=True):
        assert one.t == pytest.approx(other.t, abs=FRAME_RATE_TIME_BOUND_S)
