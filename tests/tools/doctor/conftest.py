"""A made-up machine: folders for /proc, /sys, /dev and /etc, a camera, a user."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.camera import Source
from edge.config import Config
from edge.domain import Frame
from edge.tools.doctor.target import Host, User

MakeHost = Callable[..., Host]


class Noise(Source):
    """A camera at some 100 pictures a second of noise around ``level``."""

    def __init__(self, level: int = 120) -> None:
        self._random = np.random.default_rng(0)
        self._level = level

    def read(self, timeout_s: float) -> Frame:  # noqa: ARG002 - never late
        time.sleep(0.01)
        noise = self._random.integers(-60, 60, (48, 64)) if self._level > 60 else 0
        return Frame(np.full((48, 64), self._level, np.uint8) + np.asarray(noise, np.int16).astype(np.uint8), 0.0)


@pytest.fixture
def make_host(tmp_path: Path) -> MakeHost:
    """A host with these sections of the configuration: ``make_host(camera={…}, root=…, user=…)``."""

    def make(
        root: Path = tmp_path,
        user: User | None = None,
        config_file: Path | None = None,
        open_camera: Callable[..., Any] = lambda _: Noise(),
        environ: dict[str, str] | None = None,
        **sections: Any,
    ) -> Host:
        known = {"device": {"id": "van-7"}, "outbox": {"path": tmp_path / "state" / "outbox.db"}}
        config = Config.model_validate(known | sections)
        (root / "proc").mkdir(exist_ok=True)
        return Host(
            config, None, config_file, environ or {}, user or User.current(), root=root, open_camera=open_camera
        )

    return make


@pytest.fixture
def nobody() -> User:
    """A user who owns nothing here and is in no group that matters."""
    return User("somebody", os.getuid() + 12345, frozenset({54321}))
