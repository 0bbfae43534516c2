"""The service's connection, rehearsed beside it: what the broker would refuse, before an alert depends on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from edge import __version__
from edge.config import Config
from edge.domain import Stamp
from edge.errors import UnavailableError
from edge.mqtt.connect import Connector
from edge.mqtt.discovery import descriptions
from edge.mqtt.extras import Reply
from edge.mqtt.limits import NO_WILL, Shortcoming
from edge.mqtt.messages import Topics, command_result
from edge.mqtt.names import client_id
from edge.mqtt.sending import filters
from edge.mqtt.session import Answer, Delivery, Session, Wake, Will

NAME = "doctor"
"""Client id and topic of the rehearsal: a command of this name is never sent, so nobody waits for its result."""

LEAST_BYTES = 2048
"""An alert or health with long reasons is about as large."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """How the broker took it. ``protocol``: the version of MQTT in words; ``largest``: of the message tried, bytes."""

    protocol: str
    largest: int
    shortcomings: tuple[Shortcoming, ...]


class Rehearsal:
    """Connects as the service does (last will, QoS 1, retained), under a client id and on a topic of its own.

    It subscribes to what the service subscribes to, publishes a message as large as the service's largest, retained,
    and takes it away again.
    """

    def __init__(self, config: Config, environ: Mapping[str, str], now: Stamp) -> None:
        self._config = config
        self._topic = Topics(config.mqtt.prefix, config.device.id).result(NAME)
        self._payload = _payload(config, now)
        self._connector = Connector(
            config,
            environ,
            client_id=client_id(config, NAME),
            will=Will(self._topic, b""),
            wake=Wake(),
        )
        self._steps: list[str] = []
        self._protocol = ""
        self._found: list[Shortcoming] = []
        self._complete = False

    def run(self) -> Verdict:
        """Do all of it.

        Raises:
            ConfigError: credentials or certificates cannot be used.
            UnavailableError: the broker is not there or lets nobody in.
        """
        ending = self._connector.attempt(self)
        if not ending.accepted:
            raise UnavailableError(f"broker {self._config.mqtt.host}:{self._config.mqtt.port}: {ending.reason}")
        if not self._complete:
            lost = ", ".join(sorted({one.topic for one in ending.under_way})) or "nothing"
            text = f"the connection ended while {lost} was on its way: {ending.reason}"
            self._found.append(Shortcoming("lost", text, "see the broker's log"))
        return Verdict(self._protocol, len(self._payload), tuple(self._found))

    @property
    def stopping(self) -> bool:
        """Never asked to stop: every wait of a session has a deadline."""
        return False

    def established(self, session: Session) -> None:
        """The door is open."""
        self._protocol = session.name
        self._found = session.limits.shortcomings() + ([NO_WILL] if session.will is None else [])
        self._steps = ["subscribe", "publish", "clear"]

    def pump(self, session: Session) -> None:
        """One step after the other."""
        if not session.idle:
            return
        if not self._steps:
            self._complete = True
            session.goodbye()
            return
        step = self._steps.pop(0)
        if step == "subscribe":
            session.subscribe(Delivery("the subscription to commands"), filters(self._config))
        elif step == "clear":
            session.send(Delivery(self._topic), b"", retain=True)
        elif session.limits.allow(session.size(self._topic, self._payload)):
            session.send(Delivery(self._topic), self._payload, retain=True)
        else:
            self._found.append(session.limits.too_small_for(f"a message of {len(self._payload)} bytes"))

    def acknowledged(self, delivery: Delivery, answer: Answer) -> None:
        """Note what the broker does not take."""
        if answer.refused:
            what, _, remedy = answer.text.partition("; ")
            text = f"the broker refuses {delivery.topic}: {what}"
            self._found.append(Shortcoming(delivery.topic, text, remedy))

    def received(self, topic: str, payload: bytes, *, retained: bool, reply: Reply | None = None) -> None:
        """A command is the service's affair."""


def _payload(config: Config, now: Stamp) -> bytes:
    """A result of no command, as large as the largest message that the service sends."""
    size = LEAST_BYTES
    if config.discovery.enabled:
        size = max(size, *(len(topic) + len(told) for topic, told in descriptions(config, __version__).items()))
    empty = len(command_result(now, NAME, ok=True, message="").payload())
    return command_result(now, NAME, ok=True, message="." * (size - empty)).payload()
