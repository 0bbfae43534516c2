"""The numbers around one alert, and how they are cut into messages. Pure.

A piece holds samples that follow each other, as many as fit. Where it belongs is told by the number of its first sample
and not by a number of its own: so what is still to be sent can be cut anew for a broker that takes less.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from uuid import UUID

from edge.compat import Self
from edge.domain import EXPRESSIONS, Kind, Level, Stamp, Step
from edge.mqtt.messages import EpisodeMessage, Run, eyes_part

PIECE_BYTES = 1500
"""A payload at most: so long a link of 9.6 kbit/s is busy for little more than a second."""
AT_ONCE = 48
"""Samples in a piece at most, however many bytes a broker takes."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What is kept of one step. ``t`` is the step's time; shares are whole percent, None is not known."""

    t: float
    signals: Mapping[Kind, int | None]
    levels: Mapping[Kind, Level | None]
    state: str
    reason_code: str
    sight: str
    expression: tuple[int, ...] | None
    eyes: tuple[int | None, int | None, int | None]
    weight: int | None
    speed_kmh: float | None

    @classmethod
    def of(cls, step: Step) -> Self:
        """What a step says."""
        signals, quality, eyes = step.signals, step.observation.quality, eyes_part(step)
        known = signals.confidence > 0
        return cls(
            t=signals.t,
            signals={kind: _percent(each.signal) if each.readable else None for kind, each in signals.kinds.items()},
            levels={kind: each.level for kind, each in signals.kinds.items()},
            state=str(step.state),
            reason_code=str(step.reason.code),
            sight=str(step.observation.sight),
            expression=tuple(_percent(float(value)) or 0 for value in signals.expression) if known else None,
            eyes=(None, None, None)
            if eyes is None
            else (_percent(eyes.openness_left), _percent(eyes.openness_right), _percent(eyes.perclos)),
            weight=None if quality is None else _percent(quality.weight),
            speed_kmh=None if step.context.speed_kmh is None else round(step.context.speed_kmh, 1),
        )


@dataclass(frozen=True, slots=True)
class Around:
    """All samples around one alert; the episode began at ``began_t`` on their clock. The rest is as in its alerts."""

    id: UUID
    device_id: str
    epoch: int
    sequence: int
    kind: Kind
    started: datetime
    began_t: float
    thresholds: Mapping[Kind, float | None]
    samples: tuple[Sample, ...]

    def cut(self, first: int, count: int, stamp: Stamp) -> EpisodeMessage:
        """The piece of ``count`` samples from ``first`` on, said now."""
        samples = self.samples[first : first + count]
        kinds = list(dict.fromkeys(kind for sample in samples for kind in sample.signals))
        return EpisodeMessage(
            time=stamp.time,
            uptime_s=round(stamp.uptime_s, 3),
            clock_synced=stamp.clock_synced,
            id=self.id,
            device_id=self.device_id,
            epoch=self.epoch,
            sequence=self.sequence,
            kind=self.kind,
            started=self.started,
            first=first,
            total=len(self.samples),
            t_s=[round(sample.t - self.began_t, 1) for sample in samples],
            signal_percent={kind: [sample.signals.get(kind) for sample in samples] for kind in kinds},
            threshold_percent={kind: _percent(self.thresholds.get(kind)) for kind in kinds},
            levels={kind: _runs(sample.levels.get(kind) for sample in samples) for kind in kinds},
            states=_runs(sample.state for sample in samples),
            reason_codes=_runs(sample.reason_code for sample in samples),
            sights=_runs(sample.sight for sample in samples),
            expression_percent={
                name: [None if sample.expression is None else sample.expression[place] for sample in samples]
                for place, name in enumerate(EXPRESSIONS)
            },
            open_left_percent=[sample.eyes[0] for sample in samples],
            open_right_percent=[sample.eyes[1] for sample in samples],
            perclos_percent=[sample.eyes[2] for sample in samples],
            weight_percent=[sample.weight for sample in samples],
            speed_kmh=[sample.speed_kmh for sample in samples],
        )

    def largest(self, first: int, stamp: Stamp, fits: Callable[[bytes], bool]) -> tuple[int, bytes] | None:
        """How many samples from ``first`` on go into one piece that ``fits``, and its payload; None where not one."""
        most = min(AT_ONCE, len(self.samples) - first)
        found: tuple[int, bytes] | None = None
        least = 1
        while least <= most:
            count = (least + most + 1) // 2
            payload = self.cut(first, count, stamp).payload()
            if len(payload) <= PIECE_BYTES and fits(payload):
                found, least = (count, payload), count + 1
            else:
                most = count - 1
        return found


def _runs(values: Iterable[str | None]) -> list[Run]:
    """Where a value begins to hold, with the value."""
    told = [None if value is None else str(value) for value in values]
    changes = [0, *(place for place, (before, after) in enumerate(pairwise(told), 1) if before != after)]
    return [(place, told[place]) for place in changes]


def _percent(share: float | None) -> int | None:
    return None if share is None else min(max(round(float(share) * 100), 0), 100)
