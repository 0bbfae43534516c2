"""Make the demo's clip: a synthetic driver, glowering, distressed, yawning, asleep for seconds, and calm in between.

``python -m models.training.demo_clip --data ../shared/data --detector yunet.onnx``. The faces are means of many people
(``demo_faces``), the cabin is drawn. The same data give the same clip.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.tools.demo.story import CHANGE_S
from models.training import demo_faces as faces

WIDTH, HEIGHT, FPS = 640, 480, 15
SEED = 20
SKIN, CONTRAST = 128.0, 38.0  # mean and spread of luma in the face
HAIR = 34.0  # luma
NOISE = 0.8  # sensor noise, standard deviation in luma steps
MEMBERS = 60  # faces behind each mean
YAWNS = 24  # the same for yawns, of which there are fewer: more are turned or hide the mouth
SLEEPERS = 40  # the same for closed eyes, of which there are fewer still
BORROWED_EYES = 0.3  # how much of the yawn's eyes is borrowed

VOTED = {
    "neutral": faces.Voted("neutral", 0.95),
    "anger": faces.Voted("anger", 0.6, lips_meet=True),  # a driver's anger glowers; it does not shout
    "sadness": faces.Voted("sadness", 0.8),
}
"""The looks that come from crowd-voted tiles."""


@dataclass(frozen=True)
class Cue:
    """From ``start_s`` the face turns into ``look``."""

    start_s: float
    look: str


ALERTS = {"anger": "anger", "sadness": "distress", "sleep": "fatigue"}
"""The kind of alert that is to come of a look; of the others none is."""

STORY = (
    Cue(0, "neutral"),
    Cue(12, "anger"),
    Cue(26, "neutral"),
    Cue(37, "sadness"),
    Cue(51, "neutral"),
    Cue(60, "yawn"),
    Cue(63.5, "neutral"),
    Cue(67, "yawn"),
    Cue(70.5, "neutral"),
    Cue(74, "sleep"),
    Cue(79.5, "neutral"),
)
LENGTH_S = 86


def build_looks(data: Path, detector: Path) -> dict[str, faces.Picture]:
    """The mean face of every look, (SIDE, SIDE) each, lit alike."""
    looks = {name: _mean_face(name, faces.tile_faces(data, detector, wanted)) for name, wanted in VOTED.items()}
    looks["yawn"] = _mean_face("yawn", faces.yawning_drivers(data), YAWNS)
    looks["sleep"] = _mean_face("sleep", faces.sleeping_portraits(data), SLEEPERS)
    looks = {name: faces.level(_relight(look, looks["neutral"]), SKIN, CONTRAST) for name, look in looks.items()}
    looks["sleep"] = looks["neutral"] + lids() * (looks["sleep"] - looks["neutral"])  # nothing but the eyes sleeps
    # many drivers wear glasses, which blur the mean's eyes: lend them others, half shut, as a yawn has them
    eyes = narrow_eyes(looks["sadness"], 0.4)
    keep = np.maximum(faces.lower_face(faces.SIDE), 1 - BORROWED_EYES)
    looks["yawn"] = eyes + keep * (looks["yawn"] - eyes)
    return looks


def build_head(data: Path) -> faces.Picture:
    """Hair, ears and neck: the mean of portraits before a light wall."""
    heads = faces.portrait_heads(data)
    corner = heads[:, 20:120, 20:60].mean((1, 2))
    light = heads[corner > np.quantile(corner, 0.75)]
    members = faces.mode_members(light, np.ones(light.shape[1:], np.float32), MEMBERS)
    print(f"head: {len(members)} of {len(heads)} portraits")
    return faces.registered_mean(light[members])


def narrow_eyes(face: faces.Picture, share: float) -> faces.Picture:
    """Draw the lids of an aligned face together by ``share`` of the eyes' opening."""
    y, x = np.mgrid[: faces.SIDE, : faces.SIDE].astype(np.float32)
    flow = np.zeros((faces.SIDE, faces.SIDE, 2), np.float32)
    for eye_x, eye_y in _eyes():
        near = np.exp(-(((x - eye_x) / 24) ** 4) - ((y - eye_y) / 12) ** 2)
        flow[..., 1] += share / (1 - share) * near * (y - eye_y)
    return faces.warp(face, flow)


