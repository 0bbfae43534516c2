"""What goes to the boards: the wheels that they install from, the tests, the clip."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import cv2

from benchmarks.board.root import Board
from edge.compat import tomllib

SOURCE = Path(__file__).parents[2]
CLIP = SOURCE / "edge/tools/demo/clip.mp4"

SUITE = ("tests", "benchmarks", "systemd", "models")
"""Folders of the repository that tests import or read; ``edge`` is the installed one."""

NOT_FOR_TESTS = ("mypy", "ruff", "shellcheck")

PLATFORMS = (*(f"manylinux_2_{minor}_aarch64" for minor in range(17, 37)), "manylinux2014_aarch64")
"""Up to Debian 12's glibc; pip knows no "or older"."""


def make_stage(stage: Path, boards: Sequence[Board], every: int) -> None:
    """Collect it all in ``stage``; of the clip, every ``every``-th frame.

    Raises:
        subprocess.CalledProcessError: pip cannot get a package; its reason is on stderr.
    """
    shutil.rmtree(stage, ignore_errors=True)
    suite = stage / "suite"
    for folder in SUITE:
        shutil.copytree(SOURCE / folder, suite / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(SOURCE / "pyproject.toml", suite)
    thin(CLIP, stage / "clip.mp4", every)
    versions = [board.python for board in boards]
    _collect_wheels(stage / "wheels", versions)
    _collect_test_wheels(stage / "test-wheels", versions)


def thin(clip: Path, thinned: Path, every: int, codec: str = "mp4v") -> None:
    """Write every ``every``-th frame of ``clip`` into ``thinned``, which lasts as long."""
    if every == 1 and clip.suffix == thinned.suffix:
        shutil.copy(clip, thinned)
        return
    source = cv2.VideoCapture(str(clip))
    size = (int(source.get(cv2.CAP_PROP_FRAME_WIDTH)), int(source.get(cv2.CAP_PROP_FRAME_HEIGHT)))
    fps = source.get(cv2.CAP_PROP_FPS) / every
    writer = cv2.VideoWriter(str(thinned), cv2.VideoWriter.fourcc(*codec), fps, size)
    number = 0
    while source.grab():
        if number % every == 0:
            writer.write(source.retrieve()[1])
        number += 1
    writer.release()
    source.release()


def packages_for_tests() -> list[str]:
    """What the tests need beside Evenkeel, from the project's extras."""
    extras = tomllib.loads((SOURCE / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    return [name for name in extras["dev"] + extras["demo"] if not name.startswith(NOT_FOR_TESTS)]


def _collect_wheels(folder: Path, versions: Sequence[str]) -> None:
    script = SOURCE / "systemd/wheelhouse.sh"
    subprocess.run(  # noqa: S603
        ["sh", script, sys.executable, "aarch64", " ".join(versions), folder, "dashboard"],  # noqa: S607
        check=True,
    )


def _collect_test_wheels(folder: Path, versions: Sequence[str]) -> None:
    download = [sys.executable, "-m", "pip", "--quiet", "download", "--dest", str(folder), "--only-binary", ":all:"]
    platforms = [option for platform in PLATFORMS for option in ("--platform", platform)]
    for version in versions:
        subprocess.run(  # noqa: S603
            [*download, "--python-version", version, *platforms, *packages_for_tests()], check=True
        )
