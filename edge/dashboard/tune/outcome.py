"""What tuning came to, as a browser gets it: the figures and words that ``evenkeel tune`` prints, for every point."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from edge.decision.judge import JudgeSettings
from edge.tuning.report import figures, said, summary
from edge.tuning.tune import Point, Tuning, section, trade_off


def outcome(tuning: Tuning) -> dict[str, Any]:
    """All of it, as JSON takes it."""
    return {
        "traces": [path.as_posix() for path in tuning.traces],
        "hours": tuning.batch.hours,
        "episodes": len(tuning.batch.episodes),
        "max_false_per_hour": tuning.max_false_per_hour,
        "faults": list(tuning.faults),
        "broken": list(tuning.broken),
        "summary": summary(tuning),
        "real": [[alert.kind, alert.drive, round(alert.t, 2)] for alert in tuning.confirmation.alerts],
        "real_drives": tuning.confirmation.drives,
        "kinds": {kind: _kind(tuning, kind) for kind in tuning.chosen},
    }


def _kind(tuning: Tuning, kind: str) -> dict[str, Any]:
    points, now = [each for each in tuning.points if each.kind == kind], tuning.config.alerts.of(kind)
    swept = _swept(points)
    return {
        "swept": swept,
        "points": [_point(point, swept, now) for point in points],
        "curve": _places(trade_off(points, now), points),
        "chosen": _places([tuning.chosen[kind]], points)[0],
        "configured": next((place for place, point in enumerate(points) if point.settings == now), None),
    }


def _swept(points: Sequence[Point]) -> list[str]:
    """The settings by which the points differ, without those that follow from the others."""
    tables = [point.settings.model_dump() for point in points]
    names = [name for name in tables[0] if len({table[name] for table in tables}) > 1]
    return [name for name in names if not name.endswith("_urgent") and not name.endswith("_urgent_s")]


def _point(point: Point, swept: Sequence[str], now: JudgeSettings) -> dict[str, Any]:
    score = point.score
    table = point.settings.model_dump()
    return {
        "settings": {name: table[name] for name in swept},
        "said": said(point.settings, now),
        "figures": figures(score),
        "found": score.found,
        "episodes": score.episodes,
        "recall": score.recall,
        "recall_interval": score.recall_interval,
        "false_per_hour": score.false_per_hour,
        "false_interval": score.false_interval,
        "delay_s": score.delay_s if score.delays else None,
        "starts": np.round(point.starts, 1).tolist(),
        "section": section(point.kind, point.settings),
    }


def _places(some: Sequence[Point], points: Sequence[Point]) -> list[int]:
    return [next(place for place, each in enumerate(points) if each is point) for point in some]
