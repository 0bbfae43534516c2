"""A broker of one's own, for tests and measurements: on loopback only, started, stopped and killed at will."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

SYSTEM_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"
"""Debian puts servers to /usr/sbin, which an ordinary user's PATH leaves out."""


class BrokerError(Exception):
    """The broker is not installed or does not start."""


def free_port() -> int:
    """A port that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def program(name: str) -> str | None:
    """Where a program is, those for administrators among them."""
    return shutil.which(name, path=SYSTEM_PATH)


class Server:
    """One broker on 127.0.0.1:``port``, which stays the same over ``stop``, ``kill`` and ``start``.

    All its files lie in ``folder``. A subclass says what to run. ``user`` is whom the broker lets in: a name and a
    password, or None where it asks for neither.
    """

    name = "broker"
    start_deadline_s = 10.0
    user: tuple[str, str] | None = None

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.folder = folder
        self._log = folder / f"{self.name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    @classmethod
    def missing(cls) -> str | None:
        """What is not installed, with the command that installs it; None where everything is there."""
        raise NotImplementedError

    @classmethod
    def version(cls) -> str:
        """The installed version."""
        raise NotImplementedError

    def forget(self) -> None:
        """Delete what the stopped broker had stored."""
        raise NotImplementedError

    def _command(self) -> Sequence[str]:
        """What to run; the files that it needs have been written."""
        raise NotImplementedError

    def _environment(self) -> Mapping[str, str] | None:
        """The process's environment; None: that of this process."""
        return None

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
            raise BrokerError(f"{self.name} does not run")
        return self._process.pid

    def start(self) -> None:
        """Start the broker and return when it accepts connections.

        Raises:
            BrokerError: it is not installed, or does not come up.
        """
        if (missing := self.missing()) is not None:
            raise BrokerError(missing)
        with self._log.open("ab") as log:
            # a session of its own, so that its helpers end with it
            self._process = subprocess.Popen(  # noqa: S603 - our own files
                self._command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self._environment(),
                start_new_session=True,
            )  # fmt: skip
        deadline = time.monotonic() + self.start_deadline_s
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise BrokerError(f"{self.name} ended at once:\n{self.log}")
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.01)
        self.kill()
        raise BrokerError(f"{self.name} did not listen within {self.start_deadline_s:g} s:\n{self.log}")

    def stop(self) -> None:
        """End the broker as its service manager would (SIGTERM)."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End the broker as a power cut would (SIGKILL)."""
        self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            if self._process.poll() is None:
                os.killpg(self._process.pid, number)
            self._process.wait(timeout=20)
            self._process = None
