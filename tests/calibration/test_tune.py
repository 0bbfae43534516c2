"""From traces and labels to thresholds: what is found, and what is said of bad input."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from edge.cli import app, main
from edge.config import Config, load_config
from edge.decision.decider import Decider
from edge.decision.expression_judge import ExpressionSettings
from edge.domain import EXPRESSION, EXPRESSIONS, EYES, FAMILIAR, Face, Observation, Quality, Reading, Sight
from edge.errors import UnavailableError, UsageError
from edge.traces.trace import TraceWriter
from edge.tuning.labels import fit_labels, read_labels
from edge.tuning.report import summary, write_report
from edge.tuning.score import Episode, Score
from edge.tuning.tune import (
    Confirmation,
    Point,
    Stage,
    Tuning,
    choose,
    deal,
    hold_out,
    recommend,
    sections,
    trade_off,
    tune,
)
from tests.awake import AWAKE
from tests.steady import steady

pytest.importorskip("ibis", reason="needs the calibration extra: pip install -e '.[calibration]'")

EPISODES = {"anger": [(40.0, 48.0), (100.0, 110.0)], "sadness": [(70.0, 79.0)]}
"""What the driver of every trace shows, at 0.75; the rest of the time 0.05, and 0.45 anger for a yawn at 130 s."""
LABELS = "start,end,kind\n40,48,anger\n100,110,anger\n70,79,distress\n"


def settings_of(tuning: Tuning, kind: str) -> ExpressionSettings:
    settings = tuning.chosen[kind].settings
    assert isinstance(settings, ExpressionSettings)
    return settings


def observation(t: float, random: np.random.Generator) -> Observation:
    if 20 <= t < 21:
        return Observation(t, Sight.NO_FACE)
    shown = {name: 0.75 for name, spans in EPISODES.items() if any(a <= t < b for a, b in spans)}
    shown = shown or {"anger": 0.45 if 130 <= t < 134 else 0.05}
    read = np.array([shown.get(name, 0.0) for name in EXPRESSIONS], np.float32)
    read[0] = max(0.0, 1.0 - read.sum() + random.normal(0, 0.02))
    quality = Quality(0.5, 0.5, 90.0, 0.0, 0.0, 0.0, 1.0)
    return Observation(
        t,
        Sight.FACE,
        Face((0, 0, 9, 9), np.zeros((5, 2), np.float32), 0.9),
        quality,
        {EXPRESSION: Reading.expression(read), EYES: AWAKE},
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two traces of two and a half minutes with the same driver, and the labels of one."""
    folder = tmp_path_factory.mktemp("drives")
    for number in (1, 2):
        random, decider = np.random.default_rng(number), Decider(Config())
        with TraceWriter(folder / f"drive{number}.jsonl") as writer:
            for n in range(1500):
                writer.write(decider.update(observation(n / 10, random)))
    (folder / "labels.csv").write_text(LABELS)
    return folder


@pytest.fixture(scope="module")
def tuning(folder: Path) -> Tuning:
    return tune([folder / "drive1.jsonl"], folder / "labels.csv", steady(), max_false_per_hour=0.5)


def test_the_choice_finds_every_episode_quickly_and_without_false_alarms(tuning: Tuning) -> None:
    for kind, count in (("anger", 2), ("distress", 1)):
        score = tuning.chosen[kind].score
        assert (score.found, score.episodes, score.false_alarms) == (count, count, 0)
        assert score.delay_s < 2.6
    real = tuning.confirmation.score
    assert (real.found, real.episodes, real.false_alarms) == (3, 3, 0)


def test_the_sections_are_ready_to_paste(tuning: Tuning, tmp_path: Path) -> None:
    path = tmp_path / "evenkeel.toml"
    path.write_text(sections(recommend(tuning.config, tuning.chosen)))
    pasted = load_config(path, {})
    assert pasted.alerts.expressions["anger"].enter == settings_of(tuning, "anger").enter
    assert pasted.alerts.expressions["distress"].hold_s == settings_of(tuning, "distress").hold_s


