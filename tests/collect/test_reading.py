"""What a message says, or why it says nothing; no payload raises."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.collect.reading import (
    AlertSaid,
    AvailabilitySaid,
    ClearedSaid,
    Refused,
    ResendSaid,
    StatusSaid,
    filters,
    read,
)
from tests.collect.said import answer, payload

ALERT = "evenkeel/van-7/alert"


def reason(topic: str, said: bytes) -> str:
    reading = read(topic, said, retained=False)
    assert isinstance(reading, Refused), reading
    return reading.reason


def test_what_the_contract_says_is_read() -> None:
    alert = read(ALERT, payload("alert", sequence=3), retained=False)
    state = read("evenkeel/van-7/state", payload("state", sequence=4), retained=True)
    gone = read("evenkeel/van-7/command/resend/result", answer(7, 1, 3, newest=3), retained=False)

    assert isinstance(alert, AlertSaid)
    assert (alert.alert.epoch, alert.alert.sequence) == (7, 3)
    assert isinstance(state, StatusSaid)
    assert (state.epoch, state.sequence, state.sender.retained) == (7, 4, True)
    assert isinstance(gone, ResendSaid)
    assert isinstance(read("evenkeel/van-7/availability", b"offline", retained=False), AvailabilitySaid)


def test_cleared_topics_are_no_fault() -> None:
    availability = read("evenkeel/van-7/availability", b"", retained=False)

    assert isinstance(availability, AvailabilitySaid)
    assert availability.availability == "retired"
    for name in ("state", "health"):
        assert isinstance(read(f"evenkeel/van-7/{name}", b"", retained=False), ClearedSaid)


def test_unknown_kinds_and_keys_pass() -> None:
    alert = read(ALERT, payload("alert", kind="hunger_2", mood={"a": [1]}), retained=False)

    assert isinstance(alert, AlertSaid)
    assert alert.alert.kind == "hunger_2"
    assert '"mood"' in alert.payload


@pytest.mark.parametrize(
    ("topic", "said", "why"),
    [
        (ALERT, b"", "json"),
        (ALERT, b"\xff\xfe", "json"),
        (ALERT, b"[1]", "json"),
        (ALERT, b"[" * 50_000, "json"),
        (ALERT, b'{"schema": 2, "time": "\xff"}', "json"),
        (ALERT, b"{}", "schema"),
        (ALERT, payload("alert", schema=1), "schema"),
        (ALERT, payload("alert", schema=3), "schema"),
        (ALERT, payload("alert", schema="2"), "schema"),
        (ALERT, payload("alert", sequence=0), "invalid"),
        (ALERT, payload("alert", sequence=2**53), "invalid"),
        (ALERT, payload("alert", sequence=10**30), "invalid"),
        (ALERT, payload("alert", epoch=2**53), "invalid"),
        (ALERT, payload("alert", epoch=None), "invalid"),
        (ALERT, payload("alert", kind="An ger"), "invalid"),
        (ALERT, payload("alert", kind="anger\0"), "invalid"),
        (ALERT, payload("alert", level="mild"), "invalid"),
        (ALERT, payload("alert", score=float("nan")), "invalid"),
        (ALERT, payload("alert", time="2026-05-04T09:30:00"), "invalid"),
        (ALERT, payload("alert", time="0001-01-01T00:00:00+14:00"), "invalid"),
        (ALERT, payload("alert", started="9999-12-31T23:59:59-14:00"), "invalid"),
        (ALERT, payload("alert", device_id="van-8"), "device_id"),
        (ALERT, payload("alert", reason="x" * 70_000), "size"),
        ("evenkeel/van-7/state", payload("state", sequence=2**60), "invalid"),
        ("evenkeel/van-7/state", payload("state", state="merry"), "invalid"),
        ("evenkeel/van-7/availability", b"away", "availability"),
        ("evenkeel/van-7/command/resend/result", b'{"schema": 2}', "invalid"),
        ("evenkeel/van 7/alert", payload("alert", device_id="van 7"), "topic"),
        ("evenkeel//alert", payload("alert"), "topic"),
        ("evenkeel/van-7/mood", payload("alert"), "topic"),
        ("evenkeel/van-7", payload("alert"), "topic"),
        ("", b"", "topic"),
    ],
)
def test_what_breaks_the_contract_is_refused_with_its_reason(topic: str, said: bytes, why: str) -> None:
    assert reason(topic, said) == why


@given(st.binary(max_size=200), st.sampled_from(["alert", "state", "health", "availability", "command/resend/result"]))
def test_no_bytes_raise(said: bytes, name: str) -> None:
    read(f"evenkeel/van-7/{name}", said, retained=False)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(["epoch", "sequence", "time", "kind", "id", "models", "device_id"]), JSON))
def test_no_value_raises(changes: dict[str, Any]) -> None:
    read(ALERT, payload("alert", **changes), retained=False)


def test_alerts_are_kept_for_it_by_the_broker_and_states_are_not() -> None:
    assert filters(["evenkeel"], None) == {
        "evenkeel/+/alert": 1,
        "evenkeel/+/availability": 1,
        "evenkeel/+/command/resend/result": 1,
        "evenkeel/+/state": 0,
        "evenkeel/+/health": 0,
        "evenkeel/+/episode/+/+": 0,
    }
    assert set(filters(["a", "b"], "desk")) >= {"$share/desk/a/+/alert", "$share/desk/b/+/alert"}
