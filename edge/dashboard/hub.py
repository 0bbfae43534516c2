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


class Streams:
    """The browsers' queues. All of it happens in the server's event loop."""

    def __init__(self) -> None:
        self._queues: dict[asyncio.Queue[str | None], bool] = {}
        self.closed = False

    def __len__(self) -> int:
        return len(self._queues)

    @property
    def lively(self) -> bool:
        """Whether anybody wants what is live."""
        return any(self._queues.values())

    @contextmanager
    def browser(self, *, live: bool = False) -> Iterator[asyncio.Queue[str | None]]:
        """A queue for one that listens; what is None ends it."""
        queue: asyncio.Queue[str | None] = asyncio.Queue(QUEUE)
        self._queues[queue] = live
        try:
            yield queue
        finally:
            del self._queues[queue]

    def publish(self, text: str, *, live: bool = False) -> None:
        """Tell all, or those who want what is ``live``; one whose queue is full is told no more."""
        for queue, wanted in self._queues.items():
            if live and not wanted:
                continue
            if queue.full():
                _end(queue)
            else:
                queue.put_nowait(text)

    def close(self) -> None:
        """End what every browser is told."""
        self.closed = True
        for queue in self._queues:
            _end(queue)


class Hub:
    """Keeps the picture of a device and tells each browser what is new. All of it happens in the server's event loop.

    ``watch`` hears whether anybody wants what is live.
    """

    def __init__(
        self, picture: Picture, watch: Callable[[bool], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._picture = picture
        self._watch = watch
        self._clock = clock
        self._streams = Streams()

    @property
    def device(self) -> str:
        """Whose it is."""
        return self._picture.topics.device_id

    @property
    def browsers(self) -> int:
        """How many listen."""
        return len(self._streams)

    def received(self, topic: str, payload: bytes, *, retained: bool = False, t: float | None = None) -> None:
        """Take a message from the broker; it came at ``t``, now if that is not told."""
        event = self._picture.received(topic, payload, self._clock() if t is None else t, retained=retained)
        if event is not None:
            self._publish(event)

    def linked(self, connected: bool, problem: str) -> None:  # noqa: FBT001 - what it is about
        """Take the news of the connection to the broker."""
        self._publish(self._picture.linked(connected, problem))

    async def events(self, *, live: bool, allowed: Callable[[], bool] = lambda: True) -> AsyncIterator[str]:
        """Everything that is known, then everything that is new, while ``allowed``; ends where it comes too fast."""
        with self._browser(live=live) as queue:
            yield "retry: 1000\n\n" + as_sent(self._picture.snapshot(self._clock()))
            while not self._streams.closed:
                try:
                    text = await asyncio.wait_for(queue.get(), TICK_S)
                except asyncio.TimeoutError:
                    doubted = self._picture.doubt(self._clock())
                    if doubted is not None:  # the queue has it next
                        self._publish(doubted)
                    text = as_sent(("tick", {"t": self._clock()}))
                if text is None or not allowed():
                    return
                yield text

    @contextmanager
    def _browser(self, *, live: bool) -> Iterator[asyncio.Queue[str | None]]:
        try:
            with self._streams.browser(live=live) as queue:
                self._say_watched()
                yield queue
        finally:
            self._say_watched()

    def _say_watched(self) -> None:
        self._watch(self._streams.lively)

    def close(self) -> None:
        """End what every browser is told; one that comes now is told what is known and no more."""
        self._streams.close()

    def _publish(self, event: Event) -> None:
        self._streams.publish(as_sent(event), live=event[0] == "live")


def _end(queue: asyncio.Queue[str | None]) -> None:
    """Nothing more for this browser, what waited for it included."""
    while not queue.empty():
        queue.get_nowait()
    queue.put_nowait(None)
