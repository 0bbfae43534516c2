"""The sink that writes a trace, in a thread of its own: a slow disk makes a gap in it, never in the monitoring."""

from __future__ import annotations

import math
from collections.abc import Callable

from edge.domain import Step
from edge.errors import UnavailableError
from edge.service.health import Health, SinkHealth
from edge.service.ports import Trace
from edge.service.sinks import QUEUE_SIZE, Worker

RETRY_S = 60.0
"""How long a disk that took no step is left alone, seconds."""


class TraceSink:
    """Writes each step to ``trace``; after a fault of the disk steps are passed over for RETRY_S, and counted."""

    name = "trace"
    outward = False

    def __init__(
        self, trace: Trace, clock: Callable[[], float], *, retry_s: float = RETRY_S, size: int = QUEUE_SIZE
    ) -> None:
        self._trace = trace
        self._clock = clock
        self._retry_s = retry_s
        self._from_t = -math.inf
        self._fault = ""
        self._worker: Worker[Step] = Worker(self.name, self._write, size)

    @property
    def health(self) -> SinkHealth:
        """Steps that are not in the trace, and why."""
        return self._worker.health

    def take(self, step: Step) -> None:
        """Have the step written."""
        self._worker.put(step)

    def probe(self, health: Health) -> None:
        """A trace holds what was seen, not how the device is."""

    def close(self) -> None:
        """Wait for what is not written yet."""
        self._worker.close()

    def _write(self, step: Step) -> None:
        if self._clock() < self._from_t:
            raise UnavailableError(self._fault)
        try:
            self._trace.write(step)
        except UnavailableError as error:
            self._from_t, self._fault = self._clock() + self._retry_s, f"{error}; the trace has a gap from here"
            raise UnavailableError(self._fault) from error
