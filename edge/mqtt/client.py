"""The publisher: what the service says, brought to the broker and kept there, whatever the network does.

The service's thread only stores (alerts in the outbox, everything else in slots that hold the newest value) and never
waits for the network. One thread of the publisher's own connects, sends, and connects again.
"""

from __future__ import annotations

import collections
import logging
import math
import queue
import random
import threading
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

from edge import __version__
from edge.config import Config
from edge.domain import Phase
from edge.mqtt.commands import Command, CommandError, RateLimit, parse_command
from edge.mqtt.connect import Connector
from edge.mqtt.discovery import MISSED_BEATS, birth_topic, discovery_payload, discovery_topic
from edge.mqtt.messages import (
    AlertMessage,
    CommandName,
    HealthMessage,
    Newest,
    OutboxPart,
    Stamp,
    StateMessage,
    Topics,
    command_result,
)
from edge.mqtt.names import client_id
from edge.mqtt.outbox import DAY_S, Outbox
from edge.mqtt.session import Delivery, Ending, Session, Wake, Will

_log = logging.getLogger(__name__)

ONLINE, OFFLINE = b"online", b"offline"
ON, OFF = b"ON", b"OFF"

STOP_S = 0.9
LAST_WORDS_S = 0.4
"""Longest time that ``stop`` gives to what is still to be said before ``offline``; alerts beyond it stay stored."""

GOODBYE_S = 0.45
"""Longest wait for the broker's answer to ``offline``; after it the last will says the same."""

STEADY_S = 10.0
"""A connection that lasted this long was a good one: the next pause is the shortest again."""

