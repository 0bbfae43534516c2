"""Who is at work on the machine: our own service, and whoever holds a device."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edge.board.processes import holders, may_see, services

CAMERA = Path("/dev/video0")


def process(proc: Path, pid: int, *words: str, comm: str = "python3", holds: Path | None = None) -> None:
    folder = proc / str(pid)
    (folder / "fd").mkdir(parents=True)
    (folder / "cmdline").write_bytes(b"".join(os.fsencode(word) + b"\0" for word in words))
    (folder / "comm").write_text(f"{comm}\n")
    if holds is not None:
        (folder / "fd" / "7").symlink_to(holds)


@pytest.mark.parametrize(
    ("words", "runs"),
    [
        (("/opt/evenkeel/bin/python", "/opt/evenkeel/bin/evenkeel", "run", "--config", "/etc/x.toml"), True),
        (("/usr/bin/python3", "/opt/bin/evenkeel", "--log-level", "debug", "run"), True),
        (("/usr/bin/qemu-aarch64-static", "/opt/bin/python", "/opt/bin/evenkeel", "run"), True),
        (("/opt/evenkeel/bin/python", "/opt/evenkeel/bin/evenkeel", "doctor"), False),
        (("/usr/bin/vim", "run", "evenkeel"), False),
        ((), False),
    ],
)
def test_the_service_is_known_by_its_command_line(tmp_path: Path, words: tuple[str, ...], runs: bool) -> None:  # noqa: FBT001 - a column
    process(tmp_path, 71, *words)
    assert [str(one) for one in services(tmp_path)] == (["evenkeel (pid 71)"] if runs else [])


def test_this_very_process_is_not_a_service_beside_itself(tmp_path: Path) -> None:
    process(tmp_path, os.getpid(), "python", "evenkeel", "run")
    assert services(tmp_path) == []


def test_whoever_has_the_device_open_holds_it(tmp_path: Path) -> None:
    process(tmp_path, 71, "rpicam-hello", comm="rpicam-hello", holds=CAMERA)
    process(tmp_path, 72, "python", "evenkeel", "run", holds=CAMERA)
    process(tmp_path, 73, "cat", comm="cat", holds=Path("/dev/null"))
    found = sorted(holders({CAMERA}, tmp_path), key=lambda one: one.pid)
    assert [str(one) for one in found] == ["rpicam-hello (pid 71)", "evenkeel (pid 72)"]


def test_a_process_that_ends_meanwhile_or_tells_nothing_holds_nothing(tmp_path: Path) -> None:
    (tmp_path / "71").mkdir()
    assert holders({CAMERA}, tmp_path) == []
    assert services(tmp_path) == []


def test_what_is_gone_cannot_be_seen(tmp_path: Path) -> None:
    process(tmp_path, 71, "python", "evenkeel", "run")
    (service,) = services(tmp_path)
    assert may_see(service, tmp_path)
    assert not may_see(service, tmp_path / "elsewhere")


def test_a_machine_without_proc_tells_of_nobody(tmp_path: Path) -> None:
    assert services(tmp_path / "missing") == []
