"""The collector itself: takes messages from the link, writes them to the store, acknowledges, asks for what is missing.

One thread does it all, so that nothing is shared. A message is acknowledged after its transaction; while the database
is away nothing is, and the broker keeps what does not fit here.
"""

from __future__ import annotations

import contextlib
import json
import logging
import random
import select
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, StatementError

from edge.collect.config import CollectConfig
from edge.collect.database import explain, is_collision, where
from edge.collect.gaps import Patience, Question
from edge.collect.link import Ending, Link, Receipt
from edge.collect.meter import Meter, NoMeter
from edge.collect.ranges import count
from edge.collect.reading import END, RESEND, Refused, ResendSaid, StatusSaid, read
from edge.collect.store import Received, Store, Stored, Written
from edge.compat import UTC
from edge.domain import Stamp
from edge.mqtt.messages import Topics
from edge.mqtt.session import Wake

_log = logging.getLogger(__name__)

BATCH = 500
"""Messages in one transaction at most."""

FULL = 5000
"""Messages held here at most while the database is away; MQTT 5 brokers send fewer unacknowledged ones."""

RETRY_S = (0.1, 10.0)
"""First and longest pause before a database that is away is tried again."""

ROUND_S = 1.0
"""How often gaps are looked at after something came, and …"""

SWEEP_S = 30.0
"""… without it: other collectors may have written."""

ROUND_SHARE = 20
"""A look at the gaps may take one part in so many of the time: alerts go first."""

