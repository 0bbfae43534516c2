"""Checks of what runs here: packages, configuration, models, and how long these take.

What imports cv2 is imported by the check that needs it: an OpenCV that does not load is one line, not the end of all.
"""

# ruff: noqa: PLC0415 - as said above

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import numpy as np

from edge.config import Config
from edge.domain import Face
from edge.errors import ModelError, UnavailableError
from edge.tools.doctor.board import board_name
from edge.tools.doctor.finding import Finding, failed, failed_by, passed, warned
from edge.tools.doctor.target import SERVICE_USER, Host

RUNS = 20
TOO_SLOW = 3.0
"""Times the expected figure: more is not noise."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What was measured: ``board`` is part of the board's name, ``ms`` the time of the models, one thread, LiteRT."""

    board: str
    ms: float


EXPECTED = (Expected("AMD EPYC", 1.2),)
"""Only what was measured by this very check: a virtual machine with 2 processors, under other load, 24 times."""


def runtimes(host: Host, config: Config) -> Finding:
    """The TFLite runtimes that are there, and which one is used."""
    from edge.vision.tflite import open_runtime

    del host
    packages = {"litert": "ai-edge-litert", "tflite": "tflite-runtime"}
    there = ", ".join(f"{package} {version}" for package in packages.values() if (version := _version(package)))
    try:
        used, _ = open_runtime(config.vision.runtime)
    except UnavailableError as error:
        return failed_by(error, f"there: {there or 'none'}; install it into this Python's environment")
    return passed(f"{there or used}; used: {used}", runtime=used)


def packages(host: Host) -> Finding:
    """What else must fit together: a numpy that pip upgraded breaks apt's picamera2."""
    del host
    try:
        import cv2
    except ImportError as error:
        remedy = "reinstall it as opencv-python-headless, which needs no graphics libraries"
        return failed(f"OpenCV cannot be imported: {error}", remedy)
    text = f"numpy {np.__version__} in {_home(np.__file__)}, OpenCV {cv2.__version__} in {_home(cv2.__file__)}"
    return passed(text, numpy=np.__version__, opencv=cv2.__version__)


def configuration(host: Host) -> Finding:
    """Whether the configuration says what is allowed."""
    where = str(host.config_file) if host.config_file else "defaults, no file given (--config)"
    if host.fault is not None:
        return failed_by(host.fault, "correct it; `evenkeel check FILE` lists each error")
    installed = host.root / "etc" / SERVICE_USER / f"{SERVICE_USER}.toml"
    if host.config_file is None and installed.is_file():
        return warned(f"defaults, but the service reads {installed}", f"look with `--config {installed}`")
    return passed(f"{where}: valid")


def models(host: Host, config: Config) -> Finding:
    """Checksums of the models, and whether the runtime loads them."""
    from edge.service.versions import verified_models
    from edge.vision import ExpressionReader, EyeReader, FaceFinder
    from edge.vision.track import FaceTracker

    del host
    try:
        manifests = verified_models(config.vision)
        FaceFinder.load(config.vision)
        ExpressionReader.load(config.vision)
        EyeReader.load(config.vision)
        FaceTracker.wanted(config.vision)
    except (ModelError, UnavailableError) as error:
        return failed_by(error, "reinstall evenkeel, or correct [vision]")
    names = ", ".join(f"{one.name} {one.version} ({one.file}, sha256 {one.sha256[:12]}…)" for one in manifests)
    return passed(f"{names}: checksums verified, loaded")


def inference(host: Host, config: Config) -> Finding:
    """How long the models take on one picture, against this kind of board and against the frame rate."""
    from edge.service.versions import About

    try:
        about, ms = About.of(config.vision), time_models(config)
    except (ModelError, UnavailableError) as error:
        return failed_by(error, "see the lines above")
    board, budget_ms = board_name(host), 1000.0 / config.camera.fps
    figure = next((one for one in EXPECTED if one.board in board), None)
    against = f"expected {figure.ms:g} ms" if figure else "no reference figure for this board"
    text = (
        f"{ms:.1f} ms for the models, median of {RUNS} ({about.runtime}, {config.vision.threads} thread(s)); {against}"
    )
    figures = {"ms": round(ms, 2), "expected_ms": figure.ms if figure else None, "budget_ms": round(budget_ms, 1)}
    if ms > budget_ms:
        remedy = f"set camera.fps = {max(1, int(1000.0 / ms))}, or more vision.threads"
        return warned(f"{text}; too slow for {config.camera.fps:g} frames a second", remedy, **figures)
    if figure and ms > TOO_SLOW * figure.ms:
        return warned(text, "check for other load (`top`), throttling, and a runtime without XNNPACK", **figures)
    return passed(text, **figures)


def time_models(config: Config) -> float:
    """Median milliseconds of a look at a picture and of one reading of face and eyes; what it shows does not matter."""
    from edge.vision import ExpressionReader, EyeReader, FaceFinder

    finder, reader = FaceFinder.load(config.vision), ExpressionReader.load(config.vision)
    eyes = EyeReader.load(config.vision)
    size = (config.camera.height_px, config.camera.width_px)
    luma = np.random.default_rng(0).integers(0, 255, size, np.uint8)
    middle = np.array([size[1] / 2, size[0] / 2], np.float32)
    points = middle + np.array([[-20, -20], [20, -20], [0, 0], [-15, 20], [15, 20]], np.float32)
    face = Face((float(middle[0]) - 40, float(middle[1]) - 40, 80.0, 80.0), points, 1.0)
    taken_ms = []
    for _ in range(RUNS + 2):
        begin = time.perf_counter()
        finder.find_all(luma)
        reader.read(luma, face)
        eyes.read(luma, face)
        taken_ms.append((time.perf_counter() - begin) * 1000.0)
    return statistics.median(taken_ms[2:])


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _home(file: str | None) -> Path | str:
    return Path(file).parent.parent if file else "?"
