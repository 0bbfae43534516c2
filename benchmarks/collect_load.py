"""How long an alert takes from its decision to the collector's database, and how it bears a thousand at once.

``python -m benchmarks.collect_load``. All is real and on loopback: a mosquitto, ``evenkeel collect`` as a process,
and either one device with its outbox and publisher, or a thousand connections that alert once within a second. An alert
counts as stored when the collector's line about it was read, which is printed after the transaction: the way through
the pipe is in every figure.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.collecting import CollectorProcess
from benchmarks.mosquitto import Mosquitto
from benchmarks.postgresql import Postgresql
from benchmarks.tally import percentile

MEMORY = Path("/dev/shm")  # noqa: S108 - folders of their own are made in it
BROKER = "allow_anonymous true\nset_tcp_nodelay true\nmax_queued_messages 0\n"
ALERT_HZ = 25.0
DEVICES = 1000
VOLLEY_S = 1.0
READY_S = 120.0
DEADLINE_S = 60.0


@dataclass(frozen=True, slots=True)
class Result:
    """One measurement: what was wanted, how long each took, and how many rows there were for how many decisions."""

    name: str
    wanted: str
    latencies_ms: tuple[float, ...]
    rows: int
    decided: int


class Lines:
    """What a collector prints with ``--json``, each line with how long after its decision it was read."""

    def __init__(self, collector: CollectorProcess) -> None:
        self.latencies_ms: list[float] = []
        self._collector = collector
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def wait(self, count: int) -> None:
        """Until so many have come, or none more comes."""
        end = time.monotonic() + DEADLINE_S
        while len(self.latencies_ms) < count and time.monotonic() < end:
            time.sleep(0.02)

    def _read(self) -> None:
        for line in self._collector.lines():
            decided_ns = int(json.loads(line)["alert"]["reason"].split()[-1])
            self.latencies_ms.append((time.monotonic_ns() - decided_ns) / 1e6)


def one_device(folder: Path, alerts: int, name: str, wanted: str) -> Result:
    """A device decides ``alerts`` at random moments; outbox and database lie in ``folder``."""
    with _broker(folder) as broker, _collector(folder, broker.port, None) as collector:
        lines = Lines(collector)
        config = folder / "device.toml"
        config.write_text(
            f'[device]\nid = "van-7"\n[outbox]\npath = "{folder}/outbox.db"\n'
            f'[mqtt]\nhost = "127.0.0.1"\nport = {broker.port}\n'
        )
        command = ["-m", "benchmarks.device", "--config", config, "--log", folder / "log", "--alert-hz", ALERT_HZ]
        device = subprocess.Popen([sys.executable, *map(str, command)])  # noqa: S603 - our own module
        lines.wait(alerts)
        device.send_signal(signal.SIGTERM)
        device.wait()
        decided = sum(line.startswith("decided") for line in (folder / "log").read_text().splitlines())
        lines.wait(decided)
        return Result(name, wanted, tuple(lines.latencies_ms), len(collector.alerts()), decided)


def volley(folder: Path, devices: int, where: str) -> Result:
    """``devices`` connections alert once within a second; into PostgreSQL with its shipped settings in ``folder``."""
    server = Postgresql(folder)
    try:
        server.start()
        database = server.create("collect")
        with _broker(folder) as broker, _collector(folder, broker.port, database) as collector:
            lines = Lines(collector)
            command = ["-m", "benchmarks.vehicles", "--count", devices, "--port", broker.port]
            command += ["--alert-period-s", 10**9, "--volley-s", VOLLEY_S]
            fleet = subprocess.Popen([sys.executable, *map(str, command)], stdout=subprocess.PIPE, text=True)  # noqa: S603 - our own module
            if fleet.stdout is None or fleet.stdout.readline() != "ready\n":
                raise RuntimeError("the devices do not connect")
            time.sleep(2.0)  # their first states are on the way, which is not what is measured
            fleet.send_signal(signal.SIGUSR1)
            lines.wait(devices)
            fleet.terminate()
            fleet.wait()
            rows = len({(one.device, one.epoch, one.sequence) for one in collector.alerts()})
            name = f"{devices:,} devices, one alert each within {VOLLEY_S:g} s, PostgreSQL on {where}"
            return Result(name, "all once, p99 ≤ 1000 ms", tuple(lines.latencies_ms), rows, devices)
    finally:
        server.remove()


@contextlib.contextmanager
def _broker(folder: Path) -> Iterator[Mosquitto]:
    broker = Mosquitto(folder, BROKER, log_type="error")
    broker.start()
    try:
        yield broker
    finally:
        broker.stop()


@contextlib.contextmanager
def _collector(folder: Path, port: int, database: str | None) -> Iterator[CollectorProcess]:
    collector = CollectorProcess(folder, port, database=database, arguments=("--json",))
    collector.start()
    try:
        yield collector
    finally:
        collector.stop()


def _show(results: list[Result]) -> None:
    table = Table("measured", "wanted", "p50 ms", "p99 ms", "rows", "decided")
    for one in results:
        p50, p99 = (f"{percentile(one.latencies_ms, percent):.1f}" for percent in (50, 99))
        table.add_row(one.name, one.wanted, p50, p99, f"{one.rows:,}", f"{one.decided:,}")
    Console(width=140).print(table)


def main() -> None:
    """Measure and print; ends with 1 where a row is missing or doubled."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--alerts", type=int, default=1000)
    parser.add_argument("--devices", type=int, default=DEVICES)
    parser.add_argument("--disk", type=Path, default=Path(tempfile.gettempdir()), help="a folder on a disk")
    options = parser.parse_args()
    results: list[Result] = []
    for parent, name, wanted in (
        (MEMORY, "one device, outbox and SQLite on a memory file system", "≤ 5 / ≤ 15 ms"),
        (options.disk, "the same on the disk", "-"),
    ):
        with tempfile.TemporaryDirectory(dir=parent) as folder:
            results.append(one_device(Path(folder), options.alerts, name, wanted))
    for parent, where in ((MEMORY, "a memory file system"), (options.disk, "the disk")):
        with tempfile.TemporaryDirectory(dir=parent) as folder:
            Path(folder).chmod(0o755)
            results.append(volley(Path(folder), options.devices, where))
    _show(results)
    if any(one.rows != one.decided for one in results):
        sys.exit(1)


if __name__ == "__main__":
    main()
