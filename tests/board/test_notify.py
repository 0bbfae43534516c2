"""What systemd hears."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.board.notify import Notifier

Manager = tuple[socket.socket, str]


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    """A service manager's socket and its name as it stands in $NOTIFY_SOCKET."""
    name = str(tmp_path / "notify") if request.param == "path" else f"@evenkeel-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(name if name[0] != "@" else f"\0{name[1:]}")
        listener.settimeout(5.0)
        yield listener, name


def test_each_message_is_one_datagram(manager: Manager) -> None:
    listener, name = manager
    notifier = Notifier.from_environment({"NOTIFY_SOCKET": name})
    notifier.ready()
    notifier.alive()
    notifier.status("15 fps, calm\nsecond line")
    notifier.stopping()
    notifier.close()
    assert [listener.recv(256) for _ in range(4)] == [b"READY=1", b"WATCHDOG=1", b"STATUS=15 fps, calm", b"STOPPING=1"]


def test_a_reload_carries_the_monotonic_time(manager: Manager) -> None:
    listener, name = manager
    Notifier(name, clock_ns=lambda: 5_000_000).reloading()
    assert listener.recv(256) == b"RELOADING=1\nMONOTONIC_USEC=5000"


def test_the_watchdog_is_fed_once_a_second_at_most(manager: Manager) -> None:
    listener, name = manager
    now_ns = [0]
    notifier = Notifier(name, clock_ns=lambda: now_ns[0])
    for now_ns[0] in range(0, 2_500_000_000, 50_000_000):
        notifier.alive()
    notifier.ready()
    assert [listener.recv(256) for _ in range(4)] == [b"WATCHDOG=1"] * 3 + [b"READY=1"]


def test_a_manager_that_does_not_read_holds_nothing_up(manager: Manager, caplog: pytest.LogCaptureFixture) -> None:
    _, name = manager
    notifier = Notifier(name)
    while "cannot notify systemd" not in caplog.text:
        notifier.status("fills the queue")
    notifier.close()


def test_what_a_manager_must_hear_is_sent_again_when_it_reads(manager: Manager) -> None:
    listener, name = manager
    notifier = Notifier(name)
    listener.settimeout(0)
    with contextlib.suppress(BlockingIOError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as flood:
        flood.settimeout(0)
        while True:
            flood.sendto(b"full", name if name[0] != "@" else f"\0{name[1:]}")
    notifier.ready()
    notifier.status("lost")
    notifier.reloading()
    assert set(received(listener)) == {b"full"}
    notifier.status("told")
    first, second, third = received(listener)
    assert (first, second[:11], third) == (b"READY=1", b"RELOADING=1", b"STATUS=told")
    notifier.close()


def received(listener: socket.socket) -> list[bytes]:
    """What waits at a socket that does not block."""
    messages = []
    with contextlib.suppress(BlockingIOError):
        while True:
            messages.append(listener.recv(256))
    return messages


def test_without_a_manager_nothing_is_said() -> None:
    notifier = Notifier.from_environment({})
    notifier.ready()
    notifier.close()


def test_a_manager_that_went_away_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    notifier = Notifier(str(tmp_path / "gone"))
    notifier.status("one")
    notifier.status("two")
    assert caplog.text.count("cannot notify systemd") == 1


def test_a_manager_that_comes_back_is_told_again(tmp_path: Path) -> None:
    name = tmp_path / "notify"
    notifier = Notifier(str(name))
    notifier.status("to nobody")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(name))
        listener.settimeout(5)
        notifier.status("to somebody")
        assert listener.recv(256) == b"STATUS=to somebody"
    notifier.close()


def test_a_container_s_health_check_sees_when_the_watchdog_was_fed_last(tmp_path: Path) -> None:
    file = tmp_path / "alive"
    now_ns = 0
    notifier = Notifier(None, alive_file=file, clock_ns=lambda: now_ns)
    notifier.ready()
    assert not file.exists()
    notifier.alive()
    assert file.exists()
    os.utime(file, (1, 1))
    notifier.alive()
    assert file.stat().st_mtime == 1, "once a second is enough"
    now_ns = 1_000_000_000
    notifier.alive()
    assert file.stat().st_mtime > 1


def test_a_file_that_cannot_be_touched_is_said_once_and_holds_up_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    now_ns = 0
    notifier = Notifier(None, alive_file=tmp_path / "none" / "alive", clock_ns=lambda: now_ns)
    for _ in range(3):
        now_ns += 1_000_000_000
        notifier.alive()
    assert caplog.text.count("cannot touch $ALIVE_FILE") == 1


def test_the_environment_names_the_file(tmp_path: Path) -> None:
    Notifier.from_environment({"ALIVE_FILE": str(tmp_path / "alive")}).alive()
    assert (tmp_path / "alive").exists()
    Notifier.from_environment({}).alive()
