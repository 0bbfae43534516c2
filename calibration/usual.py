"""Fit ``[usual]`` of an expression model's manifest: for how much of the time ordinary faces are read as each kind.

``python -m calibration.usual --expression-model models/expression.toml --write``. The faces are neutral ones that each
source of the training keeps for choosing: no network is fitted to them, and no figure is quoted from them.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from edge.config import Config, VisionConfig
from edge.domain import EXPRESSIONS, Kind
from edge.tuning.batch import Floats
from edge.vision.expression import ExpressionReader
from edge.vision.manifest import bundled
from models.training import sources
from models.training.expression_data import narrow

JUDGES = ("ferplus", "affect", "raf")
"""Sources whose neutral faces count, each as much as another."""
CLEAR = 0.45
"""Least trust in a label."""
READ_AT = (0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
"""Signals at which the faces that are read so high are counted: where evidence begins, to where it is full."""
LEAST = 0.002
"""An ordinary face that is hardly ever read as a kind; fewer faces than there are could not tell less."""


@dataclass(frozen=True)
class Ordinary:
    """Signals (K, N) that neutral faces of one source are read with, in the order of the kinds."""

    source: str
    signals: Floats


def fit_usual(ordinary: Sequence[Floats]) -> float:
    """The share ``u`` for which a signal of ``x`` or more is read in about ``u * (1 - x) / x`` of ordinary faces.

    That is what the decision takes an ordinary face to do (``edge.decision.baseline``). ``ordinary`` are the signals
    (N,) of each source, which count alike. Least squares of the logarithms over ``READ_AT``, where half a face counts
    as read so that a signal that none reaches has a logarithm.
    """
    levels = np.array(READ_AT)
    counts = [[(signals >= level).sum() for level in levels] for signals in ordinary]
    shares = [(np.array(each) + 0.5) / (len(signals) + 1.0) for each, signals in zip(counts, ordinary, strict=True)]
    return max(LEAST, float(np.exp(np.mean(np.log(np.mean(shares, axis=0) * levels / (1.0 - levels))))))


def read_ordinary(root: Path, names: Sequence[str], manifest: Path) -> list[Ordinary]:
    """What the model of ``manifest`` reads of the neutral faces that sources keep for choosing."""
    read = ExpressionReader.load(VisionConfig(expression_model=manifest)).read_crop
    weights = kind_weights(Config())
    others = [name for name in sources.READERS if name not in names]
    found = []
    for source in sources.read_sources(root, others):
        clear = (source.use == sources.CHOOSE) & (source.label == sources.NEUTRAL) & (source.faces.trust >= CLEAR)
        crops = narrow(source.faces.crops[clear])
        probabilities = np.array([read(crop) for crop in crops], np.float64).reshape(-1, len(EXPRESSIONS))
        found.append(Ordinary(source.name, np.array(list(weights.values())) @ probabilities.T))
    return found


def kind_weights(config: Config) -> dict[Kind, list[float]]:
    """For each kind that goes by expressions, how much each expression counts in its signal."""
    kinds = config.alerts.expressions
    return {kind: [each.weights.get(name, 0.0) for name in EXPRESSIONS] for kind, each in kinds.items()}


def with_usual(text: str, usual: Mapping[Kind, float]) -> str:
    """A manifest's ``text`` with other numbers in its section ``[usual]``.

    Raises:
        SystemExit: it has no such section.
    """
    section = "[usual]\n" + "".join(f"{kind} = {share:g}\n" for kind, share in usual.items())
    changed, count = re.subn(r"^\[usual\]\n(?:(?!\[).+\n)*", section, text, flags=re.MULTILINE)
    if count != 1:
        raise SystemExit("the manifest has no section [usual] that could be replaced")
    return changed


def main() -> None:
    """Parse the command line, read the faces, fit, print, and write where that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--expression-model", type=Path, default=bundled("expression"), help="the model's manifest")
    parser.add_argument("--sources", nargs="+", default=list(JUDGES), choices=sorted(sources.READERS))
    parser.add_argument("--write", action="store_true", help="write the numbers into the manifest")
    arguments = parser.parse_args()
    manifest: Path = arguments.expression_model
    if not arguments.data.exists():
        raise SystemExit(f"{arguments.data}: no such folder; give the data with --data")
    if not manifest.exists():
        raise SystemExit(f"{manifest}: no such manifest; give one with --expression-model")
    kinds = tuple(kind_weights(Config()))
    ordinary = read_ordinary(arguments.data, arguments.sources, manifest)
    if not ordinary:
        raise SystemExit(f"{arguments.data}: none of {', '.join(arguments.sources)} is there")
    fitted = {kind: round(fit_usual([each.signals[n] for each in ordinary]), 4) for n, kind in enumerate(kinds)}
    Console(width=110).print(_table(ordinary, kinds, fitted))
    if arguments.write:
        manifest.write_text(with_usual(manifest.read_text(encoding="utf-8"), fitted), encoding="utf-8")


def _table(ordinary: Sequence[Ordinary], kinds: Sequence[Kind], fitted: Mapping[Kind, float]) -> Table:
    columns = [f"{kind} ≥ {level}, %" for kind in kinds for level in (0.2, 0.5, 0.8)]
    table = Table("neutral faces of", "faces", *columns, *(f"usual {kind}" for kind in kinds))
    for each in ordinary:
        shares = [
            f"{100 * (each.signals[n] >= level).mean():.1f}" for n in range(len(kinds)) for level in (0.2, 0.5, 0.8)
        ]
        own = [f"{fit_usual([signals]):.3f}" for signals in each.signals]
        table.add_row(each.source, str(each.signals.shape[1]), *shares, *own)
    table.add_row("all alike", "", *[""] * len(columns), *(f"{fitted[kind]:.4f}" for kind in kinds))
    return table


if __name__ == "__main__":
    main()
