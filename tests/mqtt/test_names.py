"""One device, one word: no two devices share a topic, an entity or a place at the broker."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.config import Config
from edge.mqtt.discovery import MOVED, descriptions
from edge.mqtt.names import DEFAULT_PREFIX, LONGEST, client_id, device_word

Name = tuple[str, str]
PARTS = st.text("ab1_.-", min_size=1, max_size=6) | st.sampled_from([DEFAULT_PREFIX, "van.7", "van_7", "p", "h"])
NAMES = st.tuples(PARTS, PARTS)


def config_of(name: Name) -> Config:
    prefix, device_id = name
    return Config.model_validate({"device": {"id": device_id}, "mqtt": {"prefix": prefix}})


def ids_of(name: Name) -> set[str]:
    """All by which Home Assistant tells a device and its entities."""
    config = config_of(name)
    messages = descriptions(config, "0")
    told = [json.loads(message) for message in messages.values() if message != MOVED]
    shown = [one for part in told for one in part["cmps"].values() if one["p"] != "device_automation"]
    entities = {component["uniq_id"] for component in shown}
    assert len(entities) == len(shown)
    return {*messages, *(word for part in told for word in part["dev"]["ids"]), *entities}


def places_of(name: Name) -> set[str]:
    config = config_of(name)
    return {client_id(config), *(client_id(config, errand) for errand in ("doctor", "discovery", "retire"))}


@given(NAMES, NAMES)
def test_two_names_never_share_a_word(one: Name, other: Name) -> None:
    assert (device_word(*one) == device_word(*other)) == (one == other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("evenkeel", "van.7"), ("evenkeel", "van_7")),
        (("evenkeel", "van-7"), ("fleet", "van-7")),
        (("a-b", "c"), ("a", "b-c")),
        (("a_b", "c"), ("a", "b_c")),
        (("evenkeel", "van-7"), ("evenkeel", "van-7-doctor")),
        (("evenkeel", "a" * 63 + "b"), ("fleet", "a" * 63 + "b")),
        (("x" * 64, "a" * 63 + "b"), ("x" * 64, "a" * 63 + "c")),
    ],
)
def test_two_devices_share_nothing_in_home_assistant_and_nothing_at_the_broker(one: Name, other: Name) -> None:
    assert not ids_of(one) & ids_of(other)
    assert not places_of(one) & places_of(other)


@given(NAMES)
def test_a_word_has_only_what_home_assistant_takes_in_a_topic(name: Name) -> None:
    assert re.fullmatch(r"[a-zA-Z0-9_-]+", device_word(*name))


def test_a_word_stays_short() -> None:
    assert len(device_word("p" * 64, "_" * 64)) <= LONGEST


def test_an_ordinary_name_is_its_own_word() -> None:
    assert Config().mqtt.prefix == DEFAULT_PREFIX
    assert device_word(DEFAULT_PREFIX, "van-7") == "van-7"
    assert client_id(config_of((DEFAULT_PREFIX, "van-7"))) == "evenkeel-van-7"