CLEAN_S = 3600.0
STEADY_S = 10.0
QUESTION_EXPIRES_S = 60
QUESTIONS_A_ROUND = 100


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A message that is not in the database yet."""

    message: Received
    receipt: Receipt | None


class Collector:
    """Runs until ``stop``. ``on_stored`` is called with each newly stored alert, after it is in the database.

    Raises:
        ConfigError: credentials or certificates cannot be used.
    """

    def __init__(
        self,
        config: CollectConfig,
        engine: Engine,
        environ: Mapping[str, str],
        *,
        clock: Callable[[], Stamp],
        on_stored: Callable[[Stored], None] | None = None,
        meter: Meter | None = None,
    ) -> None:
        self._config = config
        self._engine = engine
        self._store = Store(engine)
        self._clock = clock
        self._on_stored = on_stored
        self._meter = meter or NoMeter()
        self._wake = Wake()
        self._link = Link(config, environ, self, self._wake)
        self._patience = Patience(config.collect.gap_wait_s, config.collect.gap_max_s)
        self._chance = random.Random()  # noqa: S311 - for pauses, not for secrets
        self._waiting: list[_Waiting] = []
        self._stopping = False
        self._away = False
        self._pause_s = RETRY_S[0]
        self._retry_at = 0.0
        self._touched = True
        self._next_round = 0.0
        self._next_sweep = 0.0
        self._next_cleaning = 0.0
        self._refused: Counter[str] = Counter()
        self._broker_up = False

    def stop(self) -> None:
        """End ``run`` cleanly; may be called by a signal handler."""
        self._stopping = True
        self._wake.set()

    def run(self) -> None:
        """Collect until stopped."""
        pause_s = self._config.mqtt.reconnect_min_s
        told: str | None = None
        while not self._stopping:
            ending = self._link.attempt()
            self._meter.broker(up=False)
            self._broker_up = False
            if self._stopping:
                break
            if ending.reason != told or ending.subscribed_s:
                _log.warning("broker %s:%d: %s", self._config.mqtt.host, self._config.mqtt.port, ending.reason)
            told = ending.reason
            pause_s = self._next_pause(ending, pause_s)
            self._rest(pause_s * self._chance.uniform(0.5, 1.0))
        self._write_waiting()

    @property
    def stopping(self) -> bool:
        """Whether ``stop`` was called."""
        return self._stopping

    @property
    def full(self) -> bool:
        """Whether a batch is complete, or as much waits as is held while the database is away."""
        return len(self._waiting) >= (FULL if self._away else BATCH)

    def received(self, topic: str, payload: bytes, receipt: Receipt | None, *, retained: bool) -> None:
        """Take a message; it is acknowledged when it is in the database."""
        reading = read(topic, payload, retained=retained)
        if isinstance(reading, StatusSaid) and len(self._waiting) > BATCH:
            self._forget_older(reading)
        self._waiting.append(_Waiting(Received(topic, reading), receipt))

    def tick(self) -> None:
        """Write what waits, ask for what is missing, delete what is too old."""
        now = time.monotonic()
        while self._waiting and now >= self._retry_at:
            self._write_waiting()
        if self._away and now < self._retry_at:
            return
        if self._link.subscribed and not self._broker_up:
            self._broker_up = True
            self._meter.broker(up=True)
        if now >= self._next_sweep or (self._touched and now >= self._next_round):
            self._look_for_gaps(now)
        if self._config.collect.keep_days is not None and now >= self._next_cleaning:
            self._clean(now, self._config.collect.keep_days)

    def _next_pause(self, ending: Ending, pause_s: float) -> float:
        mqtt = self._config.mqtt
        if ending.subscribed_s >= STEADY_S:
            return mqtt.reconnect_min_s
        return min(pause_s * 2, mqtt.reconnect_max_s) if ending.subscribed_s == 0 else mqtt.reconnect_min_s

    def _rest(self, pause_s: float) -> None:
        """Wait without a connection; what waits for the database goes on."""
        until = time.monotonic() + pause_s
        while not self._stopping and (self.full or time.monotonic() < until):
            self.tick()
            select.select([self._wake], [], [], min(max(until - time.monotonic(), 0.05), 0.25))
            self._wake.clear()

    def _forget_older(self, newer: StatusSaid) -> None:
        """Of each device only the newest state and health wait."""
        self._waiting = [
            one
            for one in self._waiting
            if not isinstance(one.message.reading, StatusSaid)
            or (one.message.reading.sender.prefix, one.message.reading.sender.device, one.message.reading.what)
            != (newer.sender.prefix, newer.sender.device, newer.what)
            or one.receipt is not None
        ]

    def _write_waiting(self) -> None:
        """Write what waits as one transaction and acknowledge it; one that the database cannot hold is refused."""
        batch, rest = self._waiting[:BATCH], self._waiting[BATCH:]
        if not batch:
            return
        began = time.monotonic()
        with self._database():
            self._write(batch)
            self._waiting = rest
            self._meter.wrote(time.monotonic() - began, len(rest))

    def _write(self, batch: Sequence[_Waiting]) -> None:
        try:
            written = self._store.write([one.message for one in batch], self._clock())
        except (DataError, IntegrityError) as error:
            self._write_singly(batch, error)
            return
        except DBAPIError:
            raise
        except (StatementError, ValueError, ArithmeticError) as error:  # before it came to the database
            self._write_singly(batch, error)
            return
        for one in batch:
            if one.receipt is not None:
                self._link.acknowledge(one.receipt)
            if isinstance(one.message.reading, ResendSaid) and one.message.reading.resent is None:
                _log.warning("%s: refused: %s", one.message.topic, one.message.reading.message)
        self._touched = True
        self._tell(written)

    def _write_singly(self, batch: Sequence[_Waiting], error: Exception) -> None:
        """Find the message that the database cannot hold, so that it stops no other."""
        if len(batch) > 1:
            for one in batch:
                self._write([one])
            return
        topic, reading = batch[0].message.topic, batch[0].message.reading
        if isinstance(reading, Refused) and reading.reason == "database":
            raise error
        _log.error("%s: the database cannot hold this message: %s", topic, error)
        self._write([_Waiting(Received(topic, Refused("database", type(error).__name__)), batch[0].receipt)])

    def _tell(self, written: Written) -> None:
        now = self._clock()
        self._meter.stored(
            [
                (now.time - one.decided).total_seconds() if one.decided and now.clock_synced else None
                for one in written.stored
            ]
        )
        if written.duplicates:
            self._meter.duplicates(written.duplicates)
        for reason, number in written.refused.items():
            self._meter.refused(reason, number)
            self._say_refused(reason, number)
        for reason, number in written.lost.items():
            self._meter.lost(reason, number)
        for key, lost, reason in written.newly_lost:
            _log.warning(
                "%s/%s: alerts %d to %d of epoch %d are lost: %s",
                key.prefix,
                key.device,
                lost.first,
                lost.last,
                key.epoch,
                reason,
            )
        if self._on_stored is not None:
            for one in written.stored:
                self._on_stored(one)

    def _say_refused(self, reason: str, number: int) -> None:
        """Log the first one of a reason, then at ten, a hundred and so on."""
        before = self._refused[reason]
        self._refused[reason] += number
        if len(str(self._refused[reason])) > len(str(before)) or not before:
            _log.warning(
                "%d message(s) refused (%s) since the start; `evenkeel collect --check` shows the newest",
                self._refused[reason],
                reason,
            )

    def _look_for_gaps(self, now: float) -> None:
        self._touched = False
        with self._database():
            streams = self._store.open_streams()
            self._meter.missing(sum(count(stream.missing) for stream in streams))
            if streams:
                self._touched = True  # look again soon, whether or not anything comes
            if self._link.subscribed:
                for question in self._patience.due(streams, now, QUESTIONS_A_ROUND):
                    self._ask(question)
        took_s = time.monotonic() - now
        self._next_round = now + max(ROUND_S, took_s * ROUND_SHARE)
        self._next_sweep = now + max(SWEEP_S, took_s * ROUND_SHARE)

    def _ask(self, question: Question) -> None:
        key = question.key
        wanted: dict[str, Any] = {"epoch": key.epoch, "from": question.first, "id": self._config.collect.client_id[:60]}
        if question.last is None:
            wanted["id"] += END
        else:
            wanted["to"] = question.last
        self._link.ask(Topics(key.prefix, key.device).command(RESEND), json.dumps(wanted).encode(), QUESTION_EXPIRES_S)
        self._meter.asked()
        _log.info(
            "%s/%s: requests alerts %d to %s of epoch %d again",
            key.prefix,
            key.device,
            question.first,
            question.last or "the newest",
            key.epoch,
        )

    def _clean(self, now: float, keep_days: float) -> None:
        stamp = self._clock()
        self._next_cleaning = now + CLEAN_S
        if not stamp.clock_synced:
            _log.warning("this machine's clock is not synchronised: no alert is deleted for its age")
            return
        before = _days_before(stamp.time, keep_days)
        with self._database():
            deleted = self._store.delete_old(before, stamp.time)
            if deleted:
                _log.info("deleted %d alerts received before %s", deleted, before.isoformat(timespec="seconds"))
                self._next_cleaning = now  # there may be more; messages go first

    @contextlib.contextmanager
    def _database(self) -> Iterator[None]:
        """A fault of the database is said once; what was to be written is tried again later."""
        try:
            yield
        except DBAPIError as error:
            if is_collision(error):
                return
            self._retry_at = time.monotonic() + self._pause_s
            self._pause_s = min(self._pause_s * 2, RETRY_S[1])
            if not self._away:
                _log.warning(
                    "database %s: %s; no message is acknowledged until it is available again",
                    where(self._engine.url),
                    explain(error),
                )
            self._away = True
            self._meter.database(up=False)
            self._engine.dispose()  # its other connections are not worth more
            return
        if self._away:
            _log.info("database %s: available again", where(self._engine.url))
        self._away = False
        self._retry_at = 0.0
        self._pause_s = RETRY_S[0]
        self._meter.database(up=True)


def _days_before(time: datetime, days: float) -> datetime:
    try:
        return time - timedelta(days=days)
    except OverflowError:
        return datetime.min.replace(tzinfo=UTC)
