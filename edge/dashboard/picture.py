"""What is known of a device now, from its messages: for a browser that comes later, and event by event.

Pure: messages and a monotonic time come in, events go out. The device's wall clock is shown nowhere and orders nothing,
so it may be off by years. What is not a message of the contract is passed over and counted.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, TypeVar

from pydantic import ValidationError

from edge.decision.kinds import registered
from edge.domain import Kind
from edge.mqtt.messages import AlertMessage, HealthMessage, LiveMessage, Message, StateMessage, Topics

MAX_BYTES = 65_536
"""Longer payloads are none of the contract's."""
MAX_KINDS = 16
"""So many kinds of alert are shown at most."""
HISTORY_S = 300.0
"""How far the past is kept that a browser is shown when it comes."""
POINT_S = 0.5
"""Points of the past are so far apart at least."""
MARKS = 200
KEPT_S = 2.5
"""So long what the broker has kept of a device counts, without a word from the device itself."""
SAME_BOOT_S = 5.0
"""An alert may be so much ahead of what was heard last, by the time since the board's start; else it is of another."""

Event = tuple[str, dict[str, Any]]
"""A name and what goes with it, as JSON may hold it."""

Said = TypeVar("Said", bound=Message)


@dataclass(frozen=True, slots=True)
class _Point:
    t: float
    signals: Mapping[Kind, float | None]


