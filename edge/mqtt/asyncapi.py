"""The contract as an AsyncAPI 3 document, made of the same models as the JSON Schemas; ``make generate`` writes it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from edge.mqtt.channels import ROLES, Channel, channels
from edge.mqtt.commands import MAX_CORRELATION_BYTES, MAX_REPLY_TOPIC, PAYLOADS
from edge.mqtt.extras import JSON
from edge.mqtt.messages import COMMANDS, SCHEMA_VERSION
from edge.mqtt.schemas import MODELS

FILE = Path(__file__).with_name("asyncapi.json")

SPECIFICATION = "3.0.0"
BINDING = "0.2.0"
"""Version of AsyncAPI's bindings for MQTT."""

PARAMETERS = {
    "prefix": {"description": "`mqtt.prefix`: letters, digits, `_`, `.` and `-`.", "default": "evenkeel"},
    "device_id": {"description": "`device.id`, by default the host's name: letters, digits, `_`, `.` and `-`."},
    "kind": {"description": "A kind of alert. More may come: pass over those that are not known."},
    "epoch": {"description": "Epoch of the alert that began the episode."},
    "sequence": {"description": "Its number in that epoch."},
    "name": {"description": "Whatever the sender of a command chooses."},
    "word": {"description": "The device's prefix and id as one word; the part after `evenkeel-` of its client id."},
    "part": {
        "description": "What of the device is described: `driver`, `kind-<kind>`, `readings`, `controls`, `health`."
    },
    "discovery_prefix": {"description": "`discovery.prefix`.", "default": "homeassistant"},
}
ABOUT = """What Evenkeel says and takes over MQTT. Written from the device's side: it sends what has the action `send`.
Topics, keys, commands and kinds may be added within version 2; a reader passes over what it does not know. No key is
removed or given another meaning without another number in `schema`.

Roles for the broker's access lists:
"""


def asyncapi_text() -> str:
    """The document as its file holds it."""
    return json.dumps(document(), indent=2, ensure_ascii=False) + "\n"


def document() -> dict[str, Any]:
    """The whole document. Each channel carries in ``x-access`` who may write and read it."""
    all_channels = channels()
    return {
        "asyncapi": SPECIFICATION,
        "info": {
            "title": "Evenkeel: alerts of a driver monitor over MQTT",
            "version": f"{SCHEMA_VERSION}",
            "description": ABOUT + "\n".join(f"- `{role}`: {words}" for role, words in ROLES.items()),
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": JSON,
        "servers": {"broker": _server()},
        "channels": {channel.name: _channel(channel) for channel in all_channels},
        "operations": {_operation_name(channel): _operation(channel) for channel in all_channels},
        "components": {
            "schemas": _schemas(),
            "securitySchemes": {
                "password": {"type": "userPassword", "description": "`mqtt.username` and `mqtt.password_file`."},
                "certificate": {"type": "X509", "description": "`mqtt.tls.cert_file` and `mqtt.tls.key_file`."},
            },
        },
    }


def _server() -> dict[str, Any]:
    return {
        "host": "{host}:{port}",
        "protocol": "mqtt",
        "protocolVersion": "5.0",
        "description": "MQTT 5, or 3.1.1 where the broker does not speak 5; with TLS where `mqtt.tls.enabled`.",
        "variables": {
            "host": {"description": "`mqtt.host`.", "default": "localhost"},
            "port": {"description": "`mqtt.port`.", "default": "1883"},
        },
        "security": [{"$ref": f"#/components/securitySchemes/{name}"} for name in ("password", "certificate")],
        "bindings": {
            "mqtt": {
                "clientId": "evenkeel-{word}",
                "cleanSession": True,
                "sessionExpiryInterval": 0,
                "lastWill": {
                    "topic": "{prefix}/{device_id}/availability",
                    "qos": 1,
                    "message": "offline",
                    "retain": True,
                },
                "bindingVersion": BINDING,
            }
        },
    }


def _channel(channel: Channel) -> dict[str, Any]:
    made: dict[str, Any] = {
        "address": channel.topic,
        "description": channel.about,
        "messages": {channel.name: _message(channel)},
        "x-access": {"write": list(channel.writes), "read": list(channel.reads)},
    }
    places = {name: about for name, about in PARAMETERS.items() if "{" + name + "}" in channel.topic}
    return made | {"parameters": places}


def _message(channel: Channel) -> dict[str, Any]:
    words = not isinstance(channel.message, str)
    binding: dict[str, Any] = {"bindingVersion": BINDING}
    if not words and channel.from_device:
        binding |= {"payloadFormatIndicator": 1, "contentType": JSON}
    if channel.message in COMMANDS and not channel.from_device:
        binding |= {
            "responseTopic": {"type": "string", "maxLength": MAX_REPLY_TOPIC},
            "correlationData": {"type": "string", "maxLength": MAX_CORRELATION_BYTES},
        }
    if channel.message == "command-result":
        binding["correlationData"] = {"type": "string", "description": "As the command carried it."}
    return {
        "name": channel.name,
        "contentType": "text/plain" if words else JSON,
        "payload": _payload(channel),
        "bindings": {"mqtt": binding},
    }


def _payload(channel: Channel) -> dict[str, Any]:
    message = channel.message
    if not isinstance(message, str):
        return {"type": "string", "enum": list(message)}
    model: type[BaseModel] | None = MODELS.get(message) if channel.from_device else PAYLOADS.get(message)
    if model is None:
        return {"type": "object"}
    return {"$ref": f"#/components/schemas/{_name(model)}"}


def _operation_name(channel: Channel) -> str:
    return f"{'send' if channel.from_device else 'take'}{channel.name[0].upper()}{channel.name[1:]}"


def _operation(channel: Channel) -> dict[str, Any]:
    reference = f"#/channels/{channel.name}"
    binding: dict[str, Any] = {"qos": channel.qos, "retain": channel.retained, "bindingVersion": BINDING}
    made: dict[str, Any] = {
        "action": "send" if channel.from_device else "receive",
        "channel": {"$ref": reference},
        "summary": channel.about,
        "messages": [{"$ref": f"{reference}/messages/{channel.name}"}],
    }
    if channel.name in COMMANDS:
        answer = f"#/channels/{channel.name}Result"
        made["reply"] = {
            "channel": {"$ref": answer},
            "messages": [{"$ref": f"{answer}/messages/{channel.name}Result"}],
        }
    return made | {"bindings": {"mqtt": binding}}


def _schemas() -> dict[str, Any]:
    modes: list[tuple[type[BaseModel], JsonSchemaMode]] = [(model, "serialization") for model in MODELS.values()]
    modes += [(model, "validation") for model in _distinct(PAYLOADS)]
    _, made = models_json_schema(modes, ref_template="#/components/schemas/{model}")
    schemas: dict[str, Any] = made["$defs"]
    return schemas


def _distinct(models: Mapping[str, type[BaseModel]]) -> list[type[BaseModel]]:
    return list(dict.fromkeys(models.values()))


def _name(model: type[BaseModel]) -> str:
    return model.__name__
