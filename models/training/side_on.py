"""Portraits turned side-on: faces in profile for the face model, of which the labelled pictures hold few.

A portrait is laid on the parametric head of the data folder (``head/head.npz``: ICT-FaceKit, MIT) by its five points;
the head is turned on and drawn over the picture, whose own head is painted out first.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from rich.progress import track

from edge.compat import Self
from edge.vision.quality import pose
from models.training.face_data import Picture, without_head

# Vertices of the mesh: the face in front; head and neck after it; what the mouth shows: its socket, teeth; eyeballs.
FACE_VERTICES = 9409
HEAD_VERTICES = 11248
SOCKET_END = 13294
TEETH_AND_EYEBALLS = (17039, 24591)
EYEBALLS_BEGIN = 21451
# What a profile may do, each by itself: name in the mesh, how often, and how far at most.
EXPRESSIONS = {
    "jawOpen": (0.4, 0.9),
    "mouthSmile_L": (0.4, 1.0),
    "mouthSmile_R": (0.4, 1.0),
    "eyeBlink_L": (0.3, 1.0),
    "eyeBlink_R": (0.3, 1.0),
    "browDown_L": (0.3, 1.0),
    "browDown_R": (0.3, 1.0),
}
# Of the 68 landmarks: corners of the eyes at the picture's left and right, tip of the nose, corners of the mouth.
POINT_LANDMARKS = ((36, 39), (42, 45), (30,), (48,), (54,))
# Jaw but for its ends at the ears, and brows: with a forehead above them what YuNet's box encloses in a profile.
BOX_LANDMARKS = (*range(3, 14), *range(17, 27), 30)
FOREHEAD = 0.22  # above the brows, of the height from brows to chin
SAME_PLACE = 0.25  # of a face's size: YuNet's points no farther from ours on average are of the same face
SEEN = 0.12  # a vertex whose normal leans further away than this (its cosine) is not seen in the portrait
YAW_DEG = (42.0, 88.0)
PITCH_DEG, ROLL_DEG = 13.0, 9.0  # standard deviations: people bend over a wheel and throw their heads back
SCALP_CM = (4.5, 6.5)  # above this height and behind this depth a vertex bears hair
PIVOT_CM = np.array([[0.0, -2.0, 2.0]], np.float32)  # of the head stays where the portrait's points had their middle
NECK_CM = -6.0  # nothing below this height bears hair
HAIR_LUMA = (4.0, 75.0)  # of four heads in five; others are bald, or as bright as what is above the portrait's brow


@dataclass(frozen=True)
class Head:
    """A parametric head in cm: vertices (V, 3), identities (60, V, 3), triangles (T, 3), 68 landmarks.

    ``expressions`` (V, 3) are those of EXPRESSIONS that the mesh has; ``inside`` (V,) marks socket and teeth.
    """

    neutral: NDArray[np.float32]
    identities: NDArray[np.float32]
    expressions: dict[str, NDArray[np.float32]]
    inside: NDArray[np.bool_]
    triangles: NDArray[np.int32]
    landmarks: NDArray[np.int32]

    @classmethod
    def load(cls, path: Path) -> Self:
        """Head, neck, mouth and eyeballs of the stored mesh."""
        with np.load(path) as stored:
            kept = np.r_[0:SOCKET_END, slice(*TEETH_AND_EYEBALLS)]
            place = np.full(len(stored["neutral"]), -1, np.int32)
            place[kept] = np.arange(len(kept), dtype=np.int32)
            triangles = place[stored["triangles"]]
            shifts, step = stored["expressions"], stored["step"]
            names = {str(name): number for number, name in enumerate(stored["expression_names"])}
            return cls(
                stored["neutral"][kept],
                stored["identities"][:, kept].astype(np.float32) * step,
                {name: shifts[names[name]][kept].astype(np.float32) * step for name in EXPRESSIONS},
                (kept >= HEAD_VERTICES) & (kept < EYEBALLS_BEGIN),
                triangles[(triangles >= 0).all(1)],
                place[stored["landmarks68"]],
            )

    def person(self, rng: Generator) -> NDArray[np.float32]:
        """Somebody's head, (V, 3), hair as a thicker scalp."""
        shape = self.neutral + np.tensordot(rng.normal(0, 0.6, len(self.identities)), self.identities, 1)
        hairy = _hairy(shape, *SCALP_CM)
        out = shape - np.array([0, 2, 0])
        out /= np.linalg.norm(out, axis=1, keepdims=True)
        return np.asarray(shape + out * (hairy * rng.uniform(0, 1.8))[:, None], np.float32)

    def expression(self, rng: Generator) -> NDArray[np.float32]:
        """What some expression moves, (V, 3)."""
        moved = np.zeros_like(self.neutral)
        for name, shift in self.expressions.items():
            often, most = EXPRESSIONS[name]
            if rng.random() < often:
                moved += rng.uniform(0, most) * shift
        return moved

    def points(self, vertices: NDArray[np.float32]) -> NDArray[np.float32]:
        """The five points (5, 3)."""
        return np.stack([vertices[self.landmarks[list(pair)]].mean(0) for pair in POINT_LANDMARKS])

    def normals(self, vertices: NDArray[np.float32]) -> NDArray[np.float32]:
        """Unit normals of the vertices, (V, 3)."""
        a, b, c = (vertices[self.triangles[:, n]] for n in range(3))
        across = np.cross(b - a, c - a)
        sums = np.zeros_like(vertices)
        for n in range(3):
            np.add.at(sums, self.triangles[:, n], across)
        return sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-6)


