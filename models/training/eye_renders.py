"""Eyes drawn from the parametric head of the data folder (``head/head.npz``: ICT-FaceKit, MIT), with exact lids.

A render holds one eye framed as ``edge.vision.crop.cut_eyes`` cuts it. The mesh gives lids, brows and nose of nobody in
particular; the eyeball is a sphere drawn pixel by pixel (sclera, iris, pupil, glint), and skin, brows and lashes are
shaded and strewn by chance, by a lamp beside the lens as in infrared or by daylight. How far the lids are apart is
measured on the mesh.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from rich.progress import track

from edge.compat import Self
from models.training.side_on import turn

SIDE_IN_UNITS = 0.9
"""Side of an eye's crop; the unit is the longer of two distances: eye to eye, and eyes' to mouth's midpoint."""
TILE_PX = 56
DRAWN_PX = 2 * TILE_PX
FACE_VERTICES = 9409
LASHES = (25351, 26719)
SHAPES = ("Blink", "LookDown", "LookIn", "LookOut", "LookUp", "Squint", "Wide")
BROWS = ("browDown", "browInnerUp", "browOuterUp", "cheekRaiser", "noseSneer")
# Of the 68 landmarks, of the eye at the picture's left: upper lid's middle pair over lower lid's; corners; brow.
UPPER, LOWER = (37, 38), (41, 40)
CORNERS = ((36, 39), (42, 45))
MOUTH = (48, 54)
BROW = tuple(range(17, 22))
LIDS_CM = 0.11
"""What lies between the landmarks of lids that are closed: the lids' own thickness."""
BALL_CM = 1.43
BALL = np.array([-3.195, 3.616, 8.441], np.float32)
REACH_CM = 5.2
"""Vertices farther from the eye than this in the picture's plane are never seen in a tile."""
WANDER = np.radians([26.0, 20.0])
"""How far an eye turns sideways and up or down at a gaze shape of 1."""


@dataclass(frozen=True)
class Renders:
    """Tiles (N, 56, 56) of drawn eyes.

    ``aperture`` (N,) is how far the lids are apart, 0 closed to 1 as at rest, ``gaze`` (N, 2) how far the eye looks to
    the picture's right and up in shares of ``WANDER``, ``squint`` (N,) how far it squints, ``yaw`` (N,) in degrees.
    """

    tiles: NDArray[np.uint8]
    aperture: NDArray[np.float32]
    gaze: NDArray[np.float32]
    squint: NDArray[np.float32]
    yaw: NDArray[np.float32]


@dataclass(frozen=True)
class EyeMesh:
    """What of the head lies about the eye at the picture's left; cm, x to the picture's right, y up, z to the camera.

    ``shapes`` are what expressions move, by name; ``triangles`` of skin and of lashes, ``landmarks`` as in the mesh.
    """

    neutral: NDArray[np.float32]
    identities: NDArray[np.float32]
    shapes: dict[str, NDArray[np.float32]]
    skin: NDArray[np.int32]
    lashes: NDArray[np.int32]
    landmarks: NDArray[np.int32]

    @classmethod
    def load(cls, path: Path) -> Self:
        """Skin and lashes about one eye of the stored mesh, and the landmarks' vertices wherever they lie."""
        with np.load(path) as stored:
            neutral, step = stored["neutral"], float(stored["step"])
            near = np.abs(neutral[:, :2] - BALL[:2]).max(1) < REACH_CM
            number = np.arange(len(neutral))
            drawn = (number < FACE_VERTICES) | ((number >= LASHES[0]) & (number < LASHES[1]))
            wanted = near & drawn & (neutral[:, 2] > 0)
            wanted[stored["landmarks68"]] = True
            kept = np.flatnonzero(wanted)
            place = np.full(len(neutral), -1, np.int32)
            place[kept] = np.arange(len(kept), dtype=np.int32)
            triangles = place[stored["triangles"]]
            triangles = triangles[(triangles >= 0).all(1)]
            on_lash = kept[triangles[:, 0]] >= LASHES[0]
            moves = stored["expressions"]
            names = [f"eye{name}_R" for name in SHAPES] + [f"{name}_R" for name in BROWS]
            order = [str(name) for name in stored["expression_names"]]
            return cls(
                neutral[kept],
                stored["identities"][:, kept].astype(np.float32) * step,
                {name[:-2]: moves[order.index(name)][kept].astype(np.float32) * step for name in names},
                triangles[~on_lash],
                triangles[on_lash],
                place[stored["landmarks68"]],
            )

    def gap(self, vertices: NDArray[np.float32]) -> float:
        """How far the lids' landmarks are apart, cm."""
        upper, lower = (vertices[self.landmarks[list(pair)]] for pair in (UPPER, LOWER))
        return float((upper[:, 1] - lower[:, 1]).mean())


