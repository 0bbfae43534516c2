"""A PostgreSQL of one's own, for tests and measurements: on loopback only, started, stopped and killed at will."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from benchmarks.server import free_port

START_DEADLINE_S = 30.0
DEBIAN = Path("/usr/lib/postgresql")


class PostgresqlError(Exception):
    """PostgreSQL is not installed or does not start."""


def programs() -> Path | None:
    """The folder of ``initdb`` and ``postgres``, which Debian leaves out of the PATH; of several the newest."""
    versions = sorted(DEBIAN.glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    found = versions[-1] if versions else shutil.which("initdb")
    return None if found is None else Path(found).resolve().parent


class Postgresql:
    """A cluster with one superuser, ``evenkeel``; it trusts whoever connects.

    It runs as an ordinary user, as PostgreSQL insists: where this process is root, as ``nobody``. ``settings`` are
    server settings (``fsync=off`` for tests that do not ask about power cuts). Its files lie below ``parent``.

    Raises:
        PostgresqlError: it is not installed, or no cluster can be made.
    """

    def __init__(self, parent: Path, *settings: str) -> None:
        found = programs()
        if found is None:
            raise PostgresqlError("PostgreSQL is not installed (apt-get install postgresql)")
        self._programs = found
        self.port = free_port()
        self._settings = settings
        self._user = "nobody" if os.geteuid() == 0 else None
        self.folder = Path(tempfile.mkdtemp(prefix="pg-", dir=parent))
        if self._user is not None:
            os.chown(self.folder, pwd.getpwnam(self._user).pw_uid, -1)
        self._data = self.folder / "data"
        self._process: subprocess.Popen[bytes] | None = None
        made = subprocess.run(  # noqa: S603 - our own folder
            [
                str(found / "initdb"),
                "-D",
                str(self._data),
                "-U",
                "evenkeel",
                "-A",
                "trust",
                "-E",
                "UTF8",
                "--no-locale",
            ],
            capture_output=True,
            text=True,
            user=self._user,
            cwd=self.folder,
            check=False,
        )
        if made.returncode:
            raise PostgresqlError(f"initdb: {made.stderr.strip()}")

    @property
    def log(self) -> str:
        """What the server has logged so far."""
        return (self.folder / "log").read_text(errors="replace")

    def start(self) -> None:
        """Start the server and return when it accepts connections.

        Raises:
            PostgresqlError: it does not come up.
        """
        settings = (
            f"port={self.port}",
            "listen_addresses=127.0.0.1",
            f"unix_socket_directories={self.folder}",
            *self._settings,
        )
        arguments = [part for setting in settings for part in ("-c", setting)]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own folder
                [str(self._programs / "postgres"), "-D", str(self._data), *arguments],
                stdout=log,
                stderr=log,
                user=self._user,
                cwd=self.folder,
            )
        deadline = time.monotonic() + START_DEADLINE_S
        while not self._ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise PostgresqlError(f"PostgreSQL does not come up:\n{self.log}")
            time.sleep(0.05)

    def create(self, database: str) -> str:
        """Make a database; return its address for SQLAlchemy."""
        command = [
            str(self._programs / "createdb"),
            "-h",
            str(self.folder),
            "-p",
            str(self.port),
            "-U",
            "evenkeel",
            database,
        ]
        subprocess.run(command, check=True, capture_output=True)  # noqa: S603 - our own server
        return f"postgresql+psycopg://evenkeel@127.0.0.1:{self.port}/{database}"

    def stop(self) -> None:
        """End the server at once and cleanly; its clients' connections are cut."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """End the server as a power cut would: PostgreSQL calls it an immediate shutdown."""
        self._end(signal.SIGQUIT)

    def remove(self) -> None:
        """Stop it and delete its files."""
        self._end(signal.SIGQUIT)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _ready(self) -> bool:
        command = [str(self._programs / "pg_isready"), "-h", str(self.folder), "-p", str(self.port), "-q"]
        return subprocess.run(command, check=False).returncode == 0  # noqa: S603 - our own server

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(timeout=30)
            self._process = None
