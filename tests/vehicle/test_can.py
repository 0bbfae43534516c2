"""Speed and ignition from CAN frames, on python-can's virtual bus and, where the kernel has one, on vcan."""

from __future__ import annotations

import errno
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import can
import can.player
import pytest
from cantools.database.can import Database

from edge.board.clock import uptime_s
from edge.config import Config
from edge.config.vehicle import CanSourceConfig, VehicleConfig
from edge.errors import ConfigError, UnavailableError
from edge.vehicle import Vehicle, source
from edge.vehicle.can import BUS_OFF, CanSource, Frames
from edge.vehicle.obd import RPM_PID, SPEED_PID, ObdError, answer, question
from edge.vehicle.sources import configured_sources
from edge.vehicle.store import Store
from tests.vehicle.conftest import VAN, Clock, eventually, frame, record


def config_of(channel: str = "can0", **more: Any) -> CanSourceConfig:
    if more.get("obd", "off") == "off":
        more = {"dbc": VAN, "speed_signal": "WheelSpeed.VehicleSpeed", "ignition_signal": "KeyPosition"} | more
    return CanSourceConfig.model_validate({"channel": channel, "driver": "virtual", "ignition_from": 2} | more)


def listening(config: CanSourceConfig) -> Vehicle:
    return Vehicle([CanSource(config)], VehicleConfig(), uptime_s)


def store_of(clock: Clock) -> Store:
    return Store("can", VehicleConfig(), clock)


def sent(identifier: int, data: bytes, *, extended: bool = False) -> can.Message:
    return can.Message(arbitration_id=identifier, data=data, is_extended_id=extended)


@pytest.mark.parametrize(
    ("signal", "message", "kmh"),
    [
        ("WheelSpeed.VehicleSpeed", sent(0x1B4, bytes.fromhex("581B000000000000")), 70.0),
        ("SpeedOfWheels", sent(0x3C0, bytes.fromhex("00D00700")), 72.0),
        ("CCVS1.WheelBasedVehicleSpeed", sent(0x18FEF1FE, bytes.fromhex("FF0050FFFFFFFFFF"), extended=True), 80.0),
    ],
)
def test_a_signal_of_the_dbc_file_is_the_speed_in_its_own_unit(
    signal: str, message: can.Message, kmh: float, clock: Clock
) -> None:
    store = store_of(clock)
    Frames(config_of(speed_signal=signal)).take(message, store)
    assert store.newest_speed(clock.now) == pytest.approx(kmh)
    assert store.health(clock.now).problem is None


def test_the_configured_unit_goes_before_that_of_the_file(clock: Clock) -> None:
    store = store_of(clock)
    Frames(config_of(speed_unit="mph")).take(sent(0x1B4, bytes.fromhex("581B000000000000")), store)
    assert store.newest_speed(clock.now) == pytest.approx(112.65408)


@pytest.mark.parametrize(("position", "on"), [(0, False), (1, False), (2, True), (3, True)])
def test_a_key_turned_far_enough_is_ignition(position: int, on: bool, van: Database, clock: Clock) -> None:  # noqa: FBT001
    store = store_of(clock)
    Frames(config_of()).take(frame(van, "Body", KeyPosition=position), store)
    assert store.newest_ignition(clock.now) is on


