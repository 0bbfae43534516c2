"""What the board says of itself, and what it cannot tell."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.board.sensors import (
    Board,
    Throttling,
    clock_synced,
    read_board,
    resident_mb,
    temperature_c,
    throttled,
    throttling,
)


def zone(sys: Path, number: int, kind: str, temperature: str) -> None:
    folder = sys / f"class/thermal/thermal_zone{number}"
    folder.mkdir(parents=True)
    (folder / "type").write_text(f"{kind}\n")
    (folder / "temp").write_text(f"{temperature}\n")


def test_the_temperature_is_the_hottest_on_the_die(tmp_path: Path) -> None:
    zone(tmp_path, 0, "CPU-therm", "48500")
    zone(tmp_path, 1, "GPU-therm", "51250")
    zone(tmp_path, 2, "PMIC-Die", "100000")
    assert temperature_c(tmp_path) == 51.25


def test_no_sensor_is_no_temperature(tmp_path: Path) -> None:
    assert temperature_c(tmp_path) is None


@pytest.mark.parametrize(("word", "now"), [("0x0", False), ("50000", False), ("0x50005", True), ("8", True)])
def test_only_throttling_that_goes_on_now_counts(tmp_path: Path, word: str, now: bool) -> None:  # noqa: FBT001 - a column
    node = tmp_path / "devices/platform/soc/soc:firmware/get_throttled"
    node.parent.mkdir(parents=True)
    node.write_text(f"{word}\n")
    assert throttled(tmp_path) is now


@pytest.mark.parametrize("bus", ["soc", "soc@107c000000"])
def test_what_has_been_since_boot_is_told_apart_from_what_is_now(tmp_path: Path, bus: str) -> None:
    node = tmp_path / f"devices/platform/{bus}/{bus}:firmware/get_throttled"
    node.parent.mkdir(parents=True)
    node.write_text("50008\n")
    assert throttling(tmp_path, vcgencmd="/bin/false") == Throttling(
        ("soft temperature limit",), ("under-voltage", "throttled")
    )


@pytest.mark.parametrize(("state", "now"), [("0", False), ("3", True)])
def test_a_board_without_that_firmware_is_throttled_while_the_kernel_cools_its_processor(
    tmp_path: Path,
    state: str,
    now: bool,  # noqa: FBT001 - a column
) -> None:
    for number, (kind, value) in enumerate([("pwm-fan", "4"), ("cpufreq-cpu0", "0"), ("cpufreq-cpu4", state)]):
        device = tmp_path / f"class/thermal/cooling_device{number}"
        device.mkdir(parents=True)
        (device / "type").write_text(f"{kind}\n")
        (device / "cur_state").write_text(f"{value}\n")
    assert throttled(tmp_path, str(tmp_path / "missing")) is now


@pytest.mark.parametrize(
    ("script", "now"),
    [("echo throttled=0x4", True), ("echo throttled=0x0", False), ("echo what", None), ("exit 1", None)],
)
def test_vcgencmd_answers_where_sysfs_does_not(tmp_path: Path, script: str, now: bool | None) -> None:  # noqa: FBT001
    command = tmp_path / "vcgencmd"
    command.write_text(f"#!/bin/sh\n{script}\n")
    command.chmod(0o755)
    assert throttled(tmp_path, str(command)) is now


def test_a_board_without_either_cannot_tell(tmp_path: Path) -> None:
    assert throttled(tmp_path, str(tmp_path / "missing")) is None


def test_timesyncds_marker_means_synced(tmp_path: Path) -> None:
    (tmp_path / "synchronized").touch()
    assert clock_synced(tmp_path / "synchronized") is True


def test_without_the_marker_the_kernel_is_asked(tmp_path: Path) -> None:
    assert clock_synced(tmp_path / "missing") in (True, False, None)


def test_resident_memory_is_that_of_a_python_process() -> None:
    memory = resident_mb()
    assert memory is not None
    assert 5 < memory < 5000


def test_resident_memory_is_unknown_without_proc(tmp_path: Path) -> None:
    assert resident_mb(tmp_path / "missing") is None


def test_a_board_is_what_its_device_tree_says_and_a_pc_has_none(tmp_path: Path) -> None:
    tree = tmp_path / "firmware/devicetree/base"
    tree.mkdir(parents=True)
    (tree / "model").write_bytes(b"Raspberry Pi 5 Model B Rev 1.0\0")
    (tree / "serial-number").write_bytes(b"10000000abcdef01\0")
    assert read_board(tmp_path) == Board("Raspberry Pi 5 Model B Rev 1.0", "10000000abcdef01")
    (tree / "serial-number").unlink()
    assert read_board(tmp_path).serial is None
    assert read_board(tmp_path / "nothing") == Board()
