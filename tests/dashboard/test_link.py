"""What the dashboard sends to the broker, and what it does not any more."""

from __future__ import annotations

from typing import Any, cast

import pytest

from edge.config import Config
from edge.dashboard.link import Link
from edge.mqtt.messages import CommandName
from edge.mqtt.session import Session


class Broker:
    """A session that notes what is sent."""

    idle = False

    def __init__(self) -> None:
        self.sent: list[str] = []

    def send(self, delivery: Any, *_: Any, **__: Any) -> None:
        """Note the topic."""
        self.sent.append(delivery.topic)


@pytest.mark.parametrize("given_up", [True, False])
def test_a_command_whose_sender_was_told_that_nothing_answered_is_not_sent_later(given_up: bool) -> None:  # noqa: FBT001
    link = Link(Config(), {}, received=lambda *_: None, linked=lambda *_: None)
    answer = link.command("van-7", CommandName.PAUSE, {"seconds": 600.0})
    if given_up:
        answer.cancel()
    broker = Broker()
    link.pump(cast("Session", broker))
    assert len(broker.sent) == (not given_up)