BAD = {
    "cut short": (sent(0x1B4, bytes.fromhex("581B00")), "WheelSpeed of 3 bytes"),
    "empty": (sent(0x1B4, b""), "WheelSpeed of 0 bytes"),
    "out of the file's range": (sent(0x1B4, bytes.fromhex("FFFF000000000000")), "655.35 is outside"),
    "faster than any van": (sent(0x1B4, bytes.fromhex("286E000000000000")), "no speed: 282"),
    "a key that does not exist": (sent(0x2F0, b"\x0f\x00"), "KeyPosition = 15 is outside"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_frame_that_cannot_be_true_is_counted_said_and_not_believed(case: str, clock: Clock) -> None:
    message, said = BAD[case]
    store = store_of(clock)
    Frames(config_of()).take(message, store)
    health = store.health(clock.now)
    assert health.refused == 1
    assert said in (health.problem or "")
    assert (store.newest_speed(clock.now), store.newest_ignition(clock.now)) == (None, None)


def test_an_unknown_multiplexer_is_refused_and_another_page_says_nothing(clock: Clock) -> None:
    store = store_of(clock)
    frames = Frames(config_of(speed_signal="SpeedOfWheels"))
    frames.take(sent(0x3C0, bytes.fromhex("01500000")), store)
    assert store.health(clock.now).refused == 0
    frames.take(sent(0x3C0, bytes.fromhex("09500000")), store)
    assert store.health(clock.now).refused == 1
    assert "expected multiplexer id 0 or 1, but got 9" in (store.health(clock.now).problem or "")


def test_frames_of_others_remote_frames_and_the_same_number_at_another_length_say_nothing(clock: Clock) -> None:
    store = store_of(clock)
    frames = Frames(config_of())
    frames.take(sent(0x123, bytes(8)), store)
    frames.take(sent(0x1B4, bytes(8), extended=True), store)
    frames.take(can.Message(arbitration_id=0x1B4, is_extended_id=False, is_remote_frame=True, dlc=8), store)
    assert store.newest_speed(clock.now) is None
    assert store.health(clock.now).refused == 0


def test_bus_off_is_said_with_its_remedy_until_a_frame_comes(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    store = store_of(clock)
    frames = Frames(config_of())
    for _ in range(3):
        frames.take(can.Message(arbitration_id=BUS_OFF, is_error_frame=True, data=bytes(8)), store)
    assert "bus off on can0" in (store.health(clock.now).problem or "")
    assert "restart-ms 100" in caplog.text
    assert len(caplog.records) == 1
    frames.take(sent(0x1B4, bytes(8)), store)
    assert store.health(clock.now).problem is None


def test_ten_thousand_random_frames_raise_nothing_and_close_no_gate(clock: Clock) -> None:
    """Those that hold a speed by chance are left out: what is left must not be one."""
    chance = random.Random(7)  # noqa: S311 - a fixed series
    store = store_of(clock)
    listeners = [Frames(config_of()), Frames(config_of(speed_signal="SpeedOfWheels")), Frames(config_of(obd="11-bit"))]
    known = [0x1B4, 0x2F0, 0x3C0, 0x7E8, 0x7EF]
    for n in range(10_000):
        clock.now = 100.0 + n / 100
        identifier = chance.choice([*known, chance.randrange(0x800)])
        data = chance.randbytes(chance.randrange(9))
        if identifier in known and len(data) >= 2 and identifier not in (0x7E8, 0x7EF):
            data = data[:1] if identifier != 0x1B4 else b"\xff\xff" + data[2:]
        message = can.Message(
            arbitration_id=identifier,
            is_extended_id=chance.random() < 0.1,
            is_remote_frame=chance.random() < 0.05,
            is_error_frame=chance.random() < 0.05,
            data=data,
        )
        for each in listeners:
            each.take(message, store)
        assert store.newest_speed(clock.now) is None
    assert store.health(clock.now).refused > 1000


@pytest.fixture(params=["virtual", "socketcan"])
def bus(request: pytest.FixtureRequest, channel: str) -> Iterator[tuple[str, str]]:
    """A driver and its channel."""
    if request.param == "virtual":
        yield "virtual", channel
        return
    add = ["ip", "link", "add", "dev", "vcan7", "type", "vcan"]
    try:
        made = subprocess.run(add, capture_output=True, text=True, check=False)  # noqa: S603 - fixed words
    except FileNotFoundError:
        pytest.skip("no `ip` to make a vcan with")
    if made.returncode:
        pytest.skip(f"no vcan here: {made.stderr.strip()}")  # the kernel's affair: no package brings it
    try:
        subprocess.run(["ip", "link", "set", "vcan7", "up"], check=True)  # noqa: S607 - as above
        yield "socketcan", "vcan7"
    finally:
        subprocess.run(["ip", "link", "del", "vcan7"], check=True)  # noqa: S607 - as above


def test_a_recorded_drive_is_heard_from_the_bus_through_the_player(
    bus: tuple[str, str], van: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver, channel = bus
    log = tmp_path / "drive.log"
    speeds = [*range(0, 60, 2)]
    drive = [frame(van, "WheelSpeed", VehicleSpeed=speed, Counter=n % 16) for n, speed in enumerate(speeds)]
    drive.append(frame(van, "Body", KeyPosition=2))
    record(log, ((n / 50, each) for n, each in enumerate(drive)))
    with listening(config_of(channel, driver=driver)) as vehicle:

        def played() -> bool:
            monkeypatch.setattr(sys, "argv", ["player", "-i", driver, "-c", channel, str(log)])
            can.player.main()
            context = vehicle.context(uptime_s())
            return (context.speed_kmh, context.ignition) == (58.0, True)

        eventually(played)
        assert vehicle.health(uptime_s())["can"].problem is None


def test_a_bus_that_goes_and_comes_back_is_opened_again(
    channel: str, sender: can.BusABC, van: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "REOPEN_MIN_S", 0.01)
    down = [False]
    receive = can.BusABC.recv

    def recv(self: can.BusABC, timeout: float | None = None) -> can.Message | None:
        if down[0]:
            raise can.CanOperationError("Error receiving: Network is down", 100)
        return receive(self, timeout)

    monkeypatch.setattr(can.BusABC, "recv", recv)
    with listening(config_of(channel)) as vehicle:

        def drives() -> bool:
            sender.send(frame(van, "WheelSpeed", VehicleSpeed=50, Counter=0))
            return vehicle.context(uptime_s()).speed_kmh == 50.0

        eventually(drives)
        down[0] = True
        eventually(lambda: "Network is down" in (vehicle.health(uptime_s())["can"].problem or ""))
        down[0] = False
        eventually(lambda: vehicle.health(uptime_s())["can"].problem is None)
        eventually(drives)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"driver": "socketcan", "channel": "can77"}, "bus can77 (socketcan): "),
        ({"driver": "carrier-pigeon"}, "carrier-pigeon"),
    ],
)
def test_a_bus_that_is_not_there_is_one_line_with_its_remedy(more: dict[str, Any], said: str) -> None:
    with listening(config_of(**more)) as vehicle:
        eventually(lambda: vehicle.health(uptime_s())["can"].problem is not None)
        problem = vehicle.health(uptime_s())["can"].problem or ""
        assert said in problem
        assert "\n" not in problem
        assert vehicle.context(uptime_s()).speed_kmh is None


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (errno.ENODEV, "bus can0 (socketcan): No such device; see `ip -details link show can0`"),
        (errno.EAFNOSUPPORT, "the service's unit must allow it (RestrictAddressFamilies=AF_CAN)"),
    ],
)
def test_a_bus_that_is_missing_is_told_from_one_that_is_forbidden(
    fault: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def opened(**_: object) -> can.BusABC:
        raise OSError(fault, os.strerror(fault))

    monkeypatch.setattr(can, "Bus", opened)
    with listening(config_of(driver="socketcan")) as vehicle:
        eventually(lambda: said in (vehicle.health(uptime_s())["can"].problem or ""))


def test_only_frames_of_use_are_asked_of_the_kernel() -> None:
    with can.Bus(interface="virtual", channel="filters") as bus:
        bus.set_filters(Frames(config_of(dbc=VAN, speed_signal="CCVS1.WheelBasedVehicleSpeed")).filters)
        wanted = (sent(0x18FEF1FE, b"", extended=True), sent(0x2F0, b""))
        assert all(bus._matches_filters(each) for each in wanted)
        others = (sent(0x18FEF1FD, b"", extended=True), sent(0x2F1, b""), sent(0x2F0, b"", extended=True))
        assert not any(bus._matches_filters(each) for each in others)
        bus.set_filters(Frames(config_of(obd="29-bit")).filters)
        assert bus._matches_filters(sent(0x18DAF110, b"", extended=True))
        assert not bus._matches_filters(sent(0x18DBF110, b"", extended=True))


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"dbc": VAN.with_name("none.dbc")}, "none.dbc: No such file or directory"),
        ({"dbc": Path(__file__)}, "is no DBC file"),
        ({"speed_signal": "Velocity"}, "has no signal Velocity; it has "),
        ({"speed_signal": "VehicleSpeed"}, "several: name one of WheelSpeed.VehicleSpeed, Trailer.VehicleSpeed"),
        ({"speed_signal": "Trailer.VehicleSpeed"}, "'furlongs/fortnight' of VehicleSpeed: set it to"),
    ],
)
def test_a_configuration_that_cannot_work_is_one_line(more: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as told:
        CanSource(config_of(**more))
    assert said in str(told.value)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"channel": "can0"}, "set dbc with speed_signal or ignition_signal, or obd"),
        ({"channel": "can0", "dbc": "van.dbc"}, "belong together"),
        ({"channel": "can0", "speed_signal": "Speed"}, "belong together"),
        ({"obd": "11-bit"}, "set channel"),
        ({"channel": "can0", "dbc": "van.dbc", "speed_signal": "no signal"}, "should match pattern"),
    ],
)
def test_a_table_that_is_half_filled_in_is_refused(keys: dict[str, str], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        CanSourceConfig.model_validate(keys)


def test_a_missing_package_names_what_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "can", None)
    monkeypatch.delitem(sys.modules, "edge.vehicle.can")
    with pytest.raises(UnavailableError, match=r"\[vehicle.can\]: .*; `pip install 'evenkeel\[can\]'`"):
        configured_sources(Config(vehicle=VehicleConfig(can=config_of())), {})


