"""The last words of a device: what a stop ends is said before ``offline``, through the outbox like everything else."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from benchmarks.messages import made_alert
from edge.domain import Phase
from edge.mqtt.client import Publisher
from edge.mqtt.messages import Topics
from edge.service.loop import board_stamp

if TYPE_CHECKING:
    from benchmarks.mosquitto import Mosquitto
    from tests.conftest import Subscriber

TOPICS = Topics("evenkeel", "van-7")
WAITING = 25
"""More than any window takes at once."""


@pytest.mark.parametrize("in_flight", [20, 2])
def test_whatever_waits_is_said_before_offline(
    make_mosquitto: Callable[..., Mosquitto],
    subscribe: Callable[..., Subscriber],
    publish_to: Callable[..., Publisher],
    in_flight: int,
) -> None:
    broker = make_mosquitto(f"allow_anonymous true\nmax_inflight_messages {in_flight}")
    hears = subscribe(broker.port)
    publisher = publish_to(broker.port, discovery=False)
    hears.wait_for(TOPICS.availability, b"online")
    for number in range(WAITING):
        publisher.publish_alert(made_alert(board_stamp(), str(number)))
    publisher.publish_alert(made_alert(board_stamp(), "stopped", phase=Phase.END))
    assert publisher.stop()
    hears.wait_for(TOPICS.availability, b"offline")
    said = [message.topic for message in hears.messages]
    reasons = [json.loads(payload)["reason"] for payload in hears.payloads(TOPICS.alert)]
    assert reasons == [*map(str, range(WAITING)), "stopped"]
    assert hears.payloads(TOPICS.active("anger"))[-1] == b"OFF"
    assert said[-1] == TOPICS.availability