def test_the_report_is_one_file_with_every_plot_in_it(tuning: Tuning, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    write_report(tuning, path)
    text = path.read_text()
    assert text.count("<svg") == 4
    assert "[alerts.anger]" in text
    assert "drive1.jsonl" in text
    assert 'src="' not in text


def test_a_report_that_cannot_be_written_is_said(tuning: Tuning, tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="report cannot be written"):
        write_report(tuning, tmp_path)


def test_the_command_prints_sections_that_load_and_says_where_the_report_is(folder: Path, tmp_path: Path) -> None:
    arguments = ["tune", str(folder / "drive1.jsonl"), "--labels", str(folder / "labels.csv")]
    result = CliRunner().invoke(app, [*arguments, "--report", str(tmp_path / "r.html")])
    assert result.exit_code == 0
    path = tmp_path / "pasted.toml"
    path.write_text(result.stdout)
    load_config(path, {})
    assert "report written to" in result.stderr


def test_traces_are_found_by_relative_names(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    found = tune([Path("drive1.jsonl")], Path("labels.csv"), steady(), max_false_per_hour=0.5)
    assert found.chosen["anger"].score.found == 2


def test_two_traces_are_told_apart_by_the_labels(folder: Path, tmp_path: Path) -> None:
    labels = tmp_path / "labels.csv"
    labels.write_text("trace,start,end,kind\ndrive1.jsonl,40,48,anger\ndrive2.jsonl,100,110,anger\n")
    found = tune([folder / "drive1.jsonl", folder / "drive2.jsonl"], labels, steady(), max_false_per_hour=100.0)
    assert {(each.drive, each.start) for each in found.batch.episodes} == {(0, 40.0), (1, 100.0)}
    assert found.chosen["anger"].score.found == 2


def test_drives_that_are_too_short_to_show_a_rate_move_no_thresholds_and_this_is_said(tuning: Tuning) -> None:
    configured = steady().alerts.expressions["anger"]
    chosen = settings_of(tuning, "anger")
    assert (chosen.enter, chosen.hold_s) == (configured.enter, configured.hold_s)
    assert "too short: 0.04 h cannot show 0.166667 false alarms an hour and kind (18 h can)" in summary(tuning)[-1]


def test_each_kind_keeps_its_own_other_keys(folder: Path) -> None:
    config = steady(alerts={"anger": {"cool_down_s": 7.0}, "distress": {"urgent_s": 5.0}})
    found = tune([folder / "drive1.jsonl"], folder / "labels.csv", config, max_false_per_hour=0.5)
    assert (settings_of(found, "anger").cool_down_s, settings_of(found, "anger").urgent_s) == (7.0, 8.0)
    assert (settings_of(found, "distress").cool_down_s, settings_of(found, "distress").urgent_s) == (10.0, 5.0)
    Config.model_validate(recommend(config, found.chosen).model_dump())


def test_long_enough_drives_move_thresholds_to_the_quickest(folder: Path) -> None:
    found = tune([folder / "drive1.jsonl"], folder / "labels.csv", steady(), max_false_per_hour=1000.0)
    assert settings_of(found, "anger").hold_s < steady().alerts.expressions["anger"].hold_s
    assert "too short" not in summary(found)[-1]


def test_without_labels_what_is_configured_stays_if_it_gives_no_false_alarms(folder: Path, tmp_path: Path) -> None:
    labels = tmp_path / "labels.csv"
    labels.write_text("start,end,kind\n40,48,anger\n100,110,anger\n")
    found = tune([folder / "drive1.jsonl"], labels, steady(), max_false_per_hour=100.0)
    distress = settings_of(found, "distress")
    configured = steady().alerts.expressions["distress"]
    assert (distress.enter, distress.hold_s) == (configured.enter, configured.hold_s)


def test_lines_that_cannot_be_used_are_said_with_file_and_line_and_the_rest_is_used(
    folder: Path, tmp_path: Path
) -> None:
    lines = (folder / "drive1.jsonl").read_text().splitlines()
    lines[10] = "nonsense"
    lines[20] = '{"schema": 3, "t": 2.0}'
    path = tmp_path / "broken.jsonl"
    path.write_text("\n".join(lines)[:-40])
    found = tune([path], folder / "labels.csv", steady(), max_false_per_hour=0.5)
    assert [fault.removeprefix(f"{path}:") for fault in found.faults] == [
        "11: not JSON; line left out",
        "21: not a line of trace version 1 or 2; line left out",
        "1500: cut off, not JSON; line left out",
    ]
    assert found.chosen["anger"].score.found == 2


def test_times_that_go_back_are_said_and_used_in_the_order_of_time(folder: Path, tmp_path: Path) -> None:
    lines = (folder / "drive1.jsonl").read_text().splitlines()
    path = tmp_path / "back.jsonl"
    path.write_text("\n".join([*lines[:500], lines[502], lines[501], lines[500], *lines[503:]]) + "\n")
    found = tune([path], folder / "labels.csv", steady(), max_false_per_hour=0.5)
    assert found.faults == (
        f"{path}:502: time goes back from 50.2 s to 50.1 s; line used",
        f"{path}:503: time goes back from 50.1 s to 50 s; line used",
    )
    assert found.chosen["anger"].score.found == 2


@pytest.fixture
def faceless(tmp_path: Path) -> Path:
    path, decider = tmp_path / "empty.jsonl", Decider(Config())
    with TraceWriter(path) as writer:
        for n in range(50):
            writer.write(decider.update(Observation(n / 10, Sight.NO_FACE)))
    return path


def test_a_trace_without_a_face_alone_is_refused(faceless: Path, folder: Path) -> None:
    with pytest.raises(UnavailableError, match=r"empty\.jsonl: no face was read"):
        tune([faceless], folder / "labels.csv", steady(), max_false_per_hour=0.5)


def test_unfamiliar_faces_count_as_none(tmp_path: Path, folder: Path) -> None:
    path, decider, random = tmp_path / "strange.jsonl", Decider(Config()), np.random.default_rng(1)
    strange = Reading((EXPRESSION,), np.array([0.0], np.float32))
    with TraceWriter(path) as writer:
        for n in range(50):
            seen = observation(n / 10, random)
            writer.write(decider.update(replace(seen, readings={**seen.readings, FAMILIAR: strange})))
    with pytest.raises(UnavailableError, match=r"strange\.jsonl: no face was read"):
        tune([path], folder / "labels.csv", Config(), max_false_per_hour=0.5)


def test_traces_without_a_face_or_a_usable_line_are_said_and_the_others_used(
    faceless: Path, folder: Path, tmp_path: Path
) -> None:
    useless, labels = tmp_path / "useless.jsonl", tmp_path / "labels.csv"
    useless.write_text("nonsense\n")
    labels.write_text("trace,start,end,kind\nempty.jsonl,1,2,anger\ndrive1.jsonl,40,48,anger\n")
    traces = [faceless, useless, folder / "drive1.jsonl"]
    found = tune(traces, labels, steady(), max_false_per_hour=100.0)
    assert found.traces == (folder / "drive1.jsonl",)
    assert [each.start for each in found.batch.episodes] == [40.0]
    assert found.faults == (
        f"{useless}:1: not JSON; line left out",
        f"{faceless}: no face was read in the whole trace; trace left out",
        f"{useless}: no usable line; trace left out",
        f"{labels}:2: its trace cannot be used; label left out",
    )


def test_times_that_go_back_in_any_trace_are_said(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also in those that the real decision is not run on."""
    monkeypatch.setattr("edge.tuning.tune.CONFIRMED_HOURS", 0.01)
    lines = (folder / "drive2.jsonl").read_text().splitlines()
    path, labels = tmp_path / "back.jsonl", tmp_path / "labels.csv"
    path.write_text("\n".join([lines[0], lines[2], lines[1], *lines[3:]]) + "\n")
    labels.write_text("trace,start,end,kind\ndrive1.jsonl,40,48,anger\n")
    found = tune([folder / "drive1.jsonl", path], labels, steady(), max_false_per_hour=100.0)
    assert found.confirmation.drives == 1
    assert found.faults == (f"{path}:3: time goes back from 0.2 s to 0.1 s; line used",)


def test_a_trace_that_is_not_there_is_said(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(UnavailableError, match=r"none\.jsonl: no such trace"):
        tune([tmp_path / "none.jsonl"], folder / "labels.csv", steady(), max_false_per_hour=0.5)


def point(kind: str = "anger", *, false_alarms: int = 0, found: int = 1, **thresholds: float) -> Point:
    """Thresholds, by default those configured, and what they come to in an hour with one episode."""
    settings = steady().alerts.of(kind).model_copy(update=thresholds)
    return Point(kind, settings, Score(1.0, 1, found, false_alarms, (2.0,) * found))


class TestChoice:
    """What is chosen of sets that do as well."""

    now = steady().alerts.of("anger")

    @pytest.mark.parametrize("false_alarms", [0, 9], ids=["in the limit", "all beyond it"])
    @pytest.mark.parametrize("turned", [False, True])
    def test_on_a_tie_it_is_the_nearest_to_what_is_configured(self, false_alarms: int, turned: bool) -> None:  # noqa: FBT001
        points = [
            point(enter=0.4, hold_s=0.8, false_alarms=false_alarms),
            point(false_alarms=false_alarms),
            point(enter=0.6, hold_s=3.0, false_alarms=false_alarms),
        ]
        assert choose(points[::-1] if turned else points, 0.25, self.now) == point(false_alarms=false_alarms)

    @pytest.mark.parametrize("turned", [False, True])
    def test_of_two_as_near_it_is_the_one_that_alerts_less(self, turned: bool) -> None:  # noqa: FBT001
        points = [point(enter=0.4), point(enter=0.6)]
        assert choose(points[::-1] if turned else points, 0.25, self.now) == point(enter=0.6)

    def test_beyond_the_limit_fewer_false_alarms_count_most(self) -> None:
        points = [point(false_alarms=4), point(enter=0.6, false_alarms=3), point(enter=0.4, false_alarms=3, found=0)]
        assert choose(points, 0.25, self.now) == point(enter=0.6, false_alarms=3)

    def test_the_trade_off_is_what_would_be_chosen_as_more_false_alarms_are_allowed(self) -> None:
        strict, middle, lax = (
            point(found=0),
            point(enter=0.6, false_alarms=2, found=1),
            point(enter=0.4, false_alarms=5, found=1),
        )
        quick = Score(100.0, 1, 1, 500, (1.0,))
        points = [
            Point("anger", each.settings, Score(100.0, 1, each.score.found, each.score.false_alarms * 100, (2.0,)))
            for each in (strict, middle)
        ]
        points.append(Point("anger", lax.settings, quick))
        assert trade_off(points[::-1], self.now) == points


def test_each_point_tells_where_its_alerts_start(held_out: Tuning) -> None:
    for point in held_out.points:
        assert len(point.starts) >= point.score.found + point.score.false_alarms
    starts = held_out.chosen["anger"].starts
    assert set(starts[:, 0]) == {0, 1}
    assert all(any(a <= t <= b + 1 for a, b in EPISODES["anger"]) for t in starts[:, 1])


def test_how_far_it_is_is_told_in_the_order_of_what_it_does(folder: Path) -> None:
    told: list[tuple[Stage, float]] = []
    tune(
        [folder / "drive1.jsonl"],
        folder / "labels.csv",
        steady(),
        max_false_per_hour=0.5,
        told=lambda stage, share: told.append((stage, share)),
    )
    assert list(dict.fromkeys(stage for stage, _ in told)) == [Stage.READ, Stage.SWEEP, Stage.TRY, Stage.CONFIRM]
    for stage in (Stage.SWEEP, Stage.TRY):
        shares = [share for each, share in told if each is stage]
        assert shares == sorted(shares)
        assert 0 <= shares[0] < shares[-1] <= 1


def test_figures_are_given_with_their_intervals(tuning: Tuning) -> None:
    anger = summary(tuning)[0]
    assert "2 of 2 episodes found (95 %: 34% to 100%), 0.00 false alarms per hour (95 %: 0.00 to 8" in anger


def test_labels_of_other_traces_that_are_known_are_left_out_without_a_word(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("start,end,kind,trace\n1,2,anger,a.jsonl\n3,4,anger,b.jsonl\n")
    read = read_labels(path, [tmp_path / "b.jsonl"], pytest.fail, others=[tmp_path / "a.jsonl"])
    assert [label.episode for label in read] == [Episode(0, "anger", 3.0, 4.0)]


def test_a_trace_is_found_by_its_path_from_the_labels_folder(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("start,end,kind,trace\n1,2,anger,a.jsonl\n3,4,anger,van/a.jsonl\n")
    read = read_labels(path, [tmp_path / "van" / "a.jsonl", tmp_path / "a.jsonl"], pytest.fail)
    assert [(label.episode.drive, label.episode.start) for label in read] == [(1, 1.0), (0, 3.0)]


def test_what_is_configured_is_among_what_is_tried_to_the_last_digit(folder: Path) -> None:
    own = {"enter": 0.53, "hold_s": 1.7}
    config = Config.model_validate({"alerts": {"anger": own, "distress": own}})
    found = tune([folder / "drive1.jsonl"], folder / "labels.csv", config, max_false_per_hour=0.5)
    for kind in ("anger", "distress"):
        assert {name: getattr(settings_of(found, kind), name) for name in own} == own


@pytest.fixture
def unlabelled(folder: Path, tmp_path: Path) -> list[str]:
    """A command whose drives hold anger and distress that nobody has labelled."""
    labels = tmp_path / "none.csv"
    labels.write_text("start,end,kind\n")
    report = str(tmp_path / "report.html")
    return ["tune", str(folder / "drive1.jsonl"), "--labels", str(labels), "--report", report]


def test_where_nothing_keeps_the_limit_nothing_is_recommended(
    unlabelled: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["evenkeel", *unlabelled])
    for name in ("ENTERS", "HOLDS_S"):
        monkeypatch.setattr(f"edge.tuning.tune.{name}", ())  # what is configured alone
    monkeypatch.setenv("EVENKEEL_ALERTS__ANGER__HOLD_S", "1")
    with pytest.raises(SystemExit) as ended:
        main()
    printed = capsys.readouterr()
    assert ended.value.code == 69
    assert "[alerts." not in printed.out
    assert "no thresholds keep 0.166667 false alarms of anger an hour; with the fewest it is" in printed.err
    assert "no thresholds recommended" in printed.err
    assert "<h2>Nothing is recommended</h2>" in (tmp_path / "report.html").read_text()


def test_a_choice_that_the_real_decision_refutes_gives_way_to_the_next(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[Config] = []

    def confirm(_: object, __: object, config: Config, ___: object) -> Confirmation:
        tried.append(config)
        false_alarms = {"anger": 3 if len(tried) < 3 else 0, "distress": 0}
        return Confirmation(1, {kind: Score(1.0, 1, 1, false_alarms[kind], (2.0,)) for kind in false_alarms}, ())

    monkeypatch.setattr("edge.tuning.tune.confirm", confirm)
    found = tune(
        [folder / "drive1.jsonl"],
        folder / "labels.csv",
        steady(alerts={"fatigue": {"enabled": False}}),
        max_false_per_hour=0.5,
    )
    assert len({config.alerts.of("anger").model_dump_json() for config in tried}) == 3
    assert len({config.alerts.of("distress").model_dump_json() for config in tried}) == 1
    assert recommend(found.config, found.chosen) == tried[-1]
    assert not found.broken


def test_what_the_real_decision_refutes_every_time_is_not_recommended(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = {kind: Score(1.0, 1, 1, 2, (2.0,)) for kind in ("anger", "distress")}
    monkeypatch.setattr("edge.tuning.tune.confirm", lambda *_: Confirmation(1, scores, ()))
    found = tune(
        [folder / "drive1.jsonl"],
        folder / "labels.csv",
        steady(alerts={"fatigue": {"enabled": False}}),
        max_false_per_hour=0.5,
    )
    assert "in the real decision, which gives 4 in 1.00 h" in found.broken[0]


class TestLabels:
    @pytest.fixture
    def read(self, tmp_path: Path) -> Callable[..., tuple[list[Episode], list[str]]]:
        def read(text: str, *, leave_out_unknown: bool = False) -> tuple[list[Episode], list[str]]:
            path, faults = tmp_path / "labels.csv", list[str]()
            path.write_text(text)
            labels = read_labels(path, [Path("drive.jsonl")], faults.append, leave_out_unknown=leave_out_unknown)
            episodes = fit_labels(labels, {0: (0.0, 100.0)}, path, faults.append)
            return episodes, [fault.removeprefix(f"{path}:") for fault in faults]

        return read

    @pytest.mark.parametrize("leave_out_unknown", [False, True])
    @pytest.mark.parametrize(
        ("row", "fault"),
        [
            ("a,5,anger", "start = 'a', end = '5': both must be seconds"),
            ("5,5,anger", "start = 5 must be before end = 5"),
            ("nan,5,anger", "start = nan must be before end = 5"),
            ("1,inf,anger", "start = 1 must be before end = inf"),
            ("200,300,anger", "lies outside its trace, which goes from 0 s to 100 s"),
        ],
    )
    def test_a_wrong_label_is_an_error_with_its_line(
        self,
        read: Callable[..., tuple[list[Episode], list[str]]],
        tmp_path: Path,
        row: str,
        fault: str,
        leave_out_unknown: bool,  # noqa: FBT001 - a parameter of the test
    ) -> None:
        with pytest.raises(UsageError) as caught:
            read(f"start,end,kind\n10,20,anger\n{row}\n", leave_out_unknown=leave_out_unknown)
        assert str(caught.value) == f"{tmp_path}/labels.csv:3: {fault}"

    @pytest.mark.parametrize(
        ("row", "fault"),
        [
            ("1,5,angry,", "kind = 'angry': must be one of anger, distress, fatigue"),
            ("1,5,,", "kind = '': must be one of anger, distress, fatigue"),
            ("1,5,anger,other.jsonl", "trace = 'other.jsonl': not one of the traces given"),
            (
                "1,5,anger,another_folder/drive.jsonl",
                "trace = 'another_folder/drive.jsonl': not one of the traces given",
            ),
        ],
    )
    def test_a_label_of_another_kind_or_trace_is_an_error_unless_it_is_left_out(
        self, read: Callable[..., tuple[list[Episode], list[str]]], tmp_path: Path, row: str, fault: str
    ) -> None:
        text = f"start,end,kind,trace\n10,20,anger,drive.jsonl\n{row}\n"
        with pytest.raises(UsageError) as caught:
            read(text)
        said = f"{tmp_path}/labels.csv:3: {fault} (--leave-out-unknown goes on without such labels)"
        assert str(caught.value) == said
        episodes, faults = read(text, leave_out_unknown=True)
        assert episodes == [Episode(0, "anger", 10.0, 20.0)]
        assert faults == [f"3: {fault}; label left out"]

    def test_every_wrong_label_is_named_up_to_a_number(
        self, read: Callable[..., tuple[list[Episode], list[str]]]
    ) -> None:
        with pytest.raises(UsageError) as caught:
            read("start,end,kind\n" + "1,5,angry\n" * 30)
        lines = str(caught.value).splitlines()
        assert len(lines) == 21
        assert lines[-1].endswith("labels.csv: and 10 more labels are wrong")

    def test_labels_that_overlap_are_joined_and_one_that_reaches_out_is_cut(
        self, read: Callable[..., tuple[list[Episode], list[str]]]
    ) -> None:
        episodes, faults = read("start,end,kind\n10,20,anger\n15,30,anger\n15,30,distress\n90,200,anger\n")
        assert [(each.kind, each.start, each.end) for each in episodes] == [
            ("anger", 10.0, 30.0),
            ("anger", 90.0, 100.0),
            ("distress", 15.0, 30.0),
        ]
        assert faults == [
            "3: overlaps the anger before it; joined to one",
            "5: reaches out of its trace, which goes from 0 s to 100 s; label cut",
        ]

    def test_no_label_at_all_is_said(self, read: Callable[..., tuple[list[Episode], list[str]]]) -> None:
        episodes, (fault,) = read("start,end,kind\n")
        assert episodes == []
        assert "no label; only false alarms can be counted" in fault

    @pytest.mark.parametrize("text", ["", "begin,end,kind\n1,2,anger\n"])
    def test_a_file_without_the_columns_is_refused(self, tmp_path: Path, text: str) -> None:
        path = tmp_path / "labels.csv"
        path.write_text(text)
        with pytest.raises(UsageError, match=r"labels\.csv:1: no column start"):
            read_labels(path, [Path("a.jsonl")], print)

    def test_several_traces_need_their_column(self, tmp_path: Path) -> None:
        path = tmp_path / "labels.csv"
        path.write_text(LABELS)
        with pytest.raises(UsageError, match="no column trace"):
            read_labels(path, [Path("a.jsonl"), Path("b.jsonl")], print)


class TestNames:
    """Which trace a label is for."""

    TRACES = (Path("a/d.jsonl"), Path("b/d.jsonl"), Path("b/e.jsonl"))

    def numbers(self, folder: Path, names: list[str], traces: tuple[Path, ...] = TRACES) -> list[int]:
        path = folder / "labels.csv"
        path.write_text("start,end,kind,trace\n" + "".join(f"1,5,anger,{name}\n" for name in names))
        return [label.episode.drive for label in read_labels(path, traces, print)]

    def test_a_trace_is_named_by_as_much_of_its_path_as_tells_it_apart(self, tmp_path: Path) -> None:
        names = ["a/d.jsonl", "b/d.jsonl", "./b/d.jsonl", "e.jsonl", str(Path("b/d.jsonl").resolve())]
        assert self.numbers(tmp_path, names) == [0, 1, 1, 2, 1]

    def test_a_name_that_may_be_two_traces_is_refused_with_the_remedy(self, tmp_path: Path) -> None:
        said = r"labels\.csv:2: trace = 'd\.jsonl': may be a/d\.jsonl or b/d\.jsonl; write as much of the path as"
        with pytest.raises(UsageError, match=said):
            self.numbers(tmp_path, ["d.jsonl"])

    def test_the_path_as_it_was_given_is_no_other_trace(self, tmp_path: Path) -> None:
        assert self.numbers(tmp_path, ["d.jsonl", "b/d.jsonl"], (Path("d.jsonl"), Path("b/d.jsonl"))) == [0, 1]

    def test_a_part_of_a_name_is_not_that_trace(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="not one of the traces given"):
            self.numbers(tmp_path, ["rive.jsonl"], (Path("drive.jsonl"),))

    def test_an_empty_name_is_the_only_trace_and_none_of_several(self, tmp_path: Path) -> None:
        assert self.numbers(tmp_path, [""], (Path("a/d.jsonl"),)) == [0]
        with pytest.raises(UsageError, match="trace is empty"):
            self.numbers(tmp_path, [""])

    def test_a_trace_given_twice_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="this trace is given twice"):
            self.numbers(tmp_path, [], (Path("d.jsonl"), Path("./a/../d.jsonl")))


def test_a_jump_of_a_day_gives_no_day_of_drive(folder: Path, tmp_path: Path) -> None:
    lines = (folder / "drive1.jsonl").read_text().splitlines()
    lines[-1] = json.dumps(json.loads(lines[-1]) | {"t": 93_600.0})
    path = tmp_path / "jump.jsonl"
    path.write_text("\n".join(lines) + "\n")
    found = tune([path], folder / "labels.csv", steady(), max_false_per_hour=0.5)
    assert found.batch.hours == pytest.approx((149.8 + 30) / 3600, rel=0.01)
    assert found.confirmation.score.hours == pytest.approx((149.8 + 30) / 3600, rel=0.01)
    assert any("time jumps from 149.8 s to 93600 s" in fault for fault in found.faults)


def test_numbers_that_no_measurement_gives_are_no_readings(folder: Path, tmp_path: Path) -> None:
    lines = (folder / "drive1.jsonl").read_text().splitlines()
    line = json.loads(lines[5])
    for number, change in enumerate(({"t": 1e308}, {"quality": line["quality"] | {"weight": 1e308}}), 10):
        lines[number] = json.dumps(json.loads(lines[number]) | change)
    path = tmp_path / "wild.jsonl"
    path.write_text("\n".join(lines) + "\n")
    found = tune([path], folder / "labels.csv", steady(), max_false_per_hour=0.5)
    assert [fault.removeprefix(f"{path}:").split(":")[0] for fault in found.faults] == ["11", "12"]
    assert found.batch.hours == pytest.approx(149.9 / 3600, rel=0.01)


def test_an_engine_that_cannot_read_traces_is_named_with_those_that_can(folder: Path) -> None:
    with pytest.raises(UnavailableError, match=r"sqlite://: traces are read by duckdb:// and pyspark://"):
        tune([folder / "drive1.jsonl"], folder / "labels.csv", steady(), max_false_per_hour=0.5, engine="sqlite://")


@pytest.fixture(scope="module")
def held_out(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Tuning:
    """Two traces, both labelled, of which each is held out once."""
    labels = tmp_path_factory.mktemp("labels") / "labels.csv"
    rows = [f"drive{n}.jsonl,{line}" for n in (1, 2) for line in LABELS.split()[1:]]
    labels.write_text("\n".join(["trace,start,end,kind", *rows]) + "\n")
    traces = [folder / "drive1.jsonl", folder / "drive2.jsonl"]
    return tune(traces, labels, steady(), max_false_per_hour=1000.0)


def test_thresholds_are_quoted_from_traces_that_they_were_not_chosen_on(held_out: Tuning) -> None:
    assert held_out.held_out is not None
    assert (held_out.held_out.folds, held_out.held_out.traces) == (2, 2)
    assert (held_out.held_out.score.found, held_out.held_out.score.episodes) == (6, 6)
    assert held_out.held_out.score.hours == pytest.approx(300 / 3600, rel=0.01)
    *chosen_on, said = summary(held_out)
    assert said.startswith("held out: thresholds chosen without a trace, 2 parts in turn")
    assert all(line.endswith("(on the drives it was chosen on)") for line in chosen_on)


def test_each_part_is_held_out_with_a_choice_that_never_saw_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Low thresholds give no false alarm on the first trace, high ones none on the second."""

    def points(low: int, high: int) -> list[Point]:
        return [
            point(kind, enter=enter, false_alarms=count)
            for kind in ("anger", "distress")
            for enter, count in ((0.4, low), (0.6, high))
        ]

    by_fold = [points(low=0, high=9), points(low=9, high=0)]
    tried: list[tuple[str, float]] = []

    def confirm(traces: list[Path], _: object, config: Config, *__: object) -> Confirmation:
        tried.append((traces[0].name, config.alerts.expressions["anger"].enter))
        scores = {kind: Score(1.0, 1, 1, 0, (2.0,)) for kind in ("anger", "distress")}
        return Confirmation(1, scores, ())

    monkeypatch.setattr("edge.tuning.tune.confirm", confirm)
    hold_out(by_fold, [[0], [1]], [folder / "drive1.jsonl", folder / "drive2.jsonl"], [], Config(), 0.5)
    assert tried == [("drive1.jsonl", 0.6), ("drive2.jsonl", 0.4)]


def test_with_one_trace_nothing_is_held_out_and_this_is_said(tuning: Tuning) -> None:
    assert tuning.held_out is None
    assert "held out: nothing; with one trace no figure tells of other drives" in summary(tuning)


def test_traces_are_dealt_to_parts_each_to_one() -> None:
    assert deal(1) == [[0]]
    assert deal(3) == [[0], [1], [2]]
    parts = deal(12)
    assert len(parts) == 5
    assert sorted(each for part in parts for each in part) == list(range(12))


def test_parts_of_a_batch_make_up_the_whole(held_out: Tuning) -> None:
    batch = held_out.batch
    one, other = batch.part([0]), batch.part([1])
    assert one.hours + other.hours == pytest.approx(batch.hours)
    assert [each.drive for each in (*one.episodes, *other.episodes)] == [0] * 6
    for part, number in ((one, 0), (other, 1)):
        starts = [each.start for each in batch.episodes if each.drive == number]
        assert [each.start for each in part.episodes] == starts
        inside = part.episode >= 0
        assert (inside == (batch.episode[:, :, [number]] >= 0)).all()
        kinds = [part.kinds.index(part.episodes[n].kind) for n in part.episode[inside]]
        assert kinds == np.nonzero(inside)[0].tolist()