def lids() -> faces.Picture:
    """1 from brow to cheek around each eye of an aligned face, 0 elsewhere, with a soft rim."""
    y, x = np.mgrid[: faces.SIDE, : faces.SIDE].astype(np.float32)
    masks = []
    for eye_x, eye_y in _eyes():
        below = y - eye_y
        masks.append(np.exp(-(((x - eye_x) / 34) ** 4) - (below / np.where(below < 0, 16, 24)) ** 4))
    return np.asarray(np.max(masks, axis=0), np.float32)


def _mean_face(name: str, pictures: faces.Picture, count: int = MEMBERS) -> faces.Picture:
    levelled = np.stack([faces.level(picture) for picture in pictures])
    members = faces.mode_members(levelled, faces.face_oval(faces.SIDE), count)
    print(f"{name}: mean of {len(members)} out of {len(pictures)} faces")
    return _sharpen(faces.registered_mean(levelled[members]))


def _sharpen(picture: faces.Picture) -> faces.Picture:
    return np.asarray(picture + 0.7 * (picture - cv2.GaussianBlur(picture, (0, 0), 3)), np.float32)


def _relight(picture: faces.Picture, like: faces.Picture) -> faces.Picture:
    """Give ``picture`` the broad light and shade of ``like``, so that a change of look is no change of lamp."""
    broad = 45
    return np.asarray(
        picture - cv2.GaussianBlur(picture, (0, 0), broad) + cv2.GaussianBlur(like, (0, 0), broad), np.float32
    )


class Actor:
    """The driver's face at any time of the story."""

    def __init__(self, looks: dict[str, faces.Picture]) -> None:
        self._looks = looks
        pairs = {(a.look, b.look) for a, b in itertools.pairwise(STORY)} | {("neutral", n) for n in looks}
        self._flows = {(a, b): faces.flow_between(looks[a], looks[b], smooth=7) for a, b in pairs}

    def face(self, t: float) -> faces.Picture:
        """The aligned face, (SIDE, SIDE)."""
        index = max(i for i, cue in enumerate(STORY) if cue.start_s <= t)
        now = STORY[index].look
        before = STORY[max(index - 1, 0)].look
        done = _ease((t - STORY[index].start_s) / CHANGE_S) if index else 1.0
        # no face stands still: the look comes and goes a little, and is never quite the whole mean
        strength = 0.95 + 0.05 * np.sin(2 * np.pi * 0.4 * t)
        return self._between(before, now, done) if done < 1 else self._between("neutral", now, strength)

    def _between(self, a: str, b: str, weight: float) -> faces.Picture:
        if a == b:
            return self._looks[a]
        flow = self._flows[a, b]
        from_a = faces.warp(self._looks[a], -weight * flow)
        from_b = faces.warp(self._looks[b], (1 - weight) * flow)
        return (1 - weight) * from_a + weight * from_b


def _eyes() -> tuple[tuple[float, float], tuple[float, float]]:
    """Where ``FACE_RULE`` puts the eyes."""
    rule = faces.FACE_RULE
    down = rule.unit * rule.size_px
    half = down / faces.MOUTH_BELOW_EYES / 2
    x, y = rule.centre_x * rule.size_px - 0.5, rule.centre_y * rule.size_px - 0.5 - down / 2
    return (x - half, y), (x + half, y)


def _ease(x: float) -> float:
    x = min(max(x, 0.0), 1.0)
    return x * x * (3 - 2 * x)


