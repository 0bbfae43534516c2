"""What systemd is told: ready, alive, reloading, stopping, and one line of status.

The protocol of sd_notify(3) is one datagram of ``KEY=value`` lines to the socket named by $NOTIFY_SOCKET.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Callable, Mapping
from pathlib import Path

_log = logging.getLogger(__name__)

ALIVE_PERIOD_S = 1.0
"""The watchdog is fed at most this often, however many frames there are."""

OWED = 8
"""Of what the manager must hear, so many messages are kept for it at most."""


class Notifier:
    """Speaks to the service manager at ``address``, or to nobody where that is None.

    A name that starts with ``@`` is in Linux' abstract namespace. A manager that does not read is never waited for:
    what it must hear (ready, reloading, stopping) is sent again with the next message, the rest is dropped.

    ``alive_file`` is touched whenever the watchdog is fed: in a container, which has no manager, its health check looks
    at the file's age.
    """

    def __init__(
        self,
        address: str | None,
        *,
        alive_file: Path | None = None,
        clock_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._clock_ns = clock_ns
        self._alive_file = alive_file
        self._address = f"\0{address[1:]}" if address and address.startswith("@") else address
        self._alive_ns: int | None = None
        self._failing = False
        self._owed: list[str] = []
        self._socket: socket.socket | None = None
        if address:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            self._socket.settimeout(0)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Notifier:
        """The service manager that started this process, if any."""
        file = environ.get("ALIVE_FILE")
        return cls(environ.get("NOTIFY_SOCKET") or None, alive_file=Path(file) if file else None)

    def ready(self) -> None:
        """Start-up, or a reload, is complete."""
        self._owe("READY=1")

    def alive(self) -> None:
        """Feed the watchdog: only when a frame was captured and read, or when blindness was said honestly."""
        now_ns = self._clock_ns()
        if self._alive_ns is None or now_ns - self._alive_ns >= ALIVE_PERIOD_S * 1e9:
            self._alive_ns = now_ns
            self._send("WATCHDOG=1")
            self._touch()

    def status(self, text: str) -> None:
        """One line for ``systemctl status``."""
        self._send(f"STATUS={text.splitlines()[0] if text else ''}")

    def reloading(self) -> None:
        """A reload began; ``ready`` ends it. The time is what ``Type=notify-reload`` requires."""
        self._owe(f"RELOADING=1\nMONOTONIC_USEC={self._clock_ns() // 1000}")

    def stopping(self) -> None:
        """A clean stop began."""
        self._owe("STOPPING=1")

    def close(self) -> None:
        """Close the socket; what follows goes to nobody."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _touch(self) -> None:
        if self._alive_file is None:
            return
        try:
            self._alive_file.touch()
        except OSError as error:  # the health check, which then fails, is what it is for
            _log.warning("cannot touch $ALIVE_FILE, no longer tried: %s", error)
            self._alive_file = None

    def _owe(self, message: str) -> None:
        self._owed = [*self._owed, message][-OWED:]
        self._pay()

    def _send(self, message: str) -> None:
        if self._pay():
            self._try(message)

    def _pay(self) -> bool:
        """Send what is owed, in order; whether nothing is owed any more."""
        while self._owed and self._try(self._owed[0]):
            del self._owed[0]
        return not self._owed

    def _try(self, message: str) -> bool:
        if self._socket is None or self._address is None:
            return True
        try:
            self._socket.sendto(message.encode(), self._address)
        except OSError as error:  # a full or restarting manager; the next message may well arrive
            if not self._failing:
                _log.warning("cannot notify systemd of %s: %s", message.split("=", maxsplit=1)[0], error)
            self._failing = True
        else:
            self._failing = False
        return not self._failing
