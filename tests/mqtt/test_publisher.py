"""What reaches an independent subscriber on a real broker, while brokers and processes come and go."""

from __future__ import annotations

import asyncio
import json
import logging
import random
import re
import select
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.messages import made_outbox
from edge.compat import UTC
from edge.config import Config
from edge.domain import Kind, Level, Phase, Stamp, State
from edge.episodes import uuid7
from edge.mqtt.client import Publisher
from edge.mqtt.messages import (
    AlertMessage,
    HealthMessage,
    KindPart,
    ModelsPart,
    Newest,
    OutboxPart,
    StateMessage,
    Topics,
    VersionsPart,
    health_message,
)
from edge.mqtt.outbox import Outbox

if TYPE_CHECKING:
    from benchmarks.mosquitto import Mosquitto
    from tests.conftest import Subscriber

START = datetime(2026, 5, 4, 9, 30, tzinfo=UTC)
TOPICS = Topics("evenkeel", "van-7")


def clock() -> Stamp:
    return Stamp(START + timedelta(seconds=time.monotonic() % 1000), time.monotonic(), clock_synced=True)


def config(port: int, **mqtt: Any) -> Config:
    return Config.model_validate(
        {
            "device": {"id": "van-7"},
            "mqtt": {
                "host": "127.0.0.1",
                "port": port,
                "reconnect_min_s": 0.1,
                "reconnect_max_s": 0.4,
                "keepalive_s": 5,
                **mqtt,
            },
        }
    )


def state(value: State = State.CALM, reason: str = "") -> StateMessage:
    stamp = clock()
    return StateMessage(
        time=stamp.time,
        uptime_s=stamp.uptime_s,
        clock_synced=True,
        epoch=1,
        sequence=0,
        state=value,
        reason=reason,
        kinds={
            "anger": KindPart(signal=0.1, level=None, readable=True),
            "distress": KindPart(signal=0.0, level=None, readable=True),
        },
        confidence=1.0,
        expression="neutral",
        probabilities={"neutral": 1.0},
        quality=None,
        calibrated_percent=None,
    )


def alert(phase: Phase = Phase.START, kind: Kind = "anger", reason: str = "") -> AlertMessage:
    stamp = clock()
    return AlertMessage(
        time=stamp.time,
        uptime_s=stamp.uptime_s,
        clock_synced=True,
        id=uuid7(stamp.time, bytes(10)),
        device_id="van-7",
        epoch=1,
        sequence=1,
        resent=False,
        kind=kind,
        phase=phase,
        level=Level.WARNING,
        started=stamp.time,
        duration_s=0.0,
        score=0.6,
        peak=0.6,
        expression="anger",
        reason=reason,
        models=ModelsPart(face="face 1", expression="expression 1"),
    )


def health() -> HealthMessage:
    return health_message(
        clock(),
        newest=Newest(1, 0),
        versions=VersionsPart(evenkeel="0", python="3", runtime=None, face_model=None, expression_model=None),
        outbox=OutboxPart(depth=0, bytes=0, dropped=0, problem=None),
        dropped_frames=0,
        stages={},
    )


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    box = made_outbox(tmp_path / "outbox.db", clock())
    yield box
    box.close()


@pytest.fixture
def publish(outbox: Outbox) -> Iterator[Callable[..., Publisher]]:
    publishers: list[Publisher] = []

    def make(configuration: Config, **options: Any) -> Publisher:
        publisher = Publisher(configuration, outbox, clock=clock, environ={}, **options)
        publishers.append(publisher)
        publisher.publish_state(state())
        publisher.start()
        return publisher

    yield make
    for publisher in publishers:
        publisher.stop()


def until(condition: Callable[[], bool], what: str, deadline_s: float = 15.0) -> None:
    end = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > end:
            pytest.fail(f"{what} did not happen within {deadline_s} s")
        time.sleep(0.005)


def alerts(subscriber: Subscriber) -> list[dict[str, Any]]:
    return [json.loads(payload) for payload in subscriber.payloads(TOPICS.alert)]


def first_deliveries(received: list[dict[str, Any]]) -> list[str]:
    """Reasons in the order of arrival, doubles left out as a receiver does it."""
    seen: dict[int, str] = {}
    for one in received:
        seen.setdefault(one["sequence"], one["reason"])
    assert list(seen) == sorted(seen)
    return list(seen.values())


