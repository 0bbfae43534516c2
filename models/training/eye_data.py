"""Eyes to learn from: real ones with their labels, drawn ones with their exact lids, and what hides an eye.

Targets lie on ``EyeReader``'s scale. A label says only closed or open, so it is an interval; a render's lids are known.
"""

from __future__ import annotations

import csv
import dataclasses
import zlib
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from edge.vision.crop import CropRule, cut_eyes
from edge.vision.eyes import fitted, levelled
from models.training import augment, near_copies
from models.training.expression_data import held_out, read_tiles, row_points
from models.training.eye_renders import SIDE_IN_UNITS, TILE_PX, EyeMesh, Renders, render_many

SIDE = 32
RULE = CropRule(SIDE, 0.5, 0.5, 1 / SIDE_IN_UNITS)
TILE_RULE = CropRule(TILE_PX, 0.5, 0.5, 1 / SIDE_IN_UNITS)
P80 = 0.2
"""Share of the aperture at rest where an eye counts as closed (Wierwille et al. 1994); 0.5 on the scale."""
POWER = float(np.log(0.5) / np.log(P80))
CLOSED, OPEN = (0.0, 0.08), (0.8, 1.0)
LOWERED = (0.55, 0.9)
"""Of an eye that looks down or is half shut, told by eye."""
TURNED_DEG, AHEAD_DEG = 50.0, 35.0
"""Drawn heads that turn farther train nothing, and nothing is quoted of those that turn farther than the second."""
LEFT_OUT, TRAIN, CHOOSE, QUOTE = range(4)
KINDS = ("subject", "open", "glasses")
QUOTED_PEOPLE, FOLDS = 9, 3
"""So many of MRL's people are only quoted; the others lie in so many folds. Checksums of their numbers say which."""
LABELS = Path(__file__).with_name("eye_labels.csv")
MEANINGS = {"open": (*OPEN, 1.0), "lowered": (*LOWERED, 1.0), "closed": (*CLOSED, 1.0), "hidden": (0.0, 1.0, 0.0)}
"""Of a label told by eye: lowest and highest openness, and whether it can be told."""


@dataclass(frozen=True)
class Eyes:
    """Tiles (N, 56, 56) of one source.

    ``low`` and ``high`` (N,) bound the openness, ``readable`` (N,) is whether it can be told, NaN where nobody said;
    ``use`` (N,) says what each is for. ``share`` of an epoch are of this source. ``about`` holds columns (N,) to split
    the figures by.
    """

    name: str
    tiles: NDArray[np.uint8]
    low: NDArray[np.float32]
    high: NDArray[np.float32]
    readable: NDArray[np.float32]
    use: NDArray[np.uint8]
    share: float
    about: dict[str, NDArray[np.int64]] = dataclasses.field(default_factory=dict)

    def only(self, kept: NDArray[np.bool_]) -> Eyes:
        """Those that are ``kept`` (N,)."""
        parts = {name: getattr(self, name)[kept] for name in ("tiles", "low", "high", "readable", "use")}
        return replace(self, **parts, about={name: column[kept] for name, column in self.about.items()})


def on_scale(aperture: NDArray[np.floating]) -> NDArray[np.float32]:
    """Openness of lids that are so far apart, in shares of the aperture at rest."""
    return np.asarray(np.clip(aperture, 0, 1) ** POWER, np.float32)


def _labelled(name: str, tiles: NDArray[np.uint8], is_open: NDArray[Any], use: NDArray[np.uint8], share: float) -> Eyes:
    bounds = np.array([CLOSED, OPEN], np.float32)[is_open.astype(int)]
    return Eyes(name, tiles, bounds[:, 0], bounds[:, 1], np.ones(len(tiles), np.float32), use, share)