def reply(pid: int, value: bytes, identifier: int = 0x7E8) -> can.Message:
    data = bytes((2 + len(value), 0x41, pid)) + value
    return sent(identifier, data.ljust(8, b"\xaa"))


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ("03410D32AAAAAAAA", (SPEED_PID, 50.0)),
        ("04410C1AF8AAAAAA", (RPM_PID, 1726.0)),
        ("03410532AAAAAAAA", None),  # the coolant's temperature
        ("037F0112AAAAAAAA", None),  # refused
        ("1014490201574457", None),  # the first of several frames
        ("03410D32", (SPEED_PID, 50.0)),
    ],
)
def test_an_answer_is_read_as_the_standard_says(data: str, told: tuple[int, float] | None) -> None:
    assert answer(bytes.fromhex(data)) == told


@pytest.mark.parametrize("data", ["", "03", "0341", "02410D", "03410D", "03410C1A", "04410C1A", "07410D3233343536"])
def test_an_answer_that_is_cut_short_is_refused(data: str) -> None:
    with pytest.raises(ObdError):
        answer(bytes.fromhex(data))


@pytest.mark.parametrize(("obd", "asked", "answers"), [("11-bit", 0x7DF, 0x7E8), ("29-bit", 0x18DB33F1, 0x18DAF110)])
def test_a_car_is_asked_for_speed_and_revolutions_in_turn(
    obd: str, asked: int, answers: int, channel: str, sender: can.BusABC
) -> None:
    with listening(config_of(channel, obd=obd, obd_period_s=0.1)) as vehicle:

        def answered() -> bool:
            if (heard := sender.recv(0.1)) is None:
                return False
            assert (heard.arbitration_id, heard.is_extended_id, heard.dlc) == (asked, obd == "29-bit", 8)
            values = {SPEED_PID: b"\x32", RPM_PID: b"\x0c\x00"}
            for pid, value in values.items():
                if bytes(heard.data) == question(pid):
                    said = reply(pid, value, answers)
                    said.is_extended_id = obd == "29-bit"
                    sender.send(said)
            context = vehicle.context(uptime_s())
            return (context.speed_kmh, context.ignition) == (50.0, True)

        eventually(answered)


def test_an_engine_that_does_not_turn_says_nothing_of_the_ignition(clock: Clock) -> None:
    store = store_of(clock)
    Frames(config_of(obd="11-bit")).take(reply(RPM_PID, b"\x00\x00"), store)
    assert store.newest_ignition(clock.now) is None


def test_a_bus_that_takes_no_question_is_said(channel: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from can.interfaces.virtual import VirtualBus  # noqa: PLC0415 - only this test needs it

    def send(self: VirtualBus, message: can.Message, timeout: float | None = None) -> None:
        del self, message, timeout
        raise can.CanOperationError("Transmit buffer full")

    monkeypatch.setattr(VirtualBus, "send", send)
    with listening(config_of(channel, obd="11-bit")) as vehicle:
        eventually(lambda: "cannot ask: Transmit buffer full" in (vehicle.health(uptime_s())["can"].problem or ""))
