"""What a source tells is believed only where it can be true, and only while it is fresh."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

import pytest

from edge.config.vehicle import VehicleConfig
from edge.errors import UnavailableError
from edge.vehicle.motion import Motion
from edge.vehicle.payload import PayloadError, value_at
from edge.vehicle.source import Stop
from edge.vehicle.store import Store
from edge.vehicle.vehicle import NO_VEHICLE, Vehicle


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Told:
    """A source that tells what the test makes it tell; its thread only ends."""

    def __init__(self, name: str = "told", *, tells_speed: bool = True) -> None:
        self.name = name
        self.tells_speed = tells_speed

    def run(self, store: Store, stop: Stop) -> None:
        del store
        stop.wait()

    def interrupt(self) -> None:
        pass


def vehicle_of(clock: Clock, *names: str) -> tuple[Vehicle, list[Store]]:
    vehicle = Vehicle([Told(name) for name in names], VehicleConfig(), clock)
    return vehicle, [thread.store for thread in vehicle._threads]


NONSENSE: tuple[Any, ...] = (
    -1,
    -0.1,
    1e9,
    10**400,
    float("nan"),
    float("-inf"),
    "50",
    "",
    None,
    [],
    {},
    True,
    b"50",
    250.1,
)


@pytest.mark.parametrize("value", NONSENSE, ids=lambda value: type(value).__name__)
def test_a_speed_that_cannot_be_true_is_counted_said_and_not_believed(value: Any) -> None:
    store = Store("told", VehicleConfig(), Clock())
    store.speed(value)
    assert store.newest_speed(100.0) is None
    assert store.health(100.0).refused == 1
    assert "no speed: " in (store.health(100.0).problem or "")
    store.speed(50)
    assert (store.newest_speed(100.0), store.health(100.0).problem) == (50.0, None)


@pytest.mark.parametrize(("unit", "kmh"), [("km/h", 10.0), ("m/s", 36.0), ("mph", 16.09344), ("knots", 18.52)])
def test_each_unit_becomes_km_h(unit: Any, kmh: float) -> None:
    store = Store("told", VehicleConfig(), Clock())
    store.speed(10, unit)
    assert store.newest_speed(100.0) == pytest.approx(kmh)


@pytest.mark.parametrize(("value", "on"), [(True, True), (1, True), ("ON", True), (0, False), (" off ", False)])
def test_a_word_on_the_ignition_may_be_a_number_or_a_text(value: Any, on: bool) -> None:  # noqa: FBT001 - a case
    store = Store("told", VehicleConfig(), Clock())
    store.ignition(value)
    assert store.newest_ignition(100.0) is on


@pytest.mark.parametrize("value", [2, 0.5, "maybe", None, [], {"on": 1}])
def test_what_says_nothing_of_the_ignition_leaves_it_unknown(value: Any) -> None:
    store = Store("told", VehicleConfig(), Clock())
    store.ignition(value)
    assert store.newest_ignition(100.0) is None
    assert store.health(100.0).refused == 1


def test_what_is_too_old_is_unknown_and_so_is_what_comes_from_the_future() -> None:
    clock = Clock()
    store = Store("told", VehicleConfig(), clock)
    store.speed(80)
    store.ignition(value=True)
    assert store.newest_speed(103.0) == 80
    assert store.newest_speed(103.1) is None
    assert (store.newest_ignition(219.0), store.newest_ignition(221.0)) == (True, None)
    assert store.newest_speed(90.0) is None


def test_a_fault_that_comes_and_goes_is_logged_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    store = Store("told", VehicleConfig(), clock)
    for n in range(600):
        clock.now = 100.0 + n / 10
        store.speed("fast" if n % 2 else 50)
    assert len(caplog.records) == 1
    assert store.health(clock.now).refused == 300


@pytest.mark.parametrize(
    ("payload", "pointer", "value"),
    [
        (b"42.5", "", 42.5),
        (b"on", "", "on"),
        (b'{"gps": {"speed": 12}}', "/gps/speed", 12),
        (b'[{"a/b": 3}, {"~": 4}]', "/0/a~1b", 3),
        (b'[{"a/b": 3}, {"~": 4}]', "/1/~0", 4),
    ],
)
def test_a_pointer_finds_its_value(payload: bytes, pointer: str, value: object) -> None:
    assert value_at(payload, pointer) == value


@pytest.mark.parametrize(
    "payload", [b"", b"{", b"[" * 8000, b"[]", b"{}", b"3", b"\xff", b'{"speed": [1]}', b" " * 9000]
)
def test_a_payload_without_the_value_is_an_error_that_says_so(payload: bytes) -> None:
    with pytest.raises(PayloadError):
        value_at(payload, "/speed/kmh")


def nonsense(chance: random.Random) -> bytes:
    """Bytes, or JSON that holds no speed at its place."""
    makers: tuple[Callable[[], bytes], ...] = (
        lambda: chance.randbytes(chance.randrange(40)),
        lambda: json.dumps({"speed": chance.choice(["50", None, True, [3], {"a": 1}, -1e3, 1e9, 10**30])}).encode(),
        lambda: b'{"speed": NaN}',
        lambda: json.dumps([chance.random()] * chance.randrange(5)).encode(),
        lambda: b"[" * chance.randrange(9000),
    )
    return chance.choice(makers)()


def test_ten_thousand_random_payloads_raise_nothing_and_leave_the_speed_unknown() -> None:
    chance, clock = random.Random(7), Clock()  # noqa: S311 - a fixed series
    vehicle, (store,) = vehicle_of(clock, "told")
    for n in range(10_000):
        clock.now = 100.0 + n / 100
        try:
            store.speed(value_at(nonsense(chance), "/speed"))
        except PayloadError as error:
            store.refuse("speed", str(error))
        context = vehicle.context(clock.now)
        assert (context.speed_kmh, context.standstill, context.standing_s) == (None, None, None)
    assert store.health(clock.now).refused == 10_000


def test_the_fastest_of_several_sources_is_believed() -> None:
    clock = Clock()
    vehicle, (first, second) = vehicle_of(clock, "first", "second")
    first.speed(0)
    first.ignition(value=False)
    second.speed(80)
    second.ignition(value=True)
    context = vehicle.context(100.0)
    assert (context.speed_kmh, context.ignition, context.standstill) == (80, True, False)


def test_a_vehicle_stands_once_it_was_slow_for_a_while_and_moves_at_once() -> None:
    motion = Motion(3.0, 2.0)
    said = []
    for t, speed in ((0, 50.0), (1, 2.0), (2, 1.0), (3, 0.0), (4, 4.0), (5, 5.0), (6, 0.0), (7, None)):
        motion.update(t, speed)
        said.append((motion.standstill, motion.standing_s))
    assert said == [
        (False, None),
        (False, None),
        (False, None),
        (True, 2.0),
        (True, 3.0),
        (False, None),
        (False, None),
        (None, None),
    ]


def test_a_source_that_goes_silent_is_said_and_its_speed_unknown(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    vehicle, (store,) = vehicle_of(clock, "told")
    store.speed(0)
    clock.now = 102.5
    assert vehicle.context(clock.now).standstill is False
    clock.now = 104.0
    assert vehicle.context(clock.now).speed_kmh is None
    assert "unknown, so nothing is held back" in (vehicle.health(clock.now)["told"].problem or "")
    assert len(caplog.records) == 1
    store.speed(0)
    vehicle.context(clock.now)
    assert vehicle.health(clock.now)["told"].problem is None


def test_a_source_that_fails_is_opened_again_and_said(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Told):
        def run(self, store: Store, stop: Stop) -> None:
            del store, stop
            raise UnavailableError("broken: mend it")

    vehicle = Vehicle([Broken()], VehicleConfig(), Clock())
    with vehicle:
        vehicle._threads[0]._thread.join(0.2)
        assert vehicle.health(100.0)["told"].problem == "broken: mend it"
    assert [record.getMessage() for record in caplog.records] == ["vehicle told: broken: mend it"]


def test_a_source_that_is_lost_is_not_said_to_be_silent_as_well(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    vehicle, (store,) = vehicle_of(clock, "told")
    store.fail("source", "the bus is gone")
    clock.now += 60
    assert vehicle.context(clock.now).speed_kmh is None
    assert (vehicle.health(clock.now)["told"].problem, len(caplog.records)) == ("the bus is gone", 1)
    store.mend("source")
    vehicle.context(clock.now)
    assert "no speed for more than 3 s" in (vehicle.health(clock.now)["told"].problem or "")


def test_without_a_source_nothing_is_known() -> None:
    with NO_VEHICLE:
        assert NO_VEHICLE.context(0.0).speed_kmh is None
        assert NO_VEHICLE.health(0.0) == {}
    assert Vehicle([], VehicleConfig(), Clock()).context(0.0).standstill is None
