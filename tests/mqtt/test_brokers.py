"""Every broker of the matrix that is installed takes what the device says; the matrix itself is ``make brokers``."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.brokers.__main__ import Outcome, judge, report
from benchmarks.brokers.ejabberd import Ejabberd
from benchmarks.brokers.embedded import Embedded
from benchmarks.brokers.rabbitmq import RabbitMq
from benchmarks.brokers.rows import ROWS
from benchmarks.messages import made_alert
from benchmarks.server import BrokerError, Server
from benchmarks.tally import Tally
from edge.mqtt.client import Publisher
from edge.service.loop import board_stamp
from tests.conftest import Subscriber


@pytest.mark.parametrize("kind", [RabbitMq, Ejabberd, Embedded])
def test_a_broker_takes_alerts_state_and_discovery(
    kind: type[Server],
    tmp_path: Path,
    publish_to: Callable[..., Publisher],
    subscribe: Callable[..., Subscriber],
) -> None:
    if (missing := kind.missing()) is not None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(missing)
    folder = tmp_path / "broker"
    folder.mkdir()
    broker = kind(folder)
    try:
        broker.start()
        login = {}
        if broker.user is not None:
            password = tmp_path / "password"
            password.write_text(broker.user[1])
            login = {"username": broker.user[0], "password_file": password}
        subscriber = subscribe(broker.port, user=broker.user)
        publisher = publish_to(broker.port, **login)
        for number in range(20):
            publisher.publish_alert(made_alert(board_stamp(), f"alert-{number}"))
        subscriber.wait_for("evenkeel/van-7/alert", count=20)
        reasons = [json.loads(payload)["reason"] for payload in subscriber.payloads("evenkeel/van-7/alert")]
        assert list(dict.fromkeys(reasons)) == [f"alert-{number}" for number in range(20)]
        for topic in (
            "evenkeel/van-7/state",
            "evenkeel/van-7/availability",
            "homeassistant/device/van-7_e-health/config",
        ):
            subscriber.wait_for(topic)
    finally:
        broker.kill()


def test_a_broker_that_is_not_installed_is_named_with_the_command(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("benchmarks.server.SYSTEM_PATH", "")
    monkeypatch.setattr("benchmarks.brokers.rabbitmq.HOME", tmp_path)
    with pytest.raises(BrokerError, match="apt-get install rabbitmq-server"):
        RabbitMq(tmp_path).start()


def test_every_row_has_a_name_of_its_own() -> None:
    assert len({row.name for row in ROWS}) == len(ROWS)


def test_the_page_holds_each_row_and_what_its_device_named() -> None:
    outcome = Outcome("mosquitto", "2.0.11", "max_qos 0", 40, 40, 0, 0, 0, 31.0, ("QoS 0 only",), None)
    assert "| mosquitto 2.0.11 | max_qos 0 | 40 | 40 | 0 | 0 | 0 | QoS 0 only |" in report([outcome], 1)


def test_a_row_fails_where_an_alert_is_missing_or_a_limit_is_not_named() -> None:
    row = next(row for row in ROWS if row.named == "QoS")
    all_stored = Tally(decided=3, received=3)
    assert judge(row, all_stored, ["the broker takes QoS 0 only"]) is None
    assert judge(row, all_stored, ["something else"]) == "no problem tells: QoS"
    assert judge(row, Tally(decided=3, received=2, lost=1), ["QoS"])
    assert judge(row, Tally(decided=3, received=3, doubles=1), ["QoS"])
    assert judge(row, Tally(), ["QoS"])
