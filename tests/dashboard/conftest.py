"""A real service that plays the demo's clip to a real mosquitto, and the dashboard that looks at it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from edge.config import Config, load_config
from edge.dashboard.command import Dashboard
from edge.dashboard.patience import Patience

if TYPE_CHECKING:
    from benchmarks.mosquitto import Mosquitto

STOP_S = 20


def written(folder: Path, port: int, more: str = "") -> Path:
    """A configuration of a device that plays the demo's clip again and again."""
    path = folder / "evenkeel.toml"
    clip = resources.files("edge.tools.demo") / "clip.mp4"
    path.write_text(
        f'[device]\nid = "van-7"\n[camera]\nsource = "{clip}"\n'
        f'[mqtt]\nhost = "127.0.0.1"\nport = {port}\nreconnect_min_s = 0.1\nreconnect_max_s = 0.4\n'
        f'[outbox]\npath = "{folder / "outbox.db"}"\n[publish]\nheartbeat_s = 2.0\nhealth_s = 2.0\n'
        f'[discovery]\nenabled = false\n[dashboard]\nlisten = "127.0.0.1:0"\n{more}'
    )
    return path


@contextmanager
def a_service(path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """``evenkeel run`` as a process of its own; stopped at the end."""
    command = [sys.executable, "-c", "from edge.start import main; main()", "run", "--config", str(path), "--loop"]
    with (path.parent / "service.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)  # noqa: S603 - our own command
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(STOP_S)


@contextmanager
def a_dashboard(config: Config, patience: Patience | None = None, traces: Path | None = None) -> Iterator[str]:
    """The pages' server in a thread; its address without a slash at the end."""
    served, ready = Dashboard(config, os.environ, patience=patience, traces=traces), threading.Event()
    thread = threading.Thread(target=served.run, args=(ready.set,), daemon=True)
    thread.start()
    assert ready.wait(STOP_S)
    try:
        yield served.address.rstrip("/")
    finally:
        served.stop()
        thread.join(STOP_S)
        assert not thread.is_alive()


@pytest.fixture
def served() -> Iterator[Callable[[Config], str]]:
    """Serves dashboards: ``served(config)`` is the address."""
    with ExitStack() as stack:
        yield lambda config: stack.enter_context(a_dashboard(config))


@pytest.fixture
def config_of(tmp_path: Path) -> Callable[..., Config]:
    """The configuration of a device at this broker: ``config_of(mosquitto)``."""

    def make(mosquitto: Mosquitto, more: str = "") -> Config:
        return load_config(written(tmp_path, mosquitto.port, more), {})

    return make


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tuning takes its share of a busy machine."""
    monkeypatch.setattr("edge.dashboard.tune.desk.NICENESS", 0)


def chromium() -> str | None:
    """Where Debian's Chromium is."""
    return shutil.which("chromium")


def chromedriver() -> str | None:
    """Where its driver is."""
    return shutil.which("chromedriver")
