"""Alerts that wait in a database of layout 1, as version 0.1 left them: taken over, numbered and written anew."""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Iterable, Iterator
from typing import Any

from pydantic import ValidationError

from edge.mqtt.messages import SCHEMA_VERSION, AlertMessage, Topics
from edge.mqtt.outbox.rows import Row, Status

LAYOUT = 1


def read(database: sqlite3.Connection, owner: Topics, epoch: int) -> list[Row]:
    """The alerts of layout 1 as rows of the present one, in order, numbered from 1."""
    found = database.execute("SELECT payload FROM alert").fetchall()
    return list(renumbered([payload for (payload,) in found], owner, epoch))


def take_out(database: sqlite3.Connection, owner: Topics, epoch: int) -> list[Row]:
    """As ``read``, and their tables are dropped."""
    rows = read(database, owner, epoch)
    for table in ("alert", "counter"):
        database.execute(f"DROP TABLE IF EXISTS {table}")
    return rows


def renumbered(payloads: Iterable[Any], owner: Topics, epoch: int) -> Iterator[Row]:
    """Payloads of contract version 1 as waiting rows, in their order; what cannot be read is set aside."""
    place = 0
    for number, payload in enumerate(sorted(payloads, key=_old_number), start=1):
        message = _of_this_version(payload, owner.device_id, epoch, number)
        if message is not None:
            place += 1
            yield Row.of(message, prefix=owner.prefix, place=place, stored_s=0.0)
        else:
            yield _unreadable(payload, owner, epoch, number)


def is_alert(payload: bytes) -> bool:
    """Whether all of it is as version 0.1 wrote alerts."""
    return _of_this_version(payload, "any", 1, 1) is not None


def _old_number(payload: Any) -> float:
    try:
        return float(json.loads(payload)["sequence"])
    except (ValueError, KeyError, TypeError):
        return math.inf


def _of_this_version(payload: Any, device_id: str, epoch: int, number: int) -> AlertMessage | None:
    added = {"schema": SCHEMA_VERSION, "device_id": device_id, "epoch": epoch, "sequence": number, "resent": False}
    try:
        return AlertMessage.model_validate_json(json.dumps(json.loads(payload) | added))
    except (ValidationError, ValueError, TypeError):
        return None


def _unreadable(payload: Any, owner: Topics, epoch: int, number: int) -> Row:
    return Row(
        epoch=epoch,
        sequence=number,
        status=Status.ASIDE,
        place=None,
        resent=False,
        stored_s=0.0,
        is_end=False,
        note="not a payload of contract version 1",
        prefix=owner.prefix,
        device_id=owner.device_id,
        payload=payload if isinstance(payload, bytes) else str(payload).encode(),
    )
