"""Let the service run for MINUTES under trouble and see whether anything grows.

``python -m benchmarks.soak --minutes 60``. Two devices, each the real ``evenkeel run`` at 30 frames a second: one plays
a video file in a loop, the other watches a camera on the network (``benchmarks/webcam.py``), which is unplugged or
stalls at random. The broker of both is a real mosquitto, which is killed and started again at random. Everything is on
loopback. What the kernel says of the processes, and what the devices say in their health, is sampled, plotted and
judged; the exit status is 1 where something grows.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import logging
import math
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from rich.console import Console

from benchmarks.clips import bundled_clip, drive, record
from benchmarks.mosquitto import Mosquitto
from benchmarks.process import usage
from benchmarks.soak_report import Sample, judge, logged, plot, table
from benchmarks.webcam import Webcam

FPS = 30.0
SAMPLE_S = 5.0
HEALTH_S = 5
OLD_S = 3 * HEALTH_S
STOP_S = 60.0  # a starved machine takes half a minute to end even a process that it kills
# seconds between two faults, and how long one lasts
BROKER_PAUSE_S, BROKER_DOWN_S = (40.0, 120.0), (1.0, 20.0)
CAMERA_PAUSE_S, CAMERA_AWAY_S = (30.0, 90.0), (0.5, 10.0)
BROKER = "allow_anonymous true\nset_tcp_nodelay true"
CONFIG = """[device]
id = "{name}"
[camera]
source = "{source}"
fps = {fps}
[mqtt]
host = "127.0.0.1"
port = {port}
reconnect_max_s = 5.0
[outbox]
path = "{folder}/{name}.db"
[publish]
health_s = {health_s}
"""


class Device:
    """One ``evenkeel run`` and its files."""

    def __init__(
        self, name: str, folder: Path, source: str, port: int, fps: float = FPS, health_s: float = HEALTH_S
    ) -> None:
        self.name = name
        self._log = folder / f"{name}.log"
        self._config = folder / f"{name}.toml"
        values = {"name": name, "source": source, "fps": fps, "port": port, "folder": folder, "health_s": health_s}
        self._config.write_text(CONFIG.format(**values))
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The running process.

        Raises:
            RuntimeError: it has ended.
        """
        if self._process is None or self._process.poll() is not None:
            raise RuntimeError(f"{self.name} does not run any more; its log ends:\n{self._log.read_text()[-2000:]}")
        return self._process.pid

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Run inside the ``with``; stop as its service manager would.

        Raises:
            RuntimeError: it does not stop.
        """
        command = [sys.executable, "-c", "from edge.cli import main; main()", "run", "--config", str(self._config)]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen([*command, "--loop"], stderr=log)  # noqa: S603 - our own program
        try:
            yield
        finally:
            self._process.terminate()
            try:
                self._process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                raise RuntimeError(
                    f"{self.name} did not stop; its log ends:\n{self._log.read_text()[-2000:]}"
                ) from None


class Listener:
    """Keeps the newest health of each device."""

    def __init__(self, port: int) -> None:
        self._health: dict[str, tuple[float, dict[str, Any]]] = {}
        self._client = paho.Client(CallbackAPIVersion.VERSION2)
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = lambda client, *_: client.subscribe("evenkeel/+/health")
        self._client.on_message = self._on_message
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def close(self) -> None:
        """Disconnect."""
        self._client.disconnect()
        self._client.loop_stop()

    def health(self, device: str) -> dict[str, Any]:
        """What a device said last; nothing where that is long ago."""
        at, content = self._health.get(device, (0.0, {}))
        return content if time.monotonic() - at < OLD_S else {}

    def _on_message(self, _client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        self._health[message.topic.split("/")[1]] = time.monotonic(), json.loads(message.payload)


class Trouble:
    """Does one pair of actions at random moments, in a thread of its own, until it is told to end."""

    def __init__(
        self,
        faults: Sequence[tuple[str, Callable[[], None], Callable[[], None]]],
        pause_s: tuple[float, float],
        lasts_s: tuple[float, float],
        chance: random.Random,
    ) -> None:
        self.count: Counter[str] = Counter()
        self.now: str | None = None
        self._faults = faults
        self._pause_s = pause_s
        self._lasts_s = lasts_s
        self._chance = chance
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    @contextlib.contextmanager
    def going_on(self) -> Iterator[None]:
        """Make trouble inside the ``with``; all is well again after it."""
        self._thread.start()
        try:
            yield
        finally:
            self._ending.set()
            self._thread.join(STOP_S)

    def _run(self) -> None:
        while not self._ending.wait(self._chance.uniform(*self._pause_s)):
            name, begin, end = self._chance.choice(self._faults)
            self.now = name
            begin()
            self._ending.wait(self._chance.uniform(*self._lasts_s))
            end()
            self.now = None
            self.count[name] += 1


def main() -> None:
    """Soak, print the table, draw the plot; exit status 1 where something grows."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument(
        "--clip", type=Path, action="append", default=[], help="a clip after the demo's; may be repeated"
    )
    parser.add_argument("--seed", type=int, default=None, help="the same faults at the same moments again")
    parser.add_argument("--out", type=Path, default=Path("build"), help="folder for soak.png and soak.csv")
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else random.randrange(10**6)  # noqa: S311 - not a secret
    logging.disable(logging.INFO)
    console = Console(width=110)
    console.print(f"seed {seed}")
    options.out.mkdir(parents=True, exist_ok=True)
    log = options.out / "soak.csv"
    samples, faults = soak(options.minutes * 60, [bundled_clip(), *options.clip], seed, log, console)
    plot(samples, options.out / "soak.png")
    findings = judge(samples)
    console.print(table(samples), ", ".join(f"{count} x {name}" for name, count in sorted(faults.items())))
    console.print(f"plot: {options.out / 'soak.png'}")
    for finding in findings:
        console.print(f"GROWS: {finding}")
    sys.exit(bool(findings))


