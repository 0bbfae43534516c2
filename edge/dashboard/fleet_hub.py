"""The rows of a fleet to every browser: all of them once, then what changes, together, once a second."""

from __future__ import annotations

import asyncio
import gzip
import json
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

from edge.dashboard.fleet import Fleet
from edge.dashboard.hub import TICK_S, Streams
from edge.dashboard.picture import as_sent

KEPT = 60
"""Beats whose changes are kept: a browser may fetch all rows and begin to listen so much later."""


@dataclass(frozen=True, slots=True)
class _All:
    beat: int
    plain: bytes
    small: bytes


class FleetHub:
    """Counts beats: at each, what has changed since the one before is told to all at once. In the event loop alone."""

    def __init__(self, fleet: Fleet, clock: Callable[[], float] = time.monotonic) -> None:
        self._fleet = fleet
        self._clock = clock
        self._streams = Streams()
        self._link: dict[str, Any] = {"connected": False, "problem": ""}
        self._note = {"note": "rate_here", "why": ""}
        self._beat = 0
        self._beat_t = -TICK_S
        self._told: deque[tuple[int, str]] = deque(maxlen=KEPT)
        self._all: _All | None = None

    @property
    def browsers(self) -> int:
        """How many listen."""
        return len(self._streams)

    def linked(self, connected: bool, problem: str) -> None:  # noqa: FBT001 - what it is about
        """Take the news of the connection to the broker; it is told at once."""
        self._link = {"connected": connected, "problem": problem}
        if not connected:
            self._fleet.lost()
        self._all = None
        self._streams.publish(as_sent(("link", self._link)))

    def noted(self, note: str, why: str = "") -> None:
        """Where the rates come from, the key of words, and what is wrong with the database."""
        told = {"note": note, "why": why}
        if told != self._note:
            self._note, self._all = told, None
            self._streams.publish(as_sent(("note", told)))

    def rows(self, *, small: bool) -> bytes:
        """All rows as JSON, with the number of the beat that they hold; ``small``: by gzip."""
        self._take_beat()
        if self._all is None or self._all.beat != self._beat:
            told = {
                "beat": self._beat,
                "t": round(self._beat_t, 1),
                "link": self._link,
                **self._note,
                "rows": self._fleet.rows(),
            }
            plain = json.dumps(told, separators=(",", ":")).encode()
            self._all = _All(self._beat, plain, gzip.compress(plain, compresslevel=1, mtime=0))
        return self._all.small if small else self._all.plain

    async def events(self, *, since: int, allowed: Callable[[], bool] = lambda: True) -> AsyncIterator[str]:
        """What has changed since that beat, then what changes; ``anew`` where that is not known any more."""
        with self._streams.browser() as queue:
            oldest = self._told[0][0] if self._told else self._beat + 1
            if not oldest - 1 <= since <= self._beat:
                yield as_sent(("anew", {}))
                return
            yield "retry: 1000\n\n" + as_sent(("link", self._link)) + as_sent(("note", dict(self._note)))
            for beat, missed in list(self._told):
                if beat > since:
                    yield missed
            while not self._streams.closed:
                self._take_beat()
                left_s = self._beat_t + TICK_S - self._clock()
                try:
                    text: str | None = await asyncio.wait_for(queue.get(), max(left_s, 0.01))
                except asyncio.TimeoutError:
                    continue
                if text is None or not allowed():
                    return
                yield text

    def close(self) -> None:
        """End what every browser is told."""
        self._streams.close()

    def _take_beat(self) -> None:
        """Whoever comes first after a second is over does it for all."""
        now = self._clock()
        if now - self._beat_t < TICK_S:
            return
        if now - self._beat_t > KEPT * TICK_S:
            self._told.clear()  # nobody has asked for so long
        self._beat_t = now
        changed = self._fleet.changes(now)
        if changed:
            self._beat += 1
            rows = [row for row in changed.values() if row is not None]
            gone = [device for device, row in changed.items() if row is None]
            text = _compact("rows", {"beat": self._beat, "t": round(now, 1), "rows": rows, "gone": gone})
            self._told.append((self._beat, text))
        else:
            text = _compact("tick", {"t": round(now, 1)})
        self._streams.publish(text)


def _compact(name: str, told: dict[str, Any]) -> str:
    return f"event: {name}\ndata: {json.dumps(told, separators=(',', ':'))}\n\n"
