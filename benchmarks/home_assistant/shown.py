"""Whether Home Assistant shows a device as the device describes itself."""

from __future__ import annotations

import json
from typing import Any

from benchmarks.home_assistant.server import HomeAssistant
from edge.config import Config
from edge.mqtt.discovery import descriptions

ENTITIES = ("sensor", "binary_sensor", "button", "number", "event")
SHOWN = {"dev_cla": "device_class", "unit_of_meas": "unit_of_measurement", "ic": "icon", "stat_cla": "state_class"}


def entities(home: HomeAssistant) -> dict[str, dict[str, Any]]:
    """What the registry has of MQTT, by unique id."""
    registered = home.ask("config/entity_registry/list")
    return {one["unique_id"]: one for one in registered if one["platform"] == "mqtt"}


def described(config: Config) -> dict[str, dict[str, Any]]:
    """The entities of the device's own description, by unique id, with short keys."""
    told = [json.loads(one).get("cmps", {}) for one in descriptions(config, "0").values()]
    components = [one for part in told for one in part.values()]
    return {one["uniq_id"]: one for one in components if one["p"] in ENTITIES and "uniq_id" in one}


def triggers(home: HomeAssistant, device: str) -> set[tuple[str, str]]:
    """The device's own triggers: type and subtype."""
    found = home.ask("device_automation/trigger/list", device_id=device)
    return {(one["type"], one["subtype"]) for one in found if one["domain"] == "mqtt"}


def differences(home: HomeAssistant, config: Config) -> list[str]:
    """What Home Assistant shows otherwise than described, in a few words each."""
    wanted, found, states = described(config), entities(home), home.states()
    differ = [f"{key} is missing" for key in wanted.keys() - found.keys()]
    differ += [f"{key} is not described" for key in found.keys() - wanted.keys()]
    for key in wanted.keys() & found.keys():
        component, entry = wanted[key], found[key]
        pairs = [("name", component["name"], entry["original_name"])] if "name" in component else []
        pairs += [("category", component.get("ent_cat"), entry["entity_category"])]
        pairs += [("enabled", component.get("en", True), entry["disabled_by"] is None)]
        if entry["disabled_by"] is None:
            attributes = states.get(entry["entity_id"], {}).get("attributes", {})
            pairs += [
                (long, component[short], attributes.get(long)) for short, long in SHOWN.items() if short in component
            ]
        differ += [f"{key}: {what} is {is_!r}, described as {said!r}" for what, said, is_ in pairs if said != is_]
    return differ
