"""A value out of a payload: a plain number or word, or what a JSON pointer finds."""

from __future__ import annotations

import json
from typing import Any

MAX_BYTES = 8192
"""A longer payload is none of ours."""


class PayloadError(ValueError):
    """Nothing can be read out of it; the message says why."""


def value_at(payload: bytes, pointer: str) -> Any:
    """The value at a JSON pointer (RFC 6901); empty: the payload itself, JSON or a plain word.

    Raises:
        PayloadError: no JSON, or nothing at that place.
    """
    if len(payload) > MAX_BYTES:
        raise PayloadError(f"a payload of {len(payload)} bytes")
    try:
        value = json.loads(payload)
    except (ValueError, RecursionError):
        if pointer:
            raise PayloadError(f"no JSON: {payload[:40]!r}") from None
        return payload.decode(errors="replace")
    for part in pointer.split("/")[1:]:
        value = _below(value, part.replace("~1", "/").replace("~0", "~"), pointer)
    return value


def _below(value: Any, part: str, pointer: str) -> Any:
    if isinstance(value, dict) and part in value:
        return value[part]
    if isinstance(value, list) and part.isascii() and part.isdigit() and len(part) < 6 and int(part) < len(value):
        return value[int(part)]
    raise PayloadError(f"nothing at {pointer}")
