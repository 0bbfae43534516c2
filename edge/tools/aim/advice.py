"""What is good about where the camera is, and what to change where it is not. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from edge.config import Config
from edge.domain import Face, Quality, Sight
from edge.tools.aim.look import Look

EDGE = 0.25
"""The points must stay this far inside the seat region, in face sizes: a driver moves."""

TOO_LARGE = 0.8
"""A face higher than this share of the seat region leaves no room to move."""

UPRIGHT_DEG = 15.0
USUAL_VIEW_DEG = 60.0
"""Width of the view of a usual camera (Raspberry Pi Camera Module 2: 62, 3: 66); a wide-angle one has to turn more."""

STEP_DEG = 5.0

_SIGHT_ADVICE = {
    Sight.DARK: "remove the lens cap, or light the cabin",
    Sight.OVEREXPOSED: "turn the camera away from the light, or shade it",
    Sight.COVERED: "uncover the lens: the picture shows nothing",
    Sight.NO_FACE: "sit as you drive; point the camera at the driver's face, or bring it nearer",
}


@dataclass(frozen=True, slots=True)
class Measure:
    """One thing that is looked at: its name, its value in words, and what to change; ``advice`` is empty where good."""

    name: str
    value: str
    advice: str = ""

    @property
    def good(self) -> bool:
        """Whether nothing has to change."""
        return not self.advice


def judge(look: Look, config: Config) -> list[Measure]:
    """What to say of a look, what hinders most first; a turned picture leaves nothing else to be said."""
    if look.turn_deg:
        turn = (config.camera.rotate_deg + look.turn_deg) % 360
        advice = f"rotate the picture by {look.turn_deg}: set camera.rotate_deg = {turn}"
        return [Measure("picture", "upside down" if look.turn_deg == 180 else "on its side", advice)]
    if look.turn_deg is None and look.sight in (Sight.FACE, Sight.NO_FACE):
        return [Measure("picture", "looking which way is up", "wait a second")]
    if look.face is None or look.quality is None:
        return [Measure("picture", look.sight.replace("_", " "), _SIGHT_ADVICE[look.sight])]
    return [
        _place(look, look.face, look.quality),
        _size(look, look.face, look.quality, config.quality.good_size_px),
        _brightness(look.quality, config),
        _sharpness(look.quality, config.quality.good_sharpness),
        _tilt(look.quality),
        _facing(look.quality, config.quality.good_turn_deg),
    ]


def _place(look: Look, face: Face, quality: Quality) -> Measure:
    height, width = look.shape
    left, top, right, bottom = look.seat
    x, y = (float(value) for value in face.points.mean(0))
    value = f"at {x / width:.2f}, {y / height:.2f} of the picture"
    margin = EDGE * quality.size_px
    (least_x, least_y), (most_x, most_y) = face.points.min(0), face.points.max(0)
    advice = []
    if least_x < left + margin or most_x > right - margin:
        side = "left" if x < (left + right) / 2 else "right"
        advice.append(f"turn it to its {side} by {_degrees(abs(x - (left + right) / 2) / width)}")
    if least_y < top + margin or most_y > bottom - margin:
        side = "up" if y < (top + bottom) / 2 else "down"
        advice.append(f"tilt it {side} by {_degrees(abs(y - (top + bottom) / 2) / width)}")
    if not advice:
        return Measure("seat", f"in the region, {value}")
    return Measure("seat", f"not well inside the region, {value}", f"{' and '.join(advice)}, or set camera.seat")


def _size(look: Look, face: Face, quality: Quality, good_px: float) -> Measure:
    value = f"{quality.size_px:.0f} px"
    if quality.size_px < good_px:
        closer = f"move the camera closer, to {quality.size_px / good_px:.0%} of its distance"
        return Measure("size", f"{value}, should be {good_px:.0f}", f"{closer}, or raise camera.width_px and height_px")
    if face.box[3] > TOO_LARGE * (look.seat[3] - look.seat[1]):
        return Measure("size", f"{value}, fills the seat region", "move the camera back, or make camera.seat larger")
    return Measure("size", value)


def _brightness(quality: Quality, config: Config) -> Measure:
    value, least, most = f"{quality.brightness:.2f}", config.quality.good_brightness, config.quality.max_brightness
    if quality.brightness < least:
        advice = "light the face, or turn the camera away from what dazzles it"
        return Measure("brightness", f"{value}, should be {least:.2f}", advice)
    if quality.brightness > most:
        return Measure("brightness", f"{value}, should be below {most:.2f}", "shade the camera or the face")
    return Measure("brightness", value)


def _sharpness(quality: Quality, good: float) -> Measure:
    if quality.sharpness < good:
        advice = "focus the lens, wipe it, or give it more light"
        return Measure("sharpness", f"{quality.sharpness:.2f}, should be {good:.2f}", advice)
    return Measure("sharpness", f"{quality.sharpness:.2f}")


def _tilt(quality: Quality) -> Measure:
    value = f"{quality.roll:+.0f} degrees"
    if abs(quality.roll) <= UPRIGHT_DEG:
        return Measure("tilt", value)
    way = "clockwise" if quality.roll > 0 else "counter-clockwise"  # seen from behind the camera
    return Measure("tilt", value, f"roll the camera {way} by about {_rounded(abs(quality.roll))} degrees")


def _facing(quality: Quality, good_deg: float) -> Measure:
    value = f"{quality.yaw:+.0f} degrees to the side, {quality.pitch:+.0f} down"
    advice = []
    if abs(quality.yaw) > good_deg:
        advice.append(f"to its {'right' if quality.yaw > 0 else 'left'}")
    if abs(quality.pitch) > good_deg:
        advice.append("lower" if quality.pitch > 0 else "higher")
    if not advice:
        return Measure("facing", value)
    return Measure("facing", value, f"move the camera {' and '.join(advice)}, closer to where the driver looks")


def _degrees(share: float) -> str:
    """A share of the picture's width as an angle, in words."""
    return f"about {_rounded(share * USUAL_VIEW_DEG)} degrees"


def _rounded(degrees: float) -> str:
    return f"{max(STEP_DEG, STEP_DEG * round(degrees / STEP_DEG)):.0f}"
