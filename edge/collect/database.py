"""The database behind the collector: which one, how it is opened, and whether its form is the one known here."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config as AlembicConfig
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from edge.collect.config import CollectSection
from edge.config.secrets import shown
from edge.errors import ConfigError, UnavailableError

SQLITE, POSTGRESQL = "sqlite", "postgresql"
CREDENTIAL = "database_password"
"""Name of systemd's credential (``LoadCredential=database_password:…``)."""

VERSION_TABLE = "evenkeel_version"
BUSY_S = 2.0
"""Longest wait for another process that writes to the same SQLite file."""

CONNECT_S = 5
UNANSWERED_MS = 10_000
STATEMENT_MS = 20_000
_COLLISIONS = {"40001", "40P01"}
"""PostgreSQL's codes for a serialization failure and a deadlock."""

_UPGRADE_LOCK = 0x6576656E6B65656C  # "evenkeel"


def database_url(section: CollectSection, environ: Mapping[str, str], table: str = "collect") -> URL:
    """The database that the configuration names in its ``table``, with its password, which no text form shows.

    Raises:
        ConfigError: it is none that can be used, holds a password, or the password's file cannot be read.
    """
    if section.database is None:
        return URL.create(SQLITE, database=str(_default_path(environ)))
    try:
        url = make_url(section.database)
    except ArgumentError:
        raise ConfigError(
            f"{table}.database = {section.database!r}: no database address; write 'sqlite:////path/collect.db' or "
            "'postgresql+psycopg://user@host/name'"
        ) from None
    if url.password is not None:
        raise ConfigError(
            f"{table}.database = {str(url)!r}: contains a password; write it to a file and set "
            f"{table}.database_password_file"
        )
    if url.drivername in (SQLITE, f"{SQLITE}+pysqlite"):
        if not url.database or url.database == ":memory:":
            raise ConfigError(f"{table}.database = {str(url)!r}: names no file; write 'sqlite:////path/collect.db'")
        return url
    if url.drivername in (POSTGRESQL, f"{POSTGRESQL}+psycopg"):
        return url.set(drivername=f"{POSTGRESQL}+psycopg", password=_password(section, environ, table))
    raise ConfigError(
        f"{table}.database = {str(url)!r}: {url.drivername} is not supported; use sqlite or postgresql+psycopg"
    )


def open_database(url: URL, *, writing: bool = True) -> Engine:
    """An engine; nothing is connected yet.

    Raises:
        UnavailableError: a package is missing, or the folder of a SQLite file cannot be made.
    """
    if url.get_backend_name() == SQLITE:
        if writing:
            _make_private(Path(str(url.database)))
        engine = create_engine(url, connect_args={"timeout": BUSY_S}, pool_size=1, max_overflow=1)
        event.listen(engine, "connect", _set_up_sqlite)
        # a transaction that read before it wrote might be refused: whoever may write says so at once
        begin = "BEGIN IMMEDIATE" if writing else "BEGIN"
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(begin))
        return engine
    arguments: dict[str, Any] = {
        "application_name": "evenkeel collect",
        "connect_timeout": CONNECT_S,
        "tcp_user_timeout": UNANSWERED_MS,
        "options": f"-c statement_timeout={STATEMENT_MS} -c lock_timeout={UNANSWERED_MS}",
    }
    try:
        return create_engine(url, connect_args=arguments, pool_size=1, max_overflow=1)
    except (ModuleNotFoundError, NoSuchModuleError):
        raise UnavailableError(
            "PostgreSQL needs the package psycopg; install it: pip install 'evenkeel[postgresql]'"
        ) from None


def upgrade(engine: Engine) -> None:
    """Bring the database to the form that this version knows; an empty one is set up.

    Raises:
        ConfigError: it was written by a newer version.
        DBAPIError: the database is not there, or does not let us.
    """
    with engine.begin() as connection:
        if connection.dialect.name == POSTGRESQL:  # collectors that start at once take turns
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _UPGRADE_LOCK})
        if not _is_current(connection):
            command.upgrade(_alembic(connection), "head")


