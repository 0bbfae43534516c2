"""JSON Schemas of the contract's payloads; ``make generate`` writes them to ``schemas/`` beside this."""

from __future__ import annotations

import json
from pathlib import Path

from edge.mqtt.messages import (
    AlertMessage,
    CommandResult,
    EpisodeMessage,
    HealthMessage,
    LiveMessage,
    Message,
    StateMessage,
)

FOLDER = Path(__file__).with_name("schemas")

MODELS: dict[str, type[Message]] = {
    "state": StateMessage,
    "alert": AlertMessage,
    "health": HealthMessage,
    "live": LiveMessage,
    "episode": EpisodeMessage,
    "command-result": CommandResult,
}


def schema_text(name: str) -> str:
    """The schema of one payload as its file holds it."""
    schema = MODELS[name].model_json_schema(mode="serialization")
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return json.dumps(head | schema, indent=2) + "\n"
