"""Whatever a broker limits, refuses or leaves unanswered: alerts arrive, in order, and what does not pass is said."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.messages import made_alert, made_health, made_state
from edge.config import Config
from edge.mqtt.client import Publisher
from edge.mqtt.discovery import part_topics
from edge.mqtt.messages import Topics
from edge.mqtt.outbox import Outbox
from edge.service.loop import board_stamp
from tests.mqtt.scripted import (
    CLOSE,
    CONNECT,
    PINGREQ,
    PUBLISH,
    SILENCE,
    SUBSCRIBE,
    Later,
    Packet,
    Script,
    ScriptedBroker,
    connack,
    disconnect,
    message,
    puback,
)

if TYPE_CHECKING:
    from benchmarks.mosquitto import Mosquitto
    from tests.conftest import Subscriber

TOPICS = Topics("evenkeel", "van-7")
DESCRIPTION = "homeassistant/device/van-7_e-health/config"  # the last of its parts

Until = Callable[..., None]


class Device:
    """A device whose broker follows a script."""

    def __init__(self, broker: ScriptedBroker, publisher: Publisher) -> None:
        self.broker = broker
        self.publisher = publisher

    def alerts(self, connection: int | None = None) -> list[str]:
        """Reasons of the alerts that the broker got, in order."""
        got = self.broker.published(TOPICS.alert, connection)
        return [json.loads(one.payload)["reason"] for one in got]

    @property
    def depth(self) -> int:
        return self.publisher.outbox_health().depth

    def says(self, part: str) -> bool:
        return any(part in problem for problem in self.publisher.problems)


Start = Callable[..., Device]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts van-7 with alerts that wait: ``start(script, "a", "b", answer_s=0.3)``."""
    started: list[tuple[ScriptedBroker, Publisher, Outbox]] = []

    def make(script: Script, *reasons: str, discovery: bool = True, **mqtt: Any) -> Device:
        broker = ScriptedBroker(script).__enter__()
        known = {"host": "127.0.0.1", "port": broker.port, "reconnect_min_s": 0.1, "reconnect_max_s": 0.1}
        config = Config.model_validate(
            {
                "device": {"id": "van-7"},
                "mqtt": known | {"answer_s": 2.0} | mqtt,
                "discovery": {"enabled": discovery},
                "outbox": {"path": tmp_path / f"outbox-{len(started)}.db"},
            }
        )
        outbox = Outbox.from_config(config, {}, board_stamp())
        publisher = Publisher(config, outbox, clock=board_stamp, environ={})
        started.append((broker, publisher, outbox))
        for reason in reasons:
            publisher.publish_alert(made_alert(board_stamp(), reason))
        publisher.publish_state(made_state(board_stamp()))
        publisher.start()
        return Device(broker, publisher)

    yield make
    for broker, publisher, outbox in started:
        publisher.stop()
        outbox.close()
        broker.__exit__(None, None, None)


def limited(**limits: Any) -> Script:
    """A broker that says these limits and breaks off where they are not kept, as the standard asks."""

    def script(got: Packet) -> bytes | None:
        refuse = connack if got.kind == CONNECT else disconnect
        if (got.retain or got.will_retain) and not limits.get("RetainAvailable", 1):
            return refuse(154)
        if max(got.qos, got.will_qos) > limits.get("MaximumQoS", 2):
            return refuse(155)
        if len(got.payload) > limits.get("MaximumPacketSize", 10**9):
            return refuse(149)
        return connack(**limits) if got.kind == CONNECT else None

    return script


def is_alert(got: Packet, reason: str | None = None) -> bool:
    if got.kind != PUBLISH or got.topic != TOPICS.alert:
        return False
    return reason is None or json.loads(got.payload)["reason"] == reason


# ---- windows ----


class Slow:
    """Takes so many messages at once, by connection, acknowledges each a little later, and breaks off at one more."""

    def __init__(self, *windows: int) -> None:
        self._windows = windows
        self._under_way = 0
        self.most: dict[int, int] = {}

    def __call__(self, got: Packet) -> bytes | Later | None:
        if got.kind == CONNECT:
            self._under_way = 0
            return connack(ReceiveMaximum=self._window(got))
        if got.kind != PUBLISH or not got.qos:
            return None
        self._under_way += 1
        self.most[got.connection] = max(self.most.get(got.connection, 0), self._under_way)
        return disconnect(147) if self._under_way > self._window(got) else Later(0.005, puback(got.mid), self._answered)

    def _window(self, got: Packet) -> int:
        return self._windows[min(got.connection, len(self._windows) - 1)]

    def _answered(self) -> None:
        self._under_way -= 1


