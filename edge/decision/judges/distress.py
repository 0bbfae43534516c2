"""Distress shown in the face: fear or sadness."""

from __future__ import annotations

from edge.decision.expression_judge import ExpressionJudge, ExpressionSettings, Weights, weights_field
from edge.decision.judge import register


class DistressSettings(ExpressionSettings):
    """Alert for displayed fear or sadness."""

    weights: Weights = weights_field({"fear": 1.0, "sadness": 1.0})


@register
class DistressJudge(ExpressionJudge):
    """Judges displayed distress."""

    kind = "distress"
    Settings = DistressSettings
    usual = 0.04
