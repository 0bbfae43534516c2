"""Home Assistant's MQTT device discovery: one retained message that describes the device and all its entities.

The format is Home Assistant's (https://www.home-assistant.io/integrations/mqtt/#device-discovery-payload): a
``device``, an ``origin`` and ``components``, each with its ``platform`` and ``unique_id``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Any

from edge.config import Config
from edge.decision.kinds import going_by
from edge.domain import EYES, Kind, Phase, State
from edge.mqtt.messages import Topics
from edge.mqtt.names import DEFAULT_PREFIX, device_word

MISSED_BEATS = 3
"""A value expires when this many of its messages in a row did not come."""


_READ = "{{{{ 'online' if value_json.kinds.{kind}.readable or value_json.kinds.{kind}.level else 'offline' }}}}"


def _expiry(period_s: float) -> int:
    return math.ceil(MISSED_BEATS * period_s)


def discovery_topic(config: Config) -> str:
    """Where Home Assistant looks for the device."""
    return f"{config.discovery.prefix}/device/{object_id(config)}/config"


def birth_topic(config: Config) -> str:
    """Where Home Assistant says ``online`` when it has started."""
    return f"{config.discovery.prefix}/status"


def object_id(config: Config) -> str:
    """The device's name as Home Assistant allows it in a topic: letters, digits, ``_`` and ``-``."""
    return device_word(config.mqtt.prefix, config.device.id)


def discovery_payload(config: Config, version: str) -> bytes:
    """The device's description; ``version`` is that of this software."""
    topics = Topics(config.mqtt.prefix, config.device.id)
    spoken = _alert_entities(topics, config.alerts.enabled) | _state_entities(topics, config)
    components = _health_entities(topics, config) if config.alerts.shadow else spoken | _health_entities(topics, config)
    identifier = f"{DEFAULT_PREFIX}_{object_id(config)}"
    for key, component in components.items():
        component["unique_id"] = f"{identifier}_{key}"
    if config.alerts.shadow:  # a component with its platform alone is one that Home Assistant removes
        components |= {key: {"platform": component["platform"]} for key, component in spoken.items()}
    payload = {
        "device": {
            "identifiers": [identifier],
            "name": config.device.id,
            "manufacturer": "Evenkeel",
            "model": "Driver monitor",
            "sw_version": version,
        },
        "origin": {"name": "Evenkeel", "sw_version": version},
        "availability": [{"topic": topics.availability}],
        "qos": 1,
        "components": components,
    }
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()


def _alert_entities(topics: Topics, kinds: Iterable[Kind]) -> dict[str, dict[str, Any]]:
    # an event's type must be one of a fixed list; everything else in its payload becomes an attribute
    template = "{{ dict(value_json, event_type=value_json.kind ~ '_' ~ value_json.phase) | to_json }}"
    kinds = tuple(kinds)
    alert = {
        "platform": "event",
        "name": "Alert",
        "icon": "mdi:car-emergency",
        "state_topic": topics.alert,
        "value_template": template,
        "event_types": [f"{kind}_{phase}" for kind in kinds for phase in Phase],
    }
    active = {
        kind: {
            "platform": "binary_sensor",
            "name": _title(kind),
            "device_class": "problem",
            "state_topic": topics.active(kind),
            # no alert of a kind that cannot be read now is not 'off': then it is unavailable
            "availability": [
                {"topic": topics.availability},
                {"topic": topics.state, "value_template": _READ.format(kind=kind)},
            ],
            "availability_mode": "all",
        }
        for kind in kinds
    }
    return {"alert": alert, **active}


def _title(kind: Kind) -> str:
    return kind.replace("_", " ").capitalize()


def _state_entities(topics: Topics, config: Config) -> dict[str, dict[str, Any]]:
    expire = {"state_topic": topics.state, "expire_after": _expiry(config.publish.heartbeat_s)}
    percent = {"platform": "sensor", "unit_of_measurement": "%", "state_class": "measurement", **expire}
    state = {
        "platform": "sensor",
        "name": "State",
        "icon": "mdi:steering",
        "device_class": "enum",
        "options": [str(state) for state in State],
        "value_template": "{{ value_json.state }}",
        "json_attributes_topic": topics.state,
        **expire,
    }
    signals = {
        f"{kind}_signal": {
            "name": f"{_title(kind)} signal",
            "value_template": (
                f"{{{{ (value_json.kinds.{kind}.signal * 100) | round(1) if '{kind}' in value_json.kinds else None }}}}"
            ),
            **percent,
        }
        for kind in config.alerts.enabled
    }
    confidence = {
        "name": "Confidence",
        "entity_category": "diagnostic",
        "value_template": "{{ (value_json.confidence * 100) | round }}",
        **percent,
    }
    eyes = {
        "perclos": {
            "name": "Eyes closed",
            "value_template": (
                "{{ (value_json.eyes.perclos * 100) | round(1) "
                "if value_json.eyes and value_json.eyes.perclos is not none else None }}"
            ),
            **percent,
        },
        "blinks": {
            **percent,
            "name": "Blinks",
            "unit_of_measurement": "/min",
            "value_template": "{{ value_json.eyes.blinks_per_minute if value_json.eyes else None }}",
            "entity_category": "diagnostic",
        },
    }
    seen = eyes if going_by(EYES, config.alerts.enabled) else {}
    return {"state": state, **signals, **seen, "confidence": confidence}


def _health_entities(topics: Topics, config: Config) -> dict[str, dict[str, Any]]:
    common = {
        "entity_category": "diagnostic",
        "state_topic": topics.health,
        "expire_after": _expiry(config.publish.health_s),
    }

    def sensor(name: str, value: str, unit: str | None = None, **more: str) -> dict[str, Any]:
        unit_of_measurement = {} if unit is None else {"unit_of_measurement": unit}
        template = f"{{{{ value_json.{value} }}}}"
        return {
            "platform": "sensor",
            "name": name,
            "state_class": "measurement",
            "value_template": template,
            **unit_of_measurement,
            **more,
            **common,
        }

    throttled = {
        "platform": "binary_sensor",
        "name": "Throttled",
        "device_class": "heat",
        # Home Assistant reads 'None' as unknown: a board that cannot tell is not one that runs cool
        "value_template": "{{ None if value_json.throttled is none else 'ON' if value_json.throttled else 'OFF' }}",
        **common,
    }
    problem = {
        "platform": "binary_sensor",
        "name": "Problem",
        "device_class": "problem",
        "value_template": "{{ 'ON' if value_json.problems or value_json.outbox.problem else 'OFF' }}",
        "json_attributes_topic": topics.health,
        **common,
    }
    return {
        "fps": sensor("Frame rate", "fps", "fps"),
        "temperature": sensor("Temperature", "temperature_c", "°C", device_class="temperature"),
        "memory": sensor("Memory", "memory_mb", "MB", device_class="data_size"),
        "outbox_depth": sensor("Waiting alerts", "outbox.depth"),
        "throttled": throttled,
        "problem": problem,
    }