def check_form(engine: Engine) -> None:
    """Make sure that the database has the form that this version knows, without changing it.

    Raises:
        ConfigError: it has not.
    """
    with engine.connect() as connection:
        if not _is_current(connection):
            raise ConfigError(
                f"{where(engine.url)}: not a collector's database, or one of an older version; "
                "run `evenkeel collect --migrate`"
            )


def empty_log(engine: Engine) -> None:
    """Empty SQLite's write-ahead log, which holds what was deleted; a reader that is at it puts that off."""
    if engine.dialect.name == SQLITE:
        with closing(engine.raw_connection()) as connection:
            connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")


def where(url: URL) -> str:
    """The database's address as people may see it."""
    return str(url.database) if url.get_backend_name() == SQLITE else url.render_as_string(hide_password=True)


def explain(error: DBAPIError) -> str:
    """What is wrong with the database, in one line."""
    lines = str(error.orig).strip().splitlines() or [type(error.orig).__name__]
    return lines[0]


def is_collision(error: DBAPIError) -> bool:
    """Whether another writer came in between, so that the same transaction may well succeed now."""
    return getattr(error.orig, "sqlstate", None) in _COLLISIONS


@contextmanager
def reported(url: URL) -> Iterator[None]:
    """Turn a fault of the database into an error for people.

    Raises:
        UnavailableError: instead of DBAPIError.
    """
    try:
        yield
    except DBAPIError as error:
        raise UnavailableError(f"database {where(url)}: {explain(error)}") from error


def _is_current(connection: Connection) -> bool:
    """Whether the form is the newest known here.

    Raises:
        ConfigError: it is one that is not known here.
    """
    scripts = ScriptDirectory.from_config(_alembic(connection))
    found = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE}).get_current_revision()
    known = {script.revision for script in scripts.walk_revisions()}
    if found is not None and found not in known:
        raise ConfigError(
            f"{where(connection.engine.url)}: written by a newer version of evenkeel (schema {found}); "
            "upgrade this one, or restore a backup"
        )
    return found == scripts.get_current_head()


def _alembic(connection: Connection) -> AlembicConfig:
    config = AlembicConfig()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.attributes.update(connection=connection, version_table=VERSION_TABLE)
    return config


def _default_path(environ: Mapping[str, str]) -> Path:
    folder = environ.get("STATE_DIRECTORY")
    if folder:
        return Path(folder.split(":", maxsplit=1)[0]) / "collect.db"
    try:
        return Path("~/.local/state/evenkeel/collect.db").expanduser()
    except RuntimeError:
        raise ConfigError("no home directory here; set collect.database") from None


def _password(section: CollectSection, environ: Mapping[str, str], table: str) -> str | None:
    path = section.database_password_file
    if path is None:
        folder = environ.get("CREDENTIALS_DIRECTORY")
        credential = Path(folder) / CREDENTIAL if folder else None
        if credential is None or not credential.exists():
            return None
        path = credential
    try:
        password = path.read_text(encoding="utf-8-sig").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise ConfigError(f"{table}.database_password_file = {shown(path)}: cannot be read: {reason}") from None
    if not password and section.database_password_file is not None:
        raise ConfigError(f"{table}.database_password_file = {path}: empty; write the password into it")
    return password or None


def _make_private(path: Path) -> None:
    """Make the file for its owner alone: what it will hold is personal."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
    except OSError as error:
        raise UnavailableError(f"database {path}: cannot be written: {error.strerror}; set collect.database") from None


def _set_up_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # SQLAlchemy says when a transaction begins
    for setting in ("journal_mode = WAL", "synchronous = FULL", "secure_delete = ON"):
        connection.execute(f"PRAGMA {setting}")
