"""Draw how a clip is followed, to be looked at: box and points over frames, and a list of what needs a look.

``python -m models.training.contact_sheet drive.mp4 --out /tmp/sheets``. The sheets hold pictures of whoever is in the
clip: they are written to the named folder only. Every frame goes through the pipeline; every ``--every``-th is drawn,
and each one without a face or with a jump.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from edge.camera import EndOfStream, open_camera
from edge.config import CameraConfig, Config
from edge.domain import Face, Sight, Step
from edge.errors import EvenkeelError
from edge.pipeline import Pipeline
from edge.vision.face import face_size

COLUMNS = 6
TILE_PX = (240, 180)
JUMP = 0.35  # a face's middle that moves this many sizes from one frame to the next is worth a look
GROWTH = 1.35  # and so is one that grows or shrinks by this factor
FOUND, LOST, LOOK = (80, 220, 80), (60, 60, 255), (0, 190, 255)  # BGR


@dataclass(frozen=True)
class Look:
    """One frame with what was made of it; ``remark`` says why it is worth a look, if it is."""

    number: int
    luma: NDArray[np.uint8]
    step: Step
    remark: str


def looks(path: Path, config: Config) -> Iterator[Look]:
    """Every frame of the clip through the pipeline.

    Raises:
        CameraError: there is no such clip, or it cannot be read.
        ModelError: a model is missing or damaged.
    """
    pipeline = Pipeline.from_config(config)
    camera = config.camera.model_copy(update={"source": str(path)})
    before: Face | None = None
    with open_camera(camera, realtime=False) as clip, suppress(EndOfStream):
        number = 0
        while True:
            frame = clip.read(camera.timeout_s)
            step = pipeline.step(frame)
            face = step.observation.face
            yield Look(number, frame.luma, step, remark(step, before))
            before, number = face, number + 1


def remark(step: Step, before: Face | None) -> str:
    """Why a frame is worth a look: no face, or one that jumped from ``before``; empty where neither."""
    face = step.observation.face
    if face is None:
        return str(step.observation.sight).replace("_", " ") if step.observation.sight is not Sight.FACE else "no face"
    if before is None:
        return ""
    moved = float(np.hypot(*(face.points.mean(0) - before.points.mean(0)))) / face_size(before)
    ratio = face_size(face) / face_size(before)
    if moved > JUMP:
        return f"jumps {moved:.2f} sizes"
    return f"size times {ratio:.2f}" if max(ratio, 1 / ratio) > GROWTH else ""


def ranges(found: list[tuple[int, str]]) -> list[str]:
    """Frames with the same kind of remark, put together: "12 to 15: no face"."""
    runs: list[tuple[int, int, str]] = []
    for number, text in found:
        if runs and runs[-1][1] == number - 1 and runs[-1][2].split()[0] == text.split()[0]:
            runs[-1] = (runs[-1][0], number, runs[-1][2])
        else:
            runs.append((number, number, text))
    return [f"{first} to {last}: {text}" if last > first else f"{first}: {text}" for first, last, text in runs]


def tile(look: Look) -> NDArray[np.uint8]:
    """The frame at a tile's size with box, points and number drawn in."""
    height, width = look.luma.shape
    scale = min(TILE_PX[0] / width, TILE_PX[1] / height)
    small = cv2.resize(look.luma, (round(width * scale), round(height * scale)), interpolation=cv2.INTER_AREA)
    picture = np.zeros((TILE_PX[1], TILE_PX[0], 3), np.uint8)
    picture[: small.shape[0], : small.shape[1]] = small[..., None]
    face = look.step.observation.face
    colour = LOOK if look.remark else FOUND
    if face is None:
        colour = LOST
    else:
        x, y, w, h = (round(value * scale) for value in face.box)
        cv2.rectangle(picture, (x, y), (x + w, y + h), colour, 1)
        for px, py in face.points * scale:
            cv2.circle(picture, (round(float(px)), round(float(py))), 2, colour, -1)
    text = f"{look.number} {look.step.state}{f' {look.remark}' if look.remark else ''}"
    cv2.putText(picture, text, (4, 13), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (0, 0, 0), 3, cv2.LINE_AA)
    cv2.putText(picture, text, (4, 13), cv2.FONT_HERSHEY_SIMPLEX, 0.42, colour, 1, cv2.LINE_AA)
    return picture


def write_sheets(tiles: list[NDArray[np.uint8]], folder: Path, name: str, rows: int) -> list[Path]:
    """Lay the tiles out, ``rows`` rows a sheet, as PNG files."""
    written = []
    for start in range(0, len(tiles), COLUMNS * rows):
        page = tiles[start : start + COLUMNS * rows]
        page += [np.zeros_like(page[0])] * (-len(page) % COLUMNS)
        sheet = np.vstack([np.hstack(page[n : n + COLUMNS]) for n in range(0, len(page), COLUMNS)])
        written.append(folder / f"{name}-{len(written) + 1}.png")
        cv2.imwrite(str(written[-1]), sheet)
    return written


def main() -> None:
    """Parse the command line, follow each clip, draw, list."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, required=True, help="folder for the sheets, which hold pictures")
    parser.add_argument("--every", type=int, default=10, help="draw every so many frames")
    parser.add_argument("--rows", type=int, default=8, help="rows of tiles a sheet")
    parser.add_argument("--rotate", type=int, default=0, choices=(0, 90, 180, 270), help="turn that brings it upright")
    parser.add_argument("--face-model", type=Path, help="manifest of another face model")
    arguments = parser.parse_args()
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"[yellow]the sheets in {arguments.out} hold pictures of the people in the clips: keep them private")
    arguments.out.mkdir(parents=True, exist_ok=True)
    config = Config(camera=CameraConfig(rotate_deg=arguments.rotate))
    if arguments.face_model:
        config = config.model_copy(
            update={"vision": config.vision.model_copy(update={"face_model": arguments.face_model})}
        )
    for clip in arguments.clips:
        try:
            report(clip, config, arguments, console)
        except EvenkeelError as error:
            raise SystemExit(str(error)) from None


def report(clip: Path, config: Config, arguments: argparse.Namespace, console: Console) -> None:
    """Follow one clip, write its sheets and print what was made of it."""
    tiles, remarks, count, with_face, alerts = [], [], 0, 0, []
    for look in looks(clip, config):
        count += 1
        with_face += look.step.observation.face is not None
        alerts += [f"{look.number}: {t.kind} {t.phase}" for t in look.step.transitions]
        if look.remark:
            remarks.append((look.number, look.remark))
        if look.remark or look.number % arguments.every == 0:
            tiles.append(tile(look))
    sheets = write_sheets(tiles, arguments.out, clip.stem, arguments.rows)
    console.print(f"{clip.name}: {with_face} of {count} frames with a face; {', '.join(map(str, sheets))}")
    for line in [*ranges(remarks), *alerts]:
        console.print(f"  frame {line}")


if __name__ == "__main__":
    main()
