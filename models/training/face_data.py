"""Pictures with labelled faces for the face model, assembled into canvases of the model's input size."""

from __future__ import annotations

import csv
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from rich.progress import track

from models.training import augment
from models.training.expression_data import held_out, row_points

WIDTH, HEIGHT = 160, 128  # of the model's input, pixels
STRIDE = 8  # input pixels a cell
SIZE_UNIT_PX = 32.0  # a face of this size (square root of the box's area, input pixels) has a log size of 0
SMALLEST_PX = 9.0  # smaller faces in the input are neither face nor background
POSITIVE = 0.28  # cells closer to the face's middle than this share of its size are trained to find it
CABIN_SHARE = 0.6  # of the canvases with a face; the others keep the light and the lens they were taken with
TURNED = 0.07  # of the canvases are upside down or on their side: no driver's face, whatever is in them
FACELESS = 0.22  # of the canvases show no face; a window without one is not always hit upon
HEADLESS = 0.35  # of the faceless ones, where the picture is a portrait, are all of it but the head: clothes and hands
DARK_SKIN = 0.18  # of the faces get a darker skin
GLASSES, HAND = 0.10, 0.12  # of the faces get
DIM = 0.10  # of the canvases are of a night that no gain lifts
IGNORED = 0.48  # beyond the positive cells up to this share nothing is asked of the score


@dataclass(frozen=True)
class Picture:
    """A luma picture (H, W) with its faces: boxes (N, 4), points (N, 5, 2) with NaN where unknown, box trust (N,)."""

    luma: NDArray[np.uint8]
    boxes: NDArray[np.float32]
    points: NDArray[np.float32]
    box_known: NDArray[np.bool_]
    source: str
    group: str


def read_pictures(root: Path, detector: Path | None) -> list[Picture]:
    """All pictures of faces.csv and cabin/frames.csv, one entry a file, faces in the order of the table.

    The portraits' boxes were drawn from brow to chin, the others' enclose the head's whole front. ``detector`` (YuNet)
    gives the portraits boxes of the second kind; a portrait where it does not find the labelled face gives no box.
    """
    pictures = [*_read_table(root, "faces/faces.csv"), *_read_table(root, "cabin/frames.csv")]
    return [_rebox(picture, detector) for picture in track(pictures, "boxes")]


def _read_table(root: Path, table: str) -> list[Picture]:
    rows_of: dict[str, list[dict[str, str]]] = {}
    with (root / table).open(newline="") as file:
        for row in csv.DictReader(file):
            rows_of.setdefault(row["file"], []).append(row)
    pictures = []
    for name, rows in rows_of.items():
        luma = cv2.imread(str(root / name), cv2.IMREAD_GRAYSCALE)
        if luma is None:
            raise SystemExit(f"{root / name}: cannot be read")
        boxes = np.array([[float(row[key]) for key in "xywh"] for row in rows], np.float32)
        unknown = np.full((5, 2), np.nan, np.float32)
        points = np.stack([row_points(row) if row["eye_r_x"] else unknown for row in rows])
        by_hand = np.array([row.get("source") == "cuhk" and row.get("auto") == "0" for row in rows])
        group = rows[0].get("driver_group") or name
        source = rows[0].get("source") or "cabin"
        pictures.append(Picture(np.asarray(luma, np.uint8), boxes, points, ~by_hand, source, group))
    return pictures


def _rebox(picture: Picture, detector: Path | None) -> Picture:
    if picture.source != "cuhk" or detector is None:
        return picture
    height, width = picture.luma.shape
    yunet = cv2.FaceDetectorYN.create(str(detector), "", (width, height), 0.6)
    _, found = yunet.detect(cv2.cvtColor(picture.luma, cv2.COLOR_GRAY2BGR))
    boxes, known = picture.boxes.copy(), picture.box_known.copy()
    for number in np.flatnonzero(~known):
        size = np.sqrt(boxes[number, 2] * boxes[number, 3])
        for face in [] if found is None else found:
            gap = np.linalg.norm(face[4:14].reshape(5, 2) - picture.points[number], axis=1).mean()
            if gap < 0.12 * size:
                boxes[number], known[number] = face[:4], True
    return replace(picture, boxes=boxes, box_known=known)


def is_held_out(picture: Picture) -> bool:
    """One portrait in ten and one driver group in five, by checksums of their names; scenes all train."""
    if picture.source == "cabin":
        return bool(held_out(np.array([picture.group]))[0])
    return picture.source == "cuhk" and zlib.crc32(picture.group.encode()) % 10 == 0


