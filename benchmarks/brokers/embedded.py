"""The demo's embedded broker (amqtt) as a process that can be killed.

``python -m benchmarks.brokers.embedded PORT``.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import signal
import sys
from collections.abc import Sequence

from benchmarks.server import Server
from edge.tools.demo.broker import EmbeddedBroker


class Embedded(Server):
    """The embedded broker as it is."""

    name = "embedded"

    @classmethod
    def missing(cls) -> str | None:
        """Whether amqtt is installed."""
        there = importlib.util.find_spec("amqtt")
        return None if there else "amqtt is not installed (pip install 'evenkeel[demo]')"

    @classmethod
    def version(cls) -> str:
        """That of amqtt."""
        return importlib.metadata.version("amqtt")

    def forget(self) -> None:
        """It keeps nothing anyway."""

    def _command(self) -> Sequence[str]:
        return [sys.executable, "-m", "benchmarks.brokers.embedded", str(self.port)]


def main() -> None:
    """Serve until SIGTERM."""
    with EmbeddedBroker(int(sys.argv[1])):
        signal.sigwait({signal.SIGTERM, signal.SIGINT})


if __name__ == "__main__":
    main()
