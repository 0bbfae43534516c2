"""Drawn faces, nobody's, the same to the bit wherever they are drawn; and what the float model says of them.

The float model does not travel with the repository. Its answers to these faces do, so that a test can hold the shipped
int8 model against them anywhere.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.training.expression_data import CROP_RULE, SIDE

Luma = NDArray[np.uint8]

_EYE_Y = CROP_RULE.centre_y - CROP_RULE.unit / 2
_MOUTH_Y = CROP_RULE.centre_y + CROP_RULE.unit / 2
_SOFT = 0.012  # width of a drawn edge, share of the side


@dataclass(frozen=True)
class Look:
    """A drawn expression, in shares of the crop's side but for ``slant`` (rise over run, positive: angry brows)."""

    slant: float = 0.0
    brow_lift: float = 0.0
    eye_open: float = 0.028
    mouth_curve: float = 0.0
    mouth_open: float = 0.006
    mouth_half: float = 0.13


LOOKS: dict[str, Look] = {
    "rest": Look(),
    "smile": Look(mouth_curve=0.06, mouth_half=0.17),
    "laugh": Look(mouth_curve=0.05, mouth_half=0.17, mouth_open=0.05, eye_open=0.018),
    "frown": Look(slant=0.5, brow_lift=-0.03, eye_open=0.02, mouth_curve=-0.02),
    "shout": Look(slant=0.5, brow_lift=-0.03, mouth_open=0.07, mouth_half=0.15),
    "sad": Look(slant=-0.35, mouth_curve=-0.05),
    "startled": Look(brow_lift=0.05, eye_open=0.055, mouth_open=0.06, mouth_half=0.07),
    "gape": Look(brow_lift=0.02, eye_open=0.008, mouth_open=0.13, mouth_half=0.1),
}
LIGHTS: tuple[tuple[float, float], ...] = (
    (1.0, 0.0),
    (0.45, 0.0),
    (0.8, 0.5),
)  # gain, and how much one side is lit less


def draw(look: Look, gain: float = 1.0, side_light: float = 0.0, side: int = SIDE) -> Luma:
    """A frontal face (side, side) as the crop rule frames one, drawn with arithmetic alone."""
    y, x = np.mgrid[:side, :side]
    x, y = (x + 0.5) / side - 0.5, (y + 0.5) / side
    far = np.abs(x)
    picture = np.full((side, side), 70.0)

    def paint(inside: NDArray[np.float64], shade: float) -> None:
        nonlocal picture
        cover = 1 / (1 + np.exp(np.clip(-inside / _SOFT, -30, 30)))
        picture = picture + cover * (shade - picture)

    paint(0.44 - np.hypot(x / 0.95, (y - 0.56) / 1.15), 165)
    eye_x = far - CROP_RULE.unit / 2
    paint(0.06 - np.hypot(eye_x, (y - _EYE_Y) * 0.06 / look.eye_open), 225)
    paint(np.minimum(0.027 - np.hypot(eye_x, y - _EYE_Y), look.eye_open - np.abs(y - _EYE_Y)), 25)
    brow_y = _EYE_Y - 0.085 - look.brow_lift - look.slant * eye_x
    paint(np.minimum(0.018 - np.abs(y - brow_y), 0.09 - np.abs(eye_x)), 45)
    paint(np.minimum(0.012 - np.abs(far - 0.035 - 0.1 * (y - 0.55)), 0.09 - np.abs(y - 0.55)), 140)
    along = far / look.mouth_half
    bend = _MOUTH_Y + look.mouth_curve * (0.5 - along**2)
    reach = np.sqrt(np.maximum(1 - along**2, 0))
    paint(np.minimum(0.016 + look.mouth_open * reach - np.abs(y - bend), look.mouth_half - far), 95)
    paint(np.minimum(look.mouth_open * reach - 0.004 - np.abs(y - bend), look.mouth_half - far), 35)
    lit = 1 - side_light * (x + 0.5)
    return np.clip(np.rint(picture * gain * lit), 0, 255).astype(np.uint8)


def parity_crops() -> dict[str, Luma]:
    """Every look in every light, by name."""
    return {
        f"{name}, light {number}": draw(look, *light)
        for name, look in LOOKS.items()
        for number, light in enumerate(LIGHTS, 1)
    }


def digest(crops: dict[str, Luma]) -> str:
    """A checksum of the crops, which says whether they are the ones that were answered."""
    return hashlib.sha256(b"".join(crop.tobytes() for crop in crops.values())).hexdigest()


Read = Callable[[Luma], NDArray[np.float32]]


def write_parity(path: Path, sha256: str, read: Read, read_cues: Read | None = None) -> None:
    """Write the answers of ``read`` (the float model) to the drawn faces; ``sha256`` is the shipped int8 model's.

    With ``read_cues`` also its valence, arousal and cues.
    """
    crops = parity_crops()
    parts = [f'  "model_sha256": "{sha256}"', f'  "crops_sha256": "{digest(crops)}"', _answered("float", read, crops)]
    if read_cues is not None:
        parts.append(_answered("float_cues", read_cues, crops))
    path.write_text("{\n" + ",\n".join(parts) + "\n}\n", encoding="utf-8")


def _answered(key: str, read: Read, crops: dict[str, Luma]) -> str:
    answers = {name: [round(float(value), 5) for value in read(crop)] for name, crop in crops.items()}
    lines = ",\n".join(f"    {json.dumps(name)}: {json.dumps(values)}" for name, values in answers.items())
    return f'  "{key}": {{\n{lines}\n  }}'
