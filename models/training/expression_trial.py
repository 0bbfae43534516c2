"""The data that an expression model is measured on: crowd-voted faces of one split, and held-out drivers."""

from __future__ import annotations

import argparse
import csv
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.training import expression_data as data
from models.training.expression_readers import FLOAT_FILE

DRIVERS = "cabin/frames.csv"


@dataclass(frozen=True)
class Trial:
    """Crops (N, SIDE, SIDE) with crowd votes (N, 10); driver crops (M, SIDE, SIDE) with yawn (M,) and labels' rows.

    Without driver frames in the data the drivers' arrays are empty.
    """

    split: str
    crops: NDArray[np.uint8]
    votes: NDArray[np.float32]
    seats: NDArray[np.uint8]
    yawn: NDArray[np.bool_]
    rows: list[dict[str, str]]

    @property
    def has_drivers(self) -> bool:
        """Whether there are driver frames to measure on."""
        return len(self.seats) > 0

    def thinned(self, count: int | None) -> Trial:
        """At most ``count`` of the crowd-voted faces, evenly spread; the same ones in every run."""
        if count is None or count >= len(self.crops):
            return self
        kept = np.linspace(0, len(self.crops) - 1, count).astype(int)
        return replace(self, crops=self.crops[kept], votes=self.votes[kept])


def read_trial(root: Path, split: str) -> Trial:
    """Everything under ``root`` that a model is measured on. Driver frames may be missing: then only faces are.

    Raises:
        SystemExit: data are missing or do not fit together; one line that says which.
    """
    crops, votes = _read_split(root, split)
    if not (root / DRIVERS).exists():
        print(f"{root / DRIVERS}: not there, so the drivers' rows are left out")
        return Trial(split, crops, votes, np.zeros((0, data.SIDE, data.SIDE), np.uint8), np.zeros(0, bool), [])
    drivers = data.read_drivers(root)
    out = data.held_out(drivers.group)
    with (root / DRIVERS).open(newline="") as file:
        rows = [row for row, kept in zip(csv.DictReader(file), out, strict=True) if kept]
    return Trial(split, crops, votes, data.narrow(drivers.crops[out]), drivers.yawn[out], rows)


def _read_split(root: Path, split: str) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    table = root / "expressions/votes.npz"
    if not root.is_dir():
        raise SystemExit(f"{root}: no such folder; name the data with --data")
    if not table.exists():
        raise SystemExit(f"{table}: no such file; models/training/README.md describes the data layout")
    with np.load(table) as votes:
        if split not in votes:
            known = ", ".join(name for name in votes if name != "names")
            raise SystemExit(f"{table}: no votes for split '{split}'; it has {known}")
        if votes[split].ndim != 2 or votes[split].shape[1] != 10:
            raise SystemExit(f"{table}: votes for '{split}' are {votes[split].shape}, expected (faces, 10)")
    crops, wanted = data.read_votes(root, split)
    if len(crops) != len(wanted):
        raise SystemExit(f"expressions/{split}.png holds {len(crops)} tiles for {len(wanted)} rows of votes")
    return crops, wanted


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that all measuring commands of the expression model share."""
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the data")
    parser.add_argument("--split", default="valid", help="which tiles and votes, for example test")
    parser.add_argument("--model", type=Path, help="manifest of another expression model")
    parser.add_argument(
        "--float", dest="twin", type=Path, help=f"the model before quantisation; {FLOAT_FILE} is taken if it is there"
    )
    parser.add_argument("--peers", type=Path, default=Path("../shared/peers"), help="public models to measure beside")
    parser.add_argument("--json", type=Path, help="write all figures here")


def float_file(arguments: argparse.Namespace) -> Path | None:
    """The float model of the command line, or the one that the last training left."""
    if arguments.twin is None and arguments.model is None and FLOAT_FILE.exists():
        return FLOAT_FILE
    given: Path | None = arguments.twin
    return given
