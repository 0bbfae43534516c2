"""What is asked of something outside this process that may hang: a driver, a program, a device."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

_log = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Answer(Generic[T]):
    """What was answered last, and when, in seconds of the asker's clock."""

    value: T
    t: float


class Polled(Generic[T]):
    """Asks every ``period_s`` seconds, in a thread of its own; whoever wants to know reads the last ``answer``.

    While a question hangs, no second one is asked: ``age_s`` tells how old the last answer has become. ``ask`` may
    raise: that is logged once and is no answer. The thread is a daemon's, so one that hangs ends with the process.
    """

    def __init__(
        self, name: str, ask: Callable[[], T], period_s: float, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._ask = ask
        self._period_s = period_s
        self._clock = clock
        self._answer: Answer[T] | None = None
        self._begun_t: float | None = None
        self._failing = False
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin to ask; the first answer comes when it comes."""
        self._begun_t = self._clock()
        self._thread.start()

    def close(self) -> None:
        """Ask no more; returns at once."""
        self._closed.set()

    @property
    def answer(self) -> Answer[T] | None:
        """The last answer; None before the first."""
        return self._answer

    @property
    def age_s(self) -> float:
        """Seconds since the last answer, or since ``start`` where there was none yet; 0 before ``start``."""
        since_t = self._begun_t if self._answer is None else self._answer.t
        return 0.0 if since_t is None else max(0.0, self._clock() - since_t)

    def _run(self) -> None:
        while not self._closed.is_set():
            try:
                self._answer = Answer(self._ask(), self._clock())
                self._failing = False
            except Exception:  # noqa: BLE001 - whatever a driver raises, its next answer may be a good one
                if not self._failing:
                    _log.exception("%s: no answer", self._thread.name)
                self._failing = True
            self._closed.wait(self._period_s)
