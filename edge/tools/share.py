"""A row of the table of boards, that a user can send: how fast a kind of board is, and nothing of whose it is."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edge import __version__
from edge.board.sensors import read_board
from edge.tools.bench import Report, Way

Row = dict[str, Any]


def share(report: Report, root: Path = Path("/"), machine: str | None = None) -> Row:
    """What may be sent of ``report``; ``row`` is it as the table has it.

    The board and its processor are named as their makers name them: no serial number, host name, user, address or
    path is in it. The figures are of one thread, on the runtime that was found first.
    """
    model = read_board(root / "sys").model or _processor(root) or "unknown board"
    ways = {way: _step_ms(report, way) for way in ("following", "searching")}
    start, memory = f"{report.start_s:.2f} s", "unknown" if report.memory_mb is None else f"{report.memory_mb:.0f} MB"
    slowed = " (slowed down: does not count)" if report.throttled else ""
    cells = (f"{model}{slowed}", *(f"{ms:.2f} ms" for ms in ways.values()), start, memory)
    return {
        "row": f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |",
        "board": model,
        "machine": machine or platform.machine(),
        "processors": os.cpu_count(),
        "system": _system(root),
        "python": platform.python_version(),
        "evenkeel": __version__,
        "runtime": report.about.runtime,
        "models": [
            name
            for name in (
                report.about.face_model,
                report.about.follow_model,
                report.about.expression_model,
                report.about.eye_model,
            )
            if name is not None
        ],
        **{f"{way}_p50_ms": round(ms, 3) for way, ms in ways.items()},
        "start_s": round(report.start_s, 3),
        "memory_mb": report.memory_mb,
        "temperature_before_c": report.temperature_before_c,
        "temperature_c": report.temperature_c,
        "throttled": report.throttled,
    }


def _step_ms(report: Report, way: Way) -> float:
    return next(run.stages["step"].p50_ms for run in report.runs if run.threads == 1 and run.way == way)


def _processor(root: Path) -> str:
    return _told(root / "proc/cpuinfo", ":").get("model name", "")


def _system(root: Path) -> str | None:
    return _told(root / "etc/os-release", "=").get("PRETTY_NAME", "").strip('"') or None


def _told(path: Path, separator: str) -> Mapping[str, str]:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return {}
    parts = (line.partition(separator) for line in lines)
    return {name.strip(): value.strip() for name, _, value in parts}
