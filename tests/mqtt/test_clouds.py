"""The device on brokers as strict as the documents of those in the cloud: everything arrives, and nothing is beyond."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest

import edge.mqtt
from benchmarks.messages import made_alert, made_health, made_state
from docs.tutorials import ROOT, files
from edge.compat import tomllib
from edge.config import CameraConfig, Config, OutboxConfig, PublishConfig
from edge.domain import State
from edge.mqtt.channels import Channel, Role, channels
from edge.mqtt.client import Publisher
from edge.mqtt.messages import LiveMessage, Topics
from edge.mqtt.names import client_id
from edge.mqtt.outbox import Outbox
from edge.mqtt.rehearsal import NAME as DOCTOR
from edge.mqtt.rehearsal import Rehearsal
from edge.mqtt.sending import filters
from edge.service.loop import board_stamp, build_service
from edge.tools.demo.every_frame import EveryFrame
from edge.tools.demo.story import read_story
from tests.mqtt.clouds import AWS, AZURE, CLOUDS, EMQX, KIB, STRICTEST, Cloud, Guard
from tests.mqtt.rights import CLOUD, POLICIES
from tests.mqtt.scripted import CLOSE, CONNACK, CONNECT, DISCONNECT, PUBLISH, SUBSCRIBE, Packet, ScriptedBroker

PAGE = (Path(edge.mqtt.__file__).parent / "CLOUD.md").read_text(encoding="utf-8")
SHOWN = files(PAGE)
TOPICS = Topics("evenkeel", "van-7")
WAITING = 24


def config_for(cloud: Cloud, port: int, **mqtt: Any) -> Config:
    """The page's configuration, on this machine and so without TLS and password."""
    told = tomllib.loads(SHOWN[f"{cloud.policy}.toml"])
    for key in ("tls", "password_file"):
        told["mqtt"].pop(key, None)
    told["mqtt"] |= {"host": "127.0.0.1", "port": port} | mqtt
    return Config.model_validate(told)


class Device:
    """The shipped outbox and publisher on a strict broker; ``WAITING`` alerts were decided without network."""

    def __init__(self, cloud: Cloud, folder: Path, **mqtt: Any) -> None:
        self.guard = Guard(cloud)
        self.broker = ScriptedBroker(self.guard).__enter__()
        self.config = config_for(cloud, self.broker.port, **mqtt)
        self.outbox = Outbox.from_config(self._with(folder), {}, board_stamp())
        self.publisher = Publisher(self.config, self.outbox, clock=board_stamp, environ={})
        self.publisher.publish_state(made_state(board_stamp()))
        for number in range(WAITING):
            self.publisher.publish_alert(made_alert(board_stamp(), str(number)))

    def _with(self, folder: Path) -> Config:
        outbox = self.config.outbox.model_copy(update={"path": folder / "outbox.db"})
        return self.config.model_copy(update={"outbox": outbox})

    def alerts(self) -> list[str]:
        return [json.loads(one.payload)["reason"] for one in self.broker.published(TOPICS.alert)]

    def close(self) -> None:
        self.publisher.stop()
        self.outbox.close()
        self.broker.__exit__(None, None, None)


Start = Callable[..., Device]
Until = Callable[..., None]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    started: list[Device] = []

    def make(cloud: Cloud, **mqtt: Any) -> Device:
        started.append(Device(cloud, tmp_path, **mqtt))
        started[-1].publisher.start()
        return started[-1]

    yield make
    for device in started:
        device.close()


@pytest.mark.parametrize("cloud", [*CLOUDS, STRICTEST], ids=lambda cloud: cloud.name)
def test_every_alert_arrives_and_no_limit_is_passed(start: Start, until: Until, cloud: Cloud) -> None:
    mqtt = {} if cloud is not STRICTEST else {"max_publish_hz": 8}
    device = start(cloud, **mqtt)
    publisher, broker = device.publisher, device.broker
    until(lambda: publisher.connected, "a connection")
    for state in (State.WARNING, State.URGENT, State.CALM):
        publisher.publish_state(made_state(board_stamp(), state=state))
    publisher.publish_health(made_health(board_stamp(), publisher.outbox_health()))
    until(lambda: broker.published(TOPICS.health) != [] or device.guard.faults != [], "health")
    assert device.guard.faults == []
    broker.send(TOPICS.command("pause"), b'{"seconds": -1}', ResponseTopic=TOPICS.reply("desk"))
    broker.send(TOPICS.command("resume"), b"", ResponseTopic="/".join(["deep"] * 9))
    until(lambda: broker.published(TOPICS.reply("desk")) != [], "an answer on the response topic")
    until(lambda: broker.published(TOPICS.result("resume")) != [], "a refusal")
    until(lambda: len(device.alerts()) == WAITING, "every alert", deadline_s=30)
    until(lambda: publisher.outbox_health().depth == 0, "the broker's word on each")
    assert device.alerts() == [str(number) for number in range(WAITING)]
    assert [text for text in publisher.problems if "retain" not in text or cloud.retain] == []
    assert publisher.stop()
    assert broker.published(TOPICS.availability)[-1].payload == b"offline"
    assert device.guard.faults == []
    accepted = 1 if cloud.retain else 2  # that nothing is retained shows by the refusal of the will alone
    assert len([one for one in broker.received if one.kind == CONNECT]) == accepted


