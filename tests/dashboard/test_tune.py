"""The page Tune behind the browser: drives and what is wrong with them, marks that nobody loses, tuning as a job."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import threading
import time
from base64 import b64decode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from edge.cli import app
from edge.config import load_config
from edge.dashboard.tune.desk import Desk
from edge.dashboard.tune.drives import Drives
from edge.dashboard.tune.marks import ConflictError, Mark, Marks
from edge.dashboard.tune.view import CELLS, UNKNOWN, Curves, view
from edge.decision.decider import Decider
from edge.domain import Observation, Sight, State
from edge.errors import UnavailableError, UsageError
from edge.traces.parts import RotatingTrace
from edge.traces.trace import TraceLine
from edge.tuning.labels import read_labels
from tests.dashboard.conftest import a_dashboard, written
from tests.dashboard.recorded import ANGRY_S, GONE_S, LENGTH_S, record
from tests.dashboard.test_server import LOCKED, Browser
from tests.steady import steady

PATIENCE_S = 200
ANGER = Mark(*ANGRY_S, "anger")


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One drive."""
    return record(tmp_path_factory.mktemp("recorded") / "drive.jsonl")


@pytest.fixture
def folder(tmp_path: Path, recorded: Path) -> Path:
    """The same drive three times, once in a folder of its own."""
    folder = tmp_path / "drives"
    (folder / "van-7").mkdir(parents=True)
    for name in ("a.jsonl", "b.jsonl", "van-7/a.jsonl"):
        shutil.copyfile(recorded, folder / name)
    return folder


@pytest.fixture
def marks(folder: Path) -> Marks:
    return Marks(folder / "labels.csv", folder)


def put(marks: Marks, name: str, add: list[Mark], remove: list[Mark] | None = None) -> list[Mark]:
    """Change the marks of a drive."""
    drives = Drives(marks.path.parent)
    return marks.change(drives.get(name), drives.names(), remove or [], add)


def marked(marks: Marks, name: str) -> list[Mark]:
    """The marks of a drive, as the file has them."""
    return marks.read(Drives(marks.path.parent).names()).marks.get(name, [])


# ---- the folder


def test_drives_are_listed_with_length_and_device_and_those_that_cannot_be_used_with_the_reason(folder: Path) -> None:
    (folder / "empty.jsonl").touch()
    (folder / "new.jsonl").write_text('{"schema": 9, "t": 0}\n')
    (folder / "cut.jsonl").write_text('{"schema": 2, "t"')
    (folder / "text.jsonl").write_bytes(b"\xff\xfe\x00 what is this?\n")
    (folder / "link.jsonl").symlink_to("/etc/passwd")
    (folder / "folder.jsonl").mkdir()
    (folder / "notes.txt").write_text("no drive")
    os.mkfifo(folder / "pipe.jsonl")
    found = {drive.name: drive for drive in Drives(folder).all()[0]}
    good = found.pop("a.jsonl")
    assert (good.start_s, good.end_s, good.device, good.told, good.fault) == (0.0, LENGTH_S - 0.2, None, False, "")
    assert good.begun is not None
    assert found.pop("van-7/a.jsonl").device == "van-7"
    assert not found.pop("b.jsonl").fault
    assert {name: drive.fault for name, drive in found.items()} == {
        "empty.jsonl": "empty",
        "new.jsonl": "line 1: not a line of trace version 1 or 2",
        "cut.jsonl": "line 1: cut off, not JSON",
        "text.jsonl": "line 1: not JSON",
        "link.jsonl": "a link; put the trace itself here",
        "pipe.jsonl": "not a regular file",
    }


