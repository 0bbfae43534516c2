"""The sink for whoever watches: each frame's numbers, only while somebody has asked for them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial

from edge.domain import Stamp, Step
from edge.mqtt.messages import LiveMessage, live_message
from edge.service.health import Health, SinkHealth
from edge.service.pacing import Pace
from edge.service.ports import Outlet

LIVE_FPS = 15.0
"""Messages a second at most."""


class LiveSink:
    """Offers steps to the publisher, which makes a message of the newest when the broker has room for one.

    So nothing waits in a queue, and a slow or gone broker costs a frame no more than the offer. ``clock`` is monotonic,
    seconds.
    """

    name = "live"
    outward = True

    def __init__(self, publisher: Outlet, clock: Callable[[], float], stamp: Callable[[], Stamp]) -> None:
        self._publisher = publisher
        self._clock = clock
        self._stamp = stamp
        self._pace = Pace()

    @property
    def health(self) -> SinkHealth:
        """A frame that nobody saw is no loss."""
        return SinkHealth()

    def take(self, step: Step) -> None:
        """Offer a step, where somebody watches."""
        if not self._publisher.watched:
            return
        now = self._clock()
        if now >= self._pace.open_t:
            self._pace.take(now, LIVE_FPS)
            self._publisher.publish_live(partial(self._message, step, now))

    def _message(self, step: Step, t: float) -> LiveMessage:
        """What is said of a step that was taken at ``t``; made in the publisher's thread, where it holds up no step."""
        age_s = self._clock() - t
        now = self._stamp()
        then = Stamp(now.time - timedelta(seconds=age_s), max(0.0, now.uptime_s - age_s), now.clock_synced)
        return live_message(step, then)

    def probe(self, health: Health) -> None:
        """How the device is has a topic of its own."""

    def close(self) -> None:
        """Nothing is left to say."""
