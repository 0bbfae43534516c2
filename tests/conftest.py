"""Fixtures that every area may use: a real mosquitto on a free loopback port."""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

START_DEADLINE_S = 10.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Mosquitto:
    """A mosquitto of its own on 127.0.0.1:``port``, which stays the same over ``stop``, ``kill`` and ``start``."""

    def __init__(self, folder: Path, settings: str = "allow_anonymous true", listener: str = "") -> None:
        self.port = free_port()
        self._log = folder / "mosquitto.log"
        self._config = folder / "mosquitto.conf"
        lines = [
            f"user {getpass.getuser()}",  # started by root it would change user and lose sight of the test's files
            "log_type all",
            "per_listener_settings false",
            f"listener {self.port} 127.0.0.1",
            listener,
            settings,
        ]
        self._config.write_text("\n".join(lines) + "\n")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        """What the broker has logged so far."""
        return self._log.read_text(errors="replace")

    def start(self) -> None:
        """Start the broker and return when it accepts connections."""
        with self._log.open("ab") as log:
            command = [_executable(), "-c", str(self._config)]
            self._process = subprocess.Popen(command, stdout=log, stderr=log)  # noqa: S603 - the test's own file
        deadline = time.monotonic() + START_DEADLINE_S
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                pytest.fail(f"mosquitto ended at once:\n{self.log}")
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.01)
        pytest.fail(f"mosquitto did not listen within {START_DEADLINE_S} s:\n{self.log}")

    def stop(self) -> None:
        """End the broker as its service manager would (SIGTERM)."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End the broker as a power cut would (SIGKILL)."""
        self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(timeout=10)
            self._process = None


def _executable() -> str:
    # Debian installs mosquitto to /usr/sbin, which an ordinary user's PATH leaves out
    found = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if found is None:
        reason = "mosquitto is not installed (apt-get install mosquitto)"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return found


@pytest.fixture
def make_mosquitto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Mosquitto]]:
    """Starts further brokers: ``make_mosquitto(settings="password_file …", listener="cafile …")``."""
    brokers: list[Mosquitto] = []

    def make(settings: str = "allow_anonymous true", listener: str = "") -> Mosquitto:
        broker = Mosquitto(tmp_path_factory.mktemp("mosquitto"), settings, listener)
        brokers.append(broker)
        broker.start()
        return broker

    yield make
    for broker in brokers:
        broker.kill()


@pytest.fixture
def mosquitto(make_mosquitto: Callable[..., Mosquitto]) -> Mosquitto:
    """A running mosquitto that lets everybody in: ``.port``, ``.stop()``, ``.start()``, ``.kill()``, ``.log``."""
    return make_mosquitto()
