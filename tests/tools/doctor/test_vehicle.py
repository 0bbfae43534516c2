"""What the doctor says of the vehicle's sources."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import can
import pytest

from edge.errors import ConfigError, UnavailableError
from edge.tools.doctor import vehicle
from edge.tools.doctor.report import Check, configured, examine
from edge.tools.doctor.target import Host
from tests.tools.doctor.conftest import MakeHost

VAN = Path(__file__).parents[2] / "vehicle/van.dbc"
CAN = {"driver": "virtual", "dbc": VAN, "speed_signal": "WheelSpeed.VehicleSpeed"}


def finding(host: Host) -> tuple[str, str, str]:
    (line,) = examine(host, [Check("vehicle", configured(vehicle.sources))])
    return line.finding.verdict, line.finding.text, line.finding.remedy


@pytest.fixture
def speaking() -> Iterator[str]:
    """A bus on which the van says 50 km/h again and again."""
    over = threading.Event()

    def speak() -> None:
        with can.Bus(interface="virtual", channel="doctor") as bus:
            while not over.wait(0.02):
                bus.send(
                    can.Message(arbitration_id=0x1B4, is_extended_id=False, data=bytes.fromhex("8813000000000000"))
                )

    thread = threading.Thread(target=speak)
    thread.start()
    yield "doctor"
    over.set()
    thread.join()


def test_without_a_source_all_is_well(make_host: MakeHost) -> None:
    assert finding(make_host())[:2] == ("pass", "none configured; every kind is judged as if the vehicle moved")


def test_a_source_that_tells_is_told(make_host: MakeHost, speaking: str) -> None:
    host = make_host(vehicle={"can": {"channel": speaking, **CAN}})
    assert finding(host) == ("pass", "can: 50 km/h, ignition unknown", "")


def test_a_source_that_is_silent_or_gone_is_a_warning_with_its_remedy(
    make_host: MakeHost, speaking: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(vehicle, "LISTEN_S", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    gpsd = {"host": "127.0.0.1", "port": port}
    verdict, text, remedy = finding(make_host(vehicle={"can": {"channel": speaking, **CAN}, "gpsd": gpsd}))
    assert verdict == "warn"
    assert "can, gpsd: 50 km/h" in text
    assert f"gpsd: gpsd 127.0.0.1:{port}: refused" in text
    assert remedy == "see with `cgps` what the receiver sees"
    verdict, text, remedy = finding(make_host(vehicle={"can": {"channel": "nobody", **CAN}}))
    assert (verdict, "can: nothing heard" in text) == ("warn", True)
    assert "`candump`" in remedy
    assert caplog.text == ""


def test_a_dbc_file_that_is_not_there_fails(make_host: MakeHost, tmp_path: Path) -> None:
    host = make_host(vehicle={"can": {**CAN, "channel": "can0", "dbc": tmp_path / "none.dbc"}})
    (line,) = examine(host, [Check("vehicle", configured(vehicle.sources))])
    assert line.finding.verdict == "fail"
    assert line.finding.exit_code == ConfigError.exit_code
    assert "none.dbc: No such file or directory" in line.finding.text + line.finding.remedy


def test_a_pin_that_cannot_be_had_is_not_said_to_change(make_host: MakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.vehicle.gpio.GpioSource.run", lambda *_: _no_pins())
    verdict, text, remedy = finding(make_host(vehicle={"gpio": {"ignition_pin": 24}}))
    assert (verdict, "gpio: no pins here" in text) == ("warn", True)
    assert remedy.startswith("a pin that cannot be had: see the line of the pins;")


def _no_pins() -> None:
    raise UnavailableError("no pins here")
