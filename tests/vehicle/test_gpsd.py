"""The speed from gpsd: a real one that gpsfake feeds with a recorded drive, and a scripted one for what goes wrong."""

from __future__ import annotations

import json
import os
import random
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import reduce
from pathlib import Path
from typing import Any

import pytest

from edge.board.clock import uptime_s
from edge.config import Config
from edge.config.vehicle import GpsdSourceConfig, VehicleConfig
from edge.vehicle import Vehicle, gpsd, source
from edge.vehicle.gpsd import WATCH, Reports
from edge.vehicle.store import Store
from tests.vehicle.conftest import Clock, eventually

PATH = f"{os.environ['PATH']}:/usr/sbin"
KNOTS = 40.0
"""The receiver's speed: 74.08 km/h."""


def sentence(body: str) -> str:
    """A line of NMEA 0183 with its checksum."""
    return f"${body}*{reduce(lambda total, byte: total ^ byte, body.encode()):02X}\r\n"


def drive(seconds: int) -> str:
    """What a receiver says each second on a straight road: a fix in three dimensions, and how fast it is."""
    place = "4807.038,N,01131.000,E"
    lines = []
    for n in range(seconds):
        hms = f"12{n // 60:02d}{n % 60:02d}.00"
        lines += [
            sentence(f"GPGGA,{hms},{place},1,08,0.9,545.4,M,46.9,M,,"),
            sentence("GPGSA,A,3,04,05,09,12,24,25,29,31,,,,,1.8,0.9,1.5"),
            sentence(f"GPRMC,{hms},A,{place},{KNOTS:05.1f},084.4,271126,003.1,W"),
        ]
    return "".join(lines)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


