"""What no device says, for topics where clients expect a device."""

from __future__ import annotations

ALERTS: tuple[bytes, ...] = (
    b"",
    b"\0\xff\xfe not UTF-8",
    b"no JSON",
    b"{",
    b"null",
    b"17",
    b'"text"',
    b"[[1, 2], [3]]",
    b"{}",
    b'{"device_id": "van-7"}',
    b'{"device_id": "van-7", "epoch": "1", "sequence": 4}',
    b'{"device_id": "van-7", "epoch": 1.5, "sequence": 4}',
    b'{"device_id": 7, "epoch": 1, "sequence": 4}',
    b'{"device_id": ["van-7"], "epoch": [], "sequence": {}}',
    b'{"device_id": "van-7", "epoch": 1, "sequence": null}',
    b'{"a": ' * 3000 + b"1" + b"}" * 3000,
    b"1" * 5000,
    b'{"device_id": "van-7", "epoch": 1e999, "sequence": ' + b"9" * 5000 + b"}",
    b'{"text": "' + b"x" * 50_000 + b'"}',
)
STATES: tuple[bytes, ...] = (
    b"no JSON",
    b"[]",
    b"{}",
    b'{"epoch": null, "sequence": null}',
    b'{"epoch": "2", "sequence": []}',
    b'{"state": "calm", "epoch": -1, "sequence": -1}',
)
RESULTS: tuple[bytes, ...] = (
    b"no JSON",
    b"{}",
    b'{"resend": {"epoch": 1, "gone": "all"}}',
    b'{"resend": {"epoch": 1, "gone": [{"from": "a", "to": null}]}}',
    b'{"resend": [1, 2]}',
)


def garbage(prefix: str) -> list[tuple[str, bytes]]:
    """Topics below ``prefix`` (``evenkeel/van-7``), each with a payload."""
    kinds = (("alert", ALERTS), ("state", STATES), ("health", STATES), ("command/resend/result", RESULTS))
    return [(f"{prefix}/{name}", payload) for name, payloads in kinds for payload in payloads]
