"""The sources of labelled faces: how each one's labels are read, which of its faces train, choose or are only quoted.

Faces stand in the order of their files, so that a number of a face means the same in every run and in the teacher's
answers that lie beside this module.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.domain import EXPRESSIONS
from edge.vision.crop import cut_crop
from models.training import near_copies
from models.training.expression_data import (
    CLASSES,
    CROP_RULE,
    SIDE,
    Faces,
    crowd_faces,
    narrow,
    read_tiles,
    read_votes,
    taught,
    typical_points,
    web_faces,
)

TILE_PX = 72
SHOWN_PX = 54  # of a tile's middle are what a crop shows
WIDE_PX = TILE_PX * SIDE // SHOWN_PX
ENLARGED = 4  # a tile as a camera would show the face: so many times as large
LEFT_OUT, TRAIN, CHOOSE, QUOTE = range(4)
NEUTRAL = EXPRESSIONS.index("neutral")
CONTEMPT = EXPRESSIONS.index("contempt")
QUOTED_FOLD = 4  # of RAF-DB: never trained, never chosen on
CHOOSING = 10  # one group of near copies in so many chooses
WEAK = 0.4  # how often a face of AffectNet's part with weak labels comes, against the others


@dataclass(frozen=True)
class Source:
    """Faces of one kind of label.

    ``label`` (N,) is the class by its labels, -1 for none. ``use`` (N,) says what each face is for. ``share`` of an
    epoch are its faces; among them ``weight`` (N,) says how often each comes, and classes are levelled up by
    ``level``: 0 leaves them as rare as they are, 1 makes them equal.
    """

    name: str
    faces: Faces
    label: NDArray[np.int64]
    use: NDArray[np.uint8]
    weight: NDArray[np.float32]
    share: float
    level: float

    def chances(self) -> NDArray[np.float64]:
        """How often each face is drawn in an epoch; they add up to ``share``, and are 0 for all that do not train."""
        train = self.use == TRAIN
        expected = np.where(train, self.weight, 0)[:, None] * _shares(self.faces)
        total = expected.sum(0) / max(expected.sum(), 1e-9)
        lift = np.minimum((total.max() / np.maximum(total, 1e-9)) ** self.level, 12.0)
        drawn = (expected * lift).sum(1)
        return np.asarray(self.share * drawn / max(drawn.sum(), 1e-9), np.float64)

    def taught(self, answers: NDArray[np.float32], share: float) -> Source:
        """The same with ``share`` of the targets from a teacher's ``answers`` (N, 9); sets become distributions.

        Of a set the teacher's own view, kept to what is allowed, takes the labels' place.
        """
        own = self.faces.target
        allowed = answers * (own > 0)
        filled = allowed / np.maximum(allowed.sum(1, keepdims=True), 1e-6)
        target = np.where(self.faces.is_set[:, None], filled, own)
        faces = replace(self.faces, target=np.asarray(target, np.float32), is_set=np.zeros_like(self.faces.is_set))
        return replace(self, faces=taught(faces, answers, share))


def _shares(faces: Faces) -> NDArray[np.float32]:
    return np.asarray(faces.target / np.maximum(faces.target.sum(1, keepdims=True), 1e-6), np.float32)


def read_wide(path: Path, count: int) -> NDArray[np.uint8]:
    """Tiles to learn from as wide crops (count, WIDE_PX, WIDE_PX), whose middle SIDE pixels the model sees.

    Each is made in one of WAYS, the same in every run: a network can tell the sources apart by how soft their pictures
    are, and would answer as the labellers of each.
    """
    tiles = read_labelled(path, count)
    chosen = np.random.default_rng(count).integers(len(WAYS), size=count)
    return np.stack([WAYS[way](tile) for tile, way in zip(tiles, chosen, strict=True)])


def read_labelled(path: Path, count: int) -> NDArray[np.uint8]:
    """The tiles (count, TILE_PX, TILE_PX) of a picture, one for each label.

    Raises:
        SystemExit: there are more or fewer.
    """
    tiles = read_tiles(path, count, TILE_PX)
    if len(tiles) != count:
        raise SystemExit(f"{path}: holds {len(tiles)} tiles of {TILE_PX} pixels for {count} labels")
    return tiles


def shrunk(tiles: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Tiles (N, TILE_PX, TILE_PX) as wide crops (N, WIDE_PX, WIDE_PX) by OpenCV's area interpolation."""
    return np.stack([_by(cv2.INTER_AREA)(tile) for tile in tiles])


