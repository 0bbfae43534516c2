"""Simulated drives of eyes: what happens in them, what the model would read, and what comes of a judge. No picture."""

from __future__ import annotations

import numpy as np
import pytest

from calibration import night_figure, yawns_and_nods
from calibration.evaluate_fatigue import by_the_whole_decision, decide, only_fatigue
from calibration.fatigue_outcome import (
    DROWSY,
    MICROSLEEP,
    RIVALS,
    Told,
    drowsy_minutes,
    outcome,
    perclos,
    told,
)
from calibration.nights import (
    LENGTH_S,
    MICROSLEEP_S,
    RATES,
    SLOW_S,
    SORTS,
    EyeDrive,
    Script,
    Sort,
    Span,
    drive,
    film,
    held,
    write,
)
from calibration.sleepers import CONDITIONS, LOOKS, VIEWS, Look, Sleeper
from edge.config import Config
from edge.domain import EXPRESSIONS, Level, Phase, Transition
from edge.pipeline import EYES_HOLD_S
from edge.tuning.score import poisson_interval, share_interval

READ: dict[Look, float] = {
    "open": 0.95,
    "closing": 0.7,
    "nearly closed": 0.3,
    "closed": 0.03,
    "half": 0.7,
    "down": 0.7,
    "squint": 0.75,
    "laugh": 0.7,
    "far down": 0.6,
}


def sleeper(*, glasses: bool = False, **read: float) -> Sleeper:
    """A driver whose every look is read alike, and whose covered eyes cannot be read."""
    rng = np.random.default_rng(0)
    looks = {}
    for look in LOOKS:
        table = np.ones((len(CONDITIONS), 3, 2, VIEWS, 2), np.float32)
        table[..., 0] = np.clip(read.get(look, READ[look]) + rng.uniform(-0.02, 0.02, table.shape[:-1]), 0, 1)
        table[CONDITIONS.index("covered"), ..., 1] = 0.0
        looks[look] = table
    return Sleeper("drawn numbers", drawn=True, glasses=glasses, looks=looks)


@pytest.mark.parametrize("sort", SORTS)
def test_a_seed_draws_the_same_drive_again(sort: Sort) -> None:
    one, again = (drive(sort, 4, sleeper()) for _ in range(2))
    assert one.script == again.script
    assert np.array_equal(one.eyes, again.eyes)
    assert one.fps == RATES[4 % len(RATES)]
    assert not np.array_equal(one.t, drive(sort, 7, sleeper()).t)


@pytest.mark.parametrize("seed", range(4))
def test_an_awake_driver_never_shuts_the_eyes_for_a_microsleep(seed: int) -> None:
    script = write(np.random.default_rng(seed), "awake", glasses=True)
    lengths = np.array([end - start for start, end in script.closures])
    assert lengths.max() < 1.5
    at = np.arange(60, LENGTH_S["awake"])
    film_of = film(np.random.default_rng(0), script, "awake", 10.0, sleeper())
    assert perclos(film_of, at.astype(float)).max() < 0.1
    blinks = (lengths <= 0.3).sum() / (LENGTH_S["awake"] / 60)
    assert 4 < blinks < 41
    assert {"down", "squint", "laugh", "reflection"} <= set(script.told)


def test_microsleeps_have_every_length_and_stand_alone() -> None:
    scripts = [write(np.random.default_rng(seed), "microsleeps", glasses=False) for seed in range(6)]
    sleeps = [span for script in scripts for span in script.told["microsleep"]]
    lengths = np.array([end - start for start, end in sleeps])
    assert len(sleeps) > 60
    assert MICROSLEEP_S[0] <= lengths.min() < 0.8
    assert 5.0 < lengths.max() <= MICROSLEEP_S[1]
    for script in scripts:
        gaps = np.diff(np.array(script.told["microsleep"]).ravel())[1::2]
        assert gaps.min() > 55


