"""What a cabin does to a picture: light, sensor, lens, compression and things in front of the face.

Every function takes a random generator and an 8-bit luma picture (H, W) of any size and returns one of the same size.
Distances are shares of the picture's or the face's side, so that one setting suits a 48-pixel crop and a whole frame.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Luma = NDArray[np.uint8]
Corruption = Callable[[Generator, Luma, float], Luma]


def gamma(rng: Generator, luma: Luma, strength: float) -> Luma:
    """Brighter or darker mid-tones, as exposure and a camera's tone curve make them."""
    power = np.exp(rng.uniform(-0.9, 0.9) * strength)
    return cv2.LUT(luma, (255 * (np.arange(256) / 255) ** power).astype(np.uint8))


def contrast(rng: Generator, luma: Luma, strength: float) -> Luma:
    """Linear gain and offset: haze, backlight, automatic gain."""
    gain = np.exp(rng.uniform(-0.7, 0.35) * strength)
    offset = rng.uniform(-50, 50) * strength
    return _luma((luma.astype(np.float32) - 128) * gain + 128 + offset)


def side_light(rng: Generator, luma: Luma, strength: float) -> Luma:
    """Hard light from one side: a smooth or a steep step from lit to unlit across the face."""
    ramp = _ramp(rng, luma.shape)
    steep = rng.uniform(1.5, 12)
    lit = 1 / (1 + np.exp(-steep * (ramp - rng.uniform(-0.5, 0.5))))
    low = 1 - rng.uniform(0.3, 0.85) * strength
    return _luma(luma * (low + (1 + 0.6 * strength - low) * lit))


def shadow_band(rng: Generator, luma: Luma, strength: float) -> Luma:
    """A pillar's or a belt's shadow: one darker (or sunlit) stripe at any angle."""
    ramp = _ramp(rng, luma.shape)
    centre, half = rng.uniform(-0.8, 0.8), rng.uniform(0.08, 0.4)
    inside = 1 / (1 + np.exp(-(half - np.abs(ramp - centre)) * rng.uniform(8, 40)))
    factor = rng.uniform(0.3, 0.8) if rng.random() < 0.7 else rng.uniform(1.2, 1.8)
    return _luma(luma * (1 + (factor - 1) * strength * inside))


def darkness(rng: Generator, luma: Luma, strength: float) -> Luma:
    """Night: few photons, then the sensor's gain and its noise."""
    level = 1 - rng.uniform(0.4, 0.9) * strength
    dark = luma.astype(np.float32) * level
    noisy = dark + rng.normal(0, 1, luma.shape) * np.sqrt(2 + dark * 0.6) * strength
    gain = min(1 / level, rng.uniform(1, 4))
    return _luma(noisy * gain)


def noise(rng: Generator, luma: Luma, strength: float) -> Luma:
    """Sensor noise at ordinary light."""
    return _luma(luma + rng.normal(0, rng.uniform(2, 16) * strength, luma.shape))


def infrared(rng: Generator, luma: Luma, strength: float) -> Luma:
    """An infrared lamp beside the lens: bright centre, dark surroundings, flat pale skin."""
    height, width = luma.shape
    y, x = np.ogrid[:height, :width]
    centre_x, centre_y = rng.uniform(0.35, 0.65) * width, rng.uniform(0.35, 0.65) * height
    distance = ((x - centre_x) / (0.5 * width)) ** 2 + ((y - centre_y) / (0.5 * height)) ** 2
    fall = np.exp(-distance * rng.uniform(0.3, 1.0) * strength)
    skin = 255 * (luma / 255.0) ** (1 - 0.45 * strength)
    return _luma(skin * fall)


def motion_blur(rng: Generator, luma: Luma, strength: float) -> Luma:
    """A straight smear, up to a ninth of the side."""
    length = int(max(3, round(rng.uniform(0.03, 0.11) * strength * min(luma.shape))))
    kernel = np.zeros((length, length), np.float32)
    angle = rng.uniform(0, np.pi)
    reach = np.array([np.cos(angle), np.sin(angle)]) * (length - 1) / 2
    middle = (length - 1) / 2
    start, end = (np.round(middle - reach)).astype(int), (np.round(middle + reach)).astype(int)
    cv2.line(kernel, (int(start[0]), int(start[1])), (int(end[0]), int(end[1])), 1.0)
    return cv2.filter2D(luma, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REPLICATE)


def defocus(rng: Generator, luma: Luma, strength: float) -> Luma:
    """A lens out of focus or smeared."""
    return cv2.GaussianBlur(luma, (0, 0), max(0.3, rng.uniform(0.008, 0.035) * strength * min(luma.shape)))


def low_resolution(rng: Generator, luma: Luma, strength: float) -> Luma:
    """A far or small face: sampled down, at full strength to half of the side, and up again."""
    factor = 1 - rng.uniform(0.2, 0.55) * strength
    height, width = luma.shape
    small = cv2.resize(luma, (max(2, int(width * factor)), max(2, int(height * factor))), interpolation=cv2.INTER_AREA)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)


