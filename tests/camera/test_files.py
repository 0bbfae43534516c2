"""Clips and folders as cameras."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.camera import Camera, EndOfStream, open_camera
from edge.camera.folder import PictureFolder
from edge.camera.video import VideoFile
from edge.config import CameraConfig
from edge.domain import Frame
from edge.errors import CameraError

MakeClip = Callable[..., Path]


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def read_all(camera: Camera) -> list[Frame]:
    frames = []
    with camera:
        while True:
            try:
                frames.append(camera.read(1.0))
            except EndOfStream:
                return frames


def replayed(path: Path, **settings: object) -> Camera:
    return open_camera(CameraConfig.model_validate({"source": str(path), **settings}), realtime=False)


def level(frame: Frame) -> int:
    return round(float(frame.luma.mean()) / 10)


def test_a_replayed_clip_gives_every_frame_with_the_clips_own_times(make_clip: MakeClip) -> None:
    frames = read_all(replayed(make_clip(frames=5, fps=10)))
    assert [level(frame) for frame in frames] == [1, 2, 3, 4, 5]
    assert [frame.t for frame in frames] == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])
    assert all(frame.luma.shape == (48, 64) and frame.luma.dtype == np.uint8 for frame in frames)


def test_a_clip_is_no_live_camera_and_tells_its_rate_and_length(make_clip: MakeClip) -> None:
    with VideoFile(make_clip(frames=5, fps=10), CameraConfig()) as clip:
        assert not clip.live
        assert clip.fps == pytest.approx(10)
        assert clip.frames == 5


def test_a_clip_is_turned_upright(make_clip: MakeClip) -> None:
    assert read_all(replayed(make_clip(), rotate_deg=90))[0].luma.shape == (64, 48)


def test_in_real_time_frames_come_when_they_are_due(make_clip: MakeClip, clock: Clock) -> None:
    clip = VideoFile(make_clip(frames=3, fps=10), CameraConfig(), clock=clock, sleep=clock.sleep)
    assert [frame.t for frame in read_all(clip)] == pytest.approx([1000.0, 1000.1, 1000.2])
    assert clock.now == pytest.approx(1000.2)


def test_in_real_time_late_frames_are_dropped_as_a_camera_would(make_clip: MakeClip, clock: Clock) -> None:
    with VideoFile(make_clip(frames=5, fps=10), CameraConfig(), clock=clock, sleep=clock.sleep) as clip:
        assert level(clip.read(1.0)) == 1
        clock.now += 0.35
        frame = clip.read(1.0)
        assert level(frame) == 4
        assert frame.t == pytest.approx(1000.3)


def test_a_looped_clip_goes_on_with_rising_times(make_clip: MakeClip) -> None:
    config = CameraConfig(source=str(make_clip(frames=3, fps=10)))
    with open_camera(config, loop=True, realtime=False) as clip:
        frames = [clip.read(1.0) for _ in range(7)]
    assert [level(frame) for frame in frames] == [1, 2, 3, 1, 2, 3, 1]
    assert [frame.t for frame in frames] == pytest.approx([0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6])


def test_a_truncated_clip_ends_cleanly_with_a_warning(make_clip: MakeClip, caplog: pytest.LogCaptureFixture) -> None:
    path = make_clip(frames=24)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 3 // 4])
    with caplog.at_level(logging.WARNING):
        frames = read_all(replayed(path))
    assert 1 <= len(frames) < 24
    assert "breaks off" in caplog.text


def test_a_clip_without_a_frame_is_refused_by_name(make_clip: MakeClip) -> None:
    path = make_clip(frames=0)
    with pytest.raises(CameraError, match=rf"{path}: .*(no frame|not a video)"):
        replayed(path)


def test_a_file_that_is_no_video_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "notes.mp4"
    path.write_text("not a video\n" * 100)
    with pytest.raises(CameraError, match=rf"{path}: not a video") as caught:
        replayed(path)
    assert "\n" not in str(caught.value)


def test_opening_what_is_no_video_prints_nothing_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "notes.mp4").write_text("not a video\n" * 100)
    code = (
        "from edge.camera import open_camera; from edge.config import CameraConfig; from edge.errors import CameraError"
        "\ntry: open_camera(CameraConfig(source='notes.mp4'))\nexcept CameraError: pass"
    )
    done = subprocess.run(  # noqa: S603 - our own interpreter and text
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stderr == ""


def test_an_empty_file_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "empty.mp4"
    path.touch()
    with pytest.raises(CameraError, match=str(path)):
        replayed(path)


def test_a_source_that_does_not_exist_is_refused_with_what_is_allowed() -> None:
    with pytest.raises(CameraError, match=r"camera /no/such\.mp4: no such file.*v4l2:/dev/video0"):
        replayed(Path("/no/such.mp4"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "pictures"
    path.mkdir()
    cv2.imwrite(str(path / "b.png"), np.full((48, 64, 3), 20, np.uint8))
    cv2.imwrite(str(path / "a.png"), np.full((48, 64), 10 << 8, np.uint16))
    cv2.imwrite(str(path / "c.png"), np.full((48, 64, 4), 30, np.uint8))
    (path / "readme.txt").write_text("not a picture")
    return path


def test_pictures_come_in_the_order_of_their_names_whatever_their_depth_and_colour(folder: Path) -> None:
    frames = read_all(replayed(folder, fps=10))
    assert [level(frame) for frame in frames] == [1, 2, 3]
    assert [frame.t for frame in frames] == pytest.approx([0, 0.1, 0.2])
    assert all(frame.luma.dtype == np.uint8 and frame.luma.ndim == 2 for frame in frames)


def test_in_real_time_late_pictures_are_dropped(folder: Path, clock: Clock) -> None:
    with PictureFolder(folder, CameraConfig(fps=10), clock=clock, sleep=clock.sleep) as pictures:
        assert level(pictures.read(1.0)) == 1
        clock.now += 0.25
        assert level(pictures.read(1.0)) == 3
        with pytest.raises(EndOfStream):
            pictures.read(1.0)


def test_a_looped_folder_begins_again(folder: Path) -> None:
    with open_camera(CameraConfig(source=str(folder)), loop=True, realtime=False) as pictures:
        assert [level(pictures.read(1.0)) for _ in range(4)] == [1, 2, 3, 1]


@pytest.mark.parametrize(("size", "shape"), [((1, 1), (1, 1)), ((8000, 6000), (1536, 2048))])
def test_tiny_and_huge_pictures_are_taken(tmp_path: Path, size: tuple[int, int], shape: tuple[int, int]) -> None:
    cv2.imwrite(str(tmp_path / "picture.png"), np.full(size[::-1], 128, np.uint8))
    assert read_all(replayed(tmp_path))[0].luma.shape == shape


@pytest.mark.parametrize("content", [b"", b"no picture at all"], ids=["empty", "not a picture"])
def test_a_broken_picture_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.png"
    path.write_bytes(content)
    with pytest.raises(CameraError, match=rf"{path}: not a picture.*remove it"):
        read_all(replayed(tmp_path))


def test_a_folder_without_pictures_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(CameraError, match=rf"{tmp_path}: no picture"):
        replayed(tmp_path)


def test_in_real_time_a_clip_that_is_read_too_late_still_ends(make_clip: MakeClip, clock: Clock) -> None:
    with VideoFile(make_clip(frames=4, fps=10), CameraConfig(), clock=clock, sleep=clock.sleep) as clip:
        clip.read(1.0)
        clock.now += 10
        with pytest.raises(EndOfStream):
            clip.read(1.0)