@contextmanager
def gpsfake(log: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """A gpsd on ``port`` that reads ``log`` again and again."""
    missing = [name for name in ("gpsd", "gpsfake") if shutil.which(name, path=PATH) is None]
    if missing:
        reason = f"{' and '.join(missing)} missing; apt-get install gpsd gpsd-clients"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
    command = [str(shutil.which("gpsfake", path=PATH)), "-q", "-c", "0.02", "-P", str(port), str(log)]
    # a fresh environment: gpsfake is a script of the system's Python, with a module of its own
    process = subprocess.Popen(  # noqa: S603 - fixed words
        command, env={"PATH": PATH}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(10)


def watching(port: int) -> Vehicle:
    gpsd_config = GpsdSourceConfig(host="127.0.0.1", port=port)
    return Vehicle.from_config(Config(vehicle=VehicleConfig(gpsd=gpsd_config, speed_max_age_s=1)), {}, uptime_s)


def problem_of(vehicle: Vehicle) -> str:
    return vehicle.health(uptime_s())["gpsd"].problem or ""


def test_a_real_gpsd_tells_the_speed_and_is_found_again_after_it_was_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "REOPEN_MAX_S", 0.1)
    monkeypatch.setattr(source, "REOPEN_MIN_S", 0.1)
    log = tmp_path / "drive.nmea"
    log.write_text(drive(120), newline="")
    port = free_port()
    with watching(port) as vehicle:
        eventually(lambda: f"gpsd 127.0.0.1:{port}: refused" in problem_of(vehicle))
        for _ in range(2):
            with gpsfake(log, port):
                eventually(lambda: vehicle.context(uptime_s()).speed_kmh == pytest.approx(74.08, abs=0.1))
                eventually(lambda: problem_of(vehicle) == "")
            eventually(lambda: vehicle.context(uptime_s()).speed_kmh is None)
            assert "see `systemctl status gpsd`" in problem_of(vehicle)


@contextmanager
def scripted(*said: bytes) -> Iterator[int]:
    """Who answers the first connection with ``said``, takes what is asked, and leaves."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.settimeout(10)
                assert connection.recv(100) == WATCH
                for each in said:
                    connection.sendall(each)

        thread = threading.Thread(target=answer)
        thread.start()
        yield server.getsockname()[1]
        thread.join()


def test_a_gpsd_that_hangs_up_is_said() -> None:
    with scripted(b'{"class":"VERSION"}\n') as port, watching(port) as vehicle:
        eventually(lambda: "has closed the connection; see `systemctl status gpsd`" in problem_of(vehicle))


def test_who_floods_without_an_end_is_no_gpsd() -> None:
    with scripted(b"x" * 200_000) as port, watching(port) as vehicle:
        eventually(lambda: "this is no gpsd" in problem_of(vehicle))


def test_a_gpsd_that_says_nothing_is_called_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpsd, "DEAF_S", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as server, watching(server.getsockname()[1]) as vehicle:
        eventually(lambda: "silent for 0.5 s" in problem_of(vehicle))


def tpv(**more: Any) -> bytes:
    return json.dumps(
        {"class": "TPV", "device": "/dev/ttyACM0", "mode": 3, "time": "2026-11-27T12:00:00Z"} | more
    ).encode()


def test_a_speed_without_a_fix_is_none(clock: Clock) -> None:
    store = Store("gpsd", VehicleConfig(), clock)
    reports = Reports()
    for mode in (0, 1, None, "3"):
        reports.take(tpv(mode=mode, speed=20.0), store)
        assert store.newest_speed(clock.now) is None
        assert "no fix" in (store.health(clock.now).problem or "")
    reports.take(tpv(mode=2, speed=20.0), store)
    assert store.newest_speed(clock.now) == 72.0
    assert store.health(clock.now).problem is None


def test_a_receiver_that_repeats_its_last_fix_grows_old(clock: Clock) -> None:
    store = Store("gpsd", VehicleConfig(), clock)
    reports = Reports()
    for _ in range(5):
        reports.take(tpv(speed=0.0), store)
        clock.now += 1
    assert store.newest_speed(clock.now) is None
    reports.take(tpv(speed=0.0, time="2026-11-27T12:00:05Z"), store)
    assert store.newest_speed(clock.now) == 0.0


def test_only_the_named_receiver_counts(clock: Clock) -> None:
    store = Store("gpsd", VehicleConfig(), clock)
    Reports("/dev/ttyS0").take(tpv(speed=20.0), store)
    assert store.newest_speed(clock.now) is None


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"\xff\xfe", "no report of gpsd"),
        (b"[" * 9000, "no report of gpsd"),
        (b"[]", "no report of gpsd"),
        (b'{"class":"ERROR","message":"Unrecognized request"}', "gpsd says: 'Unrecognized request'"),
        (tpv(speed="fast"), "no speed: 'fast'"),
        (tpv(speed=-1), "no speed: -1"),
        (tpv(speed=float("nan")), "no speed: nan"),
        (tpv(speed=1e9), "no speed: 1000000000.0 m/s"),
    ],
    ids=range(8),
)
def test_what_cannot_be_true_is_said_and_not_believed(line: bytes, said: str, clock: Clock) -> None:
    store = Store("gpsd", VehicleConfig(), clock)
    Reports().take(line, store)
    assert store.newest_speed(clock.now) is None
    assert said in (store.health(clock.now).problem or "")


def test_ten_thousand_random_reports_raise_nothing_and_tell_no_speed(clock: Clock) -> None:
    chance = random.Random(7)  # noqa: S311 - a fixed series
    store = Store("gpsd", VehicleConfig(), clock)
    reports = Reports()
    nonsense: tuple[Any, ...] = (None, True, "20", [], {}, -1, 1e9, float("nan"), float("inf"), 10**400)
    for n in range(10_000):
        clock.now = 100.0 + n / 10
        report = {"class": chance.choice(["TPV", "SKY", "ERROR", 5, None]), "mode": chance.choice([*nonsense, 2, 3])}
        report |= {"speed": chance.choice(nonsense), "time": n, "message": chance.choice(nonsense)}
        line = json.dumps(report).encode() if n % 2 else chance.randbytes(chance.randrange(60))
        reports.take(line, store)
        assert store.newest_speed(clock.now) is None
    assert store.health(clock.now).refused > 5000


def test_a_host_with_its_port_is_told_where_that_belongs() -> None:
    with pytest.raises(ValueError, match=r"vehicle\.gpsd\.port = 2947"):
        GpsdSourceConfig(host="localhost:2947")
