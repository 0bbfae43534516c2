"""What the expression model makes of ordinary faces at rest, as its manifest tells."""

from __future__ import annotations

from edge.config import VisionConfig
from edge.decision.expression_judge import ExpressionJudge
from edge.decision.kinds import registered
from edge.domain import Kind
from edge.vision.manifest import bundled, load_manifest


def ordinary_faces(config: VisionConfig) -> dict[Kind, float]:
    """For each kind that goes by expressions the share of the time in which the configured model reads one as such.

    A kind that the manifest does not tell of has its judge's own.

    Raises:
        ModelError: the manifest is missing or wrong.
    """
    usual = load_manifest(config.expression_model or bundled("expression"), "expression").usual
    judges = {kind: judge for kind, judge in registered().items() if issubclass(judge, ExpressionJudge)}
    return {kind: usual.get(kind, judge.usual) for kind, judge in judges.items()}
