"""What devices say, as JSON; each value may be another."""

from __future__ import annotations

import json
from typing import Any

from edge.collect.reading import END


def payload(what: str, **changes: Any) -> bytes:
    """A payload of the contract with some values changed."""
    common = {"schema": 2, "time": "2026-05-04T09:30:00.125Z", "uptime_s": 61.5, "clock_synced": True, "epoch": 7}
    said: dict[str, dict[str, Any]] = {
        "alert": {
            "id": "01a1f96e-fe88-7cca-9ffd-2ef888df3838",
            "device_id": "van-7",
            "sequence": 1,
            "resent": False,
            "kind": "anger",
            "phase": "start",
            "level": "warning",
            "started": "2026-05-04T09:29:58.000Z",
            "duration_s": 2.125,
            "score": 0.7,
            "peak": 0.8,
            "expression": "anger",
            "reason": "",
            "models": {"face": "face 1", "expression": "expression 1"},
        },
        "state": {
            "sequence": 0,
            "state": "calm",
            "reason": "",
            "kinds": {"anger": {"signal": 0.1, "level": None, "readable": True}},
            "confidence": 1.0,
            "expression": "neutral",
            "probabilities": {"neutral": 1.0},
            "quality": None,
            "calibrated_percent": None,
        },
        "episode": {
            "id": "01a1f96e-fe88-7cca-9ffd-2ef888df3838",
            "device_id": "van-7",
            "sequence": 1,
            "kind": "anger",
            "started": "2026-05-04T09:29:58.000Z",
            "first": 0,
            "total": 4,
            "t_s": [-0.5, 0.0],
            "signal_percent": {"anger": [40, None]},
            "threshold_percent": {"anger": 60},
            "levels": {"anger": [[0, None], [1, "warning"]]},
            "states": [[0, "calm"], [1, "warning"]],
            "reason_codes": [[0, ""]],
            "sights": [[0, "face"]],
            "expression_percent": {"anger": [70, 80]},
            "open_left_percent": [90, None],
            "open_right_percent": [90, None],
            "perclos_percent": [3, 3],
            "weight_percent": [100, 97],
            "speed_kmh": [82.1, None],
        },
    }
    return json.dumps(common | said[what] | changes).encode()


def answer(
    epoch: int,
    first: int,
    last: int,
    *,
    newest: int | None,
    gone: tuple[tuple[int, int, str], ...] = (),
    queued: int = 0,
    end: bool = False,
) -> bytes:
    """What a device answers to ``resend``; ``end``: to the question for an epoch's end."""
    resent = {
        "epoch": epoch,
        "from": first,
        "to": last,
        "queued": queued,
        "newest": newest,
        "gone": [{"from": one, "to": other, "reason": reason} for one, other, reason in gone],
    }
    said = {"schema": 2, "time": "2026-05-04T09:31:00.000Z", "uptime_s": 90, "clock_synced": True, "command": "resend"}
    return json.dumps(said | {"id": "desk" + END * end, "ok": True, "message": "", "resend": resent}).encode()
