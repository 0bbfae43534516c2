"""How well a picture, and the face in it, can be read."""

from __future__ import annotations

import cmath
import math
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.config import QualityConfig
from edge.domain import Face, Quality, ReasonCode, Sight
from edge.vision.crop import boxed
from edge.vision.shrink import STEP_PX, halve

_ROWS = 32
"""A picture is judged by some 32 of its rows: their mean is near that of all, and they are taken where they lie, which
is quicker than to gather single pixels."""

_PATCH_PX = 48
"""Side of the resample that a face is judged on, so that its size in the picture does not matter."""

_COARSE = cv2.getGaussianKernel(9, 1.0, cv2.CV_32F)
"""What a Gaussian of 1 pixel takes away from the resample is fine detail: lids, brows, lips. OpenCV's own choice of
length; made once, since making it takes as long as using it."""

# Proportions of an average head, in distances between the eyes' centres: how far the nose's tip stands out from the
# plane of eyes and mouth, and how high that plane is between their lines. Measured by factorization (Tomasi & Kanade,
# "Shape and motion from image streams under orthography", IJCV 1992) of the five hand-labelled points of the portraits
# of the CNN_FacePoint set (Sun, Wang, Tang 2013) under weak perspective.
_NOSE_DEPTH = 0.585
_FACE_HEIGHT = 1.08
_NOSE_LEVEL = 0.576
"""Where the nose lies on the way from the eyes' line (0) to the mouth's (1): the median of the same portraits."""