@pytest.mark.parametrize("protocol", ["auto", "5", "3.1.1"])
def test_a_connected_device_says_online_state_and_that_no_alert_is_on(
    mosquitto: Mosquitto, subscribe: Callable[..., Subscriber], publish: Callable[..., Publisher], protocol: str
) -> None:
    publish(config(mosquitto.port, protocol=protocol))
    late = subscribe(mosquitto.port)
    late.wait_for(TOPICS.availability, b"online")
    assert json.loads(late.wait_for(TOPICS.state))["state"] == "calm"
    late.wait_for(TOPICS.active("anger"), b"OFF")
    late.wait_for(TOPICS.active("distress"), b"OFF")
    later_still = subscribe(mosquitto.port)
    later_still.wait_for(TOPICS.state)
    assert {m.topic for m in later_still.messages if m.retained} >= {TOPICS.availability, TOPICS.state}


def test_an_alert_arrives_at_once_and_is_on_until_its_end(
    mosquitto: Mosquitto, subscribe: Callable[..., Subscriber], publish: Callable[..., Publisher], outbox: Outbox
) -> None:
    subscriber = subscribe(mosquitto.port)
    publisher = publish(config(mosquitto.port))
    subscriber.wait_for(TOPICS.availability, b"online")
    numbered = publisher.publish_alert(alert(reason="a"))
    assert subscriber.wait_for(TOPICS.alert) == numbered.payload()
    subscriber.wait_for(TOPICS.active("anger"), b"ON")
    publisher.publish_alert(alert(Phase.END))
    subscriber.wait_for(TOPICS.active("anger"), b"OFF", count=2)
    until(lambda: outbox.health().depth == 0, "an empty outbox")


def test_health_is_published_while_connected_and_not_kept_while_away(
    mosquitto: Mosquitto, subscribe: Callable[..., Subscriber], publish: Callable[..., Publisher]
) -> None:
    publisher = publish(config(mosquitto.port))
    subscriber = subscribe(mosquitto.port)
    until(lambda: publisher.connected, "a connection")
    publisher.publish_health(health())
    subscriber.wait_for(TOPICS.health)
    mosquitto.kill()
    until(lambda: not publisher.connected, "the loss")
    publisher.publish_health(health())
    mosquitto.start()
    fresh = subscribe(mosquitto.port)
    fresh.wait_for(TOPICS.state)
    fresh.publish("marker")
    fresh.wait_for("marker")
    assert fresh.payloads(TOPICS.health) == []


def test_a_killed_process_is_said_offline_by_the_last_will(
    mosquitto: Mosquitto, subscribe: Callable[..., Subscriber], tmp_path: Path
) -> None:
    script = f"""
        import sys, time
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        from pathlib import Path
        from test_publisher import clock, config, state, alert, made_outbox, Publisher
        outbox = made_outbox(Path({str(tmp_path / "outbox.db")!r}), clock())
        publisher = Publisher(config({mosquitto.port}), outbox, clock=clock, environ={{}})
        publisher.publish_state(state())
        publisher.start()
        publisher.publish_alert(alert())
        time.sleep(60)
    """
    subscriber = subscribe(mosquitto.port)
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)]) as process:  # noqa: S603 - our own script
        subscriber.wait_for(TOPICS.active("anger"), b"ON")
        process.send_signal(signal.SIGKILL)
    subscriber.wait_for(TOPICS.availability, b"offline")
    assert subscribe(mosquitto.port).wait_for(TOPICS.availability) == b"offline"


def test_an_alert_left_on_of_a_kind_that_is_judged_no_more_is_cleared(
    mosquitto: Mosquitto, subscribe: Callable[..., Subscriber], publish: Callable[..., Publisher]
) -> None:
    subscriber = subscribe(mosquitto.port)
    subscriber.publish(TOPICS.active("anger"), b"ON", retain=True)
    subscriber.wait_for(TOPICS.active("anger"), b"ON")
    judged = config(mosquitto.port)
    alerts = type(judged.alerts).model_validate({"anger": {"enabled": False}})
    publish(judged.model_copy(update={"alerts": alerts}))
    subscriber.wait_for(TOPICS.active("anger"), b"")


def test_an_alert_left_on_by_a_killed_process_is_off_after_the_restart(
    mosquitto: Mosquitto, subscribe: Callable[..., Subscriber], publish: Callable[..., Publisher]
) -> None:
    subscriber = subscribe(mosquitto.port)
    subscriber.publish(TOPICS.active("distress"), b"ON", retain=True)
    publish(config(mosquitto.port))
    subscriber.wait_for(TOPICS.active("distress"), b"OFF")


