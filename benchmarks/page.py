"""The page of measurements: tables that a command writes there, with the machine and the versions they are of."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

from edge.compat import UTC
from edge.config import VisionConfig
from edge.config.reference import replaced
from edge.service.versions import About

PAGE = Path(__file__).with_name("README.md")


def write(name: str, head: Sequence[str], rows: Sequence[Sequence[str]], page: Path = PAGE) -> None:
    """Put a table between the page's marks of this ``name``, under a line on where it was measured.

    Raises:
        ValueError: the page has no such marks.
    """
    lines = [head, ["---"] * len(head), *rows]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    page.write_text(replaced(page.read_text(encoding="utf-8"), {name: f"{measured()}\n\n{table}"}), encoding="utf-8")


def measured() -> str:
    """When, on what and with what: date, processor, load, packages and models."""
    about = About.of(VisionConfig())
    packages = ", ".join((about.runtime, *(f"{name} {version(name)}" for name in ("opencv-python-headless", "numpy"))))
    models = ", ".join(filter(None, (about.face_model, about.follow_model, about.expression_model, about.eye_model)))
    load = os.getloadavg()[0]
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores of {processor()}, load {load:.1f}, {packages}; {models}."
    )


def processor(path: Path = Path("/proc/cpuinfo")) -> str:
    """The processor's name, as the kernel tells it."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return "an unnamed processor"
    named = [line.partition(":")[2].strip() for line in lines if line.startswith(("model name", "Model"))]
    return named[0] if named else "an unnamed processor"
