"""Simulated drives: who shows what when is drawn by a seed; what a model reads of it comes from real pictures.

There are no drives with labelled anger, so they are put together, each of a driver whose faces look alike
(``calibration.people``). A pose fades into the next; an episode of 3 s to 3 minutes rises, wavers and falls. Three
sorts of drives: with episodes, plain ones without any, and scenarios, in which one steady look that is no episode
lasts for ten minutes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from calibration.faces import LOOKS, FaceSource
from calibration.people import FULL, SHOT_FIELDS, VIEWS, Person, shot
from edge.domain import EXPRESSION, Face, Kind, Observation, Quality, Reading, Sight
from edge.tuning.score import Episode

FPS = 5.0
"""Frames a second, as on a slow board: the rule goes by seconds, and a hundred hours are decided in minutes."""
EPISODES_S, PLAIN_S, SCENARIO_S = 900.0, 1800.0, 600.0
"""How long a drive of each sort is, about."""
SHORTEST_S, LONGEST_S = 3.0, 180.0
"""Of episodes; their logarithms are spread evenly."""
COLD_S = 60.0
"""A driver who was in sight for less is not known yet: an episode then begins cold."""
SHOWN: tuple[Kind, ...] = ("anger", "distress")
"""The kinds of which the drives have episodes."""
Scenario = Literal["resting frown", "sunglasses", "head down", "worried talk"]
Sort = Literal["episodes", "plain"] | Scenario
SCENARIOS: tuple[Scenario, ...] = get_args(Scenario)
SORTS: tuple[Sort, ...] = ("episodes", "plain", *SCENARIOS)

_SIGHTS = (Sight.FACE, Sight.NO_FACE, Sight.DARK)
_CALM = (
    "frown",
    "low brows",
    "sunglasses",
    "head down",
    "worried talk",
    "talk",
    "talk",
    "singing",
    "yawn",
    "smile",
    "grimace",
    "glance",
    "hand",
    "dark",
    "black",
    "stall",
)
"""What a driver does who is neither angry nor distressed; a deck that is dealt again when it is through."""


@dataclass(frozen=True)
class Readings:
    """What a model and the quality make of S pictures: probabilities (S, 9) and weights (S,)."""

    probabilities: NDArray[np.float32]
    weights: NDArray[np.float32]


@dataclass(frozen=True)
class Plan:
    """What a driver shows: for each of T frames the time, the place of its sight in a list, and the picture's row.

    ``cold`` tells of each of the episodes whether the driver was in sight for less than COLD_S when it began.
    """

    t: NDArray[np.float64]
    sight: NDArray[np.int8]
    shot: NDArray[np.int64]
    episodes: tuple[tuple[Kind, float, float], ...]
    cold: tuple[bool, ...]


@dataclass(frozen=True)
class Drive:
    """A drive as a model reads it: times (T,), sights (T,), weights (T,), probabilities (T, 9), the true episodes."""

    t: NDArray[np.float64]
    sight: NDArray[np.int8]
    weight: NDArray[np.float32]
    probabilities: NDArray[np.float32]
    episodes: tuple[tuple[Kind, float, float], ...]
    cold: tuple[bool, ...]

    def labels(self, number: int) -> list[Episode]:
        """The episodes, as those of drive ``number``."""
        return [Episode(number, *each) for each in self.episodes]

    def observations(self) -> Iterator[Observation]:
        """The drive as the decision gets it."""
        face = Face((0.0, 0.0, 48.0, 48.0), np.zeros((5, 2), np.float32), 1.0)
        rows = zip(self.t.tolist(), self.sight.tolist(), self.weight.tolist(), self.probabilities, strict=True)
        for t, code, weight, read in rows:
            sight = _SIGHTS[code]
            if sight is not Sight.FACE:
                yield Observation(t, sight)
                continue
            quality = Quality(0.5, 0.5, 48.0, 0.0, 0.0, 0.0, weight)
            readings = {EXPRESSION: Reading.expression(read)} if weight > 0 else {}
            yield Observation(t, sight, face, quality, readings)


def plan(sort: Sort, seed: int, source: FaceSource, people: Sequence[Person]) -> Plan:
    """One drive, all drawn from ``seed``: of the ``seed``-th driver, or with another one for a while."""
    random = np.random.default_rng([seed, SORTS.index(sort)])
    first = people[seed % len(people)]
    director = _Director(random, source, first, people)
    if sort == "episodes":
        director.with_episodes()
    elif sort == "plain":
        director.plain()
    else:
        director.scenario(sort, variant=seed // len(people) + seed)
    return director.result()


def film(script: Plan, index: NDArray[np.int64], readings: Readings) -> Drive:
    """The drive as one model reads it; ``index`` (T,) is the place of each frame's picture in the readings."""
    seen = script.sight == 0
    probabilities = np.zeros((len(script.t), readings.probabilities.shape[1]), np.float32)
    weight = np.zeros(len(script.t), np.float32)
    probabilities[seen], weight[seen] = readings.probabilities[index[seen]], readings.weights[index[seen]]
    return Drive(script.t, script.sight, weight, probabilities, script.episodes, script.cold)


