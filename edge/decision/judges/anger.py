"""Anger shown in the face."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar

from edge.decision.expression_judge import ExpressionJudge, ExpressionSettings
from edge.decision.judge import register


class AngerSettings(ExpressionSettings):
    """Alert for displayed anger."""

    weights: ClassVar[Mapping[str, float]] = MappingProxyType({"anger": 1.0, "disgust": 0.5})


@register
class AngerJudge(ExpressionJudge):
    """Judges displayed anger, of which disgust is half a sign."""

    kind = "anger"
    Settings = AngerSettings
    usual = 0.02
