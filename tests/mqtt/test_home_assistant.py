"""The device's description against Home Assistant's documented schema, and its templates rendered on real messages.

The tables follow https://www.home-assistant.io/integrations/mqtt/#device-discovery-payload and the pages of the
platforms: /integrations/event.mqtt/, /integrations/sensor.mqtt/, /integrations/binary_sensor.mqtt/; device classes and
their units /integrations/sensor/#device-class and /integrations/binary_sensor/#device-class.
"""

from __future__ import annotations

import json
import re
from typing import Any

import jsonschema
import pytest
from jinja2.sandbox import ImmutableSandboxedEnvironment

from benchmarks.messages import made_alert, made_health, made_state
from edge.config import Config
from edge.domain import Kind, Level, Phase, State
from edge.mqtt.discovery import discovery_payload, discovery_topic
from edge.mqtt.messages import KindPart, OutboxPart
from edge.service.loop import board_stamp

TEXT = {"type": "string", "minLength": 1}
TEMPLATE = {"type": "string", "pattern": r"^\{\{ .* \}\}$"}
TOPIC = {"type": "string", "pattern": r"^[^+#\u0000]+$"}
SECONDS = {"type": "integer", "minimum": 1}
QOS = {"enum": [0, 1, 2]}

AVAILABILITY = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["topic"],
        "additionalProperties": False,
        "properties": {
            "topic": TOPIC,
            "payload_available": TEXT,
            "payload_not_available": TEXT,
            "value_template": TEMPLATE,
        },
    },
}

ENTITY = {
    "platform": TEXT,
    "name": {"type": ["string", "null"]},
    "unique_id": TEXT,
    "default_entity_id": TEXT,
    "state_topic": TOPIC,
    "value_template": TEMPLATE,
    "json_attributes_topic": TOPIC,
    "json_attributes_template": TEMPLATE,
    "icon": {"type": "string", "pattern": "^mdi:[a-z0-9-]+$"},
    "entity_category": {"enum": ["diagnostic"]},  # 'config' is for what can be set
    "enabled_by_default": {"type": "boolean"},
    "availability": AVAILABILITY,
    "availability_mode": {"enum": ["all", "any", "latest"]},
    "qos": QOS,
    "encoding": TEXT,
}

EXPIRING = {"expire_after": SECONDS, "force_update": {"type": "boolean"}}

PLATFORMS: dict[str, dict[str, Any]] = {
    "event": {
        "required": ["platform", "unique_id", "state_topic", "event_types"],
        "properties": ENTITY
        | {
            "device_class": {"enum": ["button", "doorbell", "motion"]},
            "event_types": {"type": "array", "items": TEXT, "minItems": 1, "uniqueItems": True},
        },
    },
    "binary_sensor": {
        "required": ["platform", "unique_id", "state_topic"],
        "properties": ENTITY
        | EXPIRING
        | {
            "device_class": {"enum": ["heat", "problem"]},  # of the many, those that are meant here
            "payload_on": TEXT,
            "payload_off": TEXT,
            "off_delay": SECONDS,
        },
    },
    "sensor": {
        "required": ["platform", "unique_id", "state_topic"],
        "properties": ENTITY
        | EXPIRING
        | {
            "device_class": {"enum": ["enum", "temperature", "data_size"]},
            "state_class": {"enum": ["measurement", "total", "total_increasing"]},
            "unit_of_measurement": TEXT,
            "options": {"type": "array", "items": TEXT, "minItems": 1, "uniqueItems": True},
            "suggested_display_precision": {"type": "integer"},
            "last_reset_value_template": TEMPLATE,
        },
    },
}

DEVICE = {
    "type": "object",
    "required": ["identifiers"],
    "additionalProperties": False,
    "properties": {
        "identifiers": {"type": "array", "items": TEXT, "minItems": 1},
        **dict.fromkeys(("name", "manufacturer", "model", "model_id", "hw_version", "sw_version"), TEXT),
        **dict.fromkeys(("serial_number", "suggested_area", "via_device", "configuration_url"), TEXT),
        "connections": {"type": "array"},
    },
}

DESCRIPTION = {
    "type": "object",
    "required": ["device", "origin", "components"],
    "additionalProperties": False,
    "properties": {
        "device": DEVICE,
        "origin": {
            "type": "object",
            "required": ["name"],
            "additionalProperties": False,
            "properties": {"name": TEXT, "sw_version": TEXT, "support_url": TEXT},
        },
        "components": {"type": "object", "minProperties": 1, "additionalProperties": {"type": "object"}},
        "availability": AVAILABILITY,
        "availability_mode": {"enum": ["all", "any", "latest"]},
        "state_topic": TOPIC,
        "command_topic": TOPIC,
        "qos": QOS,
        "encoding": TEXT,
    },
}

UNITS = {"temperature": {"°C", "°F", "K"}, "data_size": {"B", "kB", "MB", "GB", "KiB", "MiB", "GiB"}}


