"""The sink of shadow mode: counts what would have been said, and keeps it in a small file for weeks."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from edge.config import Config
from edge.domain import Kind, Stamp, Step
from edge.service.health import Health, SinkHealth
from edge.service.sinks import Worker
from edge.traces.jsonlines import JsonLinesFile
from edge.traces.shadow import ShadowLine, Tally

SPAN_S = 300.0
"""What is counted is written this often, seconds: a power cut takes no more."""
MAX_BYTES = 16_000_000
"""A larger record gives way to a new one, and is kept as ``.before``: some years of driving."""
DECISION = ("alerts", "baseline", "states", "quality", "vision")
"""Sections of the configuration under which counts may be added up."""


class ShadowSink:
    """Counts in the service's thread, writes in its own. ``alerts`` and ``hours`` are those since the start.

    ``config`` tells what holds now: what is counted before and after a reload stands in lines of their own.
    """

    name = "shadow"
    outward = False

    def __init__(
        self, path: Path, config: Callable[[], Config], clock: Callable[[], float], stamp: Callable[[], Stamp]
    ) -> None:
        self._path = path
        self._config = config
        self._held = config()
        self._clock = clock
        self._stamp = stamp
        self._tally = Tally()
        self._written_t = clock()
        self._driven_s = 0.0
        self.alerts: dict[Kind, int] = dict.fromkeys(self._held.alerts.enabled, 0)
        self._worker: Worker[ShadowLine] = Worker(self.name, self._write)

    @property
    def hours(self) -> float:
        """Hours driven since the service started."""
        return (self._driven_s + self._tally.driven_s) / 3600

    @property
    def health(self) -> SinkHealth:
        """Spans that are not in the record, and why."""
        return self._worker.health

    def take(self, step: Step) -> None:
        """Count a step, and write where a span is over, or the settings are others than those it began under."""
        if (config := self._config()) is not self._held:
            self._keep()
            self._held = config
        before = {kind: span.alerts for kind, span in self._tally.kinds.items()}
        self._tally.add(step)
        for kind, span in self._tally.kinds.items():
            self.alerts[kind] += span.alerts - before.get(kind, 0)
        if self._clock() - self._written_t >= SPAN_S:
            self._keep()

    def probe(self, health: Health) -> None:
        """The record holds what would have been said, not how the device is."""

    def close(self) -> None:
        """Write what was counted by now."""
        self._keep()
        self._worker.close()

    def _keep(self) -> None:
        self._written_t, now = self._clock(), self._stamp()
        driven_s, kinds = self._tally.take()
        self._driven_s += driven_s
        self._worker.put(
            ShadowLine(
                device=self._held.device.id,
                settings=_checksum(self._held),
                time=now.time,
                clock_synced=now.clock_synced,
                driven_s=driven_s,
                kinds=kinds,
            )
        )

    def _write(self, line: ShadowLine) -> None:
        if self._path.exists() and self._path.stat().st_size > MAX_BYTES:
            self._path.replace(self._path.with_suffix(".before.jsonl"))
        file = JsonLinesFile(self._path, "shadow record", append=True)
        file.write(line.model_dump_json(by_alias=True))
        file.close()


def _checksum(config: Config) -> str:
    text = "".join(getattr(config, name).model_dump_json() for name in DECISION)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
