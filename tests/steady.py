"""Thresholds for tests of the mechanism, which stay as they are where those that ship are chosen anew.

A test that is about what ships takes ``Config()``; one that is about how an alert starts, grows and ends takes these.
"""

from __future__ import annotations

from typing import Any

from edge.config import Config

STEADY = {"enter": 0.5, "hold_s": 1.5}
KINDS = tuple(Config().alerts.expressions)


def steady(**keys: Any) -> Config:
    """The configuration with STEADY for each kind that goes by expressions.

    ``alerts`` holds tables that go before them; other sections as they are in a file.
    """
    tables = keys.pop("alerts", {})
    alerts = tables | {kind: STEADY | tables.get(kind, {}) for kind in KINDS}
    return Config.model_validate(keys | {"alerts": alerts})
