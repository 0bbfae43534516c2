"""``evenkeel aim`` on the bundled clip and on what is wrong with it, and the preview's doors."""

from __future__ import annotations

import http.client
import io
import socket
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from rich.console import Console

from edge.board.processes import Process
from edge.camera import EndOfStream
from edge.cli import main
from edge.config import Config
from edge.domain import Frame, Sight
from edge.errors import CameraError, UnavailableError
from edge.tools.aim.advice import Measure
from edge.tools.aim.aim import Steadiness, _screen, aim
from edge.tools.aim.look import Look
from edge.tools.aim.preview import Preview
from edge.tools.demo.every_frame import EveryFrame

CLIP = str(resources.files("edge.tools.demo") / "clip.mp4")
Command = Callable[..., tuple[int, str, str]]


class FirstFrames(EveryFrame):
    """The first seconds of the bundled clip, as fast as they are taken; then its end, or another ``last``."""

    def __init__(self, config: Config, seconds: float = 5.0, last: BaseException | None = None) -> None:
        super().__init__(config.camera)
        self._seconds = seconds
        self._last = last or EndOfStream()

    def take(self, timeout_s: float, came_after: float) -> Frame | None:
        if self.clock() > self._seconds:
            raise self._last
        return super().take(timeout_s, came_after)


def clip_config(**camera: Any) -> Config:
    return Config.model_validate({"camera": {"source": CLIP} | camera})


def lines_of(config: Config) -> list[str]:
    out = io.StringIO()
    aim(config, Console(file=out), frames=FirstFrames(config))
    return out.getvalue().splitlines()


def test_the_bundled_clip_is_well_placed() -> None:
    first, *_, last = lines_of(clip_config())
    assert "which way is up" in first
    assert "s  good  [seat in the region" in last


def test_a_number_that_moves_is_no_change_but_another_turn_is() -> None:
    out = io.StringIO()
    with _screen(Console(file=out)) as show:
        said = ("turn it to its left by about 25 degrees", "turn it to its left by about 20 degrees") * 5
        turned = ("rotate the picture by 90: set camera.rotate_deg = 90", "rotate the picture by 180")
        for n, advice in enumerate((*said, *turned, "", "")):
            show(replace(NOTHING, t=n * 2.0), [Measure("seat", "somewhere", advice)], "")
    assert [line.split(" s  ")[1].split("  [")[0] for line in out.getvalue().splitlines()] == [said[0], *turned, "good"]


def test_on_a_pipe_a_line_comes_only_where_something_else_is_to_be_changed() -> None:
    first, second = lines_of(clip_config())
    assert "wait a second" in first
    assert "s  good" in second


def test_an_upside_down_camera_is_told_and_never_called_good() -> None:
    lines = lines_of(clip_config(rotate_deg=180))
    assert "rotate the picture by 180: set camera.rotate_deg = 0" in lines[-1]
    assert not [line for line in lines if "s  good" in line]


def test_a_camera_on_its_side_is_told_which_turn_mends_it() -> None:
    assert "rotate the picture by 90: set camera.rotate_deg = 0" in lines_of(clip_config(rotate_deg=270))[-1]


def test_a_face_beside_the_seat_region_is_still_found_and_told() -> None:
    assert "turn it to its left" in lines_of(clip_config(seat=[0.7, 0.0, 1.0, 1.0]))[-1]


def test_it_ends_by_itself_once_all_was_good_for_three_seconds() -> None:
    frames = FirstFrames(clip_config(), seconds=30.0)
    aim(clip_config(), Console(file=io.StringIO()), until_good=True, frames=frames)
    assert 4.0 <= frames.clock() < 6.0, "a second to know which way is up, and three"


def test_a_clip_that_ends_before_it_was_good_is_a_failure_where_good_was_asked_for() -> None:
    config = clip_config(rotate_deg=180)
    with pytest.raises(UnavailableError, match="ended before everything was good for 3 s"):
        aim(config, Console(file=io.StringIO()), until_good=True, frames=FirstFrames(config))


def test_good_must_last_on_end() -> None:
    steadiness = Steadiness()
    seen = [steadiness.update(float(t), good=t != 3) for t in range(7)]
    assert seen == [0, 1, 2, 0, 0, 1, 2]


def test_a_camera_that_the_service_may_hold_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.tools.aim.aim.services", lambda: [Process(71, "evenkeel")])
    frames = FirstFrames(clip_config(), 0.0, CameraError("camera picamera2: cannot be opened"))
    with pytest.raises(CameraError, match=r"cannot be opened; the service, evenkeel \(pid 71\), may hold it"):
        aim(Config(), Console(file=io.StringIO()), frames=frames)


