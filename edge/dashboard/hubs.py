"""A hub for each device that somebody looks at. In a fleet they are made when asked for and kept a while."""

from __future__ import annotations

import re
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping

from edge.config import TOPIC_PART
from edge.dashboard.fleet import Fleet
from edge.dashboard.hub import Hub
from edge.dashboard.picture import Picture
from edge.domain import Kind
from edge.mqtt.messages import Topics

IDLE = 16
"""Hubs that nobody looks at are kept up to so many: whoever comes back finds the last minutes."""

_ID = re.compile(TOPIC_PART)
Watch = Callable[[str, bool], None]


class Hubs:
    """``only`` is the one device that there is; with a ``fleet`` it is None, and there is any.

    ``watch`` hears of a device whether anybody wants what is live of it. All of it happens in the event loop, but for
    ``follows``.
    """

    def __init__(
        self,
        prefix: str,
        only: str | None,
        watch: Watch,
        *,
        fleet: Fleet | None = None,
        thresholds: Mapping[Kind, float | None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._prefix = prefix
        self._only = only
        self._watch = watch
        self._fleet = fleet
        self._thresholds = thresholds or {}
        self._clock = clock
        self._hubs: OrderedDict[str, Hub] = OrderedDict()
        self._link = False, ""
        self._closed = False
        if only is not None:
            self._make(only)

    @property
    def browsers(self) -> int:
        """How many listen; from any thread."""
        return sum(hub.browsers for hub in list(self._hubs.values()))

    def follows(self, device: str) -> bool:
        """Whether anybody looks at it, or did; from any thread."""
        return device in self._hubs

    def of(self, device: str | None) -> Hub | None:
        """The hub of a device; of the only one, where none is named. None where there is no such device."""
        device = device or self._only
        if device is None or (self._only is not None and device != self._only) or not _ID.fullmatch(device):
            return None
        hub = self._hubs.get(device)
        if hub is None:
            self._drop_idle()
            hub = self._make(device)
        self._hubs.move_to_end(device)
        return hub

    def received(self, device: str, name: str, payload: bytes, *, retained: bool, t: float) -> None:
        """Take a message of a device."""
        hub = self._hubs.get(device)
        if hub is not None:
            hub.received(f"{self._prefix}/{device}/{name}", payload, retained=retained, t=t)

    def linked(self, connected: bool, problem: str) -> None:  # noqa: FBT001 - what it is about
        """Take the news of the connection to the broker."""
        self._link = connected, problem
        for hub in self._hubs.values():
            hub.linked(connected, problem)

    def close(self) -> None:
        """End what every browser is told."""
        self._closed = True
        for hub in self._hubs.values():
            hub.close()

    def _make(self, device: str) -> Hub:
        picture = Picture(Topics(self._prefix, device), self._thresholds)
        hub = Hub(picture, lambda somebody: self._watch(device, somebody), self._clock)
        self._hubs[device] = hub  # from here on it hears; what it hears twice does no harm
        hub.linked(*self._link)
        for name, said in (self._fleet.kept(device) if self._fleet is not None else {}).items():
            self.received(device, name, said.payload, retained=said.retained, t=said.t)
        if self._closed:
            hub.close()
        return hub

    def _drop_idle(self) -> None:
        idle = [device for device, hub in self._hubs.items() if not hub.browsers]
        for device in idle[: max(0, len(idle) - IDLE + 1)]:
            del self._hubs[device]
