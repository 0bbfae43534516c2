"""Pictures of the dashboard's pages, light and dark: ``python -m docs.pictures``. The demo's clip is what they show.

It needs Chromium with its driver (apt-get install chromium chromium-driver), selenium and the calibration's packages.
"""

from __future__ import annotations

import base64
import re
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from importlib import resources
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import numpy as np
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By

from benchmarks.messages import made_state
from docs.tutorials import ROOT, files
from edge.board.clock import uptime_s
from edge.compat import UTC
from edge.config import Config
from edge.config.dashboard import DashboardConfig, HistoryConfig
from edge.dashboard.command import Dashboard
from edge.domain import Level, State
from edge.mqtt.messages import KindPart, StateMessage, Topics
from edge.service.loop import board_stamp, build_service
from edge.tools.demo.broker import EmbeddedBroker
from edge.tools.demo.demo import demo_config
from edge.tools.demo.drive import SimulatedDrive
from edge.traces.replay import replay

WIDTH, HEIGHT = 1024, 600
SCHEMES = ("light", "dark")
QUALITY = 90
PATIENCE_S = 300
DRAWN_S = 0.5

BEAT_S = 2.0
NEIGHBOURS: dict[str, State | None] = {
    "van-01": State.CALM,
    "van-02": State.CALM,
    "van-03": State.WARNING,
    "van-04": State.CALM,
    "van-05": State.ABSENT,
    "van-06": State.CALM,
    "van-07": None,
    "van-08": State.UNCERTAIN,
    "van-09": State.CALM,
}
"""What each of them says; None is offline."""

Ready = Callable[[webdriver.Chrome], bool]


@dataclass(frozen=True)
class Shot:
    """One picture: what to open, when to take it, and of which elements, from the first's top to the last's bottom."""

    path: str
    ready: Ready
    fleet: bool = False
    of: tuple[str, ...] = ("body",)
    height: int = HEIGHT


def _text(driver: webdriver.Chrome, selector: str) -> str:
    return str(driver.execute_script("return document.querySelector(arguments[0])?.innerText ?? ''", selector))


def _tuned(driver: webdriver.Chrome) -> bool:
    """Have it tune once its drive is there; true once it has."""
    job = _text(driver, "#job")
    run = driver.find_element(By.ID, "run")
    if not job and run.is_enabled() and _text(driver, "#marks"):
        run.click()
    return bool(_text(driver, "#kinds")) and "Done" in job


def _healthy(driver: webdriver.Chrome) -> bool:
    return _text(driver, "#word") == "Calm" and "ms" in _text(driver, "#stages")


def _urgent(driver: webdriver.Chrome) -> bool:
    """Whether an urgent alert is at its height."""
    return bool(re.search(r"(?:[7-9]\d|100) % · Urgent", _text(driver, "#charts")))


SHOTS = {
    "tune": Shot("/tune", _tuned, of=("#timeline", "#kinds"), height=1300),
    "fleet": Shot("/fleet", lambda driver: f"{len(NEIGHBOURS) + 1} of" in _text(driver, "#found"), fleet=True),
    "cab": Shot("/cab", lambda driver: _text(driver, "#word") == "Please stop and rest"),
    "health": Shot("/health", _healthy, height=800),
    "now": Shot("/", _urgent, height=760),
    "history": Shot("/history", lambda driver: "atigue" in _text(driver, "main"), height=720),
}
"""In this order: by the last ones there is something to see of the last minutes."""


@contextmanager
def played(folder: Path) -> Iterator[dict[bool, str]]:
    """The addresses of the demo's dashboard and of one (True) of a fleet in which it is, with drawn neighbours.

    There is a drive that was recorded of the clip, with the tutorial's marks.
    """
    with ExitStack() as stack:
        clip = stack.enter_context(resources.as_file(resources.files("edge.tools.demo") / "clip.mp4"))
        drives = folder / "drives"
        (drives / "demo").mkdir(parents=True)
        replay(clip, Config(), trace=drives / "demo" / "drive.jsonl")
        (drives / "labels.csv").write_text(files((ROOT / "docs/tune.md").read_text(encoding="utf-8"))["labels.csv"])
        broker = stack.enter_context(EmbeddedBroker())
        config = demo_config(clip, broker, folder)
        history = HistoryConfig(database=f"sqlite:///{folder / 'history.db'}", collect=True)
        one = DashboardConfig(listen="127.0.0.1:0", history=history)
        pool = stack.enter_context(ThreadPoolExecutor())
        addresses = {}
        for fleet, section in ((False, one), (True, DashboardConfig(listen="127.0.0.1:0", fleet=True))):
            pages = Dashboard(config.model_copy(update={"dashboard": section}), {}, traces=None if fleet else drives)
            ready = threading.Event()
            pool.submit(pages.run, ready.set)
            stack.callback(pages.stop)
            if not ready.wait(PATIENCE_S):
                raise SystemExit("the demo's dashboard does not start: evenkeel demo --web says why")
            addresses[fleet] = pages.address.rstrip("/")
        vehicle = SimulatedDrive(uptime_s)
        service = stack.enter_context(build_service(config, reload=lambda: config, vehicle=vehicle, loop=True))
        running = pool.submit(service.run)
        stack.callback(running.result)
        stack.callback(service.stop)
        stack.enter_context(_neighbours(broker, pool))
        yield addresses


