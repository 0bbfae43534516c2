"""How long things take: percentiles over the newest samples."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np


class StageTimes:
    """Durations of named stages, in milliseconds; of each stage the newest ``window`` samples are kept."""

    def __init__(self, window: int = 1000, clock: Callable[[], float] = time.perf_counter) -> None:
        self._window = window
        self._clock = clock
        self._samples: dict[str, deque[float]] = {}

    @contextmanager
    def measure(self, stage: str) -> Iterator[None]:
        """Time what is inside the ``with``."""
        begin = self._clock()
        yield
        self.add(stage, (self._clock() - begin) * 1000.0)

    def add(self, stage: str, ms: float) -> None:
        """Add one sample."""
        self._samples.setdefault(stage, deque(maxlen=self._window)).append(ms)

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
