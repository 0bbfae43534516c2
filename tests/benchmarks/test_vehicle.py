"""What an emulated machine is judged by: cuts are planned, outboxes compared, and a disk forgets as a real one may."""

from __future__ import annotations

import json
import random
import shutil
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import pytest
from rich.console import Console

from benchmarks.board.stage import CLIP, thin
from benchmarks.vehicle import __main__ as program
from benchmarks.vehicle.checks import CHECKS, Check
from benchmarks.vehicle.cuts import (
    ALERTS,
    AT_ONCE_S,
    FIRST_START,
    LONGEST_S,
    SERIES,
    file_system_faults,
    plan,
    release_faults,
)
from benchmarks.vehicle.disk import BLOCK, ForgetfulDisk, served
from benchmarks.vehicle.guest import GuestError, Start, command_line
from benchmarks.vehicle.image import Image
from benchmarks.vehicle.image.build import of_version
from benchmarks.vehicle.image.files import CAMERA, DEVICE_ID, FILES
from benchmarks.vehicle.lab import Lab
from benchmarks.vehicle.outcome import (
    Cut,
    FaultError,
    ImpossibleError,
    Outcome,
    Results,
    Verdict,
    check_rows,
    cut_rows,
)
from benchmarks.vehicle.page import write_page
from benchmarks.vehicle.sockets import Agent, AnswerError
from benchmarks.vehicle.stored import Kept, Number, Stored, compare, known, parse
from benchmarks.vehicle.systems import SYSTEMS, MissingError, require, system_of
from edge.config import load_config

EPOCH = 77


def alert(sequence: int, **changes: Any) -> dict[str, Any]:
    return {"epoch": EPOCH, "sequence": sequence, "id": f"id {sequence}", "resent": False} | changes


def stored(*sequences: int, newest: Number | None = None, sound: str = "ok", **changes: Any) -> Stored:
    rows = {(EPOCH, sequence): Kept(alert(sequence, **changes), waits=False) for sequence in sequences}
    return Stored(rows, newest or (EPOCH, max(sequences, default=0)), sound)


def before(*sequences: int) -> dict[Number, Mapping[str, Any]]:
    return known([alert(sequence) for sequence in sequences], Stored())


def test_an_outbox_that_kept_everything_and_went_on_is_well() -> None:
    assert compare(before(1, 2), stored(1, 2, 3)) == []
    assert compare({}, Stored()) == []
    assert compare(before(1), stored(1, resent=True)) == []


@pytest.mark.parametrize(
    ("after", "fault"),
    [
        (stored(1, newest=(EPOCH, 2)), f"lost: {EPOCH}/2"),
        (stored(1, 2, id="another"), f"renumbered: {EPOCH}/1 is another alert now"),
        (stored(1, 2, newest=(EPOCH, 1)), f"counts on from {EPOCH}/1, behind {EPOCH}/2"),
        (stored(1, 2, newest=(EPOCH + 1, 0)), f"began another epoch: {EPOCH + 1}/0 after {EPOCH}/2"),
        (stored(1, 2, sound="row 7 missing from index"), "SQLite: row 7 missing from index"),
    ],
)
def test_what_a_cut_did_to_an_outbox_is_told(after: Stored, fault: str) -> None:
    assert fault in compare(before(1, 2), after)


def test_an_alert_counts_as_stored_where_it_was_heard_or_lay_in_the_outbox() -> None:
    assert sorted(known([alert(1)], stored(2))) == [(EPOCH, 1), (EPOCH, 2)]


def test_what_the_machine_says_of_its_outbox_is_read() -> None:
    text = json.dumps({"alerts": [[EPOCH, 1, True, alert(1)]], "counter": [EPOCH, 1], "sound": "ok"})
    assert parse(text) == Stored({(EPOCH, 1): Kept(alert(1), waits=True)}, (EPOCH, 1), "ok")
    assert parse(json.dumps({"alerts": [], "counter": None, "sound": "ok"})) == Stored()


def test_a_journal_that_was_played_back_is_no_fault_of_the_file_system() -> None:
    assert file_system_faults("root: recovering journal\nroot: 41,220/262,144 files\n", "0") == []
    assert file_system_faults("root: UNEXPECTED INCONSISTENCY; RUN fsck MANUALLY.\n", "0") != []
    assert file_system_faults("", "3") == ["the kernel counts 3 errors of the file system"]


