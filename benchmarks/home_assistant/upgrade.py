"""A device that one message described until now is described in parts: what people know of it must stay."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from benchmarks.home_assistant import shown
from benchmarks.home_assistant.findings import Finding, nothing
from benchmarks.home_assistant.server import HomeAssistant
from benchmarks.soak import Device
from edge.config import Config
from edge.mqtt.discovery import MOVED, descriptions, discovery_topic, object_id

KEPT = ("id", "entity_id", "name", "hidden_by", "disabled_by", "device_id")
"""What of an entity's registration is its own or may have been changed by people."""

CHANGED = {
    "anger_signal": {"new_entity_id": "sensor.our_anger", "name": "Our anger"},
    "outbox_depth": {"hidden_by": "user"},
    "alert": {"name": "Our alert"},
}
"""What people have changed, by the entity's key."""

PATIENCE_S = 60.0
DESCRIBED_S = 8.0
"""So long after a device is back all of its description has come."""


def as_one_message(config: Config) -> bytes:
    """The description as it was before it came in parts: one message with every component."""
    told = [json.loads(message) for message in descriptions(config, "0").values() if message != MOVED]
    components = {}
    for part in told:
        shared = {key: part[key] for key in ("avty", "avty_mode", "stat_t") if key in part}
        for key, one in part["cmps"].items():
            fits = {} if one["p"] == "device_automation" else shared
            components[key] = {name: value for name, value in fits.items() if one["p"] != "button" or name != "stat_t"}
            components[key] |= one
    return json.dumps({"dev": told[0]["dev"], "o": told[0]["o"], "cmps": components}).encode()


def upgrade(home: HomeAssistant, port: int, device: Device, config: Config) -> list[Finding]:
    """Describe a device by one message, change its entities as people do, then start it as it is now, twice.

    Its driver must be calm: an alert changes an entity.
    """
    describe(port, discovery_topic(config), as_one_message(config))
    wait(home, lambda: shown.entities(home).keys() == shown.described(config).keys())
    for key, change in CHANGED.items():
        entity = shown.entities(home)[f"evenkeel_{object_id(config)}_{key}"]["entity_id"]
        home.ask("config/entity_registry/update", entity_id=entity, **change)
    before = kept(home)
    differ = [f"{key} is missing" for key in shown.described(config).keys() - before.keys()]
    with device.running():
        differ += _otherwise(home, config, before)
        home.stop()  # as its service manager would: killed it forgets what it has not written yet
        home.start()
        differ += [f"{one}, after a restart" for one in _otherwise(home, config, before)]
    alert = f"states/{before[f'evenkeel_{object_id(config)}_alert']['entity_id']}"
    changed = home.get(alert)["last_changed"]
    with device.running():
        wait(home, lambda: "unavailable" not in states(home, before, "watching", "state"))
        time.sleep(DESCRIBED_S)
        same = home.get(alert)["last_changed"] == changed
    what = "after an upgrade from one message: entities lost, doubled, shown otherwise or not as people had them"
    alone = "entities that are made anew when the device starts again"
    return [nothing(what, differ), nothing(alone, [] if same else ["Alert"])]


def _otherwise(home: HomeAssistant, config: Config, before: dict[str, dict[str, Any]]) -> list[str]:
    """What is shown otherwise than described, and what people had otherwise."""
    wait(home, lambda: not shown.differences(home, config) and kept(home) == before)
    now = kept(home)
    differ = [f"{key} was {one}, is {now.get(key)}" for key, one in before.items() if now.get(key) != one]
    return shown.differences(home, config) + differ


def describe(port: int, topic: str, message: bytes) -> None:
    """Have the broker retain a description."""
    client = paho.Client(CallbackAPIVersion.VERSION2)
    client.connect("127.0.0.1", port)
    client.loop_start()
    client.publish(topic, message, qos=1, retain=True).wait_for_publish(10)
    client.disconnect()
    client.loop_stop()


def kept(home: HomeAssistant) -> dict[str, dict[str, Any]]:
    """Of each entity what must stay as it is."""
    return {key: {name: one[name] for name in KEPT} for key, one in shown.entities(home).items()}


def states(home: HomeAssistant, known: dict[str, dict[str, Any]], *keys: str) -> list[str]:
    """What the entities with these keys say."""
    ids = [one["entity_id"] for unique, one in known.items() if unique.rpartition("_")[2] in keys]
    return [str(home.get(f"states/{one}")["state"]) for one in ids]


def wait(home: HomeAssistant, condition: Callable[[], bool]) -> None:
    """Until it holds, or for long enough: what differs even then is a finding."""
    with contextlib.suppress(TimeoutError):
        home.wait_for(condition, PATIENCE_S)