def quoted_people(subjects: NDArray[Any]) -> tuple[set[int], list[set[int]]]:
    """MRL's people who are only quoted, and the folds of the others."""
    order = sorted(set(map(int, subjects)), key=lambda who: zlib.crc32(f"mrl {who}".encode()))
    others = order[QUOTED_PEOPLE:]
    return set(order[:QUOTED_PEOPLE]), [set(others[fold::FOLDS]) for fold in range(FOLDS)]


def read_mrl(root: Path, fold: int | None = None) -> Eyes:
    """Infrared eyes of 28 people; those of the ``fold`` are watched and do not train."""
    table = np.load(root / "eyes/mrl.npz")
    tiles = read_tiles(root / "eyes/mrl.jpg", len(table["open"]), 40)
    tiles = np.stack([cv2.resize(tile, (TILE_PX, TILE_PX), interpolation=cv2.INTER_LINEAR) for tile in tiles])
    quoted, folds = quoted_people(table["subject"])
    watched = set() if fold is None else folds[fold]
    use = np.array([QUOTE if w in quoted else CHOOSE if w in watched else TRAIN for w in table["subject"]], np.uint8)
    about = {name: table[name].astype(np.int64) for name in ("subject", "open", "glasses", "reflections", "sensor")}
    return replace(_labelled("mrl", tiles, table["open"], use, 0.46), about=about)


def read_web(root: Path) -> Eyes:
    """Web eyes; a fifth, in groups of near copies, is only quoted."""
    table = np.load(root / "eyes/eyes.npz")
    images = table["images"]
    group = near_copies.groups(near_copies.thumbnails(images))
    use = np.array([QUOTE if zlib.crc32(f"web {g}".encode()) % 5 == 0 else TRAIN for g in group], np.uint8)
    tiles = np.stack([cv2.resize(image, (TILE_PX, TILE_PX), interpolation=cv2.INTER_AREA) for image in images])
    return replace(_labelled("web", tiles, table["open"], use, 0.08), about={"open": table["open"].astype(np.int64)})


def as_eyes(renders: Renders, use: int, share: float) -> Eyes:
    """Renders with their lids' exact openness; heads that turn too far to tell anything of their lids are left out."""
    openness = on_scale(renders.aperture)
    count = len(openness)
    about = {
        "down": (renders.gaze[:, 1] < -0.45).astype(np.int64),
        "squint": (renders.squint > 0.5).astype(np.int64),
        "closed": (renders.aperture < 0.05).astype(np.int64),
        "ahead": (np.abs(renders.yaw) < AHEAD_DEG).astype(np.int64),
        "aperture": np.round(renders.aperture * 1000).astype(np.int64),
    }
    return Eyes(
        "renders",
        renders.tiles,
        np.maximum(openness - 0.03, 0),
        np.minimum(openness + 0.03, 1),
        np.ones(count, np.float32),
        np.where(np.abs(renders.yaw) < TURNED_DEG, use, LEFT_OUT).astype(np.uint8),
        share,
        about,
    )


def cached_renders(root: Path, count: int, seed: int, folder: Path) -> Renders:
    """Renders of this seed, drawn once and kept in ``folder``."""
    path = folder / f"renders-{seed}.npz"
    if path.exists():
        with np.load(path) as stored:
            if len(stored["tiles"]) == count:
                return Renders(**{part.name: stored[part.name] for part in dataclasses.fields(Renders)})
    drawn = render_many(EyeMesh.load(root / "head/head.npz"), count, seed)
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(path, **dataclasses.asdict(drawn))
    return drawn


def read_labels(path: Path = LABELS) -> dict[str, tuple[str, str]]:
    """What was told by eye: by picture or driver group, what the eyes at the picture's left and right are."""
    if not path.exists():
        return {}
    with path.open(newline="") as file:
        return {row["file"]: (row["left"], row["right"]) for row in csv.DictReader(file)}