@dataclass(frozen=True)
class Pose:
    """What an eye does in one render, in the mesh's terms."""

    blink: float
    squint: float
    wide: float
    gaze: NDArray[np.float32]
    yaw: float
    pitch: float


def draw_pose(rng: Generator) -> Pose:
    """A pose by chance: every lid from closed to wide, lowered gazes as often as straight ones."""
    side, up = rng.normal(0, 0.45), rng.normal(0, 0.35)
    kind = rng.choice(["open", "down", "half", "closed", "squint"], p=[0.2, 0.28, 0.16, 0.22, 0.14])
    blink, squint = max(0.0, rng.normal(0, 0.07)), rng.uniform(0, 0.3)
    if kind == "down":
        up, blink = -rng.uniform(0.45, 1.25), rng.uniform(0, 0.2)
    elif kind == "half":
        blink = rng.uniform(0.15, 0.85)
    elif kind == "closed":
        blink, up = rng.uniform(0.94, 1.05), rng.uniform(-1, 0.4)
    elif kind == "squint":
        squint, blink = rng.uniform(0.5, 1.4), rng.uniform(0, 0.3)
    gaze = np.array([np.clip(side, -1.2, 1.2), np.clip(up, -1.3, 1.0)], np.float32)
    wide = rng.uniform(0, 0.8) if kind == "open" and rng.random() < 0.3 else 0.0
    return Pose(blink, squint, wide, gaze, float(rng.normal(0, 20)), float(rng.normal(3, 10)))


def lids(mesh: EyeMesh, pose: Pose) -> NDArray[np.float32]:
    """What the pose moves, (V, 3). The upper lid follows the gaze down; closed lids stay closed."""
    side, up = pose.gaze
    moved = mesh.shapes["eyeBlink"] * min(pose.blink, 1.0) + mesh.shapes["eyeSquint"] * pose.squint
    moved = moved + mesh.shapes["eyeWide"] * pose.wide
    left = 1 - min(pose.blink, 1.0)
    for name, amount in (("Down", -up), ("Up", up), ("Out", -side), ("In", side)):
        if amount > 0:
            moved = moved + mesh.shapes[f"eyeLook{name}"] * (amount * left)
    return np.asarray(moved, np.float32)


def render(rng: Generator, mesh: EyeMesh, pose: Pose) -> tuple[NDArray[np.uint8], float]:
    """One eye as a tile (56, 56) and how far its lids are apart."""
    person = mesh.neutral + np.tensordot(rng.normal(0, 0.6, len(mesh.identities)), mesh.identities, 1)
    rest = mesh.gap(person) - LIDS_CM
    shape = person + lids(mesh, pose)
    for name in BROWS:
        shape = shape + mesh.shapes[name] * (rng.uniform(0, 1) * (rng.random() < 0.4))
    aperture = float(np.clip((mesh.gap(shape) - LIDS_CM) / max(rest, 0.3), 0, 1.2))
    rotation = turn(pose.yaw, pose.pitch, rng.normal(0, 4))
    seen = np.asarray(shape @ rotation.T * np.array([1, -1, 1]), np.float32)
    at_rest = person @ rotation.T * np.array([1, -1, 1])
    eyes = np.stack([at_rest[mesh.landmarks[list(pair)]].mean(0)[:2] for pair in CORNERS])
    mouth = at_rest[mesh.landmarks[list(MOUTH)]].mean(0)[:2]
    unit = max(float(np.linalg.norm(eyes[1] - eyes[0])), float(np.linalg.norm(mouth - eyes.mean(0))))
    scale = DRAWN_PX / (SIDE_IN_UNITS * unit * np.exp(rng.normal(0, 0.06)))
    middle = eyes[0] + rng.normal(0, 0.035, 2) * unit
    place = (seen[:, :2] - middle) * scale + DRAWN_PX / 2
    light = _light(rng)
    centre = (BALL + (person - mesh.neutral)[mesh.landmarks[[36, 39]]].mean(0)) @ rotation.T * np.array([1, -1, 1])
    skin_luma = np.exp(rng.uniform(np.log(45), np.log(215)))
    picture = _ball(
        rng, (centre[:2] - middle) * scale + DRAWN_PX / 2, BALL_CM * scale, pose, rotation, light, skin_luma
    )
    shade = _skin(rng, mesh, person, seen, light, skin_luma)
    _fill(picture, mesh.skin, place, seen[:, 2], shade)
    picture = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.6, 1.1))
    _brow(rng, picture, place[mesh.landmarks[list(BROW)]], scale, skin_luma)
    _lashes(rng, picture, mesh, place, skin_luma)
    grain = cv2.GaussianBlur(rng.normal(0, 1, picture.shape).astype(np.float32), (0, 0), rng.uniform(0.8, 3))
    picture = picture + grain * rng.uniform(0, 0.06) * skin_luma
    tile = cv2.resize(np.clip(picture, 0, 255).astype(np.uint8), (TILE_PX, TILE_PX), interpolation=cv2.INTER_AREA)
    return np.asarray(tile, np.uint8), aperture


