"""The configuration's ``[vss]``: a KUKSA databroker that is told."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from pydantic import Field, field_validator

from edge.config.hosts import check_host
from edge.section import Layer, Section


class VssConfig(Section):
    """A KUKSA databroker that is told what COVESA's Vehicle Signal Specification has names for."""

    layer: ClassVar[Layer] = Layer.EXPERT

    host: str | None = Field(
        examples=["localhost"],
        default=None,
        min_length=1,
        description="The databroker's host; without one none is told.",
    )
    port: int = Field(default=55555, ge=1, le=65535, description="Its port (gRPC).")
    ca_file: Path | None = Field(
        examples=["/etc/evenkeel/kuksa-ca.pem"],
        default=None,
        description="CA certificates (PEM); with them TLS is used.",
    )
    token_file: Path | None = Field(
        examples=["/etc/evenkeel/kuksa_token"],
        default=None,
        description="File with the token (JWT) that lets us publish.",
    )

    @field_validator("host")
    @classmethod
    def _plain_host(cls, host: str | None) -> str | None:
        return host if host is None else check_host(host, "vss.port")
