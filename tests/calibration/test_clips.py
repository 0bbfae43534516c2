"""What is wanted of recorded clips, and how they are played."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from calibration.clips import FPS, Played, Wish, looped, read_frames, table
from edge.domain import EXPRESSIONS

KINDS = ("anger", "distress")


@pytest.mark.parametrize(
    ("want", "alerts", "met"),
    [
        ("anger", ("anger",), True),
        ("anger", (), False),
        ("anger", ("anger", "distress"), False),
        ("distress or nothing", (), True),
        ("distress or nothing", ("distress", "distress"), True),
        ("distress or nothing", ("anger",), False),
        ("nothing (yawn)", (), True),
        ("nothing", ("distress",), False),
        ("a face wherever one looks", ("distress",), None),
    ],
)
def test_a_wish_is_met_by_its_own_kinds_alone(want: str, alerts: tuple[str, ...], *, met: bool | None) -> None:
    assert Wish.of(want, KINDS).met(alerts) is met


def test_a_clip_is_looked_at_no_more_often_than_on_a_board(tmp_path: Path) -> None:
    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 30, (64, 48))
    for number in range(60):
        writer.write(np.full((48, 64, 3), 4 * number, np.uint8))
    writer.release()
    frames = read_frames(path)
    assert len(frames) == 2 * FPS
    assert abs(float(frames[-1].mean()) - 4 * 58) < 4


def test_what_is_no_clip_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "clip.avi"
    path.write_bytes(b"no film")
    with pytest.raises(SystemExit, match=r"clip\.avi: no frame can be read"):
        read_frames(path)


def test_a_short_clip_is_looped_without_a_gap() -> None:
    frames = [np.full((2, 2), value, np.uint8) for value in range(3)]
    played = list(looped(frames, 1.0, start_s=10.0))
    assert [int(frame.luma[0, 0]) for frame in played[:4]] == [0, 1, 2, 0]
    assert len(played) == FPS
    assert np.allclose(np.diff([frame.t for frame in played]), 1 / FPS)
    assert played[0].t == 10.0


def test_a_clip_without_a_face_has_a_row_too() -> None:
    none = np.zeros((0, len(EXPRESSIONS)), np.float32)
    played = Played("dark", "nobody", Wish.of("anger", KINDS), "anger", (), (), 10, 0, none)
    assert table([played]).row_count == 1