def face_sizes(picture: Picture) -> NDArray[np.float32]:
    """Size of each face, pixels: from the box, or where only a brow-to-chin box is known, from the points."""
    from_box = np.sqrt(picture.boxes[:, 2] * picture.boxes[:, 3])
    return np.asarray(np.where(picture.box_known, from_box, from_box * 1.2), np.float32)


def face_middles(picture: Picture) -> NDArray[np.float32]:
    """Where each face is looked for: the mean of its points, or of its box where the points are unknown."""
    from_box = picture.boxes[:, :2] + picture.boxes[:, 2:] / 2
    from_points = picture.points.mean(1)
    return np.asarray(np.where(np.isnan(from_points), from_box, from_points), np.float32)


@dataclass
class Canvas:
    """A picture under assembly, with the faces in it. ``state``: 1 to find, 0 to ignore."""

    luma: NDArray[np.uint8]
    boxes: NDArray[np.float32]
    points: NDArray[np.float32]
    box_known: NDArray[np.bool_]
    sizes: NDArray[np.float32]
    state: NDArray[np.int8]

    @classmethod
    def blank(cls, rng: Generator) -> Canvas:
        """Grey with a little noise and no faces."""
        luma = np.clip(rng.uniform(0, 200) + rng.normal(0, 4, (HEIGHT, WIDTH)), 0, 255).astype(np.uint8)
        none = np.zeros((0, 4), np.float32)
        return cls(
            luma,
            none,
            np.zeros((0, 5, 2), np.float32),
            np.zeros(0, bool),
            np.zeros(0, np.float32),
            np.zeros(0, np.int8),
        )

    @property
    def middles(self) -> NDArray[np.float32]:
        """Middle of each face, canvas pixels."""
        from_points = self.points.mean(1)
        return np.where(np.isnan(from_points), self.boxes[:, :2] + self.boxes[:, 2:] / 2, from_points)

    def paste(self, picture: Picture, matrix: NDArray[np.float64], *, replicate: bool) -> None:
        """Warp ``picture`` onto the canvas; faces that it covers are ignored or gone, its own are added."""
        scale = float(np.hypot(matrix[0, 0], matrix[0, 1]))
        luma, matrix_small = _shrink(picture.luma, matrix, scale)
        size = (WIDTH, HEIGHT)
        warped = cv2.warpAffine(luma, matrix_small, size, borderMode=cv2.BORDER_REPLICATE)
        if replicate:
            self.luma = warped
            self._keep(np.zeros(len(self.state), bool))
        else:
            inside = cv2.warpAffine(np.full_like(luma, 255), matrix_small, size, flags=cv2.INTER_NEAREST)
            cv2.copyTo(warped, inside, self.luma)
            self._cover(inside)
        self._add(picture, matrix, scale)

    def _cover(self, inside: NDArray[np.uint8]) -> None:
        keep = np.ones(len(self.state), bool)
        for number, (middle, size) in enumerate(zip(self.middles, self.sizes, strict=True)):
            low = np.maximum((middle - size * 0.6).astype(int), 0)
            high = np.maximum((middle + size * 0.6).astype(int) + 1, 1)
            area = inside[low[1] : high[1], low[0] : high[0]]
            hidden = float(area.mean()) / 255 if area.size else 1.0
            keep[number] = hidden < 0.8
            if hidden > 0.25:
                self.state[number] = 0
        self._keep(keep)

    def _keep(self, keep: NDArray[np.bool_]) -> None:
        for name in ("boxes", "points", "box_known", "sizes", "state"):
            setattr(self, name, getattr(self, name)[keep])

    def _add(self, picture: Picture, matrix: NDArray[np.float64], scale: float) -> None:
        count = len(picture.boxes)
        points = _apply(matrix, picture.points)
        if matrix[0, 0] * matrix[1, 1] - matrix[0, 1] * matrix[1, 0] < 0:  # mirrored: keep left to right in the image
            points = points[:, [1, 0, 2, 4, 3]]
        centres = _apply(matrix, picture.boxes[:, None, :2] + picture.boxes[:, None, 2:] / 2)[:, 0]
        extent = picture.boxes[:, 2:] * scale
        boxes = np.concatenate([centres - extent / 2, extent], 1)
        sizes = face_sizes(picture) * scale
        self.boxes = np.concatenate([self.boxes, boxes]).astype(np.float32)
        self.points = np.concatenate([self.points, points]).astype(np.float32)
        self.box_known = np.concatenate([self.box_known, picture.box_known])
        self.sizes = np.concatenate([self.sizes, sizes]).astype(np.float32)
        self.state = np.concatenate([self.state, np.ones(count, np.int8)])
        margin = self.sizes * 0.15
        x, y = self.middles.T
        out = (x < margin) | (y < margin) | (x > WIDTH - margin) | (y > HEIGHT - margin)
        self.state[out | (self.sizes < SMALLEST_PX)] = 0


