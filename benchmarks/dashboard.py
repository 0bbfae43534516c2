"""How fast, small and calm the dashboard is: in a real Chromium, on a real mosquitto, both on this machine.

``python -m benchmarks.dashboard`` (``--write`` puts the table into docs/dashboard.md) measures ``evenkeel dashboard``
as a process of its own:

- from a device's decision to the pixels: the device's publisher is told a state at random moments; the page notes by
  the same clock when a frame that shows it has been drawn;
- what the process holds and uses while nobody looks, and while one browser looks at a device that is live;
- the first load of *Now* with an empty cache;
- a fleet of simulated devices with the contract's default heartbeats, an alert an hour each: load of *Fleet*, what the
  server uses while one browser looks;
- a hundred browsers: whether each gets each of the numbered states, and what the server holds then;
- what a step of the device takes while it is asked for live numbers, over one while it is not: the demo's clip is
  decided on at its rate, some seconds with and some without by turns, with the real publisher.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import random
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import cv2
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from benchmarks.limits import raise_file_limit
from benchmarks.messages import made_state
from benchmarks.mosquitto import Mosquitto
from benchmarks.page import processor
from benchmarks.process import cpu_s, resident_mb
from benchmarks.server import program
from benchmarks.tally import percentile
from edge.config import Config, PublishConfig, load_config
from edge.config.reference import replaced
from edge.domain import EXPRESSIONS, Frame, State
from edge.mqtt.client import Publisher
from edge.mqtt.messages import LIVE, LiveMessage, Topics
from edge.mqtt.outbox import Outbox
from edge.pipeline import Pipeline
from edge.service.live_sink import LiveSink
from edge.service.loop import board_stamp
from edge.tools.bench import bundled_clip, clip_frames

PAGE = Path(__file__).parents[1] / "docs/dashboard.md"
DEVICE = Topics("evenkeel", "van-7")
BROKER = "allow_anonymous true\nset_tcp_nodelay true\nmax_queued_messages 0\n"
LIVE_HZ = 15.0
STATE_HZ = 10.0
ALERT_PERIOD_S = 3600.0
PATIENCE_S = 120.0
WANTED = {"pixel": 300.0, "memory": 70.0, "idle": 1.0, "bytes": 300.0, "load": 1.0, "fleet": 1.5, "fleet_cpu": 10.0,
          "crowd": 150.0, "step": 1.02}  # fmt: skip
FPS = 15.0
FRAMES = 60
"""Of the clip, in each block: each sees the same."""
WARM_UP = 45
"""Frames before anything is measured."""
HEARD = 0.5
"""Such a share of the frames of a block has to arrive as live numbers at least; else nobody has watched."""

WATCH = """
window.seen = [];
const why = document.getElementById("why");
new MutationObserver(() => {
  const number = Number(why.textContent.match(/change (\\d+)/)?.[1] ?? 0);
  if (number) requestAnimationFrame(() => requestAnimationFrame(() => window.seen.push([number, Date.now()])));
}).observe(why, { childList: true, characterData: true, subtree: true });
"""
ONCE = """
const looking = new MutationObserver(() => {
  if (!(%s)) return;
  looking.disconnect();
  requestAnimationFrame(() => requestAnimationFrame(() => { window.there = performance.now(); }));
});
looking.observe(document, { childList: true, subtree: true, characterData: true, attributes: true });
"""
NOW_IS_THERE = "!['', undefined, 'unknown'].includes(document.getElementById('state')?.dataset.state)"
FLEET_IS_THERE = "document.querySelectorAll('#rows tr').length === 50"
WEIGHED = """
return [performance.getEntriesByType("navigation")[0], ...performance.getEntriesByType("resource")]
  .reduce((sum, each) => sum + each.transferSize, 0)