@pytest.mark.parametrize("window", [1, 2, 3, 4, 16])
def test_alerts_and_the_rest_pass_through_any_window(start: Start, until: Until, window: int) -> None:
    script = Slow(window)
    names = [str(number) for number in range(40)]
    device = start(script, *names)
    until(lambda: device.depth == 0, "the delivery")
    until(lambda: bool(device.broker.published(DESCRIPTION)), "the rest")
    assert device.alerts() == names
    assert list(script.most) == [0]
    assert script.most[0] <= window


def test_the_state_does_not_wait_for_the_end_of_ten_thousand_alerts_in_a_window_of_one(
    start: Start, until: Until
) -> None:
    device = start(Slow(1), *map(str, range(60)))
    until(lambda: len(device.alerts()) == 60, "the alerts")
    order = [one.topic for one in device.broker.received if one.kind == PUBLISH]
    assert order[0] == TOPICS.alert
    assert order.index(TOPICS.state) < 20


def test_a_broker_that_lowers_its_window_at_a_reconnection_is_obeyed(start: Start, until: Until) -> None:
    slow = Slow(20, 1)

    def script(got: Packet) -> bytes | Later | None:
        if got.connection == 0 and got.kind == PUBLISH:
            return CLOSE if is_alert(got, "3") else SILENCE  # none is delivered by then, however slow the machine is
        return slow(got)

    names = [str(number) for number in range(10)]
    device = start(script, *names)
    until(lambda: device.depth == 0, "the delivery of all")
    assert device.alerts(1) == names
    assert slow.most[1] == 1


# ---- deadlines ----


@pytest.mark.parametrize("lost", ["first alert", "subscription", "state"])
def test_an_answer_that_never_comes_ends_the_connection_and_all_is_sent_again_in_order(
    start: Start, until: Until, caplog: pytest.LogCaptureFixture, lost: str
) -> None:
    def script(got: Packet) -> bytes | None:
        silent = {
            "first alert": is_alert(got, "0"),
            "subscription": got.kind == SUBSCRIBE,
            "state": got.kind == PUBLISH and got.topic == TOPICS.state,
        }
        return SILENCE if got.connection == 0 and silent[lost] else None

    names = [str(number) for number in range(20)]
    with caplog.at_level(logging.WARNING):
        device = start(script, *names, answer_s=0.3)
        until(lambda: device.depth == 0, "the delivery of all")
        until(lambda: "within 0.3 s (mqtt.answer_s)" in caplog.text, "the reason")
    if lost == "first alert":
        assert device.alerts(1)[0] == "0"
    seen = list(dict.fromkeys(device.alerts()))
    assert seen == names


def test_the_reason_of_a_missed_deadline_is_a_problem_until_the_next_connection(start: Start, until: Until) -> None:
    device = start(lambda got: SILENCE if is_alert(got) and got.connection < 2 else None, "a", answer_s=0.3)
    until(lambda: device.says(f"no answer to {TOPICS.alert} within 0.3 s"), "the reason")
    until(lambda: device.depth == 0, "the delivery")
    assert device.publisher.problems == ()


def test_a_connack_that_never_comes_is_given_up(start: Start, until: Until) -> None:
    device = start(lambda got: SILENCE if got.kind == CONNECT else None, answer_s=0.3)
    until(lambda: device.says("no answer in MQTT"), "the reason")


def test_a_ping_that_nobody_answers_ends_the_connection(start: Start, until: Until) -> None:
    def script(got: Packet) -> bytes | Later | None:
        return SILENCE if got.kind == PINGREQ and got.connection == 0 else limited(MaximumQoS=0)(got)

    device = start(script, "a", answer_s=0.3)
    until(lambda: device.alerts(1) == ["a"], "the second try")
    until(lambda: device.depth == 0, "the delivery")


