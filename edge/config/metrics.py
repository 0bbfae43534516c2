"""The configuration's ``[metrics]``: figures for Prometheus."""

from __future__ import annotations

import re
from typing import ClassVar

from pydantic import Field, field_validator

from edge.section import Layer, Section

_LISTEN = re.compile(r"(?P<host>[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\]):(?P<port>\d{1,5})")
MAX_PORT = 65_535


class MetricsConfig(Section):
    """Figures for Prometheus. Whoever asks gets them: keep them on this board, or behind a proxy with a password."""

    layer: ClassVar = Layer.EXPERT

    listen: str | None = Field(
        examples=["127.0.0.1:9464"],
        default=None,
        description="Serve OpenMetrics at this address and port under /metrics; default: nowhere.",
    )

    @field_validator("listen")
    @classmethod
    def _address(cls, listen: str | None) -> str | None:
        found = None if listen is None else _LISTEN.fullmatch(listen)
        if listen is not None and (found is None or int(found["port"]) > MAX_PORT):
            raise ValueError("an address and a port are needed, as 127.0.0.1:9464 or [::1]:9464")
        return listen

    @property
    def address(self) -> tuple[str, int] | None:
        """Host and port to listen at, None for nowhere."""
        if self.listen is None:
            return None
        host, _, port = self.listen.rpartition(":")
        return host.strip("[]"), int(port)
