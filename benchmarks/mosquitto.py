"""Mosquitto, for tests and measurements."""

from __future__ import annotations

import getpass
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

from benchmarks.server import Server, program


def executable() -> str | None:
    """Where mosquitto is."""
    return program("mosquitto")


class Mosquitto(Server):
    """A mosquitto of its own.

    ``settings`` and ``listener`` are lines for its configuration file, ``log_type`` is what it logs. With
    ``per_listener`` settings such as passwords belong to the listener that they follow. In both, ``{folder}`` is where
    its files lie.
    """

    name = "mosquitto"

    def __init__(
        self,
        folder: Path,
        settings: str = "allow_anonymous true",
        listener: str = "",
        *,
        log_type: str = "all",
        per_listener: bool = False,
    ) -> None:
        super().__init__(folder)
        self._config = folder / "mosquitto.conf"
        self._head = [
            f"user {getpass.getuser()}",  # started by root it would change user and lose sight of its own files
            f"log_type {log_type}",
            f"per_listener_settings {str(per_listener).lower()}",
            f"listener {self.port} 127.0.0.1",
            listener,
        ]
        self.configure(settings)

    def configure(self, settings: str) -> None:
        """Give it other settings from its next start on."""
        lines = "\n".join([*self._head, settings])
        self._config.write_text(lines.replace("{folder}", str(self.folder)) + "\n")

    @classmethod
    def missing(cls) -> str | None:
        """Whether it is installed."""
        return None if executable() else "mosquitto is not installed (apt-get install mosquitto)"

    @classmethod
    def version(cls) -> str:
        """As its help says it."""
        told = subprocess.run([executable() or cls.name, "-h"], capture_output=True, text=True, check=False).stdout  # noqa: S603 - a fixed tool
        found = re.search(r"version (\S+)", told)
        return found[1] if found else "of an unknown version"

    def forget(self) -> None:
        """Delete its database."""
        (self.folder / "mosquitto.db").unlink(missing_ok=True)

    def _command(self) -> Sequence[str]:
        return [executable() or self.name, "-c", str(self._config)]
