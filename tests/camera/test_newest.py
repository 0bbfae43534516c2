"""The capture thread: the newest frame only, and a camera that is lost and found."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable

import numpy as np
import pytest

from edge.camera import Camera, EndOfStream, Source
from edge.camera.newest import STALL_S, FrozenGuard, NewestFrame
from edge.config import CameraConfig
from edge.domain import Frame, Sight
from edge.errors import CameraError

QUICK = CameraConfig(reopen_min_s=0.001, reopen_max_s=0.004, timeout_s=5)
DEADLINE_S = 5.0


def noisy(t: float, seed: int | None = None) -> Frame:
    random = np.random.default_rng(round(t * 1e6) if seed is None else seed)
    return Frame(random.integers(0, 255, (48, 64), np.uint8), t)


def eventually(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.001)


class Script(Source):
    """A camera that gives the listed frames or faults, and then waits until it is closed."""

    def __init__(self, steps: Iterable[Frame | Exception], *, live: bool = True) -> None:
        self.live = live
        self._steps = iter(steps)
        self.exhausted = threading.Event()
        self.closed = threading.Event()

    def read(self, timeout_s: float) -> Frame:  # noqa: ARG002 - the script does not wait
        step = next(self._steps, None)
        if step is None:
            self.exhausted.set()
            self.closed.wait(DEADLINE_S)
            raise CameraError("closed")
        if isinstance(step, Exception):
            raise step
        return step

    def close(self) -> None:
        self.closed.set()


def opening(*cameras: Camera | CameraError) -> Callable[[], Camera]:
    """Give these cameras, one for each time that one is opened; the last one stays."""
    left = list(cameras)

    def open_next() -> Camera:
        camera = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(camera, CameraError):
            raise camera
        return camera

    return open_next


def test_a_frame_that_came_before_the_time_is_left_for_a_newer_one() -> None:
    now = [100.0]
    newest = NewestFrame(opening(CameraError("not opened here")), QUICK, clock=lambda: now[0])
    newest._offer(noisy(1))
    assert newest.take(0.0, came_after=100.1) is None
    now[0] = 100.2
    newest._offer(noisy(2))
    frame = newest.take(0.0, came_after=100.1)
    assert frame is not None
    assert frame.t == 2
    assert newest.dropped == 1


def test_a_slow_reader_gets_the_newest_frame_and_the_rest_is_counted_as_dropped() -> None:
    camera = Script([noisy(t) for t in range(10)])
    with NewestFrame(opening(camera), QUICK) as newest:
        camera.exhausted.wait(DEADLINE_S)
        frame = newest.take(DEADLINE_S)
        assert frame is not None
        assert frame.t == 9
        assert newest.dropped == 9
        assert newest.take(0.0) is None
        camera.close()


def test_a_file_ends_after_its_last_frame_was_taken() -> None:
    with NewestFrame(opening(Script([noisy(1), EndOfStream()], live=False)), QUICK) as newest:
        frame = newest.take(DEADLINE_S)
        assert frame is not None
        with pytest.raises(EndOfStream):
            newest.take(DEADLINE_S)
        assert newest.blindness() is None


def test_a_file_that_fails_is_not_tried_again() -> None:
    with (
        NewestFrame(opening(CameraError("camera x.mp4: not a video")), QUICK, reopen=False) as newest,
        pytest.raises(CameraError, match=r"x\.mp4: not a video"),
    ):
        newest.take(DEADLINE_S)


def test_a_camera_lost_and_found_is_blind_with_the_reason_and_back_by_itself() -> None:
    allow = threading.Event()
    first, second = Script([noisy(1), CameraError("camera x: unplugged")]), Script([noisy(2)])

    def open_next() -> Camera:
        if not first.closed.is_set():
            return first
        if not allow.is_set():
            raise CameraError("camera x: no such device")
        return second

    with NewestFrame(open_next, QUICK) as newest:
        eventually(lambda: newest.blindness() == (Sight.NO_PICTURE, "camera x: no such device"))
        assert newest.take(0.0) is None, "a frame from before the loss is old"
        allow.set()
        frame = newest.take(DEADLINE_S)
        assert frame is not None
        assert frame.t == 2
        assert newest.blindness() is None
        second.close()


def test_pauses_before_reopening_grow_to_their_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    newest = NewestFrame(opening(CameraError("camera x: gone")), CameraConfig(reopen_min_s=1, reopen_max_s=5))

    def wait(timeout: float | None = None) -> bool:
        assert timeout is not None
        pauses.append(timeout)
        if len(pauses) == 5:
            newest._stop.set()
        return False

    monkeypatch.setattr(newest._stop, "wait", wait)
    newest._run()
    assert pauses == [1, 2, 4, 5, 5]


def test_a_frozen_picture_is_blind_until_it_changes() -> None:
    frozen = Script([noisy(t, seed=1) for t in (0, 1, 2, 3, 4)])
    still_frozen = Script([noisy(5, seed=1)])
    mended = Script([noisy(6, seed=2)])
    allow = threading.Event()
    cameras = iter([frozen, still_frozen])

    def open_next() -> Camera:
        camera = next(cameras, None)
        if camera is not None:
            return camera
        if not allow.is_set():
            raise CameraError("wait for the test")
        return mended

    with NewestFrame(open_next, QUICK) as newest:
        eventually(lambda: newest.blindness() == (Sight.NO_PICTURE, "wait for the test"))
        assert frozen.closed.is_set()
        assert still_frozen.closed.is_set()
        assert newest.take(0.0) is None
        allow.set()
        frame = newest.take(DEADLINE_S)
        assert frame is not None
        assert frame.t == 6
        mended.close()


def test_a_frozen_picture_says_frozen() -> None:
    config = QUICK.model_copy(update={"reopen_min_s": 60.0, "reopen_max_s": 60.0})
    with NewestFrame(opening(Script([noisy(t, seed=1) for t in range(5)])), config) as newest:
        eventually(lambda: newest.blindness() == (Sight.FROZEN, "the picture has not changed for 3 s"))


def test_a_file_may_show_a_still_picture() -> None:
    camera = Script([noisy(t, seed=1) for t in range(20)], live=False)
    with NewestFrame(opening(camera), QUICK) as newest:
        camera.exhausted.wait(DEADLINE_S)
        frame = newest.take(DEADLINE_S)
        assert frame is not None
        assert frame.t == 19
        camera.close()


def test_a_driver_that_raises_anything_else_does_not_end_the_thread() -> None:
    good = Script([noisy(2)])
    with NewestFrame(opening(Script([ValueError("from a driver")]), good), QUICK) as newest:
        frame = newest.take(DEADLINE_S)
        assert frame is not None
        good.close()


def test_a_camera_that_hangs_is_blind_after_the_timeout_and_stuck_much_later() -> None:
    now = [100.0]
    camera = Script([noisy(1)])
    with NewestFrame(opening(camera), QUICK, clock=lambda: now[0], awake=lambda: now[0]) as newest:
        assert newest.take(DEADLINE_S) is not None
        camera.exhausted.wait(DEADLINE_S)
        assert newest.blindness() is None
        now[0] += 6
        assert newest.blindness() == (Sight.NO_PICTURE, "no frame within 5 s")
        assert not newest.stuck
        now[0] += STALL_S
        assert newest.stuck
        camera.close()


def test_a_hanging_camera_does_not_hold_up_the_stop() -> None:
    camera = Script([])
    began = time.monotonic()
    with NewestFrame(opening(camera), QUICK):
        camera.exhausted.wait(DEADLINE_S)
    assert time.monotonic() - began < 1.5
    camera.close()


def test_a_flat_picture_is_left_to_the_judgement_of_darkness() -> None:
    guard = FrozenGuard(frozen_s=1.0)
    dark = np.zeros((48, 64), np.uint8)
    assert not any(guard.is_frozen(Frame(dark, t)) for t in range(10))


def test_a_board_that_slept_makes_the_last_picture_old_and_no_camera_stuck() -> None:
    slept_s = [0.0]
    camera = Script([noisy(1)])
    with NewestFrame(opening(camera), QUICK, clock=lambda: 100.0 + slept_s[0], awake=lambda: 100.0) as newest:
        camera.exhausted.wait(DEADLINE_S)
        slept_s[0] = 8 * 3600.0
        assert newest.take(0.0) is None  # taken before the night: of no use now
        assert newest.blindness() == (Sight.NO_PICTURE, "no frame within 5 s")
        assert not newest.stuck
        camera.close()
