"""What is said of board and system: from their files, or honestly that they do not tell."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.tools.doctor import board
from edge.tools.doctor.finding import Finding, Verdict
from tests.tools.doctor.conftest import MakeHost


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_a_board_is_named_by_its_device_tree(make_host: MakeHost, tmp_path: Path) -> None:
    write(tmp_path / "proc/device-tree/model", "Raspberry Pi 5 Model B Rev 1.0\0")
    assert board.board(make_host()).text == "Raspberry Pi 5 Model B Rev 1.0"


def test_a_machine_without_one_by_its_maker_and_processor(make_host: MakeHost, tmp_path: Path) -> None:
    write(tmp_path / "sys/class/dmi/id/sys_vendor", "Acme\n")
    write(tmp_path / "proc/cpuinfo", "processor\t: 0\nmodel name\t: Fast 9\n")
    assert board.board(make_host()).text == "Acme, Fast 9"


def test_an_unknown_machine_is_called_so(make_host: MakeHost) -> None:
    assert board.board(make_host()).text == "unknown board"
    assert board.system(make_host()).text.startswith("unknown system")


def test_the_system_is_named_as_it_names_itself(make_host: MakeHost, tmp_path: Path) -> None:
    write(tmp_path / "etc/os-release", 'NAME="Debian"\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n')
    assert board.system(make_host()).text.startswith("Debian GNU/Linux 12 (bookworm), ")


@pytest.mark.parametrize(("available_kb", "verdict"), [(1_000_000, "pass"), (90_000, "warn")])
def test_little_memory_is_warned_of(make_host: MakeHost, tmp_path: Path, available_kb: int, verdict: str) -> None:
    write(tmp_path / "proc/meminfo", f"MemTotal: 4000000 kB\nMemAvailable: {available_kb} kB\n")
    assert board.memory(make_host()).verdict == verdict


def at(make_host: MakeHost, tmp_path: Path, degrees: float) -> Finding:
    write(tmp_path / "sys/class/thermal/thermal_zone0/type", "cpu-thermal")
    write(tmp_path / "sys/class/thermal/thermal_zone0/temp", f"{degrees * 1000:.0f}")
    host = make_host(heat={"hot_c": 70, "cool_c": 60})
    assert host.config is not None
    return board.temperature(host, host.config)


def test_what_a_board_does_not_tell_is_skipped_and_not_passed(make_host: MakeHost) -> None:
    host = make_host()
    assert host.config is not None
    found = (board.memory(host), board.temperature(host, host.config), board.throttling(host))
    assert {finding.verdict for finding in found} == {Verdict.SKIP}


def test_heat_is_judged_by_the_configured_limit(make_host: MakeHost, tmp_path: Path) -> None:
    assert at(make_host, tmp_path, 69).verdict is Verdict.PASS
    hot = at(make_host, tmp_path, 71)
    assert (hot.verdict, hot.figures) == (Verdict.WARN, {"temperature_c": 71.0})


@pytest.mark.parametrize(
    ("word", "verdict", "said"),
    [("0", "pass", "none"), ("1", "warn", "now: under-voltage"), ("50000", "warn", "not now, but since boot")],
)
def test_throttling_is_told_by_its_reason(
    make_host: MakeHost, tmp_path: Path, word: str, verdict: str, said: str
) -> None:
    write(tmp_path / "sys/devices/platform/soc/soc:firmware/get_throttled", word)
    finding = board.throttling(make_host())
    assert finding.verdict == verdict
    assert said in finding.text


def test_a_clock_that_timesyncd_has_set_is_synchronised(make_host: MakeHost, tmp_path: Path) -> None:
    write(tmp_path / "run/systemd/timesync/synchronized", "")
    assert board.clock(make_host()).verdict is Verdict.PASS
