"""The drivers of simulated nights: what the eye model reads of each one's eyes, look by look.

*People* are those of MRL's infrared eyes whom no training of the eye model saw, with and without their glasses. Their
eyes are labelled open or closed alone, so what lies between is drawn (``models.training.eye_renders``), from heads
other than those of the training. A drawn driver is one such head throughout.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar, get_args

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from edge.vision import eyes as eye_reader
from edge.vision.eyes import levelled
from models.training import eye_data, eye_renders
from models.training.eye_renders import EyeMesh, Pose, render

Look = Literal["open", "closing", "nearly closed", "closed", "half", "down", "squint", "laugh", "far down"]
"""What the lids do. Of the two in between, a third and two thirds of a moving lid's exposure show it closed. The last
is a look down that leaves less of the aperture (``looking_far_down``)."""
LOOKS: tuple[Look, ...] = get_args(Look)
Condition = Literal["plain", "dark", "dazzled", "covered"]
"""What the picture does: the lamp flickers, glasses reflect it, a hand covers the eye."""
CONDITIONS: tuple[Condition, ...] = get_args(Condition)
BETWEEN: dict[Look, float] = {"closing": 1 / 3, "nearly closed": 2 / 3}
DRAWN_LOOKS: tuple[Look, ...] = ("half", "down", "squint", "laugh")
"""What a photograph's driver borrows from a drawn head."""
VIEWS = 4
"""Slightly different pictures of one moment, of which each frame is one."""
MOMENTS = 40
"""Moments of one look at most."""
LEAST = 10
"""A person with fewer closed eyes than this borrows those without glasses, or with them."""
DRAWN_DRIVERS = 8
HEADS_FROM = 77_000
"""The first drawn head's seed: no render of the training or of the eye model's own figures begins with it."""
DRAWN_MOMENTS = 8
TUNING_HEADS_FROM = 78_000
"""The first drawn head's seed among drivers on whom the judge may be tuned."""
TRIES, FAR_DOWN_TRIES = 40, 400
"""A head that does not show a look DRAWN_MOMENTS times in so many poses is passed over: its eyes are narrow at rest."""
HARDEST: tuple[Look, ...] = ("down", "open", "laugh", "half", "squint", "closed")
"""Looks in the order in which heads fail to show them."""
APERTURES: dict[Look, tuple[float, float]] = {
    "open": (0.7, 1.2),
    "half": (0.3, 0.7),
    "down": (0.5, 0.85),
    "squint": (0.3, 0.9),
    "laugh": (0.3, 0.8),
    "closed": (0.0, eye_data.P80 / 2),
    "far down": (0.3, 0.5),
}
"""How far the lids of a drawn look are apart, in shares of the aperture at rest. Looking 40 degrees down leaves 6.4 mm
of 9.7, more or less 1.1, and 20 degrees lies between (Read et al., Optometry and Vision Science 83, 2006)."""


@dataclass(frozen=True)
class Sleeper:
    """One driver: by look the readings (C, M, 2, V, 2) of M moments under each of C conditions.

    The third axis is the eye at the picture's left and right, the fourth its views, the last openness and readability.
    """

    name: str
    drawn: bool
    glasses: bool
    looks: Mapping[Look, NDArray[np.float32]]


@dataclass(frozen=True)
class Shots:
    """A driver's pictures: by look tiles (M, 2, S, S) of both eyes."""

    name: str
    drawn: bool
    glasses: bool
    looks: Mapping[Look, NDArray[np.uint8]]


Driver = TypeVar("Driver", Sleeper, Shots)