class Cabin:
    """The drawn picture around the face."""

    def __init__(self, head: faces.Picture, rng: np.random.Generator) -> None:
        inner = faces.FACE_RULE.size_px * np.array([faces.FACE_RULE.centre_x, faces.FACE_RULE.centre_y])
        outer = faces.HEAD_SIDE * np.array([faces.HEAD_RULE.centre_x, faces.HEAD_RULE.centre_y])
        left, top = np.rint(outer - inner).astype(int)
        self._face_at = np.s_[top : top + faces.SIDE, left : left + faces.SIDE]
        self._oval = faces.face_oval(faces.SIDE)
        rim = (self._oval > 0.05) & (self._oval < 0.95)
        self._head = np.clip(head * SKIN / head[self._face_at][rim].mean(), 0, 255)
        self._head += np.clip(8 * _hair_mask(), 0, 1) * (_hair(rng) - self._head)
        body, body_mask = _draw_body()
        self._head += body_mask * (body - self._head)
        self._mask = np.max([_hair_mask(), _neck_mask(), body_mask], axis=0)
        self._room = _draw_cabin()
        self._window = _window_mask()
        self._wheel = _wheel_mask()

    def picture(self, face: faces.Picture, t: float) -> faces.Picture:
        """The whole picture (HEIGHT, WIDTH) with the driver swaying in the seat."""
        layer = self._head.copy()
        layer[self._face_at] += self._oval * (face - layer[self._face_at])
        matrix = _sway(t)
        driver = cv2.warpAffine(layer, matrix, (WIDTH, HEIGHT), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        mask = cv2.warpAffine(self._mask, matrix, (WIDTH, HEIGHT))
        picture = self._room + self._window * _scenery(t)
        picture = picture + mask * (driver - picture)
        return np.asarray(picture + self._wheel * (30 - picture), np.float32)


def _sway(t: float) -> NDArray[np.float64]:
    """The head's place at ``t``: a little to and fro, tilt and distance, in periods that never meet."""
    roll = np.deg2rad(1.8 * np.sin(2 * np.pi * t / 7.3) + 0.8 * np.sin(2 * np.pi * t / 2.9))
    zoom = 1.02 + 0.02 * np.sin(2 * np.pi * t / 11.0)
    x = WIDTH * 0.47 + 7 * np.sin(2 * np.pi * t / 5.7) + 0.8 * np.sin(2 * np.pi * t * 1.3)
    y = HEIGHT * 0.55 + 4 * np.sin(2 * np.pi * t / 4.1) + 0.8 * np.sin(2 * np.pi * t * 1.7)
    cos, sin = np.cos(roll) * zoom, np.sin(roll) * zoom
    turn = np.array([[cos, -sin], [sin, cos]])
    middle = np.array([faces.HEAD_RULE.centre_x, faces.HEAD_RULE.centre_y]) * faces.HEAD_SIDE
    return np.hstack([turn, (np.array([x, y]) - turn @ middle)[:, None]])


def _soft(mask: NDArray[np.uint8], blur: float) -> faces.Picture:
    return np.asarray(cv2.GaussianBlur(mask.astype(np.float32) / 255, (0, 0), blur), np.float32)


def _hair_mask() -> faces.Picture:
    """Bobbed hair around the face, in the head's layer."""
    mask = np.zeros((faces.HEAD_SIDE, faces.HEAD_SIDE), np.uint8)
    cv2.ellipse(mask, _at(0.5, 0.37), _at(0.265, 0.33), 0, 0, 360, 255, -1)
    for x in (0.29, 0.71):
        cv2.ellipse(mask, _at(x, 0.50), _at(0.06, 0.20), 0, 0, 360, 255, -1)
    cv2.ellipse(mask, _at(0.5, 0.44), _at(0.175, 0.25), 0, 0, 360, 0, -1)
    cv2.rectangle(mask, _at(0.38, 0.5), _at(0.62, 0.80), 0, -1)
    return _soft(mask, 5)


def _hair(rng: np.random.Generator) -> faces.Picture:
    """Dark strands that hang down, a little lighter at the crown."""
    side = faces.HEAD_SIDE
    strands = cv2.GaussianBlur(rng.normal(0, 1, (side, side)).astype(np.float32), (0, 0), 1.5, sigmaY=25)
    shine = 14 * np.exp(-(((np.arange(side, dtype=np.float32)[:, None] / side - 0.12) / 0.06) ** 2))
    return np.asarray(HAIR + strands * (7 / strands.std()) + shine, np.float32)


def _neck_mask() -> faces.Picture:
    mask = np.zeros((faces.HEAD_SIDE, faces.HEAD_SIDE), np.uint8)
    cv2.ellipse(mask, _at(0.5, 0.44), _at(0.2, 0.25), 0, 0, 360, 255, -1)
    cv2.rectangle(mask, _at(0.385, 0.5), _at(0.615, 0.80), 255, -1)
    return _soft(mask, 4)


def _draw_body() -> tuple[faces.Picture, faces.Picture]:
    """A dark jacket with a round neckline, in the head's layer, and its mask."""
    side = faces.HEAD_SIDE
    mask, collar = np.zeros((2, side, side), np.uint8)
    cv2.ellipse(mask, _at(0.5, 1.10), _at(0.50, 0.38), 0, 0, 360, 255, -1)
    cv2.ellipse(mask, _at(0.5, 0.72), _at(0.135, 0.10), 0, 0, 360, 0, -1)
    cv2.ellipse(collar, _at(0.5, 0.72), _at(0.15, 0.115), 0, 0, 180, 255, 6)
    shade = np.linspace(88, 66, side, dtype=np.float32)[:, None] * np.ones((1, side), np.float32)
    return shade - 18 * _soft(collar, 2), _soft(mask, 3)


def _at(x: float, y: float) -> tuple[int, int]:
    """A place in the head's layer, from shares of its side to pixels."""
    return round(x * faces.HEAD_SIDE), round(y * faces.HEAD_SIDE)


def _window_mask() -> faces.Picture:
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    right = np.array([[470, 60], [640, 40], [640, 250], [500, 262]])
    left = np.array([[0, 70], [120, 80], [100, 235], [0, 240]])
    cv2.fillPoly(mask, [right, left], 255)
    return _soft(mask, 2.5)


def _draw_cabin() -> faces.Picture:
    """Roof, pillars, doors and the seat with its headrest."""
    room = np.full((HEIGHT, WIDTH), 66, np.uint8)
    cv2.rectangle(room, (0, 0), (WIDTH, 46), 88, -1)
    cv2.rectangle(room, (0, 250), (WIDTH, HEIGHT), 50, -1)
    cv2.ellipse(room, (301, 480), (215, 215), 0, 180, 360, 38, -1)
    cv2.rectangle(room, (222, 92), (380, 260), 42, -1)
    cv2.ellipse(room, (301, 100), (92, 34), 0, 0, 360, 42, -1)
    cv2.rectangle(room, (209, 100), (393, 220), 42, -1)
    cv2.line(room, (455, 262), (640, 246), 82, 6)
    cv2.line(room, (0, 240), (130, 234), 82, 6)
    return np.asarray(cv2.GaussianBlur(room.astype(np.float32), (0, 0), 4), np.float32)


def _wheel_mask() -> faces.Picture:
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    cv2.ellipse(mask, (300, 600), (270, 175), 0, 180, 360, 255, 20)
    return _soft(mask, 1.5)


def _scenery(t: float) -> faces.Picture:
    """Light through the windows with trees passing slowly."""
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    trees = np.sin((x + 26 * t) / 37) + np.sin((x + 26 * t) / 23 + 1)
    return np.asarray(110 - 0.12 * y + 11 * trees, np.float32)


def frames(data: Path, detector: Path, seed: int) -> Iterator[NDArray[np.uint8]]:
    """Every picture of the clip, (HEIGHT, WIDTH) uint8."""
    rng = np.random.default_rng(seed)
    actor = Actor(build_looks(data, detector))
    cabin = Cabin(build_head(data), rng)
    for number in range(LENGTH_S * FPS):
        t = number / FPS
        picture = cabin.picture(actor.face(t), t)
        noisy = picture + rng.normal(0, NOISE, picture.shape)
        yield np.clip(np.rint(noisy), 0, 255).astype(np.uint8)


def write_clip(path: Path, pictures: Iterator[NDArray[np.uint8]]) -> None:
    """MPEG-4 part 2 in MP4: every OpenCV wheel writes and reads it without further codecs."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), FPS, (WIDTH, HEIGHT))
    if not writer.isOpened():
        raise SystemExit(f"{path}: cannot be written")
    for picture in pictures:
        writer.write(cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR))
    writer.release()


def story_text() -> str:
    """What the clip shows, as the file beside it tells the demo."""
    head = (
        "# Written by models/training/demo_clip.py: what the clip beside it shows. The demo fails where an alert\n"
        "# named here does not arrive, or where one comes of a look that names none.\n"
    )
    looks = [
        f'\n[[looks]]\nstart_s = {cue.start_s:g}\nlook = "{cue.look}"\n'
        + (f'alert = "{ALERTS[cue.look]}"\n' if cue.look in ALERTS else "")
        for cue in STORY
    ]
    return "".join([head, f"length_s = {LENGTH_S}\n", *looks])


def main() -> None:
    """Parse the command line and make the clip."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the training data")
    parser.add_argument(
        "--detector", type=Path, default=Path("../shared/peers/yunet_2023mar.onnx"), help="YuNet face detector, ONNX"
    )
    parser.add_argument("--out", type=Path, default=Path("edge/tools/demo/clip.mp4"))
    parser.add_argument("--seed", type=int, default=SEED, help="of sway, blinks and noise")
    options = parser.parse_args()
    write_clip(options.out, frames(options.data, options.detector, options.seed))
    options.out.with_suffix(".toml").write_text(story_text(), encoding="utf-8")
    print(f"{options.out}: {options.out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
