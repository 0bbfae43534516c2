"""The speed by satellites, from gpsd (its JSON protocol, `man 5 gpsd_json`). Of the position nothing is kept."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any

from edge.config.vehicle import GpsdSourceConfig
from edge.errors import UnavailableError
from edge.vehicle.source import Stop
from edge.vehicle.store import Store

WATCH = b'?WATCH={"enable":true,"json":true};\n'
CONNECT_S = 2.0
"""Longest wait for the connection, seconds."""
WAIT_S = 0.5
"""Longest wait for a report at a time, seconds."""
DEAF_S = 30.0
"""After so many seconds without a word the connection is made anew: its other end may be gone without a word."""
LONGEST_LINE = 65_536
"""gpsd's reports have 10,240 bytes at most; a longer line is none of its."""
FIX = 2
"""The least mode in which a position and a speed are known: 2 is two dimensions, 3 is three."""


class GpsdSource:
    """Watches the gpsd of ``[vehicle.gpsd]``."""

    name = "gpsd"
    tells_speed = True

    def __init__(self, config: GpsdSourceConfig) -> None:
        self._config = config

    def run(self, store: Store, stop: Stop) -> None:
        """Stay connected until ``stop``.

        Raises:
            UnavailableError: nobody is there, or who was there is gone.
        """
        where = f"gpsd {self._config.host}:{self._config.port}"
        try:
            with socket.create_connection((self._config.host, self._config.port), CONNECT_S) as connection:
                connection.sendall(WATCH)
                reports = Reports(self._config.device)
                for line in _lines(connection, stop):
                    reports.take(line, store)
        except OSError as error:
            told = "refused" if isinstance(error, ConnectionRefusedError) else error.strerror or str(error)
            raise UnavailableError(f"{where}: {told}; see `systemctl status gpsd`") from error
        if not stop.is_set():
            raise UnavailableError(f"{where} has closed the connection; see `systemctl status gpsd`")

    def interrupt(self) -> None:
        """Nothing to end early: each wait is a short one."""


class Reports:
    """What each report tells a store. ``device`` is the receiver that counts; None: any."""

    def __init__(self, device: str | None = None) -> None:
        self._device = device
        self._time: object = None

    def take(self, line: bytes, store: Store) -> None:
        """Tell what a line says: the speed of a fix that is not the one before."""
        try:
            report = json.loads(line)
        except (ValueError, RecursionError):
            report = None
        if not isinstance(report, dict):
            store.refuse("report", f"no report of gpsd: {line[:40]!a}")
            return
        store.mend("source")
        store.mend("report")
        if report.get("class") == "ERROR":
            store.fail("report", f"gpsd says: {ascii(report.get('message'))[:80]}")
        elif report.get("class") == "TPV" and self._device in (None, report.get("device")):
            self._take_fix(report, store)

    def _take_fix(self, report: dict[str, Any], store: Store) -> None:
        mode = report.get("mode")
        if not isinstance(mode, int) or mode < FIX:
            store.fail("fix", "no fix: the receiver does not see enough satellites; check its antenna")
            return
        store.mend("fix")
        if "speed" not in report or (self._time is not None and report.get("time") == self._time):
            return  # said once, and a receiver that repeats its last fix for ever knows nothing new
        self._time = report.get("time")
        store.speed(report["speed"], "m/s")


def _lines(connection: socket.socket, stop: Stop) -> Iterator[bytes]:
    """Each line that comes, until ``stop`` or the end of the connection.

    Raises:
        OSError: the connection is lost, or nothing comes.
        UnavailableError: what comes has no lines.
    """
    connection.settimeout(WAIT_S)
    rest, silent_s = b"", 0.0
    while not stop.is_set():
        try:
            chunk = connection.recv(4096)
        except TimeoutError:
            silent_s += WAIT_S
            if silent_s >= DEAF_S:
                raise TimeoutError(f"silent for {DEAF_S:g} s") from None
            continue
        if not chunk:
            return
        silent_s = 0.0
        *lines, rest = (rest + chunk).split(b"\n")
        if len(rest) > LONGEST_LINE:
            raise UnavailableError("this is no gpsd: what it says has no lines; correct [vehicle.gpsd]")
        yield from (line for line in lines if line.strip())
