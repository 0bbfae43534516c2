"""Clips and folders as cameras."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np
import pytest

from edge.camera import Camera, EndOfStream, open_camera
from edge.camera.folder import PictureFolder
from edge.camera.video import VideoFile
from edge.config import CameraConfig
from edge.domain import Frame
from edge.errors import CameraError
from tests.camera.matroska import matroska

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
    assert "ends early" in caplog.text


def mkv(folder: Path, times_ms: list[int], duration_ms: float) -> Path:
    path = folder / "clip.mkv"
    path.write_bytes(matroska(times_ms, duration_ms))
    return path


def test_a_container_without_a_number_of_frames_does_not_break_off(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Its rate is 15 a second; OpenCV makes 25 a second, and so 165 frames, of what it finds."""
    frames = read_all(replayed(mkv(tmp_path, list(range(0, 6600, 66)), 6600)))
    assert len(frames) == 100
    assert frames[-1].t == pytest.approx(6.534)
    assert caplog.text == ""


def test_a_container_cut_in_the_middle_breaks_off(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    read_all(replayed(mkv(tmp_path, list(range(0, 4000, 40)), 10_000)))
    assert "clip ends early, after 4.0 of 10.0 s" in caplog.text


DAY_MS = 26 * 3_600_000


@pytest.mark.parametrize(
    ("times_ms", "expected_s"),
    [
        ([0, 40, DAY_MS, DAY_MS + 40], [0, 0.04, 30.04, 30.08]),
        ([0, 40, DAY_MS, 120, 180, 220], [0, 0.04, 30.04, 30.08, 30.14, 30.18]),
        ([60_000, 60_040, 60_080, 0, 40, 100], [0, 0.04, 0.08, 0.12, 0.16, 0.22]),
        ([0, 20_000, 20_040], [0, 20, 20.04]),
    ],
    ids=["a jump", "one stray time", "begins anew", "a gap that can be true"],
)
def test_times_that_jump_neither_stop_the_clip_nor_make_a_day_of_it(
    tmp_path: Path, times_ms: list[int], expected_s: list[float], clock: Clock
) -> None:
    path = mkv(tmp_path, times_ms, 200)
    assert [frame.t for frame in read_all(replayed(path))] == pytest.approx(expected_s)
    played = VideoFile(path, CameraConfig(), clock=clock, sleep=clock.sleep)
    assert [frame.t - 1000.0 for frame in read_all(played)] == pytest.approx(expected_s)
    assert clock.now - 1000.0 == pytest.approx(expected_s[-1])


class Stub:
    """cv2.VideoCapture of a clip: for each frame its time, and whether it can be decoded."""

    clip: ClassVar[list[tuple[float, bool]]] = []

    def __init__(self, *_: object) -> None:
        self._left = list(self.clip)
        self._at, self._ok = 0.0, True

    def isOpened(self) -> bool:  # noqa: N802 - cv2's name
        return True

    def get(self, key: int) -> float:
        return {cv2.CAP_PROP_FPS: 10.0, cv2.CAP_PROP_FRAME_COUNT: len(self.clip)}.get(key, self._at)

    def grab(self) -> bool:
        if not self._left:
            return False
        self._at, self._ok = self._left.pop(0)
        return True

    def retrieve(self) -> tuple[bool, np.ndarray[Any, Any] | None]:
        return self._ok, np.full((48, 64), 90, np.uint8) if self._ok else None

    def release(self) -> None:
        pass


def test_a_clip_whose_times_begin_below_0_begins_at_0(make_clip: MakeClip, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_clip()
    monkeypatch.setattr(Stub, "clip", [(-500.0, True), (-400.0, True), (-250.0, True)])
    monkeypatch.setattr(cv2, "VideoCapture", Stub)
    assert [frame.t for frame in read_all(replayed(path))] == pytest.approx([0, 0.1, 0.25])


def test_frames_of_a_clip_that_cannot_be_decoded_are_passed_over_and_counted(
    make_clip: MakeClip, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_clip()
    monkeypatch.setattr(Stub, "clip", [(n * 100.0, n % 10 != 3) for n in range(30)])
    monkeypatch.setattr(cv2, "VideoCapture", Stub)
    clip = replayed(path)
    frames = read_all(clip)
    assert [round(frame.t * 10) for frame in frames] == [n for n in range(30) if n % 10 != 3]
    assert clip.bad_frames == 3
    assert f"{path}: frame 24 cannot be decoded" in clip.bad_frame


def test_a_clip_of_which_no_frame_can_be_decoded_is_refused_even_in_a_loop(
    make_clip: MakeClip, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_clip()
    monkeypatch.setattr(Stub, "clip", [(n * 100.0, False) for n in range(5)])
    monkeypatch.setattr(cv2, "VideoCapture", Stub)
    with pytest.raises(CameraError, match="no frame of this clip can be decoded"):
        open_camera(CameraConfig(source=str(path)), loop=True, realtime=False).read(1.0)


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
def test_a_folder_of_broken_pictures_only_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.png"
    path.write_bytes(content)
    with pytest.raises(CameraError, match=rf"{path}: not a picture.*remove it.*no other picture"):
        read_all(replayed(tmp_path))


@pytest.mark.parametrize("name", ["0.png", "ab.png", "z.png"])
@pytest.mark.parametrize("content", [b"", b"no picture at all", None], ids=["empty", "foreign", "folder"])
def test_one_file_that_is_no_picture_is_passed_over_as_if_it_were_not_there(
    folder: Path, name: str, content: bytes | None
) -> None:
    if content is None:
        (folder / name).mkdir()
    else:
        (folder / name).write_bytes(content)
    pictures = replayed(folder)
    frames = read_all(pictures)
    assert [level(frame) for frame in frames] == [1, 2, 3]
    assert [frame.t for frame in frames] == pytest.approx([0, 1 / 15, 2 / 15])
    assert pictures.bad_frames == 1
    assert str(folder / name) in pictures.bad_frame


def test_a_looped_folder_tries_what_is_no_picture_once(folder: Path) -> None:
    (folder / "ab.png").touch()
    with open_camera(CameraConfig(source=str(folder)), loop=True, realtime=False) as pictures:
        assert [level(pictures.read(1.0)) for _ in range(7)] == [1, 2, 3, 1, 2, 3, 1]
        assert pictures.bad_frames == 1


def test_a_folder_without_pictures_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(CameraError, match=rf"{tmp_path}: no picture"):
        replayed(tmp_path)


def test_in_real_time_a_clip_that_is_read_too_late_still_ends(make_clip: MakeClip, clock: Clock) -> None:
    with VideoFile(make_clip(frames=4, fps=10), CameraConfig(), clock=clock, sleep=clock.sleep) as clip:
        clip.read(1.0)
        clock.now += 10
        with pytest.raises(EndOfStream):
            clip.read(1.0)
