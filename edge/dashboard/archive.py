"""The collector's database as the pages use it: beside the collector, and in threads of its own."""

from __future__ import annotations

import asyncio
import stat
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from sqlalchemy import URL, Connection, Engine
from sqlalchemy.exc import DBAPIError

from edge.collect.database import SQLITE, check_form, explain, open_database, where
from edge.collect.store import Erasure, Store
from edge.compat import UTC
from edge.dashboard.history import is_known
from edge.errors import EvenkeelError, UnavailableError, UsageError

AT_ONCE = 2
"""Questions to the database at the same time; what else is asked waits."""

Answer = TypeVar("Answer")


class Archive:
    """A database that may come, go, and be of another version; each question finds out anew."""

    def __init__(self, url: URL) -> None:
        self._url = url
        self._lock = threading.RLock()
        self._engine: Engine | None = None
        self._file: tuple[int, int] | None = None
        self._turn = asyncio.Semaphore(AT_ONCE)

    @property
    def name(self) -> str:
        """Where it is, without a password."""
        return where(self._url)

    async def ask(self, question: Callable[[Connection], Answer]) -> Answer:
        """What ``question`` reads, in one transaction and in a thread of its own.

        Raises:
            UnavailableError: the database is not there, has another form, or holds what cannot be read.
        """
        async with self._turn:
            return await asyncio.to_thread(self.ask_here, question)

    def ask_here(self, question: Callable[[Connection], Answer]) -> Answer:
        """The same in this thread."""
        try:
            return self._once(question)
        except DBAPIError as error:
            if not error.connection_invalidated:
                raise self._gone(explain(error)) from error
        try:
            return self._once(question)  # a server that was restarted: the connection of before was no more
        except DBAPIError as error:
            raise self._gone(explain(error)) from error

    async def erase(self, prefix: str, device: str) -> Erasure:
        """Delete all of one device, as ``evenkeel collect --forget`` does.

        Raises:
            UsageError: there is none of that name.
            UnavailableError: as ``ask``, or it may not be written.
        """
        async with self._turn:
            return await asyncio.to_thread(self._erase, prefix, device)

    def close(self) -> None:
        """Let go of what is open."""
        with self._lock:
            if self._engine is not None:
                self._engine.dispose()
                self._engine = None

    def _once(self, question: Callable[[Connection], Answer]) -> Answer:
        engine = self._opened()
        try:
            with engine.connect() as connection, connection.begin():
                return question(connection)
        except (
            ValueError,
            TypeError,
            OverflowError,
        ) as error:  # of a value that no version of this program has written
            raise self._gone(f"holds what cannot be read: {error}") from error

    def _opened(self) -> Engine:
        with self._lock:
            if self._url.get_backend_name() == SQLITE:
                file = self._look_at(Path(str(self._url.database)))
                if file != self._file:  # another one stands in its place: what is open is of one that is gone
                    self.close()
                    self._file = file
            if self._engine is None:
                engine = open_database(self._url, writing=False)
                try:
                    check_form(engine)
                except EvenkeelError as error:
                    engine.dispose()
                    raise UnavailableError(str(error)) from None
                self._engine = engine
            return self._engine

    def _look_at(self, path: Path) -> tuple[int, int]:
        """Which file it is. One that is not there would be made, and one in another's folder cannot be looked for."""
        try:
            found = path.stat()
        except (FileNotFoundError, NotADirectoryError):
            found = None
        except OSError as error:
            raise self._gone(f"{error.strerror}; run the dashboard as a user who may read it") from None
        if found is None or not stat.S_ISREG(found.st_mode):
            raise self._gone("no such file; is a collector writing there?")
        return found.st_dev, found.st_ino

    def _erase(self, prefix: str, device: str) -> Erasure:
        if not self.ask_here(lambda connection: is_known(connection, prefix, device)):
            raise UsageError(f"{prefix}/{device}: no such device")
        engine = open_database(self._url)
        try:
            return Store(engine).forget(prefix, device, datetime.now(UTC))
        except DBAPIError as error:
            raise self._gone(explain(error)) from error
        finally:
            engine.dispose()

    def _gone(self, why: str) -> UnavailableError:
        self.close()
        return UnavailableError(f"database {self.name}: {why}")
