"""The file that keeps the driver's resting face over a restart: a few numbers, and when they were learned."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from edge.board.kept import KeptFile
from edge.compat import Self
from edge.decision.baseline import LEVELS, RestingFace
from edge.domain import Kind, Stamp, Step
from edge.mqtt.outbox import files as outbox_files
from edge.service.health import Health, SinkHealth
from edge.service.sinks import Worker

FILE_NAME = "resting_face.json"
PERIOD_S = 300.0
"""What is learned is kept this often, seconds, and at the stop: little wear for a card, little lost."""

_log = logging.getLogger(__name__)


LogOdds = Annotated[float, Field(ge=-10, le=10)]
Seconds = Annotated[float, Field(ge=0, le=86400)]
AtLevels = Annotated[tuple[Seconds, ...], Field(min_length=len(LEVELS), max_length=len(LEVELS))]


class _Stored(BaseModel):
    model_config = ConfigDict(allow_inf_nan=False)

    version: Literal[4] = Field(alias="schema")
    saved: AwareDatetime
    learned_s: Annotated[float, Field(gt=0, le=86400)]
    mean: dict[Kind, LogOdds]
    at_s: dict[Kind, AtLevels]

    @model_validator(mode="before")
    @classmethod
    def _from_version_3(cls, data: Any) -> Any:
        """Version 0.1.0 knew two kinds, each under keys of its own."""
        if not isinstance(data, dict) or data.get("schema") != 3:
            return data
        kinds = ("anger", "distress")
        mean = {kind: data[kind] for kind in kinds if kind in data}
        at_s = {kind: data[f"{kind}_s"] for kind in kinds if f"{kind}_s" in data}
        return {**data, "schema": 4, "mean": mean, "at_s": at_s}

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        if not all(math.isclose(sum(row), self.learned_s, rel_tol=0.01) for row in self.at_s.values()):
            raise ValueError("the seconds at all levels are not learned_s together")
        if set(self.mean) != set(self.at_s) or not self.mean:
            raise ValueError("mean and at_s are not of the same kinds")
        return self


class RestingFaceFile:
    """Keeps one resting face in ``folder``. A fault of the disk is logged once; monitoring does not need the file."""

    def __init__(self, folder: Path, name: str = FILE_NAME) -> None:
        self._file = KeptFile(folder / name, _log, "the resting face is not kept over a restart")

    @classmethod
    def beside(cls, outbox: Path) -> Self:
        """The one of the service whose outbox this is; services whose outboxes share a folder have one each."""
        named = outbox.name != outbox_files.FILE_NAME
        return cls(outbox.parent, f"{outbox.name}.{FILE_NAME}" if named else FILE_NAME)

    def load(self, now: Stamp, max_age_hours: float) -> RestingFace | None:
        """What was kept, if its age is known and no more than ``max_age_hours``; None otherwise."""
        content = self._file.read()
        if content is None:
            return None
        try:
            stored = _Stored.model_validate_json(content)
        except ValidationError:
            _log.warning("%s: damaged or of another version; relearning the resting face", self._file.path)
            return None
        age = now.time - stored.saved
        if not now.clock_synced or not timedelta(0) <= age <= timedelta(hours=max_age_hours):
            return None
        return RestingFace(stored.learned_s, stored.mean, stored.at_s)

    def keep(self, resting: RestingFace, now: Stamp) -> None:
        """Replace what is kept; nothing learned, or a clock that cannot tell the age later, leaves nothing kept."""
        if resting.learned_s == 0 or not now.clock_synced:
            self.clear()
            return
        text = json.dumps({"schema": 4, "saved": now.time.isoformat(), **asdict(resting)})
        self._file.replace(text)

    def clear(self) -> None:
        """Keep nothing."""
        self._file.clear()


class RestingFaceSink:
    """Keeps what is ``learned`` of the driver every PERIOD_S and at the end, written in a thread of its own."""

    name = "resting face"
    outward = False

    def __init__(
        self,
        file: RestingFaceFile,
        learned: Callable[[], RestingFace],
        clock: Callable[[], float],
        stamp: Callable[[], Stamp],
    ) -> None:
        self._file = file
        self._learned = learned
        self._clock = clock
        self._stamp = stamp
        self._kept_t = clock()
        self._worker: Worker[Callable[[], None]] = Worker(self.name, lambda do: do())

    @property
    def health(self) -> SinkHealth:
        """Monitoring does not need the file: a fault of the disk is in the log alone."""
        return self._worker.health

    def take(self, step: Step) -> None:
        """Keep what is learned, where a period is over."""
        del step
        if self._clock() - self._kept_t >= PERIOD_S:
            self._keep()

    def probe(self, health: Health) -> None:
        """Nothing of it is kept."""

    def clear(self) -> None:
        """Keep nothing of what was learned so far."""
        self._worker.put(self._file.clear)

    def close(self) -> None:
        """Keep what is learned by now."""
        self._keep()
        self._worker.close()

    def _keep(self) -> None:
        self._kept_t = self._clock()
        face, now = self._learned(), self._stamp()
        self._worker.put(lambda: self._file.keep(face, now))
