"""A figure drawn without a screen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.errors import UnavailableError

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of ``width`` by ``height`` inches.

    Raises:
        UnavailableError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure as New  # noqa: PLC0415 - an extra; the board has none
    except ImportError:
        raise UnavailableError("matplotlib is missing: pip install 'evenkeel[calibration]'") from None
    return New(figsize=(width, height), layout="constrained")
