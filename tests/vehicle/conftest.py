"""What the tests of the vehicle's sources share: a clock, a bus to send on, a drive recorded as candump does."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import can
import cantools
import pytest
from cantools.database.can import Database

VAN = Path(__file__).with_name("van.dbc")

_CHANNELS = itertools.count()


class Clock:
    """A clock that the test turns."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def eventually(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60  # a busy machine takes long to start a gpsd
    while not condition():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.01)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def channel() -> str:
    """A virtual bus of this process that no other test uses."""
    return f"bus{next(_CHANNELS)}"


@pytest.fixture
def sender(channel: str) -> Iterator[can.BusABC]:
    """Another node on it."""
    with can.Bus(interface="virtual", channel=channel) as bus:
        yield bus


@pytest.fixture(scope="session")
def van() -> Database:
    loaded = cantools.database.load_file(VAN)
    assert isinstance(loaded, Database)
    return loaded


def frame(van: Database, message: str, **values: float) -> can.Message:
    """A frame as the van sends it."""
    about = van.get_message_by_name(message)
    data = about.encode(values, strict=False)
    return can.Message(arbitration_id=about.frame_id, is_extended_id=about.is_extended_frame, data=data)


def record(path: Path, frames: Iterator[tuple[float, can.Message]]) -> None:
    """Write frames, each with its time in seconds, as ``candump -L`` does."""
    with can.CanutilsLogWriter(path, channel="can0") as log:
        for t, each in frames:
            each.timestamp = t
            log.on_message_received(each)