def test_the_same_cut_is_planned_whenever_it_is_asked_for() -> None:
    for series in SERIES:
        plans = [plan(series, number) for number in range(30)]
        assert plans == [plan(series, number) for number in range(30)]
        assert len({one.at_s for one in plans}) == len(plans)
        assert all(0 <= one.at_s <= (AT_ONCE_S if one.after_alert else LONGEST_S[series]) for one in plans)
    assert {plan(ALERTS, number).after_alert for number in range(30)} == {False, True}
    assert {plan(FIRST_START, number).after_alert for number in range(30)} == {False}


@pytest.fixture
def base(tmp_path: Path) -> Path:
    path = tmp_path / "base.raw"
    path.write_bytes(bytes(8 * BLOCK))
    return path


@pytest.fixture
def chance() -> random.Random:
    return random.Random(3)  # noqa: S311 - moments, not secrets


def test_a_disk_forgets_what_was_not_flushed_and_keeps_what_was(base: Path, chance: random.Random) -> None:
    disk = ForgetfulDisk(base)
    disk.write(BLOCK - 2, b"flushed")
    disk.flush()
    disk.write(3 * BLOCK, b"not flushed")
    assert disk.read(3 * BLOCK, 11) == b"not flushed"
    assert disk.cut(chance, share=0.0) == 1
    assert disk.read(BLOCK - 2, 7) == b"flushed"
    assert disk.read(3 * BLOCK, 11) == bytes(11)
    assert base.read_bytes() == bytes(8 * BLOCK)


def test_some_of_what_was_not_flushed_may_outlive_a_cut_in_any_order(base: Path, chance: random.Random) -> None:
    disk = ForgetfulDisk(base)
    for number in range(8):
        disk.write(number * BLOCK, b"x")
    forgotten = disk.cut(chance, share=0.5)
    assert 0 < forgotten < 8
    assert sum(disk.read(number * BLOCK, 1) == b"x" for number in range(8)) == 8 - forgotten


