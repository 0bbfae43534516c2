"""Alerts that wait in a database of layout 1, as version 0.1 left them: taken over, numbered and written anew."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError

from edge.mqtt.messages import SCHEMA_VERSION, AlertMessage, Topics
from edge.mqtt.outbox.rows import Row, Status

LAYOUT = 1


def take_out(database: sqlite3.Connection, owner: Topics, epoch: int) -> list[Row]:
    """The alerts of layout 1 as rows of the present one, in order, numbered from 1; their tables are dropped."""
    found = database.execute("SELECT payload FROM alert ORDER BY sequence").fetchall()
    for table in ("alert", "counter"):
        database.execute(f"DROP TABLE IF EXISTS {table}")
    return list(renumbered((payload for (payload,) in found), owner, epoch))


def renumbered(payloads: Iterator[Any], owner: Topics, epoch: int) -> Iterator[Row]:
    """Payloads of contract version 1 as waiting rows; what cannot be read is set aside."""
    for number, payload in enumerate(payloads, start=1):
        message = _of_this_version(payload, owner.device_id, epoch, number)
        if message is not None:
            yield Row.of(message, prefix=owner.prefix, place=number, stored_s=0.0)
            continue
        raw = payload if isinstance(payload, bytes) else str(payload).encode()
        note = "not a payload of contract version 1"
        yield Row(
            epoch=epoch,
            sequence=number,
            status=Status.ASIDE,
            place=None,
            resent=False,
            stored_s=0.0,
            is_end=False,
            note=note,
            prefix=owner.prefix,
            device_id=owner.device_id,
            payload=raw,
        )


def _of_this_version(payload: Any, device_id: str, epoch: int, number: int) -> AlertMessage | None:
    added = {"schema": SCHEMA_VERSION, "device_id": device_id, "epoch": epoch, "sequence": number, "resent": False}
    try:
        return AlertMessage.model_validate_json(json.dumps(json.loads(payload) | added))
    except (ValidationError, ValueError, TypeError):
        return None
