"""The collector as a process of its own, and what is in its database: the place where tests and measurements count."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, func, select

from edge.collect.tables import alerts

START_DEADLINE_S = 20.0
STOP_DEADLINE_S = 20.0
QUICK = "reconnect_min_s = 0.1\nreconnect_max_s = 1.0\n"


@dataclass(frozen=True, slots=True)
class Kept:
    """An alert in the database, in the order in which it got there; ``content`` is its payload."""

    prefix: str
    device: str
    epoch: int
    sequence: int
    resent: bool
    content: dict[str, Any]


class CollectorProcess:
    """``evenkeel collect`` on a broker at ``port``; its configuration, log and SQLite database lie in ``folder``.

    ``database`` is another address than that of the SQLite file; ``settings`` are lines for ``[collect]`` and
    ``mqtt`` lines for ``[mqtt]``. ``arguments`` go to the command line.
    """

    def __init__(
        self,
        folder: Path,
        port: int,
        *,
        name: str = "collector",
        database: str | None = None,
        settings: str = "",
        mqtt: str = QUICK,
        arguments: tuple[str, ...] = (),
    ) -> None:
        self.database = database or f"sqlite:///{folder / name}.db"
        self.config = folder / f"{name}.toml"
        self._log = folder / f"{name}.log"
        self._arguments = arguments
        self.config.write_text(
            f'[mqtt]\nhost = "127.0.0.1"\nport = {port}\n{mqtt}\n'
            f'[collect]\ndatabase = "{self.database}"\nclient_id = "{name}"\n{settings}\n'
        )
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        """What it has logged so far, over all its lives."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    @property
    def pid(self) -> int | None:
        """The running process."""
        return None if self._process is None else self._process.pid

    @property
    def fell(self) -> bool:
        """Whether it was started and has ended by itself."""
        return self._process is not None and self._process.poll() is not None

    def start(self, *, wait: bool = True) -> None:
        """Start it; with ``wait`` return when it is subscribed.

        Raises:
            TimeoutError: it is not subscribed in time.
        """
        before = self.log.count("collecting ")
        program = [sys.executable, "-c", "from edge.cli import main; main()"]
        command = [*program, "collect", "--config", str(self.config), *self._arguments]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log)  # noqa: S603 - our own command
        deadline = time.monotonic() + START_DEADLINE_S
        while wait and self.log.count("collecting ") == before:
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise TimeoutError(f"the collector is not subscribed:\n{self.log}")
            time.sleep(0.01)

    def lines(self) -> Iterator[str]:
        """What it prints (``--json``), until it ends."""
        if self._process is not None and self._process.stdout is not None:
            for line in self._process.stdout:
                yield line.decode()

    def stop_reading(self) -> None:
        """Close the pipe that it prints to."""
        if self._process is not None and self._process.stdout is not None:
            self._process.stdout.close()

    def wait(self) -> int:
        """Until it ends by itself; return its exit status."""
        return 0 if self._process is None else self._process.wait(timeout=STOP_DEADLINE_S)

    def stop(self) -> int:
        """End it as its service manager would; return its exit status."""
        return self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it as a power cut would."""
        self._end(signal.SIGKILL)

    def alerts(self) -> list[Kept]:
        """What is in its database."""
        return read_alerts(self.database)

    def _end(self, number: signal.Signals) -> int:
        if self._process is None:
            return 0
        self._process.send_signal(number)
        status = self._process.wait(timeout=STOP_DEADLINE_S)
        self._process = None
        return status


def count_alerts(database: str) -> int:
    """How many alerts are in a collector's database."""
    engine = create_engine(database)
    try:
        with engine.connect() as connection:
            return int(connection.execute(select(func.count()).select_from(alerts)).scalar_one())
    finally:
        engine.dispose()


def read_alerts(database: str) -> list[Kept]:
    """Every alert in a collector's database, in the order in which they got there."""
    engine = create_engine(database)
    try:
        with engine.connect() as connection:
            rows = connection.execute(select(alerts).order_by(alerts.c.id)).all()
    finally:
        engine.dispose()
    return [Kept(row.prefix, row.device, row.epoch, row.sequence, row.resent, json.loads(row.payload)) for row in rows]
