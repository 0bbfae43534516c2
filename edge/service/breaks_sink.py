"""The sink that follows breaks, and the file that keeps what was driven over a restart."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from edge.board.kept import KeptFile
from edge.compat import Self
from edge.config import Config
from edge.domain import Kind, Stamp, Step
from edge.mqtt.outbox import files as outbox_files
from edge.service.health import Health, SinkHealth
from edge.service.sinks import Worker
from edge.vehicle.breaks import Balance, Breaks, BreakStatus

FILE_NAME = "breaks.json"
PERIOD_S = 300.0
"""What is driven is kept this often, seconds: little wear for a card, little lost."""
STANDS_S = 30.0
"""It is kept once more when a break has begun so long ago: whoever takes the key out cuts the power next."""

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

_log = logging.getLogger(__name__)

Seconds = Annotated[float, Field(ge=0, le=1e9)]


class _Stored(BaseModel):
    model_config = ConfigDict(allow_inf_nan=False)

    version: Literal[1] = Field(alias="schema")
    saved: AwareDatetime
    clock_synced: bool
    boot: str
    uptime_s: Seconds
    resting: bool
    driven_s: Seconds | None
    rest_s: Seconds
    first_part: bool
    episodes: dict[Kind, Annotated[int, Field(ge=0, le=1_000_000)]]


class BreaksFile:
    """Keeps one balance. A fault of the disk is logged once; monitoring does not need the file."""

    def __init__(self, path: Path, boot_id: Callable[[], str] | None = None) -> None:
        self._file = KeptFile(path, _log, "the time driven is not kept over a restart")
        self._boot_id = boot_id or _boot_id
        self._loaded: _Stored | None = None

    @classmethod
    def beside(cls, outbox: Path) -> Self:
        """The one of the service whose outbox this is; services whose outboxes share a folder have one each."""
        named = outbox.name != outbox_files.FILE_NAME
        return cls(outbox.parent / (f"{outbox.name}.{FILE_NAME}" if named else FILE_NAME))

    def load(self) -> Balance | None:
        """What was kept; None where there is nothing that can be used."""
        content = self._file.read()
        if content is None:
            return None
        try:
            stored = self._loaded = _Stored.model_validate_json(content)
        except ValidationError:
            _log.warning("%s: damaged or of another version; time driven counts from zero", self._file.path)
            return None
        return Balance(stored.driven_s, stored.rest_s, stored.first_part, stored.episodes)

    def gap(self, now: Stamp) -> tuple[float, bool] | None:
        """Seconds from what was loaded to ``now``, and whether a break went on then; None where no clock can tell."""
        stored = self._loaded
        if stored is None:
            return None
        if stored.boot and stored.boot == self._boot_id():
            return max(0.0, now.uptime_s - stored.uptime_s), stored.resting
        if not (stored.clock_synced and now.clock_synced):
            return None
        return max(0.0, (now.time - stored.saved).total_seconds()), stored.resting

    def keep(self, balance: Balance, *, resting: bool, now: Stamp) -> None:
        """Replace what is kept."""
        about = {"schema": 1, "saved": now.time.isoformat(), "clock_synced": now.clock_synced}
        when = {"boot": self._boot_id(), "uptime_s": now.uptime_s, "resting": resting}
        self._file.replace(json.dumps({**about, **when, **asdict(balance)}))


class BreaksSink:
    """Follows breaks by the steps; what was driven before the start counts on, once a clock can tell since when."""

    name = "breaks"
    outward = False

    def __init__(
        self, config: Config, file: BreaksFile, clock: Callable[[], float], stamp: Callable[[], Stamp]
    ) -> None:
        self._breaks = Breaks(config.breaks)
        self._file = file
        self._clock = clock
        self._stamp = stamp
        self._begun = stamp()
        self._kept_t = self._asked_t = clock()
        self._kept_stop = False
        balance = file.load()
        self._unbridged = balance is not None
        if balance is not None:
            self._breaks.restore(balance)
            self._bridge()
        self._worker: Worker[Callable[[], None]] = Worker(self.name, lambda do: do())

    @property
    def status(self) -> BreakStatus:
        """Whether a break is due now."""
        return self._breaks.status

    @property
    def health(self) -> SinkHealth:
        """Monitoring does not need the file: a fault of the disk is in the log alone."""
        return self._worker.health

    def take(self, step: Step) -> None:
        """Follow a step, and keep what is driven where it is time."""
        self._breaks.update(step)
        now = self._clock()
        if self._unbridged and now - self._asked_t >= 1:
            self._asked_t = now
            self._bridge()
        stands = self._breaks.resting and self._breaks.balance.rest_s >= STANDS_S
        if now - self._kept_t >= PERIOD_S or (stands and not self._kept_stop):
            self._keep()
        self._kept_stop = stands

    def probe(self, health: Health) -> None:
        """Nothing of it is kept."""

    def close(self) -> None:
        """Keep what is driven by now."""
        self._keep()
        self._worker.close()

    def _bridge(self) -> None:
        """Tell what the time before the start was, as soon as the wall clock can be believed."""
        now = self._stamp()
        gap = self._file.gap(now)
        if gap is None:
            return
        gap_s, rested = gap
        self._unbridged = False
        self._breaks.bridge(max(0.0, gap_s - (now.uptime_s - self._begun.uptime_s)), rested=rested)

    def _keep(self) -> None:
        self._kept_t = self._clock()
        balance, resting, now = self._breaks.balance, self._breaks.resting, self._stamp()
        self._worker.put(lambda: self._file.keep(balance, resting=resting, now=now))


def _boot_id() -> str:
    try:
        return BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return ""
