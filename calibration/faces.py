"""Faces that drives are made of: three sources that no training saw, each with drivers of its own.

FER+ validation faces, AffectNet faces without the part with weak labels, RAF-DB's fold that is only quoted; and driver
frames of groups held out of every training, dealt to the three, so that no driver is in two of them. A face of which a
near copy is in an earlier source, or in a file that a shipped model was trained on, is in none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.domain import EXPRESSIONS
from models.training import near_copies
from models.training.expression_data import Drivers, held_out, narrow, read_drivers, read_votes, web_faces
from models.training.expression_sources import read_quoted

Crops = NDArray[np.uint8]
LOOKS = ("rest", "smile", "surprise", "anger", "distress", "yawn", "cabin")
"""What a face shows; ``cabin`` is a real driver who is calm."""
SHOWS = {
    "neutral": "rest",
    "happiness": "smile",
    "surprise": "surprise",
    "anger": "anger",
    "sadness": "distress",
    "fear": "distress",
}
"""The look of each label. Disgust and contempt are neither calm nor a kind of alert: no drive shows them."""
MAJORITY = 0.5
"""Where a crowd voted, a face shows what at least half of it says."""
TITLES = {
    "ferplus": "FER+ validation faces",
    "affect": "AffectNet faces without weak labels",
    "raf": "RAF-DB faces of the quoted fold",
}


@dataclass(frozen=True)
class FaceSource:
    """Crops (N, S, S) of one source, the ``look`` of each as its place in LOOKS, and whose each is.

    ``driver`` (N,) is the number of the driver of a driver's frame, -1 of any other face.
    """

    name: str
    crops: Crops
    look: NDArray[np.int64]
    driver: NDArray[np.int64]

    def of(self, look: str) -> NDArray[np.int64]:
        """The numbers of the faces with this look."""
        return np.flatnonzero(self.look == LOOKS.index(look))


def read_faces(root: Path) -> dict[str, FaceSource]:
    """The sources whose files lie under ``root``, without near copies of each other and of training faces.

    Raises:
        SystemExit: there is none.
    """
    quoted = read_quoted(root)
    labelled = {name: (faces.crops, looks_of(faces.label)) for name, faces in quoted.items() if name != "ferplus"}
    if "ferplus" in quoted:
        labelled["ferplus"] = _voted(root)
    if not labelled:
        raise SystemExit(f"{root}: holds no faces to make drives of; see models/training/README.md for the layout")
    ordered = {name: labelled[name] for name in TITLES if name in labelled}
    apart = without_copies({name: crops for name, (crops, _) in ordered.items()}, trained_thumbnails(root))
    seats = deal_drivers(read_drivers(root), len(ordered))
    found = {}
    for (name, (crops, look)), seat in zip(ordered.items(), seats, strict=True):
        kept = apart[name] & (look >= 0)
        found[name] = _with_drivers(name, crops[kept], look[kept], seat)
    return found


def looks_of(label: NDArray[np.int64]) -> NDArray[np.int64]:
    """The look (N,) of each label (N,), -1 of those that no drive shows."""
    places = [LOOKS.index(SHOWS[name]) if name in SHOWS else -1 for name in EXPRESSIONS]
    return np.array(places, np.int64)[label]


def _voted(root: Path) -> tuple[Crops, NDArray[np.int64]]:
    """FER+ faces with the look that at least half of the crowd says; rest where hardly one says anger or distress."""
    crops, votes = read_votes(root, "valid")
    share = votes / np.maximum(votes.sum(1, keepdims=True), 1)
    column = {name: share[:, n] for n, name in enumerate(EXPRESSIONS[:8])}
    angry, distressed = column["anger"] + column["disgust"], column["fear"] + column["sadness"]
    look = np.full(len(crops), -1, np.int64)
    for name, sure in (
        ("rest", (column["neutral"] >= MAJORITY) & (angry + distressed <= 0.1)),
        ("smile", column["happiness"] >= MAJORITY),
        ("surprise", column["surprise"] >= MAJORITY),
        ("anger", column["anger"] >= MAJORITY),
        ("distress", distressed >= MAJORITY),
    ):
        look[sure] = LOOKS.index(name)
    return crops, look


def trained_thumbnails(root: Path) -> NDArray[np.float32]:
    """Thumbnails of the faces that the shipped models learned from and that may have copies among quoted ones.

    Other files of the training were freed of copies when they were made (their README tells), and training leaves out
    what is left (``models.training.sources.folded``); the first models learned from these two as they are.
    """
    parts = [near_copies.thumbnails(read_votes(root, "train")[0])]
    if (root / "expressions/web_labels.npz").exists():
        crops = web_faces(root).crops
        parts.append(near_copies.thumbnails(narrow(crops)))
    return np.concatenate(parts)


def without_copies(crops: Mapping[str, Crops], trained: NDArray[np.float32]) -> dict[str, NDArray[np.bool_]]:
    """Which crops (N, S, S) of each source are no near copies of ``trained`` ones (M, 144) or an earlier source's."""
    known, apart = trained, {}
    for name, own in crops.items():
        thumbs = near_copies.thumbnails(own)
        apart[name] = ~near_copies.copies_of(thumbs, known)
        known = np.concatenate([known, thumbs])
    return apart