"""


@dataclass(frozen=True, slots=True)
class Row:
    """One figure: what, what it came to, and what was wanted."""

    figure: str
    measured: str
    wanted: str = ""


class Served:
    """``evenkeel dashboard`` as a process; ``host`` is where it listens."""

    def __init__(self, port: int, *arguments: str) -> None:
        command = [sys.executable, "-c", "from edge.start import main; main()", "dashboard", *arguments]
        command += ["--broker", f"127.0.0.1:{port}", "--listen", "127.0.0.1:0"]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)  # noqa: S603 - our own command
        line = self._process.stdout.readline() if self._process.stdout else ""
        found = re.search(r"http://\S+", line)
        if found is None:
            raise RuntimeError(f"the dashboard does not start: {line}")
        self.address = found[0].rstrip("/")
        self.host = urlsplit(self.address).netloc

    @property
    def memory_mb(self) -> float:
        """What it holds now."""
        return resident_mb(self._process.pid)

    def cpu_percent(self, seconds: float) -> float:
        """What it uses of a core from now on."""
        before, began = cpu_s(self._process.pid), time.monotonic()
        time.sleep(seconds)
        return 100 * (cpu_s(self._process.pid) - before) / (time.monotonic() - began)

    def close(self) -> None:
        """End it."""
        self._process.send_signal(signal.SIGTERM)
        self._process.communicate()


@contextmanager
def chromium() -> Iterator[webdriver.Chrome]:
    """A browser without a window and with an empty cache."""
    options = webdriver.ChromeOptions()
    options.binary_location = program("chromium") or ""
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--lang=en-GB"):
        options.add_argument(argument)
    driver = webdriver.Chrome(options=options, service=Service(program("chromedriver")))
    try:
        driver.execute_cdp_cmd("Network.setCacheDisabled", {"cacheDisabled": True})
        yield driver
    finally:
        driver.quit()


def wait(condition: Callable[[], Any], what: str) -> Any:
    """Until it holds.

    Raises:
        TimeoutError: it does not.
    """
    end = time.monotonic() + PATIENCE_S
    while not (told := condition()):
        if time.monotonic() > end:
            raise TimeoutError(f"{what} did not come")
        time.sleep(0.05)
    return told


def loaded(driver: webdriver.Chrome, address: str, is_there: str) -> tuple[float, float]:
    """Seconds from the click to the pixels, and kilobytes."""
    script = driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": ONCE % is_there})
    driver.get(address)
    there = wait(lambda: driver.execute_script("return window.there"), address)
    driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", script)
    return there / 1000, driver.execute_script(WEIGHED) / 1000


@contextmanager
def a_device(folder: Path, port: int) -> Iterator[Publisher]:
    """The real publisher with its outbox."""
    path = folder / "device.toml"
    path.write_text(
        f'[device]\nid = "{DEVICE.device_id}"\n[outbox]\npath = "{folder}/outbox.db"\n'
        f'[mqtt]\nhost = "127.0.0.1"\nport = {port}\n'
    )
    config = load_config(path, {})
    with closing(Outbox.from_config(config, {}, board_stamp())) as outbox:
        publisher = Publisher(config, outbox, clock=board_stamp, environ={})
        publisher.publish_state(made_state(board_stamp()))
        with publisher:
            yield publisher


def to_the_pixels(driver: webdriver.Chrome, publisher: Publisher, changes: int) -> list[float]:
    """Milliseconds from each decision to its frame."""
    chance = random.Random(changes)  # noqa: S311 - moments, not secrets
    driver.execute_script(WATCH)
    decided: list[float] = []
    for number in range(1, changes + 1):
        time.sleep(chance.uniform(0.6, 1.4))
        state = made_state(board_stamp(), f"change {number}", State.UNCERTAIN if number % 2 else State.WARNING)
        decided.append(time.time() * 1000)
        publisher.publish_state(state.model_copy(update={"reason_code": "change"}))
    wait(lambda: driver.execute_script("return window.seen.at(-1)?.[0]") == changes, "the last change")
    seen: list[tuple[int, float]] = driver.execute_script("return window.seen")
    # where a later change has overtaken one, its time counts
    shown = [next(t for each, t in seen if each >= number) for number in range(1, changes + 1)]
    return [there - told for there, told in zip(shown, decided, strict=True)]


def one_device(folder: Path, changes: int, seconds: float) -> Iterator[Row]:
    """What one device's pages cost and take."""
    with ExitStack() as stack:
        broker = stack.enter_context(a_broker(folder))
        publisher = stack.enter_context(a_device(folder, broker.port))
        served = stack.enter_context(closing(Served(broker.port, "--device", DEVICE.device_id)))
        desk = stack.enter_context(heartbeats(publisher))
        time.sleep(5.0)
        yield _row("processor, nobody looks, % of a core", served.cpu_percent(seconds), WANTED["idle"], "%", 2)
        yield _row("resident memory, nobody looks", served.memory_mb, WANTED["memory"], "MB")
        driver = stack.enter_context(chromium())
        loads = [loaded(driver, f"{served.address}/", NOW_IS_THERE) for _ in range(5)]
        yield _row("first load of *Now*, all that is fetched", loads[0][1], WANTED["bytes"], "kB")
        times = [load_s for load_s, _ in loads]
        yield _row(
            "first load of *Now*, to the pixels, median of five", statistics.median(times), WANTED["load"], "s", 2
        )
        desk.set()
        took_ms = to_the_pixels(driver, publisher, changes)
        p50, p95 = (percentile(took_ms, percent) for percent in (50, 95))
        yield Row(
            f"decision to pixels, p50 / p95 of {changes} changes",
            f"{p50:.0f} / **{p95:.0f} ms**",
            f"p95 ≤ {WANTED['pixel']:.0f} ms",
        )
        with living(broker.port):
            yield Row(f"processor, one browser, live {LIVE_HZ:g} a second", f"{served.cpu_percent(seconds):.1f} %")
        yield _row("resident memory then", served.memory_mb, WANTED["memory"], "MB")