def test_a_clean_stop_says_offline_within_a_second(
    mosquitto: Mosquitto, subscribe: Callable[..., Subscriber], publish: Callable[..., Publisher]
) -> None:
    subscriber = subscribe(mosquitto.port)
    publisher = publish(config(mosquitto.port))
    subscriber.wait_for(TOPICS.state)
    publisher.publish_alert(alert(reason="last"))
    began = time.monotonic()
    assert publisher.stop()
    assert time.monotonic() - began < 1.0
    subscriber.wait_for(TOPICS.availability, b"offline")
    assert first_deliveries(alerts(subscriber)) == ["last"]
    assert "disconnecting" not in mosquitto.log.rsplit("evenkeel-van-7", 1)[-1]  # the broker saw a DISCONNECT


def test_a_stop_without_a_broker_returns_at_once(publish: Callable[..., Publisher], unused_port: int) -> None:
    publisher = publish(config(unused_port, reconnect_min_s=30, reconnect_max_s=60))
    until(lambda: "refused" in (publisher.problem or ""), "the refusal")
    began = time.monotonic()
    assert publisher.stop()
    assert time.monotonic() - began < 0.5


def test_alerts_of_an_outage_arrive_afterwards_in_order_and_the_newest_state_alone(
    mosquitto: Mosquitto, subscribe: Callable[..., Subscriber], publish: Callable[..., Publisher], outbox: Outbox
) -> None:
    publisher = publish(config(mosquitto.port))
    subscriber = subscribe(mosquitto.port)
    publisher.publish_alert(alert(reason="before"))
    until(lambda: outbox.health().depth == 0, "the first delivery")
    mosquitto.kill()
    until(lambda: not publisher.connected, "the loss")
    for i in range(50):
        publisher.publish_alert(alert(reason=str(i)))
        publisher.publish_state(state(reason=str(i)))
    mosquitto.start()
    subscriber = subscribe(mosquitto.port)
    until(lambda: outbox.health().depth == 0, "the delivery of all")
    subscriber.wait(lambda: len(first_deliveries(alerts(subscriber))) >= 1, "alerts")
    subscriber.wait_for(TOPICS.state)
    states = [json.loads(payload)["reason"] for payload in subscriber.payloads(TOPICS.state)]
    assert set(states) == {"49"}


class CuttingProxy:
    """Forwards to a broker and cuts each of the first ``cuts`` connections after a random number of bytes."""

    def __init__(self, port: int, cuts: int) -> None:
        self._target = port
        self.cuts_left = cuts
        self._chance = random.Random(7)  # noqa: S311 - where to cut
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._server.close()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            broker = socket.create_connection(("127.0.0.1", self._target))
            self._forward(client, broker)
            client.close()
            broker.close()

    def _forward(self, client: socket.socket, broker: socket.socket) -> None:
        left = self._chance.randrange(3000, 20_000) if self.cuts_left > 0 else sys.maxsize
        while True:
            for readable in select.select([client, broker], [], [])[0]:
                data = readable.recv(min(left, 4096))
                (broker if readable is client else client).sendall(data)
                left -= len(data)
                if not data or left <= 0:
                    self.cuts_left -= 1
                    return


def test_no_alert_is_lost_or_out_of_order_while_the_network_is_cut_again_and_again(
    mosquitto: Mosquitto, subscribe: Callable[..., Subscriber], publish: Callable[..., Publisher], outbox: Outbox
) -> None:
    subscriber = subscribe(mosquitto.port, TOPICS.alert)
    proxy = CuttingProxy(mosquitto.port, cuts=8)
    publisher = publish(config(proxy.port, reconnect_max_s=0.1))
    for i in range(200):
        publisher.publish_alert(alert(reason=str(i)))
    until(lambda: outbox.health().depth == 0, "the delivery of all", deadline_s=30)
    subscriber.wait(lambda: len({a["sequence"] for a in alerts(subscriber)}) == 200, "all alerts")
    assert proxy.cuts_left <= 0
    assert first_deliveries(alerts(subscriber)) == [str(i) for i in range(200)]
    proxy.close()


def test_alerts_stored_by_a_process_that_never_reached_a_broker_are_delivered_by_the_next(
    mosquitto: Mosquitto, subscribe: Callable[..., Subscriber], publish: Callable[..., Publisher], outbox: Outbox
) -> None:
    for i in range(40):
        outbox.put(alert(reason=str(i)))
    subscriber = subscribe(mosquitto.port)
    publish(config(mosquitto.port))
    until(lambda: outbox.health().depth == 0, "the delivery")
    subscriber.wait_for(TOPICS.alert, count=40)
    assert first_deliveries(alerts(subscriber)) == [str(i) for i in range(40)]


