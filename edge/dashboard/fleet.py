"""Every device of a broker as a row: what it said last, and whether that still counts.

Messages and monotonic times come in, rows that changed go out. A row says something of a driver only while its device
speaks: what the broker had kept tells of versions and of who is offline, never that somebody is calm. Wall clocks,
a device's or this machine's, play no part.
"""

from __future__ import annotations

import math
import re
import threading
from collections import Counter, OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from edge.config import TOPIC_PART
from edge.dashboard.picture import MAX_BYTES, MAX_KINDS
from edge.domain import Phase, State
from edge.mqtt.messages import AlertMessage, HealthMessage, StateMessage

SILENT_S = 35.0
"""A device that says nothing for longer than three heartbeats is unknown."""
MOST = 20_000
"""Devices at most: whoever may write to the broker can make up names."""
LEAST_DRIVEN_S = 900.0
"""No rate of alerts is told of less time driven."""
TEXT = 160
"""Characters of a reason or a problem that go into a row."""

OFFLINE, UNKNOWN, SHADOW = "offline", "unknown", "shadow"
WORDS = (*State, SHADOW, UNKNOWN, OFFLINE)
"""What a row may say."""

_ID = re.compile(TOPIC_PART)


@dataclass(frozen=True, slots=True)
class Collected:
    """What a collector's database knows of a device: how long ago it was heard, alerts and time driven of late."""

    age_s: float | None
    alerts: int
    driven_s: float


@dataclass(frozen=True, slots=True)
class Said:
    """A payload as it came, and when."""

    payload: bytes
    t: float
    retained: bool


@dataclass(slots=True)
class _Row:
    device: str
    availability: str = ""
    heard_t: float | None = None
    """When it last spoke itself."""
    speaking: bool = False
    state: State | None = None
    why: tuple[str, str] = ("", "")
    open: list[list[Any]] = field(default_factory=list)
    kept: dict[str, Said] = field(default_factory=dict)
    """The newest payload of each kind, for a page of the device that is opened later."""
    version: str = ""
    problems: tuple[str, ...] | None = None
    shadow: tuple[int, float] | None = None
    state_t: float | None = None
    since: float = math.inf
    """What it decided before this time since its board's start is not counted: nobody counted the driving."""
    uptime_s: float = 0.0
    driving: bool = False
    driven_s: float = 0.0
    alerts: int = 0
    newest: tuple[int, int] = (0, 0)
    collected: Collected | None = None

    @property
    def word(self) -> str:
        """What holds: a state only while the device speaks."""
        if self.availability == OFFLINE:
            return OFFLINE
        if not self.speaking:
            return UNKNOWN
        if self.state is not None:
            return self.state
        return UNKNOWN if self.shadow is None else SHADOW

    @property
    def rate(self) -> float | None:
        """Alerts a driven hour: by the database, by the device in shadow mode, or since this program began."""
        if self.collected is not None:
            alerts, driven_s = self.collected.alerts, self.collected.driven_s
        elif self.shadow is not None:
            alerts, driven_s = self.shadow
        else:
            alerts, driven_s = self.alerts, self.driven_s
        return None if driven_s < LEAST_DRIVEN_S else float(f"{3600 * alerts / driven_s:.2g}")

    def told(self, t: float) -> list[Any]:
        """For a browser. What is not known is null."""
        word = self.word
        known = word not in (OFFLINE, UNKNOWN)
        # one that speaks was heard just now; so its heartbeats are no news
        return [self.device, word, *self.why, self._seen(t, known=known), self.open if known else None, self.rate,
                self.version, self._problems(known=known)]  # fmt: skip

    def _seen(self, t: float, *, known: bool) -> float | None:
        if known:
            return None
        if self.heard_t is not None:
            return round(self.heard_t, 1)
        age_s = None if self.collected is None else self.collected.age_s
        return None if age_s is None else round(t - age_s, 1)

    def _problems(self, *, known: bool) -> list[Any] | None:
        """How many there are, and the first; of a silent device only that there were some."""
        if self.problems is None or not (known or self.problems):
            return None
        return [len(self.problems), self.problems[0][:TEXT] if self.problems else ""]


