"""How a source is read by a model that was trained without it: ``models/figures/left_out.json`` for the model card.

``python -m models.training.left_out --before old/expression.toml affect=runs/without_affect/expression.toml``. Each
model was trained by ``train_expression --without SOURCE`` and is measured on that source's quoted faces, beside the
model that was shipped before.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edge.config import VisionConfig
from edge.vision.expression import ExpressionReader
from models.training.expression_sources import ASKED, Quoted, quoted_figures, read_quoted

FIGURES = Path("models/figures/left_out.json")
SHOWN = ("balanced", "accuracy", "recall_anger", "recall_fear", "recall_sadness", "auroc_anger", "auroc_distress")


def pairs(given: Sequence[str], sources: Collection[str]) -> dict[str, Path]:
    """Those of ``sources`` with manifests of models that were trained without them, from ``SOURCE=MANIFEST``.

    Raises:
        SystemExit: something else was given.
    """
    found = {}
    for each in given:
        name, equals, path = each.partition("=")
        if not equals or name not in sources:
            raise SystemExit(f"{each}: expected SOURCE=MANIFEST, SOURCE being one of {', '.join(sources)}")
        found[name] = Path(path)
    return found


def measure(manifest: Path, faces: Quoted) -> dict[str, float]:
    """The figures of a manifest's model on ``faces``."""
    read = ExpressionReader.load(VisionConfig(expression_model=manifest)).read_crop
    figures = quoted_figures(np.array([read(crop) for crop in faces.crops], np.float32), faces)
    return {name: round(figures[name], 4) for name in SHOWN if name in figures}


def main() -> None:
    """Parse the command line, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("without", nargs="+", help="SOURCE=MANIFEST of a model that was trained without SOURCE")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--before", type=Path, required=True, help="manifest of the model that was shipped before")
    arguments = parser.parse_args()
    asked, quoted = pairs(arguments.without, ASKED), read_quoted(arguments.data)
    before = ExpressionReader.load(VisionConfig(expression_model=arguments.before)).manifest.version
    told: dict[str, Any] = {"before": before, "sources": {}}
    for name, manifest in asked.items():
        if name not in quoted:
            raise SystemExit(f"{arguments.data}: holds no quoted faces of {name}")
        told["sources"][name] = {
            "without": measure(manifest, quoted[name]),
            "before": measure(arguments.before, quoted[name]),
        }
    FIGURES.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