def test_a_broker_that_is_absent_at_the_start_delays_nothing_and_is_found_later(
    mosquitto: Mosquitto, subscribe: Callable[..., Subscriber], publish: Callable[..., Publisher]
) -> None:
    mosquitto.stop()
    began = time.monotonic()
    publisher = publish(config(mosquitto.port))
    publisher.publish_alert(alert(reason="a"))
    assert time.monotonic() - began < 0.5
    until(lambda: publisher.problem is not None and "refused" in publisher.problem, "the reason")
    mosquitto.start()
    subscribe(mosquitto.port).wait_for(TOPICS.availability, b"online")
    until(lambda: publisher.problem is None, "the end of the problem")


def test_a_new_alert_does_not_wait_for_the_end_of_a_long_pause(
    mosquitto: Mosquitto, subscribe: Callable[..., Subscriber], publish: Callable[..., Publisher]
) -> None:
    class Longest(random.Random):
        def uniform(self, a: float, b: float) -> float:
            del a
            return 600 * b

    mosquitto.stop()
    publisher = publish(config(mosquitto.port), chance=Longest())
    until(lambda: "refused" in (publisher.problem or ""), "the first try")
    mosquitto.start()
    subscriber = subscribe(mosquitto.port)
    publisher.publish_alert(alert(reason="pressing"))
    subscriber.wait_for(TOPICS.alert)


def test_a_reason_is_logged_once_and_not_at_every_try(
    publish: Callable[..., Publisher], unused_port: int, caplog: pytest.LogCaptureFixture
) -> None:
    tries = 0

    class Chance(random.Random):
        def uniform(self, a: float, b: float) -> float:
            nonlocal tries
            tries += 1
            return super().uniform(a, b)

    with caplog.at_level(logging.INFO):
        publish(config(unused_port, reconnect_max_s=0.1), chance=Chance())
        until(lambda: tries >= 5, "five tries")
    assert len([r for r in caplog.records if "refused" in r.getMessage()]) == 1


@pytest.fixture
def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def with_password(folder: Path, password: str = "right") -> str:  # noqa: S107 - a test's
    file = folder / "passwords"
    file.touch(mode=0o600)
    subprocess.run(["mosquitto_passwd", "-b", str(file), "van", password], check=True, capture_output=True)  # noqa: S603, S607 - a tool of the broker
    return f"allow_anonymous false\npassword_file {file}"


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_a_wrong_password_is_never_connected_and_is_told_from_other_reasons(
    make_mosquitto: Callable[..., Mosquitto],
    publish: Callable[..., Publisher],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    protocol: str,
) -> None:
    broker = make_mosquitto(with_password(tmp_path))
    secret = tmp_path / "secret"
    secret.write_text("not-the-password\n")
    with caplog.at_level(logging.DEBUG):
        publisher = publish(config(broker.port, username="van", password_file=secret, protocol=protocol))
        until(lambda: "password" in (publisher.problem or ""), "the reason")
        assert not publisher.connected
        until(lambda: broker.log.count("not authorised") + broker.log.count("New connection") >= 3, "further tries")
    assert not publisher.connected
    assert "not-the-password" not in caplog.text
    assert "not-the-password" not in repr(vars(publisher))


def test_the_right_password_opens_the_door(
    make_mosquitto: Callable[..., Mosquitto], publish: Callable[..., Publisher], tmp_path: Path
) -> None:
    broker = make_mosquitto(with_password(tmp_path))
    secret = tmp_path / "secret"
    secret.write_text("right\n")
    publisher = publish(config(broker.port, username="van", password_file=secret))
    until(lambda: publisher.connected, "a connection")


@contextmanager
def peer(answer: bytes | None) -> Iterator[int]:
    """Something that listens but is no broker: says ``answer`` and closes, or keeps silent."""
    server = socket.create_server(("127.0.0.1", 0))
    held: list[socket.socket] = []

    def serve() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            held.append(connection)
            if answer is not None:
                connection.recv(4096)
                connection.sendall(answer)
                connection.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield server.getsockname()[1]
    server.shutdown(socket.SHUT_RDWR)
    server.close()
    thread.join(5)
    for connection in held:
        connection.close()