def _light(rng: Generator) -> NDArray[np.float64]:
    """Direction to the lamp, y down: beside the lens as in infrared, or from above and the side."""
    spread = 0.35 if rng.random() < 0.6 else 1.1
    light = np.array([rng.normal(0, spread), rng.normal(-0.25, spread * 0.7), 1.0])
    return light / np.linalg.norm(light)


def _ball(
    rng: Generator,
    at: NDArray[np.float64],
    radius: float,
    pose: Pose,
    rotation: NDArray[np.float32],
    light: NDArray[np.float64],
    skin: float,
) -> NDArray[np.float32]:
    """The eyeball, wherever it would be seen without lids: sclera, iris with its dark rim, pupil, glints."""
    y, x = np.mgrid[:DRAWN_PX, :DRAWN_PX].astype(np.float64)
    nx, ny = (x - at[0]) / radius, (y - at[1]) / radius
    nz = np.sqrt(np.clip(1 - nx * nx - ny * ny, 0, None))
    side, up = pose.gaze * WANDER
    ahead = np.array([np.sin(side) * np.cos(up), np.sin(up), np.cos(side) * np.cos(up)])
    gaze = ahead @ rotation.T * np.array([1, -1, 1])
    angle = np.degrees(np.arccos(np.clip(nx * gaze[0] + ny * gaze[1] + nz * gaze[2], -1, 1)))
    white = min(235.0, skin * rng.uniform(0.75, 1.35))
    iris = white * rng.uniform(0.18, 0.85)
    pupil = white * rng.uniform(0.03, 0.3) if rng.random() < 0.93 else white * rng.uniform(1.0, 1.5)
    edge, hole = rng.uniform(22, 26), rng.uniform(6, 14)
    inside = 1 / (1 + np.exp((angle - edge) / 0.8))
    dark = 1 / (1 + np.exp((angle - hole) / 0.5))
    rim = np.exp(-(((angle - edge + 2) / 2.2) ** 2)) * rng.uniform(0, 0.45)
    fibres = 1 + 0.12 * np.sin(np.arctan2(ny - gaze[1], nx - gaze[0]) * rng.integers(9, 25)) * rng.random()
    value = white * (1 - inside) + iris * fibres * (1 - rim) * inside
    value = value * (1 - dark) + pupil * dark
    lit = 0.45 + 0.55 * np.clip(nx * light[0] + ny * light[1] + nz * light[2], 0, 1)
    value = value * lit * (1 - 0.35 * np.clip(-ny * 1.6, 0, 1))
    for _ in range(rng.choice([0, 1, 2], p=[0.25, 0.55, 0.2])):
        half = light + np.array([rng.normal(0, 0.15), rng.normal(0, 0.15), 1.0])
        half /= np.linalg.norm(half)
        spot = at + half[:2] * radius * rng.uniform(0.6, 1.0)
        value = value + rng.uniform(80, 255) * np.exp(
            -((x - spot[0]) ** 2 + (y - spot[1]) ** 2) / (2 * rng.uniform(0.7, 2.4) ** 2)
        )
    return np.clip(value, 0, 255).astype(np.float32)


def _skin(
    rng: Generator,
    mesh: EyeMesh,
    person: NDArray[np.float32],
    seen: NDArray[np.float32],
    light: NDArray[np.float64],
    skin: float,
) -> NDArray[np.float32]:
    """Luma of each vertex: how it faces the lamp, folds darker, blotches, make-up or shadow about the lids."""
    a, b, c = (seen[mesh.skin[:, n]] for n in range(3))
    across = np.cross(c - a, b - a)
    sums = np.stack([np.bincount(mesh.skin.ravel(), np.repeat(across[:, n], 3), len(seen)) for n in range(3)], 1)
    normal = sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-9)
    normal *= np.sign(np.median(normal[:, 2])) or 1.0
    lambert = np.clip(normal @ light, 0, 1)
    ambient = rng.uniform(0.15, 0.6)
    value = skin * (ambient + (1 - ambient) * lambert)
    away = np.linalg.norm((person - mesh.neutral.mean(0))[:, :2], axis=1)
    value = value * (1 + 0.08 * np.sin(away * rng.uniform(0.5, 2) + rng.uniform(0, 6)))
    eye = person[mesh.landmarks[[36, 39]]].mean(0)
    near = np.exp(-(((person[:, 0] - eye[0]) / 1.5) ** 2 + ((person[:, 1] - eye[1]) / rng.uniform(0.6, 1.3)) ** 2))
    value = value * (1 - near * rng.uniform(-0.15, 0.5))
    return np.asarray(np.clip(value + rng.normal(0, rng.uniform(0, 5), len(value)), 0, 255), np.float32)