REFUSED_ALERT_PAUSE_S = 60.0
DISCOVERY_DELAY_S = (1.0, 5.0)
COMMANDS_WAITING = 8
RESULTS_WAITING = 16


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
        self._config = config
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
        # MQTT 5: what a broker keeps for a receiver that is away, or as retained, goes stale
        self._alert_expires_s = math.ceil(config.outbox.max_age_days * DAY_S)
        self._health_expires_s = math.ceil(MISSED_BEATS * config.publish.health_s)

        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._hurry = threading.Event()
        self._thread = threading.Thread(target=self._main, name="mqtt", daemon=True)
        self._connected = False
        self._problem: str | None = "not connected yet"

        # one value for each retained topic, and which of them the broker does not have yet
        self._slots: dict[str, bytes] = {self._topics.availability: ONLINE}
        if config.discovery.enabled:
            self._slots[discovery_topic(config)] = discovery_payload(config, __version__)
        # an alert that an earlier run left ON is over: its episode died with that process
        self._slots |= {self._topics.active(kind): OFF for kind in config.alerts.enabled}
        self._unsent: dict[str, None] = {}
        self._health: bytes | None = None
        self._results: collections.deque[tuple[str, bytes]] = collections.deque(maxlen=RESULTS_WAITING)
        self._commands: queue.Queue[Command] = queue.Queue(COMMANDS_WAITING)

        # used by the publisher's thread alone
        self._last_sent = 0
        """The place in the outbox of the last alert that was sent on this connection."""
        self._acknowledged: list[int] = []
        self._alerts_from = 0.0
        self._refused: set[str] = set()
        self._last_words_by: float | None = None
        self._goodbye_by: float | None = None
        self._discovery_at: float | None = None
        self._rate = command_limit or RateLimit()

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
        self._hurry.set()
        self._wake.set()
        self._thread.join(STOP_S)
        return not self._thread.is_alive()

    @property
    def connected(self) -> bool:
        """Whether the broker has accepted the connection."""
        return self._connected

    @property
    def problem(self) -> str | None:
        """Why there is no connection, in one line; None while there is one."""
        return self._problem

    @property
    def newest(self) -> Newest:
        """The newest alert decided, as state and health tell it."""
        return self._outbox.newest

    def outbox_health(self) -> OutboxPart:
        """The outbox as health tells it, what is too old given up."""
        self._outbox.expire(self._clock())
        return self._outbox.health()

    def publish_state(self, message: StateMessage) -> None:
        """Say the state; while the broker is away only the newest counts."""
        self._fill(self._topics.state, message.payload())

    def publish_alert(self, message: AlertMessage) -> AlertMessage:
        """Store an alert durably, give it its sequence number, and send it as soon as there is a broker."""
        numbered = self._outbox.put(message)
        self._hurry.set()
        self._fill(self._topics.active(message.kind), OFF if message.phase is Phase.END else ON)
        return numbered

    def publish_health(self, message: HealthMessage) -> None:
        """Say how the device is, if the broker is there; what was said while it is away is forgotten."""
        with self._lock:
            self._health = message.payload()
        self._wake.set()

    def poll_command(self) -> Command | None:
        """The oldest valid command that nobody has taken yet."""
        try:
            return self._commands.get_nowait()
        except queue.Empty:
            return None

    def answer(self, command: Command, *, ok: bool, message: str) -> None:
        """Tell the sender of a command what came of it."""
        self._answer(command.name, ok=ok, message=message, command_id=command.id)

    def _fill(self, topic: str, payload: bytes) -> None:
        with self._lock:
            self._slots[topic] = payload
            self._unsent[topic] = None
        self._wake.set()

    def _answer(self, name: str, *, ok: bool, message: str, command_id: str | None = None) -> None:
        result = command_result(self._clock(), name, ok=ok, message=message, id=command_id)
        with self._lock:
            self._results.append((self._topics.result(name), result.payload()))
        self._wake.set()

    # ---- the publisher's thread ----

    def _main(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            ending = self._connector.attempt(self)
            self._connected = False
            if self._stopping.is_set():
                return
            self._say(ending)
            failures = 0 if ending.connected_s >= STEADY_S else failures + 1
            self._rest(self._pause(failures))

    def _rest(self, pause_s: float) -> None:
        """Wait before the next try; a new alert ends the wait early, though not before the shortest pause is over."""
        shortest_s = min(pause_s, self._config.mqtt.reconnect_min_s)
        if not self._stopping.wait(shortest_s):
            self._hurry.wait(pause_s - shortest_s)
        self._hurry.clear()

    def _pause(self, failures: int) -> float:
        """Exponential back-off; the upper half of it is left to chance, so that a fleet does not come back at once."""
        mqtt = self._config.mqtt
        longest = min(mqtt.reconnect_min_s * 2.0 ** min(failures, 16), mqtt.reconnect_max_s)
        return max(longest * self._chance.uniform(0.5, 1.0), mqtt.reconnect_min_s / 2)

    def _say(self, ending: Ending) -> None:
        if ending.reason != self._problem:
            _log.warning("MQTT %s:%d: %s", self._config.mqtt.host, self._config.mqtt.port, ending.reason)
        self._problem = ending.reason

    # ---- called by the session, in the same thread ----

    @property
    def stopping(self) -> bool:
        """Whether ``stop`` was called."""
        return self._stopping.is_set()

    def established(self, session: Session) -> None:
        """Say everything anew to a broker that may remember nothing."""
        filters = {self._topics.command("+"): 1}
        if self._config.discovery.enabled:
            filters[birth_topic(self._config)] = 1
        session.subscribe(filters)
        with self._lock:
            self._unsent = dict.fromkeys(self._slots)
            self._results.clear()
            self._health = None
        self._last_sent = 0
        self._alerts_from = 0.0
        self._refused.clear()
        self._outbox.expire(self._clock())
        self._connected = True
        self._problem = None
        _log.info("connected to %s:%d with %s", self._config.mqtt.host, self._config.mqtt.port, session.name)

    def pump(self, session: Session) -> None:
        """Send what is new, as far as the window allows: first the slots, then answers, then alerts."""
        now = time.monotonic()
        self._forget_acknowledged()
        if self._discovery_at is not None and now >= self._discovery_at:
            self._discovery_at = None
            with self._lock:
                self._unsent[discovery_topic(self._config)] = None
        if self._goodbye_by is None:
            self._send_slots(session)
            self._send_passing(session)
            if now >= self._alerts_from:
                self._send_alerts(session)
        if self._stopping.is_set():
            self._leave(session, now)

    def acknowledged(self, delivery: Delivery, refusal: str | None) -> None:
        """Note what the broker has taken, and say once what it does not take."""
        if refusal is not None:
            self._refuse(delivery, refusal)
        elif delivery.place is not None:
            self._acknowledged.append(delivery.place)

    def received(self, topic: str, payload: bytes, *, retained: bool) -> None:
        """Take a command, or Home Assistant's word that it has started. What is retained is of an earlier time."""
        if retained:
            return
        if topic == birth_topic(self._config):
            if payload == ONLINE:
                self._discovery_at = time.monotonic() + self._chance.uniform(*DISCOVERY_DELAY_S)
        elif topic.startswith(prefix := self._topics.command("")):
            self._take_command(topic.removeprefix(prefix), payload)

    def _forget_acknowledged(self) -> None:
        if self._acknowledged:
            self._outbox.delivered(self._acknowledged)
            self._acknowledged = []

    def _send_slots(self, session: Session) -> None:
        under_way = session.under_way
        with self._lock:
            ready = [topic for topic in self._unsent if topic not in under_way][: session.free]
            for topic in ready:
                del self._unsent[topic]
            slots = [(topic, self._slots[topic]) for topic in ready]
        for topic, payload in slots:
            session.send(Delivery(topic), payload, retain=True)

    def _send_passing(self, session: Session) -> None:
        with self._lock:
            health, self._health = self._health, None
            count = min(session.free, len(self._results))
            results = [self._results.popleft() for _ in range(count)]
        for topic, payload in results:
            session.send(Delivery(topic), payload, retain=False)
        if health is not None and not session.congested:
            session.send_lossy(self._topics.health, health, retain=True, expires_s=self._health_expires_s)

    def _send_alerts(self, session: Session) -> None:
        # one place in the window stays free, so that ten thousand old alerts do not hold up the newest state
        room = session.free - 1
        if room <= 0 or self._last_sent >= self._outbox.newest_place:
            return
        for waiting in self._outbox.waiting(self._last_sent, room):
            delivery = Delivery(Topics(waiting.prefix, waiting.device_id).alert, waiting.place)
            session.send(delivery, waiting.payload, retain=False, expires_s=self._alert_expires_s)
            self._last_sent = waiting.place

    def _refuse(self, delivery: Delivery, refusal: str) -> None:
        if delivery.topic not in self._refused:
            self._refused.add(delivery.topic)
            _log.warning("the broker refuses %s: %s; check its access list", delivery.topic, refusal)
        if delivery.place is not None:
            # it stays in the outbox and is tried again, with all that came after it, in order
            self._alerts_from = time.monotonic() + REFUSED_ALERT_PAUSE_S
            self._last_sent = min(self._last_sent, delivery.place - 1)

    def _leave(self, session: Session, now: float) -> None:
        """Say what is left, then ``offline``, and disconnect on the broker's answer; without one its will says it."""
        if self._goodbye_by is None:
            self._last_words_by = self._last_words_by or now + LAST_WORDS_S
            if now < self._last_words_by and self._has_more_to_say(now):
                return
            self._goodbye_by = now + GOODBYE_S
            session.send(Delivery(self._topics.availability), OFFLINE, retain=True)
        elif not session.under_way:
            session.goodbye()
        elif now >= self._goodbye_by:
            session.drop()

    def _has_more_to_say(self, now: float) -> bool:
        """Whether something waits for room in the window."""
        with self._lock:
            if self._unsent or self._results:
                return True
        return now >= self._alerts_from and self._last_sent < self._outbox.newest_place

    def _take_command(self, name: str, payload: bytes) -> None:
        if not self._rate.allow(time.monotonic()):
            _log.warning("too many commands; one is ignored")
            return
        try:
            self._commands.put_nowait(parse_command(name, payload, self._config.publish.max_pause_s))
        except CommandError as error:
            _log.warning("command %.32r refused: %s", name, error)
            if name in set(CommandName):
                self._answer(name, ok=False, message=str(error))
        except queue.Full:
            self._answer(name, ok=False, message="busy; try again")
