"""The numbers around alerts on a real broker: behind everything, in pieces that fit, once over after a reconnection."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import jsonschema

from benchmarks.messages import made_alert
from edge.compat import UTC
from edge.domain import EXPRESSIONS
from edge.mqtt.around import PIECE_BYTES, Around, Sample
from edge.mqtt.client import Publisher
from edge.mqtt.messages import EpisodeMessage, Topics
from edge.mqtt.piece_lane import MOST_SAMPLES, PieceLane
from edge.mqtt.schemas import schema_text
from edge.service.loop import board_stamp

if TYPE_CHECKING:
    from benchmarks.mosquitto import Mosquitto
    from tests.conftest import Subscriber

TOPICS = Topics("evenkeel", "van-7")
Publish = Callable[..., Publisher]
Subscribe = Callable[..., "Subscriber"]


def sample(number: int) -> Sample:
    """One that differs from the next."""
    return Sample(
        t=number / 2,
        signals={"anger": number % 101, "distress": None},
        levels={"anger": None, "distress": None},
        state="calm" if number % 7 else "warning",
        reason_code="",
        sight="face",
        expression=tuple((number + each) % 101 for each in range(len(EXPRESSIONS))),
        eyes=(100, None, number % 101),
        weight=100,
        speed_kmh=80.0 + number % 9,
    )


def around(count: int = 100, sequence: int = 4) -> Around:
    """What is around one alert."""
    return Around(
        id=UUID("01a1f96e-fe88-7cca-9ffd-2ef888df3838"),
        device_id="van-7",
        epoch=7,
        sequence=sequence,
        kind="anger",
        started=datetime(2026, 5, 4, 9, 30, tzinfo=UTC),
        began_t=30.0,
        thresholds={"anger": 0.6},
        samples=tuple(sample(number) for number in range(count)),
    )


def put_together(payloads: Iterable[bytes]) -> dict[int, tuple[float, int, str]]:
    """Of each sample its time, a signal and the state, as a receiver has them from pieces in whatever order."""
    found: dict[int, tuple[float, int, str]] = {}
    for payload in payloads:
        piece: dict[str, Any] = json.loads(payload)
        state = dict(piece["states"])
        now = ""
        for place, t_s in enumerate(piece["t_s"]):
            now = state.get(place, now)
            told = (t_s, piece["signal_percent"]["anger"][place], now)
            assert found.setdefault(piece["first"] + place, told) == told
    return found


def whole(count: int = 100) -> dict[int, tuple[float, int, str]]:
    return {n: (n / 2 - 30.0, n % 101, "calm" if n % 7 else "warning") for n in range(count)}


def test_pieces_are_of_the_contract_and_hold_every_sample(
    mosquitto: Mosquitto, publish_to: Publish, subscribe: Subscribe, until: Callable[..., None]
) -> None:
    desk = subscribe(mosquitto.port)
    publisher = publish_to(mosquitto.port)
    publisher.publish_around(around())
    topic = TOPICS.episode(7, 4)
    desk.wait_for(topic)
    until(lambda: len(put_together(desk.payloads(topic))) == 100, "every sample")
    assert put_together(desk.payloads(topic)) == whole()
    for payload in desk.payloads(topic):
        assert len(payload) <= PIECE_BYTES
        jsonschema.validate(json.loads(payload), json.loads(schema_text("episode")))
    sent = {(message.qos, message.retained) for message in desk.messages if message.topic == topic}
    assert sent == {(1, False)}
    assert (publisher.around_waiting, publisher.around_dropped) == (0, 0)


def test_alerts_go_first_and_none_waits_for_more_than_one_piece(
    mosquitto: Mosquitto, publish_to: Publish, subscribe: Subscribe, until: Callable[..., None]
) -> None:
    desk = subscribe(mosquitto.port)
    publisher = publish_to(mosquitto.port)
    desk.wait_for(TOPICS.availability)
    mosquitto.kill()
    until(lambda: not publisher.connected, "the loss of the broker")
    publisher.publish_around(around(40))
    for number in range(40):
        publisher.publish_alert(made_alert(board_stamp(), str(number)))
    mosquitto.start()
    late = subscribe(mosquitto.port)
    until(lambda: len(put_together(late.payloads(TOPICS.episode(7, 4)))) == 40, "every sample")
    order = [message.topic for message in late.messages if message.topic in (TOPICS.alert, TOPICS.episode(7, 4))]
    assert order[:40] == [TOPICS.alert] * 40

    publisher.publish_around(around(200, sequence=5))
    late.wait_for(TOPICS.episode(7, 5))
    publisher.publish_alert(made_alert(board_stamp(), "in between"))
    late.wait(lambda: any(b"in between" in each for each in late.payloads(TOPICS.alert)), "the alert")
    assert publisher.around_waiting == 1  # it has not waited for them


def test_after_a_lost_connection_what_the_broker_had_not_acknowledged_comes_again_and_no_more(
    mosquitto: Mosquitto, publish_to: Publish, subscribe: Subscribe, until: Callable[..., None]
) -> None:
    desk = subscribe(mosquitto.port)
    publisher = publish_to(mosquitto.port)
    publisher.publish_around(around(200))
    topic = TOPICS.episode(7, 4)
    desk.wait_for(topic, count=3)
    mosquitto.kill()
    until(lambda: not publisher.connected, "the loss of the broker")
    mosquitto.start()
    late = subscribe(mosquitto.port)
    until(lambda: not publisher.around_waiting, "the last piece")
    until(lambda: len(put_together([*desk.payloads(topic), *late.payloads(topic)])) == 200, "every sample")
    assert put_together([*desk.payloads(topic), *late.payloads(topic)]) == whole(200)
    assert min(put_together(late.payloads(topic))) > 0


def test_a_broker_that_takes_less_gets_smaller_pieces(
    make_mosquitto: Callable[..., Mosquitto], publish_to: Publish, subscribe: Subscribe, until: Callable[..., None]
) -> None:
    broker = make_mosquitto("allow_anonymous true\nmax_packet_size 1150")
    desk = subscribe(broker.port)
    publisher = publish_to(broker.port, discovery=False)
    publisher.publish_around(around(12))
    topic = TOPICS.episode(7, 4)
    until(lambda: put_together(desk.payloads(topic)) == whole(12), "every sample")
    assert max(map(len, desk.payloads(topic))) < 1150
    assert publisher.around_dropped == 0


def test_where_not_one_sample_fits_health_says_so_and_alerts_go_on(
    make_mosquitto: Callable[..., Mosquitto], publish_to: Publish, subscribe: Subscribe, until: Callable[..., None]
) -> None:
    broker = make_mosquitto("allow_anonymous true\nmax_packet_size 700")
    desk = subscribe(broker.port)
    publisher = publish_to(broker.port, discovery=False)
    publisher.publish_around(around(12))
    until(lambda: publisher.around_dropped == 1, "giving up")
    assert any("left out: the numbers around an alert" in problem for problem in publisher.problems)
    publisher.publish_alert(made_alert(board_stamp(), "a"))
    desk.wait_for(TOPICS.alert)
    assert desk.payloads(TOPICS.episode(7, 4)) == []


def test_a_broker_that_allows_the_topic_to_nobody_is_asked_once(
    make_mosquitto: Callable[..., Mosquitto],
    publish_to: Publish,
    subscribe: Subscribe,
    until: Callable[..., None],
    tmp_path: Any,
) -> None:
    acl = tmp_path / "acl"
    acl.write_text("topic readwrite #\ntopic deny evenkeel/+/episode/#\n")
    acl.chmod(0o600)
    broker = make_mosquitto(f"allow_anonymous true\nacl_file {acl}")
    desk = subscribe(broker.port)
    publisher = publish_to(broker.port, discovery=False, protocol="5")
    desk.wait_for(TOPICS.availability)
    for sequence in (4, 5):
        publisher.publish_around(around(40, sequence))
    until(lambda: publisher.around_dropped == 2, "giving up")
    assert any("refuses the numbers around alerts" in problem for problem in publisher.problems)
    publisher.publish_around(around(40, 6))
    publisher.publish_alert(made_alert(board_stamp(), "a"))
    desk.wait_for(TOPICS.alert)
    assert publisher.around_waiting == 0  # none that may be sent


def test_a_clean_stop_says_what_it_still_can(mosquitto: Mosquitto, publish_to: Publish, subscribe: Subscribe) -> None:
    desk = subscribe(mosquitto.port)
    publisher = publish_to(mosquitto.port)
    desk.wait_for(TOPICS.availability, b"online")
    publisher.publish_around(around(60))
    publisher.stop()
    desk.wait_for(TOPICS.availability, b"offline")
    assert len(put_together(desk.payloads(TOPICS.episode(7, 4)))) == 60


def test_the_same_samples_cut_otherwise_say_the_same() -> None:
    told = around(30)
    for cuts in ((30,), (1, 29), (7, 8, 15)):
        places = [sum(cuts[:place]) for place in range(len(cuts))]
        pieces = [told.cut(first, count, board_stamp()).payload() for first, count in zip(places, cuts, strict=True)]
        assert put_together(pieces) == whole(30)
        assert all(EpisodeMessage.model_validate_json(piece).total == 30 for piece in pieces)


def test_of_too_many_the_oldest_give_way() -> None:
    lane = PieceLane()
    each = around(400)
    for sequence in range(20):
        lane.put(replace(each, sequence=sequence))
    assert lane.waiting == MOST_SAMPLES // 400
    assert lane.dropped == 20 - lane.waiting
    found = lane.next(board_stamp(), lambda _around, _payload: True)
    assert found is not None
    assert found[0].sequence == lane.dropped
    lane.put(replace(each, sequence=99))  # the one under way gives way, and its acknowledgement comes late
    lane.passed()
    again = lane.next(board_stamp(), lambda _around, _payload: True)
    assert again is not None
    assert json.loads(again[1])["first"] == 0
