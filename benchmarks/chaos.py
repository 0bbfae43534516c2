"""Kill broker and devices at random, cut the network, and count what an independent receiver gets.

``python -m benchmarks.chaos --minutes 7``. Three parts: latency in calm, ten thousand alerts that wait for a broker,
and chaos. The devices are real processes with the real outbox and publisher (``benchmarks/device.py``); the broker is a
real mosquitto; everything is on loopback.

While a broker is down, the devices' links stay shut until the receiver has subscribed again: what a broker
acknowledges to a device with nobody subscribed is the broker's to keep, and is not measured here. At every other
restart the broker has also lost its database.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.mosquitto import Mosquitto
from benchmarks.network import Link, Network
from benchmarks.process import resident_mb
from benchmarks.receiver import Receiver
from benchmarks.tally import Decisions, Tally, percentile, tally_device

DEVICES = 3
ALERT_HZ = 8.0
FAULTS = {"broker killed": 0.42, "device killed": 0.46, "network cut": 0.09, "network silent": 0.03}
PAUSE_S = (0.1, 1.3)
SILENCE_S = (1.0, 9.0)  # the devices' keep-alive is 5 s
CALM_ALERTS = 1500
WAITING_ALERTS = 10_000
QUIET_S = 1.0
DEADLINE_S = 180.0

# no limit on what is in flight: the broker hands each alert to the receiver before it acknowledges it to the device
BROKER = "allow_anonymous true\nset_tcp_nodelay true\nmax_inflight_messages 0\n"
PERSISTENCE = """persistence true
persistence_location {folder}/
autosave_on_changes true
autosave_interval 1"""


@dataclass
class Device:
    """A device's process and its files; the files outlive the process."""

    name: str
    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = field(default=None)

    @property
    def log(self) -> Path:
        """Its decision log."""
        return self.folder / f"{self.name}.log"

    def start(
        self, *, store: int = 0, alert_hz: float = ALERT_HZ, state_hz: float = 2.0, health_hz: float = 1.0
    ) -> None:
        """Start the process, which first decides ``store`` alerts without a connection."""
        config = self.folder / f"{self.name}.toml"
        config.write_text(
            f'[device]\nid = "{self.name}"\n[outbox]\npath = "{self.folder / self.name}.db"\nmax_bytes = 100_000_000\n'
            f'[mqtt]\nhost = "127.0.0.1"\nport = {self.port}\nkeepalive_s = 5\nreconnect_min_s = 0.1\n'
            "reconnect_max_s = 1.0\n"
        )
        options = ["--config", config, "--log", self.log, "--store", store, "--alert-hz", alert_hz]
        options += ["--state-hz", state_hz, "--health-hz", health_hz]
        command = [sys.executable, "-m", "benchmarks.device", *map(str, options)]
        with (self.folder / f"{self.name}.err").open("ab") as errors:
            self.process = subprocess.Popen(command, stderr=errors)  # noqa: S603 - our own program

    def kill(self) -> None:
        """End it as a power cut would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(10)

    def stop(self) -> None:
        """Let it deliver everything and end.

        Raises:
            TimeoutExpired: it does not get rid of its alerts.
        """
        if self.process is not None:
            self.process.terminate()
            self.process.wait(DEADLINE_S)


def main() -> None:
    """Run the three parts and print their tables; exit status 1 where an alert was lost or out of order."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=7.0, help="time for the kills; 0: no kills")
    parser.add_argument("--seed", type=int, default=None, help="the same faults in the same order again")
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else random.randrange(10**6)  # noqa: S311 - not a secret
    logging.disable(logging.INFO)
    console = Console(soft_wrap=True)
    console.print(f"seed {seed}")
    tallies = [measure_calm(console), measure_drain(console)]
    if options.minutes > 0:
        chance = random.Random(seed)  # noqa: S311 - faults, not secrets
        tallies.append(run_chaos(console, options.minutes * 60, chance))
    total = sum(tallies, Tally())
    sys.exit(bool(total.lost or total.order_broken or total.unrecognisable))


def measure_calm(console: Console) -> Tally:
    """Latency from the decision to the receiver, with nothing in the way."""
    with _bench() as (folder, broker, receiver):
        device = Device("calm", folder, broker.port)
        device.start(alert_hz=25.0)
        try:
            _wait(lambda: len(receiver.arrivals) >= CALM_ALERTS)
        finally:
            device.stop()
        _wait_for_quiet(receiver)
        decisions = Decisions.read(device.log)
        tally = tally_device(decisions, receiver.arrivals)
        console.print(_table("Calm: decision to receiver, broker on this machine", _counts(tally)))
        console.print(_latencies("alert", [arrival.latency_ms for arrival in receiver.arrivals]))
        console.print(_latencies("of it to the outbox (the disk)", list(decisions.storing_ms)))
        console.print(_latencies("state", receiver.state_ms))
    return tally


def run_chaos(console: Console, seconds: float, chance: random.Random) -> Tally:
    """Faults at random for so long, then a while to settle; then count."""
    network = Network()
    with _bench(PERSISTENCE) as (folder, broker, receiver):
        links: list[Link] = []
        devices: list[Device] = []
        for number in range(DEVICES):
            link, port = network.link(broker.port)
            links.append(link)
            devices.append(Device(f"van-{number}", folder, port))
            devices[-1].start()
        chaos = Chaos(broker, receiver, network, links, devices, chance)
        try:
            faults = chaos.run(seconds)
        finally:
            for device in devices:
                device.stop()
        _wait_for_quiet(receiver)
        total = Tally()
        for device in devices:
            arrivals = [arrival for arrival in receiver.arrivals if arrival.device == device.name]
            total += tally_device(Decisions.read(device.log), arrivals)
        latencies = [arrival.latency_ms for arrival in receiver.arrivals]
        rows = {**dict(sorted(faults.items())), **_counts(total)}
        console.print(_table(f"Chaos: {DEVICES} devices, {seconds / 60:.1f} minutes", rows))
        console.print(_latencies("alert, outages included", latencies))
    return total


