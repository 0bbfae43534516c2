"""Fatigue by the eyes: what is a microsleep, what is drowsy, what is neither, and what is not known."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.config import Config
from edge.decision.closures import BLINK_S, NARROWEST, OPEN, SHALLOW, Closures, OwnOpenness, Window
from edge.decision.decider import Decider
from edge.decision.judges.fatigue import LOST_AFTER_S, OVER, UNREAD_AFTER_S, FatigueSettings
from edge.domain import Eyes, Level, Observation, Phase, ReasonCode, State, Step, Transition

Look = Callable[..., Observation]
Spell = tuple[float, float]
"""Seconds, and how far both eyes are open then; below 0: they cannot be read."""

SHUT = 0.05
NEARLY = 0.4
"""Closed by P80, but not deeply: an eye that looks down is misread so."""
HIDDEN = -1.0
RATES = (5.0, 10.0, 15.0, 30.0, 60.0)


def eyes(openness: float, other: float | None = None) -> Eyes:
    right = openness if other is None else other
    return Eyes(max(openness, 0.0), max(right, 0.0), float(openness >= 0), float(right >= 0))


def film(look: Look, spells: Iterable[Spell], fps: float = 15.0, start: float = 10.0) -> Iterator[Observation]:
    """A calm face, frame by frame."""
    n = 0
    end = 0.0
    for seconds, openness in spells:
        end += seconds
        while n / fps < end - 1e-9:
            yield look(start + n / fps, eyes=eyes(openness).reading())
            n += 1


def watch(observations: Iterable[Observation], config: Config | None = None) -> list[Step]:
    decider = Decider(config or Config())
    return [decider.update(each) for each in observations]


def transitions(steps: Iterable[Step], kind: str = "fatigue") -> list[Transition]:
    return [each for step in steps for each in step.transitions if each.kind == kind]


def told(steps: Iterable[Step]) -> list[tuple[Phase, Level, str | None]]:
    return [(each.phase, each.level, each.cause) for each in transitions(steps)]


def drowsy(seconds: float, share: float, closure_s: float = 0.9) -> list[Spell]:
    """Slow closures for so large a share of the time, none of them a microsleep."""
    cycle_s = closure_s / share
    return [(closure_s, SHUT), (cycle_s - closure_s, OPEN)] * round(seconds / cycle_s)


@pytest.mark.parametrize("fps", RATES)
def test_eyes_closed_for_a_second_and_a_half_are_a_microsleep_at_every_frame_rate(look: Look, fps: float) -> None:
    steps = watch(film(look, [(30, OPEN), (2.4, SHUT), (6, OPEN)], fps))
    assert told(steps) == [
        (Phase.START, Level.WARNING, "microsleep"),
        (Phase.END, Level.WARNING, "microsleep"),
    ]
    start, end = transitions(steps)
    assert start.t - 40.0 == pytest.approx(1.5, abs=0.3)
    assert end.t - 42.4 == pytest.approx(3.0, abs=0.3)
    assert start.reason.code is ReasonCode.NONE
    assert end.reason.code is ReasonCode.CALM


@pytest.mark.parametrize("fps", RATES)
def test_three_seconds_are_urgent(look: Look, fps: float) -> None:
    steps = watch(film(look, [(30, OPEN), (4, SHUT), (6, OPEN)], fps))
    assert [each.phase for each in transitions(steps)] == [Phase.START, Phase.ESCALATE, Phase.END]
    assert transitions(steps)[1].t - 40.0 == pytest.approx(3.0, abs=0.3)


@pytest.mark.parametrize("fps", RATES)
def test_blinks_and_a_sneeze_are_no_fatigue(look: Look, fps: float) -> None:
    blinking = [(2.8, OPEN), (0.25, SHUT)] * 22
    steps = watch(film(look, [*blinking, (1.0, SHUT), *blinking], fps))
    assert told(steps) == []
    assert {step.state for step in steps[round(2 * fps) :]} == {State.CALM}


def test_a_look_down_that_is_misread_as_nearly_closed_is_no_microsleep(look: Look) -> None:
    assert told(watch(film(look, [(30, OPEN), (2.8, NEARLY), (6, OPEN)]))) == []


def test_whoever_sleeps_with_lids_that_read_as_nearly_closed_is_found_later(look: Look) -> None:
    steps = watch(film(look, [(30, OPEN), (5, NEARLY), (6, OPEN)]))
    assert told(steps)[0] == (Phase.START, Level.WARNING, "microsleep")
    assert transitions(steps)[0].t - 40.0 == pytest.approx(1.5 / SHALLOW, abs=0.3)


def blinking(seconds: float, openness: float, shut: float) -> list[Spell]:
    """A blink every four seconds."""
    return [(0.2, shut), (3.8, openness)] * round(seconds / 4)


def test_closed_is_what_this_drivers_blinks_are_read_as(look: Look) -> None:
    """Some eyes are never read as shut; whoever was seen to blink is found as soon as others."""
    for shut in (SHUT, NEARLY, 0.5):
        steps = watch(film(look, [*blinking(300, 0.9, shut), (2.4, shut), (6, 0.9)]))
        assert told(steps) == [(Phase.START, Level.WARNING, "microsleep"), (Phase.END, Level.WARNING, "microsleep")]
        assert transitions(steps)[0].t - 310.0 == pytest.approx(1.5, abs=0.3)


def test_a_look_down_that_is_read_as_more_open_than_the_drivers_blinks_is_no_microsleep(look: Look) -> None:
    looking = [*blinking(60, OPEN, SHUT), (2.8, NEARLY), (3.0, OPEN)] * 8
    assert told(watch(film(look, looking))) == []


def test_blinks_alone_move_what_closed_is_read_as_and_no_further_than_half_of_open() -> None:
    own = OwnOpenness()
    for _ in range(6000):
        own.learn(0.7, 0.1)
    assert own.shut == pytest.approx(0.35, abs=0.02), "eyes that were never seen closed"
    own = OwnOpenness()
    for n in range(6000):
        own.learn(0.3 if n % 60 == 0 else OPEN, 0.1)
    assert own.shut == pytest.approx(0.3, abs=0.03)
    assert own.on_the_way(0.5) == pytest.approx((own.shut + own.level) / 2)


def test_an_eye_that_is_misread_as_half_open_does_not_hide_a_closure(look: Look) -> None:
    def seen() -> Iterator[Observation]:
        for n in range(15 * 40):
            asleep = 30 <= n / 15 < 33.4
            yield look(10 + n / 15, eyes=(eyes(SHUT, 0.5) if asleep else eyes(OPEN)).reading())

    assert [phase for phase, *_ in told(watch(seen()))] == [Phase.START, Phase.END]


def test_an_alert_that_is_over_does_not_come_back_while_the_lids_hang(look: Look) -> None:
    steps = watch(film(look, [*blinking(120, OPEN, SHUT), (2.4, SHUT), (60, 0.5)]))
    assert [phase for phase, *_ in told(steps)] == [Phase.START, Phase.END]
    assert steps[-1].signals.kinds["fatigue"].signal < 0.1


def test_frames_read_as_nearly_closed_do_not_end_a_deep_closure(look: Look) -> None:
    steps = watch(film(look, [(30, OPEN), *[(0.4, SHUT), (0.2, NEARLY)] * 4, (6, OPEN)]))
    assert told(steps)[0] == (Phase.START, Level.WARNING, "microsleep")


def test_a_wink_is_no_closure(look: Look) -> None:
    winking = (look(10 + n / 15, eyes=eyes(SHUT, OPEN).reading()) for n in range(15 * 20))
    assert told(watch(winking)) == []


@pytest.mark.parametrize("side", [0, 1])
def test_one_readable_eye_speaks_for_both(look: Look, side: int) -> None:
    def half(openness: float) -> Eyes:
        return eyes(*((openness, HIDDEN) if side else (HIDDEN, openness)))

    seen = [look(10 + n / 15, eyes=half(OPEN if n < 450 else SHUT).reading()) for n in range(500)]
    assert told(watch(seen)) == [
        (Phase.START, Level.WARNING, "microsleep"),
        (Phase.ESCALATE, Level.URGENT, "microsleep"),
    ]


def test_a_frame_that_is_misread_does_not_end_a_closure(look: Look) -> None:
    spells = [(30.0, OPEN), *[(0.6, SHUT), (1 / 30, OPEN)] * 4, (6.0, OPEN)]
    assert [phase for phase, _, _ in told(watch(film(look, spells, 30)))] == [Phase.START, Phase.END]


@pytest.mark.parametrize("shown", ["yawn", "happiness"])
def test_a_yawn_or_a_laugh_that_shuts_the_eyes_is_no_microsleep(look: Look, shown: str) -> None:
    def faces(seconds: float) -> Iterator[Observation]:
        for n in range(round(15 * (20 + seconds))):
            aside = n >= 300
            yield look(10 + n / 15, eyes=eyes(SHUT if aside else OPEN).reading(), **({shown: 0.9} if aside else {}))

    steps = watch(faces(6))
    assert told(steps) == []
    assert steps[-1].signals.kinds["fatigue"].readable
    assert told(watch(faces(10.5))) == [(Phase.START, Level.WARNING, "microsleep")]


def test_blinks_do_not_hold_up_the_end_of_an_alert(look: Look) -> None:
    steps = watch(film(look, [(30, OPEN), (2.0, SHUT), *[(1.0, OPEN), (0.2, SHUT)] * 6]))
    end = transitions(steps)[-1]
    assert end.phase is Phase.END
    assert end.t == pytest.approx(42 + 3.0, abs=1.0)


def test_narrow_eyes_are_not_closed_ones(look: Look) -> None:
    narrow, before = 0.62, [(0.2, SHUT), (3.8, 0.62)] * 30
    steps = watch(film(look, [*before, (60, 0.45), (5, narrow)]))
    assert told(steps) == []
    assert [phase for phase, *_ in told(watch(film(look, [*before, (2.0, 0.2), (5, narrow)])))] == [
        Phase.START,
        Phase.END,
    ]


@pytest.mark.parametrize("fps", [10.0, 15.0, 30.0])
def test_slow_closures_are_drowsy_and_urgent_if_they_go_on(look: Look, fps: float) -> None:
    steps = watch(film(look, [(60, OPEN), *drowsy(200, 0.2), (90, OPEN)], fps))
    assert told(steps) == [
        (Phase.START, Level.WARNING, "drowsy"),
        (Phase.ESCALATE, Level.URGENT, "drowsy"),
        (Phase.END, Level.URGENT, "drowsy"),
    ]
    start, _, end = transitions(steps)
    assert 70 + 20 < start.t < 70 + 60
    assert 270 < end.t < 270 + 60


def test_a_microsleep_of_a_drowsy_driver_is_urgent_at_once(look: Look) -> None:
    steps = watch(film(look, [(60, OPEN), *drowsy(55, 0.2), (1.8, SHUT), (3, OPEN)]))
    assert told(steps)[:2] == [(Phase.START, Level.WARNING, "drowsy"), (Phase.ESCALATE, Level.URGENT, "microsleep")]
    assert transitions(steps)[1].t == pytest.approx(10 + 60 + 54 + 1.5, abs=2.0)


@pytest.mark.parametrize("drowsy_s", [55, 200])
def test_a_microsleep_of_a_drowsy_driver_does_not_end_the_alert_before_the_drowsiness(
    look: Look, drowsy_s: int
) -> None:
    steps = watch(
        film(look, [(60, OPEN), *drowsy(drowsy_s, 0.2), (2.0, SHUT), (4, OPEN), *drowsy(30, 0.2), (90, OPEN)])
    )
    assert [phase for phase, _, _ in told(steps)] == [Phase.START, Phase.ESCALATE, Phase.END]
    end = transitions(steps)[-1]
    (share,) = (step.signals.figures["perclos"] for step in steps if step.signals.t == end.t)
    assert share == pytest.approx(OVER * FatigueSettings().perclos, abs=0.01)


def test_a_microsleep_after_an_urgent_drowsy_alert_that_lasted_is_told_although_one_was_in_it(look: Look) -> None:
    config = Config.model_validate({"alerts": {"fatigue": {"max_alert_s": 60}}})
    microsleep = [(2.0, SHUT), (4, OPEN)]
    steps = watch(film(look, [(60, OPEN), *drowsy(55, 0.2), *microsleep, *drowsy(60, 0.2), *microsleep]), config)
    said = [(each.phase, each.cause, each.reason.code) for each in transitions(steps)]
    lasted = said.index((Phase.END, "microsleep", ReasonCode.LASTING))
    assert said[lasted + 1] == (Phase.START, "microsleep", ReasonCode.NONE)


def test_a_drowsy_alert_that_lasted_too_long_does_not_hide_a_microsleep(look: Look) -> None:
    config = Config.model_validate({"alerts": {"fatigue": {"max_alert_s": 60}}})
    steps = watch(film(look, [(60, OPEN), *drowsy(240, 0.2), (2.0, SHUT), (4, OPEN)]), config)
    said = [(each.phase, each.cause, each.reason.code) for each in transitions(steps)]
    lasted = said.index((Phase.END, "drowsy", ReasonCode.LASTING))
    assert said[lasted + 1] == (Phase.START, "microsleep", ReasonCode.NONE)


def test_perclos_waits_until_enough_was_read(look: Look) -> None:
    half_read = [(0.9, SHUT), (1.0, OPEN), (3.0, HIDDEN)] * 60
    steps = watch(film(look, half_read))
    assert told(steps) == []
    assert {step.signals.figures["perclos"] for step in steps} == {None}
    assert steps[-1].signals.figures["readable_share"] == pytest.approx(1.9 / 4.9, abs=0.03)


def test_figures_are_those_of_the_last_minute(look: Look) -> None:
    blinking = [(2.75, OPEN), (0.25, SHUT)] * 20
    figures = watch(film(look, [*blinking, *blinking]))[-1].signals.figures
    assert figures["blinks_per_minute"] == pytest.approx(20, abs=1)
    assert figures["perclos"] == 0.0
    assert figures["readable_share"] == pytest.approx(1.0, abs=0.02)
    figures = watch(film(look, [*blinking, *drowsy(120, 0.1)]))[-1].signals.figures
    assert figures["perclos"] == pytest.approx(0.1, abs=0.01)


def test_eyes_that_cannot_be_read_are_said_and_not_called_calm(look: Look) -> None:
    steps = watch(film(look, [(20, OPEN), (10, HIDDEN), (5, OPEN)]))
    assert told(steps) == []
    hidden = [step for step in steps if 30 + UNREAD_AFTER_S < step.signals.t < 40]
    assert {(step.state, step.reason.code) for step in hidden} == {(State.UNCERTAIN, ReasonCode.EYES_UNREADABLE)}
    assert all(not step.signals.kinds["fatigue"].readable for step in hidden)
    assert all(step.signals.kinds["anger"].readable for step in hidden)
    assert steps[-1].state is State.CALM


def test_calm_need_not_wait_for_eyes_behind_sunglasses(look: Look) -> None:
    config = Config.model_validate({"alerts": {"fatigue": {"holds_up_calm": False}}})
    steps = watch(film(look, [(20, OPEN), (20, HIDDEN)]), config)
    assert steps[-1].state is State.CALM
    assert not steps[-1].signals.kinds["fatigue"].readable


def test_without_a_reading_of_the_eyes_nothing_is_known_of_fatigue(look: Look) -> None:
    steps = watch(look(10 + n / 15, eyes=None) for n in range(300))
    assert (steps[-1].state, steps[-1].reason.code) == (State.UNCERTAIN, ReasonCode.EYES_UNREADABLE)
    off = Config.model_validate({"alerts": {"fatigue": {"enabled": False}}})
    steps = watch((look(10 + n / 15, eyes=None) for n in range(300)), off)
    assert steps[-1].state is State.CALM
    assert steps[-1].signals.figures == {}


def test_an_alert_ends_when_the_eyes_are_hidden_for_long(look: Look) -> None:
    steps = watch(film(look, [(30, OPEN), (2.0, SHUT), (LOST_AFTER_S + 3, HIDDEN)]))
    end = transitions(steps)[-1]
    assert (end.phase, end.reason.code) == (Phase.END, ReasonCode.EYES_UNREADABLE)
    assert end.t == pytest.approx(42 + LOST_AFTER_S, abs=0.2)


def test_a_pause_forgets_the_closure(look: Look) -> None:
    decider = Decider(Config())
    for seen in film(look, [(30, OPEN), (1.2, SHUT)]):
        decider.update(seen)
    decider.pause(41.2, 0.5)
    steps = [decider.update(seen) for seen in film(look, [(3.0, SHUT)], start=41.3)]
    starts = [each.t for each in transitions(steps)]
    assert len(starts) == 1
    assert starts[0] == pytest.approx(41.8 + 1.5, abs=0.2)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"microsleep_s": 4.0}, "microsleep_urgent_s must not be below microsleep_s"),
        ({"perclos": 0.3}, "perclos_urgent must not be below perclos"),
        ({"perclos": 0.0}, "perclos"),
        ({"microsleep_s": 0.1}, "microsleep_s"),
    ],
)
def test_settings_that_cannot_be_are_refused(table: dict[str, float], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Config.model_validate({"alerts": {"fatigue": table}})


@pytest.mark.parametrize("sensitivity", ["low", "normal", "high"])
def test_sensitivity_moves_every_threshold_one_way(sensitivity: str) -> None:
    of = Config.model_validate({"alerts": {"sensitivity": sensitivity}}).alerts.of("fatigue")
    normal = Config().alerts.of("fatigue")
    keys = ("microsleep_s", "perclos", "perclos_urgent")
    sign = {"low": 1, "normal": 0, "high": -1}[sensitivity]
    assert [np.sign(getattr(of, key) - getattr(normal, key)) for key in keys] == [sign] * 3


spells = st.lists(st.tuples(st.floats(0.05, 8.0), st.sampled_from([SHUT, 0.3, 0.55, OPEN, HIDDEN])), max_size=12)


@settings(max_examples=25, deadline=None)
@given(spells=spells, fps=st.sampled_from([5.0, 15.0]))
def test_every_alert_ends_and_levels_never_skip(look: Look, spells: list[Spell], fps: float) -> None:
    brief = Config.model_validate({"alerts": {"fatigue": {"microsleep_s": 0.5, "microsleep_urgent_s": 1.0}}})
    steps = watch(film(look, [*spells, (90, OPEN)], fps), brief)
    phases = [each.phase for each in transitions(steps)]
    for before, after in pairwise(phases):
        assert (after is Phase.START) == (before is Phase.END)
    assert not phases or (phases[0], phases[-1]) == (Phase.START, Phase.END)
    assert steps[-1].state is State.CALM


def test_own_openness_is_that_of_open_eyes_however_drowsy() -> None:
    own = OwnOpenness()
    assert own.level == pytest.approx(OPEN, abs=0.02)
    for n in range(6000):
        own.learn(SHUT if n % 10 < 3 else 0.7, 0.1)
    assert own.level == pytest.approx(0.7, abs=0.03)
    for _ in range(20000):
        own.learn(0.1, 0.1)
    assert own.level == NARROWEST


def test_a_window_forgets_what_is_older_and_never_counts_below_nothing() -> None:
    window = Window(60)
    for n in range(1200):
        window.add(n / 10, 0.1, 0.1 if n < 600 else 0.0)
    assert window.closed == pytest.approx(0.0, abs=0.02)
    assert window.read == pytest.approx(1.0, abs=0.02)
    window.add(5000.0, 0.0, 0.0)
    assert (window.read, window.closed) == (0.0, 0.0)


def test_a_blink_is_counted_once_and_leaves_no_closed_time() -> None:
    closures = Closures()
    for n in range(100):
        closures.update(n / 20, 0.05, 0.05, SHUT if 40 <= n < 40 + round((BLINK_S - 0.1) * 20) else OPEN)
    assert closures.blinks == 1
    assert closures.short.closed == 0.0