def test_a_time_that_no_calendar_has_is_not_known(folder: Path, page: Browser) -> None:
    lines = (folder / "a.jsonl").read_text().splitlines()
    early = [{**json.loads(line), "time": "0001-01-01T00:00:00Z"} for line in lines[50:]]
    early[0].pop("time")
    (folder / "b.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in early))
    status, _, body = page.ask("GET", "/tune/drives")
    assert (status, [each["begun"] is None for each in json.loads(body)["drives"]]) == (200, [False, True, False])


def test_a_trace_of_the_service_tells_its_device_and_when_it_began(tmp_path: Path) -> None:
    config = steady()
    times: Iterator[float | None] = iter([None, *(1_750_000_000.0 + n for n in range(100))])
    path = tmp_path / "all" / "drive.jsonl"
    path.parent.mkdir()
    decider = Decider(config)
    with RotatingTrace(path, config.trace, lambda: next(times), device="van-9") as trace:
        for t in range(3):
            trace.write(decider.update(Observation(100.0 + t, Sight.NO_FACE)))
    (drive,) = Drives(path.parent).all()[0]
    assert (drive.device, drive.told) == ("van-9", True)
    assert drive.begun is not None
    assert abs(drive.begun.timestamp() - 1_750_000_000) <= 2


@pytest.mark.parametrize(
    "name",
    [
        "../s.jsonl",
        "/etc/passwd",
        "van-7/../../s.jsonl",
        "a\0.jsonl",
        "x" * 5000,
        "",
        ".",
        "way/s.jsonl",
    ],
)
def test_no_name_leads_out_of_the_folder(name: str, folder: Path, recorded: Path) -> None:
    shutil.copyfile(recorded, folder.parent / "s.jsonl")
    (folder / "way").symlink_to(folder.parent)
    drives = Drives(folder)
    with pytest.raises(UsageError, match="no drive"):
        drives.get(name)
    assert all("way" not in drive.name for drive in drives.all()[0])


def test_a_folder_that_is_not_there_is_said_before_anything_is_served(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["dashboard", "--listen", "127.0.0.1:0", "--traces", str(tmp_path / "none")])
    assert "none: traces cannot be read: No such file or directory; name another folder" in str(result.exception)
    result = CliRunner().invoke(app, ["dashboard", "--labels", "x.csv"])
    assert "--labels belongs to --traces" in str(result.exception)


# ---- marks


def test_marks_are_labels_that_tune_reads(folder: Path, marks: Marks) -> None:
    put(marks, "a.jsonl", [ANGER])
    put(marks, "van-7/a.jsonl", [Mark(1.0, 2.25, "fatigue")])
    traces = [folder / "a.jsonl", folder / "van-7" / "a.jsonl"]
    labels = read_labels(marks.path, traces, pytest.fail)
    assert [(label.episode.drive, label.episode.kind) for label in labels] == [(0, "anger"), (1, "fatigue")]
    assert marks.path.read_text() == "start,end,kind,trace\n12,22,anger,a.jsonl\n1,2.25,fatigue,van-7/a.jsonl\n"
    others = read_labels(marks.path, traces[:1], pytest.fail, others=traces[1:])
    assert [label.episode.start for label in others] == [12.0]


def test_a_mark_is_moved_and_taken_away(marks: Marks) -> None:
    put(marks, "a.jsonl", [ANGER])
    assert put(marks, "a.jsonl", [Mark(11.0, 22.0, "anger")], [ANGER]) == [Mark(11.0, 22.0, "anger")]
    assert put(marks, "a.jsonl", [], [Mark(11.0, 22.0, "anger")]) == []
    assert marked(marks, "a.jsonl") == []


def test_what_else_stands_in_the_file_stays_to_the_letter(marks: Marks) -> None:
    by_hand = (
        'note,kind,start,end,trace\n"by, hand",anger,1,2,b.jsonl\n,joy,1,2,a.jsonl\nx,anger,5,3,a.jsonl\n\n'
        ",anger,1,2,gone.jsonl\n"
    )
    marks.path.write_text(by_hand)
    marks.path.chmod(0o640)
    put(marks, "a.jsonl", [ANGER])
    assert marks.path.read_text() == by_hand + ",anger,12,22,a.jsonl\n"
    assert marks.path.stat().st_mode & 0o777 == 0o640
    read = marks.read(["a.jsonl", "b.jsonl"])
    assert [fault.partition(":")[0] for fault in read.faults] == ["line 3", "line 4", "line 6"]
    assert read.marks == {"a.jsonl": [ANGER], "b.jsonl": [Mark(1.0, 2.0, "anger")]}


def test_a_file_for_one_drive_alone_gets_a_column_that_names_it(tmp_path: Path) -> None:
    record(tmp_path / "only.jsonl")
    marks = Marks(tmp_path / "labels.csv", tmp_path)
    marks.path.write_text("start,end,kind\n1,3,anger\n")
    assert put(marks, "only.jsonl", [ANGER]) == [Mark(1.0, 3.0, "anger"), ANGER]
    assert marked(marks, "only.jsonl") == [Mark(1.0, 3.0, "anger"), ANGER]


def test_what_somebody_else_changed_meanwhile_is_not_written_over(marks: Marks) -> None:
    put(marks, "a.jsonl", [ANGER])
    put(marks, "a.jsonl", [Mark(10.0, 22.0, "anger")], [ANGER])  # the other one was quicker
    before = marks.path.read_bytes()
    with pytest.raises(ConflictError, match=r"the anger from 12 s to 22 s of a\.jsonl is not there any more"):
        put(marks, "a.jsonl", [Mark(13.0, 22.0, "anger")], [ANGER])
    assert marks.path.read_bytes() == before


@pytest.mark.parametrize(
    ("mark", "why"),
    [
        (Mark(-1.0, 3.0, "anger"), "lies outside of the drive, which goes from 0 s to 29.8 s"),
        (Mark(25.0, 31.0, "anger"), "lies outside of the drive"),
        (Mark(20.0, 25.0, "anger"), "overlaps the anger from 12 s to 22 s"),
        (Mark(5.0, 5.0, "anger"), "start = 5 must be before end = 5"),
        (Mark(1.0, 3.0, "joy"), "kind = 'joy': must be one of"),
    ],
)
def test_a_mark_that_makes_no_sense_is_refused_and_nothing_changes(mark: Mark, why: str, marks: Marks) -> None:
    put(marks, "a.jsonl", [ANGER])
    before = marks.path.read_bytes()
    with pytest.raises(UsageError, match=why):
        put(marks, "a.jsonl", [mark])
    assert marks.path.read_bytes() == before
    assert put(marks, "a.jsonl", [Mark(20.0, 25.0, "distress")])  # of another kind it may


@pytest.mark.parametrize("text", [b"\xff\xfe\x00\x01", b"from,to\n1,2\n", b'start,end,kind\n"' + b"x" * 200_000])
def test_a_file_that_is_none_of_labels_is_left_alone(text: bytes, marks: Marks) -> None:
    marks.path.write_bytes(text)
    with pytest.raises(UnavailableError, match=r"labels\.csv: "):
        put(marks, "a.jsonl", [ANGER])
    assert marks.path.read_bytes() == text


def test_of_many_who_mark_at_once_none_loses_a_mark(marks: Marks) -> None:
    threads = [
        threading.Thread(target=put, args=(marks, "a.jsonl", [Mark(float(n), n + 0.5, "anger")])) for n in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert {mark.start for mark in marked(marks, "a.jsonl")} == set(map(float, range(16)))
    assert [path.name for path in marks.path.parent.glob(".*")] == []


def test_marks_that_cannot_be_kept_leave_the_file_as_it_was(marks: Marks, monkeypatch: pytest.MonkeyPatch) -> None:
    put(marks, "a.jsonl", [ANGER])
    before = marks.path.read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("edge.board.whole.os.fsync", full)
    with pytest.raises(UnavailableError, match="marks cannot be kept: No space left on device"):
        put(marks, "a.jsonl", [Mark(1.0, 2.0, "anger")])
    assert marks.path.read_bytes() == before
    assert [path.name for path in marks.path.parent.glob(".*")] == []


# ---- the curves of a drive


def codes(told: dict[str, Any], kind: str, end: str) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """A curve as it was sent."""
    return np.frombuffer(b64decode(told["curves"][kind][end]), np.uint8)


def test_a_drive_is_told_with_its_alerts_and_what_was_not_seen_is_unknown(folder: Path) -> None:
    told = view(folder / "a.jsonl", ("anger", "distress"), lambda _: None)
    high = codes(told, "anger", "high")
    assert len(high) == LENGTH_S / told["step_s"]
    unseen = [n for n, code in enumerate(high) if code == UNKNOWN]
    assert unseen == list(range(int(GONE_S[0] / 0.2), int(GONE_S[1] / 0.2)))
    (alert,) = told["alerts"]
    assert alert["kind"] == "anger"
    assert ANGRY_S[0] < alert["start"] < ANGRY_S[1]
    assert alert["end"] is not None


def a_line(t: float, signal: float, state: State = State.CALM, reason: str = "") -> TraceLine:
    told = {"schema": 2, "t": t, "sight": "face", "face": None, "quality": None, "readings": {"expression": {}}}
    return TraceLine.model_validate(told | {"signals": {"anger": signal}, "state": state, "reason": reason})


def test_of_a_long_drive_each_peak_is_kept() -> None:
    curves = Curves(("anger",))
    hours = 40
    for n in range(hours * 60):
        curves.add(a_line(60.0 * n, 1.0 if n == 777 else 0.25))
    told = curves.told()
    low, high = codes(told, "anger", "low"), codes(told, "anger", "high")
    assert len(high) <= CELLS
    assert high.tobytes().count(bytes([250])) == 1
    assert set(low) == {62, 250, UNKNOWN}
    assert round(float(np.argmax(np.where(high == UNKNOWN, 0, high))) * told["step_s"] / 60) == 777


def test_an_older_trace_tells_its_alerts_by_the_state_and_its_words() -> None:
    curves = Curves(("anger",))
    for t, state in enumerate((State.CALM, State.WARNING, State.URGENT, State.CALM)):
        curves.add(a_line(float(t), 0.5, state, "" if state is State.CALM else "anger"))
    assert curves.told()["alerts"] == [{"kind": "anger", "start": 1.0, "urgent": 2.0, "end": 3.0}]


# ---- who may, and what is answered


@pytest.fixture
def page(folder: Path) -> Iterator[Browser]:
    """A browser at a dashboard with these drives."""
    with a_dashboard(load_config(written(folder.parent, 1), {}), traces=folder) as address:
        yield Browser(address)


@pytest.fixture
def locked(folder: Path) -> Iterator[Browser]:
    """The same with passwords."""
    with a_dashboard(load_config(written(folder.parent, 1, LOCKED), {}), traces=folder) as address:
        yield Browser(address)


def change(name: str = "a.jsonl", **keys: Any) -> dict[str, Any]:
    """A request that marks."""
    return {"drive": name, "add": [{"start": 12.0, "end": 22.0, "kind": "anger"}]} | keys


RUN = {"drives": ["a.jsonl"], "max_false_per_hour": 0.5}


def test_only_an_operator_marks_and_tunes(locked: Browser) -> None:
    assert locked.ask("GET", "/tune/drives")[0] == 401
    assert locked.log_in("only look at it") == 200
    assert locked.ask("GET", "/tune/drives")[0] == 200
    for path, body in (("/tune/marks", change()), ("/tune/run", RUN), ("/tune/cancel", {})):
        assert locked.post(path, body) == (403, {"error": "only an operator may do that", "key": "operator"})
    assert locked.log_in("turn the wheel") == 200
    assert locked.post("/tune/marks", change(), X_CSRF_Token=None)[0] == 403
    assert locked.post("/tune/marks", change())[0] == 200


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/tune/marks", change("../a.jsonl"), 400),
        ("/tune/marks", change(add=[{"start": "1", "end": 2.0, "kind": "anger"}]), 400),
        ("/tune/marks", change(add=[{"start": 1.0, "end": 99.0, "kind": "anger"}]), 400),
        ("/tune/marks", change(remove=[{"start": 1.0, "end": 2.0, "kind": "anger"}]), 409),
        ("/tune/run", RUN | {"drives": []}, 409),
        ("/tune/run", RUN | {"drives": ["../a.jsonl"]}, 400),
        ("/tune/run", RUN | {"max_false_per_hour": -1.0}, 400),
        ("/tune/run", RUN | {"engine": "duckdb:///etc/passwd"}, 400),
    ],
)
def test_bad_requests_are_answered_in_words_and_change_nothing(
    path: str, body: dict[str, Any], status: int, page: Browser, folder: Path
) -> None:
    page.session()
    answered, told = page.post(path, body)
    assert (answered, bool(told["error"])) == (status, True)
    assert not (folder / "labels.csv").exists()


