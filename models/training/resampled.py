"""How far an expression model goes by how a picture was made smaller: quoted faces brought to the crop in other ways.

Sources differ in how soft their pictures are, and a network that was taught by their labels can tell them apart by
that. The figures by source are of tiles cut as the board cuts a face out of a larger picture; the other ways show what
hangs on it. Nothing is trained and nothing chosen on these faces.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from edge.config import VisionConfig
from edge.vision.expression import ExpressionReader
from edge.vision.manifest import bundled, load_manifest
from models.training.expression_data import SIDE, narrow
from models.training.expression_readers import Read
from models.training.expression_sources import ASKED, present, quoted_figures, quoted_tiles
from models.training.scoreboard import show, write_json
from models.training.sources import SHOWN_PX, TILE_PX, cut_by_the_board, shrunk

Luma = NDArray[np.uint8]

SHOWN = (
    "accuracy", "balanced", "recall_anger", "recall_fear", "recall_sadness", "restrained_anger", "neutral_alarm",
)  # fmt: skip


def by_area(tile: Luma) -> Luma:
    """The crop (SIDE, SIDE) of a tile by OpenCV's area interpolation."""
    return narrow(shrunk(tile[None]))[0]


def smoothly(tile: Luma) -> Luma:
    """The crop of a tile by bicubic interpolation."""
    edge = (TILE_PX - SHOWN_PX) // 2
    inner = tile[edge:-edge, edge:-edge]
    return np.asarray(cv2.resize(inner, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC), np.uint8)


def by_the_board(tile: Luma) -> Luma:
    """The crop of a tile as the figures by source make it."""
    return cut_by_the_board(tile[None])[0]


WAY_OF_THE_BOARD = "cut by the board"
WAYS: Mapping[str, Callable[[Luma], Luma]] = {
    "by area": by_area,
    "bicubic": smoothly,
    WAY_OF_THE_BOARD: by_the_board,
}


def measure(read: Read, root: Path) -> dict[str, dict[str, dict[str, float]]]:
    """By source and way the figures in SHOWN, of the sources under ``root`` whose tiles show more than a crop."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for source, faces in quoted_tiles(root).items():
        found[source] = {}
        for way, to_crop in WAYS.items():
            said = np.array([read(to_crop(tile)) for tile in faces.crops], np.float32)
            figures = quoted_figures(said, faces)
            found[source][way] = {key: figures[key] for key in SHOWN if key in figures}
    return found


def main() -> None:
    """Parse the command line, measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the data")
    parser.add_argument("--model", type=Path, help="manifest of another expression model")
    parser.add_argument("--json", type=Path, help="write all figures here")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    path = arguments.model or bundled("expression")
    manifest = load_manifest(path, "expression")
    sources = measure(ExpressionReader.load(VisionConfig(expression_model=path)).read_crop, arguments.data)
    console = Console(width=110)
    for name, ways in sources.items():
        title = f"{ASKED[name].title}, expression model {manifest.version}"
        show(title, present(name, ways), ways, console, WAY_OF_THE_BOARD)
    if arguments.json:
        write_json(arguments.json, {"sha256": manifest.sha256, "version": manifest.version, "sources": sources})


if __name__ == "__main__":
    main()
