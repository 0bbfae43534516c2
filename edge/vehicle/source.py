"""A source of the vehicle's data, and the thread that runs it and opens it again."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Protocol

from edge.config.vehicle import VehicleConfig
from edge.errors import EvenkeelError
from edge.vehicle.store import Store

_log = logging.getLogger(__name__)

REOPEN_MIN_S = 1.0
REOPEN_MAX_S = 30.0
"""Pauses before a source that was lost is opened again: the first, and the longest."""
STEADY_S = 10.0
"""A source that ran so long was a good one: the next pause is the shortest again."""
STOP_S = 2.0
"""Longest wait for a source's thread at the end."""


class Stop(Protocol):
    """Tells a source to end."""

    def is_set(self) -> bool:
        """Whether it should end now."""

    def wait(self, timeout: float | None = None) -> bool:
        """Wait so long, or until it should end; whether it should."""


class Source(Protocol):
    """Tells a ``Store`` what it hears, until it is stopped or lost. A module each, imported where it is configured."""

    @property
    def name(self) -> str:
        """What it is called in health and logs."""

    @property
    def tells_speed(self) -> bool:
        """Whether a speed is to be expected of it."""

    def run(self, store: Store, stop: Stop) -> None:
        """Open what it reads, and read until ``stop``; every wait in it has a deadline of a second or so.

        Raises:
            EvenkeelError: it cannot be opened or was lost; it is run again after a pause.
        """

    def interrupt(self) -> None:
        """Called from another thread behind ``stop``: end a wait early, where it can."""


class SourceThread:
    """Runs one source. Whatever goes wrong in it is logged once, told in health, and opened again with back-off."""

    def __init__(self, source: Source, store: Store, config: VehicleConfig, clock: Callable[[], float]) -> None:
        self.store = store
        self._source = source
        self._silent_s = config.speed_max_age_s
        self._clock = clock
        self._since = clock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._main, name=f"vehicle {source.name}", daemon=True)

    def start(self) -> None:
        """Begin; returns at once."""
        self._since = self._clock()
        self._thread.start()

    def ask_to_stop(self) -> None:
        """Have it end, without waiting."""
        self._stopping.set()
        self._source.interrupt()

    def stop(self) -> None:
        """Wait until it has ended, STOP_S at most."""
        if self._thread.ident is not None:
            self._thread.join(STOP_S)

    def listen(self, now: float) -> None:
        """Notice that it has gone silent, or speaks again. Of one that is lost nothing more needs saying."""
        if not self._source.tells_speed:
            return
        age_s = self.store.ages(now)[0]
        silent_s = max(0.0, now - self._since) if age_s is None else age_s
        if silent_s > self._silent_s and not self.store.health(now).lost:
            self.store.fail("silence", f"no speed for more than {self._silent_s:g} s: unknown, so nothing is held back")
        else:
            self.store.mend("silence")

    def _main(self) -> None:
        pause_s = REOPEN_MIN_S
        while not self._stopping.is_set():
            began = self._clock()
            try:
                self._source.run(self.store, self._stopping)
            except EvenkeelError as error:
                self.store.fail("source", str(error))
            except Exception as error:  # noqa: BLE001 - whatever a bus or a driver raises must not end the monitoring
                self.store.fail("source", f"unexpected error: {error!r}")
                _log.debug("vehicle %s failed", self.store.name, exc_info=True)
            if self._clock() - began >= STEADY_S:
                pause_s = REOPEN_MIN_S
            if self._stopping.wait(pause_s):
                return
            pause_s = min(2 * pause_s, REOPEN_MAX_S)
