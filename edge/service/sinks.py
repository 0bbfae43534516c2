"""Where steps and health go: a list of sinks behind one small protocol, none of which can hold up another."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from edge.domain import Step
from edge.errors import EvenkeelError
from edge.service.health import Health, SinkHealth

_log = logging.getLogger(__name__)

QUEUE_SIZE = 256
"""What a worker has waiting at most: at 15 frames a second some 17 s of steps."""
CLOSE_S = 2.0
"""Longest wait at the end for what a worker still has to do, seconds."""

TICK_AGAIN_S = 0.05
"""A worker's ``tick`` that failed is called again after so long, seconds."""
STEADY = 200
"""After so much without a fault the next one is logged again: a sink that comes and goes fills no log."""

Item = TypeVar("Item")


class Sink(Protocol):
    """Takes what the service says. A sink that may be slow hands it to a ``Worker`` of its own and returns at once."""

    @property
    def name(self) -> str:
        """What it is called in health and logs."""

    @property
    def outward(self) -> bool:
        """Whether what it is told reaches people or other machines: then it hears no step in shadow mode."""

    def take(self, step: Step) -> None:
        """Take one step."""

    def probe(self, health: Health) -> None:
        """Take how the device is."""

    def close(self) -> None:
        """Finish what was taken, as far as it can be done in short time."""

    @property
    def health(self) -> SinkHealth:
        """What it has lost, and what is wrong with it."""


class Sinks:
    """All sinks of a service. What goes wrong in one is logged once, told in health, and keeps from none of the others.

    Those that come first get each step first: the one that publishes alerts. In ``shadow`` mode no step goes to those
    that are outward, whatever they are; health still does.
    """

    def __init__(self, sinks: Iterable[Sink], *, shadow: bool = False) -> None:
        self._sinks: Sequence[Sink] = tuple(sinks)
        self._heard = tuple(sink for sink in self._sinks if not (shadow and sink.outward))
        self._failed: dict[str, str] = {}
        self._unsteady: dict[str, int] = {}

    def take(self, step: Step) -> None:
        """Hand a step to each."""
        for sink in self._heard:
            self._guard(sink, lambda sink=sink: sink.take(step))  # type: ignore[misc]

    def probe(self, health: Health) -> None:
        """Hand health to each."""
        for sink in self._sinks:
            self._guard(sink, lambda sink=sink: sink.probe(health))  # type: ignore[misc]

    def close(self) -> None:
        """Close each, in their order: the one that publishes has its last words whatever the disk of another does."""
        for sink in self._sinks:
            self._guard(sink, sink.close)

    @property
    def health(self) -> dict[str, SinkHealth]:
        """Each sink's, by its name."""
        told = {}
        for sink in self._sinks:
            told[sink.name] = self._health_of(sink)
        return told

    def _health_of(self, sink: Sink) -> SinkHealth:
        try:
            own = sink.health
        except Exception as error:  # noqa: BLE001 - as below
            return SinkHealth(problem=_fault(error))
        return SinkHealth(own.dropped, own.problem or self._failed.get(sink.name))

    def _guard(self, sink: Sink, act: Callable[[], None]) -> None:
        try:
            act()
        except Exception as error:  # noqa: BLE001 - whatever it is, it must not reach the others
            fault = _fault(error)
            if not self._unsteady.get(sink.name):
                _log.warning("%s: %s", sink.name, fault, exc_info=not isinstance(error, EvenkeelError))
            self._failed[sink.name], self._unsteady[sink.name] = fault, STEADY
        else:
            self._failed.pop(sink.name, None)
            self._unsteady[sink.name] = max(0, self._unsteady.get(sink.name, 0) - 1)


def _fault(error: Exception) -> str:
    return str(error) if isinstance(error, EvenkeelError) else f"unexpected error: {error!r}"


@dataclass(frozen=True, slots=True)
class _End:
    """Nothing comes after it."""


class Worker(Generic[Item]):
    """Does ``handle`` for each item, in order and in a thread of its own; nobody waits for it.

    Where more than ``size`` items wait, new ones are given up and counted. ``handle`` raises for what goes wrong, which
    is logged once and told in ``health`` until an item succeeds. ``tick`` is called while none waits, and tells in how
    many seconds again; None: when an item was done.
    """

    def __init__(
        self,
        name: str,
        handle: Callable[[Item], None],
        size: int = QUEUE_SIZE,
        tick: Callable[[], float | None] = lambda: None,
    ) -> None:
        self._name = name
        self._handle = handle
        self._tick = tick
        self._items: queue.Queue[Item | _End] = queue.Queue(size)
        self._dropped = 0
        self._problem: str | None = None
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    @property
    def health(self) -> SinkHealth:
        """What was given up or failed, and why the last one failed."""
        return SinkHealth(self._dropped, self._problem)

    def put(self, item: Item) -> None:
        """Have an item done; returns at once."""
        try:
            self._items.put_nowait(item)
        except queue.Full:
            if self._dropped == 0:
                _log.warning(
                    "%s is too slow: while %d items wait, new ones are dropped", self._name, self._items.maxsize
                )
            self._dropped += 1

    def close(self) -> None:
        """Wait until all is done, CLOSE_S at most; what is left then is given up, and said."""
        try:
            self._items.put(_End(), timeout=CLOSE_S)
        except queue.Full:
            _log.warning("%s: stuck; %d items dropped", self._name, self._items.qsize())
            return
        self._thread.join(CLOSE_S)
        if self._thread.is_alive():
            _log.warning("%s: did not finish in time; %d items dropped", self._name, self._items.qsize())

    def _work(self) -> None:
        while not isinstance(item := self._next(), _End):
            try:
                self._handle(item)
            except Exception as error:  # noqa: BLE001 - a fault of one item ends neither the thread nor the service
                self._dropped += 1
                self._fail(error)
            else:
                if self._problem is not None:
                    _log.info("%s: resumes", self._name)
                self._problem = None

    def _next(self) -> Item | _End:
        while True:
            wait_s: float | None = TICK_AGAIN_S
            try:
                wait_s = self._tick()
            except Exception as error:  # noqa: BLE001 - as above
                self._fail(error)
            try:
                return self._items.get(timeout=wait_s)
            except queue.Empty:
                continue

    def _fail(self, error: Exception) -> None:
        problem = _fault(error)
        if self._problem is None:
            _log.warning("%s: %s", self._name, problem, exc_info=not isinstance(error, EvenkeelError))
        self._problem = problem
