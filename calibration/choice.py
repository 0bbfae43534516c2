"""Choosing thresholds on the drives of some sources: as many episodes as false alarms on plain hours allow.

The thresholds are swept over arrays, in seconds. That counts false alarms too low where one look gives several, since
what came of an alert is learned there (``edge.tuning.rest``): by a twentieth at .5 an hour, by a quarter at 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from calibration.drives import Sort
from calibration.workshop import Workshop, side_by_side
from edge.config import Config
from edge.tuning.batch import Batch, Rules, run_rules, smooth
from edge.tuning.rest import hold_against_rest
from edge.tuning.score import Score
from edge.vision.ordinary import ordinary_face
from models.training.expression_readers import Candidate

ENTERS = (0.55, 0.6, 0.65, 0.7)
"""Less is what a resting frown is read as: whoever has one would be alarmed for, and then not be found angry any more
(``tests/decision/test_personas.py``)."""
HOLDS_S = (0.8, 1.0, 1.2, 1.5, 1.8, 2.2, 2.6, 3.0, 3.5, 4.0, 5.0, 6.0)
ALLOWED_PER_HOUR = {"low": 0.4, "normal": 0.8, "high": 1.6}
"""False alarms an hour without episodes, of all kinds together, as the sweep counts them, that each sensitivity may
have where it is chosen."""
SLACK = 0.03
"""Of thresholds that find within this share of the most, the quickest are chosen."""


@dataclass(frozen=True)
class Tried:
    """One set of thresholds, the same for all kinds, and what it comes to on drives with episodes and on plain ones."""

    enter: float
    hold_s: float
    episodes: Score
    plain: Score

    def __add__(self, other: Tried) -> Tried:
        """The same thresholds over two sources."""
        episodes, plain = (Score.over(pair) for pair in ((self.episodes, other.episodes), (self.plain, other.plain)))
        return Tried(self.enter, self.hold_s, episodes, plain)

    def applied(self, config: Config) -> Config:
        """``config`` with these thresholds for every kind that goes by expressions."""
        thresholds = {"enter": self.enter, "hold_s": self.hold_s}
        changed = {kind: each.model_copy(update=thresholds) for kind, each in config.alerts.expressions.items()}
        return config.model_copy(update={"alerts": config.alerts.with_kinds(changed)})


def sweep(workshop: Workshop, name: str, candidate: Candidate, config: Config) -> list[Tried]:
    """What every set of thresholds comes to on one source's drives."""
    sorts: tuple[Sort, ...] = ("episodes", "plain")
    batches = (side_by_side(workshop.drives(name, sort, candidate), config).batch for sort in sorts)
    shown, plain = (_scores(batch, config) for batch in batches)
    return [Tried(*pair, *scores) for pair, *scores in zip(_grid(), shown, plain, strict=True)]


def pick(tried: Sequence[Tried], allowed_per_hour: float) -> Tried:
    """The quickest of those that find most within what is allowed; where none keeps to it, the nearest to it."""
    within = [each for each in tried if each.plain.false_per_hour <= allowed_per_hour]
    if not within:
        return min(tried, key=lambda each: (each.plain.false_per_hour, -each.episodes.found))
    most = max(each.episodes.recall for each in within)
    return min(
        (each for each in within if each.episodes.recall >= most - SLACK), key=lambda each: each.episodes.mean_delay_s
    )


def choose(swept: Sequence[Sequence[Tried]], allowed_per_hour: float) -> Tried:
    """The pick over several sources' sweeps."""
    first, *others = swept
    return pick([sum(rest, start=one) for one, *rest in zip(first, *others, strict=True)], allowed_per_hour)


def _grid() -> list[tuple[float, float]]:
    return list(product(ENTERS, HOLDS_S))


def _scores(batch: Batch, config: Config) -> list[Score]:
    """The score of each set of thresholds, all kinds together."""
    evidence = hold_against_rest(batch, smooth(batch), config.baseline, ordinary_face(config.vision))
    base = next(iter(config.alerts.expressions.values()))
    enter, hold_s = np.array(_grid()).T
    found = []
    for of_kind in run_rules(batch, evidence, Rules(enter, hold_s, base)):
        first, *others = of_kind.values()
        found.append(sum(others, start=first))
    return found