def picture_fault(luma: NDArray[np.uint8], config: QualityConfig) -> Sight | None:
    """DARK, OVEREXPOSED, COVERED or NO_PICTURE where the picture (H, W) shows nothing, None where it is good."""
    if luma.size == 0:
        return Sight.NO_PICTURE
    mean, spread = _mean_and_spread(luma[:: max(1, luma.shape[0] // _ROWS)])
    brightness = mean / 255.0
    if brightness < config.dark_picture:
        return Sight.DARK
    if brightness > config.bright_picture:
        return Sight.OVEREXPOSED
    return Sight.COVERED if spread / 255.0 < config.flat_picture else None


def assess(luma: NDArray[np.uint8], face: Face, config: QualityConfig) -> Quality:
    """Quality of ``face`` in the picture ``luma`` (H, W); the weight is the product of one ramp for each measure."""
    return weigh(detail_of(luma, face), face, config)


@dataclass(frozen=True, slots=True)
class Detail:
    """What must be measured in the pixels of a face: see ``Quality``."""

    brightness: float
    sharpness: float


def detail_of(luma: NDArray[np.uint8], face: Face) -> Detail:
    """Brightness and sharpness of ``face`` in the picture ``luma`` (H, W); none where it lies outside."""
    patch = _patch(luma, face)
    if patch is None:
        return Detail(0.0, 0.0)
    mean, spread = _mean_and_spread(patch)
    return Detail(mean / 255.0, _share_of_detail(patch, spread))


def weigh(detail: Detail, face: Face, config: QualityConfig) -> Quality:
    """As ``assess``, for a face whose pixels have been measured."""
    size_px = math.sqrt(max(0.0, face.box[2]) * max(0.0, face.box[3]))
    measured = Quality(detail.brightness, detail.sharpness, size_px, *pose(face.points), weight=0.0)
    return replace(measured, weight=math.prod(_ramps(measured, face.score, config).values()))


def fault(quality: Quality, score: float, config: QualityConfig) -> ReasonCode:
    """What lowers the weight most; ``score`` is the detector's."""
    measures = _ramps(quality, score, config)
    return min(measures, key=lambda name: measures[name])


def sharpness(patch: NDArray[np.uint8]) -> float:
    """Share (0 to 1) of a patch's standard deviation that is fine detail: ``std(p - G*p) / std(p)``.

    ``G`` is a Gaussian of 1 pixel. Being a ratio it does not change with contrast or exposure, unlike the variance of
    the Laplacian, of which it is the normalised form (Pech-Pacheco et al., "Diatom autofocusing in brightfield
    microscopy", ICPR 2000, compare such measures). A flat patch has none.
    """
    return _share_of_detail(patch, _mean_and_spread(patch)[1])


def _share_of_detail(patch: NDArray[np.uint8], spread: float) -> float:
    """``sharpness`` of a patch whose standard deviation is ``spread``."""
    if spread < 1.0:
        return 0.0
    coarse = cv2.sepFilter2D(patch, cv2.CV_32F, _COARSE, _COARSE)
    _, fine = _mean_and_spread(np.asarray(patch - coarse, np.float32))
    return min(1.0, fine / spread)


def pose(points: NDArray[np.float32]) -> tuple[float, float, float]:
    """Coarse yaw, pitch and roll in degrees from the five points (5, 2), by the weak perspective of an average head.

    The eyes' line gives roll (positive: clockwise in the picture). With roll taken out, a nose that stands out by ``d``
    from a plane of width ``w`` is seen ``d·sin(yaw)`` off the midline of a plane that is seen ``w·cos(yaw)`` wide, so
    ``tan(yaw) = offset / width · w / d`` (positive: towards the picture's right); likewise pitch (positive: down)
    between the eyes' line and the mouth's. Points that all coincide give zeros.
    """
    # plain numbers: for so few of them numpy takes several times as long; complex ones turn in the plane
    left_eye, right_eye, nose, left_mouth, right_mouth = (complex(x, y) for x, y in points.tolist())
    eyes, mouth = (left_eye + right_eye) / 2, (left_mouth + right_mouth) / 2
    angle = cmath.phase(right_eye - left_eye)
    upright = cmath.rect(1.0, -angle)
    width, height = abs(right_eye - left_eye), ((mouth - eyes) * upright).imag
    # the midline runs from the eyes' middle to the mouth's; the nose is compared with it at the level of a nose
    off = (nose - eyes - _NOSE_LEVEL * (mouth - eyes)) * upright
    yaw = math.atan2(off.real, width * _NOSE_DEPTH)
    pitch = math.atan2(off.imag, abs(height) * _NOSE_DEPTH / _FACE_HEIGHT)
    return math.degrees(yaw), math.degrees(pitch), math.degrees(angle)


def _ramps(quality: Quality, score: float, config: QualityConfig) -> dict[ReasonCode, float]:
    """Each measure's part in the weight (0 to 1), by what is wrong with the face where it is low."""
    turn_deg = max(abs(quality.yaw), abs(quality.pitch))
    return {
        ReasonCode.FACE_DARK: _ramp(quality.brightness, config.poor_brightness, config.good_brightness),
        ReasonCode.FACE_OVEREXPOSED: _ramp(-quality.brightness, -1.0, -config.max_brightness),
        ReasonCode.FACE_BLURRED: _ramp(quality.sharpness, config.poor_sharpness, config.good_sharpness),
        ReasonCode.FACE_SMALL: _ramp(quality.size_px, config.poor_size_px, config.good_size_px),
        ReasonCode.FACE_TURNED: _ramp(-turn_deg, -config.poor_turn_deg, -config.good_turn_deg),
        ReasonCode.FACE_UNCLEAR: _ramp(score, 0.0, config.good_score),
    }


def _ramp(value: float, poor: float, good: float) -> float:
    """0 at ``poor`` and below, 1 at ``good`` and above, straight in between."""
    if value >= good:
        return 1.0
    return max(0.0, (value - poor) / (good - poor))


def _patch(luma: NDArray[np.uint8], face: Face) -> NDArray[np.uint8] | None:
    """The part of the face's box that lies in the picture, resampled to a fixed size; None where there is none."""
    part = boxed(luma, face)
    if part.size == 0:
        return None
    part, _ = halve(part, min(part.shape) / _PATCH_PX / STEP_PX)
    times = 2 if min(part.shape) >= _PATCH_PX else 1
    side = _PATCH_PX * times
    patch = cv2.resize(part, (side, side), interpolation=cv2.INTER_LINEAR)
    return halve(np.asarray(patch, np.uint8), times)[0]


def _mean_and_spread(pixels: NDArray[np.uint8] | NDArray[np.float32]) -> tuple[float, float]:
    """Mean and standard deviation; OpenCV takes a tenth of numpy's time for them."""
    mean, spread = cv2.meanStdDev(pixels)
    return float(mean[0, 0]), float(spread[0, 0])
