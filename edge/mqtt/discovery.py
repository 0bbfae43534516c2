"""Home Assistant's MQTT device discovery: one retained message that describes the device and all its entities.

The format is Home Assistant's (https://www.home-assistant.io/integrations/mqtt/#device-discovery-payload): a
``device``, an ``origin`` and ``components``, each with its ``platform`` and ``unique_id``. Keys go by the short names
that Home Assistant has for them, because brokers bound how large a message may be.
"""

from __future__ import annotations

import json
import re
from typing import Any

from edge.board.sensors import Board, read_board
from edge.config import Config
from edge.mqtt.entities import Component, driver_entities, health_entities
from edge.mqtt.messages import Topics
from edge.mqtt.names import DEFAULT_PREFIX, device_word
from edge.words import catalogue

SHORT = {
    "automation_type": "atype",
    "availability": "avty",
    "availability_mode": "avty_mode",
    "command_template": "cmd_tpl",
    "command_topic": "cmd_t",
    "device_class": "dev_cla",
    "enabled_by_default": "en",
    "entity_category": "ent_cat",
    "event_types": "evt_typ",
    "expire_after": "exp_aft",
    "icon": "ic",
    "json_attributes_template": "json_attr_tpl",
    "json_attributes_topic": "json_attr_t",
    "optimistic": "opt",
    "options": "ops",
    "payload": "pl",
    "payload_press": "pl_prs",
    "platform": "p",
    "state_class": "stat_cla",
    "state_topic": "stat_t",
    "subtype": "stype",
    "suggested_display_precision": "sug_dsp_prc",
    "topic": "t",
    "unique_id": "uniq_id",
    "unit_of_measurement": "unit_of_meas",
    "value_template": "val_tpl",
}
"""Home Assistant's abbreviations of what stands in a component."""


def discovery_topic(config: Config) -> str:
    """Where Home Assistant looks for the device."""
    return f"{config.discovery.prefix}/device/{object_id(config)}/config"


def birth_topic(config: Config) -> str:
    """Where Home Assistant says ``online`` when it has started."""
    return f"{config.discovery.prefix}/status"


def object_id(config: Config) -> str:
    """The device's name as Home Assistant allows it in a topic: letters, digits, ``_`` and ``-``."""
    return device_word(config.mqtt.prefix, config.device.id)


def discovery_payload(config: Config, version: str, board: Board | None = None) -> bytes:
    """The device's description; ``version`` is that of this software, ``board`` by default what this board tells."""
    topics = Topics(config.mqtt.prefix, config.device.id)
    words = catalogue(config.discovery.language)
    identifier = f"{DEFAULT_PREFIX}_{object_id(config)}"
    driver, health = driver_entities(topics, config, words), health_entities(topics, config, words)
    components = health if config.alerts.shadow else driver | health
    for key, component in components.items():
        component["qos"] = 1
        if component["platform"] != "device_automation":  # what triggers has no entity and so no id
            component["unique_id"] = f"{identifier}_{key}"
    if config.alerts.shadow:  # a component with its platform alone is one that Home Assistant removes
        components |= {key: {"platform": component["platform"]} for key, component in driver.items()}
    payload = {
        "dev": {
            "ids": [identifier],
            "name": config.device.id,
            "mf": "Evenkeel",
            "mdl": "Driver monitor",
            "sw": version,
            **_board_part(board or read_board()),
        },
        "o": {"name": "Evenkeel", "sw": version},
        "avty": [{"t": topics.availability}],
        "avty_mode": "all",
        "stat_t": topics.health,
        "cmps": {key: _shortened(component, topics.name) for key, component in components.items()},
    }
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()


def _board_part(board: Board) -> dict[str, str]:
    told = {"hw": board.model, "sn": board.serial}
    return {key: text for key, text in told.items() if text is not None}


def _shortened(component: Component, base: str) -> Component:
    """The same with short keys, those of its availability too; ``base`` is written once where that makes it shorter."""
    whole = _with_short_keys(component)
    based = {"~": base} | _with_short_keys(component, base)
    return min(whole, based, key=lambda one: len(json.dumps(one)))


def _with_short_keys(component: Component, base: str | None = None) -> Component:
    return {SHORT.get(key, key): _inside(key, value, base) for key, value in component.items()}


def _inside(key: str, value: Any, base: str | None) -> Any:
    if isinstance(value, list):
        return [_with_short_keys(one, base) if isinstance(one, dict) else one for one in value]
    if isinstance(value, str) and key.endswith("topic") and base is not None:
        return f"~{value.removeprefix(base)}"
    return _tight(value) if isinstance(value, str) and "{{" in value else value


def _tight(template: str) -> str:
    """A template without the spaces that Jinja does not need."""
    parts = re.split("('[^']*')", template)  # every second one is in quotes and stays as it is
    parts[::2] = [re.sub(r" ?(\{\{|\}\}|%\}|[{}\[\]()|~*=,:]) ?", r"\1", part) for part in parts[::2]]
    return "".join(parts)
