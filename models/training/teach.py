"""Write what a trained network says of all training faces, for students: ``models/training/answers.npz``.

``python -m models.training.teach --data ../shared/data --teachers runs/teacher``. Faces that only are quoted, and near
copies of them, get no answer: all their classes are alike.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from models.training import answers
from models.training.expression_data import CLASSES
from models.training.sources import CHOOSE, TRAIN, read_sources
from models.training.train_expression import ask, chosen, chosen_figures, load_net, typical_crops

ANSWERS = Path("models/training/answers.npz")


def main() -> None:
    """Parse the command line, ask the teachers, write their answers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--teachers", type=Path, nargs="+", required=True, help="runs or .tflite files")
    parser.add_argument("--about", default="", help="a line that says what the teachers are")
    parser.add_argument("--out", type=Path, default=ANSWERS)
    arguments = parser.parse_args()
    found = read_sources(arguments.data)
    nets = [load_net(teacher, typical_crops(found)) for teacher in arguments.teachers]
    said = {}
    for source in found:
        answer = ask(nets, source.faces.crops)
        answer[~np.isin(source.use, (TRAIN, CHOOSE))] = 1 / CLASSES
        said[source.name] = answer
        for net, name in zip(nets, arguments.teachers, strict=True):
            print(name, source.name, chosen_figures(chosen(net, source)), flush=True)
    answers.write(arguments.out, said, arguments.about)
    print(f"wrote {arguments.out}: {arguments.out.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
