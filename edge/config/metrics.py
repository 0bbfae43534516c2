"""The configuration's ``[metrics]``: figures for Prometheus."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field, field_validator

from edge.config.listen import check_listen, host_and_port
from edge.section import Layer, Section


class MetricsConfig(Section):
    """Figures for Prometheus. Whoever asks gets them: keep them on this board, or behind a proxy with a password."""

    layer: ClassVar[Layer] = Layer.EXPERT

    listen: str | None = Field(
        examples=["127.0.0.1:9464"],
        default=None,
        description="Serve OpenMetrics at this address and port under /metrics; default: nowhere.",
    )

    @field_validator("listen")
    @classmethod
    def _address(cls, listen: str | None) -> str | None:
        return None if listen is None else check_listen(listen, "9464")

    @property
    def address(self) -> tuple[str, int] | None:
        """Host and port to listen at, None for nowhere."""
        return None if self.listen is None else host_and_port(self.listen)