@pytest.mark.parametrize("kind", ["secret", "pipe", "folder", "nowhere"])
def test_what_stands_where_the_labels_should_is_told_to_nobody(kind: str, page: Browser, folder: Path) -> None:
    labels = folder / "labels.csv"
    if kind == "pipe":
        os.mkfifo(labels)
    elif kind == "folder":
        labels.mkdir()
    else:
        (folder.parent / "secret").write_text("operator,s3cret\n")
        labels.symlink_to(folder.parent / kind)
    status, _, body = page.ask("GET", "/tune/labels")
    assert (status, b"s3cret" in body) == (404 if kind == "nowhere" else 503, False)
    told = json.loads(page.ask("GET", "/tune/drives")[2])
    assert ("labels.csv: " in told["problem"], "s3cret" in told["problem"]) == (kind != "nowhere", False)
    if kind != "nowhere":
        page.session()
        assert page.post("/tune/marks", change())[0] == 503


def test_without_a_folder_the_page_says_how_to_name_one(tmp_path: Path) -> None:
    with a_dashboard(load_config(written(tmp_path, 1), {})) as address:
        status, _, body = Browser(address).ask("GET", "/tune/drives")
    assert (status, "--traces DIR" in body.decode()) == (404, True)


@pytest.mark.parametrize("path", ["/tune/result", "/tune/report", "/tune/labels", "/tune/drive?name=../a.jsonl"])
def test_what_is_not_there_is_not_found(path: str, page: Browser) -> None:
    assert page.ask("GET", path)[0] == 404


