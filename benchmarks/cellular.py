"""How long to wait for a broker's answer on a cellular link: false alarms against the time until a loss is noticed.

``python -m benchmarks.cellular``. The devices' packets, and the broker's, pass a TUN device in a network namespace of
this process: each is delayed, jittered, lost or held up there, and the kernel's own TCP makes of it what it makes of a
real link. Many connections publish a message of a state's size with QoS 1 every heartbeat to a real mosquitto; the
time to each PUBACK is measured. Then, for each ``mqtt.answer_s``, the answers that came later than that are counted:
connections that would have been given up though they were alive.

It needs /dev/net/tun and the right to make namespaces (root, or users' own ones), and touches no other network.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import fcntl
import heapq
import itertools
import os
import random
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from rich.console import Console
from rich.table import Table

from benchmarks.mosquitto import Mosquitto
from benchmarks.server import free_port

HERE, THERE = "10.77.0.1", "10.77.0.2"
TUN_SET, TUN, NO_HEADER = 0x400454CA, 0x0001, 0x1000
"""ioctl and flags of linux/if_tun.h."""

HEARTBEAT_S = 10.0
PAYLOAD = b"x" * 700
WAITS_S = (2.0, 3.0, 5.0, 8.0, 10.0, 15.0, 20.0, 30.0, 45.0)
SETTLE_S = 60.0


@dataclass(frozen=True, slots=True)
class Profile:
    """One kind of link, each way: delay and jitter (seconds), loss (share of packets), rate (bytes a second).

    About every ``gap_every_s`` nothing passes for ``gap_s`` (shortest, longest): a change of cell, a bridge, a tunnel.
    What is sent meanwhile is lost if ``gap_loses``, else it waits in the modem.
    """

    name: str
    delay_s: float
    jitter_s: float
    loss: float
    rate: float
    gap_every_s: float
    gap_s: tuple[float, float]
    gap_loses: bool


PROFILES = (
    Profile("4G, town", 0.04, 0.02, 0.002, 1e6, 120, (0.1, 0.8), gap_loses=False),
    Profile("4G, motorway", 0.06, 0.04, 0.01, 5e5, 60, (0.3, 3.0), gap_loses=True),
    Profile("3G, edge of a cell", 0.15, 0.12, 0.03, 3e4, 60, (0.5, 5.0), gap_loses=True),
    Profile("2G, crowded", 0.45, 0.3, 0.02, 4e3, 120, (1.0, 6.0), gap_loses=True),
    Profile("4G with tunnels", 0.06, 0.04, 0.01, 5e5, 300, (5.0, 25.0), gap_loses=True),
)


class Air:
    """One connection's way through the air, one direction."""

    def __init__(self, profile: Profile, chance: random.Random) -> None:
        self._profile = profile
        self._chance = chance
        self._free_at = 0.0
        self._last_at = 0.0

    def arrival(self, now: float, size: int, gap_until: float) -> float | None:
        """When a packet that is sent now arrives; None: never."""
        profile = self._profile
        if self._chance.random() < profile.loss or (gap_until > now and profile.gap_loses):
            return None
        sent = max(now, self._free_at, gap_until) + size / profile.rate
        self._free_at = sent
        jitter = self._chance.gammavariate(1.0, profile.jitter_s)
        # a modem delivers in order: what comes late holds up what is behind it
        self._last_at = max(self._last_at, sent + profile.delay_s + jitter)
        return self._last_at


class Link:
    """Both directions of one connection, with the gaps that they share."""

    def __init__(self, profile: Profile, chance: random.Random, now: float) -> None:
        self._profile = profile
        self._chance = chance
        self._ways = (Air(profile, chance), Air(profile, chance))
        self._gap_from = now + chance.expovariate(1 / profile.gap_every_s)
        self._gap_until = self._gap_from + chance.uniform(*profile.gap_s)

    def arrival(self, now: float, size: int, way: int) -> float | None:
        """As of ``Air``."""
        while now >= self._gap_until:
            self._gap_from = self._gap_until + self._chance.expovariate(1 / self._profile.gap_every_s)
            self._gap_until = self._gap_from + self._chance.uniform(*self._profile.gap_s)
        return self._ways[way].arrival(now, size, self._gap_until if now >= self._gap_from else 0.0)