class Client:
    """An NBD client of one disk, as far as the tests need one."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(str(path))
        self._file = self._socket.makefile("rwb")
        self._file.read(18)
        self._file.write(struct.pack(">I", 3))
        self._option(8)  # structured replies, which the server does not have
        assert self._reply()[0] == 2**31 + 1
        self._option(7, struct.pack(">I4sH", 4, b"disk", 0))
        _, self.export = self._reply()
        assert self._reply()[0] == 1

    def _option(self, number: int, content: bytes = b"") -> None:
        self._file.write(struct.pack(">QII", 0x49484156454F5054, number, len(content)) + content)
        self._file.flush()

    def _reply(self) -> tuple[int, bytes]:
        _, _, kind, length = struct.unpack(">QIII", self._file.read(20))
        return kind, self._file.read(length)

    def ask(
        self, kind: int, offset: int = 0, length: int = 0, content: bytes = b"", flags: int = 0
    ) -> tuple[int, bytes]:
        head = struct.pack(">IHHQQI", 0x25609513, flags, kind, 9, offset, length or len(content))
        self._file.write(head + content)
        self._file.flush()
        _, error, handle = struct.unpack(">IIQ", self._file.read(16))
        assert handle == 9
        return error, self._file.read(length) if kind == 0 else b""

    def hang_up(self) -> None:
        self._file.close()
        self._socket.close()


def test_a_machine_reads_writes_and_flushes_the_disk_over_its_socket(base: Path, tmp_path: Path) -> None:
    disk = ForgetfulDisk(base)
    with served(disk, tmp_path / "s") as options:
        client = Client(Path(options["server.path"]))
        assert struct.unpack(">HQH", client.export) == (0, 8 * BLOCK, 1 | 4 | 8)
        assert client.ask(1, offset=10, content=b"not flushed") == (0, b"")
        assert client.ask(0, offset=10, length=11) == (0, b"not flushed")
        assert client.ask(1, offset=2 * BLOCK, content=b"forced", flags=1) == (0, b"")
        assert (set(disk.kept), set(disk.unflushed)) == ({2}, {0})
        assert client.ask(3) == (0, b"")
        assert (set(disk.kept), set(disk.unflushed)) == ({0, 2}, set())
        assert client.ask(99)[0] != 0
        client.hang_up()


@contextmanager
def answering(path: Path, answer: Callable[[dict[str, Any]], dict[str, Any]]) -> Iterator[None]:
    """An agent that gives these answers to one asker."""
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    server.listen(1)

    def serve() -> None:
        connection, _ = server.accept()
        with connection, connection.makefile("rwb") as file:
            for line in file:
                file.write(json.dumps(answer(json.loads(line.rpartition(b"\xff")[2]))).encode() + b"\n")
                file.flush()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.close()
        thread.join(5)


def test_a_command_in_the_machine_gives_its_code_and_what_it_printed(tmp_path: Path) -> None:
    asked = []

    def answer(question: dict[str, Any]) -> dict[str, Any]:
        asked.append(question["execute"])
        if question["execute"] == "guest-exec":
            return {"return": {"pid": 4}}
        if asked.count("guest-exec-status") < 2:
            return {"return": {"exited": False}}
        return {"return": {"exited": True, "exitcode": 3, "out-data": "b3V0", "err-data": "ZXJy"}}

    with answering(tmp_path / "agent", answer), Agent(tmp_path / "agent", 1.0) as agent:
        output = agent.run("false")
    assert (output.code, output.text) == (3, "outerr")


def test_what_the_machine_refuses_is_told(tmp_path: Path) -> None:
    refusal = {"error": {"class": "CommandNotFound", "desc": "guest-exec is disabled"}}
    with (
        answering(tmp_path / "agent", lambda _: refusal),
        Agent(tmp_path / "agent", 1.0) as agent,
        pytest.raises(AnswerError, match="guest-exec is disabled"),
    ):
        agent.run("true")


def results() -> Results:
    checks = {
        "doctor": Outcome(Verdict.PASS, "24 pass", 41.0, "2026-11-28"),
        "suspend": Outcome(Verdict.IMPOSSIBLE, "no sleep here", 1.0, "2026-11-28"),
        "camera busy": Outcome(Verdict.FAIL, "still blind", 90.0, "2026-11-28"),
    }
    cuts = [
        Cut(SERIES[0], 4.5, 3, 0, repaired=False, boot_s=31.0),
        Cut(SERIES[0], 9.0, 2, 7, repaired=True, boot_s=33.0, faults=("lost: 1/2",)),
    ]
    return Results(checks, cuts)


def test_results_are_read_again_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    results().write(path)
    assert Results.read(path) == results()
    assert Results.read(tmp_path / "none.json") == Results()


@pytest.mark.parametrize("text", ["{", "[]", '{"checks": {"doctor": {}}, "cuts": []}'])
def test_a_file_that_holds_no_results_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "results.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"results\.json: no results of this program"):
        Results.read(path)


def test_the_tables_say_what_passed_what_could_not_be_tried_and_what_was_not_run() -> None:
    rows = check_rows(["doctor", "suspend", "exposure"], {"Debian 12": results()})
    assert [row[1] for row in rows] == ["passes: 24 pass", "not possible: no sleep here", "not run"]
    assert cut_rows(SERIES, {"Debian 12": results()}) == [[SERIES[0], "Debian 12", "2", "5", "7", "1", "33 s", "1"]]
    assert results().faults == ["camera busy: still blind", f"{SERIES[0]}, cut at 9.0 s: lost: 1/2"]


def test_the_page_takes_the_tables(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "<!-- generated: checks -->\n\n<!-- end: checks -->\n\n<!-- generated: cuts -->\n\n<!-- end: cuts -->\n"
    )
    write_page({"Debian 12, amd64": results()}, page)
    assert "| doctor | passes: 24 pass |" in page.read_text()
    assert f"| {SERIES[0]} | Debian 12, amd64 | 2 |" in page.read_text()


def fails() -> str:
    raise FaultError("still\nblind")


def impossible() -> str:
    raise ImpossibleError("no such thing")


def never() -> str:
    raise GuestError("not within 9 s")


@pytest.mark.parametrize(
    ("look", "verdict", "text"),
    [
        (lambda: "seen", Verdict.PASS, "seen"),
        (fails, Verdict.FAIL, "still blind"),
        (impossible, Verdict.IMPOSSIBLE, "no such thing"),
        (never, Verdict.FAIL, "not within 9 s"),
    ],
)
def test_a_check_comes_to_a_word_and_a_line(look: Callable[[], str], verdict: Verdict, text: str) -> None:
    assert program.judge(look) == (verdict, text)


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    for name in ("warm.state", "warm.qcow2"):
        (tmp_path / name).touch()
    return Lab(system_of(12, "amd64"), Image(tmp_path / "d", tmp_path / "k", tmp_path / "i"), tmp_path, 1)


def test_a_slice_repeats_what_failed_and_nothing_that_passed(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []

    def made(name: str, *, well: bool) -> Check:
        def look(_: Lab) -> str:
            looked.append(name)
            if not well:
                raise FaultError("wrong")
            return "right"

        return Check(name, look)

    monkeypatch.setattr(program, "CHECKS", (made("boot", well=True), made("good", well=True), made("bad", well=False)))
    for _ in range(2):
        program.Run(lab, 100.0, Console(quiet=True), clock=lambda: 0.0).check(["boot", "good", "bad"], again=False)
    assert looked == ["boot", "good", "bad", "bad"]


def test_a_slice_begins_nothing_when_its_time_is_up(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "cut_power", lambda *_: pytest.fail("a cut was begun"))
    slice_ = program.Run(lab, 100.0, Console(quiet=True), clock=lambda: 100.0)
    slice_.check([check.name for check in CHECKS], again=False)
    slice_.cut(SERIES, 20)
    assert slice_.results == Results()


def test_series_take_turns_until_each_has_its_cuts(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        program, "cut_power", lambda _, planned: Cut(planned.series, planned.at_s, 0, 0, repaired=False, boot_s=1.0)
    )
    slice_ = program.Run(lab, 100.0, Console(quiet=True), clock=lambda: 0.0)
    slice_.cut(SERIES[:2], 2)
    assert [cut.series for cut in slice_.results.cuts] == [SERIES[0], SERIES[1], SERIES[0], SERIES[1]]
    assert Results.read(lab.folder / "results.json") == slice_.results


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--debian", "11"], "--debian"),
        (["--arch", "mips"], "--arch"),
        (["--minutes", "0"], "--minutes"),
        (["--cuts", "-1"], "--cuts: 0 or more"),
        (["--only", "no such thing"], "--only no such thing: no check and no series is named so"),
    ],
)
def test_a_wrong_option_is_named(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        program.parse(arguments)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_what_this_machine_lacks_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(shutil, "which", lambda program: None if "qemu" in program else f"/usr/bin/{program}")
    with pytest.raises(MissingError, match="apt-get install qemu-system-x86 qemu-utils"):
        require(system_of(12, "x86_64"))
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(MissingError, match="needs root"):
        require(system_of(12, "x86_64"))


@pytest.mark.parametrize("system", SYSTEMS, ids=lambda system: system.name)
def test_a_machine_reaches_nothing_and_only_its_broker_is_reached(system: Any, tmp_path: Path) -> None:
    image = Image(tmp_path / "disk", tmp_path / "kernel", tmp_path / "initrd")
    words = command_line(system, image, Start({"driver": "raw"}), 1884, tmp_path, tmp_path / "log")
    networks = [words[at + 1] for at, word in enumerate(words) if word == "-netdev"]
    assert networks == ["user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:1884-10.0.2.15:1883"]
    assert words[0] == system.qemu


def test_the_machines_configuration_is_valid_and_names_its_camera(tmp_path: Path) -> None:
    path = tmp_path / "evenkeel.toml"
    path.write_text(FILES["etc/evenkeel/evenkeel.toml"])
    config = load_config(path)
    assert (config.device.id, config.camera.source) == (DEVICE_ID, f"v4l2:{CAMERA}")


def test_the_clip_becomes_motion_jpeg_at_the_cameras_rate(tmp_path: Path) -> None:
    thin(CLIP, tmp_path / "clip.avi", every=3, codec="MJPG")
    made = cv2.VideoCapture(str(tmp_path / "clip.avi"))
    assert made.get(cv2.CAP_PROP_FPS) == pytest.approx(5.0)
    assert int(made.get(cv2.CAP_PROP_FOURCC)) == cv2.VideoWriter.fourcc(*"MJPG")
    assert int(made.get(cv2.CAP_PROP_FRAME_COUNT)) == 430


def test_the_release_before_differs_in_its_version_alone() -> None:
    project = '[project]\nname = "evenkeel"\nversion = "0.2.0"\n[tool.x]\nversion = "9"\n'
    assert of_version(project, "0.0.1") == project.replace("0.2.0", "0.0.1")


def test_what_is_installed_after_a_cut_is_one_whole_release() -> None:
    assert release_faults("releases/2\nsame\nevenkeel 0.2.0") == []
    assert len(release_faults("releases/2\nother\nevenkeel 0.2.0")) == 1
    assert len(release_faults("")) == 3
