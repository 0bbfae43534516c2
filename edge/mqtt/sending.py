"""What goes over a connection, and in which order: alerts, what is retained, health, numbers around alerts, discovery.

The broker's limits are obeyed: what cannot pass is left out and said. While a message is suspected of having broken the
last connection, messages go one at a time, each behind a sign that the one before it has passed.
"""

from __future__ import annotations

import collections
import itertools
import logging
import math
import queue
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from edge import __version__
from edge.config import Config
from edge.decision.kinds import registered
from edge.domain import Stamp
from edge.mqtt.around import Around
from edge.mqtt.commands import Bounds, Budgets, Command, CommandError, Live, Resend, check_reply, parse_command, told_id
from edge.mqtt.discovery import MOVED, SETTLE_S, birth_topic, descriptions
from edge.mqtt.entities import MISSED_BEATS
from edge.mqtt.extras import NONE, Extras, Reply
from edge.mqtt.lane import AlertLane
from edge.mqtt.limits import NO_WILL
from edge.mqtt.messages import COMMANDS, LIVE, RESEND, CommandResult, LiveMessage, Topics, command_result
from edge.mqtt.notices import Notices
from edge.mqtt.outbox import DAY_S, Outbox, Waiting
from edge.mqtt.piece_lane import PieceLane
from edge.mqtt.reasons import PAYLOAD_INVALID, TOO_LARGE
from edge.mqtt.session import TICK_S, Answer, Delivery, Ending, Session
from edge.mqtt.slots import Slots
from edge.mqtt.suspects import STRIKES, Suspects

_log = logging.getLogger(__name__)

ONLINE, OFFLINE = b"online", b"offline"
ON, OFF = b"ON", b"OFF"
CLEARED = b""
"""What has a broker keep nothing on a retained topic."""

LAST_WORDS_S = 0.4
"""Longest time that a stop gives to what is still to be said before ``offline``; alerts beyond it stay stored."""

GOODBYE_S = 0.85
"""Longest time for all of the goodbye; after it the last will says the same."""

SMALL_WINDOW = 4
"""With fewer places than this none is reserved for what is not an alert: alerts and the rest take turns."""

BANNED_S = 3600.0
"""What twice broke the connection is left out for so long."""

DISCOVERY_DELAY_S = (1.0, 5.0)
COMMANDS_WAITING = 8
RESULTS_WAITING = 32

EPISODES = "episode"
"""What is banned where the broker does not take the numbers around alerts."""

PIECE_EVERY_S = 0.2
"""A piece of them is sent this often at most: they are in no hurry, and a broker may count messages."""

LOOK_S = 0.03
"""While somebody watches, the newest frame's message is looked for this often."""

ASKED = "response topics"
"""What is banned where the broker ends the connection over an answer on one."""


@dataclass(frozen=True, slots=True)
class _Result:
    """An answer that is to be sent."""

    delivery: Delivery
    payload: bytes
    extras: Extras