class CropReader(Protocol):
    """What reads eyes: ``EyeReader``, or a rival's reader of the lids' outline."""

    def read_crops_all(self, crops: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Openness (N,) on the reader's own scale and readability (N,) of single eyes (N, S, S)."""
        ...


def sleepers(data: Path, reader: CropReader, sha256: str, folder: Path, *, tuning: bool = False) -> list[Sleeper]:
    """All drivers, as ``reader``, whose model has this checksum, reads them.

    With ``tuning`` the people whom the eye model was trained on, and other heads: what is chosen is chosen on those.
    Pictures and readings are kept in ``folder``, named by a checksum of all that they come from.
    """
    digest = hashlib.sha256(b"tuning" if tuning else b"quoted")
    for code in (__file__, eye_reader.__file__, eye_data.__file__, eye_renders.__file__):
        digest.update(Path(str(code)).read_bytes())
    digest.update((data / "eyes/mrl.npz").read_bytes())
    shots = _kept(folder / f"shots-{digest.hexdigest()[:16]}.npz", lambda: all_shots(data, tuning=tuning), Shots)
    digest.update(sha256.encode())
    return _kept(
        folder / f"sleepers-{digest.hexdigest()[:16]}.npz",
        lambda: (read_shots(reader, each, number) for number, each in enumerate(shots)),
        Sleeper,
    )


def _kept(path: Path, make: Callable[[], Iterable[Driver]], kind: type[Driver]) -> list[Driver]:
    """What is stored at ``path``, made first where it is missing."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        stored: dict[str, Any] = {
            f"{one.name}|{one.drawn:d}|{one.glasses:d}|{look}": one.looks[look] for one in make() for look in LOOKS
        }
        np.savez_compressed(path, **stored)
    return _stored(path, kind)


def _stored(path: Path, kind: type[Driver]) -> list[Driver]:
    by_driver: dict[tuple[str, bool, bool], dict[Look, NDArray[Any]]] = {}
    with np.load(path) as file:
        for key in file.files:
            name, drawn, glasses, look = key.split("|")
            by_driver.setdefault((name, drawn == "1", glasses == "1"), {})[_look(look)] = file[key]
    return [kind(*who, looks) for who, looks in by_driver.items()]


def _look(name: str) -> Look:
    return LOOKS[LOOKS.index(name)]


def looking_far_down(driver: Sleeper) -> Sleeper:
    """The same driver, of whose aperture a look at the dash leaves 0.3 to 0.5."""
    return replace(driver, looks={**driver.looks, "down": driver.looks["far down"]})


def all_shots(data: Path, *, tuning: bool = False) -> Iterator[Shots]:
    """The pictures of people, then of drawn heads."""
    mesh = EyeMesh.load(data / "head/head.npz")
    seeds = itertools.count(TUNING_HEADS_FROM if tuning else HEADS_FROM)
    for number, (name, glasses, opened, closed) in enumerate(people(data, tuning=tuning)):
        own = _with_between(np.random.default_rng([1, number]), paired(opened), paired(closed))
        borrowed = head(mesh, seeds, DRAWN_LOOKS, glasses=glasses)
        yield Shots(name, drawn=False, glasses=glasses, looks={**own, **borrowed})
    for number in range(DRAWN_DRIVERS):
        glasses = number % 2 == 1
        looks = head(mesh, seeds, ("open", "closed", *DRAWN_LOOKS), glasses=glasses)
        between = _with_between(np.random.default_rng([2, number]), looks["open"], looks["closed"])
        yield Shots(f"head {number + 1}", drawn=True, glasses=glasses, looks={**looks, **between})


def people(data: Path, *, tuning: bool = False) -> Iterator[tuple[str, bool, NDArray[np.uint8], NDArray[np.uint8]]]:
    """Name, glasses, open and closed tiles of each person whom no training saw, as few as there are kept.

    With ``tuning`` of each whom the training saw.
    """
    eyes = eye_data.read_mrl(data)
    part = eyes.only((eyes.use == eye_data.QUOTE) != tuning)
    is_open, subject, glasses = part.about["open"] == 1, part.about["subject"], part.about["glasses"] == 1
    for who in np.unique(subject).tolist():
        for worn in (False, True):
            own = (subject == who) & (glasses == worn)
            if (own & is_open).sum() < LEAST:
                continue
            closed = own & ~is_open
            if closed.sum() < LEAST:
                closed = (subject == who) & ~is_open
            name = f"person {who}{', glasses' if worn else ''}"
            yield name, worn, _some(part.tiles[own & is_open]), _some(part.tiles[closed])


def _some(tiles: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(tiles[np.linspace(0, len(tiles) - 1, min(len(tiles), MOMENTS)).round().astype(int)], np.uint8)


def paired(tiles: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Both eyes (M, 2, S, S) of moments: each tile (M, S, S) beside the one that is most like it, mirrored or not.

    The set does not say which two eyes were seen at once. Eyes that look alike are misread together, as those of one
    face are, which eyes drawn at random would not be.
    """
    small = np.stack([cv2.resize(levelled(tile), (10, 10), interpolation=cv2.INTER_AREA) for tile in tiles])
    flat = small.reshape(len(tiles), -1).astype(float)
    flat = (flat - flat.mean(1, keepdims=True)) / np.maximum(flat.std(1, keepdims=True), 1e-6)
    mirrored = flat.reshape(-1, 10, 10)[:, :, ::-1].reshape(len(tiles), -1)
    alike = np.maximum(flat @ flat.T, flat @ mirrored.T)
    np.fill_diagonal(alike, -np.inf)
    return np.stack([tiles, tiles[alike.argmax(1)]], 1)


def _with_between(
    rng: Generator, opened: NDArray[np.uint8], closed: NDArray[np.uint8]
) -> dict[Look, NDArray[np.uint8]]:
    """Open and closed moments, and exposures during which a lid moves: mixtures of both."""
    one, other = rng.integers(len(opened), size=MOMENTS), rng.integers(len(closed), size=MOMENTS)
    mixed = {
        look: np.asarray(opened[one] * (1 - share) + closed[other] * share, np.uint8) for look, share in BETWEEN.items()
    }
    return {"open": opened, "closed": closed, **mixed}


def head(mesh: EyeMesh, seeds: Iterator[int], looks: Sequence[Look], *, glasses: bool) -> dict[Look, NDArray[np.uint8]]:
    """The next drawn head that can show all ``looks``, tiles (M, 2, S, S), and looks far down besides.

    Its right eye is the left one mirrored.

    The same seed draws the same head, skin, brows, lamp and glasses for every pose.
    """
    for seed in seeds:
        rng = np.random.default_rng([seed, 1])
        found: dict[Look, NDArray[np.uint8]] = {}
        for look in sorted(looks, key=HARDEST.index):
            tiles = _shown(rng, mesh, seed, look, glasses=glasses)
            if tiles is None:
                break
            found[look] = tiles
        else:
            return {**found, "far down": _far_down(mesh, seed, glasses=glasses)}
    raise ValueError("no seed is left")


def _far_down(mesh: EyeMesh, seed: int, *, glasses: bool) -> NDArray[np.uint8]:
    tiles = _shown(np.random.default_rng([seed, 3]), mesh, seed, "far down", glasses=glasses, tries=FAR_DOWN_TRIES)
    if tiles is None:
        raise ValueError(f"head {seed} cannot look far down")
    return tiles


def _shown(
    rng: Generator, mesh: EyeMesh, seed: int, look: Look, *, glasses: bool, tries: int = TRIES
) -> NDArray[np.uint8] | None:
    """A head's look, tiles (M, 2, S, S); None where so many ``tries`` were not enough."""
    tiles: list[NDArray[np.uint8]] = []
    low, high = APERTURES[look]
    for _ in range(tries):
        tile, aperture = render(np.random.default_rng(seed), mesh, _pose(rng, look))
        if low <= aperture <= high:
            sides = [tile, tile[:, ::-1]]
            tiles.append(np.stack([bespectacled(seed, each) for each in sides] if glasses else sides))
        if len(tiles) == DRAWN_MOMENTS:
            return np.stack(tiles)
    return None


def bespectacled(seed: int, tile: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The tile behind the glasses that this head wears."""
    return np.asarray(eye_data.bespectacled(np.random.default_rng(seed), tile), np.uint8)


def _pose(rng: Generator, look: str) -> Pose:
    """What the eye of a drawn driver does, by chance; apart from the look it faces the road."""
    side, up = np.clip(rng.normal(0, 0.3), -1, 1), np.clip(rng.normal(0, 0.15), -0.4, 0.4)
    blink, squint = max(0.0, rng.normal(0, 0.05)), rng.uniform(0, 0.2)
    if look == "closed":
        blink = rng.uniform(0.97, 1.03)
    elif look == "half":
        blink = rng.uniform(0.15, 0.5)
    elif look == "down":
        up, blink = -rng.uniform(0.3, 0.85), rng.uniform(0, 0.1)
    elif look == "far down":
        up, blink = -rng.uniform(0.6, 1.25), rng.uniform(0, 0.3)
    elif look == "squint":
        squint, blink = rng.uniform(0.6, 1.3), rng.uniform(0, 0.25)
    elif look == "laugh":
        squint, blink = rng.uniform(0.7, 1.2), rng.uniform(0.05, 0.3)
    gaze = np.array([side, up], np.float32)
    return Pose(blink, squint, 0.0, gaze, float(rng.normal(0, 8)), float(rng.normal(4, 5)))


def read_shots(reader: CropReader, shots: Shots, seed: int) -> Sleeper:
    """What the reader makes of each moment of each look, in VIEWS views under each condition."""
    rng = np.random.default_rng([seed, 2])
    return Sleeper(
        shots.name,
        shots.drawn,
        shots.glasses,
        {
            look: np.stack([_read(reader, rng, shots.looks[look], condition) for condition in CONDITIONS])
            for look in LOOKS
        },
    )


def _read(reader: CropReader, rng: Generator, tiles: NDArray[np.uint8], condition: Condition) -> NDArray[np.float32]:
    """Readings (M, 2, V, 2) of moments (M, 2, S, S)."""
    moments, eyes = tiles.shape[:2]
    views = [
        view(rng, seen(rng, tiles[moment, eye], condition))
        for moment in range(moments)
        for eye in range(eyes)
        for _ in range(VIEWS)
    ]
    openness, readable = reader.read_crops_all(np.stack(views))
    return np.stack([openness, readable], 1).reshape(moments, eyes, VIEWS, 2)


def seen(rng: Generator, tile: NDArray[np.uint8], condition: Condition) -> NDArray[np.uint8]:
    """The tile (S, S) under a condition."""
    if condition == "dark":
        return np.asarray(tile * rng.uniform(0.15, 0.4), np.uint8)
    if condition == "dazzled":
        hide = eye_data.dazzled if rng.random() < 0.5 else eye_data.sparkling
        return np.asarray(hide(rng, tile), np.uint8)
    if condition == "covered":
        return np.asarray(eye_data.covered(rng, tile), np.uint8)
    return tile


def view(rng: Generator, tile: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The tile (S, S) as another frame shows it: a little moved, turned, scaled, in another light, with noise."""
    side = tile.shape[0]
    middle = (side / 2 - 0.5, side / 2 - 0.5)
    matrix = cv2.getRotationMatrix2D(middle, float(rng.normal(0, 3)), float(np.exp(rng.normal(0, 0.04))))
    matrix[:, 2] = matrix[:, 2] + rng.normal(0, 0.025 * side, 2)
    moved = cv2.warpAffine(tile, matrix, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    lit = moved * rng.uniform(0.85, 1.15) + rng.normal(0, rng.uniform(1, 4), moved.shape)
    return np.asarray(np.clip(lit, 0, 255), np.uint8)