def a_fleet(folder: Path, devices: int, seconds: float) -> Iterator[Row]:
    """A fleet that drives and says so as the contract's defaults have it."""
    published = PublishConfig()
    with ExitStack() as stack:
        broker = stack.enter_context(a_broker(folder))
        served = stack.enter_context(closing(Served(broker.port, "--fleet")))
        command = [sys.executable, "-m", "benchmarks.vehicles", "--count", str(devices), "--port", str(broker.port)]
        command += ["--alert-period-s", str(ALERT_PERIOD_S)]
        fleet = stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))  # noqa: S603 - our own module
        stack.callback(fleet.terminate)
        if fleet.stdout is None or fleet.stdout.readline() != "ready\n":
            raise RuntimeError("the devices do not connect")
        time.sleep(max(published.heartbeat_s, published.health_s) + 5.0)  # each has told all
        driver = stack.enter_context(chromium())
        loads = [loaded(driver, f"{served.address}/fleet", FLEET_IS_THERE) for _ in range(5)]
        shown = driver.execute_script("return document.getElementById('found').textContent")
        median_s = statistics.median(load_s for load_s, _ in loads)
        yield _row(f"*Fleet* with {shown}, to the pixels, median of five", median_s, WANTED["fleet"], "s", 2)
        yield Row("*Fleet*, all that is fetched", f"{loads[0][1]:.0f} kB")
        rate = devices * (1 / published.heartbeat_s + 1 / published.health_s)
        used = served.cpu_percent(seconds)
        yield _row(f"processor, {rate:.0f} messages a second, one browser", used, WANTED["fleet_cpu"], "%", 1)
        yield Row("resident memory then", f"{served.memory_mb:.0f} MB")


def a_crowd(folder: Path, browsers: int, seconds: float) -> Iterator[Row]:
    """Browsers that all look at one device."""
    with ExitStack() as stack:
        broker = stack.enter_context(a_broker(folder))
        publisher = stack.enter_context(a_device(folder, broker.port))
        served = stack.enter_context(closing(Served(broker.port, "--device", DEVICE.device_id)))
        count = round(seconds * STATE_HZ)
        got, memory_mb = asyncio.run(_crowd(served, publisher, browsers, count))
        lost = sum(count - each for each in got)
        told = f"{lost} of {count * browsers:,}"
        yield Row(f"{browsers} browsers, {count} states {STATE_HZ:g} a second: lost", f"**{told}**", "0")
        yield _row("resident memory then, at most", memory_mb, WANTED["crowd"], "MB")


@dataclass(frozen=True, slots=True)
class Steps:
    """Medians of a block's steps, ms: until it is told, and of the processor."""

    wall_ms: float
    cpu_ms: float