# ---- what CONNACK says ----


def test_what_is_larger_than_the_broker_takes_is_left_out_and_said_once(
    start: Start, until: Until, caplog: pytest.LogCaptureFixture
) -> None:
    limit = limited(MaximumPacketSize=1500)
    with caplog.at_level(logging.WARNING):
        device = start(limit, "a", "b")
        until(lambda: device.depth == 0, "the delivery")
        until(lambda: device.says(f"left out: {DESCRIPTION}; larger than the 1500 bytes"), "the notice")
        device.broker.cut()
        until(lambda: bool(device.broker.published(TOPICS.state, 1)), "another connection")
        until(lambda: device.says("left out"), "the notice again")
    assert device.broker.published(DESCRIPTION) == []
    assert caplog.text.count(f"left out: {DESCRIPTION}") == 1
    assert device.broker.published(TOPICS.state)


def test_a_broker_that_takes_2000_bytes_gets_all_of_the_description(start: Start, until: Until) -> None:
    device = start(limited(MaximumPacketSize=2000), "a")
    until(lambda: bool(device.broker.published(DESCRIPTION)), "the last part")
    assert not device.publisher.problems
    base = "homeassistant/device/van-7/config"
    described = [one.topic for one in device.broker.received if one.topic.startswith("homeassistant/device/")]
    assert described == [base, *part_topics(base)]


def test_alerts_that_are_too_large_for_one_broker_wait_and_hold_up_no_other(start: Start, until: Until) -> None:
    small = limited(MaximumPacketSize=1500)
    first: list[bool] = []

    def script(got: Packet) -> bytes | Later | None:
        if got.kind == CONNECT and first:
            return None
        return small(got)

    device = start(script, "a", "x" * 2000, "b")
    until(lambda: device.alerts() == ["a", "b"], "the others")
    until(lambda: device.says("left out: 1 alert;"), "the notice")
    until(lambda: device.depth == 1, "the deletion of the others")
    first.append(True)
    device.broker.cut()
    until(lambda: device.depth == 0, "the delivery to a broker without the limit")


def test_with_qos_0_alone_alerts_leave_and_the_lack_of_confirmation_is_said(start: Start, until: Until) -> None:
    device = start(limited(MaximumQoS=0), *map(str, range(20)))
    until(lambda: device.depth == 0, "the delivery")
    assert device.alerts() == [str(number) for number in range(20)]
    assert device.says("QoS 0 only: delivery is not confirmed")
    assert not any(one.qos for one in device.broker.received)


def test_without_retained_messages_the_device_goes_on_and_says_so(start: Start, until: Until) -> None:
    device = start(limited(RetainAvailable=0), "a")
    until(lambda: device.depth == 0, "the delivery")
    until(lambda: bool(device.broker.published(DESCRIPTION)), "the rest")
    assert device.says("keeps no retained messages")
    wills = [one.will_retain for one in device.broker.received if one.kind == CONNECT]
    assert wills == [True, False]


def test_a_lesser_will_is_kept_for_the_next_connection(start: Start, until: Until) -> None:
    device = start(limited(RetainAvailable=0, MaximumQoS=0), "a")
    until(lambda: device.depth == 0, "the delivery")
    device.broker.cut()
    until(lambda: bool(device.broker.published(TOPICS.state, 3)), "another connection")
    wills = [(one.will_retain, one.will_qos) for one in device.broker.received if one.kind == CONNECT]
    assert wills == [(True, 1), (False, 1), (False, 0), (False, 0)]


@pytest.mark.parametrize(
    ("code", "remedy"),
    [(149, "max_packet_size"), (151, "quota"), (153, "rules for payloads"), (156, "mqtt.host"), (157, "mqtt.host")],
)
def test_a_refused_connection_names_the_remedy(start: Start, until: Until, code: int, remedy: str) -> None:
    device = start(lambda got: connack(code, ServerReference="other.example") if got.kind == CONNECT else None)
    until(lambda: device.says(remedy), "the remedy")
    assert device.says("other.example")


# ---- messages that break the connection ----


