"""From the link's thread to every browser: each has a queue of its own, and one that does not keep up begins anew."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager

from edge.dashboard.picture import Event, Picture, as_sent

QUEUE = 128
"""Events that wait for one browser at most: some eight seconds."""
TICK_S = 1.0
"""A browser hears something this often, so that it can tell a server that is gone."""
MOST = 200
"""Browsers at once."""


class Hub:
    """Keeps the picture and tells each browser what is new. All of it happens in the server's event loop.

    ``watch`` hears whether anybody wants what is live.
    """

    def __init__(
        self, picture: Picture, watch: Callable[[bool], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._picture = picture
        self._watch = watch
        self._clock = clock
        self._queues: dict[asyncio.Queue[str | None], bool] = {}
        self._closed = False

    @property
    def full(self) -> bool:
        """Whether there are too many browsers already."""
        return len(self._queues) >= MOST

    def received(self, topic: str, payload: bytes, *, retained: bool = False) -> None:
        """Take a message from the broker."""
        event = self._picture.received(topic, payload, self._clock(), retained=retained)
        if event is not None:
            self._publish(event)

    def linked(self, connected: bool, problem: str) -> None:  # noqa: FBT001 - what it is about
        """Take the news of the connection to the broker."""
        self._publish(self._picture.linked(connected, problem))

    async def events(self, *, live: bool, allowed: Callable[[], bool] = lambda: True) -> AsyncIterator[str]:
        """Everything that is known, then everything that is new, while ``allowed``; ends where it comes too fast."""
        with self._browser(live=live) as queue:
            yield "retry: 1000\n\n" + as_sent(self._picture.snapshot(self._clock()))
            while not self._closed:
                try:
                    text = await asyncio.wait_for(queue.get(), TICK_S)
                except TimeoutError:
                    doubted = self._picture.doubt(self._clock())
                    if doubted is not None:  # the queue has it next
                        self._publish(doubted)
                    text = as_sent(("tick", {"t": self._clock()}))
                if text is None or not allowed():
                    return
                yield text

    @contextmanager
    def _browser(self, *, live: bool) -> Iterator[asyncio.Queue[str | None]]:
        queue: asyncio.Queue[str | None] = asyncio.Queue(QUEUE)
        self._queues[queue] = live
        self._say_watched()
        try:
            yield queue
        finally:
            del self._queues[queue]
            self._say_watched()

    def _say_watched(self) -> None:
        self._watch(any(self._queues.values()))

    def close(self) -> None:
        """End what every browser is told; one that comes now is told what is known and no more."""
        self._closed = True
        for queue in self._queues:
            _end(queue)

    def _publish(self, event: Event) -> None:
        text = as_sent(event)
        for queue, live in self._queues.items():
            if event[0] == "live" and not live:
                continue
            if queue.full():
                _end(queue)
            else:
                queue.put_nowait(text)


def _end(queue: asyncio.Queue[str | None]) -> None:
    """Nothing more for this browser, what waited for it included."""
    while not queue.empty():
        queue.get_nowait()
    queue.put_nowait(None)
