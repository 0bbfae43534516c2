"""The broker's line: the service's own connection, tried beside it, and what the broker would refuse of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from edge.errors import EXIT_UNAVAILABLE
from edge.mqtt.rehearsal import LEAST_BYTES
from edge.tools.doctor.broker import broker
from edge.tools.doctor.finding import Finding, Verdict
from tests.mqtt.scripted import CLOSE, CONNECT, DISCONNECT, PUBLISH, SILENCE, SUBSCRIBE, Script, ScriptedBroker
from tests.tools.doctor.conftest import MakeHost

if TYPE_CHECKING:
    from benchmarks.mosquitto import Mosquitto
    from tests.conftest import Subscriber

TOPIC = "evenkeel/van-7/command/doctor/result"


def looked(make_host: MakeHost, port: int, **mqtt: Any) -> Finding:
    host = make_host(mqtt={"host": "127.0.0.1", "port": port, **mqtt})
    assert host.config is not None
    return broker(host, host.config)


def test_a_broker_without_limits_passes_and_keeps_nothing_of_it(
    make_host: MakeHost, mosquitto: Mosquitto, subscribe: Callable[..., Subscriber]
) -> None:
    hears = subscribe(mosquitto.port)
    finding = looked(make_host, mosquitto.port)
    assert finding.verdict is Verdict.PASS
    assert "in MQTT 5, without TLS, and accepts a last will, QoS 1, retained messages" in finding.text
    hears.wait_for(TOPIC, b"")
    assert {message.topic for message in hears.messages} == {TOPIC}
    late = subscribe(mosquitto.port)
    late.publish("marker")
    late.wait_for("marker")
    assert late.payloads(TOPIC) == []


@pytest.mark.parametrize(
    ("limit", "said", "remedy"),
    [
        ("max_packet_size 2000", "larger than the 2000 bytes", "max_packet_size"),
        ("message_size_limit 1500", "too large", "message_size_limit"),
        ("max_qos 0", "QoS 0 only", "max_qos"),
        ("retain_available false", "keeps no retained messages", "retain_available"),
    ],
)
def test_a_limit_that_the_service_would_meet_fails_with_the_remedy(
    make_host: MakeHost, make_mosquitto: Callable[..., Mosquitto], limit: str, said: str, remedy: str
) -> None:
    finding = looked(make_host, make_mosquitto(f"allow_anonymous true\n{limit}").port)
    assert (finding.verdict, finding.exit_code) == (Verdict.FAIL, EXIT_UNAVAILABLE)
    assert said in finding.text
    assert remedy in finding.remedy


def test_a_window_of_one_is_no_fault(make_host: MakeHost, make_mosquitto: Callable[..., Mosquitto]) -> None:
    finding = looked(make_host, make_mosquitto("allow_anonymous true\nmax_inflight_messages 1").port)
    assert finding.verdict is Verdict.PASS


def test_an_access_list_that_lets_the_device_say_nothing_fails(
    make_host: MakeHost, make_mosquitto: Callable[..., Mosquitto], tmp_path: Path
) -> None:
    acl = tmp_path / "acl"
    acl.write_text("topic read #\n")
    acl.chmod(0o600)
    finding = looked(make_host, make_mosquitto(f"allow_anonymous true\nacl_file {acl}").port)
    assert finding.verdict is Verdict.FAIL
    assert f"refuses {TOPIC}: not authorised" in finding.text
    assert "access list" in finding.remedy


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (lambda got: CLOSE if got.kind == PUBLISH else None, f"ended while {TOPIC} was on its way"),
        (lambda got: SILENCE if got.kind == PUBLISH else None, f"no answer to {TOPIC} within 0.3 s"),
        (lambda got: CLOSE if got.kind == SUBSCRIBE else None, "ended while the subscription to commands"),
        (lambda got: SILENCE if got.kind == CONNECT else None, "no answer in MQTT"),
    ],
)
def test_a_broker_that_breaks_off_or_stays_silent_fails_in_time(make_host: MakeHost, script: Script, said: str) -> None:
    with ScriptedBroker(script) as there:
        finding = looked(make_host, there.port, answer_s=0.3)
    assert finding.verdict is Verdict.FAIL
    assert said in finding.text


def test_it_asks_for_what_the_service_asks_for_and_leaves_properly(make_host: MakeHost) -> None:
    with ScriptedBroker() as there:
        assert looked(make_host, there.port).verdict is Verdict.PASS
        there.wait_for(DISCONNECT)
        connect, subscribe, publish, clear, goodbye = there.received
    assert (connect.will_retain, connect.will_qos) == (True, 1)
    assert "evenkeel/van-7/command/pause" in subscribe.filters
    assert (publish.qos, publish.retain, len(publish.payload) >= LEAST_BYTES) == (1, True, True)
    assert (clear.topic, clear.payload, clear.retain) == (TOPIC, b"", True)
    assert goodbye.kind == DISCONNECT
