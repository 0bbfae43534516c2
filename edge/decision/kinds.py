"""The kinds of alert that are known: those of the shipped judges, and what else has been registered."""

from __future__ import annotations

import edge.decision.judges  # noqa: F401 - registers the shipped ones
from edge.decision.judge import going_by, registered

__all__ = ["going_by", "registered"]
