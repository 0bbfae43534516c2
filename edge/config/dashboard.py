"""The configuration's ``[dashboard]``: where the pages are served, and who may see them."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from pydantic import Field, field_validator, model_validator

from edge.compat import Self
from edge.config.listen import check_listen, host_and_port
from edge.section import Layer, Section

_HASH = r"^\$argon2id\$[A-Za-z0-9+/=,$]{20,200}$"


class HistoryConfig(Section):
    """What the page *History* of `evenkeel dashboard` reads: the database of a collector."""

    layer: ClassVar[Layer] = Layer.EXPERT

    database: str | None = Field(
        examples=["sqlite:////var/lib/evenkeel/history.db"],
        default=None,
        description="SQLAlchemy address of the database, without a password, as 'database' of `evenkeel collect`; with "
        "'collect' by default its default.",
    )
    database_password_file: Path | None = Field(
        default=None, description="File with the database's password, as for `evenkeel collect`."
    )
    collect: bool = Field(
        default=False,
        description="Collect what the broker's devices say into the database too, which is an SQLite file then: for a "
        "device on its own, beside which no `evenkeel collect` runs.",
    )
    keep_days: float = Field(
        default=92.0,
        gt=0,
        le=36500,
        description="With 'collect': delete what was received longer ago than this, days.",
    )


class DashboardConfig(Section):
    """The pages of `evenkeel dashboard`: by default for this machine alone, where everybody on it may do everything."""

    layer: ClassVar[Layer] = Layer.EXPERT

    listen: str = Field(
        examples=["0.0.0.0:8470"],
        default="127.0.0.1:8470",
        description="Serve the pages at this address and port; beyond this machine with a password only.",
    )
    fleet: bool = Field(
        default=False,
        description="Show every device below 'mqtt.prefix', not this one alone; also by `evenkeel dashboard --fleet`.",
    )
    operator_password: str | None = Field(
        default=None,
        pattern=_HASH,
        repr=False,
        description="Argon2 hash of the password that lets look, acknowledge, pause and recalibrate; written by "
        "`evenkeel dashboard --set-password operator`.",
    )
    viewer_password: str | None = Field(
        default=None,
        pattern=_HASH,
        repr=False,
        description="Argon2 hash of the password that lets look only.",
    )
    cert_file: Path | None = Field(
        examples=["/etc/evenkeel/dashboard.pem"],
        default=None,
        description="Certificate to serve the pages with TLS (PEM); with 'key_file'.",
    )
    key_file: Path | None = Field(
        examples=["/etc/evenkeel/dashboard.key"], default=None, description="The certificate's key (PEM)."
    )
    metrics: str | None = Field(
        examples=["127.0.0.1:9466"],
        default=None,
        description="Serve the dashboard's own figures as OpenMetrics at this address and port; default: nowhere.",
    )
    history: HistoryConfig = Field(
        default_factory=HistoryConfig, description="Where the page History has its episodes from."
    )

    @field_validator("listen")
    @classmethod
    def _address(cls, listen: str) -> str:
        return check_listen(listen, "8470")

    @field_validator("metrics")
    @classmethod
    def _metrics_address(cls, metrics: str | None) -> str | None:
        return None if metrics is None else check_listen(metrics, "9466")

    @model_validator(mode="after")
    def _paired(self) -> Self:
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("cert_file and key_file belong together; set both or neither")
        return self

    @property
    def address(self) -> tuple[str, int]:
        """Host and port to listen at."""
        return host_and_port(self.listen)

    @property
    def has_password(self) -> bool:
        """Whether anybody is asked for a password."""
        return self.operator_password is not None or self.viewer_password is not None