def test_a_broker_that_retains_nothing_and_minds_a_second_connection_at_once_is_asked_otherwise_the_next_time(
    start: Start, until: Until
) -> None:
    device = start(replace(STRICTEST, connect_hz=1, publish_hz=None))
    until(lambda: len(device.alerts()) == WAITING, "every alert")
    assert device.guard.faults in ([], ["a connection right after another"])


def test_without_its_limit_a_device_would_send_too_many_messages_a_second(start: Start, until: Until) -> None:
    device = start(EMQX, max_publish_hz=None)
    until(lambda: device.guard.faults != [], "too many messages")
    assert device.guard.faults[0] == "more than 10 messages a second"


def test_however_many_commands_there_are_no_subscription_asks_for_more_than_eight_at_once(
    start: Start, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.mqtt.sending.COMMANDS", [f"c{number}" for number in range(20)])
    device = start(AWS)
    until(lambda: len(device.alerts()) == WAITING, "every alert")
    asked = [one.filters for one in device.broker.received if one.kind == SUBSCRIBE]
    assert [len(some) for some in asked] == [8, 8, 4]
    assert {name for some in asked for name in some} == {TOPICS.command(f"c{number}") for number in range(20)}
    assert device.guard.faults == []


def test_health_that_is_told_all_the_time_is_no_excuse_for_too_many_messages_and_holds_up_no_alert(
    start: Start, until: Until
) -> None:
    device = start(EMQX)
    until(lambda: len(device.alerts()) == WAITING, "every alert")

    def told(count: int) -> bool:
        device.publisher.publish_health(made_health(board_stamp(), device.publisher.outbox_health()))
        return len(device.broker.published(TOPICS.health)) >= count or device.guard.faults != []

    until(lambda: told(8), "health")
    device.publisher.publish_alert(made_alert(board_stamp(), "now"))
    until(lambda: told(0) and device.alerts()[-1] == "now", "the alert among health")
    assert device.guard.faults == []


def test_who_watches_gets_no_more_frames_than_there_may_be_messages_and_alerts_go_first(
    start: Start, until: Until
) -> None:
    device = start(EMQX)
    until(lambda: len(device.alerts()) == WAITING, "every alert")
    frame = MagicMock(spec=LiveMessage)
    frame.payload.return_value = b"{}"
    device.broker.send(TOPICS.command("live"), b'{"seconds": 20}')

    def watched(count: int) -> bool:
        device.publisher.publish_live(lambda: frame)  # far more often than a camera does
        return len(device.broker.published(TOPICS.live)) >= count or device.guard.faults != []

    until(lambda: watched(8), "frames")
    device.publisher.publish_alert(made_alert(board_stamp(), "now"))
    until(lambda: watched(16) and device.alerts()[-1] == "now", "the alert among frames")
    assert device.guard.faults == []


@pytest.mark.parametrize("cloud", CLOUDS, ids=lambda cloud: cloud.name)
def test_the_page_names_the_limits_that_are_enforced(cloud: Cloud) -> None:
    title = cloud.name.removesuffix(" Serverless")
    section = PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]
    table = "\n".join(line for line in section.splitlines() if line.startswith("| "))
    told = {int(number.replace(",", "")) for number in re.findall(r"\d[\d,]*", table)}
    sizes = [size for size in (cloud.payload_bytes, cloud.retained_bytes, cloud.window_bytes) if size]
    wanted = {size // KIB % KIB or size // KIB**2 for size in sizes}
    wanted |= {number for number in (cloud.filters_at_once, cloud.filters, cloud.publish_hz) if number}
    wanted |= {number for number in (cloud.client_id_bytes, cloud.topic_bytes, cloud.window) if number < 1000}
    wanted |= {number for number in cloud.keepalive_s if 0 < number < 65_535}
    assert wanted <= told


@pytest.mark.parametrize("cloud", CLOUDS, ids=lambda cloud: cloud.name)
def test_the_doctor_finds_nothing_wrong_and_passes_no_limit(cloud: Cloud) -> None:
    guard = Guard(cloud)
    with ScriptedBroker(guard) as broker:
        verdict = Rehearsal(config_for(cloud, broker.port), {}, board_stamp()).run()
    assert guard.faults == []
    assert verdict.shortcomings == ()


PLAYED = CLOUDS if os.environ.get("EVERY_CLOUD") else (EMQX,)


@pytest.mark.timeout(300)  # models, and each frame of the clip
@pytest.mark.parametrize("cloud", PLAYED, ids=lambda cloud: cloud.name)
def test_the_demo_s_clip_brings_every_alert_that_it_shows(cloud: Cloud, tmp_path: Path) -> None:
    guard = Guard(cloud)
    with ScriptedBroker(guard) as broker:
        config = config_for(cloud, broker.port).model_copy(
            update={
                "camera": CameraConfig(source=str(ROOT / "edge/tools/demo/clip.mp4"), fps=15.0),
                "outbox": OutboxConfig(path=tmp_path / "outbox.db"),
                "publish": PublishConfig(heartbeat_s=1.0, health_s=5.0),
            }
        )
        frames = EveryFrame(config.camera, ready=lambda: bool(broker.published(TOPICS.availability)))
        with build_service(
            config, reload=lambda: config, frames=frames, clock=frames.clock, stamp=frames.stamp
        ) as made:
            made.run()
        came = [json.loads(one.payload) for one in broker.published(TOPICS.alert)]
        told = broker.published(TOPICS.availability)[-1].payload
        connections = [one for one in broker.received if one.kind == CONNECT]
    assert guard.faults == []
    assert [one["sequence"] for one in came] == list(range(1, len(came) + 1))
    started = [one["kind"] for one in came if one["phase"] == "start"]
    assert started == [look.alert for look in read_story() if look.alert]
    assert told == b"offline"
    assert len(connections) == 1


# ---- the policies ----


def said(channel: Channel, device: str = "van-7") -> str:
    home = "homeassistant"
    places = {"kind": "anger", "name": "desk", "word": device, "epoch": "7", "sequence": "1", "discovery_prefix": home}
    return channel.topic.format(prefix="evenkeel", device_id=device, part="driver", **places)


@pytest.mark.parametrize("policy", POLICIES)
def test_a_policy_lets_a_device_do_what_the_contract_has_it_do_and_nothing_else(policy: str) -> None:
    rights = POLICIES[policy]("van-7")
    for channel in channels():
        own, others = said(channel), said(channel, "van-8")
        at_home = "{discovery_prefix}" in channel.topic
        speaks = channel.from_device and not at_home
        assert rights.publish(own) == speaks, channel.name
        if channel.retained:
            assert rights.retain(own) == speaks, channel.name
        hears = Role.DEVICE in channel.reads and not channel.from_device and not at_home
        if hears or not (policy == "aws" and own.endswith("/result")):  # there a star stands for slashes too
            assert rights.subscribe(own) == hears, channel.name
        foreign = [may(others) for may in (rights.publish, rights.retain, rights.subscribe)]
        assert foreign == [False] * 3, channel.name
    assert rights.will
    if policy == "azure":
        templates = len(re.findall(r'^ +"evenkeel/', (CLOUD / "azure-event-grid.json").read_text(), re.MULTILINE))
        assert f"| templates in a topic space | 10 | {templates} |" in PAGE
    assert rights.publish(TOPICS.result(DOCTOR))
    assert rights.retain(TOPICS.result(DOCTOR))
    for wide in ("#", "+/#", "evenkeel/#", "evenkeel/+/command/+", "evenkeel/van-7/#", "evenkeel/van-7/+"):
        assert not rights.subscribe(wide), wide
    for other in ("other", "evenkeel/van-7", "evenkeel/van-7/x", "evenkeel/van-77/state", "$SYS/x"):
        assert not rights.publish(other), other


@pytest.mark.parametrize("policy", POLICIES)
def test_a_policy_goes_with_the_names_that_the_page_s_configuration_gives(policy: str) -> None:
    config = Config.model_validate(tomllib.loads(SHOWN[f"{policy}.toml"]))
    rights = POLICIES[policy](config.device.id)
    assert rights.connect(client_id(config))
    assert rights.connect(client_id(config, DOCTOR))
    assert all(map(rights.subscribe, filters(config)))
    assert config.mqtt.tls.enabled
    assert config.mqtt.username in (None, config.device.id)


def test_the_page_s_words_on_the_device_s_own_sizes_are_true() -> None:
    longest = Config.model_validate({"device": {"id": "x" * 64}, "mqtt": {"prefix": "y" * 64}})
    assert len(client_id(longest)) == 73
    assert max(said(channel).count("/") for channel in channels() if channel.from_device) == 4
    assert max(len(said(channel, "x" * 64)) for channel in channels()) <= min(cloud.topic_bytes for cloud in CLOUDS)
    assert PAGE.count("| 73 at most |") == 3
    assert "| 4 slashes;" in PAGE
    assert f"{len(TOPICS.retained)} of each device" in PAGE


def test_amazon_s_policy_has_room_for_the_longest_names_and_one_device_is_not_another() -> None:
    text = (CLOUD / "aws-policy.json").read_text().replace("REGION", "ap-southeast-1").replace("ACCOUNT", "1" * 12)
    assert len(re.sub(r"\s", "", text)) <= 2048
    rights = POLICIES["aws"]("van-7")
    assert not any(map(rights.connect, ("evenkeel-van-77", "evenkeel-van-7_x", "van-7", "evenkeel-van-7__x")))


# ---- the strict broker itself ----


def coming(topic: str, payload: bytes = b"", *, qos: int = 1, retain: bool = False, mid: int = 1) -> Packet:
    return Packet(0, PUBLISH, mid, topic, payload, qos, retain, size=len(topic) + len(payload) + 5)


def asking(count: int) -> Packet:
    return Packet(0, SUBSCRIBE, filters=tuple(TOPICS.command(f"c{number}") for number in range(count)))


def entering(**told: Any) -> Packet:
    known: dict[str, Any] = {
        "client_id": "evenkeel-van-7",
        "user": "van-7",
        "keepalive_s": 30,
        "will_topic": TOPICS.availability,
    }
    return Packet(0, CONNECT, **(known | told))


@pytest.mark.parametrize(
    ("cloud", "packets", "fault"),
    [
        (AWS, [coming(TOPICS.alert, b"x" * 131_073)], "a payload of 131073 bytes"),
        (AWS, [coming(TOPICS.alert, qos=2)], "QoS 2"),
        (AWS, [coming(TOPICS.reply("a/b/c/d/e/f"))], "the depth of evenkeel/van-7/reply/a/b/c/d/e/f"),
        (AWS, [coming(TOPICS.reply("x" * 256))], "a topic of 277 characters"),
        (AWS, [coming("evenkeel/van-8/alert")], "evenkeel/van-8/alert by the policy"),
        (AWS, [coming(TOPICS.alert, retain=True)], "evenkeel/van-7/alert retained by the policy"),
        (AWS, [asking(9)], "9 filters in one SUBSCRIBE"),
        (AWS, [coming(TOPICS.alert, mid=one) for one in range(101)], "101 messages on their way"),
        (AWS, [coming(TOPICS.alert, qos=0)] * 101, "more than 100 messages a second"),
        (AWS, [entering(keepalive_s=29)], "keep-alive of 29 s"),
        (AWS, [entering(client_id="evenkeel-" + "x" * 120)], f"client id 'evenkeel-{'x' * 120}'"),
        (AWS, [entering(client_id="evenkeel-van-8")], "client id 'evenkeel-van-8' by the policy"),
        (AWS, [entering(will_topic="evenkeel/van-8/availability")], "the will's topic"),
        (AWS, [entering(will_topic=TOPICS.alert, will_retain=True)], "a retained will by the policy"),
        (AZURE, [coming(TOPICS.alert, b"x" * 525_000)], "a packet of 525025 bytes"),
        (AZURE, [coming(TOPICS.state, b"x" * 65_537, retain=True)], "too much to retain"),
        (AZURE, [coming(TOPICS.alert, b"x" * 16_000, mid=one) for one in range(5)], "80125 bytes on their way"),
        (AZURE, [entering(keepalive_s=1161)], "keep-alive of 1161 s"),
        (AZURE, [entering(user_properties=1)], "user properties"),
        (AZURE, [entering(user="")], "user ''"),
        (AZURE, [entering(will_qos=2)], "the will's QoS"),
        (EMQX, [asking(8), asking(11)], "11 subscriptions"),
        (STRICTEST, [coming(TOPICS.state, qos=0, retain=True)], "a retained message"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_the_strict_broker_ends_the_connection_over_what_is_beyond_a_limit(
    cloud: Cloud, packets: list[Packet], fault: str
) -> None:
    guard = Guard(cloud, clock=lambda: 0.0)
    for got in packets:
        assert guard.faults == []
        answer = guard(got)
    assert guard.faults == [fault]
    assert answer == CLOSE or (isinstance(answer, bytes) and answer[0] >> 4 in (CONNACK, DISCONNECT))


def test_a_second_connection_within_a_second_is_one_too_many() -> None:
    now = [0.0]
    guard = Guard(AWS, clock=lambda: now[0])
    came = Packet(0, CONNECT, client_id="evenkeel-van-7", keepalive_s=30)
    for at, faults in ((0.0, 0), (0.5, 1), (2.0, 1)):
        now[0] = at
        guard(came)
        assert len(guard.faults) == faults
