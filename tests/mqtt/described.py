"""A device's description with the keys' full names, as Home Assistant reads it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from edge.mqtt.discovery import MOVED

SHORT = {
    "atype": "automation_type",
    "avty": "availability",
    "avty_mode": "availability_mode",
    "cmd_t": "command_topic",
    "cmd_tpl": "command_template",
    "cmps": "components",
    "dev": "device",
    "dev_cla": "device_class",
    "en": "enabled_by_default",
    "ent_cat": "entity_category",
    "evt_typ": "event_types",
    "exp_aft": "expire_after",
    "hw": "hw_version",
    "ic": "icon",
    "ids": "identifiers",
    "json_attr_t": "json_attributes_topic",
    "json_attr_tpl": "json_attributes_template",
    "mdl": "model",
    "mf": "manufacturer",
    "o": "origin",
    "ops": "options",
    "opt": "optimistic",
    "p": "platform",
    "pl": "payload",
    "sn": "serial_number",
    "stat_cla": "state_class",
    "stat_t": "state_topic",
    "stype": "subtype",
    "sug_dsp_prc": "suggested_display_precision",
    "sw": "sw_version",
    "t": "topic",
    "uniq_id": "unique_id",
    "unit_of_meas": "unit_of_measurement",
    "val_tpl": "value_template",
}
"""Those of Home Assistant's abbreviations that are used; what is not among them stays as it is and is refused below."""

READS = ("sensor", "binary_sensor", "number", "event")


def in_full(messages: Mapping[str, bytes]) -> dict[str, Any]:
    """All parts of a description as one: what the first tells of the device, and each part's components."""
    told = [part_in_full(message) for message in messages.values() if message != MOVED]
    components = {key: one for part in told for key, one in part["components"].items()}
    assert len(components) == sum(len(part["components"]) for part in told), "a component stands in two parts"
    return {**told[0], "components": components}


def part_in_full(message: bytes) -> dict[str, Any]:
    """One message, each component with what it has from above."""
    told: dict[str, Any] = _with_long_keys(json.loads(message))
    for component in told["components"].values():
        if len(component) > 1:
            shared = ["state_topic"] if component["platform"] in READS else []
            shared += ["availability"] if component["platform"] != "device_automation" else []
            for key in shared:
                component.setdefault(key, told[key])
    return told


def _with_long_keys(value: Any) -> Any:
    if isinstance(value, list):
        return [_with_long_keys(one) for one in value]
    if isinstance(value, dict):
        return {SHORT.get(key, key): _with_long_keys(one) for key, one in value.items()}
    return value
