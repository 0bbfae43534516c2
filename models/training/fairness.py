"""How evenly the expression model works: accuracy and false anger by what can be told of a face.

``python -m models.training.fairness --data ../shared/data --json fairness.json``. Told from the pictures themselves are
brightness, contrast and pose. Anything else (glasses, headwear, skin, age) needs labels of one's own: ``--groups``
takes a CSV with a key column and one column for each grouping. The key is ``face`` (the tile's number from 0, row by
row), ``file`` (of ``cabin/frames.csv``) or ``driver_group``.
"""

from __future__ import annotations

import argparse
import csv
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table

from edge.vision.face import FaceFinder
from edge.vision.manifest import bundled, load_manifest
from edge.vision.quality import pose
from models.training.expression_data import SIDE, row_points
from models.training.expression_metrics import ANGER, YAWN, eight, label_a
from models.training.expression_readers import OURS, open_candidates
from models.training.expression_trial import Trial, add_arguments, read_trial
from models.training.scoreboard import write_json

KEYS = ("face", "file", "driver_group")
FEW = 20  # of a group; below that nothing is said of it


@dataclass(frozen=True)
class Grouping:
    """Each face's group, "" where it is not known; ``order`` is how the groups are listed."""

    group: NDArray[np.str_]
    order: tuple[str, ...]


Groups = dict[str, Grouping]


@dataclass(frozen=True)
class Share:
    """``hits`` of ``count`` and their 95 % interval (Wilson 1927), which takes every face for an independent one."""

    hits: int
    count: int

    def interval(self) -> tuple[float, float]:
        """Lower and upper bound, 0 to 1."""
        if self.count == 0:
            return 0.0, 1.0
        z, n, p = 1.96, self.count, self.hits / self.count
        middle, half = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        return max(0.0, (middle - half) / (1 + z * z / n)), min(1.0, (middle + half) / (1 + z * z / n))

    def text(self) -> str:
        """Percent with interval and count."""
        if self.count < FEW:
            return f"too few ({self.count})"
        low, high = self.interval()
        return f"{100 * self.hits / self.count:.1f} ({100 * low:.1f} to {100 * high:.1f}; {self.count})"


def of(hit: NDArray[np.bool_]) -> Share:
    """The share of true values."""
    return Share(int(hit.sum()), len(hit))


