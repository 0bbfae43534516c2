"""RabbitMQ with its MQTT plugin, run by hand in a folder of its own."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.brokers.erlang import private_environment
from benchmarks.server import Server, free_port, program

# Debian's wrapper in /usr/sbin insists on the system's user and folders
HOME = Path("/usr/lib/rabbitmq")
SETTINGS = """listeners.tcp = none
mqtt.listeners.tcp.1 = 127.0.0.1:{port}
mqtt.allow_anonymous = true
log.console = true
log.console.level = warning
log.file = false
"""


class RabbitMq(Server):
    """A node of its own, with a port mapper (epmd) of its own. ``settings`` are lines for ``rabbitmq.conf``."""

    name = "rabbitmq"
    start_deadline_s = 90.0

    def __init__(self, folder: Path, settings: str = "") -> None:
        super().__init__(folder)
        self._mapper_port = free_port()
        self._distribution_port = free_port()
        self._mapper: subprocess.Popen[bytes] | None = None
        (folder / "rabbitmq.conf").write_text(SETTINGS.format(port=self.port) + settings)
        (folder / "plugins").write_text("[rabbitmq_mqtt].\n")
        (folder / "advanced.config").write_text("[].\n")

    @classmethod
    def missing(cls) -> str | None:
        """Whether it is installed."""
        there = (HOME / "bin" / "rabbitmq-server").exists() and program("epmd")
        return None if there else "RabbitMQ is not installed (apt-get install rabbitmq-server)"

    @classmethod
    def version(cls) -> str:
        """From the name of its folder."""
        return max(HOME.glob("lib/rabbitmq_server-*")).name.rpartition("-")[2]

    def forget(self) -> None:
        """Delete its queues, retained messages and everything else that it knows."""
        shutil.rmtree(self.folder / "data", ignore_errors=True)

    def start(self) -> None:
        """As of every broker; the port mapper first, which the node would else start as a daemon that stays."""
        mapper = program("epmd")
        if mapper is not None:
            command = [mapper, "-port", str(self._mapper_port), "-address", "127.0.0.1"]
            self._mapper = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # noqa: S603 - a fixed tool
        try:
            super().start()
        except BaseException:
            self._end_mapper()
            raise

    def kill(self) -> None:
        """End node and port mapper."""
        super().kill()
        self._end_mapper()

    def stop(self) -> None:
        """End the node, then the port mapper."""
        super().stop()
        self._end_mapper()

    def _end_mapper(self) -> None:
        if self._mapper is not None:
            with contextlib.suppress(ProcessLookupError):
                self._mapper.kill()
            self._mapper.wait(10)
            self._mapper = None

    def _command(self) -> Sequence[str]:
        return [str(HOME / "bin" / "rabbitmq-server"), "-noinput"]

    def _environment(self) -> Mapping[str, str]:
        folder = self.folder
        return private_environment(
            folder / "home",
            {
                "ERL_EPMD_PORT": str(self._mapper_port),
                "RABBITMQ_NODENAME": f"evenkeel{self.port}@localhost",
                "RABBITMQ_DIST_PORT": str(self._distribution_port),
                "RABBITMQ_MNESIA_BASE": str(folder / "data"),
                "RABBITMQ_LOG_BASE": str(folder / "logs"),
                "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
                "RABBITMQ_ADVANCED_CONFIG_FILE": str(folder / "advanced.config"),
                "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
                "RABBITMQ_CONF_ENV_FILE": "/dev/null",
                "RABBITMQ_ALLOW_INPUT": "1",  # the node itself instead of a shell that waits for it
            },
        )