def read_faces(root: Path, share: float = 0.14) -> Eyes:
    """Eyes of portraits and drivers that were told by eye."""
    told = read_labels()
    tiles, bounds, use = [], [], []
    for portrait in portraits(root):
        if portrait.file not in told:
            continue
        for tile, label in zip(portrait.eyes(), told[portrait.file], strict=True):
            if label:
                tiles.append(tile)
                bounds.append(MEANINGS[label])
                use.append(QUOTE if portrait.held_out else TRAIN)
    low, high, readable = np.array(bounds, np.float32).reshape(-1, 3).T
    stacked = np.array(tiles, np.uint8).reshape(-1, TILE_PX, TILE_PX)
    return Eyes("faces", stacked, low, high, readable, np.array(use, np.uint8), share)


def read_untold(root: Path, share: float = 0.12) -> Eyes:
    """Eyes of portraits and drivers that nobody told anything of: nearly all open, for a teacher to tell."""
    told = read_labels()
    seen = [one for one in portraits(root) if not one.held_out and one.file not in told]
    tiles = np.concatenate([one.eyes() for one in seen])
    zeros = np.zeros(len(tiles), np.float32)
    return Eyes("untold", tiles, zeros, zeros + 1, zeros + np.nan, np.full(len(tiles), TRAIN, np.uint8), share)


def read_beside(root: Path, share: float = 0.06) -> Eyes:
    """What lies beside the eyes of portraits: cheeks, brows, noses, hair, what stands behind."""
    rng = np.random.default_rng(0)
    seen = [one for one in portraits(root) if not one.driver and not one.held_out and rng.random() < 0.5]
    tiles = np.array([_beside(rng, one) for one in seen])
    zeros = np.zeros(len(tiles), np.float32)
    return Eyes("beside", tiles, zeros, zeros + 1, zeros, np.full(len(tiles), TRAIN, np.uint8), share)


@dataclass(frozen=True)
class Portrait:
    """One face with its five points (5, 2) in a picture: a hand-labelled portrait, or a driver."""

    file: str
    luma: NDArray[np.uint8]
    points: NDArray[np.float32]
    driver: bool
    held_out: bool

    def eyes(self) -> NDArray[np.uint8]:
        """The tiles (2, 56, 56) of its eyes."""
        return np.stack(cut_eyes(self.luma, self.points, TILE_RULE))


def portraits(root: Path) -> Iterator[Portrait]:
    """Hand-labelled portraits, then drivers' frames; held out like the face model's."""
    for table in ("faces/faces.csv", "cabin/frames.csv"):
        with (root / table).open(newline="") as file:
            for row in csv.DictReader(file):
                driver = "driver_group" in row
                if not driver and (row["source"] != "cuhk" or row["auto"] != "0"):
                    continue
                luma = cv2.imread(str(root / row["file"]), cv2.IMREAD_GRAYSCALE)
                if luma is None:
                    raise SystemExit(f"{root / row['file']}: cannot be read")
                aside = (
                    bool(held_out(np.array([row["driver_group"]]))[0])
                    if driver
                    else zlib.crc32(row["file"].encode()) % 10 == 0
                )
                yield Portrait(row["file"], np.asarray(luma, np.uint8), row_points(row), driver, aside)


def _beside(rng: Generator, portrait: Portrait) -> NDArray[np.uint8]:
    """A tile that is off both eyes by more than half its side."""
    points = portrait.points
    span = float(np.linalg.norm(points[1] - points[0]))
    while True:
        shift = rng.uniform(-1.6, 1.6, 2) * span
        if np.linalg.norm(points[:2] - (points[0] + shift), axis=1).min() > 0.6 * span:
            return cut_eyes(portrait.luma, points + shift.astype(np.float32), TILE_RULE)[0]


Transform = Callable[[Generator, NDArray[np.uint8]], NDArray[np.uint8]]


