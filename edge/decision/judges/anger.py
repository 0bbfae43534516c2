"""Anger shown in the face."""

from __future__ import annotations

from edge.decision.expression_judge import ExpressionJudge, ExpressionSettings, Weights, weights_field
from edge.decision.judge import register


class AngerSettings(ExpressionSettings):
    """Alert for displayed anger."""

    weights: Weights = weights_field({"anger": 1.0, "disgust": 0.5})


@register
class AngerJudge(ExpressionJudge):
    """Judges displayed anger, of which disgust is half a sign."""

    kind = "anger"
    Settings = AngerSettings
    usual = 0.02
