"""How long things take: percentiles over the newest samples."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

import numpy as np


class _Measure:
    """Adds one sample when the ``with`` ends; none where it ends by an exception."""

    __slots__ = ("_begin", "_stage", "_times")

    def __init__(self, times: StageTimes, stage: str) -> None:
        self._times = times
        self._stage = stage

    def __enter__(self) -> None:
        self._begin = self._times.clock()

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self._times.add(self._stage, (self._times.clock() - self._begin) * 1000.0)


class StageTimes:
    """Durations of named stages, in milliseconds; of each stage the newest ``window`` samples are kept.

    ``listener`` is told each sample too, where somebody sets it.
    """

    def __init__(self, window: int = 1000, clock: Callable[[], float] = time.perf_counter) -> None:
        self._window = window
        self.clock = clock
        self._samples: dict[str, deque[float]] = {}
        self.listener: Callable[[str, float], None] | None = None

    def measure(self, stage: str) -> _Measure:
        """Time what is inside the ``with``."""
        return _Measure(self, stage)

    def add(self, stage: str, ms: float) -> None:
        """Add one sample."""
        samples = self._samples.get(stage)
        if samples is None:
            samples = self._samples[stage] = deque(maxlen=self._window)
        samples.append(ms)
        if self.listener is not None:
            self.listener(stage, ms)

    def count(self, stage: str) -> int:
        """How many samples of a stage are kept."""
        return len(self._samples.get(stage, ()))

    def clear(self) -> None:
        """Forget all samples."""
        self._samples.clear()

    def percentiles(self, *percents: float) -> dict[str, tuple[float, ...]]:
        """For every stage its percentiles, in milliseconds."""
        return {
            stage: tuple(float(value) for value in np.percentile(list(samples), percents))
            for stage, samples in self._samples.items()
        }