def cut_by_the_board(tiles: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The crops (N, SIDE, SIDE) that the board cuts out of tiles (N, TILE_PX, TILE_PX) that a camera shows ENLARGED."""
    points = ((TILE_PX - SHOWN_PX) / 2 + typical_points(CROP_RULE) * SHOWN_PX) * ENLARGED - 0.5
    enlarge = _by(cv2.INTER_CUBIC, ENLARGED * TILE_PX)
    return np.stack([cut_crop(enlarge(tile), points.astype(np.float32), CROP_RULE) for tile in tiles])


def _by(interpolation: int, side: int = WIDE_PX) -> Callable[[NDArray[np.uint8]], NDArray[np.uint8]]:
    return lambda tile: np.asarray(cv2.resize(tile, (side, side), interpolation=interpolation), np.uint8)


def _from_afar(tile: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """As out of a picture in which the face is four times as large, halved once on the way as the board does."""
    large = _by(cv2.INTER_CUBIC, ENLARGED * TILE_PX)(tile)
    return _by(cv2.INTER_AREA)(_by(cv2.INTER_AREA, 2 * WIDE_PX)(large))


WAYS: tuple[Callable[[NDArray[np.uint8]], NDArray[np.uint8]], ...] = (
    _by(cv2.INTER_AREA),
    _by(cv2.INTER_LINEAR),
    _by(cv2.INTER_CUBIC),
    _from_afar,
)
"""How a tile may become a wide crop."""


def hard(label: NDArray[np.int64], smooth: float, *, contempt: bool) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Targets (N, 9) of one label a face, ``smooth`` of it spread over the others; and where a target is a set.

    Where the labellers had no ``contempt``, they called it something else, neutral above all: such a face may be
    either.
    """
    others = [index for index in range(8) if contempt or index != CONTEMPT]
    target = np.zeros((len(label), CLASSES), np.float32)
    target[:, others] = smooth / (len(others) - 1)
    target[np.arange(len(label)), label] = 1 - smooth
    open_ = (label == NEUTRAL) & (not contempt)
    target[open_] = 0
    target[np.ix_(open_, [NEUTRAL, CONTEMPT])] = 1
    return target, open_


def _labelled(
    name: str, crops: NDArray[np.uint8], label: NDArray[np.int64], trust: float, smooth: float, *, contempt: bool
) -> Source:
    target, is_set = hard(label, smooth, contempt=contempt)
    count = len(label)
    faces = Faces(crops, target, is_set, np.full(count, trust, np.float32))
    return Source(name, faces, label, np.full(count, TRAIN, np.uint8), np.ones(count, np.float32), 0.0, 0.0)


def read_ferplus(root: Path) -> Source:
    """FER2013 faces with the crowd's votes."""
    crops, votes = read_votes(root, "train")
    known = crowd_faces(root, "train")
    use = np.where(known.trust > 0, TRAIN, LEFT_OUT).astype(np.uint8)
    label = np.where(votes.argmax(1) < 8, votes.argmax(1), -1)
    return Source("ferplus", known, label, use, np.ones(len(crops), np.float32), 0.48, 0.15)


def read_affect(root: Path) -> Source:
    """AffectNet faces in eight classes, a third of which have weak labels."""
    table = np.load(root / "expressions/affect_train.npz")
    label = table["label"].astype(np.int64)
    crops = read_wide(root / "expressions/affect_train.jpg", len(label))
    source = _labelled("affect", crops, label, 1.0, 0.1, contempt=True)
    weak = table["ffhq"].astype(bool)
    trust = np.where(weak, np.float32(0.4), source.faces.trust)
    weight = np.where(weak, np.float32(WEAK), source.weight)
    return replace(source, faces=replace(source.faces, trust=trust), weight=weight, share=0.24, level=0.7)


def read_raf(root: Path) -> Source:
    """RAF-DB faces in seven classes; fold 4 is only quoted."""
    table = np.load(root / "expressions/raf_train.npz")
    label = table["label"].astype(np.int64)
    source = _labelled(
        "raf", read_wide(root / "expressions/raf_train.jpg", len(label)), label, 1.0, 0.05, contempt=False
    )
    use = np.where(table["fold"] == QUOTED_FOLD, QUOTE, TRAIN).astype(np.uint8)
    return replace(source, use=use, share=0.17, level=0.5)


def read_expw(root: Path) -> Source:
    """ExpW faces in seven equal classes, noisily labelled."""
    label = np.load(root / "expressions/expw.npz")["label"].astype(np.int64)
    crops = read_wide(root / "expressions/expw.jpg", len(label))
    return replace(_labelled("expw", crops, label, 0.5, 0.2, contempt=False), share=0.03)


def read_drawn(root: Path) -> Source:
    """Generated faces in seven classes."""
    label = np.load(root / "expressions/drawn.npz")["label"].astype(np.int64)
    crops = read_wide(root / "expressions/drawn.jpg", len(label))
    return replace(_labelled("drawn", crops, label, 0.5, 0.15, contempt=False), share=0.01, level=0.5)


def read_web(root: Path) -> Source:
    """Web faces with one annotator's noisy label, mostly neutral or happy."""
    faces = web_faces(root)
    count = len(faces.trust)
    label = np.asarray(faces.target.argmax(1), np.int64)
    return Source("web", faces, label, np.full(count, TRAIN, np.uint8), np.ones(count, np.float32), 0.04, 0.5)


READERS: dict[str, Callable[[Path], Source]] = {
    "ferplus": read_ferplus,
    "affect": read_affect,
    "raf": read_raf,
    "expw": read_expw,
    "drawn": read_drawn,
    "web": read_web,
}


def read_sources(root: Path, without: Collection[str] = ()) -> list[Source]:
    """All sources whose labels lie under ``root``, but those named in ``without``, folded by near copies.

    Training faces that are near copies of faces that are only quoted are left out.
    """
    files = {"ferplus": "votes", "affect": "affect_train", "raf": "raf_train", "web": "web_labels"}
    found = []
    for name, read in READERS.items():
        if name in without:
            continue
        if not (root / f"expressions/{files.get(name, name)}.npz").exists():
            print(f"{name}: not in {root}, left out")
            continue
        found.append(read(root))
    return folded(found, quoted_thumbnails(root))


def quoted_thumbnails(root: Path) -> NDArray[np.float32]:
    """Thumbnails of the faces that lie in files which are only quoted."""
    parts = [near_copies.thumbnails(read_votes(root, "valid")[0])]
    table = root / "expressions/affect_valid.npz"
    if table.exists():
        tiles = read_labelled(table.with_suffix(".jpg"), len(np.load(table)["label"]))
        parts.append(near_copies.thumbnails(narrow(shrunk(tiles))))
    return np.concatenate(parts)


def folded(found: list[Source], quoted: NDArray[np.float32]) -> list[Source]:
    """Say of each training face whether it trains or chooses; leave out near copies of quoted ones (N, 144)."""
    thumbs = [near_copies.thumbnails(narrow(source.faces.crops)) for source in found]
    own = [thumb[source.use == QUOTE] for thumb, source in zip(thumbs, found, strict=True)]
    quoted = np.concatenate([quoted, *own])
    result = []
    for source, thumb in zip(found, thumbs, strict=True):
        use = source.use.copy()
        train = np.flatnonzero(use == TRAIN)
        group = near_copies.groups(thumb[train])
        chosen = [zlib.crc32(f"{source.name} {train[number]}".encode()) % CHOOSING == 0 for number in group]
        use[train[np.array(chosen, bool)]] = CHOOSE
        use[train[near_copies.copies_of(thumb[train], quoted)]] = LEFT_OUT
        result.append(replace(source, use=use))
    return result