@contextmanager
def _neighbours(broker: EmbeddedBroker, pool: ThreadPoolExecutor) -> Iterator[None]:
    """The other devices of the fleet: each says its state every few seconds."""
    client = paho.Client(CallbackAPIVersion.VERSION2)
    client.connect(broker.host, broker.port)
    client.loop_start()
    stopped = threading.Event()

    def say() -> None:
        while not stopped.wait(BEAT_S):
            for name, state in NEIGHBOURS.items():
                topics = Topics("evenkeel", name)
                client.publish(topics.availability, "online" if state else "offline", retain=True)
                if state is not None:
                    client.publish(topics.state, _state_of(state).payload())

    pool.submit(say)
    try:
        yield
    finally:
        stopped.set()
        client.loop_stop()
        client.disconnect()


def _state_of(state: State) -> StateMessage:
    """As a device says it; an alert is one of fatigue."""
    level = {State.WARNING: Level.WARNING, State.URGENT: Level.URGENT}.get(state)
    signal = 0.1 if level is None else 0.7
    kinds = {"fatigue": KindPart(signal=signal, level=level, readable=state is not State.UNCERTAIN)}
    return made_state(board_stamp(), "", state).model_copy(update={"kinds": kinds})


@contextmanager
def browser() -> Iterator[webdriver.Chrome]:
    """Chromium in English, in a zone of the earth in which it is noon: the cab's page is dark by night."""
    binary, helper = shutil.which("chromium"), shutil.which("chromedriver")
    if binary is None or helper is None:
        raise SystemExit("no Chromium with its driver: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--lang=en-GB"):
        options.add_argument(argument)
    driver = webdriver.Chrome(options=options, service=Service(helper))
    try:
        yield driver
    finally:
        driver.quit()


def take(driver: webdriver.Chrome, address: str, shot: Shot, name: str, out: Path) -> None:
    """Wait until a page shows what it is to show, and write its pictures."""
    _dress(driver, SCHEMES[0], shot.height)
    driver.get(address + shot.path)
    for scheme in SCHEMES:
        _dress(driver, scheme, shot.height)
        end = time.monotonic() + PATIENCE_S
        while not shot.ready(driver):
            if time.monotonic() > end:
                raise SystemExit(f"{shot.path} does not come to what is to be shown: {_text(driver, 'body')}")
            time.sleep(0.2)
        time.sleep(DRAWN_S)
        _write(_shoot(driver, shot), out / f"{name}-{scheme}.webp")


def _dress(driver: webdriver.Chrome, scheme: str, height: int) -> None:
    metrics = {"width": WIDTH, "height": height, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    hours = (12 if scheme == "light" else 0) - datetime.now(UTC).hour
    hours = hours + 24 if hours < -11 else hours
    zone = f"Etc/GMT{-hours:+d}" if hours else "Etc/GMT"  # POSIX counts them westwards
    driver.execute_cdp_cmd("Emulation.setTimezoneOverride", {"timezoneId": zone})


def _shoot(driver: webdriver.Chrome, shot: Shot) -> bytes:
    """A PNG."""
    spans: list[dict[str, Any]] = [
        driver.execute_script(
            "const { top, bottom } = document.querySelector(arguments[0]).getBoundingClientRect();"
            "return { top: top + scrollY, bottom: bottom + scrollY }",
            selector,
        )
        for selector in (shot.of[0], shot.of[-1])
    ]
    whole = shot.of == ("body",)
    top = 0 if whole else max(0, spans[0]["top"] - 8)
    height = shot.height if whole else spans[1]["bottom"] + 8 - top
    clip = {"x": 0, "y": top, "width": WIDTH, "height": height, "scale": 1}
    taken = driver.execute_cdp_cmd("Page.captureScreenshot", {"clip": clip, "captureBeyondViewport": True})
    return base64.b64decode(taken["data"])


def _write(png: bytes, path: Path) -> None:
    picture = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)
    if picture is None or not cv2.imwrite(str(path), picture, [cv2.IMWRITE_WEBP_QUALITY, QUALITY]):
        raise SystemExit(f"{path}: this picture cannot be written")


def main() -> None:
    """Write all of them, or those that are named."""
    names = sys.argv[1:] or list(SHOTS)
    out = ROOT / "docs" / "pages"
    out.mkdir(exist_ok=True)
    with TemporaryDirectory() as folder, played(Path(folder)) as addresses, browser() as driver:
        for name in names:
            take(driver, addresses[SHOTS[name].fleet], SHOTS[name], name, out)
            print(out / name)  # noqa: T201 - a command-line tool


if __name__ == "__main__":
    main()