def test_ctrl_c_ends_it_quietly() -> None:
    out = io.StringIO()
    aim(clip_config(), Console(file=out), frames=FirstFrames(clip_config(), 0.5, KeyboardInterrupt()))
    assert len(out.getvalue().splitlines()) == 1


def test_ctrl_c_is_a_failure_where_good_was_asked_for() -> None:
    frames = FirstFrames(clip_config(), 0.5, KeyboardInterrupt())
    with pytest.raises(UnavailableError, match="stopped before everything was good for 3 s"):
        aim(clip_config(), Console(file=io.StringIO()), until_good=True, frames=frames)


@pytest.mark.parametrize(("term", "draws"), [("xterm", True), ("dumb", False)])
def test_a_terminal_gets_the_drawing_and_a_dumb_one_lines(term: str, draws: bool) -> None:  # noqa: FBT001 - a column
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=100, height=50, _environ={"TERM": term})
    aim(clip_config(), console, frames=FirstFrames(clip_config(), 2.0))
    assert ("what the camera sees" in out.getvalue()) == draws
    assert ("####" in out.getvalue()) == draws
    assert "in the region" in out.getvalue()


@pytest.fixture
def evenkeel(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    def run(*args: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["evenkeel", "--log-level", "error", "aim", *args])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    return run


def test_a_missing_source_is_one_line_and_exit_69(evenkeel: Command) -> None:
    code, out, err = evenkeel("--source", "/no/such.mp4")
    assert (code, out) == (69, "")
    assert err.startswith("evenkeel: camera /no/such.mp4: no such file")
    assert len(err.splitlines()) == 1


def test_a_port_that_is_taken_is_one_line_and_exit_69(evenkeel: Command) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        code, _, err = evenkeel("--source", CLIP, "--preview", "--port", str(taken.getsockname()[1]))
    assert code == 69
    assert "cannot be used" in err


NOTHING = Look(0.0, (48, 64), (0, 0, 64, 48), Sight.NO_FACE)
GREY = np.full((48, 64), 90, np.uint8)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def first_picture(url: str) -> tuple[bytes, http.client.HTTPResponse]:
    answer: http.client.HTTPResponse = urllib.request.urlopen(url, timeout=5)  # noqa: S310 - our own address
    while not (line := answer.readline()).startswith(b"Content-Length"):
        pass
    answer.readline()
    return answer.read(int(line.split(b":")[1])), answer


def test_the_preview_shows_the_newest_picture_on_the_loopback_address_only() -> None:
    with Preview(0, 60.0) as preview:
        preview.show(GREY, NOTHING)
        assert preview.url.startswith("http://127.0.0.1:")
        assert preview._server.server_address[0] == "127.0.0.1"
        jpeg, answer = first_picture(preview.url)
        answer.close()
    decoded = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert decoded is not None
    assert decoded.shape == (48, 64)


@pytest.mark.parametrize("path", ["", "index.html", "x" * 16])
def test_who_does_not_know_the_address_sees_nothing(path: str) -> None:
    with Preview(0, 60.0) as preview:
        preview.show(GREY, NOTHING)
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(f"http://127.0.0.1:{preview.port}/{path}", timeout=5)


def test_each_preview_has_an_address_of_its_own() -> None:
    with Preview(0, 60.0) as one, Preview(0, 60.0) as other:
        assert one.url.rsplit("/", 1)[1] != other.url.rsplit("/", 1)[1]


def test_after_its_time_the_preview_ends_for_everybody() -> None:
    clock = Clock()
    with Preview(0, 120.0, clock) as preview:
        preview.show(GREY, NOTHING)
        _, answer = first_picture(preview.url)
        clock.now = 120.0
        preview.show(GREY, NOTHING)
        answer.read()  # ends, as the stream has
        assert preview.left_s == 0
        with pytest.raises(urllib.error.URLError):
            urllib.request.urlopen(preview.url, timeout=5)  # noqa: S310 - our own address


def test_no_picture_is_given_after_the_time_even_if_the_camera_has_stalled() -> None:
    clock = Clock()
    with Preview(0, 120.0, clock) as preview:
        preview.show(GREY, NOTHING)
        clock.now = 121.0
        assert preview.next_after(0) is None


def test_the_preview_leaves_the_picture_that_is_read_untouched_and_writes_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    picture = GREY.copy()
    with Preview(0, 60.0) as preview:
        preview.show(picture, NOTHING)
    assert np.array_equal(picture, GREY)
    assert list(tmp_path.iterdir()) == []
