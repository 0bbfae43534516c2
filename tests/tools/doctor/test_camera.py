"""The camera's lines: what is there, who holds it, what its picture is like; a running service is left alone."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from edge.camera import Camera
from edge.domain import Frame
from edge.errors import EXIT_UNAVAILABLE, CameraError
from edge.tools.doctor import camera
from edge.tools.doctor.finding import Finding, Verdict
from edge.tools.doctor.target import Host
from tests.tools.doctor.conftest import MakeHost, Noise

V4L2 = {"source": "v4l2:/dev/video0"}


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(camera, "SETTLING_S", 0.05)
    monkeypatch.setattr(camera, "PATIENCE_S", 5.0)


def looked(check: Any, host: Host) -> Finding:
    assert host.config is not None
    finding = check(host, host.config)
    assert isinstance(finding, Finding)
    return finding


def device(root: Path, number: int, name: str) -> None:
    folder = root / f"sys/class/video4linux/video{number}"
    folder.mkdir(parents=True)
    (folder / "name").write_text(f"{name}\n")
    (root / "dev").mkdir(exist_ok=True)
    (root / f"dev/video{number}").touch()


def holder(root: Path, pid: int, *words: str) -> None:
    fd = root / f"proc/{pid}/fd"
    fd.mkdir(parents=True)
    (fd.parent / "cmdline").write_text("\0".join(words))
    (fd.parent / "comm").write_text(Path(words[0]).name)
    (fd / "3").symlink_to("/dev/video0")


def test_a_good_picture_is_told_by_its_figures_only(make_host: MakeHost) -> None:
    finding = looked(camera.frame, make_host(camera=V4L2))
    assert finding.verdict is Verdict.PASS
    assert finding.figures["width_px"] == 64
    assert 0.3 < float(finding.figures["brightness"] or 0) < 0.7
    assert "64x48" in finding.text


@pytest.mark.parametrize(("every", "verdict"), [(100, "pass"), (2, "warn")])
def test_many_frames_that_cannot_be_read_are_warned_of(make_host: MakeHost, every: int, verdict: str) -> None:
    class Shaky(Noise):
        taken = 0

        def read(self, timeout_s: float) -> Frame:
            self.taken += 1
            self.bad_frames = self.taken // every
            return super().read(timeout_s)

    finding = looked(camera.frame, make_host(open_camera=lambda _: Shaky()))
    assert finding.verdict == verdict
    assert ("unreadable frames" in finding.text) == (verdict == "warn")


def test_a_dark_picture_is_warned_of(make_host: MakeHost) -> None:
    finding = looked(camera.frame, make_host(camera=V4L2, open_camera=lambda _: Noise(level=2)))
    assert finding.verdict is Verdict.WARN
    assert finding.text.endswith("dark")


def refuse(_: object) -> Camera:
    raise CameraError("camera v4l2:/dev/video0: cannot be opened")


def test_a_camera_that_another_program_holds_fails_and_names_it(make_host: MakeHost, tmp_path: Path) -> None:
    device(tmp_path, 0, "UVC Camera")
    holder(tmp_path, 71, "/usr/bin/motion", "-n")
    finding = looked(camera.frame, make_host(camera=V4L2, open_camera=refuse))
    assert (finding.verdict, finding.exit_code) == (Verdict.FAIL, EXIT_UNAVAILABLE)
    assert finding.text == "camera v4l2:/dev/video0: cannot be opened"
    assert "held by motion (pid 71): stop it" in finding.remedy


@pytest.mark.parametrize("source", ["v4l2:/dev/video0", "picamera2"])
def test_a_camera_that_our_own_service_has_is_not_touched(make_host: MakeHost, tmp_path: Path, source: str) -> None:
    device(tmp_path, 0, "UVC Camera")
    holder(tmp_path, 71, "/opt/evenkeel/bin/evenkeel", "run")
    finding = looked(camera.frame, make_host(camera={"source": source}, open_camera=refuse))
    assert finding.verdict is Verdict.SKIP
    assert "is in use by the service, evenkeel (pid 71): left alone" in finding.text


def test_a_service_that_this_user_cannot_look_into_keeps_its_camera_too(
    make_host: MakeHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    holder(tmp_path, 71, "/opt/evenkeel/bin/evenkeel", "run")
    (tmp_path / "proc/71/fd/3").unlink()
    monkeypatch.setattr(camera, "may_see", lambda *_: False)
    finding = looked(camera.frame, make_host(camera=V4L2, open_camera=refuse))
    assert finding.verdict is Verdict.SKIP
    assert "may be in use by the service" in finding.text


def test_a_service_with_another_camera_does_not_stand_in_the_way(make_host: MakeHost, tmp_path: Path) -> None:
    device(tmp_path, 0, "UVC Camera")
    holder(tmp_path, 71, "/opt/evenkeel/bin/evenkeel", "run")
    assert "frames a second" in looked(camera.frame, make_host(camera={"source": "v4l2:/dev/video4"})).text


def test_devices_are_listed_by_name_with_whoever_holds_them(make_host: MakeHost, tmp_path: Path) -> None:
    for number, name in enumerate(["UVC Camera", "UVC Camera", "bcm2835-isp"]):
        device(tmp_path, number, name)
    holder(tmp_path, 71, "/usr/bin/motion")
    finding = looked(camera.devices, make_host(camera=V4L2))
    assert finding.text == "UVC Camera (/dev/video0, …); bcm2835-isp (/dev/video2); held by motion (pid 71)"


@pytest.mark.parametrize(("source", "verdict"), [("picamera2", "fail"), ("rtsp://user:secret@cam/1", "pass")])
def test_no_device_is_a_fault_only_where_one_is_needed(make_host: MakeHost, source: str, verdict: str) -> None:
    finding = looked(camera.devices, make_host(camera={"source": source}))
    assert finding.verdict == verdict
    assert "secret" not in finding.text


def test_modules_that_are_missing_matter_only_for_picamera2(
    make_host: MakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(name: str) -> ModuleType:
        raise ValueError(f"{name}: numpy.dtype size changed")

    monkeypatch.setattr("importlib.import_module", fail)
    needed = looked(camera.modules, make_host(camera={"source": "picamera2"}))
    assert (needed.verdict, needed.exit_code) == (Verdict.FAIL, EXIT_UNAVAILABLE)
    assert "numpy.dtype size changed" in needed.text
    assert looked(camera.modules, make_host(camera=V4L2)).verdict is Verdict.PASS
