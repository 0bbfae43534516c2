"""What the policies that are shipped for brokers in the cloud let a device do, each in its own language."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from paho.mqtt.client import topic_matches_sub

import edge.mqtt

CLOUD = Path(edge.mqtt.__file__).parent / "cloud"


@dataclass(frozen=True)
class Rights:
    """Whether a device of one name may do something; ``connect`` takes a client id, the others a topic or a filter."""

    connect: Callable[[str], bool]
    publish: Callable[[str], bool]
    retain: Callable[[str], bool]
    subscribe: Callable[[str], bool]
    will: bool = True


def aws(device: str) -> Rights:
    """By the statements of the policy; everything in it is ``Allow``."""
    statements = json.loads((CLOUD / "aws-policy.json").read_text())["Statement"]
    assert all(one["Effect"] == "Allow" for one in statements)

    def may(action: str, kind: str) -> Callable[[str], bool]:
        resources = [
            resource
            for one in statements
            if action in (one["Action"] if isinstance(one["Action"], list) else [one["Action"]])
            for resource in (one["Resource"] if isinstance(one["Resource"], list) else [one["Resource"]])
        ]
        named = [one.replace("${iot:Certificate.Subject.CommonName}", device).split(":", 5)[5] for one in resources]
        assert not any("$" in one for one in named)
        patterns = [re.compile(re.escape(one).replace(r"\*", ".*")) for one in named]
        return lambda name: any(pattern.fullmatch(f"{kind}/{name}") for pattern in patterns)

    conditions = [one.get("Condition") for one in statements if one["Action"] == "iot:Connect"]
    will = all(one == {"ForAllValues:StringEquals": {"iot:ConnectAttributes": ["LastWill"]}} for one in conditions)
    receive, subscribe = may("iot:Receive", "topic"), may("iot:Subscribe", "topicfilter")
    return Rights(
        connect=may("iot:Connect", "client"),
        publish=may("iot:Publish", "topic"),
        retain=may("iot:RetainPublish", "topic"),
        subscribe=lambda name: subscribe(name) and receive(name),
        will=will,
    )


def azure(device: str) -> Rights:
    """By the topic spaces and their bindings. Who connects is the namespace's affair; who publishes may retain."""
    resources = json.loads((CLOUD / "azure-event-grid.json").read_text())["resources"]

    def named(kind: str) -> dict[str, dict[str, object]]:
        found = [one for one in resources if one["type"] == f"Microsoft.EventGrid/namespaces/{kind}"]
        return {re.findall(r"/([\w-]+)'\)\]$", one["name"])[0]: one["properties"] for one in found}

    spaces, groups = named("topicSpaces"), named("clientGroups")

    def filters(permission: str) -> list[str]:
        bound = [one for one in named("permissionBindings").values() if one["permission"] == permission]
        assert all(one["clientGroupName"] in groups for one in bound)
        templates: list[str] = []
        for one in bound:
            space = spaces[str(one["topicSpaceName"])]["topicTemplates"]
            assert isinstance(space, list)
            assert len(space) <= 10, "a topic space holds ten templates"
            templates += space
        return [one.replace("${client.authenticationName}", device) for one in templates]

    publish = _any(filters("Publisher"))
    return Rights(lambda _: True, publish, publish, _any(filters("Subscriber")))


def emqx(device: str) -> Rights:
    """By the rules of the file, the first that matches; the last one refuses all that is left."""
    lines = (CLOUD / "emqx-acl.conf").read_text().splitlines()
    rules = [line for line in lines if not line.startswith("%%")]
    assert rules[-1] == "{deny, all}."
    parsed = [re.fullmatch(r'\{allow, all, (publish|subscribe), \["([^"]+)"\]\}\.', line) for line in rules[:-1]]
    allowed: dict[str, list[str]] = {"publish": [], "subscribe": []}
    for rule in parsed:
        assert rule is not None
        allowed[rule[1]].append(rule[2].replace("${username}", device))
    publish = _any(allowed["publish"])
    return Rights(lambda _: True, publish, publish, _any(allowed["subscribe"]))


def hivemq(device: str) -> Rights:
    """By the permissions of the role that the example's user has."""
    root = ET.parse(CLOUD / "hivemq-roles.xml").getroot()  # noqa: S314 - our own file
    roles = {role.findtext("id"): role for role in root.iterfind("roles/role")}
    (has,) = (one.text for one in root.iterfind("users/user/roles/id"))
    allowed: dict[str, list[str]] = {"PUBLISH": [], "SUBSCRIBE": []}
    for permission in roles[has].iterfind("permissions/permission"):
        topic = permission.findtext("topic", "").replace("${{username}}", device)
        allowed[permission.findtext("activity", "")].append(topic)
    publish = _any(allowed["PUBLISH"])
    return Rights(lambda _: True, publish, publish, _any(allowed["SUBSCRIBE"]))


def _any(filters: list[str]) -> Callable[[str], bool]:
    """Whether a topic, or all that a filter stands for, is among these."""
    assert not any("$" in one for one in filters)
    return lambda name: any(_covers(one, name) for one in filters)


def _covers(allowed: str, wanted: str) -> bool:
    """Whether every topic that ``wanted`` stands for matches ``allowed``."""
    if "#" in wanted and not allowed.endswith("#"):
        return False
    plain = wanted.replace("#", "x/y").replace("+", "x")
    if "+" in wanted and allowed.count("+") < wanted.count("+") and "#" not in allowed:
        return False
    return bool(topic_matches_sub(allowed, plain))


POLICIES: dict[str, Callable[[str], Rights]] = {"aws": aws, "azure": azure, "emqx": emqx, "hivemq": hivemq}