def tile_groups(trial: Trial, finder: FaceFinder) -> Groups:
    """What can be told of the crowd-voted faces: light of the face, and pose where the face model finds its points."""
    middle = trial.crops[:, SIDE // 5 : -SIDE // 5, SIDE // 5 : -SIDE // 5].reshape(len(trial.crops), -1)
    poses = [_tile_pose(crop, finder) for crop in track(trial.crops, "poses", transient=True)]
    yaw = np.array([math.nan if one is None else abs(one[0]) for one in poses])
    roll = np.array([math.nan if one is None else abs(one[2]) for one in poses])
    return {
        "brightness of the face": quarters(middle.mean(1), ("darkest", "darker", "brighter", "brightest")),
        "contrast of the face": quarters(middle.std(1), ("least", "less", "more", "most")),
        "turned sideways": bands(yaw, (15, 30), "°"),
        "head leaning": bands(roll, (10, 20), "°"),
    }


def _tile_pose(crop: NDArray[np.uint8], finder: FaceFinder) -> tuple[float, float, float] | None:
    """Yaw, pitch and roll by the face model, which needs some picture around the face."""
    framed = cv2.copyMakeBorder(crop, *(SIDE // 2,) * 4, cv2.BORDER_REPLICATE)
    face = finder.find(np.asarray(framed, np.uint8))
    return None if face is None else pose(face.points)


def driver_groups(trial: Trial) -> Groups:
    """What can be told of the drivers: light and pose, from the labelled points."""
    middle = trial.seats[:, SIDE // 5 : -SIDE // 5, SIDE // 5 : -SIDE // 5].reshape(len(trial.seats), -1)
    yaw = np.array([abs(pose(row_points(row))[0]) for row in trial.rows])
    return {
        "brightness of the face": quarters(middle.mean(1), ("darkest", "darker", "brighter", "brightest")),
        "turned sideways": bands(yaw, (20, 40), "°"),
    }


def quarters(values: NDArray[np.floating], names: tuple[str, str, str, str]) -> Grouping:
    """Four groups of equal size."""
    bounds = np.quantile(values, (0.25, 0.5, 0.75))
    return Grouping(np.array(names)[np.searchsorted(bounds, values, side="right")], names)


def bands(values: NDArray[np.floating], bounds: tuple[float, float], unit: str) -> Grouping:
    """Below, between and above two bounds; "points not found" where there is no value."""
    low, high = bounds
    names = (f"below {low}{unit}", f"{low} to {high}{unit}", f"above {high}{unit}", "points not found")
    which = np.where(np.isnan(values), 3, np.searchsorted(bounds, np.nan_to_num(values), side="right"))
    return Grouping(np.array(names)[which], names)


def own_groups(path: Path, trial: Trial) -> tuple[bool, Groups]:
    """The groupings of a user's CSV, and whether they are of drivers (else of the crowd-voted faces).

    Raises:
        SystemExit: the file cannot be read, has no key column or no grouping, or names a face that is not there.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except OSError as error:
        raise SystemExit(f"{path}: cannot be read: {error.strerror}") from None
    columns = list(rows[0]) if rows else []
    key = next((name for name in KEYS if name in columns), None)
    names = [name for name in columns if name not in KEYS]
    if key is None or not names:
        raise SystemExit(f"{path}: expected a column {' or '.join(KEYS)} and one for each grouping, found {columns}")
    keys = [str(n) for n in range(len(trial.crops))] if key == "face" else [row[key] for row in trial.rows]
    given = {row[key]: row for row in rows}
    if not set(given) & set(keys):
        raise SystemExit(f"{path}: none of its {key} entries is among the {len(keys)} that are measured")
    return key != "face", {name: _grouping([given.get(k, {}).get(name, "") for k in keys]) for name in names}


def _grouping(groups: list[str]) -> Grouping:
    return Grouping(np.array(groups), tuple(sorted(set(groups) - {""})))


def tile_shares(answers: NDArray[np.float32], label: NDArray[np.int64]) -> dict[str, Share]:
    """Accuracy A, false anger among those who show none, and anger found among those who do."""
    seen = eight(answers)
    known = label >= 0
    return {
        "accuracy A": of((seen.argmax(1) == label)[known]),
        "called angry, not angry": of((seen[:, ANGER] > 0.5)[known & (label != ANGER)]),
        "anger found": of((seen.argmax(1) == ANGER)[label == ANGER]),
    }


def driver_shares(answers: NDArray[np.float32], yawn: NDArray[np.bool_]) -> dict[str, Share]:
    """False anger (no driver in the data is angry), and yawns found."""
    return {
        "called angry": of(answers[:, ANGER] > 0.5),
        "yawn found": of((answers.argmax(1) == YAWN)[yawn]),
        "calm, called yawning": of((answers.argmax(1) == YAWN)[~yawn]),
    }


def split_up(groups: Groups) -> Iterator[tuple[str, str, NDArray[np.bool_]]]:
    """Each grouping's name, group and members; faces whose group is not known are left out."""
    for name, grouping in groups.items():
        for group in grouping.order:
            yield name, group, grouping.group == group


def show_shares(title: str, shares: dict[tuple[str, str], dict[str, Share]], console: Console) -> None:
    """Print one line for each group."""
    table = Table(title=title)
    figures = next(iter(shares.values()))
    for name in ("grouping", "group", *(f"{figure}, %" for figure in figures)):
        table.add_column(name)
    for (grouping, group), found in shares.items():
        table.add_row(grouping, group, *(share.text() for share in found.values()))
    console.print(table)


def entries(shares: dict[tuple[str, str], dict[str, Share]]) -> list[dict[str, object]]:
    """The same for a JSON file."""
    return [
        {
            "grouping": grouping,
            "group": group,
            **{
                name: {"hits": share.hits, "count": share.count, "interval": share.interval()}
                for name, share in found.items()
            },
        }
        for (grouping, group), found in shares.items()
    ]


def main() -> None:
    """Parse the command line, measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    parser.add_argument("--groups", type=Path, action="append", default=[], help="CSV of groups; may be given again")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    trial = read_trial(arguments.data, arguments.split)
    reader = open_candidates(arguments.model, None, arguments.peers)[OURS].read
    manifest = load_manifest(arguments.model or bundled("expression"), "expression")
    tiles = tile_groups(trial, FaceFinder.load())
    drivers = driver_groups(trial) if trial.has_drivers else {}
    for path in arguments.groups:
        about_drivers, found = own_groups(path, trial)
        (drivers if about_drivers else tiles).update(found)
    still = np.stack([reader(crop) for crop in track(trial.crops, "faces", transient=True)])
    label = label_a(trial.votes)
    console = Console(width=110)
    everyone = ("all", "", np.ones(len(still), bool))
    of_tiles = {(name, group): tile_shares(still[who], label[who]) for name, group, who in (everyone, *split_up(tiles))}
    show_shares(f"Expression model {manifest.version}, {arguments.split}: % (95 % interval; n)", of_tiles, console)
    result = {"sha256": manifest.sha256, "version": manifest.version, "split": arguments.split}
    result["faces"] = entries(of_tiles)
    if trial.has_drivers:
        seat = np.stack([reader(crop) for crop in trial.seats])
        everyone = ("all", "", np.ones(len(seat), bool))
        of_drivers = {
            (name, group): driver_shares(seat[who], trial.yawn[who])
            for name, group, who in (everyone, *split_up(drivers))
        }
        people = len({row["driver_group"] for row in trial.rows})
        title = f"Frames of {people} held-out driver groups; neighbours are alike, so the intervals are too narrow"
        show_shares(title, of_drivers, console)
        result["drivers"] = entries(of_drivers)
    if arguments.json:
        write_json(arguments.json, result)


if __name__ == "__main__":
    main()
