"""Errands to the broker beside the service: send what waits in the outbox, remove the device from Home Assistant.

One connection that delivers a cargo, waits until the broker has acknowledged all of it, and leaves.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from edge.config import Config
from edge.errors import UnavailableError
from edge.mqtt.connect import Connector
from edge.mqtt.discovery import discovery_topic, part_topics
from edge.mqtt.extras import NONE, Extras, Reply
from edge.mqtt.messages import Topics
from edge.mqtt.names import client_id
from edge.mqtt.outbox import DAY_S, Outbox
from edge.mqtt.session import Answer, Delivery, Session, Wake


@dataclass(frozen=True, slots=True)
class Parcel:
    """A message of QoS 1 that is to be delivered."""

    delivery: Delivery
    payload: bytes
    retain: bool = False
    extras: Extras = NONE


class Cargo(Protocol):
    """What an errand delivers, in order."""

    def load(self, room: int) -> list[Parcel]:
        """The next messages, ``room`` at most; none when all were handed out."""

    def unload(self, delivered: list[Delivery]) -> None:
        """The broker has these."""


class Alerts:
    """The alerts in an outbox, each on the topic of the device that it is of, until the broker has it."""

    def __init__(self, outbox: Outbox, expires_s: int) -> None:
        self._outbox = outbox
        self._extras = Extras(expires_s)
        self._last = 0
        self.sent = 0

    def load(self, room: int) -> list[Parcel]:
        """The next alerts in order."""
        parcels = [
            Parcel(
                Delivery(Topics(waiting.prefix, waiting.device_id).alert, waiting.place),
                waiting.payload,
                extras=self._extras,
            )
            for waiting in self._outbox.waiting(self._last, room)
        ]
        if parcels:
            self._last = parcels[-1].delivery.place or self._last
        return parcels

    def unload(self, delivered: list[Delivery]) -> None:
        """Move what the broker has to the history."""
        self._outbox.delivered([delivery.place for delivery in delivered if delivery.place is not None])
        self.sent += len(delivered)


class Emptying:
    """An empty retained message on each topic, which has the broker forget what was there."""

    def __init__(self, topics: Iterable[str] = ()) -> None:
        self._left = list(topics)
        self.cleared = 0

    def add(self, topics: Iterable[str]) -> None:
        """Clear these as well."""
        self._left += topics

    def load(self, room: int) -> list[Parcel]:
        """The next topics."""
        taken, self._left = self._left[:room], self._left[room:]
        return [Parcel(Delivery(topic), b"", retain=True) for topic in taken]

    def unload(self, delivered: list[Delivery]) -> None:
        """The broker has forgotten these."""
        self.cleared += len(delivered)


class Errand:
    """Delivers a cargo over one connection. Used once.

    Raises:
        ConfigError: credentials or certificates cannot be used.
        UnavailableError: the broker is not there, lets nobody in or does not take a message.
    """

    def __init__(self, config: Config, environ: Mapping[str, str], name: str, cargo: Cargo) -> None:
        self._where = f"{config.mqtt.host}:{config.mqtt.port}"
        self._connector = Connector(config, environ, client_id=name, will=None, wake=Wake())
        self._cargo = cargo
        self._delivered: list[Delivery] = []
        self._complete = False
        self._refusal: str | None = None

    def run(self) -> None:
        """Connect, deliver, leave."""
        ending = self._connector.attempt(self)
        self._unload()
        if self._refusal is not None:
            raise UnavailableError(f"broker {self._where}: {self._refusal}")
        if not self._complete:
            raise UnavailableError(f"broker {self._where}: {ending.reason}")

    @property
    def stopping(self) -> bool:
        """Never asked to stop while it connects: a session's own patience ends that."""
        return False

    def established(self, session: Session) -> None:
        """The door is open; ``pump`` does the rest."""
        del session

    def pump(self, session: Session) -> None:
        """Send as far as the window allows; leave when all is acknowledged. A session waits for no answer for ever."""
        self._unload()
        parcels = [] if self._refusal else self._cargo.load(session.free)
        for parcel in parcels:
            self._send(session, parcel)
        if not parcels and not session.under_way:
            self._complete = self._refusal is None
            session.goodbye()

    def acknowledged(self, delivery: Delivery, answer: Answer) -> None:
        """Note what the broker has taken; an alert that nobody is subscribed to stays where it is."""
        if answer.refused:
            self._refusal = f"refuses {delivery.topic}: {answer.text}"
        elif answer.unheard and delivery.place is not None:
            self._refusal = f"nobody is subscribed to {delivery.topic}; start the receiver first"
        else:
            self._delivered.append(delivery)

    def _send(self, session: Session, parcel: Parcel) -> None:
        topic = parcel.delivery.topic
        if session.limits.allow(session.size(topic, parcel.payload, parcel.extras)):
            session.send(parcel.delivery, parcel.payload, retain=parcel.retain, extras=parcel.extras)
        else:
            self._refusal = str(session.limits.too_small_for(f"a message of {len(parcel.payload)} bytes"))

    def received(self, topic: str, payload: bytes, *, retained: bool, reply: Reply | None = None) -> None:
        """Nothing is subscribed to."""

    def _unload(self) -> None:
        if self._delivered:
            self._cargo.unload(self._delivered)
            self._delivered = []


def flush_outbox(config: Config, environ: Mapping[str, str], outbox: Outbox) -> int:
    """Send every waiting alert in order; return how many the broker took.

    The service's own client id is used: should the service start meanwhile, the broker lets it take this connection's
    place, and the alerts are sent by one of the two at a time.

    Raises:
        ConfigError, UnavailableError: as in ``Errand``; what was acknowledged by then is out of the outbox.
    """
    alerts = Alerts(outbox, math.ceil(config.outbox.max_age_days * DAY_S))
    Errand(config, environ, client_id(config), alerts).run()
    return alerts.sent


def remove_discovery(config: Config, environ: Mapping[str, str]) -> None:
    """Have Home Assistant forget the device: an empty retained message in place of each part of its description.

    Raises:
        ConfigError, UnavailableError: as in ``Errand``.
    """
    base = discovery_topic(config)
    Errand(config, environ, client_id(config, "discovery"), Emptying((*part_topics(base), base))).run()
