"""The sink that tells the service manager in a line how things are: ``systemctl status``."""

from __future__ import annotations

from edge.board.notify import Notifier
from edge.config.secrets import redact
from edge.domain import Step
from edge.service.health import Health, SinkHealth
from edge.service.ports import Outlet


class StatusSink:
    """One line with each look at the device's health."""

    name = "status"
    outward = False

    def __init__(self, notifier: Notifier, publisher: Outlet) -> None:
        self._notifier = notifier
        self._publisher = publisher

    @property
    def health(self) -> SinkHealth:
        """A line that nobody took is no loss."""
        return SinkHealth()

    def take(self, step: Step) -> None:
        """A step is no news here."""

    def probe(self, health: Health) -> None:
        """Say the line."""
        broker = redact(self._publisher.problem or "") or "connected"
        self._notifier.status(f"{health.fps:.1f} fps, {health.state}, broker {broker}")

    def close(self) -> None:
        """Nothing is left to say."""