def framed(rng: Generator, tile: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """The tile shifted, turned, scaled and mirrored by chance, as points that are a little off make it."""
    scale = side / TILE_PX * np.exp(rng.normal(0, 0.09))
    angle, stretch = rng.normal(0, np.radians(7)), np.exp(rng.normal(0, 0.05))
    cos, sin = np.cos(angle) * scale, np.sin(angle) * scale
    flip = -1 if rng.random() < 0.5 else 1
    turn = np.array([[flip * cos * stretch, flip * sin], [-sin * stretch, cos]])
    middle = np.full(2, TILE_PX / 2 - 0.5)
    to = side / 2 - 0.5 + rng.normal(0, 0.05, 2) * side
    matrix = np.hstack([turn, (to - turn @ middle)[:, None]])
    shown = cv2.warpAffine(tile, matrix, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(shown, np.uint8)


def weathered(rng: Generator, luma: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Light and sensor of a cabin, without anything in front of the eye."""
    for group, chance in ((augment.LIGHT, 0.25), (augment.SENSOR, 0.3)):
        if rng.random() < chance:
            luma = group[rng.integers(len(group))](rng, luma, rng.uniform(0.2, 0.7))
    return luma


def bespectacled(rng: Generator, luma: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A rim about the eye, tinted glass that still lets the eye through, or both."""
    side = luma.shape[0]
    out, glass = luma.copy(), np.zeros_like(luma)
    centre, axes = _lens(rng, side)
    angle = rng.normal(0, 6)
    cv2.ellipse(glass, centre, axes, angle, 0, 360, 255, -1, cv2.LINE_AA)
    if rng.random() < 0.4:
        tint = rng.uniform(0.45, 0.95)
        cv2.copyTo((luma * tint).astype(np.uint8), glass, out)
    cv2.ellipse(out, centre, axes, angle, 0, 360, float(rng.uniform(0, 200)), int(rng.integers(1, 5)), cv2.LINE_AA)
    if rng.random() < 0.4:
        start = (int(rng.uniform(-0.1, 0.2) * side), centre[1] - int(rng.uniform(0, 0.2) * side))
        cv2.line(out, start, (centre[0] - axes[0], centre[1]), float(rng.uniform(0, 160)), 2, cv2.LINE_AA)
    return out


def sparkling(rng: Generator, luma: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """One to four small reflections of lamps, on the glasses or the eye, that leave most of the eye seen."""
    side = luma.shape[0]
    out = luma.astype(np.float32)
    y, x = np.ogrid[:side, :side]
    for _ in range(int(rng.integers(1, 5))):
        at, width = rng.uniform(0.12, 0.88, 2) * side, np.exp(rng.uniform(np.log(0.012), np.log(0.075))) * side
        tall = width * np.exp(rng.normal(0, 0.3))
        out += rng.uniform(80, 900) * np.exp(-(((x - at[0]) / width) ** 2) - ((y - at[1]) / tall) ** 2)
    return np.asarray(np.clip(out, 0, 255), np.uint8)


def _lens(rng: Generator, side: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Centre and half axes of a lens in front of an eye."""
    x, y = (0.5 + rng.normal(0, 0.05, 2)) * side
    return (int(x), int(y + 0.04 * side)), (int(rng.uniform(0.33, 0.5) * side), int(rng.uniform(0.24, 0.42) * side))


def sunglasses(rng: Generator, luma: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Opaque glass: dark or mirroring, with a gradient and what it reflects; next to nothing of the eye is left."""
    side = luma.shape[0]
    mask = np.zeros_like(luma)
    centre, axes = _lens(rng, side)
    cv2.ellipse(mask, centre, (axes[0] + 4, axes[1] + 4), rng.normal(0, 6), 0, 360, 255, -1, cv2.LINE_AA)
    y, x = np.mgrid[0 : 1 : side * 1j, 0 : 1 : side * 1j]
    base = rng.uniform(0, 90) if rng.random() < 0.75 else rng.uniform(60, 230)
    glass = base + rng.uniform(-40, 80) * y + rng.uniform(-40, 40) * x
    for _ in range(int(rng.integers(0, 4))):
        at, width = rng.uniform(0, 1, 2), rng.uniform(0.04, 0.3, 2)
        glass = glass + rng.uniform(-40, 140) * np.exp(-(((x - at[0]) / width[0]) ** 2) - ((y - at[1]) / width[1]) ** 2)
    if rng.random() < 0.4:
        edge = rng.uniform(0.2, 0.8) + rng.uniform(-0.5, 0.5) * x
        glass = glass + rng.uniform(20, 120) * (y < edge)
    left = rng.uniform(0, 0.08)
    glass = np.clip(glass * (1 - left) + luma * left, 0, 255)
    share = cv2.GaussianBlur(mask, (0, 0), 1.0).astype(np.float32) / 255
    return np.asarray(luma * (1 - share) + glass * share, np.uint8)


def dazzled(rng: Generator, luma: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A reflection that covers the eye."""
    side = luma.shape[0]
    y, x = np.ogrid[:side, :side]
    at = (0.5 + rng.normal(0, 0.05, 2)) * side
    across, down = rng.uniform(0.2, 0.45, 2) * side
    away = ((x - at[0]) / across) ** 2 + ((y - at[1]) / down) ** 2
    bright = rng.uniform(180, 255)
    share = 1 / (1 + np.exp(rng.uniform(4, 14) * (away - 1)))
    return np.asarray(luma + (bright - luma) * share, np.uint8)


def covered(rng: Generator, luma: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Hair, a hand or a phone before the eye: strands or one shape, of any shade."""
    side = luma.shape[0]
    shade, out = float(rng.uniform(0, 220)), luma.copy()
    mask = np.zeros_like(luma)
    if rng.random() < 0.5:
        lean = rng.uniform(-0.6, 0.6)
        for at in rng.normal(0.5, 0.22, int(rng.integers(14, 40))):
            ends = [(int((at - lean / 2) * side), 0), (int((at + lean / 2) * side), side)]
            cv2.line(mask, ends[0], ends[1], float(rng.uniform(150, 255)), int(rng.integers(2, 6)), cv2.LINE_AA)
    else:
        centre = tuple(int(value) for value in (0.5 + rng.normal(0, 0.06, 2)) * side)
        axes = tuple(int(value) for value in rng.uniform(0.34, 0.7, 2) * side)
        cv2.ellipse(mask, centre, axes, float(rng.uniform(0, 180)), 0, 360, 255, -1, cv2.LINE_AA)
    texture = cv2.GaussianBlur(rng.normal(0, 1, luma.shape).astype(np.float32), (0, 0), rng.uniform(0.7, 4))
    cover = np.clip(shade + texture * rng.uniform(0, 60), 0, 255).astype(np.uint8)
    share = mask.astype(np.float32) / 255
    out = luma * (1 - share) + cover * share
    return np.asarray(out, np.uint8)


def elsewhere(rng: Generator, luma: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A corner of the tile, or nothing at all: points far off the eye, or outside the picture."""
    side = luma.shape[0]
    if rng.random() < 0.25:
        flat = rng.uniform(0, 255) + rng.normal(0, rng.uniform(0, 6), luma.shape)
        return np.asarray(np.clip(flat, 0, 255), np.uint8)
    part = luma[:: 1 if rng.random() < 0.5 else -1][: side // 4, : side // 3 + int(rng.integers(0, side // 3))]
    return np.asarray(cv2.resize(np.ascontiguousarray(part), (side, side)), np.uint8)


HIDING: tuple[Transform, ...] = (sunglasses, sunglasses, dazzled, covered, elsewhere)


class TrainingEyes:
    """Samples of all sources: (epoch, index) to a levelled eye of each of ``sides``, its bounds, whether it is told."""

    def __init__(self, sources: list[Eyes], seed: int, sides: tuple[int, ...] = (SIDE,), hidden: float = 0.14) -> None:
        self.tiles = np.concatenate([source.tiles for source in sources])
        self.targets = np.stack(
            [np.concatenate([getattr(source, name) for source in sources]) for name in ("low", "high", "readable")], 1
        )
        self._seed = seed
        self._sides = sides
        self._hidden = hidden

    def __len__(self) -> int:
        return len(self.tiles)

    def __getitem__(self, key: tuple[int, int]) -> tuple[NDArray[np.float32], ...]:
        epoch, index = key
        rng = np.random.default_rng([self._seed, epoch, index])
        luma, target = framed(rng, self.tiles[index], 2 * SIDE), self.targets[index]
        if rng.random() < self._hidden:
            luma = HIDING[rng.integers(len(HIDING))](rng, luma)
            target = np.array([0, 1, 0], np.float32)
        else:
            glasses = rng.random() < 0.25
            luma = bespectacled(rng, luma) if glasses else luma
            luma = sparkling(rng, luma) if rng.random() < (0.6 if glasses else 0.2) else luma
        luma = weathered(rng, luma)
        smaller = (cv2.resize(luma, (side, side), interpolation=cv2.INTER_AREA) for side in self._sides)
        seen = [levelled(np.asarray(small, np.uint8)).astype(np.float32)[None] / 255 for small in smaller]
        return *seen, target


def chances(sources: list[Eyes]) -> NDArray[np.float64]:
    """How often each eye is drawn in an epoch: sources by their shares, rare kinds of a person's eyes more often."""
    parts = []
    for source in sources:
        train = _rarity(source) * np.where(source.use == TRAIN, np.where(source.readable > 0, 1.0, HIDDEN_OFTEN), 0.0)
        lowered = source.about.get("down", np.zeros(len(train))) * (source.low > 0.5)
        train *= np.where((lowered > 0) | (source.low == np.float32(LOWERED[0])), LOWERED_OFTEN, 1.0)
        parts.append(source.share * train / max(train.sum(), 1.0))
    return np.concatenate(parts)


def _rarity(source: Eyes) -> NDArray[np.float64]:
    """One over the square root of how many eyes a person has of this state, with glasses or without."""
    if "subject" not in source.about:
        return np.ones(len(source.tiles))
    kinds = np.stack([source.about[name] > 0 if name == "glasses" else source.about[name] for name in KINDS], 1)
    _, kind, counts = np.unique(kinds, axis=0, return_inverse=True, return_counts=True)
    return np.asarray(1 / np.sqrt(counts[kind.ravel()]), np.float64)


def as_seen(tiles: NDArray[np.uint8], side: int = SIDE) -> NDArray[np.uint8]:
    """Tiles as a model of this side sees them, (N, side, side)."""
    return np.stack([levelled(fitted(tile, side)) for tile in tiles])


def read_sources(
    root: Path, runs: Path, only: Collection[str] = (), without: Collection[str] = (), fold: int | None = None
) -> list[Eyes]:
    """The sources that lie under ``root``; ``only`` or all, but not those that are left out by ``without``.

    Of the ``fold`` no infrared eyes train.
    """
    readers: dict[str, Callable[[], Eyes]] = {
        "mrl": lambda: read_mrl(root, fold),
        "web": lambda: read_web(root),
        "renders": lambda: as_eyes(cached_renders(root, TRAINING_RENDERS, 1, runs), TRAIN, 0.30),
        "faces": lambda: read_faces(root),
        "beside": lambda: read_beside(root),
        "untold": lambda: read_untold(root),
    }
    wanted = [name for name in readers if (not only or name in only) and name not in without]
    return [readers[name]() for name in wanted]


LOWERED_OFTEN = 2.0
"""Likewise an eye that looks down or is half shut, its lids apart."""
HIDDEN_OFTEN = 4.0
"""How often a real eye that cannot be told comes against another one of its source."""
TRAINING_RENDERS, TEST_RENDERS = 14_000, 3_000
