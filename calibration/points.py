"""What ways of following an expression come to, as points that are kept from one run to the next."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from edge.compat import Self
from edge.tuning.score import Score

DIGITS = 4


@dataclass(frozen=True)
class Point:
    """One set of thresholds and what it comes to: share found, false alarms an hour, mean and median delay, seconds."""

    setting: str
    found: float
    false_per_hour: float
    mean_delay_s: float
    delay_s: float

    @classmethod
    def of(cls, setting: str, score: Score) -> Self:
        """A score's figures, rounded as they are kept."""
        figures = (score.recall, score.false_per_hour, score.mean_delay_s, score.delay_s)
        return cls(setting, *(round(each, DIGITS) for each in figures))


def front(points: Sequence[Point]) -> list[Point]:
    """Those than which none has fewer false alarms at as short a mean delay; quickest first."""
    best: list[Point] = []
    for point in sorted(points, key=lambda each: (each.mean_delay_s, each.false_per_hour)):
        if not best or point.false_per_hour < best[-1].false_per_hour:
            best.append(point)
    return best


class PointsFile:
    """Points by name in a file of JSON Lines, each kept as soon as it is made: a run that was cut short goes on."""

    def __init__(self, path: Path) -> None:
        self._path = path
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        self._kept = dict(_whole(lines))

    def of(self, name: str, make: Callable[[], Iterable[Point]]) -> list[Point]:
        """The points called ``name``: those kept, or those that ``make`` makes."""
        if name not in self._kept:
            self._kept[name] = list(make())
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"name": name, "points": [asdict(each) for each in self._kept[name]]}) + "\n")
        return self._kept[name]


def _whole(lines: Sequence[str]) -> Iterable[tuple[str, list[Point]]]:
    """What each line holds; one that a kill cut off is made anew."""
    for line in lines:
        try:
            read = json.loads(line)
        except json.JSONDecodeError:
            continue
        yield read["name"], [Point(**each) for each in read["points"]]
