"""The publisher: what the service says, brought to the broker and kept there, whatever the network does.

The service's thread only stores (alerts in the outbox, everything else in slots that hold the newest value) and never
waits for the network. One thread of the publisher's own connects, sends, and connects again.
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable, Mapping
from types import TracebackType

from edge.compat import Self
from edge.config import Config
from edge.domain import Phase, Stamp
from edge.mqtt.around import Around
from edge.mqtt.commands import Budgets, Command, RateLimit
from edge.mqtt.connect import Connector
from edge.mqtt.extras import Reply
from edge.mqtt.messages import (
    AlertMessage,
    HealthMessage,
    LiveMessage,
    Newest,
    OutboxPart,
    StateMessage,
    Topics,
    command_result,
)
from edge.mqtt.names import client_id
from edge.mqtt.outbox import Outbox
from edge.mqtt.sending import OFF, OFFLINE, ON, Sending
from edge.mqtt.session import Answer, Delivery, Ending, Session, Wake, Will

_log = logging.getLogger(__name__)

STOP_S = 0.9

STEADY_S = 10.0
"""A connection that lasted this long was a good one: the next pause is the shortest again."""


class Publisher:
    """Publishes state, alerts and health, and receives commands. ``clock`` reads the board's clocks.

    Set the first state with ``publish_state`` before ``start``, so that no retained state of an earlier run is taken
    for the present one. Usable as a context manager that starts and stops.

    Raises:
        ConfigError: credentials or certificates are missing, unreadable, or would be sent in the clear.
    """

    def __init__(
        self,
        config: Config,
        outbox: Outbox,
        *,
        clock: Callable[[], Stamp],
        environ: Mapping[str, str],
        chance: random.Random | None = None,
        command_limit: RateLimit | None = None,
    ) -> None:
        self._mqtt = config.mqtt
        self._outbox = outbox
        self._clock = clock
        self._chance = chance or random.Random()  # noqa: S311 - for pauses, not for secrets
        self._topics = Topics(config.mqtt.prefix, config.device.id)
        self._wake = Wake()
        self._connector = Connector(
            config,
            environ,
            client_id=client_id(config),
            will=Will(self._topics.availability, OFFLINE),
            wake=self._wake,
        )
        self._sending = Sending(
            config,
            outbox,
            clock=clock,
            chance=self._chance,
            wake=self._wake.set,
            budgets=Budgets(command_limit),
        )
        self._stopping = threading.Event()
        self._hurry = threading.Event()
        self._thread = threading.Thread(target=self._main, name="mqtt", daemon=True)
        self._problem: str | None = "not connected yet"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Begin to connect; returns at once, whether there is a broker or not."""
        self._thread.start()

    def stop(self) -> bool:
        """Publish ``offline``, disconnect, and return within STOP_S; False where the network did not let it finish."""
        self._stopping.set()
        self._sending.stop()
        self._hurry.set()
        self._thread.join(STOP_S)
        return not self._thread.is_alive()

    @property
    def connected(self) -> bool:
        """Whether the broker has accepted the connection."""
        return self._sending.connected

    @property
    def problem(self) -> str | None:
        """Why there is no connection, in one line; None while there is one."""
        return self._problem

    @property
    def problems(self) -> tuple[str, ...]:
        """All that is wrong with the way to the broker and its receivers, one line each; none when nothing is."""
        problem = self._problem
        return (*((problem,) if problem else ()), *self._sending.notices.texts)

    @property
    def newest(self) -> Newest:
        """The newest alert that was decided."""
        return self._outbox.newest

    def outbox_health(self) -> OutboxPart:
        """The outbox as health tells it, what is too old given up."""
        self._outbox.expire(self._clock())
        return self._outbox.health()

    def publish_state(self, message: StateMessage) -> None:
        """Say the state; while the broker is away only the newest counts."""
        self._sending.fill(self._topics.state, message.payload())

    def publish_alert(self, message: AlertMessage) -> AlertMessage:
        """Store an alert durably, give it its epoch and sequence number, and send it as soon as there is a broker."""
        numbered = self._outbox.put(message)
        self._hurry.set()
        self._sending.fill(self._topics.active(message.kind), OFF if message.phase is Phase.END else ON)
        return numbered

    def publish_health(self, message: HealthMessage) -> None:
        """Say how the device is, if the broker is there; what was said while it is away is forgotten."""
        self._sending.tell_health(message.payload())

    @property
    def watched(self) -> bool:
        """Whether somebody has asked for what is live, and the broker is there."""
        return self._sending.watched

    def publish_live(self, message: Callable[[], LiveMessage]) -> None:
        """Say what holds in the newest frame, if the broker has room for it; ``message`` makes it then."""
        self._sending.tell_live(message)

    def publish_around(self, around: Around) -> None:
        """Say the numbers around an alert, when there is nothing else to say; they wait in memory."""
        self._sending.tell_around(around)

    @property
    def around_waiting(self) -> int:
        """Around how many alerts numbers wait."""
        return self._sending.around_waiting

    @property
    def around_dropped(self) -> int:
        """Around how many alerts numbers were given up since the start: too many, refused or too large."""
        return self._sending.around_dropped

    def poll_command(self) -> Command | None:
        """The oldest valid command that nobody has taken yet."""
        return self._sending.poll_command()

    def answer(self, command: Command, *, ok: bool, message: str) -> None:
        """Tell the sender of a command what came of it."""
        result = command_result(self._clock(), command.name, ok=ok, message=message, id=command.id)
        self._sending.answer(result, command.reply)

    # ---- the publisher's thread ----

    def _main(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            ending = self._connector.attempt(self)
            self._sending.ended(ending)
            if self._stopping.is_set():
                return
            self._say(ending)
            failures = 0 if ending.connected_s >= STEADY_S else failures + 1
            self._rest(self._pause(failures))

    def _rest(self, pause_s: float) -> None:
        """Wait before the next try; a new alert ends the wait early, though not before the shortest pause is over."""
        shortest_s = min(pause_s, self._mqtt.reconnect_min_s)
        if not self._stopping.wait(shortest_s):
            self._hurry.wait(pause_s - shortest_s)
        self._hurry.clear()

    def _pause(self, failures: int) -> float:
        """Exponential back-off; the upper half of it is left to chance, so that a fleet does not come back at once."""
        mqtt = self._mqtt
        longest = min(mqtt.reconnect_min_s * 2.0 ** min(failures, 16), mqtt.reconnect_max_s)
        return max(longest * self._chance.uniform(0.5, 1.0), mqtt.reconnect_min_s / 2)

    def _say(self, ending: Ending) -> None:
        if ending.reason != self._problem:
            _log.warning("MQTT %s:%d: %s", self._mqtt.host, self._mqtt.port, ending.reason)
        self._problem = ending.reason

    # ---- called by the session, in the same thread ----

    @property
    def stopping(self) -> bool:
        """Whether ``stop`` was called."""
        return self._stopping.is_set()

    def established(self, session: Session) -> None:
        """The broker is there."""
        self._sending.established(session)
        self._problem = None
        _log.info("connected to %s:%d with %s", self._mqtt.host, self._mqtt.port, session.name)

    def pump(self, session: Session) -> None:
        """Send what is to be sent."""
        self._sending.pump(session)

    def acknowledged(self, delivery: Delivery, answer: Answer) -> None:
        """Note the broker's answer."""
        self._sending.acknowledged(delivery, answer)

    def received(self, topic: str, payload: bytes, *, retained: bool, reply: Reply | None = None) -> None:
        """Take a message."""
        self._sending.received(topic, payload, retained=retained, reply=reply)
