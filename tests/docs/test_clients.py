"""What the page for other clients shows is sound: the flow, the figures, and a recorder that runs as it stands."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.clients.garbage import garbage
from benchmarks.messages import made_alert, made_state
from docs.tutorials import ROOT, files
from edge.config import Config
from edge.domain import State
from edge.mqtt.messages import Newest, Topics
from edge.service.loop import board_stamp

if TYPE_CHECKING:
    from benchmarks.mosquitto import Mosquitto
    from tests.conftest import Subscriber

SHOWN = files((ROOT / "docs/clients.md").read_text(encoding="utf-8"))
FLOW: list[dict[str, Any]] = json.loads((ROOT / "docs/clients/node-red.json").read_text())
TOPICS = Topics("evenkeel", "+")
PATIENCE_S = 60.0
"""A Python of its own starts for each recorder."""


def test_the_flow_keeps_its_session_and_listens_at_qos_1() -> None:
    nodes = {node["id"]: node for node in FLOW}
    listening = [node for node in FLOW if node["type"] == "mqtt in"]
    assert {node["topic"] for node in listening} == {TOPICS.alert, TOPICS.state, TOPICS.result("resend")}
    assert {node["qos"] for node in listening} == {"1"}
    (broker,) = (node for node in FLOW if node["type"] == "mqtt-broker")
    assert {node["broker"] for node in FLOW if node["type"].startswith("mqtt ")} == {broker["id"]}
    assert broker["clientid"]
    assert broker["cleansession"] is False
    assert int(broker["sessionExpiry"]) > 0
    assert all(target in nodes for node in FLOW for wires in node.get("wires", []) for target in wires)


def test_the_exporter_knows_every_state_and_takes_what_is_unknown_for_less_than_calm() -> None:
    told = dict(line.split("=", 1) for line in SHOWN["exporter.env"].splitlines())
    values = {name.lower(): int(value) for name, value in re.findall(r"(\w+)=(-?\d+)", told["STATE_VALUES"])}
    known = {State.CALM: 0, State.WARNING: 1, State.URGENT: 2}
    assert values.keys() == {str(state) for state in State}
    assert all(values[state] == known[state] if state in known else values[state] < 0 for state in State)
    assert set(told["MQTT_TOPIC"].split(",")) == {TOPICS.state, TOPICS.health, TOPICS.active("+")}
    kept_s, publish = int(told["MQTT_METRICS_EXPIRE_SECONDS"]), Config().publish
    assert max(publish.heartbeat_s, publish.health_s) < kept_s


def test_a_query_of_the_page_has_a_metric_that_the_exporter_makes() -> None:
    state = json.loads(made_state(board_stamp()).payload()).keys()
    health = json.loads((ROOT / "edge/mqtt/schemas/health.json").read_text())["properties"].keys()
    made = {*state, *health, *Config().alerts.enabled, "outbox_depth", "kinds_anger_level"}
    page = (ROOT / "docs/clients.md").read_text(encoding="utf-8")
    asked = set(re.findall(r"evenkeel_(\w+)", page[page.index("| query |") : page.index("## mosquitto_sub")]))
    assert asked
    assert asked <= made


def test_the_python_recorder_has_each_alert_once_asks_for_what_it_lacks_and_bears_garbage(
    mosquitto: Mosquitto, subscribe: Callable[..., Subscriber], tmp_path: Path
) -> None:
    (tmp_path / "recorder.py").write_text(SHOWN["recorder.py"], encoding="utf-8")
    desk = subscribe(mosquitto.port, "evenkeel/+/command/resend")
    alerts = [made_alert(board_stamp(), sequence=number).payload() for number in range(1, 6)]
    environment = os.environ | {"MQTT_HOST": "127.0.0.1", "MQTT_PORT": str(mosquitto.port)}

    def recorder() -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "recorder.py"], cwd=tmp_path, env=environment)

    def recorded() -> list[int]:
        with sqlite3.connect(tmp_path / "alerts.db") as database:
            return [row[0] for row in database.execute("SELECT sequence FROM alerts WHERE payload IS NOT NULL")]

    running = recorder()
    try:
        mosquitto_knows(mosquitto, "recorder-py")
        for topic, payload in garbage("evenkeel/van-7"):
            desk.publish(topic, payload)
        for payload in (alerts[0], alerts[0], alerts[3]):
            desk.publish("evenkeel/van-7/alert", payload)
        desk.publish("evenkeel/van-7/state", made_state(board_stamp(), newest=Newest(1, 5)).payload())
        assert asked(desk, 1) == {"epoch": 1, "from": 2, "to": 3}
        running.kill()
        running.wait(10)
        for payload in (alerts[4], alerts[1]):
            desk.publish("evenkeel/van-7/alert", payload)
        running = recorder()
        desk.wait(lambda: sorted(recorded()) == [1, 2, 4, 5], "what came while it was away", PATIENCE_S)
        gone = {"resend": {"epoch": 1, "gone": [{"from": 3, "to": 3}]}}
        desk.publish("evenkeel/van-7/command/resend/result", json.dumps(gone))
        desk.publish("evenkeel/van-7/state", made_state(board_stamp(), newest=Newest(1, 6)).payload())
        assert asked(desk, 2) == {"epoch": 1, "from": 6, "to": 6}
        assert running.poll() is None
    finally:
        running.kill()
        running.wait(10)


def asked(desk: Subscriber, count: int) -> dict[str, int]:
    """What the recorder asks for, the ``count``-th time."""
    topic = "evenkeel/van-7/command/resend"
    desk.wait(lambda: len(desk.payloads(topic)) >= count, "a question", PATIENCE_S)
    told: dict[str, int] = json.loads(desk.payloads(topic)[count - 1])
    return told


def mosquitto_knows(broker: Mosquitto, client: str) -> None:
    """Wait until this client has subscribed."""
    deadline = time.monotonic() + PATIENCE_S
    while f"Sending SUBACK to {client}" not in broker.log:
        assert time.monotonic() < deadline, broker.log
        time.sleep(0.05)