@pytest.mark.parametrize(
    "answer",
    [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-OpenSSH_9.2\r\n", b"", b"\x20\x02\x00", bytes(range(256)) * 20],
    ids=["http", "ssh", "close", "cut-connack", "noise"],
)
def test_a_peer_that_is_no_broker_is_told_as_such_and_tried_again(
    publish: Callable[..., Publisher], answer: bytes
) -> None:
    with peer(answer) as port:
        publisher = publish(config(port))
        until(lambda: "MQTT" in (publisher.problem or ""), "the reason")
        assert not publisher.connected
        assert publisher.stop()


def test_a_peer_that_never_answers_does_not_hold_up_a_stop(publish: Callable[..., Publisher]) -> None:
    with peer(None) as port:
        publisher = publish(config(port))
        began = time.monotonic()
        assert publisher.stop()
        assert time.monotonic() - began < 1.0


def test_a_name_that_does_not_exist_is_told(publish: Callable[..., Publisher]) -> None:
    publisher = publish(config(1883, host="broker.invalid"))
    until(lambda: "name not found" in (publisher.problem or ""), "the reason")


def test_a_refused_alert_stays_in_the_outbox(
    make_mosquitto: Callable[..., Mosquitto],
    publish: Callable[..., Publisher],
    outbox: Outbox,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    acl = tmp_path / "acl"
    acl.write_text(f"topic read #\ntopic write {TOPICS.state}\n")
    acl.chmod(0o600)
    broker = make_mosquitto(f"allow_anonymous true\nacl_file {acl}")
    publisher = publish(config(broker.port, protocol="5"))
    with caplog.at_level(logging.WARNING):
        publisher.publish_alert(alert())
        until(lambda: f"refuses {TOPICS.alert}:" in caplog.text, "the refusal")
    assert outbox.health().depth == 1
    assert publisher.connected


def test_a_fleet_that_lost_its_broker_does_not_come_back_all_at_once(outbox: Outbox) -> None:
    pauses = [
        Publisher(config(1), outbox, clock=clock, environ={}, chance=random.Random(seed))._pause(3)  # noqa: S311 - for pauses
        for seed in range(50)
    ]
    assert max(pauses) <= 0.4
    assert max(pauses) - min(pauses) > 0.1


def test_home_assistant_gets_the_description_again_when_it_has_started(
    mosquitto: Mosquitto,
    subscribe: Callable[..., Subscriber],
    publish: Callable[..., Publisher],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("edge.mqtt.sending.DISCOVERY_DELAY_S", (0.01, 0.02))
    subscriber = subscribe(mosquitto.port)
    publish(config(mosquitto.port))
    topic = "homeassistant/device/van-7_e-health/config"
    description = json.loads(subscriber.wait_for(topic))
    assert description["avty"] == [{"t": TOPICS.availability}]
    subscriber.wait_for(TOPICS.state)
    subscriber.publish("homeassistant/status", b"online")
    subscriber.wait_for(topic, count=2)


@pytest.fixture
def amqtt_port(unused_port: int) -> Iterator[int]:
    """The embedded broker, which speaks MQTT 3.1.1 only."""
    broker_module = pytest.importorskip("amqtt.broker")
    loop = asyncio.new_event_loop()
    started = threading.Event()
    settings = {
        "listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{unused_port}"}},
        "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
    }

    async def serve() -> Any:
        broker = broker_module.Broker(settings)
        await broker.start()
        return broker

    def main() -> None:
        asyncio.set_event_loop(loop)
        broker = loop.run_until_complete(serve())
        started.set()
        loop.run_forever()
        loop.run_until_complete(broker.shutdown())
        loop.close()

    thread = threading.Thread(target=main, daemon=True)
    thread.start()
    assert started.wait(10)
    yield unused_port
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)


@pytest.mark.parametrize("protocol", ["auto", "3.1.1"])
def test_the_embedded_broker_gets_everything_with_mqtt_3_1_1(
    *,
    amqtt_port: int,
    subscribe: Callable[..., Subscriber],
    publish: Callable[..., Publisher],
    outbox: Outbox,
    protocol: str,
) -> None:
    subscriber = subscribe(amqtt_port)
    # it leaves a CONNECT of MQTT 5 without an answer
    publisher = publish(config(amqtt_port, protocol=protocol, answer_s=0.5))
    for i in range(30):
        publisher.publish_alert(alert(reason=str(i)))
    until(lambda: outbox.health().depth == 0, "the delivery")
    subscriber.wait_for(TOPICS.alert, count=30)
    assert first_deliveries(alerts(subscriber)) == [str(i) for i in range(30)]
    subscriber.wait_for(TOPICS.availability, b"online")
    publisher.stop()
    subscriber.wait_for(TOPICS.availability, b"offline")


def test_a_broker_without_mqtt_5_is_told_when_the_configuration_demands_it(
    amqtt_port: int, publish: Callable[..., Publisher]
) -> None:
    publisher = publish(config(amqtt_port, protocol="5", answer_s=0.5))
    until(lambda: re.search("wrong version|no answer", publisher.problem or "") is not None, "the reason")
    assert not publisher.connected