@pytest.mark.parametrize("how", ["closes", "disconnects", "never answers", "answers nonsense"])
def test_an_alert_that_breaks_the_connection_again_and_again_is_set_aside_and_the_others_arrive(
    start: Start, until: Until, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    replies = {
        "closes": CLOSE,
        "disconnects": disconnect(149),
        "never answers": SILENCE,
        "answers nonsense": b"\x40\x01\x00",
    }
    with caplog.at_level(logging.WARNING):
        device = start(
            lambda got: replies[how] if is_alert(got, "poison") else None, "a", "poison", "b", "c", answer_s=0.4
        )
        until(lambda: device.depth == 0, "the delivery of the others")
    assert list(dict.fromkeys(device.alerts())) == ["a", "poison", "b", "c"]
    assert device.publisher.outbox_health().set_aside == 1
    assert caplog.text.count("is set aside") == 1
    until(lambda: bool(device.broker.published(DESCRIPTION)), "the rest")
    device.publisher.publish_alert(made_alert(board_stamp(), "d"))
    until(lambda: device.depth == 0, "the next alert's delivery")


@pytest.mark.parametrize("topic", [DESCRIPTION, TOPICS.state, TOPICS.availability])
def test_a_retained_message_that_breaks_the_connection_is_left_out(start: Start, until: Until, topic: str) -> None:
    device = start(lambda got: CLOSE if got.kind == PUBLISH and got.topic == topic else None, "a", "b")
    until(lambda: device.says(f"{topic} is left out, because it has broken the connection"), "the notice")
    device.publisher.publish_alert(made_alert(board_stamp(), "c"))
    until(lambda: device.depth == 0, "the delivery")
    connections = device.broker.received[-1].connection
    until(lambda: bool(device.broker.published(TOPICS.active(made_alert(board_stamp()).kind))), "the other topics")
    assert device.broker.received[-1].connection == connections


def test_a_part_of_the_description_that_breaks_the_connection_behind_the_pause_is_left_out(
    start: Start, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While Home Assistant is given time, not all was sent, and nothing is acquitted."""
    monkeypatch.setattr("edge.mqtt.sending.SETTLE_S", 0.3)
    device = start(lambda got: CLOSE if got.kind == PUBLISH and got.topic == DESCRIPTION else None, "a")
    until(lambda: device.says(f"{DESCRIPTION} is left out, because it has broken the connection"), "the notice")


def test_a_broker_that_breaks_off_over_one_part_of_the_description_is_sent_none_behind_it(
    start: Start, until: Until
) -> None:
    """Alerts wait while connections break, and each part would cost two."""
    device = start(lambda got: CLOSE if got.kind == PUBLISH and len(got.payload) > 1500 else None, "a")
    *taken, culprit, behind, last = part_topics("homeassistant/device/van-7/config")
    until(lambda: device.says(f"{culprit} is left out, because it has broken the connection"), "the notice")
    until(lambda: all(len(device.broker.published(topic)) > 1 for topic in taken), "the parts before it")
    device.publisher.publish_alert(made_alert(board_stamp(), "b"))
    until(lambda: device.depth == 0, "the delivery")
    assert device.says("and what describes the device behind it")
    assert device.broker.published(behind) == device.broker.published(last) == []


def test_health_that_breaks_the_connection_is_left_out(start: Start, until: Until) -> None:
    device = start(lambda got: CLOSE if got.kind == PUBLISH and got.topic == TOPICS.health else None, "a")

    def told() -> bool:
        if device.publisher.connected:
            device.publisher.publish_health(made_health(board_stamp(), device.publisher.outbox_health()))
        return device.says(f"{TOPICS.health} is left out")

    until(told, "the notice")


def test_a_subscription_that_breaks_the_connection_is_left_out_and_alerts_arrive(start: Start, until: Until) -> None:
    device = start(lambda got: disconnect(135) if got.kind == SUBSCRIBE else None, "a", "b")
    until(lambda: device.says("command/+ is left out"), "the notice")
    device.publisher.publish_alert(made_alert(board_stamp(), "c"))
    until(lambda: device.depth == 0, "the delivery")


def test_no_alert_is_given_up_for_a_broker_that_takes_nothing(start: Start, until: Until) -> None:
    device = start(lambda got: SILENCE if got.kind == PUBLISH else None, "a", "b", answer_s=0.2)
    until(lambda: any(one.connection == 8 for one in device.broker.received), "many connections", 30)
    assert (device.depth, device.publisher.outbox_health().set_aside) == (2, 0)


def test_no_alert_is_given_up_for_a_network_that_is_cut_again_and_again(start: Start, until: Until) -> None:
    cuts = iter(range(8))

    def script(got: Packet) -> bytes | None:
        return CLOSE if is_alert(got) and got.connection % 2 == 0 and next(cuts, None) is not None else None

    device = start(script, *map(str, range(10)))
    until(lambda: device.depth == 0, "the delivery")
    assert device.publisher.outbox_health().set_aside == 0


def test_a_broker_that_breaks_off_over_a_response_topic_is_sent_no_further_answers_on_any(
    start: Start, until: Until
) -> None:
    device = start(lambda got: disconnect(135) if got.topic.startswith("desk/") else None)

    def ask(number: int) -> None:
        usual = len(device.broker.published(TOPICS.result("resend")))
        until(lambda: device.publisher.connected, "a connection")
        until(lambda: device.broker.received[-1].kind != CONNECT, "its use")
        device.broker.send(TOPICS.command("resend"), b'{"epoch": 1, "from": 1}', ResponseTopic=f"desk/{number}")
        until(lambda: len(device.broker.published(TOPICS.result("resend"))) > usual, "the usual answer")

    ask(0)
    until(lambda: device.says("no answers on response topics"), "the notice")
    connection = device.broker.received[-1].connection
    ask(1)
    ask(2)
    device.publisher.publish_alert(made_alert(board_stamp(), "a"))
    until(lambda: device.depth == 0, "the delivery")
    asked_for = [one.topic for one in device.broker.received if one.topic.startswith("desk/")]
    assert asked_for == ["desk/0"]
    assert device.broker.received[-1].connection == connection


# ---- answers to single messages ----


def test_a_message_that_the_broker_calls_too_large_is_left_out_without_a_new_connection(
    start: Start, until: Until
) -> None:
    def script(got: Packet) -> bytes | None:  # mosquitto's message_size_limit
        return puback(got.mid, 149) if got.kind == PUBLISH and len(got.payload) > 1200 else None

    device = start(script, "a", "x" * 2000, "b")
    until(lambda: device.says(f"left out: {DESCRIPTION}"), "the notice")
    until(lambda: device.depth == 1, "the delivery of the others")
    assert list(dict.fromkeys(reason[:1] for reason in device.alerts())) == ["a", "x", "b"]
    assert {one.connection for one in device.broker.received} == {0}


def test_an_alert_whose_payload_is_refused_twice_is_set_aside(start: Start, until: Until) -> None:
    device = start(lambda got: puback(got.mid, 153) if is_alert(got, "bad") else None, "a", "bad", "b")
    until(lambda: device.depth == 0, "the delivery of the others")
    assert device.publisher.outbox_health().set_aside == 1
    assert device.alerts().count("bad") == 2


@pytest.mark.parametrize(("code", "remedy"), [(135, "access list"), (151, "quota"), (144, "rules for topics")])
def test_a_refused_alert_waits_and_names_the_remedy(start: Start, until: Until, code: int, remedy: str) -> None:
    device = start(lambda got: puback(got.mid, code) if is_alert(got) else None, "a")
    until(lambda: device.says(remedy), "the remedy")
    assert device.depth == 1


def test_an_alert_that_nobody_hears_is_sent_until_somebody_does(
    start: Start, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.mqtt.lane.UNHEARD_RETRY_S", 0.05)
    monkeypatch.setattr("edge.mqtt.lane.UNHEARD_TELL_S", 0.1)
    listening: list[bool] = []
    names = [str(number) for number in range(30)]
    device = start(lambda got: puback(got.mid, 0 if listening else 16) if is_alert(got) else None, *names)
    until(lambda: device.says(f"nobody is subscribed to {TOPICS.alert}"), "the notice")
    assert device.depth == 30
    before = len(device.alerts())
    listening.append(True)
    until(lambda: device.depth == 0, "the delivery")
    assert list(dict.fromkeys(device.alerts()[before + 1 :]))[-29:] == names[1:]
    assert not device.says("nobody is subscribed")


@pytest.mark.parametrize("code", [16, 135])
def test_home_assistant_is_told_of_the_device_while_an_alert_waits(start: Start, until: Until, code: int) -> None:
    """Otherwise neither would come: the alert waits for Home Assistant, and that for what it is told."""
    device = start(lambda got: puback(got.mid, code) if is_alert(got) else None, "a", "b")
    until(lambda: any(one.topic == DESCRIPTION for one in device.broker.received), "the description")
    assert device.depth == 2


def test_an_alert_that_nobody_hears_for_long_enough_counts_as_delivered(
    start: Start, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.mqtt.lane.UNHEARD_RETRY_S", 0.05)
    device = start(lambda got: puback(got.mid, 16) if is_alert(got) else None, "a", "b", unheard_s=1.2)
    until(lambda: len(device.alerts()) >= 4, "several tries")
    assert device.depth == 2
    until(lambda: device.depth == 0, "the end of the patience")
    device.publisher.publish_alert(made_alert(board_stamp(), "c"))
    began = time.monotonic()
    until(lambda: device.depth == 0, "the next one's")
    assert time.monotonic() - began > 0.9  # it has a time of its own


# ---- subscription ----


def test_retained_commands_are_not_even_sent_and_unknown_ones_not_subscribed_to(start: Start, until: Until) -> None:
    device = start(lambda _: None)
    until(lambda: any(one.kind == SUBSCRIBE for one in device.broker.received), "the subscription")
    (got,) = [one for one in device.broker.received if one.kind == SUBSCRIBE]
    at_most_once_plain, as_published, never_retained = 0x01, 0x08, 0x20
    assert set(got.options) == {at_most_once_plain | as_published | never_retained}
    assert set(got.filters) >= {TOPICS.command(name) for name in ("pause", "resume", "reload", "resend")}
    assert not any("+" in one for one in got.filters)


def test_a_refused_subscription_is_a_problem(start: Start, until: Until) -> None:
    def script(got: Packet) -> bytes | None:
        if got.kind != SUBSCRIBE:
            return None
        return bytes([0x90, 3 + len(got.filters)]) + got.mid.to_bytes(2, "big") + b"\0" + b"\x87" * len(got.filters)

    device = start(script)
    until(lambda: device.says("refuses a subscription to commands: not authorised"), "the notice")


# ---- a real broker with tight limits ----

TIGHT = [
    "max_inflight_messages 1",
    "max_packet_size 2000",
    "message_size_limit 3000",
    "max_qos 0",
    "retain_available false",
]


@pytest.mark.parametrize("limit", [*TIGHT, "\n".join(TIGHT)], ids=[*(one.split()[0] for one in TIGHT), "all"])
@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_a_real_broker_with_a_tight_limit_gets_every_alert_in_order(
    make_mosquitto: Callable[..., Mosquitto],
    publish_to: Callable[..., Publisher],
    subscribe: Callable[..., Subscriber],
    until: Until,
    limit: str,
    protocol: str,
) -> None:
    broker = make_mosquitto(f"allow_anonymous true\n{limit}")
    hears = subscribe(broker.port)
    publisher = publish_to(broker.port, protocol=protocol, reconnect_max_s=0.1)
    names = [str(number) for number in range(30)]
    for name in names:
        publisher.publish_alert(made_alert(board_stamp(), name))
    until(lambda: publisher.outbox_health().depth == 0, "the delivery")
    hears.wait_for(TOPICS.alert, count=30)
    reasons = [json.loads(payload)["reason"] for payload in hears.payloads(TOPICS.alert)]
    assert list(dict.fromkeys(reasons)) == names
    hears.wait_for(TOPICS.state)
    assert publisher.outbox_health().set_aside == 0


def test_what_is_asked_for_again_in_one_breath_with_its_acknowledgement_is_sent_again(
    start: Start, until: Until
) -> None:
    def script(got: Packet) -> bytes | None:
        if got.topic != TOPICS.alert or json.loads(got.payload).get("resent"):
            return None
        asked = {"epoch": json.loads(got.payload)["epoch"], "from": 1}
        return puback(got.mid) + message(TOPICS.command("resend"), json.dumps(asked).encode())

    device = start(script, "a")
    until(lambda: device.alerts() == ["a", "a"], "the alert again")
