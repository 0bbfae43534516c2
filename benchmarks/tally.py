"""Alerts decided against alerts received: what is missing, what is out of order, what came twice."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.receiver import Arrival


@dataclass(frozen=True, slots=True)
class Decisions:
    """One device's decision log: all that was decided, what its outbox had by then, and how long that took, in order.

    The disk's part of an alert's latency is ``storing_ms``. ``problems`` is what the device said to be wrong.
    """

    decided: tuple[str, ...]
    stored: tuple[str, ...]
    storing_ms: tuple[float, ...] = ()
    problems: tuple[str, ...] = ()

    @classmethod
    def read(cls, path: Path) -> Decisions:
        """Read a log; a line that a SIGKILL cut short does not occur, as each is one write."""
        text = path.read_text().splitlines()
        lines = [line.split() for line in text]
        return cls(
            decided=tuple(line[1] for line in lines if line[0] == "decided"),
            stored=tuple(line[1] for line in lines if line[0] == "stored"),
            storing_ms=tuple(float(line[2]) for line in lines if line[0] == "stored"),
            problems=tuple(
                dict.fromkeys(line.removeprefix("problem ") for line in text if line.startswith("problem "))
            ),
        )


@dataclass(frozen=True, slots=True)
class Stored:
    """A device's alert in the database. ``name`` is the decision's, ``number`` its epoch and sequence."""

    number: tuple[int, int]
    name: str


@dataclass(frozen=True, slots=True)
class Tally:
    """What became of alerts.

    ``killed_while_storing`` were decided, but the process died before its outbox had them; ``lost`` were in the outbox
    and never came. ``order_broken`` counts alerts that came for the first time after a later one of the same device.
    ``doubles`` came again with the same sequence and content; ``unrecognisable`` came again as something else.
    """

    decided: int = 0
    received: int = 0
    killed_while_storing: int = 0
    lost: int = 0
    order_broken: int = 0
    doubles: int = 0
    unrecognisable: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(*(getattr(self, name) + getattr(other, name) for name in self.__slots__))


def tally_device(decisions: Decisions, arrivals: Iterable[Arrival]) -> Tally:
    """Compare one device's log with what came from it, in the order in which it came."""
    first: dict[int, Arrival] = {}
    doubles = unrecognisable = 0
    for arrival in arrivals:
        if (earlier := first.get(arrival.sequence)) is None:
            first[arrival.sequence] = arrival
        elif earlier.payload == arrival.payload:
            doubles += 1
        else:
            unrecognisable += 1
    names = [arrival.name for arrival in first.values()]
    received, stored = set(names), set(decisions.stored)
    unrecognisable += len(names) - len(received)  # one decision under two sequences
    return Tally(
        decided=len(decisions.decided),
        received=len(received),
        killed_while_storing=len(set(decisions.decided) - stored - received),
        lost=len(stored - received),
        order_broken=_inversions(list(first)) + _inversions(_positions(names, decisions.decided)),
        doubles=doubles,
        unrecognisable=unrecognisable,
    )


def tally_stored(decisions: Decisions, rows: Iterable[Stored]) -> Tally:
    """Compare one device's log with what the database holds of it; a decision that is there twice is a double."""
    names = [row.name for row in sorted(rows, key=lambda row: row.number)]
    received, stored = set(names), set(decisions.stored)
    return Tally(
        decided=len(decisions.decided),
        received=len(received),
        killed_while_storing=len(set(decisions.decided) - stored - received),
        lost=len(stored - received),
        order_broken=_inversions(_positions(list(dict.fromkeys(names)), decisions.decided)),
        doubles=len(names) - len(received),
    )


def percentile(values: Sequence[float], percent: float) -> float:
    """The nearest-rank percentile; NaN of nothing."""
    if not values:
        return float("nan")
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def _positions(names: list[str], decided: tuple[str, ...]) -> list[int]:
    where = {name: position for position, name in enumerate(decided)}
    return [where[name] for name in names]


def _inversions(numbers: list[int]) -> int:
    """How many numbers come after a greater one."""
    count, highest = 0, -1
    for number in numbers:
        count += number < highest
        highest = max(highest, number)
    return count
