"""The collector's configuration: the broker as in the device's, and a section of its own."""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field, model_validator

from edge.compat import Self
from edge.config import TOPIC_PART, MqttConfig, load_as
from edge.config.metrics import MetricsConfig
from edge.section import EXPERT, Layer, Section

Prefix = Annotated[str, Field(pattern=TOPIC_PART)]


def default_client_id() -> str:
    """One for each host, as the broker keeps a session for it."""
    return f"evenkeel-collect-{re.sub(r'[^A-Za-z0-9_.-]', '-', socket.gethostname())[:64]}"


class CollectSection(Section):
    """What is collected, and where to."""

    layer: ClassVar[Layer] = Layer.BASIC

    database: str | None = Field(
        default=None,
        description=(
            "SQLAlchemy address: 'sqlite:////var/lib/…/collect.db' or 'postgresql+psycopg://user@host/name', without a "
            "password. Default: SQLite, 'collect.db' in $STATE_DIRECTORY where systemd sets it, else in "
            "~/.local/state/evenkeel."
        ),
    )
    database_password_file: Path | None = Field(
        default=None,
        description=(
            "File with the database's password; default: $CREDENTIALS_DIRECTORY/database_password where systemd sets "
            "it, else what PostgreSQL itself finds (~/.pgpass, peer)."
        ),
    )
    prefixes: tuple[Prefix, ...] = Field(
        default=(), description="First parts of the topics to collect; default: mqtt.prefix alone."
    )
    client_id: str = Field(
        default_factory=default_client_id,
        min_length=1,
        max_length=128,
        description=(
            "Client ID at the broker, which keeps its messages while the collector is offline; each collector needs "
            "its own. Default: 'evenkeel-collect-' and the host's name."
        ),
    )
    group: str | None = Field(
        json_schema_extra=EXPERT,
        default=None,
        pattern=TOPIC_PART,
        description="Share the work with the collectors of the same group (MQTT 5 shared subscription); default: none.",
    )
    session_days: float = Field(
        json_schema_extra=EXPERT,
        default=7.0,
        gt=0,
        le=365,
        description="How long the broker keeps messages while the collector is offline, days (MQTT 5).",
    )
    gap_wait_s: float = Field(
        json_schema_extra=EXPERT,
        default=5.0,
        ge=0.2,
        le=3600,
        description="Delay before requesting a missing alert, seconds.",
    )
    gap_max_s: float = Field(
        json_schema_extra=EXPERT,
        default=300.0,
        ge=1,
        le=86400,
        description="Maximum delay before requesting it again, seconds.",
    )
    keep_days: float | None = Field(
        default=None, gt=0, le=36500, description="Delete alerts received longer ago than this, days; default: never."
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.gap_wait_s > self.gap_max_s:
            raise ValueError("gap_wait_s must not be above gap_max_s")
        return self


class CollectConfig(Section):
    """The whole configuration of ``evenkeel collect``."""

    layer: ClassVar[Layer] = Layer.BASIC

    mqtt: MqttConfig = Field(default_factory=MqttConfig, description="The broker and how to reach it.")
    collect: CollectSection = Field(default_factory=CollectSection, description="What is collected, and where to.")
    metrics: MetricsConfig = Field(
        default_factory=MetricsConfig, description="Figures of the collector for Prometheus; --metrics goes first."
    )

    def changed(self, *, database: str | None, keep_days: float | None) -> CollectConfig:
        """The same with what the command line says instead."""
        said = {"database": database, "keep_days": keep_days}
        section = self.collect.model_copy(update={name: value for name, value in said.items() if value is not None})
        return self.model_copy(update={"collect": section})

    @property
    def prefixes(self) -> tuple[str, ...]:
        """What is collected."""
        return self.collect.prefixes or (self.mqtt.prefix,)


def load_collect_config(path: Path | None, environ: Mapping[str, str] | None = None) -> CollectConfig:
    """Read the collector's configuration; the environment overrides it as it does the device's.

    Raises:
        ConfigError: with one line per fault.
    """
    return load_as(CollectConfig, path, environ)