def compression(rng: Generator, luma: Luma, strength: float) -> Luma:
    """JPEG blocks, as from a webcam or a network camera."""
    quality = int(90 - rng.uniform(20, 70) * strength)
    _, data = cv2.imencode(".jpg", luma, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE), np.uint8)


def sharpen(rng: Generator, luma: Luma, strength: float) -> Luma:
    """A cheap camera's edge enhancement."""
    soft = cv2.GaussianBlur(luma, (0, 0), 1.0)
    return cv2.addWeighted(luma, 1 + rng.uniform(0.3, 1.2) * strength, soft, -rng.uniform(0.3, 1.2) * strength, 0)


def detail(rng: Generator, luma: Luma) -> Luma:
    """Softer, as if taken with fewer pixels, or crisper: how fine a picture is says whose it is, not what it shows.

    Down to 45 % of its pixels and up again in three draws of four, else sharpened.
    """
    if rng.random() < 0.25:
        soft = cv2.GaussianBlur(luma, (0, 0), rng.uniform(0.6, 1.4))
        gain = rng.uniform(0.2, 1.2)
        return cv2.addWeighted(luma, 1 + gain, soft, -gain, 0)
    height, width = luma.shape
    factor = np.exp(rng.uniform(np.log(0.45), np.log(0.95)))
    small = cv2.resize(luma, (round(width * factor), round(height * factor)), interpolation=cv2.INTER_AREA)
    back = (cv2.INTER_LINEAR, cv2.INTER_CUBIC)[rng.integers(2)]
    return cv2.resize(small, (width, height), interpolation=back)


def patch(rng: Generator, luma: Luma, strength: float) -> Luma:
    """A hand, a phone or a cup in front of part of the face: an ellipse or a box, flat or textured."""
    height, width = luma.shape
    half_x, half_y = (int(max(1, rng.uniform(0.08, 0.25) * strength * side)) for side in (width, height))
    centre = (int(rng.uniform(0, width)), int(rng.uniform(0, height)))
    mask = np.zeros_like(luma)
    if rng.random() < 0.6:
        cv2.ellipse(mask, centre, (half_x, half_y), rng.uniform(0, 180), 0, 360, 255, -1)
    else:
        cv2.rectangle(mask, (centre[0] - half_x, centre[1] - half_y), (centre[0] + half_x, centre[1] + half_y), 255, -1)
    return _hide(rng, luma, mask)