class _Director:
    """Draws a drive frame by frame. What is shown is ``step`` of FULL from the face ``from`` to the face ``to``."""

    def __init__(
        self, random: np.random.Generator, source: FaceSource, person: Person, people: Sequence[Person]
    ) -> None:
        self._random, self._source, self._person, self._people = random, source, person, people
        self._now, self._since = 0.0, 0.0
        self._from, self._to, self._step = person.rest[0], person.rest[0], 0
        self._dress = "none"
        self._rows: list[tuple[float, int, tuple[int, ...]]] = []
        self._episodes: list[tuple[Kind, float, float]] = []
        self._cold: list[bool] = []
        self._deck: list[str] = []
        self._acts: Mapping[str, Callable[[], None]] = {
            "frown": lambda: self._frown(self._random.uniform(10, 60)),
            "low brows": lambda: self._wear("low brows", self._random.uniform(10, 60)),
            "sunglasses": lambda: self._wear("sunglasses", self._random.uniform(60, 300)),
            "head down": lambda: self._wear("head down", self._random.uniform(4, 40)),
            "worried talk": lambda: self._talk(self._random.uniform(5, 15), self._worried()),
            "talk": lambda: self._talk(self._random.uniform(8, 40), self._mouths()),
            "singing": self._sing,
            "yawn": self._yawn,
            "smile": lambda: self._flash(self._pick(self._person.smile), self._random.uniform(1.0, 4.0)),
            "grimace": self._grimace,
            "glance": self._glance,
            "hand": lambda: self._wear("hand", self._random.uniform(3, 12)),
            "dark": lambda: self._wear("dark", self._random.uniform(3, 15)),
            "black": lambda: self._miss(Sight.DARK, self._random.uniform(2, 6)),
            "stall": self._stall,
        }

    def with_episodes(self) -> None:
        """Four episodes of each kind, or as many as there is time for, the calm deck between; half begin cold."""
        uniform = self._random.uniform
        self._rest(uniform(4.0, 40.0) if self._random.random() < 0.5 else 90.0)
        kinds = [str(kind) for kind in self._random.permutation([*SHOWN] * 4)]
        swap = int(self._random.integers(2, 12))
        for number, kind in enumerate(kinds):
            if number == swap:
                self._swap(self._people[int(self._random.integers(len(self._people)))])
                self._rest(uniform(4.0, 40.0))
            self._show_episode(kind)
            self._rest(uniform(8.0, 20.0))
            if self._now > EPISODES_S:
                break
            self._deal()
            self._rest(uniform(10.0, 30.0))

    def plain(self) -> None:
        """Rest and the calm deck; for some minutes a real driver at the wheel."""
        visit = self._random.uniform(0.2, 0.7) * PLAIN_S
        self._rest(30.0)
        while self._now < PLAIN_S:
            if self._now > visit:
                self._visit()
                visit = np.inf
            self._deal()
            self._rest(self._random.uniform(20.0, 90.0))

    def scenario(self, name: Scenario, variant: int) -> None:
        """One steady look for ten minutes."""
        end = SCENARIO_S
        if name == "resting frown":
            self._dress = "low brows" if variant % 3 == 2 else "none"
            self._frown(end, SHOWN[variant % 2], (2, 2, 1)[variant % 3])
        elif name == "sunglasses":
            self._rest(60.0)
            self._dress = "sunglasses"
            while self._now < end:
                self._rest(self._random.uniform(20, 60))
                self._talk(self._random.uniform(5, 15), self._mouths())
        elif name == "head down":
            while self._now < end:
                self._wear("head down", self._random.uniform(5, 30))
                self._rest(self._random.uniform(2, 8))
        else:
            self._talk(end, self._worried())

    def result(self) -> Plan:
        """What was drawn."""
        t, sight, shots = zip(*self._rows, strict=True)
        rows = np.array(shots, np.int64).reshape(-1, SHOT_FIELDS)
        return Plan(np.array(t), np.array(sight, np.int8), rows, tuple(self._episodes), tuple(self._cold))

    def _deal(self) -> None:
        if not self._deck:
            self._deck = [str(name) for name in self._random.permutation(list(_CALM))]
        self._acts[self._deck.pop()]()

    def _show_episode(self, kind: Kind) -> None:
        uniform, faces = self._random.uniform, self._random.permutation(list(self._person.shown[kind]))[:3].tolist()
        low, high = np.log([SHORTEST_S, LONGEST_S])
        seconds, rise = float(np.exp(uniform(low, high))), uniform(0.3, 1.2)
        begin, face = self._now + rise / 2, faces[0]
        cold = begin - self._since < COLD_S
        self._go(face, FULL, rise)
        end = begin + seconds
        while self._now < end:
            luck = self._random.random()
            if luck < 0.25:
                self._from, self._step = self._pick(self._person.rest), FULL
                self._go(face, 3 if luck < 0.18 else 2, 0.3)
                self._stay(min(uniform(0.3, 1.5), max(0.0, end - self._now)))
                self._go(face, FULL, 0.3)
            elif luck < 0.35 and seconds > 8.0:
                self._miss(Sight.NO_FACE, uniform(0.4, 1.2))
            elif luck < 0.6:
                face = self._pick(faces)
                self._go(face, FULL, 0.4)
            self._stay(min(uniform(0.8, 3.0), max(0.0, end - self._now)))
        fall = uniform(0.4, 1.6)
        self._episodes.append((kind, begin, self._now + fall / 2))
        self._cold.append(bool(cold))
        self._go(self._pick(self._person.rest), FULL, fall)

    def _rest(self, seconds: float) -> None:
        """The first resting face more often than the others, some seconds each."""
        end = self._now + seconds
        while self._now < end:
            face = self._person.rest[0] if self._random.random() < 0.5 else self._pick(self._person.rest)
            self._go(face, FULL, 0.4)
            self._stay(min(self._random.uniform(1.5, 6.0), max(0.0, end - self._now)))

    def _frown(self, seconds: float, kind: Kind | None = None, step: int = 1) -> None:
        """A resting face with some of another expression in it, which stays."""
        kind = kind or str(self._random.choice(list(SHOWN)))
        other, end = self._pick(self._person.shown[kind]), self._now + seconds
        while self._now < end:
            self._from, self._to, self._step = self._pick(self._person.rest), other, step
            self._stay(min(self._random.uniform(1.5, 6.0), max(0.1, end - self._now)))
        self._step = 0

    def _wear(self, dress: str, seconds: float) -> None:
        before, self._dress = self._dress, dress
        self._rest(seconds)
        self._dress = before

    def _mouths(self) -> list[tuple[int, int]]:
        """Faces and steps that talking goes through: one in nine with some anger, one with some distress."""
        person = self._person
        moves = [(self._pick(person.surprise), step) for step in (1, 2, 3)] + [(person.rest[0], 0)] * 2
        moves += [(self._pick(person.smile), step) for step in (1, 2)]
        return moves + [(self._pick(person.shown[kind]), 2) for kind in SHOWN]

    def _worried(self) -> list[tuple[int, int]]:
        """The same of somebody who worries."""
        sad = [(self._pick(self._person.shown["distress"]), step) for step in (1, 1, 2)]
        return sad + [(self._pick(self._person.surprise), step) for step in (1, 2)] + [(self._person.rest[0], 0)]

    def _talk(self, seconds: float, moves: Sequence[tuple[int, int]]) -> None:
        end = self._now + seconds
        while self._now < end:
            self._to, self._step = moves[int(self._random.integers(len(moves)))]
            self._from = self._person.rest[0]
            self._stay(self._random.uniform(0.13, 0.4))
        self._step = 0

    def _sing(self) -> None:
        faces = [(self._pick(self._person.surprise), step) for step in (3, 4)]
        faces += [(self._pick(self._person.smile), step) for step in (2, 3)] + [(self._pick(self._person.yawn), 4)]
        self._talk(self._random.uniform(20, 60), faces)

    def _yawn(self) -> None:
        self._show_all(self._person.yawn, self._random.uniform(3.0, 6.0))

    def _grimace(self) -> None:
        kind = str(self._random.choice(list(SHOWN)))
        self._flash(self._pick(self._person.shown[kind]), self._random.uniform(0.3, 0.9), 0.2)

    def _flash(self, face: int, seconds: float, fade: float = 0.5) -> None:
        self._go(face, FULL, fade)
        self._stay(seconds)
        self._go(self._person.rest[0], FULL, fade)

    def _glance(self) -> None:
        for _ in range(3):
            self._miss(Sight.NO_FACE, self._random.uniform(0.6, 2.5))
            self._rest(self._random.uniform(1.0, 3.0))

    def _stall(self) -> None:
        self._now += self._random.uniform(1.0, 4.0)

    def _swap(self, person: Person) -> None:
        """Another driver takes the wheel."""
        self._miss(Sight.NO_FACE, self._random.uniform(25.0, 40.0))
        self._person, self._since = person, self._now
        self._from, self._to, self._step = person.rest[0], person.rest[0], 0

    def _visit(self) -> None:
        """A real driver, calm and yawning, drives for a while; then the first one again."""
        person, look = self._person, self._source.look
        seat = self._random.choice(np.unique(self._source.driver[self._source.of("cabin")]))
        theirs = self._source.driver == seat
        self._swap(person)
        for _ in range(int(self._random.integers(1, 4))):
            self._show_all(np.flatnonzero(theirs & (look == LOOKS.index("cabin"))), self._random.uniform(40, 90))
            yawns = np.flatnonzero(theirs & (look == LOOKS.index("yawn")))
            self._show_all(yawns, self._random.uniform(2.0, 5.0) if len(yawns) else 0.0)
        self._swap(person)

    def _show_all(self, faces: Sequence[int] | NDArray[np.int64], seconds: float) -> None:
        """Pictures of one real person in turn."""
        end = self._now + seconds
        while self._now < end:
            self._from = self._to = self._pick(faces)
            self._stay(self._random.uniform(0.4, 1.5))

    def _go(self, face: int, step: int, seconds: float) -> None:
        """Fade to ``step`` of FULL of another face within ``seconds``."""
        if face != self._to:
            near = self._to if self._step * 2 >= FULL else self._from
            self._from, self._to, self._step = near, face, 0
        way = range(self._step, step, 1 if step > self._step else -1)
        for _ in way:
            self._step += way.step
            self._stay(seconds / len(way))

    def _stay(self, seconds: float) -> None:
        end = self._now + seconds
        while self._now < end:
            view = int(self._random.integers(VIEWS))
            self._rows.append((self._now, 0, shot(self._from, self._to, self._step, self._dress, view)))
            self._now += self._random.uniform(0.8, 1.2) / FPS

    def _miss(self, sight: Sight, seconds: float) -> None:
        end = self._now + seconds
        while self._now < end:
            self._rows.append((self._now, _SIGHTS.index(sight), (0,) * SHOT_FIELDS))
            self._now += self._random.uniform(0.8, 1.2) / FPS

    def _pick(self, faces: Sequence[int] | NDArray[np.int64]) -> int:
        return int(faces[int(self._random.integers(len(faces)))])
