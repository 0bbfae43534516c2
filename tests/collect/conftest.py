"""A database of each kind, and what devices say, as the broker would hand it over."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import pytest
from sqlalchemy import Engine, make_url, select

from benchmarks.collecting import read_alerts
from benchmarks.postgresql import Postgresql, programs
from edge.collect import gaps
from edge.collect.collector import Collector
from edge.collect.command import migrate, receiver_stamp
from edge.collect.config import CollectConfig
from edge.collect.database import open_database, upgrade
from edge.collect.meter import NoMeter
from edge.collect.reading import read
from edge.collect.store import Received, Store, Stored, Written
from edge.collect.tables import streams
from edge.compat import UTC
from edge.domain import Stamp
from tests.collect.said import payload
from tests.mqtt.conftest import certificates, passwords, publish_to  # noqa: F401 - fixtures

SERVER_BYTES = 500_000_000
BEGINNING = datetime(2026, 5, 4, 9, 30, tzinfo=UTC)


@pytest.fixture(scope="session")
def make_postgresql() -> Iterator[Callable[[], Postgresql]]:
    """Starts PostgreSQL servers, in memory where there is room; pytest's folders are closed to them."""
    if programs() is None:
        reason = "PostgreSQL is not installed (apt-get install postgresql)"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    servers: list[Postgresql] = []
    memory = Path("/dev/shm")  # noqa: S108 - each makes a folder of its own in it
    roomy = memory.is_dir() and shutil.disk_usage(memory).free > SERVER_BYTES  # a container's may be 64 MB

    def make() -> Postgresql:
        servers.append(Postgresql(memory if roomy else Path(tempfile.gettempdir())))
        servers[-1].start()
        return servers[-1]

    yield make
    for server in servers:
        server.remove()


@pytest.fixture(scope="session")
def postgresql(make_postgresql: Callable[[], Postgresql]) -> Postgresql:
    """A server for all tests; each makes a database of its own in it."""
    return make_postgresql()


@pytest.fixture
def postgresql_of_its_own(make_postgresql: Callable[[], Postgresql]) -> Postgresql:
    """A server that a test may kill."""
    return make_postgresql()


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty database, of each kind in turn."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'collect.db'}"
    server: Postgresql = request.getfixturevalue("postgresql")
    return server.create(f"test_{uuid.uuid4().hex}")


@pytest.fixture
def engine(database: str) -> Iterator[Engine]:
    """The database with its tables."""
    engine = open_database(make_url(database))
    upgrade(engine)
    yield engine
    engine.dispose()


@dataclass
class Desk:
    """A store with a clock of its own, which is handed messages as they come from a broker."""

    store: Store
    now: datetime = BEGINNING
    synced: bool = True
    written: list[Written] = field(default_factory=list)

    def take(self, *messages: tuple[str, bytes], retained: bool = False) -> Written:
        """Write messages, given as topic and payload, in one transaction."""
        batch = [Received(topic, read(topic, said, retained=retained)) for topic, said in messages]
        self.written.append(self.store.write(batch, Stamp(self.now, 1.0, self.synced)))
        return self.written[-1]

    def alerts(self, *sequences: int, epoch: int = 7, device: str = "van-7", prefix: str = "evenkeel") -> Written:
        """Write alerts of a device."""
        return self.take(
            *(
                (f"{prefix}/{device}/alert", payload("alert", sequence=number, epoch=epoch, device_id=device))
                for number in sequences
            )
        )

    def state(self, sequence: int, *, epoch: int = 7, device: str = "van-7", retained: bool = False) -> Written:
        """Write a state that tells the newest alert."""
        return self.take(
            (f"evenkeel/{device}/state", payload("state", sequence=sequence, epoch=epoch)), retained=retained
        )

    def drives(self, *, moves: bool | None, retained: bool = False) -> Written:
        """Write a state that tells whether the vehicle moves."""
        context = {"speed_kmh": None, "standstill": None if moves is None else not moves} | dict.fromkeys(
            ("standing_s", "ignition")
        )
        return self.take(("evenkeel/van-7/state", payload("state", watching=True, context=context)), retained=retained)

    def piece(self, *, epoch: int = 7, sequence: int = 1, **said: Any) -> Written:
        """Write numbers around an alert."""
        told = payload("episode", epoch=epoch, sequence=sequence, **said)
        return self.take((f"evenkeel/van-7/episode/{epoch}/{sequence}", told))

    def answers(self, said: bytes, device: str = "van-7") -> Written:
        """Write a device's answer to ``resend``."""
        return self.take((f"evenkeel/{device}/command/resend/result", said))

    def missing(self) -> dict[int, list[tuple[int, int]]]:
        """What is missing of van-7, by epoch; an epoch whose end is not known has (0, 0) in it."""
        return {
            stream.key.epoch: [(one.first, one.last) for one in stream.missing] + ([(0, 0)] if stream.tail else [])
            for stream in self.store.open_streams()
        }

    def wait(self, **duration: float) -> None:
        """Let time pass."""
        self.now += timedelta(**duration)