def deal_drivers(drivers: Drivers, count: int) -> list[Drivers]:
    """The drivers held out of every training, dealt to ``count`` hands by how many frames there are of each."""
    kept = held_out(drivers.group)
    names, frames = np.unique(drivers.group[kept], return_counts=True)
    order = names[np.lexsort((names, -frames))]
    hands = []
    for hand in range(count):
        mine = kept & np.isin(drivers.group, order[hand::count])
        hands.append(Drivers(drivers.crops[mine], drivers.yawn[mine], drivers.group[mine]))
    return hands


def _with_drivers(name: str, crops: Crops, look: NDArray[np.int64], seat: Drivers) -> FaceSource:
    number = np.unique(seat.group, return_inverse=True)[1].astype(np.int64)
    seen = np.where(seat.yawn, LOOKS.index("yawn"), LOOKS.index("cabin"))
    return FaceSource(
        name,
        np.concatenate([crops, narrow(seat.crops)]),
        np.concatenate([look, seen]),
        np.concatenate([np.full(len(crops), -1, np.int64), number]),
    )


def lower_brows(crop: Crops) -> Crops:
    """The crop (S, S) with its brows drawn down by a twentieth of its side."""
    step = _step(crop)
    y, x = np.mgrid[0 : crop.shape[0], 0 : crop.shape[1]].astype(np.float32)
    down = 2.2 * step * np.exp(-(((y / step - 15.0) / 4.0) ** 2)).astype(np.float32)
    return np.asarray(cv2.remap(crop, x, y - down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.uint8)


def bow_head(crop: Crops) -> Crops:
    """The crop (S, S) as of a head that looks down: the brow near and large, the chin far and small."""
    side, step = float(crop.shape[0]), _step(crop)
    seen = np.array([[0, 0], [side, 0], [side, side], [0, side]], np.float32)
    moved = np.array([[-5, 4], [5, 4], [-6, -4], [6, -4]], np.float32) * step
    matrix = cv2.getPerspectiveTransform(seen, seen + moved)
    size = (crop.shape[1], crop.shape[0])
    return np.asarray(cv2.warpPerspective(crop, matrix, size, borderMode=cv2.BORDER_REPLICATE), np.uint8)


def put_on_sunglasses(crop: Crops) -> Crops:
    """The crop (S, S) with dark lenses over the eyes and a bridge between them."""
    drawn = crop.copy()

    def at(*shares: int) -> tuple[int, int]:
        x, y = (round(share * _step(crop)) for share in shares)
        return x, y

    for x in (15, 33):
        cv2.ellipse(drawn, at(x, 19), at(8, 6), 0, 0, 360, 30, -1, cv2.LINE_AA)
    cv2.line(drawn, at(22, 17), at(26, 17), 30, 1, cv2.LINE_AA)
    return np.asarray(cv2.addWeighted(drawn, 0.9, crop, 0.1, 0), np.uint8)


def cover_mouth(crop: Crops) -> Crops:
    """The crop (S, S) with a hand as bright as the face before mouth and chin."""
    covered = crop.copy()
    top, left, right = (round(share * _step(crop)) for share in (29, 10, 38))
    covered[top:, left:right] = int(crop.mean())
    return covered


def _step(crop: Crops) -> float:
    """A 48th of the crop's side, pixels: what is put over a face is told in these."""
    return float(crop.shape[0]) / 48


def darken(crop: Crops) -> Crops:
    """The crop in a tunnel's light."""
    return np.asarray(crop * 0.18, np.uint8)