# ---- tuning


def finished(desk: Desk, act: Callable[[], Any] = lambda: None) -> dict[str, Any]:
    """Have the desk tune on a.jsonl and b.jsonl, with ``act`` while it runs; return what is told last."""

    async def tune() -> dict[str, Any]:
        desk.start(["a.jsonl", "b.jsonl"], desk.drives.names(), 0.5)
        told: dict[str, Any] = {}
        end = time.monotonic() + PATIENCE_S
        async for text in desk.events(lambda: time.monotonic() < end):
            if not text.startswith("event: tune"):
                continue
            told = json.loads(text.partition("data: ")[2])["job"]
            if told["state"] != "running":
                break
            answer = act()
            if asyncio.iscoroutine(answer):
                await answer
        return told

    return asyncio.run(tune())


@pytest.fixture
def desk(folder: Path, hasty: None) -> Iterator[Desk]:
    pytest.importorskip("ibis", reason="needs the calibration extra: pip install -e '.[calibration]'")
    del hasty
    made = Desk(steady(), folder)
    yield made
    asyncio.run(made.close())


@pytest.mark.timeout(300)
def test_figures_are_those_that_the_command_prints(desk: Desk, folder: Path, tmp_path: Path) -> None:
    for name in ("a.jsonl", "b.jsonl", "van-7/a.jsonl"):
        put(desk.marks, name, [ANGER])
    assert finished(desk) == {"state": "done"}
    made = json.loads(desk.result() or b"")
    config = tmp_path / "steady.toml"
    config.write_text("".join(f"[alerts.{kind}]\nenter = 0.5\nhold_s = 1.5\n" for kind in ("anger", "distress")))
    arguments = ["tune", str(folder / "a.jsonl"), str(folder / "b.jsonl"), "--labels", str(desk.marks.path)]
    arguments += ["--config", str(config), "--report", str(tmp_path / "r.html"), "--leave-out-unknown"]
    printed = CliRunner().invoke(app, arguments).stdout
    assert [f"# {line}" for line in made["summary"]] == [line for line in printed.splitlines() if line.startswith("#")]
    assert any(line.startswith("held out: thresholds chosen without a trace") for line in made["summary"])
    section = desk.sections({})
    assert section == printed
    anger = made["kinds"]["anger"]
    best = anger["points"][anger["chosen"]]
    assert (best["found"], best["episodes"]) == (2, 2)
    assert {drive for drive, _ in best["starts"]} == {0, 1}
    assert anger["chosen"] == anger["configured"]
    other = next(place for place in range(len(anger["points"])) if place != anger["chosen"])
    by_hand = desk.sections({"anger": other})
    assert "# anger by hand, not as recommended above" in by_hand
    (tmp_path / "by-hand.toml").write_text(by_hand)
    enter = load_config(tmp_path / "by-hand.toml", {}).alerts.expressions["anger"].enter
    assert enter == anger["points"][other]["settings"]["enter"]
    assert b"<svg" in (desk.report() or b"")
    for chosen in ({"joy": 0}, {"anger": 10_000}, {"anger": -1}):
        with pytest.raises(UsageError):
            desk.sections(chosen)


