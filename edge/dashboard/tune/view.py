"""A drive as a browser draws it: for each fifth of a second the least and the greatest of each signal, and alerts."""

from __future__ import annotations

from array import array
from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.domain import EXPRESSION, MAX_GAP_S, Kind, Level, Sight, State
from edge.traces.trace import TraceLine, read_trace

STEP_S = 0.2
CELLS = 90_000
"""A drive of more than five hours gets longer cells, twice as long until there are no more than so many."""
UNKNOWN = 255
MOST_FAULTS = 20
_UNSEEN = (State.ABSENT, State.BLIND, State.PAUSED, State.UNCERTAIN)

Codes = NDArray[np.uint8]


@dataclass(slots=True)
class Shown:
    """An alert as it was decided then; ``urgent`` and ``end`` are None where it did not come to that."""

    kind: Kind
    start: float
    urgent: float | None = None
    end: float | None = None


class Curves:
    """Takes the lines of a trace in; ``expressions`` are the kinds that go by them."""

    def __init__(self, expressions: Sequence[Kind]) -> None:
        self._expressions = frozenset(expressions)
        self._t = array("d")
        self._state = array("B")
        self._signals: dict[Kind, array[float]] = {}
        self._open: dict[Kind, Shown] = {}
        self._states = {state: code for code, state in enumerate(State)}
        self._last_t = -np.inf
        self._alerts: list[Shown] = []

    def add(self, line: TraceLine) -> None:
        """One more line."""
        for kind, value in line.signals.items():
            if kind == "confidence":
                continue
            curve = self._signals.get(kind)
            if curve is None:
                curve = self._signals[kind] = array("f", [np.nan]) * len(self._t)
            curve.append(value if self._is_known(kind, line) else np.nan)
        self._t.append(line.t)
        self._state.append(self._states[line.state])
        for curve in self._signals.values():
            if len(curve) < len(self._t):
                curve.append(np.nan)
        self._follow(line)
        self._last_t = line.t

    def _is_known(self, kind: Kind, line: TraceLine) -> bool:
        """Whether the signal says something of this moment: where nothing was seen it only stands still."""
        if line.sight is not Sight.FACE or kind in line.unread or line.state is State.PAUSED:
            return False
        if kind in self._expressions:
            return EXPRESSION in line.readings
        return line.state not in _UNSEEN

    def _follow(self, line: TraceLine) -> None:
        levels = line.levels or _levels(line)
        broken = line.t - self._last_t > MAX_GAP_S
        for kind in [kind for kind in self._open if kind not in levels or broken]:
            self._open.pop(kind).end = self._last_t if broken else line.t
        for kind, level in levels.items():
            alert = self._open.get(kind)
            if alert is None:
                alert = self._open[kind] = Shown(kind, line.t)
                self._alerts.append(alert)
            if level is Level.URGENT and alert.urgent is None:
                alert.urgent = line.t

    def told(self) -> dict[str, Any]:
        """All of it, as JSON takes it; curves are bytes in base64: 0 to 250 for 0 to 1, UNKNOWN for what is unknown."""
        t = np.asarray(self._t)
        begin = float(t.min())
        step_s = STEP_S
        while (float(t.max()) - begin) / step_s >= CELLS:
            step_s *= 2
        cell = ((t - begin) / step_s + 1e-6).astype(np.int64)  # written with four digits, 4.6 s is in the cell at 4.6
        cells = int(cell.max()) + 1
        curves = {}
        for kind, values in self._signals.items():
            low, high = _extremes(np.asarray(values), cell, cells)
            curves[kind] = {"low": _text(low), "high": _text(high)}
        state = np.full(cells, UNKNOWN, np.uint8)
        state[cell] = np.asarray(self._state)
        return {
            "start_s": begin,
            "end_s": float(t.max()),
            "step_s": step_s,
            "curves": curves,
            "states": [str(state) for state in State],
            "state": _text(state),
            "alerts": [asdict(alert) for alert in self._alerts],
        }


def view(path: Path, expressions: Sequence[Kind], progress: Callable[[float], None]) -> dict[str, Any]:
    """Read a trace whole.

    Raises:
        UnavailableError: it cannot be read, or holds no usable line.
    """
    faults: list[str] = []
    count = 0

    def tell(fault: str) -> None:
        nonlocal count
        count += 1
        if count <= MOST_FAULTS:
            faults.append(fault)

    curves = Curves(expressions)
    whole = max(1, path.stat().st_size)
    for number, line in enumerate(read_trace(path, tell)):
        curves.add(line)
        if number % 2000 == 0:
            progress(min(1.0, number * 800 / whole))  # a line has some 800 bytes
    more = [f"and {count - MOST_FAULTS} more"] if count > MOST_FAULTS else []
    return {**curves.told(), "faults": [*faults, *more]}


def _levels(line: TraceLine) -> dict[Kind, Level]:
    """What the state of an older trace, which tells no levels, tells of them."""
    if line.state not in (State.WARNING, State.URGENT):
        return {}
    level = Level.URGENT if line.state is State.URGENT else Level.WARNING
    return {kind: level for kind in line.signals if kind != "confidence" and kind in line.reason}


def _extremes(values: NDArray[np.float32], cell: NDArray[np.int64], cells: int) -> tuple[Codes, Codes]:
    """The least and the greatest in each cell, as codes."""
    known = ~np.isnan(values)
    low, high = np.full(cells, np.inf, np.float32), np.full(cells, -np.inf, np.float32)
    np.minimum.at(low, cell[known], values[known])
    np.maximum.at(high, cell[known], values[known])
    return _codes(low), _codes(high)


def _codes(values: NDArray[np.float32]) -> Codes:
    known = np.isfinite(values)
    return np.where(known, np.rint(np.where(known, values, 0.0) * 250), UNKNOWN).astype(np.uint8)


def _text(codes: Codes) -> str:
    return b64encode(codes.tobytes()).decode()
