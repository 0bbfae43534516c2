"""What comes over a connection: many messages at once, in pieces, or together with its end."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from edge.config import Config
from edge.mqtt.connect import Connector
from edge.mqtt.extras import Reply
from edge.mqtt.session import READ_BYTES, TAKES, Answer, Delivery, Ending, Session, Wake
from tests.mqtt.scripted import PUBLISH, ScriptedBroker, disconnect, message

if TYPE_CHECKING:
    from tests.mqtt.conftest import Certificates

TOPIC = "evenkeel/van-7/state"
BURST = 400
FOR_EVER_S = 1e6

Until = Callable[..., None]


class Listener:
    """A connection in a thread of its own; what comes is noted."""

    def __init__(self, port: int, gather_s: float, tls: Mapping[str, Any]) -> None:
        self.came: list[bytes] = []
        self.turns = [0]
        self.slow_s = 0.0
        self.to_say: list[str] = []
        self.stands = threading.Event()
        self.stopping = False
        self.wake = Wake()
        self.ending: Ending | None = None
        config = Config.model_validate({"mqtt": {"host": "127.0.0.1", "port": port, "tls": tls}})
        self._connector = Connector(config, {}, client_id="listener", will=None, wake=self.wake, gather_s=gather_s)
        self._thread = threading.Thread(target=self._main, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End it."""
        self.stopping = True
        self.wake.set()
        self._thread.join(5.0)
        assert not self._thread.is_alive()

    def _main(self) -> None:
        self.ending = self._connector.attempt(self)

    def established(self, session: Session) -> None:
        """It stands."""
        del session
        self.stands.set()

    def pump(self, session: Session) -> None:
        """Say what is to be said; note how much had come."""
        self.turns.append(len(self.came))
        if self.stopping:
            session.goodbye()
            return
        while self.to_say:
            session.send(Delivery(self.to_say.pop()), b"", retain=False)

    def acknowledged(self, delivery: Delivery, answer: Answer) -> None:
        """Of no concern."""

    def received(self, topic: str, payload: bytes, *, retained: bool, reply: Reply | None = None) -> None:
        """Note it."""
        assert (topic, retained, reply) == (TOPIC, False, None)
        self.came.append(payload)
        time.sleep(self.slow_s)


@contextmanager
def listening(gather_s: float, tls: Certificates | None = None) -> Iterator[tuple[ScriptedBroker, Listener]]:
    """A broker and who listens to it."""
    context = None
    if tls is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tls.server, tls.folder / "server.key")
    with ScriptedBroker(tls=context) as broker:
        listener = Listener(broker.port, gather_s, {"enabled": True, "ca_file": tls.ca} if tls else {})
        try:
            assert listener.stands.wait(10.0)
            yield broker, listener
        finally:
            listener.close()


def numbered(count: int) -> list[bytes]:
    """Payloads of many lengths."""
    return [b"%d%s" % (number, b"x" * (number % 60)) for number in range(count)]


@pytest.mark.parametrize("gather_s", [0.0, 0.02])
def test_each_of_many_messages_that_come_at_once_arrives_once_and_in_order(until: Until, gather_s: float) -> None:
    with listening(gather_s) as (broker, listener):
        broker.send_all(TOPIC, numbered(BURST))
        until(lambda: len(listener.came) >= BURST, "the burst")
        assert listener.came == numbered(BURST)


def test_of_what_comes_in_many_records_of_tls_none_waits_for_another_gathering(
    until: Until, certificates: Certificates
) -> None:
    with listening(0.4, certificates) as (broker, listener):
        for payload in numbered(BURST):  # each in a record of its own, as brokers send them
            broker.send(TOPIC, payload)
        until(lambda: len(listener.came) >= BURST, "the burst")
        assert listener.came == numbered(BURST)


@pytest.mark.parametrize("gather_s", [0.0, 0.02])
def test_a_message_that_comes_in_two_pieces_is_read_when_it_is_whole(until: Until, gather_s: float) -> None:
    with listening(gather_s) as (broker, listener):
        broker.send_all(TOPIC, numbered(9), left_out=5)
        until(lambda: len(listener.came) == 8, "all but the last")
        broker.send_rest()
        until(lambda: len(listener.came) == 9, "the last")
        assert listener.came == numbered(9)


@pytest.mark.parametrize("gather_s", [0.0, 0.02])
def test_where_more_comes_than_can_be_dealt_with_others_have_their_turn(until: Until, gather_s: float) -> None:
    flood = [b"x" * 90] * 4000
    with listening(gather_s) as (broker, listener):
        listener.slow_s = 0.0002
        broker.send_all(TOPIC, flood)
        until(lambda: len(listener.came) == len(flood), "the flood")
        until(lambda: listener.turns[-1] == len(flood), "the last turn")
        assert max(b - a for a, b in pairwise(listener.turns)) <= TAKES * READ_BYTES / len(message(TOPIC, flood[0])) + 1


def test_an_end_without_a_word_ends_it_behind_what_came(until: Until, certificates: Certificates) -> None:
    for tls in (None, certificates):
        with listening(0.02, tls) as (broker, listener):
            broker.send_all(TOPIC, numbered(9), left_out=5)
            broker.cut()
            until(lambda: listener.ending is not None, "the end")
            assert listener.came == numbered(8)


def test_what_came_with_the_end_of_the_connection_is_handed_on_and_the_reason_told(until: Until) -> None:
    with listening(0.02) as (broker, listener):
        broker.send_all(TOPIC, numbered(9), behind=disconnect(0x8B) + b"\xff" * 40)
        until(lambda: listener.ending is not None, "the end")
        assert listener.came == numbered(9)
        assert listener.ending is not None
        assert listener.ending.code == 0x8B


def test_what_is_to_be_sent_does_not_wait_for_the_next_read(until: Until) -> None:
    with listening(FOR_EVER_S) as (broker, listener):
        listener.to_say.append("evenkeel/van-7/command/pause")
        listener.wake.set()
        until(lambda: any(one.kind == PUBLISH for one in broker.received), "the message")