@dataclass(slots=True)
class Picture:
    """All that is told of one device. Times are of the clock that ``t`` comes from, seconds."""

    topics: Topics
    thresholds: Mapping[Kind, float | None] = field(default_factory=dict)
    connected: bool = False
    problem: str = ""
    refused: int = 0
    """Messages that were none of the contract's."""
    _availability: str = ""
    _newest: dict[str, Event] = field(default_factory=dict)
    _points: deque[_Point] = field(default_factory=deque)
    _marks: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=MARKS))
    _seen: deque[tuple[str, int, int]] = field(default_factory=lambda: deque(maxlen=MARKS))
    _uptime_s: float | None = None
    _kept_t: float | None = None
    """When the state came that the broker had kept; None where the device has spoken since."""

    def linked(self, connected: bool, problem: str) -> Event:  # noqa: FBT001 - what it is about
        """The broker was found or lost, for ``problem``."""
        self.connected, self.problem = connected, problem
        return self._link()

    def received(self, topic: str, payload: bytes, t: float, *, retained: bool = False) -> Event | None:
        """What a message says that is news for a browser; None where it says nothing.

        ``retained``: the broker had kept it, so nobody knows how old it is.
        """
        topics = self.topics
        readers = {
            topics.availability: self._take_availability,
            topics.live: self._take_live,
            topics.state: self._take_state,
            topics.health: self._take_health,
            topics.alert: self._take_alert,
        }
        if len(payload) > MAX_BYTES:
            self.refused += 1
            return None
        read = readers.get(topic)
        event = None if read is None else read(payload, t)
        if event is not None and not retained:
            self._kept_t = None
        elif event is not None and event[0] == "state":
            self._kept_t = t
        return event

    def doubt(self, t: float) -> Event | None:
        """That nothing is known of the state any more, where the broker alone has told it and the device is silent."""
        if self._kept_t is None or t - self._kept_t <= KEPT_S:
            return None
        self._kept_t = None
        return self._unsay(t)

    def snapshot(self, t: float) -> Event:
        """All that is known, for a browser that has just come."""
        self._forget(t)
        self.doubt(t)
        return "snapshot", {
            "t": t,
            "device": self.topics.device_id,
            "thresholds": dict(self.thresholds),
            "wakes": [kind for kind, judge in registered().items() if judge.wakes],
            "link": self._link()[1],
            "newest": dict(self._newest.values()),
            "points": [[round(point.t, 2), dict(point.signals)] for point in self._points],
            "marks": list(self._marks),
        }

    def _link(self) -> Event:
        return "link", {"connected": self.connected, "problem": self.problem}

    def _take_availability(self, payload: bytes, t: float) -> Event | None:
        if payload not in (b"online", b"offline"):
            self.refused += 1
            return None
        event = "availability", {"t": t, "word": payload.decode()}
        self._newest["availability"] = event
        return event

    def _take_live(self, payload: bytes, t: float) -> Event | None:
        live = self._read(LiveMessage, payload)
        if live is None:
            return None
        told = live.model_dump(mode="json", exclude={"time", "version"})
        told["signals"] = _few(told["signals"])
        told["levels"] = {kind: level for kind, level in told["levels"].items() if kind in told["signals"]}
        self._uptime_s = live.uptime_s
        self._point(t, told["signals"])
        self._newest["live"] = event = ("live", {"t": t, **told})
        return event

    def _take_state(self, payload: bytes, t: float) -> Event | None:
        if not payload and self._newest.keys() & {"state", "live"}:  # in shadow mode nothing is said
            return self._unsay(t)
        state = self._read(StateMessage, payload)
        if state is None:
            return None
        kinds = _few(state.kinds)
        self._uptime_s = state.uptime_s
        self._point(t, {kind: part.signal if part.readable else None for kind, part in kinds.items()})
        return self._keep("state", state.model_copy(update={"kinds": kinds}), t)

    def _unsay(self, t: float) -> Event:
        for name in ("state", "live"):
            self._newest.pop(name, None)
        return "unsaid", {"t": t}

    def _take_health(self, payload: bytes, t: float) -> Event | None:
        health = self._read(HealthMessage, payload)
        return None if health is None else self._keep("health", health, t)

    def _take_alert(self, payload: bytes, t: float) -> Event | None:
        alert = self._read(AlertMessage, payload)
        if alert is None:
            return None
        number = (alert.device_id, alert.epoch, alert.sequence)
        age_s = self._age_of(alert)
        if number in self._seen or age_s is None or age_s > HISTORY_S:
            return None
        self._seen.append(number)
        mark = alert.model_dump(mode="json", include={"kind", "phase", "level", "expression", "cause", "reason_code"})
        mark["t"] = round(t - age_s, 2)
        self._marks.append(mark)
        return "alert", mark

    def _age_of(self, alert: AlertMessage) -> float | None:
        """How long ago it was decided, by the time since the board's start; None where it is of another boot."""
        if self._uptime_s is None:
            return None if alert.resent else 0.0
        age_s = self._uptime_s - alert.uptime_s
        return None if age_s < -SAME_BOOT_S else max(0.0, age_s)

    def _keep(self, name: str, message: Message, t: float) -> Event:
        told = message.model_dump(mode="json", by_alias=True, exclude={"time", "version"})
        self._newest[name] = event = (name, {"t": t, **told})
        return event

    def _read(self, model: type[Said], payload: bytes) -> Said | None:
        try:
            return model.model_validate_json(payload)
        except ValidationError:
            self.refused += 1
            return None

    def _point(self, t: float, signals: Mapping[Kind, float | None]) -> None:
        if not self._points or t - self._points[-1].t >= POINT_S:
            self._points.append(_Point(t, dict(signals)))
            self._forget(t)

    def _forget(self, t: float) -> None:
        while self._points and self._points[0].t < t - HISTORY_S:
            self._points.popleft()
        while self._marks and self._marks[0]["t"] < t - HISTORY_S:
            self._marks.popleft()


def as_sent(event: Event) -> str:
    """An event as server-sent events carry it: one line of ASCII, whatever is in it."""
    name, told = event
    return f"event: {name}\ndata: {json.dumps(told)}\n\n"


Part = TypeVar("Part")


def _few(kinds: Mapping[Kind, Part]) -> dict[Kind, Part]:
    return dict(islice(kinds.items(), MAX_KINDS))