class Ether:
    """A TUN device that sends each packet back to this machine, as if THERE were another, through its link.

    Source and destination change places, which leaves every checksum right.
    """

    def __init__(self, profile: Profile, broker_port: int, chance: random.Random) -> None:
        self._profile = profile
        self._port = broker_port
        self._chance = chance
        self._links: dict[int, Link] = {}
        self._waiting: list[tuple[float, int, bytes]] = []
        self._order = itertools.count()
        self._tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(self._tun, TUN_SET, struct.pack("16sH", b"air0", TUN | NO_HEADER))
        for command in ("link set lo up", f"addr add {HERE}/24 dev air0", "link set air0 up"):
            subprocess.run(["ip", *command.split()], check=True)  # noqa: S603, S607 - fixed commands, own namespace

    def start(self) -> None:
        """Forward in a thread of its own."""
        threading.Thread(target=lambda: asyncio.run(self._forward()), daemon=True).start()

    async def _forward(self) -> None:
        loop = asyncio.get_running_loop()
        loop.add_reader(self._tun, self._take)
        while True:
            now = time.monotonic()
            while self._waiting and self._waiting[0][0] <= now:
                os.write(self._tun, heapq.heappop(self._waiting)[2])
            await asyncio.sleep(0.002)

    def _take(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                self._send_on(os.read(self._tun, 65_536))

    def _send_on(self, packet: bytes) -> None:
        if packet[0] >> 4 != 4 or packet[9] != socket.IPPROTO_TCP:
            return
        ports = struct.unpack_from("!HH", packet, (packet[0] & 15) * 4)
        way = int(ports[0] == self._port)
        now = time.monotonic()
        device = ports[1] if way else ports[0]
        if device not in self._links:
            self._links[device] = Link(self._profile, self._chance, now)
        at = self._links[device].arrival(now, len(packet), way)
        if at is not None:
            swapped = packet[:12] + packet[16:20] + packet[12:16] + packet[20:]
            heapq.heappush(self._waiting, (at, next(self._order), swapped))


class Device:
    """Publishes every heartbeat and notes how long each answer took; one that never came took for ever."""

    def __init__(self, port: int, number: int) -> None:
        self.answers_s: dict[int, float] = {}
        self._sent: dict[int, float] = {}
        self._client = paho.Client(CallbackAPIVersion.VERSION2, f"device-{number}", protocol=MQTTProtocolVersion.MQTTv5)
        self._client.connect_timeout = 60.0
        self._client.on_publish = self._on_publish
        self._client.connect_async(THERE, port, keepalive=600)
        self._client.loop_start()

    def publish(self) -> None:
        """One heartbeat, if the connection stands."""
        if self._client.is_connected():
            began = time.monotonic()
            self._sent[self._client.publish("state", PAYLOAD, qos=1).mid] = began

    def _on_publish(self, _client: paho.Client, _data: Any, mid: int, *_: Any) -> None:
        if (began := self._sent.get(mid)) is not None:
            self.answers_s[mid] = time.monotonic() - began

    def waits(self) -> list[float]:
        """Each heartbeat's time to its answer, in order."""
        return [self.answers_s.get(mid, float("inf")) for mid in self._sent]


def false_disconnects(waits_s: list[float], answer_s: float) -> int:
    """How often a connection would have been given up; heartbeats that fall into the same wait count once."""
    count, blocked = 0, 0.0
    for wait_s in waits_s:
        blocked = max(0.0, blocked - HEARTBEAT_S)
        if wait_s > answer_s and not blocked:
            count += 1
            blocked = wait_s
    return count


def measure(name: str, devices: int, seconds: float, seed: int) -> None:
    """One profile, in a namespace of its own; prints one line: hours, answers, and disconnects for each wait."""
    profile = next(one for one in PROFILES if one.name == name)
    port = free_port()
    ether = Ether(profile, port, random.Random(seed))  # noqa: S311 - a link, not a secret
    ether.start()
    with tempfile.TemporaryDirectory(prefix="evenkeel-cellular-") as folder:
        broker = Mosquitto(Path(folder), "allow_anonymous true", f"listener {port} {HERE}", log_type="error")
        broker.start()
        try:
            fleet = [Device(port, number) for number in range(devices)]
            end, turn = time.monotonic() + seconds, 0
            while time.monotonic() < end:
                # spread over the heartbeat
                for device in fleet[turn::10]:
                    device.publish()
                turn = (turn + 1) % 10
                time.sleep(HEARTBEAT_S / 10)
            time.sleep(SETTLE_S)
        finally:
            broker.kill()
    waits = [device.waits() for device in fleet]
    count = sum(map(len, waits))
    hours = count * HEARTBEAT_S / 3600
    flat = sorted(wait for one in waits for wait in one)
    counts = [sum(false_disconnects(one, answer_s) for one in waits) for answer_s in WAITS_S]
    print(hours, count, flat[count // 2], flat[int(count * 0.999)], *counts, flush=True)  # noqa: T201 - to the parent


def main() -> None:
    """Measure every profile side by side and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=4.0)
    parser.add_argument("--devices", type=int, default=60, help="connections for each kind of link")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--profile", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.profile:
        measure(options.profile, options.devices, options.minutes * 60, options.seed)
        return
    namespace = ["unshare", "--map-root-user", "--net"]
    arguments = ["--minutes", str(options.minutes), "--devices", str(options.devices), "--seed", str(options.seed)]
    command = [*namespace, sys.executable, "-m", "benchmarks.cellular", *arguments, "--profile"]
    running = {
        profile.name: subprocess.Popen([*command, profile.name], stdout=subprocess.PIPE, text=True)  # noqa: S603 - ours
        for profile in PROFILES
    }
    table = Table("link", "device hours", "answer p50", "p99.9", *(f"{wait_s:g} s" for wait_s in WAITS_S))
    for name, process in running.items():
        out, _ = process.communicate()
        if process.returncode:
            sys.exit(f"{name}: failed; is /dev/net/tun there, and may this user make network namespaces?")
        hours, _, p50, high, *counts = map(float, out.split())
        rates = [f"{count / hours:.2f}" for count in counts]
        table.add_row(name, f"{hours:.1f}", f"{p50:.2f} s", f"{high:.1f} s", *rates)
    noticed = [f"{HEARTBEAT_S + wait_s:g} s" for wait_s in WAITS_S]
    table.add_row("[bold]a loss is noticed within", "", "", "", *noticed)
    console = Console(width=140)
    console.print("False disconnects an hour for each mqtt.answer_s, with a heartbeat of 10 s")
    console.print(table)


if __name__ == "__main__":
    main()