def soak(
    seconds: float, clips: list[Path], seed: int, log: Path, console: Console
) -> tuple[list[Sample], Counter[str]]:
    """Run both devices for so long; return what was sampled (and logged) and how many faults there were."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="evenkeel-soak-")))
        broker = Mosquitto(folder, BROKER, log_type="error")
        broker.start()
        stack.callback(broker.kill)
        webcam = Webcam(record(drive(clips, FPS), FPS, folder / "clip.mp4"), FPS)
        stack.enter_context(webcam.serving())
        listener = Listener(broker.port)
        stack.callback(listener.close)
        devices = [
            Device("file", folder, str(folder / "clip.mp4"), broker.port),
            Device("camera", folder, webcam.address, broker.port),
        ]
        for device in devices:
            stack.enter_context(device.running())
        # each has its own, as their threads take turns by chance
        for_broker, for_camera = (random.Random(seed + n) for n in range(2))  # noqa: S311 - moments, not secrets
        troubles = [
            Trouble([("broker killed", broker.kill, broker.start)], BROKER_PAUSE_S, BROKER_DOWN_S, for_broker),
            Trouble(
                [
                    ("camera unplugged", webcam.unplug, webcam.mend),
                    ("camera stalled", webcam.stall, webcam.mend),
                ],
                CAMERA_PAUSE_S,
                CAMERA_AWAY_S,
                for_camera,
            ),
        ]
        for trouble in troubles:
            stack.enter_context(trouble.going_on())
        samples = list(logged(_sample(seconds, devices, listener, troubles, console), log))
    return samples, sum((trouble.count for trouble in troubles), Counter())


def _sample(
    seconds: float, devices: list[Device], listener: Listener, troubles: list[Trouble], console: Console
) -> Iterator[Sample]:
    begin = time.monotonic()
    due = begin
    while due <= begin + seconds:
        time.sleep(max(0.0, due - time.monotonic()))
        trouble = " and ".join(trouble.now for trouble in troubles if trouble.now)
        for device in devices:
            yield _look(device, time.monotonic() - begin, listener.health(device.name), trouble)
        if round((due - begin) / SAMPLE_S) % 60 == 0:
            console.print(f"{(due - begin) / 60:.0f} of {seconds / 60:.0f} minutes; load {os.getloadavg()[0]:.1f}")
        due += SAMPLE_S


def _look(device: Device, t: float, health: dict[str, Any], trouble: str) -> Sample:
    stages = health.get("stages", {})
    nothing: dict[str, float] = {"p50_ms": math.nan, "p95_ms": math.nan}
    step, age = stages.get("step", nothing), stages.get("age", nothing)
    return Sample(
        device=device.name,
        t=t,
        **dataclasses.asdict(usage(device.pid)),
        fps=health.get("fps", math.nan),
        step_p50_ms=step["p50_ms"],
        step_p95_ms=step["p95_ms"],
        age_p50_ms=age["p50_ms"],
        age_p95_ms=age["p95_ms"],
        waiting=health["outbox"]["depth"] if health else math.nan,
        trouble=trouble,
    )


if __name__ == "__main__":
    main()
