"""Thresholds of each sensitivity. Written by calibration/presets.py (``make presets ARGS=--choose``); do not edit."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

LOW: Mapping[str, float] = MappingProxyType({"enter": 0.45, "hold_s": 5.0})
NORMAL: Mapping[str, float] = MappingProxyType({"enter": 0.45, "hold_s": 3.5})
HIGH: Mapping[str, float] = MappingProxyType({"enter": 0.5, "hold_s": 2.2})