class Drive:
    """The demo's clip, decided on in real time and offered to whoever watches."""

    def __init__(self, sink: LiveSink) -> None:
        self._pipeline = Pipeline.from_config(Config())
        self._sink = sink
        self._luma = itertools.cycle(clip_frames(bundled_clip(), FRAMES))
        self._number = 0
        self._due = time.perf_counter()

    def block(self, frames: int) -> Steps:
        """So many steps, each when its frame is due."""
        took = [self._step() for _ in range(frames)]
        wall_ms, cpu_ms = (statistics.median(each) for each in zip(*took, strict=True))
        return Steps(wall_ms, cpu_ms)

    def _step(self) -> tuple[float, float]:
        self._due = max(self._due + 1 / FPS, time.perf_counter())
        time.sleep(max(0.0, self._due - time.perf_counter()))
        frame = Frame(next(self._luma), self._number / FPS)
        self._number += 1
        begin, cpu_begin = time.perf_counter(), time.thread_time()
        self._sink.take(self._pipeline.step(frame))
        return (time.perf_counter() - begin) * 1000.0, (time.thread_time() - cpu_begin) * 1000.0


def a_step(folder: Path, blocks: int) -> Iterator[Row]:
    """What it costs a step that somebody watches."""
    cv2.setNumThreads(1)
    with ExitStack() as stack:
        broker = stack.enter_context(a_broker(folder))
        publisher = stack.enter_context(a_device(folder, broker.port))
        ask, heard = stack.enter_context(watching(broker.port))
        drive = Drive(LiveSink(publisher, time.monotonic, board_stamp))
        drive.block(WARM_UP)
        pairs = []
        for _ in range(blocks):
            heard.clear()
            ask(FRAMES / FPS + 0.5)
            wait(lambda: publisher.watched, "the device's ear")
            watched = drive.block(FRAMES)
            if len(heard) < HEARD * FRAMES:
                raise RuntimeError(f"only {len(heard)} of {FRAMES} frames came as live numbers")
            wait(lambda: not publisher.watched, "the end of watching")
            pairs.append((watched, drive.block(FRAMES)))
        told: dict[str, Callable[[Steps], float]] = {"processor": lambda of: of.cpu_ms, "time": lambda of: of.wall_ms}
        for name, of in told.items():
            ratio = statistics.median(of(watched) / of(alone) for watched, alone in pairs)
            on_ms, off_ms = (statistics.median(of(pair[which]) for pair in pairs) for which in (0, 1))
            yield Row(
                f"a step while watched, over one while not, {name}",
                f"**{ratio:.3f}** ({on_ms:.2f} / {off_ms:.2f} ms)",
                f"≤ {WANTED['step']:g}",
            )


@contextmanager
def watching(port: int) -> Iterator[tuple[Callable[[float], None], list[int]]]:
    """Who asks the device to be live for some seconds, and what has come of it."""
    heard: list[int] = []
    client = paho.Client(CallbackAPIVersion.VERSION2)
    client.on_message = lambda _client, _data, message: heard.append(message.mid)
    client.connect("127.0.0.1", port)
    client.subscribe(DEVICE.live)
    client.loop_start()
    try:
        yield (
            lambda seconds: client.publish(DEVICE.command(LIVE), json.dumps({"seconds": seconds})).wait_for_publish(),
            heard,
        )
    finally:
        client.disconnect()
        client.loop_stop()


async def _crowd(served: Served, publisher: Publisher, browsers: int, count: int) -> tuple[list[int], float]:
    """How many of the numbered states each got in order, and the most that the server held."""
    host, _, port = served.host.partition(":")
    ready, memory = asyncio.Semaphore(0), [0.0]

    async def look() -> int:
        reader, writer = await asyncio.open_connection(host, int(port), limit=2**20)
        writer.write(f"GET /events?live=1 HTTP/1.1\r\nHost: {served.host}\r\n\r\n".encode())
        got = 0
        while got < count:
            line = await asyncio.wait_for(reader.readline(), PATIENCE_S)
            if line.startswith(b"event: snapshot"):
                ready.release()
            if not line:
                break
            found = re.search(rb'"reason": "number (\d+)"', line)
            if found and int(found[1]) == got + 1:
                got += 1
            elif found and int(found[1]) > got + 1:
                break
        writer.close()
        return got

    looking = [asyncio.create_task(look()) for _ in range(browsers)]
    for _ in looking:
        await ready.acquire()
    for number in range(1, count + 1):
        publisher.publish_state(made_state(board_stamp(), f"number {number}"))
        await asyncio.sleep(1 / STATE_HZ)
        memory.append(served.memory_mb)
    return list(await asyncio.gather(*looking)), max(memory)


@contextmanager
def a_broker(folder: Path) -> Iterator[Mosquitto]:
    """One of its own."""
    broker = Mosquitto(folder, BROKER, log_type="error")
    broker.start()
    try:
        yield broker
    finally:
        broker.stop()


