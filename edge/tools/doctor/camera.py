"""Checks of the camera: its modules, its devices, who holds them, and what a picture of it is like."""

from __future__ import annotations

import importlib
import time
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.board.processes import holders, may_see, services
from edge.camera import EndOfStream, is_address, is_file_source, without_credentials
from edge.camera.newest import NewestFrame
from edge.config import CameraConfig, Config
from edge.errors import CameraError
from edge.tools.doctor.finding import Finding, Verdict, failed, failed_by, passed, skipped, warned
from edge.tools.doctor.target import Host, read_text

MODULES = ("libcamera", "picamera2")
PATIENCE_S = 15.0
"""Longest wait for a first frame: a Pi's camera takes some 2 s to start, OpenCV gives a V4L2 device up after 10."""

MANY_BAD = 0.05
"""A larger share of frames that cannot be read is worth a word; the first of a stream may lack what came before."""

SETTLING_S = 1.5
"""Time that exposure and focus get before a picture is judged."""


def modules(host: Host, config: Config) -> Finding:
    """Whether apt's picamera2 and libcamera are seen from this Python."""
    del host
    there, missing = [], []
    for name in MODULES:
        try:
            importlib.import_module(name)
        except (ImportError, ValueError) as error:  # ValueError: a numpy of another ABI than apt's build
            missing.append(f"{name} not importable ({error})")
        else:
            there.append(name)
    text = "; ".join([", ".join(there) or "none", *missing])
    if not missing:
        return passed(f"{text} importable")
    if config.camera.source != "picamera2":
        return passed(f"{text}; not needed for this source")
    return failed(
        text,
        "`sudo apt install python3-picamera2`, and a virtual environment made with --system-site-packages by the "
        "system's own Python; another camera: set camera.source",
    )


def devices(host: Host, config: Config) -> Finding:
    """The V4L2 devices, by the names that their drivers give, and who holds them."""
    by_name = defaultdict(list)
    for folder in sorted((host.sys / "class/video4linux").glob("video*"), key=lambda path: (len(path.name), path.name)):
        by_name[read_text(folder / "name") or "?"].append(folder.name)
    text = "; ".join(f"{name} (/dev/{nodes[0]}{', …' if nodes[1:] else ''})" for name, nodes in by_name.items())
    held_by = holders(_names(host), host.proc)
    held = f"; held by {', '.join(map(str, held_by))}" if held_by else ""
    if by_name:
        return passed(text + held, devices=sum(map(len, by_name.values())))
    if needs_device(config.camera):
        return failed(
            "no V4L2 device",
            "check cable and `dmesg`; on a Pi `rpicam-hello --list-cameras`; in a container pass /dev/video* through",
            devices=0,
        )
    return passed(f"none, and none is needed for {without_credentials(config.camera.source)}", devices=0)


def frame(host: Host, config: Config) -> Finding:
    """Figures of a captured picture; the picture itself is dropped. A running service keeps its camera."""
    source = without_credentials(config.camera.source)
    if use := _use_by_service(host, config.camera):
        remedy = "stop the service to check a picture (`sudo systemctl stop evenkeel`)"
        return skipped(f"{source} {use}: left alone, so no picture was checked", remedy)
    try:
        luma, count, bad, elapsed_s = _capture(host, config.camera)
    except CameraError as error:
        held_by = holders(_names(host), host.proc)
        held = f"; held by {', '.join(map(str, held_by))}: stop it" if held_by else ""
        return failed_by(error, f"fix the camera or set camera.source{held}")
    rate = f"{source}: {count / elapsed_s:.1f} frames a second" if count > 1 else source
    finding = _judge(luma, config, rate)
    figures = dict(finding.figures) | {"bad_frames": bad}
    if finding.verdict is not Verdict.PASS or bad <= MANY_BAD * (count + bad):
        return replace(finding, figures=figures)
    text = f"{finding.text}; unreadable frames: {bad} of {count + bad}"
    return warned(text, "check cable, power supply and network; the service skips such frames", **figures)


def needs_device(config: CameraConfig) -> bool:
    """Whether the source is a V4L2 device of this machine; a GStreamer pipeline may be one or not."""
    return config.source == "picamera2" or config.source.startswith("v4l2:")


def camera_nodes(host: Host) -> list[Path]:
    """The device nodes that cameras are used through."""
    return sorted(path for kind in ("video*", "media*") for path in (host.root / "dev").glob(kind))


def _names(host: Host) -> set[Path]:
    """The same as programs call them."""
    return {Path("/dev") / node.name for node in camera_nodes(host)}


def _use_by_service(host: Host, config: CameraConfig) -> str | None:
    """That the running service has the camera, or, where this user cannot see what it has, that it may; else None."""
    if is_file_source(config.source) or is_address(config.source):
        return None
    named = config.source.removeprefix("v4l2:")
    nodes = {Path(named).resolve()} if named != config.source else _names(host)
    holding = {process.pid for process in holders(nodes, host.proc)}
    for service in services(host.proc):
        if service.pid in holding:
            return f"is in use by the service, {service}"
        if not may_see(service, host.proc):
            return f"may be in use by the service, {service} (with sudo it would be known)"
    return None


def _capture(host: Host, config: CameraConfig) -> tuple[NDArray[np.uint8], int, int, float]:
    """The last picture of the first SETTLING_S seconds, how many there were, how many were bad, and in what time.

    Raises:
        CameraError: none came.
    """
    with NewestFrame(lambda: host.open_camera(config), config, reopen=False) as frames:
        last, count = frames.take(PATIENCE_S), 0
        begin = time.monotonic()
        if last is None:
            raise CameraError(f"camera {without_credentials(config.source)}: no frame for {PATIENCE_S:g} s")
        while (left_s := begin + SETTLING_S - time.monotonic()) > 0:
            try:
                newer = frames.take(left_s)
            except EndOfStream:
                break
            if newer is not None:
                last, count = newer, count + 1
        return last.luma, count + frames.dropped, frames.bad_frames, max(time.monotonic() - begin, 1e-3)


def _judge(luma: NDArray[np.uint8], config: Config, text: str) -> Finding:
    from edge.vision.quality import picture_fault, sharpness  # noqa: PLC0415 - cv2: where it does not load, one line says so

    height, width = luma.shape
    mean, spread, detail = float(luma.mean()) / 255.0, float(luma.std()) / 255.0, sharpness(luma)
    text = f"{text}; {width}x{height}, brightness {mean:.2f}, spread {spread:.2f}, sharpness {detail:.2f}"
    figures = {"width_px": width, "height_px": height}
    shares = {"brightness": round(mean, 3), "spread": round(spread, 3), "sharpness": round(detail, 3)}
    fault = picture_fault(luma, config.quality)
    if fault is None:
        return passed(text, **figures, **shares)
    remedy = "remove the lens cap, light the cabin, and see `evenkeel aim`"
    return warned(f"{text}: {fault.replace('_', ' ')}", remedy, **figures, **shares)