def description(device_id: str = "van-7") -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(discovery_payload(Config.model_validate({"device": {"id": device_id}}), "0.1"))
    return loaded


COMPONENTS: dict[str, dict[str, Any]] = description()["components"]


def test_the_description_is_as_documented() -> None:
    jsonschema.validate(description(), DESCRIPTION)


@pytest.mark.parametrize("key", COMPONENTS)
def test_every_entity_has_the_documented_keys_and_no_other(key: str) -> None:
    component = COMPONENTS[key]
    schema = {"type": "object", "additionalProperties": False, **PLATFORMS[component["platform"]]}
    jsonschema.validate(component, schema)


@pytest.mark.parametrize("key", [key for key, one in COMPONENTS.items() if one["platform"] == "sensor"])
def test_a_sensors_class_unit_and_options_go_together(key: str) -> None:
    sensor = COMPONENTS[key]
    kind = sensor.get("device_class")
    assert ("options" in sensor) == (kind == "enum")
    if kind == "enum":  # Home Assistant refuses either on an enum
        assert "state_class" not in sensor
        assert "unit_of_measurement" not in sensor
    if kind in UNITS:
        assert sensor["unit_of_measurement"] in UNITS[kind]
    assert sensor["expire_after"] > 0


@pytest.mark.parametrize("device_id", ["van-7", "van.7", "A_b-3.c"])
def test_the_topic_has_only_what_home_assistant_takes_in_one(device_id: str) -> None:
    topic = discovery_topic(Config.model_validate({"device": {"id": device_id}}))
    assert re.fullmatch(r"homeassistant/device/[a-zA-Z0-9_-]+/config", topic)


def render(template: str, payload: bytes) -> str:
    """As Home Assistant renders it: Jinja in a sandbox, with ``value_json`` and its own filter ``to_json``."""
    environment = ImmutableSandboxedEnvironment()
    environment.filters["to_json"] = json.dumps
    return environment.from_string(template).render(value_json=json.loads(payload))


@pytest.mark.parametrize("kind", Config().alerts.enabled)
@pytest.mark.parametrize("phase", Phase)
def test_each_alert_becomes_an_event_of_a_declared_type_with_all_its_values(kind: Kind, phase: Phase) -> None:
    alert = made_alert(board_stamp(), "why", kind=kind, phase=phase, sequence=7)
    event = json.loads(render(COMPONENTS["alert"]["value_template"], alert.payload()))
    assert event.pop("event_type") in COMPONENTS["alert"]["event_types"]
    assert event == json.loads(alert.payload())


def payload_of(key: str) -> bytes:
    outbox = OutboxPart(depth=3, bytes=1200, dropped=0, problem=None)
    health = COMPONENTS[key]["state_topic"].endswith("/health")
    message = made_health(board_stamp(), outbox) if health else made_state(board_stamp(), state=State.WARNING)
    return message.payload()


@pytest.mark.parametrize("key", [key for key, one in COMPONENTS.items() if "unit_of_measurement" in one])
def test_a_measured_value_is_a_number_or_unknown(key: str) -> None:
    text = render(COMPONENTS[key]["value_template"], payload_of(key))
    assert text == "None" or float(text) >= 0


@pytest.mark.parametrize(
    ("key", "said"),
    [("state", "warning"), ("throttled", "None"), ("problem", "OFF"), ("outbox_depth", "3"), ("anger_signal", "10.0")],
)
def test_a_value_is_what_the_message_says(key: str, said: str) -> None:
    assert render(COMPONENTS[key]["value_template"], payload_of(key)) == said


def test_a_broken_outbox_and_a_named_problem_are_problems() -> None:
    fine = OutboxPart(depth=0, bytes=0, dropped=0, problem=None)
    for health in (
        made_health(board_stamp(), fine.model_copy(update={"problem": "disk full"})),
        made_health(board_stamp(), fine, ("camera unplugged",)),
    ):
        assert render(COMPONENTS["problem"]["value_template"], health.payload()) == "ON"


@pytest.mark.parametrize(
    ("level", "readable", "said"), [(None, True, "online"), (None, False, "offline"), (Level.URGENT, False, "online")]
)
def test_no_alert_of_a_kind_that_cannot_be_read_is_unavailable_not_off(
    level: Level | None, said: str, *, readable: bool
) -> None:
    state = made_state(board_stamp(), state=State.UNCERTAIN)
    kinds = {"anger": KindPart(signal=0.1, level=level, readable=readable, reason_code="lasting")}
    payload = state.model_copy(update={"kinds": kinds}).payload()
    always, read = COMPONENTS["anger"]["availability"]
    assert always["topic"].endswith("/availability")
    assert render(read["value_template"], payload) == said
    assert COMPONENTS["anger"]["availability_mode"] == "all"


def test_every_state_is_an_option_of_the_state() -> None:
    assert set(COMPONENTS["state"]["options"]) == set(State)