def test_a_second_one_has_to_wait_and_a_cancelled_one_leaves_nothing_behind(desk: Desk) -> None:
    with pytest.raises(UsageError, match="nothing was tuned yet"):
        desk.sections({})

    async def again_then_cancel() -> None:
        with pytest.raises(UsageError, match="tuning runs already"):
            desk.start(["a.jsonl"], ["a.jsonl"], 0.5)
        await desk.cancel()

    assert finished(desk, again_then_cancel) == {"state": "cancelled"}
    assert desk.result() is None
    assert list(desk._made.iterdir()) == []


def test_why_it_failed_is_said_and_the_marks_stay(desk: Desk) -> None:
    labels = "start,end,kind,trace\n5,3,anger,a.jsonl\n"
    desk.marks.path.write_text(labels)
    told = finished(desk)
    assert told["state"] == "failed"
    assert told["error"].endswith("labels.csv:2: start = 5 must be before end = 3")
    assert desk.marks.path.read_text() == labels


def test_where_nothing_can_be_kept_that_is_said_and_another_may_begin(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device", "/tmp/result-1")  # noqa: S108 - a name in an error

    with monkeypatch.context() as patch:
        patch.setattr(Path, "mkdir", full)
        told = finished(desk)
    assert told == {"state": "failed", "error": "/tmp/result-1: No space left on device"}  # noqa: S108 - as above
    assert desk._task is None


def test_what_was_cleared_away_is_not_there_any_more(folder: Path) -> None:
    desk = Desk(steady(), folder)
    assert b"curves" in asyncio.run(desk.view("a.jsonl"))
    shutil.rmtree(desk._made)
    assert b"curves" in asyncio.run(desk.view("b.jsonl"))
    desk._result = 1
    assert (desk.result(), desk.report()) == (None, None)
    asyncio.run(desk.close())
    assert desk._folder is not None
    assert not desk._folder.exists()


def test_a_process_that_may_not_be_nice_goes_on_all_the_same(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As in a confined service, which systemd denies it."""
    (tmp_path / "sitecustomize.py").write_text(
        "import os\n\n\ndef nice(_):\n    raise PermissionError(1, 'Operation not permitted')\n\n\nos.nice = nice\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    desk.marks.path.write_text("start,end,kind,trace\n5,3,anger,a.jsonl\n")
    assert finished(desk)["error"].endswith("labels.csv:2: start = 5 must be before end = 3")


def test_a_process_that_is_killed_is_said(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.dashboard.tune.desk.sys.executable", "/bin/false")
    assert finished(desk) == {"state": "failed", "error": "it ended too early"}