@contextmanager
def heartbeats(publisher: Publisher) -> Iterator[threading.Event]:
    """The device says every ten seconds that all is calm, until what is handed out is set."""
    quiet = threading.Event()

    def beat() -> None:
        while not quiet.wait(PublishConfig().heartbeat_s):
            publisher.publish_state(made_state(board_stamp()))

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield quiet
    finally:
        quiet.set()
        thread.join()


@contextmanager
def living(port: int) -> Iterator[None]:
    """The device's numbers of each frame, as while somebody looks."""
    client = paho.Client(CallbackAPIVersion.VERSION2)
    client.connect("127.0.0.1", port)
    client.loop_start()
    over = threading.Event()

    def say() -> None:
        while not over.wait(1 / LIVE_HZ):
            stamp = board_stamp()
            live = LiveMessage(
                time=stamp.time, uptime_s=stamp.uptime_s, clock_synced=stamp.clock_synced, state=State.CALM,
                reason_code="", signals={"anger": 0.1, "distress": 0.2, "fatigue": 0.3},
                levels={"anger": None, "distress": None, "fatigue": None}, expression="neutral",
                probabilities=dict.fromkeys(EXPRESSIONS, 0.1111), eyes=None, quality=None, speed_kmh=50.0,
            )  # fmt: skip
            client.publish(DEVICE.live, live.payload())

    thread = threading.Thread(target=say, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        client.disconnect()
        client.loop_stop()


def _row(figure: str, measured: float, wanted: float, unit: str, digits: int = 0) -> Row:
    return Row(figure, f"**{measured:.{digits}f} {unit}**", f"≤ {wanted:g} {unit}")


def table(rows: Sequence[Row], loads: Sequence[float]) -> str:
    """In Markdown, with the machine."""
    versions = f"{os.cpu_count()} cores of {processor()}, {_chromium_version()}, mosquitto {Mosquitto.version()}"
    load = f"load {min(loads):.1f} to {max(loads):.1f}"
    lines = ["| figure | measured | wanted |", "|---|---|---|"]
    lines += [f"| {row.figure} | {row.measured} | {row.wanted} |" for row in rows]
    real_time = os.sched_getscheduler(0) in (os.SCHED_FIFO, os.SCHED_RR)
    priority = "with real-time priority" if real_time else f"nice {os.nice(0)}"
    return "\n".join([*lines, "", f"{versions}; {load}, {priority}."])


def _chromium_version() -> str:
    told = subprocess.run([program("chromium") or "chromium", "--version"], capture_output=True, text=True, check=False)  # noqa: S603 - a fixed tool
    return " ".join(told.stdout.split()[:2])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--changes", type=int, default=120, help="decisions to follow to the pixels")
    parser.add_argument("--devices", type=int, default=5000)
    parser.add_argument("--browsers", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=30.0, help="time over which the processor is measured")
    parser.add_argument("--blocks", type=int, default=15, help="pairs of blocks to compare steps in")
    parser.add_argument("--only", choices=["device", "fleet", "crowd", "step"], help="a part of it")
    parser.add_argument("--write", action="store_true", help="put the table into docs/dashboard.md")
    options = parser.parse_args()
    raise_file_limit(options.devices)
    parts: dict[str, Callable[[Path], Iterator[Row]]] = {
        "device": lambda folder: one_device(folder, options.changes, options.seconds),
        "fleet": lambda folder: a_fleet(folder, options.devices, options.seconds),
        "crowd": lambda folder: a_crowd(folder, options.browsers, options.seconds),
        "step": lambda folder: a_step(folder, options.blocks),
    }
    rows, loads = [], [os.getloadavg()[0]]
    for name, part in parts.items():
        if options.only in (None, name):
            with tempfile.TemporaryDirectory(prefix="evenkeel-dashboard-") as folder:
                for row in part(Path(folder)):
                    rows.append(row)
                    loads.append(os.getloadavg()[0])
                    print(json.dumps([row.figure, row.measured, row.wanted]), file=sys.stderr)  # noqa: T201 - progress
    text = table(rows, loads)
    print(text)  # noqa: T201 - what it is for
    if options.write:
        PAGE.write_text(replaced(PAGE.read_text(encoding="utf-8"), {"dashboard": text}), encoding="utf-8")


if __name__ == "__main__":
    main()
