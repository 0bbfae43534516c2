"""What ``evenkeel collect`` does: collect, forget a device, bring the database up to date. ``view`` looks."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import datetime
from typing import TextIO

from sqlalchemy import Engine, select

from edge.board.notify import Notifier
from edge.board.sensors import clock_synced
from edge.collect.collector import Collector
from edge.collect.config import CollectConfig
from edge.collect.database import database_url, open_database, reported, upgrade, where
from edge.collect.meter import PrometheusMeter
from edge.collect.store import Erasure, Store, Stored
from edge.collect.tables import OF_A_DEVICE
from edge.collect.view import open_existing
from edge.compat import UTC
from edge.domain import Stamp
from edge.errors import UnavailableError, UsageError
from edge.mqtt.messages import rfc3339


def receiver_stamp() -> Stamp:
    """This moment on the collector's clocks; one of which nobody tells that it is unset is believed."""
    return Stamp(
        time=datetime.now(UTC),
        uptime_s=time.clock_gettime(time.CLOCK_BOOTTIME),
        clock_synced=clock_synced() is not False,
    )


def collect(
    config: CollectConfig, environ: Mapping[str, str], *, lines: TextIO | None = None, metrics: str | None = None
) -> None:
    """Collect until SIGTERM or SIGINT. Each newly stored alert goes to ``lines`` as JSON.

    Raises:
        ConfigError: configuration, credentials or the database's form cannot be used.
        UnavailableError: the database is not there, ``lines`` takes no more, or ``metrics`` cannot be served.
        UsageError: ``metrics`` is no address and port.
    """
    with ExitStack() as stack:
        meter = served_meter(config, metrics)
        if meter is not None:
            stack.callback(meter.close)
        engine = migrate(config, environ)
        stack.callback(engine.dispose)
        notifier = Notifier.from_environment(environ)
        stack.callback(notifier.close)
        on_stored = None if lines is None else _printer(lines)
        collector = Collector(config, engine, environ, clock=receiver_stamp, on_stored=on_stored, meter=meter)
        with _stopped_by_signals(collector.stop):
            notifier.ready()
            notifier.status(f"into {where(engine.url)}")
            collector.run()
            notifier.stopping()


def migrate(config: CollectConfig, environ: Mapping[str, str]) -> Engine:
    """Open the database and bring it to the form of this version.

    Raises:
        ConfigError, UnavailableError: as ``collect``.
    """
    url = database_url(config.collect, environ)
    engine = open_database(url)
    with reported(url):
        upgrade(engine)
    return engine


def forget(config: CollectConfig, environ: Mapping[str, str], name: str) -> Erasure:
    """Delete all of one device, named by its id or, where two prefixes have it, as ``PREFIX/ID``.

    Raises:
        UsageError: there is no such device, or more than one.
        ConfigError, UnavailableError: as ``collect``.
    """
    url = database_url(config.collect, environ)
    engine = open_existing(url, writing=True)
    with reported(url):
        found = _named(engine, name)
        if not found:
            raise UsageError(f"{name}: no such device; `evenkeel collect --check` lists them")
        if len(found) > 1:
            several = ", ".join("/".join(one) for one in found)
            raise UsageError(f"{name}: there are several: {several}; name one of them in full")
        return Store(engine).forget(*found[0], datetime.now(UTC))


def _named(engine: Engine, name: str) -> list[tuple[str, str]]:
    prefix, _, device = name.rpartition("/")
    with engine.connect() as connection:
        known = {
            (row.prefix, row.device)
            for table in OF_A_DEVICE
            for row in connection.execute(select(table.c.prefix, table.c.device).where(table.c.device == device))
        }
    return sorted(one for one in known if not prefix or one[0] == prefix)


def _printer(lines: TextIO) -> Callable[[Stored], None]:
    def print_alert(stored: Stored) -> None:
        said = {
            "prefix": stored.prefix,
            "device": stored.device,
            "received": rfc3339(stored.received),
            "alert": json.loads(stored.payload),
        }
        try:
            print(json.dumps(said), file=lines, flush=True)
        except OSError as error:
            raise UnavailableError(f"--json: nothing reads the output any more: {error.strerror}") from None

    return print_alert


@contextmanager
def _stopped_by_signals(stop: Callable[[], None]) -> Iterator[None]:
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = {number: signal.signal(number, lambda *_: stop()) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def served_meter(config: CollectConfig, metrics: str | None) -> PrometheusMeter | None:
    """Where ``metrics`` says, else where the configuration does; None for nowhere.

    Raises:
        UnavailableError, UsageError: as ``collect``.
    """
    if metrics is not None:
        return PrometheusMeter(*_address(metrics))
    address = config.metrics.address
    return None if address is None else PrometheusMeter(*address, told="metrics.listen")


def _address(text: str) -> tuple[str, int]:
    address, _, port = text.rpartition(":")
    if not port.isdigit() or int(port) > 65_535:
        raise UsageError(f"--metrics {text}: write an address and a port, as 127.0.0.1:9109")
    return address.strip("[]") or "127.0.0.1", int(port)