def _apply(matrix: NDArray[np.float64], points: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(points @ matrix[:, :2].T + matrix[:, 2], np.float32)


def _shrink(
    luma: NDArray[np.uint8], matrix: NDArray[np.float64], scale: float
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Average the picture down first where the warp shrinks it a lot, so that nothing aliases."""
    times = int(min(max(1.0, 1 / scale), min(luma.shape) // 8 or 1))
    if times < 2:
        return luma, matrix
    height, width = luma.shape
    small = cv2.resize(luma, (width // times, height // times), interpolation=cv2.INTER_AREA)
    ratio = np.array([width / (width // times), height / (height // times)])
    shrunk = matrix.copy()
    shrunk[:, 2] = matrix[:, :2] @ (ratio / 2 - 0.5) + matrix[:, 2]
    shrunk[:, :2] = matrix[:, :2] * ratio
    return small, shrunk


def placement(
    rng: Generator, picture: Picture, number: int, size: float, where: NDArray[np.float64], turn_deg: float
) -> NDArray[np.float64]:
    """The matrix that brings face ``number`` to ``where`` (x, y) at ``size`` pixels, turned, perhaps mirrored."""
    scale = size / float(face_sizes(picture)[number])
    cos, sin = np.cos(np.radians(turn_deg)) * scale, np.sin(np.radians(turn_deg)) * scale
    mirror = -1.0 if rng.random() < 0.5 else 1.0
    turn = np.array([[cos * mirror, sin], [-sin * mirror, cos]])
    return np.hstack([turn, (where - turn @ face_middles(picture)[number])[:, None]])


def compose(rng: Generator, pictures: list[Picture], index: int) -> Canvas:
    """A training canvas around picture ``index``: a driver's view, a close view, a mosaic, or a view without a face."""
    if rng.random() < TURNED:
        return turned(rng, compose(rng, pictures, index))
    if not len(pictures[index].boxes):
        return faceless(rng, pictures, index) or Canvas.blank(rng)
    if rng.random() < FACELESS and (empty := faceless(rng, pictures, index)) is not None:
        return empty
    picture = pictures[index]
    number = int(rng.integers(len(picture.boxes)))
    turn = rng.uniform(-30, 30) if rng.random() < 0.2 else rng.normal(0, 6)
    canvas = Canvas.blank(rng)
    kind = rng.random()
    if kind < 0.40:  # close, as when the driver is followed
        where = np.array([WIDTH, HEIGHT]) / 2 + rng.normal(0, 12, 2)
        size = float(np.exp(rng.uniform(np.log(36), np.log(100))))
    else:
        size = float(np.exp(rng.uniform(np.log(12), np.log(70))))
        where = rng.uniform([0.1 * WIDTH, 0.1 * HEIGHT], [0.9 * WIDTH, 0.9 * HEIGHT])
    if kind > 0.88:  # look away from the face
        where = where + rng.choice([-1.0, 1.0], 2) * rng.uniform(1.0, 1.6) * size
    if kind > 0.55 or rng.random() < 0.5:
        backdrop = next(other for other in _drawn(rng, pictures) if len(other.boxes))
        other = int(rng.integers(len(backdrop.boxes)))
        spot = rng.uniform([-0.2 * WIDTH, -0.2 * HEIGHT], [1.2 * WIDTH, 1.2 * HEIGHT])
        canvas.paste(
            backdrop, placement(rng, backdrop, other, float(np.exp(rng.uniform(2.5, 4.8))), spot, 0.0), replicate=True
        )
        canvas.paste(picture, placement(rng, picture, number, size, where, turn), replicate=False)
    else:
        canvas.paste(picture, placement(rng, picture, number, size, where, turn), replicate=True)
    for face in np.flatnonzero((canvas.state > 0) & ~np.isnan(canvas.points[:, 0, 0])):
        dress(rng, canvas, face)
    canvas.luma = lit(rng, canvas.luma, CABIN_SHARE)
    return canvas


def _drawn(rng: Generator, pictures: list[Picture]) -> Iterator[Picture]:
    """Pictures at random, without end."""
    while True:
        yield pictures[int(rng.integers(len(pictures)))]


def dress(rng: Generator, canvas: Canvas, face: int) -> None:
    """Perhaps a darker skin, glasses, and something in front of a face."""
    points, size = canvas.points[face], float(canvas.sizes[face])
    if rng.random() < DARK_SKIN:
        canvas.luma = augment.dark_skin(rng, canvas.luma, points, size)
    if rng.random() < GLASSES:
        canvas.luma = augment.glasses(rng, canvas.luma, points[:2])
    if rng.random() < HAND:
        _hand(rng, canvas.luma, points, size)


def lit(rng: Generator, luma: NDArray[np.uint8], cabin_share: float = 1.0) -> NDArray[np.uint8]:
    """The picture in a cabin's light, in the light it was taken in, or at night."""
    if rng.random() < cabin_share:
        luma = augment.cabin(rng, luma, 0.8)
    return augment.dim(rng, luma) if rng.random() < DIM else luma


def turned(rng: Generator, canvas: Canvas) -> Canvas:
    """The canvas by half a turn or a quarter, with nothing to find in it: points would be read as upright ones."""
    if rng.random() < 0.5:
        luma = canvas.luma[::-1, ::-1]
    else:
        edge = (WIDTH - HEIGHT) // 2
        quarter = np.rot90(canvas.luma, int(rng.choice([1, 3])))[edge : edge + HEIGHT]
        luma = np.pad(quarter, ((0, 0), (edge, edge)), mode="edge")
    empty = Canvas.blank(rng)
    empty.luma = np.ascontiguousarray(luma)
    return empty


def faceless(rng: Generator, pictures: list[Picture], index: int) -> Canvas | None:
    """A random window of picture ``index`` that touches no face, enlarged to the canvas; None where none was found."""
    picture = pictures[index]
    if picture.source == "cuhk" and len(picture.boxes) == 1 and rng.random() < HEADLESS:
        return headless(rng, picture)
    height, width = picture.luma.shape
    grown = 0.25 * picture.boxes[:, 2:]
    low, high = picture.boxes[:, :2] - grown, picture.boxes[:, :2] + picture.boxes[:, 2:] + grown
    for _ in range(12):
        scale = float(np.exp(rng.uniform(np.log(0.12), np.log(0.7)))) * width / WIDTH
        size = np.array([WIDTH, HEIGHT]) * scale
        if size[1] >= height:
            continue
        corner = rng.uniform([0, 0], np.array([width, height]) - size)
        if ((corner < high) & (corner + size > low)).all(1).any():
            continue
        canvas = Canvas.blank(rng)
        matrix = np.hstack([np.eye(2) / scale, -(corner / scale)[:, None]])
        canvas.paste(picture, matrix, replicate=True)
        canvas.luma = lit(rng, np.ascontiguousarray(canvas.luma[:, :: rng.choice([-1, 1])]))
        return canvas
    return None


def sides(picture: Picture) -> list[NDArray[np.uint8]]:
    """What lies left and right of the head in a driver's frame, where it is at least 120 pixels wide."""
    x, _, width, _ = picture.boxes[0]
    left, right = int(x - 0.35 * width), int(x + 1.35 * width)
    parts = (picture.luma[:, : max(left, 0)], picture.luma[:, right:])
    return [part for part in parts if part.shape[1] >= 120]


def empty_seats(pictures: list[Picture]) -> list[Picture]:
    """The sides of the drivers' frames, as pictures without a face."""
    none = np.zeros((0, 4), np.float32), np.zeros((0, 5, 2), np.float32), np.zeros(0, bool)
    cabins = (picture for picture in pictures if picture.source == "cabin")
    return [Picture(part, *none, "empty", picture.group) for picture in cabins for part in sides(picture)]


def headless(rng: Generator, picture: Picture) -> Canvas:
    """Picture with its head painted out, at the sizes and places at which faces are shown."""
    none = np.zeros((0, 4), np.float32)
    rest = replace(
        picture,
        luma=without_head(picture.luma, picture.boxes[0]),
        boxes=none,
        points=np.zeros((0, 5, 2), np.float32),
        box_known=np.zeros(0, bool),
    )
    canvas = Canvas.blank(rng)
    size = float(np.exp(rng.uniform(np.log(20), np.log(100))))
    where = rng.uniform([0.1 * WIDTH, -0.3 * HEIGHT], [0.9 * WIDTH, 0.7 * HEIGHT])
    canvas.paste(rest, placement(rng, picture, 0, size, where, rng.normal(0, 6)), replicate=True)
    canvas.luma = lit(rng, canvas.luma)
    return canvas


def without_head(luma: NDArray[np.uint8], box: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The picture with the head in ``box`` (x, y, w, h: the face) painted out."""
    x, y, width, height = (float(value) for value in box)
    small = cv2.resize(luma, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    mask = np.zeros_like(small)
    centre = (int((x + width / 2) / 4), int((y + height * 0.42) / 4))
    cv2.ellipse(mask, centre, (int(width * 0.85 / 4), int(height * 0.98 / 4)), 0, 0, 360, 255, -1)
    filled = cv2.inpaint(small, mask, 3, cv2.INPAINT_TELEA)
    size = luma.shape[::-1]
    large = cv2.resize(filled, size, interpolation=cv2.INTER_LINEAR)
    out = luma.copy()
    cv2.copyTo(large, cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST), out)
    return out


def _hand(rng: Generator, luma: NDArray[np.uint8], points: NDArray[np.float32], size: float) -> None:
    """Something in front of the lower or one side of a face, that leaves at least one eye free."""
    middle = points[rng.integers(2, 5)] + rng.normal(0, 0.1, 2) * size
    axes = (max(1, int(size * rng.uniform(0.12, 0.32))), max(1, int(size * rng.uniform(0.1, 0.22))))
    shade = float(rng.uniform(20, 235))
    cv2.ellipse(luma, (int(middle[0]), int(middle[1])), axes, rng.uniform(0, 180), 0, 360, shade, -1, cv2.LINE_AA)


def cell_centres() -> NDArray[np.float32]:
    """Centre of each cell, (rows, columns, 2) as x, y in input pixels."""
    y, x = np.mgrid[STRIDE / 2 : HEIGHT : STRIDE, STRIDE / 2 : WIDTH : STRIDE]
    return np.stack([x, y], -1).astype(np.float32) - 0.5


def targets(canvas: Canvas) -> NDArray[np.float32]:
    """What each cell shall say: (19, 16, 20).

    Channels: score, score weight, face weight for box, for points (each face's cells add up to 1), 4 of box, 10 of
    points, and the face's size in pixels; the layout of box and points is FaceNet's.
    """
    centres = cell_centres()
    out = np.zeros((19, *centres.shape[:2]), np.float32)
    out[1] = 1.0
    for number in np.argsort(canvas.sizes):  # larger faces, which are nearer, overwrite smaller ones
        size, middle = float(canvas.sizes[number]), canvas.middles[number]
        distance = np.linalg.norm(centres - middle, axis=-1)
        out[1][distance < max(IGNORED * size, 6.0)] = 0.0
        if canvas.state[number] == 0:
            continue
        mine = distance < POSITIVE * size
        mine |= distance <= distance.min() + 1e-3
        box, points = canvas.boxes[number], canvas.points[number]
        offset = (middle_of(box) - centres[mine]) / size
        out[0][mine] = out[1][mine] = 1.0
        share = 1.0 / mine.sum()
        out[2][mine] = share * canvas.box_known[number]
        out[3][mine] = 0.0 if np.isnan(points).any() else share
        out[4, mine], out[5, mine] = offset.T
        out[6][mine] = np.log2(size / SIZE_UNIT_PX)
        out[7][mine] = np.log2(box[2] / box[3])
        gaps = (np.nan_to_num(points)[None] - centres[mine][:, None]) / size
        out[8:18, mine] = gaps.reshape(-1, 10).T
        out[18][mine] = size
    return out


def middle_of(box: NDArray[np.float32]) -> NDArray[np.float32]:
    """Centre (x, y) of a box x, y, w, h."""
    return box[:2] + box[2:] / 2


class TrainingCanvases:
    """Canvases (1, 128, 160), 0 to 1, with targets (19, 16, 20), for a loader.

    ``data[epoch, index]`` is the same however often and wherever it is asked for.
    """

    def __init__(
        self, pictures: list[Picture], seed: int, make: Callable[[Generator, list[Picture], int], Canvas] = compose
    ) -> None:
        self.pictures = pictures
        self.seed = seed
        self.make = make

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, key: tuple[int, int]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        epoch, index = key
        rng = np.random.default_rng([self.seed, epoch, index])
        canvas = self.make(rng, self.pictures, index)
        return canvas.luma.astype(np.float32)[None] / 255, targets(canvas)