def hand(rng: Generator, luma: Luma, mouth: NDArray[np.floating], size: float) -> Luma:
    """A hand at the mouth or the chin: a fist or a palm with fingers, as bright as the face, shaded at its edge.

    ``mouth`` is its middle (2,) and ``size`` the distance from eye to eye, pixels.
    """
    height, width = luma.shape
    centre = mouth + rng.normal(0, 0.3, 2) * size + (0, rng.uniform(-0.1, 0.7) * size)
    angle = rng.uniform(-60, 60)
    mask = np.zeros_like(luma)
    palm = (max(1, int(size * rng.uniform(0.45, 0.75))), max(1, int(size * rng.uniform(0.35, 0.6))))
    cv2.ellipse(mask, (int(centre[0]), int(centre[1])), palm, angle, 0, 360, 255, -1, cv2.LINE_AA)
    skin = float(np.median(luma[height // 4 : 3 * height // 4, width // 4 : 3 * width // 4])) * rng.uniform(0.75, 1.2)
    shade = np.full(luma.shape, skin, np.float32)
    along = np.radians(angle + rng.choice([-90, 90]))
    for finger in range(int(rng.integers(0, 5))):
        side = (finger - 1.5) * palm[0] * 0.5
        base = centre + side * np.array([np.cos(np.radians(angle)), np.sin(np.radians(angle))])
        tip = base + np.array([np.cos(along), np.sin(along)]) * size * rng.uniform(0.5, 0.9)
        ends = [(int(end[0]), int(end[1])) for end in (base, tip)]
        thick = max(1, int(size * 0.2))
        cv2.line(mask, ends[0], ends[1], 255, thick, cv2.LINE_AA)
        cv2.line(shade, ends[0], ends[1], skin * rng.uniform(0.85, 1.1), max(1, thick - 2), cv2.LINE_AA)
    edge = cv2.GaussianBlur(mask.astype(np.float32) / 255, (0, 0), max(0.5, size * 0.06))
    lit = shade * (0.6 + 0.4 * np.clip(cv2.GaussianBlur(edge, (0, 0), max(0.5, size * 0.12)), 0, 1))
    return _luma(luma * (1 - edge) + lit * edge)


def band(rng: Generator, luma: Luma, top: float, bottom: float) -> Luma:
    """A mask, a scarf or a cap: what lies between two heights (shares of the side) is hidden, its edges askew."""
    height, width = luma.shape
    slant = np.linspace(-1, 1, width) * rng.uniform(-0.06, 0.06)
    y = np.linspace(0, 1, height)[:, None]
    hidden = np.uint8(255) * ((y >= top + slant) & (y <= bottom + slant)).astype(np.uint8)
    return _hide(rng, luma, hidden)


def _hide(rng: Generator, luma: Luma, mask: Luma) -> Luma:
    """Put something of one shade, flat or textured, where ``mask`` (H, W) is not 0."""
    cover = np.clip(rng.uniform(0, 255) + rng.normal(0, rng.uniform(0, 25), luma.shape), 0, 255).astype(np.uint8)
    out = luma.copy()
    cv2.copyTo(cv2.GaussianBlur(cover, (0, 0), 1.2), mask, out)
    return out


LIGHT: tuple[Corruption, ...] = (gamma, contrast, side_light, shadow_band, darkness, infrared)
SENSOR: tuple[Corruption, ...] = (noise, motion_blur, defocus, low_resolution, compression, sharpen)
COVER: tuple[Corruption, ...] = (patch,)


def cabin(rng: Generator, luma: Luma, strength: float = 1.0) -> Luma:
    """A random draw of what a cabin does: at most two changes of light, two of the sensor, one thing in the way."""
    for group, chance in ((LIGHT, 0.45), (LIGHT, 0.2), (COVER, 0.2), (SENSOR, 0.35), (SENSOR, 0.15)):
        if rng.random() < chance:
            luma = group[rng.integers(len(group))](rng, luma, strength * rng.uniform(0.3, 1.0))
    return luma


def glasses(rng: Generator, luma: Luma, eyes: NDArray[np.floating]) -> Luma:
    """Draw glasses or sunglasses over the two eyes (2, 2), pixels."""
    out = luma.copy()
    left, right = eyes
    across = np.asarray(right - left, np.float64)
    span = float(np.hypot(*across))
    angle = float(np.degrees(np.arctan2(across[1], across[0])))
    axes = (max(1, int(span * rng.uniform(0.3, 0.42))), max(1, int(span * rng.uniform(0.2, 0.34))))
    shade = int(rng.uniform(0, 70)) if rng.random() < 0.7 else int(rng.uniform(150, 255))
    thick = -1 if rng.random() < 0.4 else max(1, round(span * 0.04))
    for eye in (left, right):
        cv2.ellipse(out, (int(eye[0]), int(eye[1])), axes, angle, 0, 360, shade, thick, cv2.LINE_AA)
    inner = across / max(span, 1e-6) * axes[0]
    bridge = ((left + inner).astype(int), (right - inner).astype(int))
    cv2.line(out, tuple(map(int, bridge[0])), tuple(map(int, bridge[1])), shade, max(1, abs(thick)), cv2.LINE_AA)
    return cv2.addWeighted(out, alpha := rng.uniform(0.7, 1.0), luma, 1 - alpha, 0) if thick < 0 else out


def dark_skin(rng: Generator, luma: Luma, points: NDArray[np.floating], size: float) -> Luma:
    """A darker skin under the same light: mid-tones of the face (five points (5, 2), pixels) down, highlights kept."""
    power = np.exp(rng.uniform(0.25, 1.1))
    darker = (255 * rng.uniform(0.7, 1.0) * (np.arange(256) / 255) ** power).astype(np.uint8)
    centre = points.mean(0) - [0.0, 0.05 * size]
    y, x = np.ogrid[: luma.shape[0], : luma.shape[1]]
    away = np.hypot((x - centre[0]) / (0.62 * size), (y - centre[1]) / (0.78 * size))
    inside = np.clip((1.0 - away) / 0.25, 0, 1).astype(np.float32)
    return _luma(luma + (cv2.LUT(luma, darker).astype(np.float32) - luma) * inside)


def dim(rng: Generator, luma: Luma) -> Luma:
    """A night that no gain lifts, as a camera with a short exposure or a film shows it: all in the lowest grey levels.

    A lamp may light part of it from one side.
    """
    level = np.exp(rng.uniform(np.log(0.08), np.log(0.45)))
    lamp = 1.0
    if rng.random() < 0.5:
        lamp = 1 / (1 + np.exp(-rng.uniform(1.5, 6) * (_ramp(rng, luma.shape) - rng.uniform(-0.5, 0.5))))
        lamp = 0.35 + 0.65 * lamp
    return _luma(luma * level * lamp + rng.normal(0, rng.uniform(0.3, 2.0), luma.shape))


def _ramp(rng: Generator, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """A plane from about -1 to 1 across the picture in a random direction."""
    height, width = shape
    angle = rng.uniform(0, 2 * np.pi)
    y, x = np.ogrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    return (np.cos(angle) * x + np.sin(angle) * y).astype(np.float32)


def _luma(values: NDArray[np.floating]) -> Luma:
    return np.clip(values, 0, 255).astype(np.uint8)
