"""A Matroska file with the times that a test wants: variable, negative, or a day apart (RFC 9559).

cv2 writes steady rates only. Pictures are JPEG (V_MJPEG); the header has a duration and no number of frames.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

import cv2
import numpy as np

EBML, SEGMENT, INFO, TRACKS, CLUSTER = 0x1A45DFA3, 0x18538067, 0x1549A966, 0x1654AE6B, 0x1F43B675


def matroska(times_ms: list[int], duration_ms: float, default_fps: float = 25.0) -> bytes:
    """A clip of (48, 64) pictures with the grey levels 10, 20, 30, …, 240, 0, 10, …, shown at ``times_ms``."""
    info = _element(INFO, _number(0x2AD7B1, 1_000_000) + _element(0x4489, struct.pack(">d", duration_ms)))
    video = _element(0xE0, _number(0xB0, 64) + _number(0xBA, 48))
    track = _number(0xD7, 1) + _number(0x73C5, 1) + _number(0x83, 1) + _element(0x86, b"V_MJPEG")
    track += _number(0x23E383, round(1e9 / default_fps)) + video
    clusters = b"".join(_cluster(number, ms) for number, ms in enumerate(times_ms, 1))
    header = {0x4286: 1, 0x42F7: 1, 0x42F2: 4, 0x42F3: 8}
    types = _element(0x4282, b"matroska") + _number(0x4287, 4) + _number(0x4285, 2)
    return _element(EBML, _numbers(header) + types) + _element(
        SEGMENT, info + _element(TRACKS, _element(0xAE, track)) + clusters
    )


def _cluster(number: int, ms: int) -> bytes:
    start = max(0, ms)  # a cluster's time has no sign, a block's has
    picture = cv2.imencode(".jpg", np.full((48, 64, 3), 10 * number % 250, np.uint8))[1].tobytes()
    block = b"\x81" + struct.pack(">h", ms - start) + b"\x80" + picture
    return _element(CLUSTER, _number(0xE7, start) + _element(0xA3, block))


def _numbers(numbers: Mapping[int, int]) -> bytes:
    return b"".join(_number(name, value) for name, value in numbers.items())


def _number(name: int, value: int) -> bytes:
    return _element(name, value.to_bytes(8, "big"))


def _element(name: int, content: bytes) -> bytes:
    size = (len(content) | 1 << 56).to_bytes(8, "big")
    return name.to_bytes((name.bit_length() + 7) // 8, "big") + size + content
