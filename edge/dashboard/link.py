"""The dashboard's connection to the broker, in a thread of its own: what is said comes in, commands go out."""

from __future__ import annotations

import json
import logging
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any

from pydantic import ValidationError

from edge.config import Config
from edge.mqtt.connect import Connector
from edge.mqtt.extras import Extras, Reply
from edge.mqtt.messages import LIVE, CommandName, CommandResult, Topics
from edge.mqtt.names import client_id
from edge.mqtt.session import Answer, Delivery, Session, Wake

_log = logging.getLogger(__name__)

ASK_S = 20.0
"""How long the device is asked to be live."""
ASK_EVERY_S = 8.0
RETRY_S = 1.0
ANSWER_S = 2.0
"""A broker that answers nothing for so long counts as lost, so that the pages can say so within three seconds."""
SIGN_EVERY_S = 0.5
STALE_S = 10
"""A command that the broker could not hand on by then is worth nothing any more, seconds."""
GATHER_S = 0.05
"""A fleet's messages are read together: its table is drawn once a second."""
PENDING = 32
STOP_S = 3.0
ANY = "+"
_LISTENING = Delivery("dashboard")


class Link:
    """Tells ``received(device, name, payload, retained)`` and ``linked(connected, problem)``, both from its own thread.

    It listens to the configured device, or to every one below the prefix (``fleet``). While somebody watches one
    (``watch``), that one is asked again and again for what is live.

    Raises:
        ConfigError: credentials or certificates are missing, unreadable, or would be sent in the clear.
    """

    def __init__(
        self,
        config: Config,
        environ: Mapping[str, str],
        *,
        received: Callable[[str, str, bytes, bool], None],
        linked: Callable[[bool, str], None],
        fleet: bool = False,
    ) -> None:
        quick = config.mqtt.model_copy(update={"answer_s": min(config.mqtt.answer_s, ANSWER_S)})
        config = config.model_copy(update={"mqtt": quick})
        self._prefix = config.mqtt.prefix
        self._topics = Topics(config.mqtt.prefix, ANY if fleet else config.device.id)
        self._where = f"{config.mqtt.host}:{config.mqtt.port}"
        self._tell = received
        self._linked = linked
        self._wake = Wake()
        # several may look at one device at once
        name = client_id(config, f"dashboard-{secrets.token_hex(4)}")
        gather_s = GATHER_S if fleet else 0.0
        self._connector = Connector(config, environ, client_id=name, will=None, wake=self._wake, gather_s=gather_s)
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._watched: set[str] = set()
        self._ask_t: dict[str, float] = {}
        self._sign_t = 0.0
        self._waiting: deque[tuple[str, bytes, Future[CommandResult]]] = deque()
        self._pending: dict[str, Future[CommandResult]] = {}
        self._thread = threading.Thread(target=self._main, name="dashboard link", daemon=True)

    def start(self) -> None:
        """Begin to connect; returns at once."""
        self._thread.start()

    def stop(self) -> None:
        """Disconnect."""
        self._stopping.set()
        self._wake.set()
        self._thread.join(STOP_S)

    def watch(self, device: str, somebody: bool) -> None:  # noqa: FBT001 - what it is about
        """Have a device asked for what is live, or no more."""
        now = time.monotonic()
        with self._lock:
            if not somebody:
                self._watched.discard(device)
            elif device not in self._watched:
                self._watched.add(device)
                self._ask_t = {one: t for one, t in self._ask_t.items() if one in self._watched or t > now}
                # browsers that come and go ask once a second
                self._ask_t[device] = min(self._ask_t.get(device, 0.0), now + 1.0)
        self._wake.set()

    def command(self, device: str, name: CommandName, payload: Mapping[str, Any]) -> Future[CommandResult]:
        """Send a command; the future has the device's answer, if one comes. The oldest of too many is given up.

        What is cancelled before there is a broker is never sent: its sender was told that nothing answered.
        """
        number = secrets.token_hex(8)
        answer: Future[CommandResult] = Future()
        with self._lock:
            while len(self._pending) >= PENDING:
                self._pending.pop(next(iter(self._pending))).cancel()
            self._pending[number] = answer
            topic = Topics(self._prefix, device).command(name)
            self._waiting.append((topic, json.dumps({**payload, "id": number}).encode(), answer))
        self._wake.set()
        return answer

    # ---- the link's thread ----

    def _main(self) -> None:
        problem = ""
        while not self._stopping.is_set():
            ending = self._connector.attempt(self)
            if ending.reason != problem and not self._stopping.is_set():
                _log.warning("MQTT %s: %s", self._where, ending.reason)
            problem = ending.reason
            with self._lock:
                self._waiting.clear()  # nobody wants it later
            self._linked(False, f"{self._where}: {ending.reason}")  # noqa: FBT003 - a callback
            self._stopping.wait(RETRY_S)

    @property
    def stopping(self) -> bool:
        """Whether ``stop`` was called."""
        return self._stopping.is_set()

    def established(self, session: Session) -> None:
        """Listen to what the device says."""
        topics = self._topics
        again = [topics.state, topics.health, topics.live]
        once = [topics.availability, topics.alert, topics.result("+")]
        if topics.device_id == ANY:  # by far the most, and each comes again by itself: acknowledged is the rest
            session.subscribe(_LISTENING, again, qos=0, retained=True, as_published=False)
        else:
            once += again
        session.subscribe(_LISTENING, once, retained=True, as_published=False)
        with self._lock:
            self._ask_t.clear()

    def pump(self, session: Session) -> None:
        """Send what waits, ask for what is live, ask the broker for a sign of life."""
        now = time.monotonic()
        if self._stopping.is_set():
            session.goodbye()
            return
        with self._lock:
            waiting = [(topic, payload) for topic, payload, answer in self._waiting if not answer.cancelled()]
            for device in self._watched:
                if now >= self._ask_t.get(device, 0.0):
                    self._ask_t[device] = now + ASK_EVERY_S
                    topic = Topics(self._prefix, device).command(LIVE)
                    waiting.append((topic, json.dumps({"seconds": ASK_S}).encode()))
            self._waiting.clear()
        for topic, payload in waiting:
            session.send(Delivery(topic), payload, retain=False, extras=Extras(STALE_S))
        if session.idle and now >= self._sign_t:
            self._sign_t = now + SIGN_EVERY_S
            session.fence()

    def acknowledged(self, delivery: Delivery, answer: Answer) -> None:
        """The connection counts once the broker lets us listen; what it refuses is said."""
        if answer.refused:
            what = "to listen" if delivery == _LISTENING else delivery.topic
            self._linked(True, f"{self._where}: the broker refuses {what}: {answer.text}")  # noqa: FBT003 - a callback
        elif delivery == _LISTENING:
            _log.info("looking at %s on %s", self._topics.name, self._where)
            self._linked(True, "")  # noqa: FBT003 - a callback

    def received(self, topic: str, payload: bytes, *, retained: bool, reply: Reply | None = None) -> None:
        """Hand on what the device says; keep what answers a command of ours."""
        del reply
        device, name = _device_and_name(topic)
        if name.startswith("command/"):
            self._answered(payload)
            return
        if name == "availability" and payload == b"online" and not retained:
            with self._lock:
                self._ask_t.pop(device, None)  # a device that begins anew has forgotten that somebody watches
        self._tell(device, name, payload, retained)

    def _answered(self, payload: bytes) -> None:
        try:
            result = CommandResult.model_validate_json(payload)
        except ValidationError:
            return
        with self._lock:
            answer = self._pending.pop(result.id or "", None)
        if answer is not None and answer.set_running_or_notify_cancel():
            answer.set_result(result)


def _device_and_name(topic: str) -> tuple[str, str]:
    """Of ``<prefix>/<device>/<name>``; the name may hold more slashes."""
    device, _, name = topic.partition("/")[2].partition("/")
    return device, name
