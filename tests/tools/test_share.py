"""The row of the table of boards that a user can send."""

from __future__ import annotations

import getpass
import json
import socket
from pathlib import Path

import pytest

from edge.service.versions import About
from edge.tools.bench import Report, Run, StageFigures, Way
from edge.tools.share import share

BOARDS = Path(__file__).parents[2] / "benchmarks/README.md"


def report(*, throttled: bool | None = None) -> Report:
    def run(way: Way, threads: int, ms: float) -> Run:
        return Run("litert 2.3.0", threads, way, {"step": StageFigures(ms, ms, ms, 100)}, 0.5)

    return Report(
        frames="/home/somebody/drive.mp4, 640x480",
        about=About("litert 2.3.0", "face 1", "expression 1", "eyes 1", "follow 1"),
        runs=(run("following", 1, 7.126), run("searching", 1, 9.0), run("following", 2, 4.0), run("searching", 2, 5.0)),
        start_s=2.345,
        memory_mb=143.6,
        temperature_before_c=41.0,
        temperature_c=60.0,
        throttled=throttled,
    )


@pytest.fixture
def pi(tmp_path: Path) -> Path:
    tree = tmp_path / "sys/firmware/devicetree/base"
    tree.mkdir(parents=True)
    (tree / "model").write_bytes(b"Raspberry Pi 5 Model B Rev 1.0\0")
    (tree / "serial-number").write_bytes(b"10000000deadbeef\0")
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/os-release").write_text('NAME="Debian"\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n')
    return tmp_path


def test_the_row_is_one_of_the_table_of_boards(pi: Path) -> None:
    found = share(report(), pi, "aarch64")
    assert found["row"] == "| Raspberry Pi 5 Model B Rev 1.0 | 7.13 ms | 9.00 ms | 2.35 s | 144 MB |"
    head = next(line for line in BOARDS.read_text().splitlines() if line.startswith("| board |"))
    assert found["row"].count("|") == head.count("|")
    assert (found["following_p50_ms"], found["system"]) == (7.126, "Debian GNU/Linux 12 (bookworm)")


def test_nothing_in_it_tells_whose_board_it_is(pi: Path) -> None:
    sent = json.dumps(share(report(), pi, "aarch64"))
    for private in ("deadbeef", "somebody", str(pi), socket.gethostname(), f'"{getpass.getuser()}"'):
        assert private not in sent


def test_a_board_that_slowed_itself_down_says_that_its_row_does_not_count(pi: Path) -> None:
    assert "does not count" in share(report(throttled=True), pi)["row"]
    assert "does not count" not in share(report(throttled=False), pi)["row"]


def test_a_machine_without_a_device_tree_is_named_after_its_processor(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/cpuinfo").write_text("vendor_id\t: A\nmodel name\t: AMD EPYC | 7B13\n")
    found = share(report(), tmp_path)
    assert found["row"].startswith("| AMD EPYC / 7B13 | 7.13 ms")
    assert found["system"] is None
