"""A mosquitto of one's own, for tests and measurements: on loopback only, started, stopped and killed at will."""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

START_DEADLINE_S = 10.0


class BrokerError(Exception):
    """Mosquitto is not installed or does not start."""


def executable() -> str | None:
    """Where mosquitto is; Debian puts it to /usr/sbin, which an ordinary user's PATH leaves out."""
    return shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


def free_port() -> int:
    """A port that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Mosquitto:
    """A mosquitto of its own on 127.0.0.1:``port``, which stays the same over ``stop``, ``kill`` and ``start``.

    ``settings`` and ``listener`` are lines for its configuration file, ``log_type`` is what it logs. With
    ``per_listener`` settings such as passwords belong to the listener that they follow. Its files lie in ``folder``.
    """

    def __init__(
        self,
        folder: Path,
        settings: str = "allow_anonymous true",
        listener: str = "",
        *,
        log_type: str = "all",
        per_listener: bool = False,
    ) -> None:
        self.port = free_port()
        self.folder = folder
        self._log = folder / "mosquitto.log"
        self._config = folder / "mosquitto.conf"
        lines = [
            f"user {getpass.getuser()}",  # started by root it would change user and lose sight of its own files
            f"log_type {log_type}",
            f"per_listener_settings {str(per_listener).lower()}",
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

    @property
    def pid(self) -> int:
        """The running process.

        Raises:
            BrokerError: it does not run.
        """
        if self._process is None:
            raise BrokerError("mosquitto does not run")
        return self._process.pid

    def start(self) -> None:
        """Start the broker and return when it accepts connections.

        Raises:
            BrokerError: it is not installed, or does not come up.
        """
        found = executable()
        if found is None:
            raise BrokerError("mosquitto is not installed (apt-get install mosquitto)")
        with self._log.open("ab") as log:
            command = [found, "-c", str(self._config)]
            self._process = subprocess.Popen(command, stdout=log, stderr=log)  # noqa: S603 - our own file
        deadline = time.monotonic() + START_DEADLINE_S
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise BrokerError(f"mosquitto ended at once:\n{self.log}")
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.01)
        raise BrokerError(f"mosquitto did not listen within {START_DEADLINE_S} s:\n{self.log}")

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
