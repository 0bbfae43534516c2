"""The collector in a thread of the dashboard: for a device on its own, which no fleet's collector listens to."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping

from sqlalchemy import URL

from edge.collect.collector import Collector
from edge.collect.command import migrate, receiver_stamp
from edge.collect.config import CollectConfig, CollectSection
from edge.collect.database import SQLITE
from edge.config import Config
from edge.errors import ConfigError
from edge.mqtt.names import client_id

_log = logging.getLogger(__name__)

STOP_S = 5.0


def collect_config(config: Config) -> CollectConfig:
    """What ``evenkeel collect`` would be told, from the dashboard's configuration."""
    history = config.dashboard.history
    section = CollectSection(
        database=history.database,
        database_password_file=history.database_password_file,
        client_id=client_id(config, "history"),
        keep_days=history.keep_days,
    )
    return CollectConfig(mqtt=config.mqtt, collect=section)


class Collecting:
    """Collects from ``start`` to ``stop``.

    Raises:
        ConfigError: the database is no SQLite file, or of a newer version.
        UnavailableError: it cannot be written.
    """

    def __init__(self, config: CollectConfig, url: URL, environ: Mapping[str, str]) -> None:
        if url.get_backend_name() != SQLITE:
            raise ConfigError(
                "dashboard.history.collect goes with an SQLite file only; run `evenkeel collect` for PostgreSQL"
            )
        self._engine = migrate(config, environ)
        self._collector = Collector(config, self._engine, environ, clock=receiver_stamp)
        self._thread = threading.Thread(target=self._run, name="collector", daemon=True)
        self._problem = ""

    @property
    def problem(self) -> str:
        """Why nothing is collected any more; empty while it is."""
        return self._problem

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Write what has come, and end."""
        self._collector.stop()
        self._thread.join(STOP_S)
        self._engine.dispose()

    def _run(self) -> None:
        try:
            self._collector.run()
        except Exception as error:  # noqa: BLE001 - the pages go on, and say so
            _log.exception("the collector has ended; the pages go on")
            self._problem = f"nothing is collected any more: {error!r}; start the dashboard anew"