@pytest.fixture
def desk(engine: Engine) -> Desk:
    """A store on each kind of database."""
    return Desk(Store(engine))


class Running:
    """A collector in a thread of this process."""

    def __init__(self, config: CollectConfig, *, on_stored: Callable[[Stored], None] | None = None) -> None:
        self.database = str(config.collect.database)
        self.meter = Counting()
        self._engine = migrate(config, {})
        self.collector = Collector(
            config, self._engine, {}, clock=receiver_stamp, on_stored=on_stored, meter=self.meter
        )
        self._thread = threading.Thread(target=self.collector.run, daemon=True)
        self._thread.start()

    def kept(self, device: str = "van-7") -> list[tuple[int, int]]:
        """Epoch and sequence of what is stored of a device, in the order in which it came."""
        return [(one.epoch, one.sequence) for one in read_alerts(self.database) if one.device == device]

    def ended(self) -> dict[int, str | None]:
        """What is known of the end of each epoch."""
        with self._engine.connect() as connection:
            return {row.epoch: row.ended for row in connection.execute(select(streams))}

    def stop(self) -> None:
        """End it cleanly."""
        self.collector.stop()
        self._thread.join(10)
        assert not self._thread.is_alive()
        self._engine.dispose()


class Counting(NoMeter):
    """Counts what happens."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.up = False

    def refused(self, reason: str, count: int) -> None:
        self.counts[f"refused {reason}"] += count

    def duplicates(self, count: int) -> None:
        self.counts["duplicates"] += count

    def asked(self) -> None:
        self.counts["asked"] += 1

    def broker(self, *, up: bool) -> None:
        self.up = up


@pytest.fixture
def run_collector(tmp_path: Path, until: Until, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Running]]:
    """Runs collectors: ``run_collector(port, database=…, mqtt={…}, gap_wait_s=…)``; returns when each is subscribed."""
    monkeypatch.setattr(gaps, "QUESTION_PAUSE_S", 0.3)  # these devices count no commands
    running: list[Running] = []

    def make(
        port: int,
        database: str | None = None,
        *,
        mqtt: dict[str, Any] | None = None,
        on_stored: Callable[[Stored], None] | None = None,
        wait: bool = True,
        **collect: Any,
    ) -> Running:
        known = {"host": "127.0.0.1", "port": port, "reconnect_min_s": 0.1, "reconnect_max_s": 0.2}
        database = database or f"sqlite:///{tmp_path / 'collect.db'}"
        wanted = {"gap_wait_s": 0.2, "client_id": f"collector-{len(running)}", "database": database} | collect
        config = CollectConfig.model_validate({"mqtt": known | (mqtt or {}), "collect": wanted})
        running.append(Running(config, on_stored=on_stored))
        if wait:
            until(lambda: running[-1].meter.up, "a subscription")
        return running[-1]

    yield make
    for one in running:
        one.stop()


class Until(Protocol):
    """Waits for a condition."""

    def __call__(self, condition: Callable[[], bool], what: str, deadline_s: float = 15.0) -> None: ...


@pytest.fixture
def until() -> Until:
    """Waits for a condition: ``until(lambda: running.kept() == […], "the alerts")``."""

    def wait(condition: Callable[[], bool], what: str, deadline_s: float = 15.0) -> None:
        end = time.monotonic() + deadline_s
        while not condition():
            if time.monotonic() > end:
                pytest.fail(f"{what} did not come within {deadline_s} s")
            time.sleep(0.01)

    return wait
