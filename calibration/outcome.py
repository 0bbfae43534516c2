"""What came of a decision on drives whose episodes are known: found, how late, how often false, for how long."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from calibration.drives import Drive
from edge.domain import Kind, Phase, Transition
from edge.tuning.score import GRACE_S, LEAST_S

LATE_S = 5.0
"""An alert that is still open so long after its episode ends late; from there on its time counts as false."""
RESAMPLED = 2_000
NONE_SEEN = 3.0
"""Of so many expected events none happens in one of twenty runs (the rule of three)."""


@dataclass(frozen=True, slots=True)
class Raised:
    """An alert from its start to its end; ``urgent`` is when it became so. Seconds from the drive's start."""

    kind: Kind
    start: float
    end: float
    urgent: float | None


@dataclass(frozen=True)
class Outcome:
    """What came of one drive or of several.

    ``found`` of ``episodes`` of at least LEAST_S have an alert; their delays are those of a driver who was ``known``
    and of one who was not (``cold``). A false start is outside every episode of its kind, an escalation is late where
    it is. ``false_s`` are seconds of alert outside episodes, but for LATE_S after each; ``late`` of ``kept``, alerts
    that began in an episode, end later than that.
    """

    hours: float = 0.0
    episodes: int = 0
    known: tuple[float, ...] = ()
    cold: tuple[float, ...] = ()
    false_starts: int = 0
    false_s: float = 0.0
    kept: int = 0
    late: int = 0
    escalations: int = 0
    late_escalations: int = 0
    longest_s: float = 0.0
    starts: tuple[float, ...] = field(default=(), repr=False)

    @property
    def found(self) -> int:
        """Episodes that an alert came of."""
        return len(self.known) + len(self.cold)

    @property
    def recall(self) -> float:
        """Share of the episodes that were found; 1 where there are none."""
        return self.found / self.episodes if self.episodes else 1.0

    @property
    def false_per_hour(self) -> float:
        """False starts in an hour of drive."""
        return self.false_starts / self.hours

    @property
    def false_s_per_hour(self) -> float:
        """Seconds of false alert in an hour of drive."""
        return self.false_s / self.hours


def total(outcomes: Sequence[Outcome]) -> Outcome:
    """Several drives' outcomes as one."""
    return Outcome(
        hours=sum(each.hours for each in outcomes),
        episodes=sum(each.episodes for each in outcomes),
        known=tuple(delay for each in outcomes for delay in each.known),
        cold=tuple(delay for each in outcomes for delay in each.cold),
        false_starts=sum(each.false_starts for each in outcomes),
        false_s=sum(each.false_s for each in outcomes),
        kept=sum(each.kept for each in outcomes),
        late=sum(each.late for each in outcomes),
        escalations=sum(each.escalations for each in outcomes),
        late_escalations=sum(each.late_escalations for each in outcomes),
        longest_s=max((each.longest_s for each in outcomes), default=0.0),
        starts=tuple(start for each in outcomes for start in each.starts),
    )


def raised(transitions: Iterable[Transition], last_t: float) -> list[Raised]:
    """The alerts that a drive's transitions tell of; one that is open at the end lasts until ``last_t``."""
    started: dict[tuple[Kind, int], float] = {}
    urgent: dict[tuple[Kind, int], float] = {}
    found = []
    for each in transitions:
        key = each.kind, each.episode
        if each.phase is Phase.START:
            started[key] = each.t
        elif each.phase is Phase.ESCALATE:
            urgent[key] = each.t
        else:
            found.append(Raised(each.kind, started.pop(key), each.t, urgent.get(key)))
    return found + [Raised(key[0], start, last_t, urgent.get(key)) for key, start in started.items()]


def judge_drive(drive: Drive, alerts: Sequence[Raised]) -> Outcome:
    """Hold a drive's alerts against its episodes."""
    first: dict[int, float] = {}
    kept = late = false_starts = late_escalations = 0
    false_s = 0.0
    for alert in sorted(alerts, key=lambda each: each.start):
        own = [(n, start, end) for n, (kind, start, end) in enumerate(drive.episodes) if kind == alert.kind]
        false_s += _outside_s(alert, [(start, end + LATE_S) for _, start, end in own])
        within = [(n, end) for n, start, end in own if start <= alert.start <= end + GRACE_S]
        if alert.urgent is not None and not any(start <= alert.urgent <= end + GRACE_S for _, start, end in own):
            late_escalations += 1
        if not within:
            false_starts += 1
            continue
        number, _ = within[0]
        first.setdefault(number, alert.start)
        kept += 1
        late += not any(start <= alert.end <= end + LATE_S for _, start, end in own)
    long = [n for n, (_, start, end) in enumerate(drive.episodes) if end - start >= LEAST_S]
    delays = [(drive.cold[n], first[n] - drive.episodes[n][1]) for n in long if n in first]
    return Outcome(
        hours=float(drive.t[-1] - drive.t[0]) / 3600,
        episodes=len(long),
        known=tuple(delay for cold, delay in delays if not cold),
        cold=tuple(delay for cold, delay in delays if cold),
        false_starts=false_starts,
        false_s=false_s,
        kept=kept,
        late=late,
        escalations=sum(alert.urgent is not None for alert in alerts),
        late_escalations=late_escalations,
        longest_s=max((alert.end - alert.start for alert in alerts), default=0.0),
        starts=tuple(alert.start for alert in alerts),
    )


def rate_interval(events: Sequence[float], hours: Sequence[float]) -> tuple[float, float]:
    """95 % interval of events an hour, drives drawn anew with replacement, since one face's false alarms come together.

    Where no drive has any, or few, the upper end is at least that of the rule of three.
    """
    random = np.random.default_rng(0)
    count, length = np.asarray(events, float), np.asarray(hours, float)
    drawn = random.integers(len(count), size=(RESAMPLED, len(count)))
    rates = count[drawn].sum(1) / length[drawn].sum(1)
    low, high = np.percentile(rates, [2.5, 97.5])
    return float(low), max(float(high), NONE_SEEN / float(length.sum()))


def _outside_s(alert: Raised, allowed: Sequence[tuple[float, float]]) -> float:
    """Seconds of the alert that lie in none of the ``allowed`` spans."""
    outside, now = 0.0, alert.start
    for start, end in sorted(allowed):
        if end <= now or start >= alert.end:
            continue
        outside += max(0.0, start - now)
        now = max(now, end)
    return outside + max(0.0, alert.end - now)