def profiles(pictures: list[Picture], head: Head, count: int, seed: int) -> list[Picture]:
    """``count`` of the hand-labelled portraits that show one face, turned side-on; the same ones for the same seed."""
    alone = [picture for picture in pictures if picture.source == "cuhk" and len(picture.boxes) == 1]
    if not alone:
        return []
    rng = np.random.default_rng(seed)
    picks = rng.permutation(np.resize(np.arange(len(alone)), max(count, len(alone))))[:count]
    return [turned_on(rng, alone[index], head) for index in track(picks.tolist(), "profiles")]


def relabelled(picture: Picture, detector: Path) -> Picture:
    """A profile with the points and the box that YuNet gives it, where YuNet sees the face at all.

    The drivers' labels are YuNet's: where an eye that is hidden lies should mean one thing.
    """
    height, width = picture.luma.shape
    yunet = cv2.FaceDetectorYN.create(str(detector), "", (width, height), 0.6)
    _, found = yunet.detect(cv2.cvtColor(picture.luma, cv2.COLOR_GRAY2BGR))
    size = np.sqrt(picture.boxes[0, 2] * picture.boxes[0, 3])
    for face in [] if found is None else found:
        points = face[4:14].reshape(5, 2)
        if np.linalg.norm(points - picture.points[0], axis=1).mean() < SAME_PLACE * size:
            return replace(picture, boxes=face[None, :4].copy(), points=points[None].copy())
    return picture


def turn(yaw_deg: float, pitch_deg: float, roll_deg: float) -> NDArray[np.float32]:
    """Rotation (3, 3), y up: yaw to the picture's right, pitch down, roll clockwise in the picture."""
    yaw, pitch, roll = np.radians([yaw_deg, pitch_deg, -roll_deg])
    about_y = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]])
    about_z = np.array([[np.cos(roll), -np.sin(roll), 0], [np.sin(roll), np.cos(roll), 0], [0, 0, 1]])
    return np.asarray(about_z @ about_x @ about_y, np.float32)


def _flat(vertices: NDArray[np.float32], rotation: NDArray[np.float32]) -> NDArray[np.float32]:
    """Turned vertices with y down: x, y in the picture's plane, z towards the camera."""
    return np.asarray(vertices @ rotation.T * np.array([1, -1, 1]), np.float32)


def _fit(seen: NDArray[np.float32], points: NDArray[np.float32]) -> NDArray[np.float64]:
    """The affine (2, 3) that brings five turned points (5, 2) nearest to those of the picture."""
    matrix, *_ = np.linalg.lstsq(np.hstack([seen, np.ones((5, 1))]), points, rcond=None)
    return np.asarray(matrix.T)


