"""Home Assistant's MQTT device discovery: retained messages that describe the device and all its entities.

The format is Home Assistant's (https://www.home-assistant.io/integrations/mqtt/#device-discovery-payload): a
``device``, an ``origin`` and ``components``, each with its ``platform`` and ``unique_id``. Keys go by the short names
that Home Assistant has for them, and the description comes in parts, because brokers bound how large a message may be.
Home Assistant takes the parts for one device by its identifier.

Before version 0.2 one message described everything. Where it was, Home Assistant is told to let go of what it described
(``migrate_discovery``), so that the parts take it up: unique ids, history and what people have changed stay. That is
said with each description, because it costs nothing where there is nothing to let go.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from edge.board.sensors import Board, read_board
from edge.config import Config
from edge.mqtt.entities import DRIVER, Component, Part, part_names, parts
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

PART = "_e-"
"""Between a device's word and the name of a part; no word has it, as ``edge.mqtt.names`` makes them."""

SETTLE_S = 2.0
"""So long Home Assistant may take to let go of what one message described."""


MOVED = b'{"migr_discvry":true}'
"""Has Home Assistant let go of what was described by this topic, but keep all that it knows of it."""


def discovery_topic(config: Config) -> str:
    """Where one message described the device; the parts' topics are made of it."""
    return f"{config.discovery.prefix}/device/{object_id(config)}/config"


def part_topics(base: str) -> tuple[str, ...]:
    """Where the parts are of what one message at ``base`` described, those of kinds that are not judged too."""
    return tuple(_part_topic(base, name) for name in part_names())


def _part_topic(base: str, name: str) -> str:
    return f"{base.removesuffix('/config')}{PART}{name}/config"


def birth_topic(config: Config) -> str:
    """Where Home Assistant says ``online`` when it has started."""
    return f"{config.discovery.prefix}/status"


def object_id(config: Config) -> str:
    """The device's name as Home Assistant allows it in a topic: letters, digits, ``_`` and ``-``."""
    return device_word(config.mqtt.prefix, config.device.id)


def descriptions(config: Config, version: str, board: Board | None = None) -> dict[str, bytes]:
    """The messages that describe the device, by their topics, in the order in which they are to be sent.

    ``version`` is that of this software, ``board`` by default what this board tells. Home Assistant needs ``SETTLE_S``
    behind the first before it can take the rest.
    """
    base = discovery_topic(config)
    topics = Topics(config.mqtt.prefix, config.device.id)
    made = parts(topics, config, catalogue(config.discovery.language))
    told = {_part_topic(base, name): _payload(config, part) for name, part in made.items()}
    first = _part_topic(base, DRIVER)
    told[first] = _payload(config, made[DRIVER], _about(version, board or read_board()))
    return {base: MOVED, **told}


def _payload(config: Config, part: Part, about: Mapping[str, str] | None = None) -> bytes:
    """One message; ``about`` is what only one of them tells of the device."""
    identifier = f"{DEFAULT_PREFIX}_{object_id(config)}"
    payload = {
        "dev": {"ids": [identifier], "name": config.device.id, **(about or {})},
        "o": {"name": "Evenkeel"},
        "avty": [_with_short_keys(one) for one in part.availability],
        "avty_mode": "all",
        "stat_t": part.state_topic,
        "cmps": {
            # with its platform alone it is one that Home Assistant removes
            key: {"p": one["platform"]} if key in part.hidden else _with_short_keys(one | _added(identifier, key, one))
            for key, one in part.components.items()
        },
    }
    if len(part.availability) == 1 or part.hidden >= part.components.keys():
        del payload["avty_mode"]
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()


def _added(identifier: str, key: str, component: Component) -> Component:
    if component["platform"] == "device_automation":  # what triggers has no entity and so no id
        return {"qos": 1}
    return {"qos": 1, "unique_id": f"{identifier}_{key}"}


def _about(version: str, board: Board) -> dict[str, str]:
    known = {"hw": board.model, "sn": board.serial}
    told = {key: text for key, text in known.items() if text is not None}
    return {"mf": "Evenkeel", "mdl": "Driver monitor", "sw": version, **told}


def _with_short_keys(component: Component) -> Component:
    return {SHORT.get(key, key): _inside(value) for key, value in component.items()}


def _inside(value: Any) -> Any:
    return _tight(value) if isinstance(value, str) and "{{" in value else value


def _tight(template: str) -> str:
    """A template without the spaces that Jinja does not need."""
    parts = re.split("('[^']*')", template)  # every second one is in quotes and stays as it is
    parts[::2] = [re.sub(r" ?(\{\{|\}\}|%\}|[{}\[\]()|~*=,:]) ?", r"\1", part) for part in parts[::2]]
    return "".join(parts)
