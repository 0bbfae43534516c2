"""How much the pipeline counts faces unlike any that the expression model learned from, by the manifest's [familiar].

Quoted faces of every source, and the same ones as no face is seen: upside down, half hidden, moved aside, of a dozen
pixels, and noise. Nothing is trained and nothing chosen on these.
"""

from __future__ import annotations

import argparse
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from edge.config import VisionConfig
from edge.vision.expression import ExpressionReader
from edge.vision.manifest import bundled, load_manifest
from models.training.expression_data import SIDE
from models.training.expression_metrics import ANGER, FEAR, SADNESS
from models.training.expression_sources import ASKED, read_quoted
from models.training.scoreboard import write_json

Luma = NDArray[np.uint8]
HALF = SIDE // 2
SMALL_PX = 12
ALARM = 0.5
EVERY = 4
"""One quoted face in so many is measured."""


def _hidden(crop: Luma, part: tuple[slice, slice]) -> Luma:
    covered = crop.copy()
    covered[part] = 128
    return covered


def _small(crop: Luma) -> Luma:
    tiny = cv2.resize(crop, (SMALL_PX, SMALL_PX), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(tiny, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR), np.uint8)


def _noise(crop: Luma) -> Luma:
    return np.random.default_rng(zlib.crc32(crop.tobytes())).integers(0, 256, crop.shape).astype(np.uint8)


UNLIKE: Mapping[str, Callable[[Luma], Luma]] = {
    "as they are": lambda crop: crop,
    "upside down": lambda crop: np.ascontiguousarray(crop[::-1]),
    "lower half hidden": lambda crop: _hidden(crop, np.s_[HALF:, :]),
    "eyes hidden": lambda crop: _hidden(crop, np.s_[SIDE // 4 : HALF, :]),
    "moved aside by half": lambda crop: np.roll(crop, HALF, axis=1),
    f"of {SMALL_PX} pixels": _small,
    "noise in their place": _noise,
}
"""What is done to a crop (SIDE, SIDE) so that it is unlike a face."""


def measure(reader: ExpressionReader, root: Path) -> dict[str, dict[str, float]]:
    """By what was done to the faces: how much they count by source, and how much of what is read as an alarm does."""
    found: dict[str, dict[str, float]] = {}
    sources = read_quoted(root)
    for name, change in UNLIKE.items():
        counted: dict[str, list[float]] = {}
        alarms: list[float] = []
        for source, faces in sources.items():
            for crop in faces.crops[::EVERY]:
                reading = reader.read_crop_all(change(crop))
                counted.setdefault(source, []).append(reading.familiar)
                said = reading.probabilities
                if max(said[ANGER], said[FEAR] + said[SADNESS]) > ALARM:
                    alarms.append(reading.familiar)
        found[name] = {source: float(np.mean(shares)) for source, shares in counted.items()}
        found[name] |= {"alarms": float(np.mean(alarms)), "n_alarms": len(alarms)} if alarms else {"n_alarms": 0}
    return found


def lines_of(found: Mapping[str, Mapping[str, float]]) -> tuple[list[str], list[list[str]]]:
    """Header and rows of the table: shares in percent."""
    sources = [name for name in ASKED if name in next(iter(found.values()))]
    header = ["faces", *(ASKED[name].title.split(",")[0] for name in sources), "of those read as angry or distressed"]
    rows = []
    for name, shares in found.items():
        alarms = f"{100 * shares['alarms']:.0f} % of {shares['n_alarms']:.0f}" if "alarms" in shares else "none"
        rows.append([name, *(f"{100 * shares[source]:.0f} %" for source in sources), alarms])
    return header, rows


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
    if manifest.familiar is None:
        raise SystemExit(f"{path}: has no [familiar]: this model counts every face alike")
    found = measure(ExpressionReader.load(VisionConfig(expression_model=path)), arguments.data)
    header, rows = lines_of(found)
    table = Table(title=f"how much a face counts, expression model {manifest.version}")
    for column in header:
        table.add_column(column)
    for row in rows:
        table.add_row(*row)
    Console(width=130).print(table)
    if arguments.json:
        write_json(arguments.json, {"sha256": manifest.sha256, "version": manifest.version, "faces": found})


if __name__ == "__main__":
    main()
