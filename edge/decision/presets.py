"""Thresholds of each sensitivity. Written by calibration/presets.py (``make presets ARGS=--choose``); do not edit."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

LOW: Mapping[str, float] = MappingProxyType({"enter": 0.7, "hold_s": 3.5})
NORMAL: Mapping[str, float] = MappingProxyType({"enter": 0.65, "hold_s": 2.6})
HIGH: Mapping[str, float] = MappingProxyType({"enter": 0.55, "hold_s": 2.2})
