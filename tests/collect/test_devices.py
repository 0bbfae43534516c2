"""The collector and the real device: what only the broker has had comes again from the device's own history."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from benchmarks.messages import made_alert, made_state
from benchmarks.mosquitto import Mosquitto
from edge.mqtt.outbox.epochs import RANDOM_BITS
from edge.service.loop import board_stamp

if TYPE_CHECKING:
    from edge.mqtt.client import Publisher
    from tests.collect.conftest import Running, Until

PublishTo = Callable[..., "Publisher"]
RunCollector = Callable[..., "Running"]


def decide(publisher: Publisher, count: int) -> None:
    for _ in range(count):
        publisher.publish_alert(made_alert(board_stamp()))
    publisher.publish_state(made_state(board_stamp(), newest=publisher.newest))


def test_what_the_broker_has_forgotten_comes_from_the_device(
    mosquitto: Mosquitto, run_collector: RunCollector, publish_to: PublishTo, until: Until
) -> None:
    publisher = publish_to(mosquitto.port, protocol="3.1.1")  # in which a broker does not say that nobody listens
    decide(publisher, 5)
    until(lambda: publisher.connected and publisher.outbox_health().depth == 0, "the broker's acknowledgements")
    running = run_collector(mosquitto.port)

    until(lambda: [sequence for _, sequence in running.kept()] == [1, 2, 3, 4, 5], "five alerts", 30)
    mosquitto.kill()
    mosquitto.start()  # it has kept nothing, no session either
    decide(publisher, 3)
    until(lambda: sorted(sequence for _, sequence in running.kept()) == [*range(1, 9)], "three more", 30)


def test_a_device_whose_outbox_is_begun_anew_is_asked_for_the_end_of_the_old_one(
    mosquitto: Mosquitto, run_collector: RunCollector, publish_to: PublishTo, until: Until
) -> None:
    running = run_collector(mosquitto.port)
    first = publish_to(mosquitto.port)
    decide(first, 2)
    until(lambda: len(running.kept()) == 2, "the first outbox's alerts")
    first.stop()
    until(lambda: int(time.time()) > first.newest.epoch >> RANDOM_BITS, "another second, as epochs are made of")
    second = publish_to(mosquitto.port)  # with an outbox of its own
    decide(second, 1)
    until(lambda: len(running.kept()) == 3, "the second outbox's alert")

    until(lambda: running.ended()[first.newest.epoch] == "unknown", "its answer", 30)
    assert running.ended()[second.newest.epoch] is None
    assert running.kept()[-1] == (second.newest.epoch, 1)
