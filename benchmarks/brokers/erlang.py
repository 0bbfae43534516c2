"""What RabbitMQ and ejabberd share: both run on Erlang, which must not touch the user's own Erlang nodes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path


def private_environment(home: Path, more: Mapping[str, str]) -> dict[str, str]:
    """An environment in which Erlang finds no cookie, no node and no setting of the user's."""
    home.mkdir(exist_ok=True)
    return {"PATH": os.environ.get("PATH", ""), "HOME": str(home), "LANG": "C.UTF-8", **more}
