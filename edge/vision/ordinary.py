"""What the expression model makes of ordinary faces at rest, as its manifest tells."""

from __future__ import annotations

from dataclasses import replace

from edge.config import VisionConfig
from edge.decision.expression_judge import ExpressionJudge
from edge.decision.kinds import registered
from edge.decision.ordinary import OrdinaryFace
from edge.vision.manifest import bundled, load_manifest


def ordinary_face(config: VisionConfig) -> OrdinaryFace:
    """An ordinary face as the configured model reads it, for each kind that goes by expressions.

    A kind that the manifest does not tell of has its judge's own share.

    Raises:
        ModelError: the manifest is missing or wrong.
    """
    face = load_manifest(config.expression_model or bundled("expression"), "expression").ordinary_face
    judges = {kind: judge for kind, judge in registered().items() if issubclass(judge, ExpressionJudge)}
    return replace(face, usual={kind: face.usual.get(kind, judge.usual) for kind, judge in judges.items()})