def test_drowsy_spells_are_drowsy_without_a_microsleep() -> None:
    shares = []
    for seed in range(6):
        one = drive("drowsy", seed, sleeper())
        assert one.script.told["spell"]
        assert max(end - start for start, end in one.script.closures) <= SLOW_S[1] + 1e-9
        ends = [
            start + 60.0 * (n + 1) for start, end in one.script.told["spell"] for n in range(int((end - start) // 60))
        ]
        shares += perclos(one, np.array(ends)).tolist()
        assert set(drowsy_minutes(one)) <= set(ends)
    assert 0.15 < np.median(shares) < 0.35


@pytest.mark.parametrize("fps", RATES)
def test_a_camera_loses_frames_and_stalls(fps: float) -> None:
    script = Script(60.0, (), stalls=((20.0, 22.0),))
    seen = film(np.random.default_rng(1), script, "awake", fps, sleeper())
    assert not ((seen.t > 20.0) & (seen.t < 22.0)).any()
    assert np.median(np.diff(seen.t)) == pytest.approx(1 / fps, rel=0.1)
    assert 0.97 * 58 * fps < len(seen.t) < 58 * fps
    assert (np.diff(seen.t) > 0).all()


def test_each_frame_is_read_as_its_look_under_its_condition() -> None:
    script = Script(
        30.0,
        (Span(5.0, 8.0, "closed", "microsleep"), Span(12.0, 14.0, "down", "down")),
        hidden=((20.0, 22.0, "covered", (0,)),),
        away=((25.0, 26.0),),
    )
    seen = film(np.random.default_rng(1), script, "awake", 10.0, sleeper())
    at = {
        name: (seen.t > start) & (seen.t < end)
        for name, (start, end) in {
            "closed": (5.0, 8.0),
            "down": (12.0, 14.0),
            "covered": (20.0, 22.0),
            "away": (25.0, 26.0),
        }.items()
    }
    assert seen.openness[at["closed"]].max() < 0.1
    assert abs(float(seen.openness[at["down"]].mean()) - READ["down"]) < 0.03
    assert seen.eyes[at["covered"], 2].max() == 0.0
    assert seen.eyes[at["covered"], 3].min() == 1.0
    assert np.isnan(seen.openness[at["away"]]).all()


def test_wide_open_eyes_are_held_as_the_pipeline_holds_them() -> None:
    t = np.arange(30) / 30
    eyes = np.full((30, 4), 0.9, np.float32)
    eyes[:, 0] += np.arange(30, dtype=np.float32) / 1000
    eyes[15:20, 0] = 0.1
    passed = held(t, eyes)
    read = np.flatnonzero(np.r_[True, np.diff(passed[:, 0]) != 0])
    assert (np.diff(t[read])[:4] > EYES_HOLD_S - 0.01).all()
    assert (passed[17:20, 0] == np.float32(0.1)).all(), "closed eyes are read in every frame"


@pytest.mark.parametrize("sort", ["awake", "microsleeps", "drowsy"])
def test_thinning_changes_no_alert(sort: Sort) -> None:
    one = drive(sort, 0, sleeper())
    assert len(one.thinned()) < 0.8 * len(one.t)
    thin, full = (decide(one, only_fatigue(), thin=thin)[0] for thin in (True, False))
    assert [cause for _, cause in thin.starts] == [cause for _, cause in full.starts]
    assert np.allclose([t for t, _ in thin.starts], [t for t, _ in full.starts], atol=0.15)


def test_the_judge_finds_what_is_there_where_eyes_are_read_well() -> None:
    asleep = drive("microsleeps", 1, sleeper())
    found = outcome(asleep, *decide(asleep, only_fatigue()))
    delays = [delay for length, delay, _ in found.microsleeps if length >= 2]
    assert len(delays) >= 5
    assert not np.isnan(delays).any()
    assert max(delays) < 0.5
    awake = drive("awake", 1, sleeper(glasses=True))
    assert outcome(awake, *decide(awake, only_fatigue())).false == ()
    drowsy = drive("drowsy", 1, sleeper())
    told_of = outcome(drowsy, *decide(drowsy, only_fatigue()))
    assert told_of.minutes >= 4
    assert told_of.found == told_of.minutes


def test_a_false_alert_is_put_down_to_what_went_on() -> None:
    awake = drive("awake", 2, sleeper(down=0.05))
    found = outcome(awake, *decide(awake, only_fatigue()))
    assert found.false_of(MICROSLEEP) > 5
    assert {what for _, what in found.false} == {"down"}
    seconds, closed = found.looking["down"]
    assert closed > 0.9 * seconds > 10
    assert found.looking["squint"][1] == 0


def transition(t: float, phase: Phase, cause: str, level: Level = Level.WARNING) -> Transition:
    return Transition(t, "fatigue", phase, level, 1, 0.0, 0.5, 0.5, None, cause=cause)


def test_an_alert_that_takes_on_another_cause_begins_anew() -> None:
    said = told(
        [
            transition(10, Phase.START, DROWSY),
            transition(20, Phase.ESCALATE, MICROSLEEP, Level.URGENT),
            transition(30, Phase.END, MICROSLEEP, Level.URGENT),
            transition(50, Phase.START, MICROSLEEP),
        ],
        60.0,
    )
    assert said.starts == ((10, DROWSY), (20, MICROSLEEP), (50, MICROSLEEP))
    assert said.urgent == (20,)
    assert said.open == ((10, 20, DROWSY), (20, 30, MICROSLEEP), (50, 60.0, MICROSLEEP))


def closures(*spans: tuple[float, float]) -> EyeDrive:
    script = Script(200.0, tuple(Span(start, end, "closed", "spell") for start, end in spans))
    return film(np.random.default_rng(0), script, "drowsy", 10.0, sleeper())


def test_perclos_is_the_share_of_slow_closures_in_the_minute_before() -> None:
    one = closures((10, 16), (50, 50.2), (58, 62))
    assert perclos(one, np.array([9.0, 13.0, 60.0, 73.0, 150.0])) == pytest.approx([0, 3 / 60, 8 / 60, 7 / 60, 0])
    assert perclos(closures(), np.array([100.0])) == pytest.approx([0.0])


@pytest.mark.parametrize("rule", RIVALS.values(), ids=RIVALS)
def test_a_plain_threshold_sees_a_long_closure(rule: object) -> None:
    asleep = drive("microsleeps", 1, sleeper())
    assert callable(rule)
    said, closed = rule(asleep)
    assert isinstance(said, Told)
    long = [each for each in outcome(asleep, said, closed).microsleeps if each[0] >= 2]
    assert sum(not np.isnan(delay) for _, delay, _ in long) > 0.8 * len(long)


@pytest.mark.parametrize(
    ("events", "hours", "low", "high"), [(0, 100.0, 0.0, 0.0369), (1, 10.0, 0.0025, 0.557), (20, 200.0, 0.061, 0.154)]
)
def test_poisson_intervals_are_those_of_the_tables(events: int, hours: float, low: float, high: float) -> None:
    assert poisson_interval(events, hours) == pytest.approx((low, high), abs=0.004)


def test_a_share_of_all_is_not_told_as_certain() -> None:
    low, high = share_interval(100, 100)
    assert 0.96 < low < 0.97
    assert high == pytest.approx(1.0)


@pytest.mark.parametrize("sort", ["awake", "microsleeps", "drowsy"])
@pytest.mark.parametrize("config", [Config(), only_fatigue()], ids=["as shipped", "fatigue alone"])
def test_the_judge_alone_says_what_the_whole_decision_does(sort: Sort, config: Config) -> None:
    one = drive(sort, 2, sleeper(down=0.2))
    said = decide(one, config)[0]
    assert said.starts
    assert said == by_the_whole_decision(one, config)


def test_the_picture_of_a_night_names_all_that_it_draws_and_tells_microsleeps_apart_by_their_length() -> None:
    film = drive("night", 1, sleeper())
    figure = night_figure.night(night_figure.watch(film, Config()), 0.12)
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert len(names) == len(set(names))
    long, short = "true microsleep, at least 1.5 s", "true microsleep, under 1.5 s"
    assert {"alert: microsleep", "alert: drowsy", "level that alerts", long, short} < set(names)
    marks = {str(line.get_label()): len(np.asarray(line.get_xdata())) for line in figure.axes[0].lines}
    lasted = [end - start for start, end in film.script.told["microsleep"]]
    assert marks[long] == sum(each >= 1.5 for each in lasted) > 0
    assert marks[short] == sum(each < 1.5 for each in lasted) > 0


@pytest.mark.parametrize("sort", ["awake", "drowsy"])
def test_yawns_and_nods_are_laid_over_a_drive_that_stays_as_it_is(sort: Sort) -> None:
    one = drive(sort, 3, sleeper())
    signs = yawns_and_nods.drawn(np.random.default_rng(1), one)
    plain, shown = (list(yawns_and_nods.shown(one, given)) for given in (None, signs))
    assert [each.t for each in plain] == [each.t for each in shown]
    assert all(
        (a.eyes is None) == (b.eyes is None) and (a.eyes is None or a.eyes == b.eyes)
        for a, b in zip(plain, shown, strict=True)
    )
    assert {each.quality.pitch for each in plain if each.quality} == {0.0}
    assert any(each.quality.pitch > 10 for each in shown if each.quality)
    yawn = EXPRESSIONS.index("yawn")
    yawning = [each for each in shown if each.probabilities is not None and each.probabilities[yawn] > 0.5]
    assert 0 < len(yawning) < len(shown) / 4


def test_the_page_has_a_table_of_what_yawns_and_nods_change() -> None:
    part = yawns_and_nods.PAGE.read_text(encoding="utf-8").partition("<!-- generated: yawns and nods -->")[2]
    table = part.partition("<!-- end")[0].strip().splitlines()
    assert table[0] == f"| {' | '.join(yawns_and_nods.HEAD)} |"
    assert [line.split(" | ")[0] for line in table[2:]] == [f"| {name}" for name in yawns_and_nods.WAYS]
