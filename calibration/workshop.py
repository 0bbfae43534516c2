"""Makes the simulated drives of each source as a model reads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from calibration import drives
from calibration.drives import SORTS, Drive, Plan, Readings, Sort, film
from calibration.faces import LOOKS, FaceSource, read_faces
from calibration.people import DRESSES, Person, cast, draw, weigh
from calibration.readings import ReadingsFolder
from edge.config import Config
from edge.domain import EXPRESSIONS
from edge.tuning.batch import Batch, make_batch
from edge.tuning.score import Episode
from models.training.expression_data import CROP_RULE
from models.training.expression_readers import Candidate

PEOPLE = 36
"""Drivers of each source; each has one drive with episodes and a plain one."""
IN_SCENARIOS = 8
"""Of them are in every scenario."""
QUOTED = "raf"
"""The source that is quoted where thresholds are chosen once, on the others."""


@dataclass(frozen=True)
class Drives:
    """Drives with their episodes, and the same as one batch; ``probabilities`` is (T, D, 9)."""

    drives: list[Drive]
    episodes: list[Episode]
    batch: Batch
    probabilities: NDArray[np.float32]


class Workshop:
    """Faces, drivers and plans of every source; what is read of them is kept in a folder."""

    def __init__(self, data: Path, config: Config, kept: ReadingsFolder, people: int = PEOPLE) -> None:
        self._config, self._kept = config, kept
        self.sources = read_faces(data)
        self._sets = {name: _plan_all(source, people) for name, source in self.sources.items()}
        self._shots = {name: np.unique(_rows(plans), axis=0) for name, plans in self._sets.items()}
        self._read: dict[tuple[str, Path], Readings] = {}

    @property
    def quoted(self) -> str:
        """The source that is quoted where thresholds are chosen once."""
        return QUOTED if QUOTED in self.sources else next(iter(self.sources))

    @property
    def tuning(self) -> list[str]:
        """The other sources."""
        return [name for name in self.sources if name != self.quoted]

    def drives(self, name: str, sort: Sort, candidate: Candidate) -> list[Drive]:
        """The drives of one sort of a source, as the candidate reads them."""
        readings, shots = self.readings(name, candidate), self._shots[name]
        return [film(plan, _places(shots, plan.shot), readings) for plan in self._sets[name][sort]]

    def batch(self, names: Sequence[str], sorts: Sequence[Sort], candidate: Candidate) -> Drives:
        """The drives of several sources and sorts side by side."""
        return side_by_side(
            [each for name in names for sort in sorts for each in self.drives(name, sort, candidate)], self._config
        )

    def readings(self, name: str, candidate: Candidate) -> Readings:
        """What the candidate reads of a source's pictures."""
        key = name, candidate.file
        if key not in self._read:
            source, shots, quality = self.sources[name], self._shots[name], self._config.quality

            def make() -> Readings:
                crops = draw(source, shots)
                probabilities = np.array([candidate.read(crop) for crop in crops], np.float32)
                weights = [weigh(crop, CROP_RULE, quality) * candidate.familiar(crop) for crop in crops]
                return Readings(probabilities, np.array(weights, np.float32))

            self._read[key] = self._kept.of(candidate.file, source, shots, quality, make)
        return self._read[key]

    def shown(self, names: Sequence[str], candidate: Candidate) -> dict[str, NDArray[np.float32]]:
        """What the candidate answers (N, 9) to undressed single faces of each look, of several sources."""
        answers: dict[str, list[NDArray[np.float32]]] = {look: [] for look in LOOKS}
        for name in names:
            shots, source, read = self._shots[name], self.sources[name], self.readings(name, candidate)
            plain = (shots[:, 2] == 0) & (shots[:, 3] == list(DRESSES).index("none"))
            look = source.look[shots[:, 0]]
            for code, each in enumerate(LOOKS):
                answers[each].append(read.probabilities[plain & (look == code)])
        return {look: np.concatenate(parts) for look, parts in answers.items()}


def side_by_side(found: list[Drive], config: Config) -> Drives:
    """Drives with their episodes and as one batch."""
    episodes = [episode for number, drive in enumerate(found) for episode in drive.labels(number)]
    weights = np.array(
        [[settings.weights.get(name, 0.0) for name in EXPRESSIONS] for settings in config.alerts.expressions.values()],
        np.float32,
    )
    batch = make_batch(
        tuple(config.alerts.expressions),
        [drive.t for drive in found],
        [drive.weight.astype(float) for drive in found],
        [(weights @ drive.probabilities.T).astype(float) for drive in found],
        episodes,
    )
    probabilities = np.zeros((*batch.t.shape, len(EXPRESSIONS)), np.float32)
    for number, drive in enumerate(found):
        probabilities[: len(drive.t), number] = drive.probabilities
    return Drives(found, episodes, batch, probabilities)


def _plan_all(source: FaceSource, people: int) -> dict[Sort, list[Plan]]:
    """Every drive of a source: one with episodes and a plain one of each driver, scenarios of the first of them."""
    persons: list[Person] = cast(source, people, seed=1)
    counts: Mapping[Sort, int] = {"episodes": people, "plain": people}
    return {
        sort: [drives.plan(sort, seed, source, persons) for seed in range(counts.get(sort, min(people, IN_SCENARIOS)))]
        for sort in SORTS
    }


def _rows(plans: Mapping[Sort, Sequence[Plan]]) -> NDArray[np.int64]:
    return np.concatenate([plan.shot for of_sort in plans.values() for plan in of_sort])


def _places(shots: NDArray[np.int64], rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where each of ``rows`` (T, 5) stands among the sorted ``shots`` (S, 5)."""
    size = shots.max(0) + 1
    scale = np.cumprod(np.append(1, size[::-1]))[::-1][1:]
    return np.asarray(np.searchsorted(shots @ scale, rows @ scale), np.int64)
