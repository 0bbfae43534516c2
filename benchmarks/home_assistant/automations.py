"""The automations of the trial: the shipped blueprints, and one that notes what they did."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from docs.tutorials import files

PAGE = Path(__file__).parents[2] / "docs/home-assistant.md"
BLUEPRINTS = Path(__file__).parents[2] / "edge/mqtt/home_assistant"
PHASES = ["start", "escalate", "end"]


def blueprints() -> list[Path]:
    """Those that are shipped."""
    return sorted(BLUEPRINTS.glob("*.yaml"))


def announcing(device: str) -> dict[str, Any]:
    """``announce.yaml`` for a device; what it says is the reason of an alert."""
    inputs = {
        "alert": f"event.{device}_alert",
        "speaker": "media_player.nobodys",
        "voice": "tts.nobodys",
        "phases": PHASES,
        "words": "{{ alert.reason }}",
    }
    # so many that none is held back however many come at once
    return _used("announce", device, inputs) | {"mode": "parallel", "max": 1000}


def after_two(device: str) -> dict[str, Any]:
    """``two_urgent.yaml`` for a device, with its own action."""
    return _used("two_urgent", device, {"alert": f"event.{device}_alert"})


def documented(device: str) -> dict[str, Any]:
    """An automation with the condition that the documentation has for those of one's own; it notes 'own' and why."""
    condition = yaml.safe_load(files(PAGE.read_text(encoding="utf-8"))["condition.yaml"])
    noted = {"action": "shell_command.ran", "data": {"what": "own {{ trigger.to_state.attributes.reason }}"}}
    return {
        "id": f"own_{device}",
        "alias": f"own_{device}",
        "mode": "parallel",
        "max": 1000,
        "triggers": [{"trigger": "state", "entity_id": f"event.{device}_alert"}],
        "conditions": condition,
        "actions": [noted],
    }


def noting() -> dict[str, Any]:
    """Writes down what is to be said; the speaker and the voice need not exist."""
    spoken = {"trigger": "event", "event_type": "call_service", "event_data": {"domain": "tts", "service": "speak"}}
    noted = {"action": "shell_command.ran", "data": {"what": "{{ trigger.event.data.service_data.message }}"}}
    return {
        "id": "noting",
        "alias": "noting",
        "mode": "parallel",
        "max": 1000,
        "triggers": [spoken],
        "actions": [noted],
    }


def _used(blueprint: str, device: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    name = f"{blueprint}_{device}"
    return {
        "id": name,
        "alias": name,
        "use_blueprint": {"path": f"evenkeel/{blueprint}.yaml", "input": dict(inputs)},
    }