def _fill(
    picture: NDArray[np.float32],
    triangles: NDArray[np.int32],
    place: NDArray[np.floating],
    depth: NDArray[np.float32],
    shade: NDArray[np.float32],
) -> None:
    """Fill the triangles in the picture that face the camera, the farthest first."""
    corners = place[triangles]
    (ax, ay), (bx, by) = (corners[:, 1] - corners[:, 0]).T, (corners[:, 2] - corners[:, 0]).T
    inside = ((corners > -4) & (corners < DRAWN_PX + 4)).all(2).any(1)
    front = np.flatnonzero((ax * by - ay * bx < 0) & inside)
    order = front[np.argsort(depth[triangles[front]].mean(1))]
    fixed = np.round(corners[order] * 16).astype(np.int32)
    for three, value in zip(fixed, shade[triangles[order]].mean(1).tolist(), strict=True):
        cv2.fillConvexPoly(picture, three, value, cv2.LINE_8, 4)


def _brow(rng: Generator, picture: NDArray[np.float32], along: NDArray[np.floating], scale: float, skin: float) -> None:
    """A brow as short strokes along its landmarks, thin to thick, or hardly any."""
    dark = skin * rng.uniform(0.15, 0.9)
    thick = scale * rng.uniform(0.15, 0.45)
    over = picture.copy()
    at = rng.uniform(0, len(along) - 1.001, int(rng.uniform(40, 220)))
    low = at.astype(int)
    root = along[low] + (along[low + 1] - along[low]) * (at - low)[:, None]
    root = root + np.stack([rng.normal(0, 1, len(at)), rng.normal(0, thick, len(at))], 1)
    lean = along[0] - along[-1]
    tip = root + lean / np.linalg.norm(lean) * scale * rng.uniform(0.15, 0.5, len(at))[:, None]
    tip[:, 1] += rng.normal(0, 0.08 * scale, len(at))
    for one, other in zip(
        np.round(root * 16).astype(int).tolist(), np.round(tip * 16).astype(int).tolist(), strict=True
    ):
        cv2.line(over, one, other, dark, 2, cv2.LINE_8, 4)
    over = cv2.GaussianBlur(over, (0, 0), rng.uniform(0.6, 1.6))
    cv2.addWeighted(over, alpha := rng.uniform(0.2, 0.9), picture, 1 - alpha, 0, dst=picture)


def _lashes(
    rng: Generator, picture: NDArray[np.float32], mesh: EyeMesh, place: NDArray[np.floating], skin: float
) -> None:
    """Some of the mesh's lashes, darker than the skin: the more of them, the denser; few on the lower lid."""
    upper = mesh.neutral[mesh.lashes].mean(1)[:, 1] > BALL[1]
    often = np.where(upper, rng.uniform(0.02, 0.2), rng.uniform(0, 0.04))
    over = picture.copy()
    dark = skin * rng.uniform(0.05, 0.6)
    for three in np.round(place[mesh.lashes[rng.random(len(often)) < often]] * 16).astype(np.int32):
        cv2.fillConvexPoly(over, three, dark, cv2.LINE_8, 4)
    over = cv2.GaussianBlur(over, (0, 0), rng.uniform(0.6, 1.4))
    cv2.addWeighted(over, alpha := rng.uniform(0.1, 0.9), picture, 1 - alpha, 0, dst=picture)


def render_many(mesh: EyeMesh, count: int, seed: int) -> Renders:
    """``count`` eyes of as many people; the same ones for the same seed."""
    rng = np.random.default_rng(seed)
    tiles = np.zeros((count, TILE_PX, TILE_PX), np.uint8)
    poses, apertures = [], np.zeros(count, np.float32)
    for number in track(range(count), "renders"):
        pose = draw_pose(rng)
        tiles[number], apertures[number] = render(rng, mesh, pose)
        poses.append(pose)
    return Renders(
        tiles,
        apertures,
        np.stack([pose.gaze for pose in poses]),
        np.array([pose.squint for pose in poses], np.float32),
        np.array([pose.yaw for pose in poses], np.float32),
    )