class Chaos:
    """Does the faults."""

    def __init__(
        self,
        broker: Mosquitto,
        receiver: Receiver,
        network: Network,
        links: list[Link],
        devices: list[Device],
        chance: random.Random,
    ) -> None:
        self._broker = broker
        self._receiver = receiver
        self._network = network
        self._links = links
        self._devices = devices
        self._chance = chance

    def run(self, seconds: float) -> Counter[str]:
        """One fault after the other; return how many of each kind."""
        faults: Counter[str] = Counter()
        acts = {
            "broker killed": self._kill_broker,
            "device killed": self._kill_device,
            "network cut": self._cut,
            "network silent": self._silence,
        }
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(self._chance.uniform(*PAUSE_S))
            (fault,) = self._chance.choices(list(FAULTS), list(FAULTS.values()))
            acts[fault]()
            faults[fault] += 1
        return faults

    def _kill_broker(self) -> None:
        self._broker.kill()
        for link in self._links:
            self._network.do(link.shut)
        self._receiver.drain()
        if self._chance.random() < 0.5:
            (self._broker.folder / "mosquitto.db").unlink(missing_ok=True)
        time.sleep(self._chance.uniform(0.0, 0.8))
        self._broker.start()
        self._receiver.connect()
        for link in self._links:
            self._network.do(link.open)

    def _kill_device(self) -> None:
        device = self._chance.choice(self._devices)
        device.kill()
        device.start()

    def _cut(self) -> None:
        self._network.do(self._chance.choice(self._links).cut)

    def _silence(self) -> None:
        link = self._chance.choice(self._links)
        self._network.begin(link.fall_silent(self._chance.uniform(*SILENCE_S)))


def measure_drain(console: Console) -> Tally:
    """Ten thousand alerts wait, the broker comes back: how long, in what order, in how much memory."""
    with _bench() as (folder, broker, receiver):
        broker.kill()
        receiver.drain()
        device = Device("stored", folder, broker.port)
        device.start(store=WAITING_ALERTS, alert_hz=2.0, state_hz=20.0, health_hz=10.0)
        try:
            _wait(lambda: device.log.exists() and len(Decisions.read(device.log).stored) > WAITING_ALERTS)
            broker.start()
            receiver.connect()
            before_mb, began = _resident(device), time.monotonic()
            highest_mb = before_mb
            while len(receiver.arrivals) < WAITING_ALERTS and time.monotonic() - began < DEADLINE_S:
                highest_mb = max(highest_mb, _resident(device))
                time.sleep(0.05)
            took_s = time.monotonic() - began
            # the first state is of the time before the broker was back
            state_ms, health_ms = receiver.state_ms[1:], list(receiver.health_ms)
        finally:
            device.stop()
        _wait_for_quiet(receiver)
        tally = tally_device(Decisions.read(device.log), receiver.arrivals)
        rows = {
            **_counts(tally),
            f"seconds for {WAITING_ALERTS} alerts": f"{took_s:.1f}",
            "device's memory before, highest while draining (MB)": f"{before_mb:.1f}, {highest_mb:.1f}",
        }
        console.print(_table("Ten thousand alerts wait, then the broker is back", rows))
        console.print(_latencies("state while draining", state_ms))
        console.print(_latencies("health while draining", health_ms))
    return tally


@contextlib.contextmanager
def _bench(persistence: str = "") -> Iterator[tuple[Path, Mosquitto, Receiver]]:
    """A broker that runs and a receiver that is subscribed, in a folder of their own."""
    with tempfile.TemporaryDirectory(prefix="evenkeel-chaos-") as name:
        folder = Path(name)
        broker = Mosquitto(folder, BROKER + persistence.format(folder=folder), log_type="error")
        broker.start()
        receiver = Receiver(broker.port)
        try:
            receiver.connect()
            yield folder, broker, receiver
        finally:
            receiver.close()
            broker.kill()


def _resident(device: Device) -> float:
    return resident_mb(device.process.pid) if device.process is not None else float("nan")


def _wait(condition: Callable[[], bool]) -> None:
    """Until ``condition()`` holds, for DEADLINE_S at most; what is missing then shows in the table."""
    end = time.monotonic() + DEADLINE_S
    while not condition() and time.monotonic() < end:
        time.sleep(0.1)


def _wait_for_quiet(receiver: Receiver) -> None:
    """Until no alert has come for QUIET_S."""
    seen = -1
    while seen != len(receiver.arrivals):
        seen = len(receiver.arrivals)
        time.sleep(QUIET_S)


def _counts(tally: Tally) -> dict[str, object]:
    return {
        "alerts decided": tally.decided,
        "killed before its outbox had it": tally.killed_while_storing,
        "alerts received": tally.received,
        "lost": tally.lost,
        "order broken": tally.order_broken,
        "doubles, told by their sequence": tally.doubles,
        "doubles not to be told": tally.unrecognisable,
    }


def _table(title: str, rows: dict[str, object]) -> Table:
    table = Table("figure", "value", title=title, title_justify="left", show_header=False)
    for name, value in rows.items():
        table.add_row(name, str(value))
    return table


def _latencies(name: str, values: list[float]) -> str:
    p50, p99 = percentile(values, 50), percentile(values, 99)
    return f"{name}: n {len(values)}, p50 {p50:.1f} ms, p99 {p99:.1f} ms, max {max(values, default=0):.1f} ms"


if __name__ == "__main__":
    main()
