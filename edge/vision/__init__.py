"""From pixels to an observation: models, crops, quality.

``FaceFinder``, ``ExpressionReader`` and ``EyeReader`` are the seam that others build on.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edge.vision.expression import ExpressionReader
    from edge.vision.eyes import EyeReader
    from edge.vision.face import FaceFinder

__all__ = ["ExpressionReader", "EyeReader", "FaceFinder"]

_HOMES = {
    "ExpressionReader": "edge.vision.expression",
    "EyeReader": "edge.vision.eyes",
    "FaceFinder": "edge.vision.face",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for only then: a trace is replayed where there is neither cv2 nor a TFLite runtime."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