class Fleet:
    """All devices. ``received`` may be called by another thread than the rest. Times are monotonic, seconds."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rows: dict[str, _Row] = {}
        self._speaking: OrderedDict[str, None] = OrderedDict()
        self._changed: dict[str, list[Any] | None] = {}
        self._dirty: dict[str, None] = {}
        self._sent: dict[str, list[Any]] = {}
        self.passed_over = 0
        """Messages that were none of the contract's, or of one device too many."""

    def received(self, device: str, name: str, payload: bytes, t: float, *, retained: bool) -> None:
        """Take a message on ``<prefix>/<device>/<name>``; ``retained``: the broker had kept it."""
        readers = {"availability": _availability, "state": _state, "health": _health, "alert": _alert}
        read = readers.get(name)
        if read is None:
            return
        with self._lock:
            row = self._rows.get(device)
            if row is None and (len(self._rows) >= MOST or not _ID.fullmatch(device)):
                self.passed_over += 1
                return
            if not payload and (row is None or name == "availability"):
                self._forget(device)
                return
            if len(payload) > MAX_BYTES:
                self.passed_over += 1
                return
            said = Said(payload, t, retained)
            row = row or _Row(device)
            try:
                read(row, said)
            except ValueError:  # pydantic's among them
                self.passed_over += 1
                return
            self._rows[device] = row
            if name != "alert":
                row.kept[name] = said
            if payload not in (b"", b"offline") and not retained:
                row.heard_t, row.speaking = t, True
                self._speaking[device] = None
                self._speaking.move_to_end(device)
            self._dirty[device] = None

    def lost(self) -> None:
        """The broker is gone: nobody counts as speaking until heard again."""
        with self._lock:
            for device in self._speaking:
                self._rows[device].speaking = False
                self._rows[device].state_t = None
                self._dirty[device] = None
            self._speaking.clear()

    def collected(self, of: Mapping[str, Collected]) -> None:
        """What the collector's database knows, for each device by its id."""
        with self._lock:
            for device, row in self._rows.items():
                row.collected = of.get(device)
                self._dirty[device] = None
            for device in of.keys() - self._rows.keys():
                if len(self._rows) < MOST:
                    self._rows[device] = _Row(device, collected=of[device])
                    self._dirty[device] = None

    def changes(self, t: float) -> dict[str, list[Any] | None]:
        """Rows that look otherwise than when last asked; None for a device that was cleared away."""
        with self._lock:
            while self._speaking:
                device = next(iter(self._speaking))
                row = self._rows[device]
                if row.heard_t is not None and t - row.heard_t <= SILENT_S:
                    break
                row.speaking, row.state_t = False, None
                del self._speaking[device]
                self._dirty[device] = None
            changed: dict[str, list[Any] | None] = {}
            for device in self._dirty:
                gone = device not in self._rows
                told = None if gone else self._rows[device].told(t)
                if told != self._sent.get(device):
                    changed[device] = told
                    if told is None:
                        del self._sent[device]
                    else:
                        self._sent[device] = told
            self._dirty.clear()
            return changed

    def rows(self) -> list[list[Any]]:
        """All rows as ``changes`` told them last."""
        with self._lock:
            return list(self._sent.values())

    def kept(self, device: str) -> dict[str, Said]:
        """The newest availability, state and health of a device as they came; what is no longer heard as retained."""
        with self._lock:
            row = self._rows.get(device)
            if row is None:
                return {}
            return {
                name: said if row.speaking else Said(said.payload, said.t, retained=True)
                for name, said in sorted(row.kept.items())
            }

    def count(self) -> Counter[str]:
        """How many devices say what."""
        with self._lock:
            counted = Counter(row.word for row in self._rows.values())
        return Counter({word: counted[word] for word in WORDS})

    def _forget(self, device: str) -> None:
        if self._rows.pop(device, None) is not None:
            self._speaking.pop(device, None)
            self._dirty[device] = None


def _availability(row: _Row, said: Said) -> None:
    if said.payload not in (b"online", b"offline"):
        raise ValueError("neither 'online' nor 'offline'")
    row.availability = said.payload.decode()


def _state(row: _Row, said: Said) -> None:
    if not said.payload:  # in shadow mode nothing is said
        row.state, row.why, row.open, row.state_t = None, ("", ""), [], None
        return
    state = StateMessage.model_validate_json(said.payload)
    row.state = state.state
    row.why = ("", "") if state.state is State.CALM else (state.reason_code[:TEXT], state.reason[:TEXT])
    row.open = [
        [kind, str(part.level), part.acknowledged]
        for kind, part in islice(state.kinds.items(), MAX_KINDS)
        if part.level
    ]
    if said.retained:
        return
    if row.driving and row.state_t is not None and said.t - row.state_t <= SILENT_S:
        row.driven_s += said.t - row.state_t
    if row.state_t is None or state.uptime_s < row.uptime_s:
        row.since = state.uptime_s
    row.state_t, row.uptime_s = said.t, state.uptime_s
    row.driving = state.state.watching and not (state.context is not None and state.context.standstill)


def _health(row: _Row, said: Said) -> None:
    if not said.payload:
        row.problems = row.shadow = None
        return
    health = HealthMessage.model_validate_json(said.payload)
    row.version = health.versions.evenkeel[:TEXT]
    row.problems = tuple(health.problems)
    shadow = health.shadow
    row.shadow = None if shadow is None else (sum(shadow.alerts.values()), 3600 * shadow.driven_h)


def _alert(row: _Row, said: Said) -> None:
    alert = AlertMessage.model_validate_json(said.payload)
    number = (alert.epoch, alert.sequence)
    if said.retained or alert.resent or number <= row.newest:
        return
    row.newest = number
    row.alerts += alert.phase is Phase.START and row.state_t is not None and alert.uptime_s >= row.since
