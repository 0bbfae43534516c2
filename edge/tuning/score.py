"""How well alerts agree with what is known of a drive: recall, false alarms, delay."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.domain import Kind

Starts = NDArray[np.float64]
"""Where alerts of one kind start: (N, 2), the drive's number and the seconds of it."""

GRACE_S = 1.0
"""An alert that starts this long after an episode still belongs to it."""
LEAST_S = 5.0
"""A shorter episode need not be found; an alert in it is none the less no false one."""
MISSED_S = 10.0
"""What a missed episode counts as in the mean delay: about the length of one."""


@dataclass(frozen=True, slots=True)
class Episode:
    """A spell of drive ``drive`` in which the driver is known to show ``kind``; seconds from the drive's start."""

    drive: int
    kind: Kind
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Alert:
    """The start of an alert at ``t`` seconds of drive ``drive``."""

    drive: int
    kind: Kind
    t: float


@dataclass(frozen=True, slots=True)
class Score:
    """``found`` of ``episodes`` long enough have an alert; ``delays`` are those of the found ones, in seconds."""

    hours: float
    episodes: int
    found: int
    false_alarms: int
    delays: tuple[float, ...]

    def __add__(self, other: Score) -> Score:
        """Both kinds of the same hours together."""
        return Score(
            self.hours,
            self.episodes + other.episodes,
            self.found + other.found,
            self.false_alarms + other.false_alarms,
            self.delays + other.delays,
        )

    @classmethod
    def over(cls, parts: Sequence[Score]) -> Score:
        """The same over several sets of hours."""
        return cls(
            sum(each.hours for each in parts),
            sum(each.episodes for each in parts),
            sum(each.found for each in parts),
            sum(each.false_alarms for each in parts),
            tuple(delay for each in parts for delay in each.delays),
        )

    @property
    def recall(self) -> float:
        """Share of the episodes that were found; 1 where there are none."""
        return self.found / self.episodes if self.episodes else 1.0

    @property
    def false_per_hour(self) -> float:
        """False alarms in an hour of drive."""
        return self.false_alarms / self.hours

    @property
    def recall_interval(self) -> tuple[float, float]:
        """95 % interval of ``recall``, each episode taken for an independent one."""
        return share_interval(self.found, self.episodes)

    @property
    def false_interval(self) -> tuple[float, float]:
        """95 % interval of ``false_per_hour``, each false alarm taken for an independent one."""
        return poisson_interval(self.false_alarms, self.hours)

    @property
    def mean_delay_s(self) -> float:
        """Mean seconds without an alert, a missed episode counted as MISSED_S, as is one that is found later.

        One figure for finding and for speed.
        """
        missed_s = MISSED_S * (self.episodes - self.found)
        return (sum(min(delay, MISSED_S) for delay in self.delays) + missed_s) / max(self.episodes, 1)

    @property
    def delay_s(self) -> float:
        """Median seconds from an episode's start to its first alert; NaN where none was found."""
        return float(np.median(self.delays)) if self.delays else float("nan")


def poisson_interval(events: int, hours: float) -> tuple[float, float]:
    """95 % interval of the rate an hour of independent events (Garwood 1936); quantiles by Wilson and Hilferty."""
    return _chi_square(0.025, 2 * events) / 2 / hours, _chi_square(0.975, 2 * events + 2) / 2 / hours


def _chi_square(share: float, degrees: int) -> float:
    if degrees == 0:
        return 0.0
    if degrees == 2:
        return float(-2 * np.log(1 - share))
    normal = 1.959964 * (1 if share > 0.5 else -1)
    return float(degrees * (1 - 2 / (9 * degrees) + normal * np.sqrt(2 / (9 * degrees))) ** 3)


def share_interval(hits: int, count: int) -> tuple[float, float]:
    """95 % interval of a share (Wilson 1927)."""
    if count == 0:
        return 0.0, 1.0
    z2 = 1.959964**2
    middle = (hits + z2 / 2) / (count + z2)
    spread = np.sqrt(hits * (count - hits) / count * z2 + z2 * z2 / 4) / (count + z2)
    return float(middle - spread), float(middle + spread)


def judge(alerts: Iterable[Alert], episodes: Sequence[Episode], hours: float) -> Score:
    """Hold alerts against episodes: each alert belongs to the episode of its kind that it starts in, or is false."""
    first: dict[Episode, float] = {}
    false_alarms = 0
    for alert in sorted(alerts, key=lambda each: (each.drive, each.t)):
        episode = next((each for each in episodes if _holds(each, alert)), None)
        if episode is None:
            false_alarms += 1
        else:
            first.setdefault(episode, alert.t)
    long = [episode for episode in episodes if episode.end - episode.start >= LEAST_S]
    delays = tuple(first[episode] - episode.start for episode in long if episode in first)
    return Score(hours, len(long), len(delays), false_alarms, delays)


def _holds(episode: Episode, alert: Alert) -> bool:
    same = episode.drive == alert.drive and episode.kind == alert.kind
    return same and episode.start <= alert.t <= episode.end + GRACE_S