class Sending:
    """The owner of every session in turn; any thread may call what comes first. ``wake`` is called for news."""

    def __init__(
        self,
        config: Config,
        outbox: Outbox,
        *,
        clock: Callable[[], Stamp],
        chance: random.Random,
        wake: Callable[[], None],
        budgets: Budgets,
    ) -> None:
        self._config = config
        self._outbox = outbox
        self._clock = clock
        self._chance = chance
        self._wake = wake
        self._budgets = budgets
        self._bounds = Bounds(config.publish.max_pause_s, config.publish.max_command_age_s)
        self._topics = topics = Topics(config.mqtt.prefix, config.device.id)
        described = descriptions(config, __version__) if config.discovery.enabled else {}
        self._descriptions = tuple(described)
        # MQTT 5: what a broker keeps for a receiver that is away, or as retained, goes stale
        self._alert_extras = Extras(math.ceil(config.outbox.max_age_days * DAY_S))
        self._health_extras = Extras(math.ceil(MISSED_BEATS * config.publish.health_s))

        # an alert that an earlier run left ON is over: its episode died with that process; so is one of a kind that is
        # judged no more
        values = {topics.availability: ONLINE, **{topics.active(kind): OFF for kind in config.alerts.enabled}}
        unjudged = registered().keys() - set(config.alerts.enabled)
        values |= dict.fromkeys(map(topics.active, unjudged), CLEARED)
        if config.alerts.shadow:  # what was said before it is not of now, and nothing takes its place
            values |= dict.fromkeys((topics.state, *map(topics.active, config.alerts.enabled)), CLEARED)
        self._slots = Slots(values | described)
        self._lock = threading.Lock()
        self._health: bytes | None = None
        self._live: Callable[[], LiveMessage] | None = None
        self._live_until = -math.inf
        self._pieces = PieceLane()
        self._results: collections.deque[_Result] = collections.deque(maxlen=RESULTS_WAITING)
        self._commands: queue.Queue[Command] = queue.Queue(COMMANDS_WAITING)
        self._stopping = threading.Event()
        self._connected = False

        # used by the publisher's thread alone
        self.notices = Notices()
        self._lane = AlertLane(outbox, self.notices, unheard_s=config.mqtt.unheard_s)
        self._suspects = Suspects()
        self._banned: dict[str, float] = {}
        self._proved = False
        self._subscribed = False
        self._alert_was_last = False
        self._discovery_at: float | None = None
        hz = config.mqtt.max_publish_hz
        self._piece_every_s = PIECE_EVERY_S if hz is None else max(PIECE_EVERY_S, 2 / hz)  # half is left for the rest
        self._piece_from = -math.inf
        self._settled_at = -math.inf
        self._goodbye_by: float | None = None
        self._said_offline = False

    # ---- for any thread ----

    @property
    def connected(self) -> bool:
        """Whether the broker has accepted the connection."""
        return self._connected

    def fill(self, topic: str, payload: bytes) -> None:
        """Have the newest value of a retained topic sent."""
        self._slots.fill(topic, payload)
        self._wake()

    def tell_health(self, payload: bytes) -> None:
        """Have this sent if the broker is there; what was said while it is away is forgotten."""
        with self._lock:
            self._health = payload
        self._wake()

    @property
    def watched(self) -> bool:
        """Whether somebody has asked for what is live, and it can be sent now."""
        return self._connected and time.monotonic() < self._live_until

    def tell_live(self, message: Callable[[], LiveMessage]) -> None:
        """Have the newest frame's message sent once the one before has arrived; made only where it is sent.

        To wake the publisher's thread would cost the step's more than all else here: it looks by itself, every LOOK_S.
        """
        with self._lock:
            self._live = message

    def tell_around(self, around: Around) -> None:
        """Have the numbers around an alert sent, piece by piece, when nothing else is to be."""
        self._pieces.put(around)
        self._wake()

    @property
    def around_waiting(self) -> int:
        """Around how many alerts numbers wait and may be sent."""
        return 0 if EPISODES in self._banned else self._pieces.waiting

    @property
    def around_dropped(self) -> int:
        """Around how many alerts they were given up."""
        return self._pieces.dropped

    def answer(self, result: CommandResult, reply: Reply | None = None) -> None:
        """Have the answer to a command sent, on its own topic and where the sender wants it besides."""
        payload = result.payload()
        usual = Delivery(self._topics.result(result.command))
        extras = Extras(correlation=reply.correlation) if reply else NONE
        with self._lock:
            self._results.append(_Result(usual, payload, extras))
            if reply and reply.topic not in (None, usual.topic):
                self._results.append(_Result(Delivery(reply.topic, asked=True), payload, extras))
        self._wake()

    def poll_command(self) -> Command | None:
        """The oldest valid command that nobody has taken yet."""
        try:
            return self._commands.get_nowait()
        except queue.Empty:
            return None

    def stop(self) -> None:
        """Say goodbye from now on."""
        self._stopping.set()
        self._wake()

    # ---- called by the session, in the publisher's thread ----

    @property
    def stopping(self) -> bool:
        """Whether ``stop`` was called."""
        return self._stopping.is_set()

    def established(self, session: Session) -> None:
        """Say everything anew to a broker that may remember nothing."""
        self._slots.restart()
        with self._lock:
            self._results.clear()
            self._health = self._live = None
        now = time.monotonic()
        self._banned = {topic: until for topic, until in self._banned.items() if now < until}
        self._proved = self._subscribed = self._alert_was_last = False
        self._outbox.expire(self._clock())
        self._lane.restart()
        self._pieces.restart()
        self.notices.clear()
        self._tell_limits(session)
        self._connected = True

    def ended(self, ending: Ending) -> None:
        """The connection is over; a message that has broken it once too often is given up."""
        self._connected = False
        self._lane.settle()
        if ending.blame and any(delivery.asked for delivery in ending.under_way):
            # at once and for all of them: a sender may ask for another topic each time
            self._banned[ASKED] = time.monotonic() + BANNED_S
            _log.warning("no more answers on response topics for %g s: %s", BANNED_S, ending.reason)
        if (culprit := self._suspects.broke(ending, proved=self._proved)) is not None:
            self._give_up(culprit, ending.reason)

    def pump(self, session: Session) -> None:
        """Send what is new, as far as the broker lets us."""
        now = time.monotonic()
        session.tick_s = LOOK_S if self.watched else TICK_S
        self._lane.settle()
        if self._discovery_at is not None and now >= self._discovery_at:
            self._discovery_at = None
            for one in self._descriptions[1:]:
                self._slots.renew(one)
        if not self._said_offline:
            if self._suspects.cautious:
                self._send_one(session, now)
            else:
                self._send_all(session, now)
        if self._stopping.is_set():
            self._leave(session, now)

    def acknowledged(self, delivery: Delivery, answer: Answer) -> None:
        """Note what the broker has taken, and say what it does not take."""
        if answer.refused:
            self._refused(delivery, answer)
        else:
            self._suspects.passed(delivery)
            self._proved = self._proved or delivery.topic != self._commands_filter
        if _is_piece(delivery):
            self._piece_answered(answer)
        if delivery.place is not None:
            self._lane.answered(delivery.place, delivery.topic, answer, time.monotonic())

    def received(self, topic: str, payload: bytes, *, retained: bool, reply: Reply | None = None) -> None:
        """Take a command, or Home Assistant's word that it has started. What is retained is of an earlier time."""
        if retained:
            return
        if topic == birth_topic(self._config):
            if payload == ONLINE:
                self._discovery_at = time.monotonic() + self._chance.uniform(*DISCOVERY_DELAY_S)
        elif topic.startswith(prefix := self._topics.command("")):
            self._take_command(topic.removeprefix(prefix), payload, reply)

    # ---- sending ----

    @property
    def _commands_filter(self) -> str:
        return self._topics.command("+")

    def _send_all(self, session: Session, now: float) -> None:
        topics = self._slots.ready(lambda topic: self._may_go(session, topic))
        waiting = bool(topics or self._results)
        room = session.free_but(1 if session.limits.window >= SMALL_WINDOW else 0)
        if not (waiting and self._alert_was_last and session.limits.window < SMALL_WINDOW):
            self._send_alerts(session, now, room)
        self._subscribe(session)
        self._send_slots(session, topics[: session.free])
        self._send_results(session, session.free)
        self._send_health(session)
        self._send_piece(session, now)
        self._send_live(session)
        # alerts that nobody hears must not hold it up: without it Home Assistant does not subscribe to them
        if session.idle and (not self._lane.more or self._lane.waits(now)):
            self._send_description(session, now)

    def _send_one(self, session: Session, now: float) -> None:
        """The next message alone, and behind it a question whose answer shows that the connection stands."""
        if not (session.idle and session.free):
            return
        topics = self._slots.ready(lambda topic: self._may_go(session, topic))
        # something small first: where it passes, it is not the broker that takes nothing
        proof = [] if self._proved else [topic for topic in topics if topic == self._topics.availability]
        steps: tuple[Callable[[], None], ...] = (
            lambda: self._send_slots(session, proof),
            lambda: self._send_alerts(session, now, 1),
            lambda: self._subscribe(session),
            lambda: self._send_slots(session, topics[:1]),
            lambda: self._send_results(session, 1),
            lambda: self._send_health(session),
            lambda: self._send_piece(session, now),
            lambda: self._send_description(session, now),
        )
        for step in steps:
            step()
            if not session.idle:
                session.fence()
                return
        if not self._undescribed():
            self._suspects.acquit()  # all was sent, and the connection stands

    def _may_go(self, session: Session, topic: str) -> bool:
        return topic not in self._descriptions and topic not in self._banned and topic not in session.under_way

    def _send_alerts(self, session: Session, now: float, room: int) -> None:
        def fits(waiting: Waiting) -> bool:
            return session.limits.allow(session.size(_alert_topic(waiting), waiting.payload, self._alert_extras))

        for waiting in self._lane.load(room, now, fits, under_way=session.carries_alerts):
            delivery = Delivery(_alert_topic(waiting), waiting.place)
            session.send(delivery, waiting.payload, retain=False, extras=self._alert_extras)
            self._alert_was_last = True
        if count := self._lane.left_out:
            self._tell_left_out("alert", f"{count} alert{'s' if count > 1 else ''}", session)

    def _subscribe(self, session: Session) -> None:
        if self._subscribed or self._commands_filter in self._banned:
            return
        self._subscribed = True
        session.subscribe(Delivery(self._commands_filter), filters(self._config))

    def _send_slots(self, session: Session, topics: list[str]) -> None:
        for topic in topics:
            payload = self._slots.take(topic)
            if self._fits(session, topic, payload):
                session.send(Delivery(topic), payload, retain=True)
                self._alert_was_last = False

    def _send_results(self, session: Session, room: int) -> None:
        with self._lock:
            results = [self._results.popleft() for _ in range(min(room, len(self._results)))]
        for result in results:
            if self._may_answer(session, result):
                session.send(result.delivery, result.payload, retain=False, extras=result.extras)
                self._alert_was_last = False

    def _may_answer(self, session: Session, result: _Result) -> bool:
        topic = result.delivery.topic
        if not result.delivery.asked:
            return topic not in self._banned and self._fits(session, topic, result.payload, result.extras)
        # no notice of it: what strangers ask for is no fault of this device
        fits = session.limits.allow(session.size(topic, result.payload, result.extras))
        return fits and ASKED not in self._banned

    def _send_health(self, session: Session) -> None:
        topic = self._topics.health
        if session.congested or topic in session.under_way or not session.in_pace:
            return
        with self._lock:
            health, self._health = self._health, None
        extras = self._health_extras
        if health is not None and topic not in self._banned and self._fits(session, topic, health, extras):
            session.send_lossy(Delivery(topic), health, retain=True, extras=extras)

    def _send_piece(self, session: Session, now: float) -> None:
        """One piece at a time, and none while anything else waits or is under way: an alert waits for one at most."""
        if self._lane.more or session.congested or not (session.idle and session.free) or EPISODES in self._banned:
            return
        if not self._pieces.waiting or (now < self._piece_from and not self._stopping.is_set()):
            return

        def topic(around: Around) -> str:
            return Topics(self._topics.prefix, around.device_id).episode(around.epoch, around.sequence)

        def fits(around: Around, payload: bytes) -> bool:
            return session.limits.allow(session.size(topic(around), payload, self._alert_extras))

        found = self._pieces.next(self._clock(), fits)
        if found is None:
            self._tell_left_out(EPISODES, "the numbers around an alert", session)  # before it counts: health says why
            self._pieces.give_up()
            return
        around, payload = found
        self._piece_from = now + self._piece_every_s
        session.send(Delivery(topic(around)), payload, retain=False, extras=self._alert_extras)

    def _piece_answered(self, answer: Answer) -> None:
        if answer.code == TOO_LARGE:  # the session has learned the limit by it
            self._pieces.restart()
        elif answer.refused:
            self._ban_pieces()
        elif answer.unheard:  # nobody misses the rest
            self._pieces.give_up()
        else:
            self._pieces.passed()
            self.notices.end(EPISODES)

    def _ban_pieces(self) -> None:
        """Send none for an hour: the next alert's would fare no better."""
        self._banned[EPISODES] = time.monotonic() + BANNED_S
        self._pieces.clear()

    def _send_live(self, session: Session) -> None:
        """One message at a time and none while anything else is under way: a slow link sends fewer, and fresh ones."""
        if session.congested or not (session.idle and session.free) or self._stopping.is_set():
            return
        topic = self._topics.live
        with self._lock:
            make, self._live = self._live, None
        if make is None or not self.watched or topic in self._banned:
            return
        payload = make().payload()
        if self._fits(session, topic, payload):
            session.send_lossy(Delivery(topic), payload, retain=False)

    def _send_description(self, session: Session, now: float) -> None:
        """The next message that describes the device; a pause follows the one that Home Assistant works on."""
        left = self._undescribed()
        if not left or now < self._settled_at:
            return
        topic = min(left, key=self._descriptions.index)
        if self._slots.value(topic) == MOVED:
            self._settled_at = now + SETTLE_S
        self._send_slots(session, [topic])

    def _undescribed(self) -> list[str]:
        """The parts that are still to be sent; none behind one that has broken the connection, which others may too."""
        sent = tuple(itertools.takewhile(lambda topic: topic not in self._banned, self._descriptions))
        return self._slots.ready(lambda topic: topic in sent)

    def _fits(self, session: Session, topic: str, payload: bytes, extras: Extras = NONE) -> bool:
        size = session.size(topic, payload, extras)
        if session.limits.allow(size):
            self.notices.end(topic)
            return True
        self._tell_left_out(topic, topic, session)
        return False

    def _leave(self, session: Session, now: float) -> None:
        """Say what is left, then ``offline``, and disconnect on the broker's answer; without one its will says it."""
        if self._goodbye_by is None:
            self._goodbye_by = now + GOODBYE_S
        if now >= self._goodbye_by:
            session.drop()
        elif self._said_offline:
            if session.idle:
                session.goodbye()
        elif session.places and (self._all_said(session) or now >= self._goodbye_by - GOODBYE_S + LAST_WORDS_S):
            self._said_offline = True
            session.send(Delivery(self._topics.availability), OFFLINE, retain=True)

    def _all_said(self, session: Session) -> bool:
        unsaid = self._slots.ready(lambda topic: self._may_go(session, topic))
        return session.idle and not (self._lane.more or unsaid or self.around_waiting)

    # ---- what does not pass ----

    def _refused(self, delivery: Delivery, answer: Answer) -> None:
        if delivery.asked:
            if self._budgets.may_tell(time.monotonic()):
                _log.warning("the broker refuses the response topic %.64r: %s", delivery.topic, answer.text)
            return
        if answer.code == TOO_LARGE:  # the session has learned the limit by it
            if delivery.place is None and not _is_piece(delivery):
                self._slots.renew(delivery.topic)
            return
        if _is_piece(delivery):
            self.notices.say(EPISODES, f"the broker refuses the numbers around alerts (episode/…): {answer.text}")
        else:
            what = "a subscription to commands" if delivery.topic == self._commands_filter else delivery.topic
            self.notices.say(f"refused {delivery.topic}", f"the broker refuses {what}: {answer.text}")
        if answer.code == PAYLOAD_INVALID and self._suspects.strike(delivery) is not None:
            self._give_up(delivery, answer.text)

    def _give_up(self, culprit: Delivery, reason: str) -> None:
        if culprit.place is not None:
            self._lane.set_aside(culprit.place, f"it has failed {STRIKES} times: {reason}")
            return
        if _is_piece(culprit):
            self._ban_pieces()
        else:
            self._banned[culprit.topic] = time.monotonic() + BANNED_S
        _log.warning("%s has broken the connection %d times and is left out: %s", culprit.topic, STRIKES, reason)

    def _tell_limits(self, session: Session) -> None:
        shortcomings = session.limits.shortcomings() + ([NO_WILL] if session.will is None else [])
        for one in shortcomings:
            self.notices.say(one.key, str(one))
        for topic in self._banned.keys() - {ASKED}:
            behind = ", and what describes the device behind it" if topic in self._descriptions[:-1] else ""
            text = f"{topic} is left out, because it has broken the connection {STRIKES} times{behind}"
            self.notices.say(topic, text)
        if ASKED in self._banned:
            self.notices.say(ASKED, "no answers on response topics, because one has broken the connection")

    def _tell_left_out(self, key: str, what: str, session: Session) -> None:
        self.notices.say(key, str(session.limits.too_small_for(what)))

    # ---- commands ----

    def _take_command(self, name: str, payload: bytes, reply: Reply | None) -> None:
        now = time.monotonic()
        if name not in COMMANDS:
            if self._budgets.may_tell(now):
                _log.warning("unknown command %.32r ignored", name)
            return
        if not self._budgets.allow(name, now):
            if self._budgets.may_tell(now):
                _log.warning("too many commands; %s is ignored", name)
            return
        stamp = self._clock()
        answers_to: Reply | None = None
        try:
            if reply is not None:
                check_reply(self._config, name, reply)
                answers_to = reply
            command = parse_command(name, payload, self._bounds, stamp)
            if isinstance(command, Resend):
                self._resend(command, stamp, answers_to)
            elif isinstance(command, Live):
                self._watch(command, stamp, answers_to)
            else:
                self._commands.put_nowait(replace(command, reply=answers_to))
        except CommandError as error:
            _log.warning("command %s refused: %s", name, error)
            self._refuse(name, payload, str(error), stamp, answers_to)
        except queue.Full:
            self._refuse(name, payload, "busy; try again", stamp, answers_to)

    def _refuse(self, name: str, payload: bytes, why: str, stamp: Stamp, reply: Reply | None) -> None:
        self.answer(command_result(stamp, name, ok=False, message=why, id=told_id(payload)), reply)

    def _resend(self, asked: Resend, stamp: Stamp, reply: Reply | None) -> None:
        self._lane.settle()  # what the broker has just taken is no longer on its way: it may be asked for again
        resent = self._outbox.resend(asked.epoch, asked.first, asked.last)
        if resent is None:
            message = "the outbox cannot be read now; ask again later"
        else:
            message = f"{resent.queued} alerts are sent again"
        _log.info("resend of epoch %d from %d: %s", asked.epoch, asked.first, message)
        ok = resent is not None
        self.answer(command_result(stamp, RESEND, ok=ok, message=message, id=asked.id, resend=resent), reply)

    def _watch(self, asked: Live, stamp: Stamp, reply: Reply | None) -> None:
        silent = self._config.alerts.shadow
        if silent:
            message = "nothing is said of the driver in shadow mode (alerts.shadow = true)"
        else:
            self._live_until = max(self._live_until, time.monotonic() + asked.seconds)
            message = f"live for {asked.seconds:g} s"
        self.answer(command_result(stamp, LIVE, ok=not silent, message=message, id=asked.id), reply)


def filters(config: Config) -> list[str]:
    """What the device subscribes to: the commands that it knows, each by its name, and Home Assistant's birth."""
    topics = Topics(config.mqtt.prefix, config.device.id)
    births = [birth_topic(config)] if config.discovery.enabled else []
    return [*(topics.command(name) for name in COMMANDS), *births]


def _is_piece(delivery: Delivery) -> bool:
    """Whether it is a piece of the numbers around an alert."""
    return delivery.place is None and not delivery.asked and delivery.topic.split("/")[2:3] == [EPISODES]


def _alert_topic(waiting: Waiting) -> str:
    """Where an alert belongs: to the device that decided it, whatever this one is called by now."""
    return Topics(waiting.prefix, waiting.device_id).alert
