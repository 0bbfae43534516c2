"""How one mosquitto bears a fleet: alert latency, processor time and memory against the number of devices.

``python -m benchmarks.fleet``. For each size: a fresh broker, the simulated devices (``benchmarks/vehicles.py``) in a
process of their own, a receiver that takes all alerts, states and health in this one. All on loopback, so the network
takes no part; broker, devices and receiver share the processors of this machine.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.limits import raise_file_limit
from benchmarks.mosquitto import Mosquitto
from benchmarks.process import cpu_s, resident_mb
from benchmarks.receiver import Receiver
from benchmarks.tally import percentile

SIZES = (250, 500, 1000, 2000, 4000)
SETTLE_S = 3.0
SETTINGS = "allow_anonymous true\nset_tcp_nodelay true"


@dataclass(frozen=True, slots=True)
class Reading:
    """One size of fleet. ``messages_s`` is what the receiver got a second."""

    devices: int
    alerts: int
    messages_s: float
    p50_ms: float
    p99_ms: float
    cpu_percent: float
    memory_mb: float
    devices_cpu_percent: float


def main() -> None:
    """Measure every size, print the table and plot it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES), help="numbers of devices")
    parser.add_argument("--seconds", type=float, default=40.0, help="time to measure at each size")
    parser.add_argument("--alert-period-s", type=float, default=60.0, help="time between two alerts of one device")
    parser.add_argument("--plot", type=Path, default=Path("build/fleet.png"), help="where the plot goes")
    options = parser.parse_args()
    raise_file_limit(max(options.sizes))
    readings = [measure(size, options.seconds, options.alert_period_s) for size in options.sizes]
    console = Console(width=100)
    console.print(_table(readings))
    if len(readings) > 1:
        memory, cpu = _per_thousand(readings)
        console.print(f"each 1,000 devices more: {memory:.1f} MB and {cpu:.1f} % of a processor for the broker")
    options.plot.parent.mkdir(parents=True, exist_ok=True)
    plot(readings, options.plot)
    console.print(f"plot: {options.plot}")


def measure(devices: int, seconds: float, alert_period_s: float) -> Reading:
    """One size of fleet on a broker of its own.

    Raises:
        RuntimeError: the devices do not all connect.
    """
    with tempfile.TemporaryDirectory(prefix="evenkeel-fleet-") as folder:
        broker = Mosquitto(Path(folder), SETTINGS, log_type="error")
        broker.start()
        receiver = Receiver(broker.port)
        receiver.connect()
        command = [sys.executable, "-m", "benchmarks.vehicles", "--count", str(devices), "--port", str(broker.port)]
        command += ["--alert-period-s", str(alert_period_s)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as simulator:  # noqa: S603 - our own program
            try:
                _wait_until_ready(simulator)
                return _read(devices, seconds, broker, receiver, simulator.pid)
            finally:
                simulator.terminate()
                receiver.close()
                broker.kill()


def _wait_until_ready(simulator: subprocess.Popen[bytes]) -> None:
    if simulator.stdout is None or simulator.stdout.readline() != b"ready\n":
        raise RuntimeError("the devices did not all connect; their error stands above")
    time.sleep(SETTLE_S)


def _read(devices: int, seconds: float, broker: Mosquitto, receiver: Receiver, simulator: int) -> Reading:
    alerts, messages = len(receiver.arrivals), receiver.count
    broker_s, simulator_s, began = cpu_s(broker.pid), cpu_s(simulator), time.monotonic()
    time.sleep(seconds)
    took_s = time.monotonic() - began
    latencies = [arrival.latency_ms for arrival in receiver.arrivals[alerts:]]
    return Reading(
        devices=devices,
        alerts=len(latencies),
        messages_s=(receiver.count - messages) / took_s,
        p50_ms=percentile(latencies, 50),
        p99_ms=percentile(latencies, 99),
        cpu_percent=100 * (cpu_s(broker.pid) - broker_s) / took_s,
        memory_mb=resident_mb(broker.pid),
        devices_cpu_percent=100 * (cpu_s(simulator) - simulator_s) / took_s,
    )


def _table(readings: list[Reading]) -> Table:
    table = Table(title=f"One mosquitto, {os.cpu_count()} processors for broker, devices and receiver", min_width=90)
    for name in ("devices", "messages/s", "alerts", "p50 ms", "p99 ms", "broker CPU %", "broker MB", "devices CPU %"):
        table.add_column(name, justify="right")
    for one in readings:
        table.add_row(
            str(one.devices),
            f"{one.messages_s:.0f}",
            str(one.alerts),
            f"{one.p50_ms:.1f}",
            f"{one.p99_ms:.1f}",
            f"{one.cpu_percent:.1f}",
            f"{one.memory_mb:.1f}",
            f"{one.devices_cpu_percent:.1f}",
        )
    return table


def _per_thousand(readings: list[Reading]) -> tuple[float, float]:
    """Memory (MB) and processor time (%) that a thousand more devices cost, by least squares."""
    return (
        1000 * _slope([(one.devices, one.memory_mb) for one in readings]),
        1000 * _slope([(one.devices, one.cpu_percent) for one in readings]),
    )


def _slope(points: list[tuple[float, float]]) -> float:
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / sum((x - mean_x) ** 2 for x, _ in points)


def plot(readings: list[Reading], path: Path) -> None:
    """Latency, processor time and memory, each against the number of devices."""
    import matplotlib as mpl  # noqa: PLC0415 - an extra

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415 - an extra, and only after the choice of a backend

    devices = [one.devices for one in readings]
    figure, (latency, cpu, memory) = plt.subplots(1, 3, figsize=(12, 3.6), layout="constrained")
    latency.plot(devices, [one.p50_ms for one in readings], "o-", label="p50")
    latency.plot(devices, [one.p99_ms for one in readings], "s--", label="p99")
    latency.set_ylabel("alert, device to receiver (ms)")
    latency.legend()
    cpu.plot(devices, [one.cpu_percent for one in readings], "o-")
    cpu.set_ylabel("broker, % of one processor")
    memory.plot(devices, [one.memory_mb for one in readings], "o-")
    memory.set_ylabel("broker, resident MB")
    for axes in (latency, cpu, memory):
        axes.set_xlabel("devices")
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=120)
    plt.close(figure)


if __name__ == "__main__":
    main()
