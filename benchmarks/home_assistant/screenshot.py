"""A picture of one of Home Assistant's pages, by Chromium without a screen, told over its debugging protocol."""

from __future__ import annotations

import base64
import itertools
import json
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from websockets.sync.client import connect
from websockets.sync.connection import Connection

from benchmarks.home_assistant.server import HomeAssistant, access_token
from benchmarks.server import free_port, program

WIDTH, HEIGHT = 1280, 1960
START_S, SHOWN_S = 30.0, 12.0


def missing() -> str | None:
    """Whether Chromium is installed."""
    return None if program("chromium") else "chromium is not installed (apt-get install chromium)"


def photograph(home: HomeAssistant, path: str, picture: Path) -> None:
    """Write ``picture``, a PNG of the page at ``path`` as the owner sees it.

    Raises:
        TimeoutError: Chromium does not start.
    """
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="evenkeel-chromium-") as profile:
        command = [program("chromium") or "chromium", "--headless=new", "--no-sandbox", "--disable-gpu"]
        command += [f"--remote-debugging-port={port}", f"--user-data-dir={profile}", "--lang=en", "about:blank"]
        browser = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # noqa: S603
        try:
            with connect(_page(port), max_size=None) as socket:
                picture.write_bytes(_photographed(socket, home, path))
        finally:
            browser.terminate()
            browser.wait(10)


def _photographed(socket: Connection, home: HomeAssistant, path: str) -> bytes:
    numbers = itertools.count(1)

    def tell(method: str, **parameters: Any) -> Any:
        number = next(numbers)
        socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while (answer := json.loads(socket.recv(START_S))).get("id") != number:
            pass
        return answer["result"]

    tokens = {
        "hassUrl": home.address,
        "clientId": f"{home.address}/",
        "access_token": access_token(),
        "refresh_token": "",
        "expires": 2**43,
        "expires_in": 2**33,
        "token_type": "Bearer",
    }
    tell("Page.enable")
    size = {"width": WIDTH, "height": HEIGHT, "deviceScaleFactor": 1, "mobile": False}
    tell("Emulation.setDeviceMetricsOverride", **size)
    script = f"localStorage.setItem('hassTokens', {json.dumps(json.dumps(tokens))})"
    tell("Page.addScriptToEvaluateOnNewDocument", source=script)
    tell("Page.navigate", url=f"{home.address}{path}")
    time.sleep(SHOWN_S)  # nothing tells that the page has drawn everything
    return base64.b64decode(tell("Page.captureScreenshot", format="png")["data"])


def _page(port: int) -> str:
    """The address at which the browser's one page is told what to do."""
    end = time.monotonic() + START_S
    while time.monotonic() < end:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list", timeout=5) as answer:
                pages = [one for one in json.loads(answer.read()) if one["type"] == "page"]
        except (urllib.error.URLError, ConnectionError):
            pages = []
        if pages:
            return str(pages[0]["webSocketDebuggerUrl"])
        time.sleep(0.2)
    raise TimeoutError(f"chromium has no page within {START_S:g} s")
