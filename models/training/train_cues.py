"""From a trained expression network to a model that also tells valence, arousal and cues.

``python -m models.training.train_cues --weights runs/expression --runs runs/cues --models models``. The network stays
as it is: only a small head is trained, within minutes, then both are published as one file, as train_expression does.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import torch

from models.training.cue_fit import fit_head, make_views
from models.training.sources import READERS, read_sources
from models.training.train_expression import load_net, publish, typical_crops


def main() -> None:
    """Parse the command line, train the head, publish."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--weights", type=Path, required=True, help="run or .tflite of the expression network")
    parser.add_argument("--runs", type=Path, default=Path("runs/cues"), help="where the head and the float model go")
    parser.add_argument("--models", type=Path, default=Path("models"), help="where the model is written")
    parser.add_argument("--without", nargs="+", default=[], choices=sorted(READERS), help="sources that are not seen")
    parser.add_argument("--run", default="trained on all sources", help="how the network was trained, for the manifest")
    parser.add_argument("--views", type=int, default=16_000, help="faces that the head is trained on")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--threads", type=int, help="of PyTorch; by default one a core")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    without = tuple(arguments.without)
    found = read_sources(arguments.data, without)
    net = load_net(arguments.weights, typical_crops(found))
    head = fit_head(net, make_views(found, arguments.views, arguments.seed), arguments.epochs, arguments.seed)
    arguments.runs.mkdir(parents=True, exist_ok=True)
    torch.save(head.state_dict(), arguments.runs / "head.pt")
    publish(net, arguments.data, arguments.models, arguments.run, arguments.runs, without, head)


if __name__ == "__main__":
    main()
