"""Devices, a broker, a collector and the links between them, and what happens to these by a plan of faults.

Everything is a process of its own, runs with the shipped defaults, and is reached over loopback alone. What became of
the alerts is counted in the collector's database.
"""

from __future__ import annotations

import contextlib
import heapq
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.collecting import CollectorProcess
from benchmarks.device import quiet_file
from benchmarks.faults import Fault, Memory, What
from benchmarks.network import Link, Network
from benchmarks.server import Server
from benchmarks.tally import Decisions, Stored, Tally, tally_stored

STOP_S = 30.0
CONFIG = """[device]
id = "{name}"
[outbox]
path = "{folder}/{name}.db"
max_bytes = 100_000_000
[mqtt]
host = "127.0.0.1"
port = {port}
"""
"""Everything else is as it is shipped: keep-alive, deadlines, pauses, discovery."""


@dataclass
class Device:
    """A device's process and its files; the files outlive the process.

    ``mqtt`` are further lines for ``[mqtt]``, ``options`` those of its program (``benchmarks/device.py``).
    """

    name: str
    folder: Path
    port: int
    mqtt: str = ""
    options: Mapping[str, float] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = field(default=None)

    @property
    def log(self) -> Path:
        """Its decision log."""
        return self.folder / f"{self.name}.log"

    def decisions(self) -> Decisions:
        """What it has decided so far."""
        return Decisions.read(self.log) if self.log.exists() else Decisions((), ())

    def start(self) -> None:
        """Start the process."""
        config = self.folder / f"{self.name}.toml"
        config.write_text(CONFIG.format(name=self.name, folder=self.folder, port=self.port) + self.mqtt)
        command = [sys.executable, "-m", "benchmarks.device", "--config", config, "--log", self.log]
        for name, value in self.options.items():
            command += [f"--{name}", value]
        with (self.folder / f"{self.name}.err").open("ab") as errors:
            self.process = subprocess.Popen([str(word) for word in command], stderr=errors)  # noqa: S603 - our own program

    def kill(self) -> None:
        """End it as a power cut would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(10)
            self.process = None

    @property
    def fell(self) -> bool:
        """Whether it was started and has ended by itself."""
        return self.process is not None and self.process.poll() is not None

    def quieten(self) -> None:
        """Let it decide no more, over its next starts too; it stays connected and answers."""
        quiet_file(self.log).touch()


class FallenError(Exception):
    """A device or the collector ended by itself."""


class World:
    """One broker, one collector and some devices, each with a link of its own to the broker.

    ``remember`` prepares the stopped broker for its next start with this memory.
    """

    def __init__(
        self,
        broker: Server,
        collector: CollectorProcess,
        devices: Sequence[Device],
        links: Sequence[Link],
        network: Network,
        remember: Callable[[Memory], None] | None = None,
    ) -> None:
        self.broker = broker
        self.collector = collector
        self.devices = devices
        self._links = links
        self._network = network
        self._remember = remember or self._forget

    def play(self, plan: Sequence[Fault]) -> None:
        """Let the faults happen, each at its time; returns when all is well again.

        Raises:
            FallenError: a process ended for another reason.
        """
        # at the same moment what was down comes back first, so that it can be struck again
        back, strike = 0, 1
        due = [(fault.at_s, strike, number) for number, fault in enumerate(plan)]
        heapq.heapify(due)
        began = time.monotonic()
        while due:
            at_s, what, number = heapq.heappop(due)
            time.sleep(max(0.0, began + at_s - time.monotonic()))
            if fallen := self.fallen():
                raise FallenError(f"ended by itself: {', '.join(fallen)}; see the logs")
            if what == strike:
                self._begin(plan[number])
                heapq.heappush(due, (at_s + plan[number].down_s, back, number))
            else:
                self._end(plan[number])

    def settle(self, deadline_s: float) -> float:
        """Let the devices decide no more and wait until the database has everything; return how long that took, s.

        What is missing at the deadline is lost.
        """
        for device in self.devices:
            device.quieten()
        began = time.monotonic()
        while self.tally().lost and time.monotonic() < began + deadline_s:
            time.sleep(1.0)
        return time.monotonic() - began

    def tally(self) -> Tally:
        """What became of all alerts so far."""
        stored = read_stored(self.collector)
        return sum((tally_stored(device.decisions(), stored.get(device.name, [])) for device in self.devices), Tally())

    def fallen(self) -> list[str]:
        """The processes that ended by themselves, as none should."""
        devices = [device.name for device in self.devices if device.fell]
        return [*devices, "collector"] if self.collector.fell else devices

    def _begin(self, fault: Fault) -> None:
        match fault.what:
            case What.BROKER:
                self.broker.kill()
            case What.DEVICE:
                self.devices[fault.target].kill()
            case What.COLLECTOR:
                self.collector.kill()
            case What.CUT:
                self._network.do(self._links[fault.target].cut)
            case What.OUTAGE:
                self._network.do(self._links[fault.target].shut)
            case What.SILENCE:
                self._network.do(self._links[fault.target].hush)

    def _end(self, fault: Fault) -> None:
        match fault.what:
            case What.BROKER:
                self._remember(fault.memory)
                self.broker.start()
            case What.DEVICE:
                self.devices[fault.target].start()
            case What.COLLECTOR:
                self.collector.start(wait=False)
            case What.CUT:
                pass
            case What.OUTAGE | What.SILENCE:
                self._network.do(self._links[fault.target].open)

    def _forget(self, memory: Memory) -> None:
        if memory is not Memory.KEEPS:
            self.broker.forget()


def read_stored(collector: CollectorProcess) -> dict[str, list[Stored]]:
    """What the collector's database holds, by device."""
    stored: dict[str, list[Stored]] = {}
    for kept in collector.alerts():
        name = str(kept.content["reason"]).split()[0]
        stored.setdefault(kept.device, []).append(Stored((kept.epoch, kept.sequence), name))
    return stored


@contextmanager
def living(
    broker: Server,
    devices: Mapping[str, Mapping[str, float]],
    *,
    protocol: str = "auto",
    remember: Callable[[Memory], None] | None = None,
    broken: bool = False,
) -> Iterator[World]:
    """A world in which everything runs, its files beside the broker's; all its processes end with it.

    ``devices`` are the options of each device's program, by name. With ``broken`` the broker is down already.

    Raises:
        BrokerError: the broker does not start.
        TimeoutError: the collector does not.
    """
    with contextlib.ExitStack() as stack:
        stack.callback(broker.kill)
        broker.start()
        network = Network()
        links = [network.link(broker.port) for _ in range(len(devices) + 1)]
        login = _login(broker)
        mqtt = f'protocol = "{protocol}"\n{login}'
        made = [
            Device(name, broker.folder, port, mqtt, options)
            for (name, options), (_, port) in zip(devices.items(), links, strict=False)
        ]
        collector = CollectorProcess(broker.folder, links[-1][1], mqtt=login)
        stack.callback(collector.kill)
        collector.start()
        if broken:
            broker.kill()
        for device in made:
            stack.callback(device.kill)
            device.start()
        yield World(broker, collector, made, [link for link, _ in links], network, remember)


def _login(broker: Server) -> str:
    """Lines for ``[mqtt]`` with which the broker lets a client in."""
    if broker.user is None:
        return ""
    password = broker.folder / "password"
    password.write_text(broker.user[1])
    password.chmod(0o600)
    return f'username = "{broker.user[0]}"\npassword_file = "{password}"\n'
