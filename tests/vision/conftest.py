"""``make test`` runs these tests a second time with EVENKEEL_VISION__RUNTIME=tflite."""

from __future__ import annotations

import os
import sys

import pytest


@pytest.fixture(autouse=True)
def _chosen_runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    """With EVENKEEL_VISION__RUNTIME=tflite, models that are loaded without configuration run on tflite-runtime too."""
    if os.environ.get("EVENKEEL_VISION__RUNTIME") == "tflite":
        monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
