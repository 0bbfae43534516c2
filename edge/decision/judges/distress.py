"""Distress shown in the face: fear or sadness."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar

from edge.decision.expression_judge import ExpressionJudge, ExpressionSettings
from edge.decision.judge import register


class DistressSettings(ExpressionSettings):
    """Alert for displayed fear or sadness."""

    weights: ClassVar[Mapping[str, float]] = MappingProxyType({"fear": 1.0, "sadness": 1.0})


@register
class DistressJudge(ExpressionJudge):
    """Judges displayed distress."""

    kind = "distress"
    Settings = DistressSettings
    usual = 0.04
