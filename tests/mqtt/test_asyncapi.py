"""The AsyncAPI document says what the contract's page, its schemas and the shipped access lists say."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from paho.mqtt.client import topic_matches_sub

import edge.mqtt
from edge.mqtt.asyncapi import FILE, PARAMETERS, asyncapi_text
from edge.mqtt.channels import Channel, Role, channels
from edge.mqtt.commands import PAYLOADS
from edge.mqtt.messages import COMMANDS

FOLDER = Path(edge.mqtt.__file__).parent
README = (FOLDER / "README.md").read_text()
DOCUMENT: dict[str, Any] = json.loads(FILE.read_text())
CHANNELS = channels()
OURS = {
    "prefix": "evenkeel",
    "device_id": "van-7",
    "discovery_prefix": "homeassistant",
    "word": "van-7",
    "part": "health",
}
USERS = {
    ("fleet.acl", "fleet-operator"): Role.OPERATOR,
    ("fleet.acl", "fleet-collector"): Role.COLLECTOR,
    ("fleet.acl", "fleet-reader"): Role.READER,
    ("fleet.acl", "fleet-dashboard"): Role.DASHBOARD,
    ("vehicle.acl", "dashboard"): Role.DASHBOARD,
    ("vehicle.acl", "homeassistant"): Role.HOME_ASSISTANT,
    ("vehicle.acl", "collector"): Role.COLLECTOR,
    ("vehicle.acl", "evenkeel"): Role.DEVICE,
    ("fleet.acl", "%u"): Role.DEVICE,
}


def topic(channel: Channel) -> str:
    return channel.topic.format(**OURS, kind="anger", name="desk", epoch="7", sequence="1")


def granted(file: str, user: str) -> dict[str, list[str]]:
    """What a list lets a user write and read; the patterns are those of ``%u``."""
    rights: dict[str, list[str]] = {"write": [], "read": []}
    now = "%u"
    for line in (FOLDER / "mosquitto" / file).read_text().splitlines():
        words = line.split()
        if line.startswith("user "):
            now = words[1]
        elif words and words[0] in ("topic", "pattern") and now == user:
            for right, filters in rights.items():
                if right in words[1]:
                    filters.append(words[2].replace("%u", OURS["device_id"]))
    return rights


def allowed(rights: list[str], channel: Channel) -> bool:
    return any(topic_matches_sub(one, topic(channel)) for one in rights)


def test_the_document_has_the_topics_of_the_page_with_their_qos_and_retain() -> None:
    rows = re.findall(r"^\| `([^`]+)` \| ([012]) \| (yes|no) \|", README, re.MULTILINE)
    page = {name: (int(qos), retained == "yes") for name, qos, retained in rows}
    sent = {}
    for channel in CHANNELS:
        if channel.from_device and channel.name != "reply":
            place = channel.topic.replace("{discovery_prefix}", "homeassistant")
            place = re.sub(r"command/\w+/result", "command/<name>/result", place)
            sent[re.sub(r"\{(\w+)\}", r"<\1>", place)] = (channel.qos, channel.retained)
    assert sent == page
    for channel in CHANNELS:
        operation = next(
            one for one in DOCUMENT["operations"].values() if one["channel"]["$ref"].endswith(f"/{channel.name}")
        )
        assert (operation["action"] == "send") == channel.from_device
        assert operation["bindings"]["mqtt"]["qos"] == channel.qos
        assert operation["bindings"]["mqtt"]["retain"] == channel.retained


def test_each_command_of_the_page_is_there_with_its_answer() -> None:
    page = re.search(r"^## Commands\n(.*?)\n\n[^|]", README, re.DOTALL | re.MULTILINE)
    assert page is not None
    assert set(re.findall(r"^\| `(\w+)` \|", page[1], re.MULTILINE)) == set(COMMANDS) == set(PAYLOADS)
    for name in COMMANDS:
        taken = DOCUMENT["operations"][f"take{name.title()}"]
        assert taken["reply"]["channel"]["$ref"] == f"#/channels/{name}Result"
        assert DOCUMENT["channels"][f"{name}Result"]["address"].endswith(f"/command/{name}/result")


def test_every_place_in_a_topic_is_explained() -> None:
    for channel in DOCUMENT["channels"].values():
        assert set(re.findall(r"\{(\w+)\}", channel["address"])) == set(channel["parameters"]) <= set(PARAMETERS)


@pytest.mark.parametrize("name", ["state", "alert", "health", "live", "episode", "command-result"])
def test_what_the_page_shows_satisfies_the_document(name: str) -> None:
    shown = re.search(rf"<!-- example: {name} -->\n```json\n(.*?)```", README, re.DOTALL)
    assert shown is not None
    channel = {"command-result": "resendResult", "live": "liveFrame"}.get(name, name)
    payload = DOCUMENT["channels"][channel]["messages"][channel]["payload"]
    validator = jsonschema.Draft202012Validator(DOCUMENT | payload)
    validator.validate(json.loads(shown[1]))
    assert not validator.is_valid({})


@pytest.mark.parametrize(
    ("command", "good", "bad"),
    [
        ("pause", {"seconds": 600, "id": "a1"}, {}),
        ("resend", {"epoch": 1860612453662310, "from": 1, "to": 4}, {"epoch": 1}),
        ("live", {"seconds": 60}, {"seconds": 61}),
        ("acknowledge", {"kind": "fatigue"}, {"kind": 3}),
        ("resume", {}, {"seconds": 4}),
    ],
)
def test_a_command_s_payload_is_described(command: str, good: dict[str, Any], bad: dict[str, Any]) -> None:
    payload = DOCUMENT["channels"][command]["messages"][command]["payload"]
    validator = jsonschema.Draft202012Validator(DOCUMENT | payload)
    validator.validate(good)
    assert not validator.is_valid(bad)


@pytest.mark.parametrize(("file", "user"), USERS)
def test_the_shipped_lists_let_each_role_do_what_the_document_says(file: str, user: str) -> None:
    role, rights = USERS[file, user], granted(file, user)
    for channel in CHANNELS:
        if file == "fleet.acl" and "{discovery_prefix}" in channel.topic:
            continue  # a fleet's broker has no use for Home Assistant
        assert allowed(rights["write"], channel) == (role in channel.writes), f"{user} writes {channel.name}"
        if role in channel.reads:
            assert allowed(rights["read"], channel), f"{user} reads {channel.name}"


def test_the_file_is_what_the_code_makes() -> None:
    assert FILE.read_text() == asyncapi_text(), "run make generate"
