"""Whether one clip came to the same on two processors: the same events, and figures within stated bounds.

Two processors never agree to the last bit: int8 kernels round differently, and so do OpenCV's decoders and resizers.
What they decide must be the same all the same.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from edge.traces.trace import TraceLine, read_trace

BOUNDS = {
    "probability": 0.25,
    "mean probability": 0.015,
    "signal": 0.04,
    "point": 0.02,
    "frames in another state": 0.005,
    "event score": 0.04,
}
"""Greatest difference allowed. Probabilities are those of single frames, points are in shares of the face's size.

README.md says what was measured; the bounds are some twice of that.
"""

EVENT_FIELDS = ("kind", "phase", "level", "expression", "sequence", "id", "reason", "models")
"""What must be the same in an event to the letter. Its time may differ by one frame, its score by the bound."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """``figures`` are differences, named as in BOUNDS; ``faults`` say in one line each what is not the same."""

    figures: dict[str, float]
    faults: tuple[str, ...]


def compare_traces(ours: Path, theirs: Path) -> Comparison:
    """Frame by frame.

    Raises:
        UnavailableError: a trace cannot be read.
    """
    broken: list[str] = []
    pairs = list(zip(read_trace(ours, broken.append), read_trace(theirs, broken.append), strict=False))
    lengths = [sum(1 for _ in path.open()) for path in (ours, theirs)]
    if broken or lengths[0] != lengths[1] or not pairs:
        return Comparison({}, (*broken, f"traces: {lengths[0]} lines here, {lengths[1]} there"))
    probabilities = [_greatest(_probabilities(a), _probabilities(b)) for a, b in pairs]
    figures = {
        "probability": max(probabilities),
        "mean probability": sum(probabilities) / len(probabilities),
        "signal": max(_greatest(_signals(a), _signals(b)) for a, b in pairs),
        "point": max(_point_difference(a, b) for a, b in pairs),
        "frames in another state": sum(a.state is not b.state for a, b in pairs) / len(pairs),
    }
    unlike = [a.t for a, b in pairs if a.t != b.t or a.sight is not b.sight]
    faults = [f"trace: time or sight differs at {unlike[0]:g} s, the first of {len(unlike)}"] if unlike else []
    return Comparison(figures, (*faults, *_beyond_bounds(figures)))


def compare_events(ours: Path, theirs: Path, frame_s: float) -> Comparison:
    """Event by event; ``frame_s`` is the clip's time between two frames."""
    a, b = (_read_events(path) for path in (ours, theirs))
    if len(a) != len(b) or not a:
        return Comparison({}, (f"events: {len(a)} here, {len(b)} there",))
    faults = []
    for number, (x, y) in enumerate(zip(a, b, strict=True), 1):
        faults += [f"event {number}: {name} {x[name]!r} here, {y[name]!r} there" for name in _unlike(x, y)]
        if abs(x["t"] - y["t"]) > 1.01 * frame_s:  # times are rounded
            faults.append(f"event {number}: at {x['t']:g} s here, at {y['t']:g} s there")
    figures = {"event score": max(abs(x["score"] - y["score"]) for x, y in zip(a, b, strict=True))}
    return Comparison(figures, (*faults, *_beyond_bounds(figures)))


def frame_time(trace: Path) -> float:
    """The least time between two frames, seconds."""
    times = [line.t for line in read_trace(trace, lambda _: None)]
    return min((b - a for a, b in pairwise(times)), default=0.0)


def _read_events(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def _unlike(a: dict[str, Any], b: dict[str, Any]) -> list[str]:
    # an id holds the time of its episode's start, which may be a frame apart
    same_start = a["started"] == b["started"]
    return [name for name in EVENT_FIELDS if a[name] != b[name] and (name != "id" or same_start)]


def _probabilities(line: TraceLine) -> list[float]:
    return [value for values in line.readings.values() for value in values.values()]


def _signals(line: TraceLine) -> list[float]:
    return list(line.signals.values())


def _point_difference(a: TraceLine, b: TraceLine) -> float:
    if a.face is None or b.face is None or a.quality is None:
        return 0.0
    flat = [[value for point in face.points for value in point] for face in (a.face, b.face)]
    return _greatest(*flat) / a.quality.size_px


def _greatest(a: Sequence[float], b: Sequence[float]) -> float:
    """The greatest difference; 1 where one of the two has no values, which no bound allows."""
    if len(a) != len(b):
        return 1.0
    return max((abs(x - y) for x, y in zip(a, b, strict=True)), default=0.0)


def _beyond_bounds(figures: dict[str, float]) -> list[str]:
    return [f"{name}: {value:.4f} is above {BOUNDS[name]:g}" for name, value in figures.items() if value > BOUNDS[name]]
