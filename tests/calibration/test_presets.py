"""What is chosen for the sensitivities becomes the module that the decision reads them from."""

from __future__ import annotations

from pathlib import Path

import edge.decision.presets
from calibration.presets import module

LEVELS = {"low": "LOW", "normal": "NORMAL", "high": "HIGH"}


def test_the_module_is_written_as_it_stands_from_what_it_holds() -> None:
    held = {level: dict(getattr(edge.decision.presets, name)) for level, name in LEVELS.items()}
    assert module(held) == Path(edge.decision.presets.__file__).read_text(encoding="utf-8")


def test_other_thresholds_are_what_it_then_holds() -> None:
    chosen = {"low": {"enter": 0.7, "hold_s": 5.0}, "normal": {"enter": 0.5, "hold_s": 3.0}, "high": {"enter": 0.4}}
    read: dict[str, dict[str, float]] = {}
    exec(module(chosen), read)  # noqa: S102 - what it writes is Python
    assert {level: dict(read[name]) for level, name in LEVELS.items()} == chosen
