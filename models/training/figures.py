"""Measure the models and write everything that the model card shows: figures, plots and the card's tables.

``python -m models.training.figures --data ../shared/data --float runs/expression/expression_float.tflite``
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from models.training.card import FIGURES
from models.training.expression_readers import FLOAT_FILE

EYEWEAR = Path("models/training/driver_eyewear.csv")


def steps(data: str, twin: str, peers: str, out: Path) -> dict[str, list[str]]:
    """Each measuring module with its arguments, the card last."""
    where = ["--data", data, "--peers", peers]
    return {
        "evaluate_expression": [
            *where, "--float", twin, "--json", f"{out}/expression.json", "--parity", f"{out}/parity.json",
        ],
        "evaluate_face": [*where, "--json", f"{out}/face.json", "--plot", f"{out}/face-errors.png"],
        "evaluate_follow": [*where, "--json", f"{out}/follow.json"],
        "evaluate_eyes": ["--data", data, "--json", f"{out}/eyes.json"],
        "fairness": [*where, "--groups", str(EYEWEAR), "--json", f"{out}/fairness.json"],
        "robustness": [
            *where, "--float", twin, "--json", f"{out}/robustness.json", "--plot", f"{out}/robustness.png",
        ],
        "resampled": ["--data", data, "--json", f"{out}/resampled.json"],
        "familiarity": ["--data", data, "--json", f"{out}/familiar.json"],
        "card": ["--figures", str(out)],
    }  # fmt: skip


def main() -> None:
    """Run every step in a process of its own; the first that fails ends it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="../shared/data")
    parser.add_argument(
        "--float", dest="twin", default=str(FLOAT_FILE), help="the expression model before quantisation"
    )
    parser.add_argument("--peers", default="../shared/peers")
    arguments = parser.parse_args()
    FIGURES.mkdir(exist_ok=True)
    for name, options in steps(arguments.data, arguments.twin, arguments.peers, FIGURES).items():
        print(f"== {name}", flush=True)
        code = subprocess.run([sys.executable, "-m", f"models.training.{name}", *options], check=False).returncode  # noqa: S603 - its own modules
        if code:
            raise SystemExit(code)


if __name__ == "__main__":
    main()