def turned_on(rng: Generator, picture: Picture, head: Head) -> Picture:
    """The one face of ``picture``, a hand-labelled portrait, turned to a profile or nearly so."""
    points = picture.points[0]
    shape = head.person(rng)
    yaw, pitch, roll = pose(points)
    before = turn(yaw, pitch, roll)
    front = _flat(head.points(shape), before)[:, :2]
    matrix = _fit(front, points)
    shade = _shade(rng, picture.luma, head, shape, matrix, before)
    shown = shape + head.expression(rng)
    to = turn(np.copysign(rng.uniform(*YAW_DEG), yaw), rng.normal(0, PITCH_DEG), roll + rng.normal(0, ROLL_DEG))
    scale = float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
    middle = front.mean(0) @ matrix[:, :2].T + matrix[:, 2]
    shift = middle - _flat(PIVOT_CM, to)[0, :2] * scale
    profile = _flat(shown, to)
    place = profile[:, :2] * scale + shift
    luma = without_head(picture.luma, picture.boxes[0])
    _draw(luma, head.triangles, place, profile[:, 2], shade)
    new_points = _flat(head.points(shown), to)[:, :2] * scale + shift
    box = _box(place[head.landmarks[list(BOX_LANDMARKS)]])
    return Picture(luma, box[None], new_points[None].astype(np.float32), np.ones(1, bool), "side", picture.group)


def _shade(
    rng: Generator,
    luma: NDArray[np.uint8],
    head: Head,
    shape: NDArray[np.float32],
    matrix: NDArray[np.float64],
    rotation: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Luma of each vertex: what the portrait shows there; where it shows nothing, the skin's or the hair's mean."""
    at = (_flat(shape, rotation)[:, :2] @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)
    soft = cv2.GaussianBlur(luma, (0, 0), max(0.3, 0.012 * float(np.ptp(at[:, 0]))))
    shade = cv2.remap(soft, at[:, 0], at[:, 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE).ravel().astype(float)
    facing = (head.normals(shape) @ rotation.T)[:, 2]
    top = (shape[:, 1] > SCALP_CM[1]) & (facing > SEEN)
    hair = rng.uniform(*HAIR_LUMA) if rng.random() < 0.8 else float(np.median(shade[top]))
    hairy = _hairy(shape, SCALP_CM[0] + rng.normal(0, 0.8), SCALP_CM[1] + rng.normal(0, 0.8))
    skin = float(np.median(shade[:FACE_VERTICES][facing[:FACE_VERTICES] > 0.4]))
    blind = np.clip((SEEN + 0.2 - facing) / 0.2, 0, 1)
    shade += (skin * rng.uniform(0.75, 1.0) - shade) * blind
    shade += (hair - shade) * hairy
    grain = rng.normal(0, rng.uniform(1, 7), len(shade))
    shade += grain * np.maximum(blind, hairy)
    shade[head.inside] = skin * rng.uniform(0.1, 1.1)
    return np.asarray(np.clip(shade, 0, 255), np.float32)


def _hairy(shape: NDArray[np.float32], height_cm: float, depth_cm: float) -> NDArray[np.float32]:
    """How far each vertex bears hair, 0 to 1: above the hairline, or behind the ears and above the neck."""
    x, y, z = shape.T
    del x
    crown = np.minimum(y - height_cm, depth_cm - z)
    back = np.minimum(y - NECK_CM, -1.0 - z)
    return np.asarray(1 / (1 + np.exp(-3 * np.maximum(crown, back))), np.float32)


def _draw(
    luma: NDArray[np.uint8],
    triangles: NDArray[np.int32],
    place: NDArray[np.float32],
    depth: NDArray[np.float32],
    shade: NDArray[np.float32],
) -> None:
    """Fill the triangles that face the camera, the farthest first."""
    corners = place[triangles]
    (ax, ay), (bx, by) = (corners[:, 1] - corners[:, 0]).T, (corners[:, 2] - corners[:, 0]).T
    front = np.flatnonzero(ax * by - ay * bx < 0)
    order = front[np.argsort(depth[triangles[front]].mean(1))]
    fixed = np.round(corners[order] * 16).astype(np.int32)
    for three, value in zip(fixed, shade[triangles[order]].mean(1).tolist(), strict=True):
        cv2.fillConvexPoly(luma, three, value, cv2.LINE_8, 4)


def _box(outline: NDArray[np.float32]) -> NDArray[np.float32]:
    """Box x, y, w, h around jaw, nose and brows, and a forehead."""
    low, high = outline.min(0), outline.max(0)
    low[1] -= FOREHEAD * (high[1] - low[1])
    return np.asarray([*low, *(high - low)], np.float32)
