"""OBD-II over CAN (SAE J1979, ISO 15765-4): what is asked, and what an answer says. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

SPEED_PID = 0x0D
RPM_PID = 0x0C

_CURRENT_DATA = 0x01
_ANSWER = 0x40
_BYTES: Mapping[int, int] = MappingProxyType({SPEED_PID: 1, RPM_PID: 2})
"""How many bytes the value of each has."""


class ObdError(ValueError):
    """An answer that cannot be read; the message says why."""


@dataclass(frozen=True, slots=True)
class Addresses:
    """Whom to ask, and who answers: ``answers`` with ``mask`` are the identifiers of all controllers."""

    request: int
    answers: int
    mask: int
    extended: bool

    def answered_by(self, identifier: int, *, extended: bool) -> bool:
        """Whether a frame is one of a controller that answers."""
        return extended is self.extended and identifier & self.mask == self.answers


ADDRESSES: Mapping[Literal["11-bit", "29-bit"], Addresses] = MappingProxyType(
    {
        "11-bit": Addresses(0x7DF, 0x7E8, 0x7F8, extended=False),
        "29-bit": Addresses(0x18DB33F1, 0x18DAF100, 0x1FFFFF00, extended=True),
    }
)


def question(pid: int) -> bytes:
    """The 8 bytes that ask all controllers for a value of now."""
    return bytes((2, _CURRENT_DATA, pid, 0, 0, 0, 0, 0))


def answer(data: bytes) -> tuple[int, float] | None:
    """The parameter and its value: the speed in km/h, revolutions a minute; None where it answers something else.

    Raises:
        ObdError: an answer to what is asked here that is cut short.
    """
    if data and data[0] >> 4:  # a part of an answer that is several frames long, which none of these is
        return None
    if len(data) < 3:
        raise ObdError(f"an answer of {len(data)} bytes")
    service, pid = data[1], data[2]
    if service != _CURRENT_DATA + _ANSWER or pid not in _BYTES:
        return None
    value = data[3 : 1 + data[0]]
    if len(value) != _BYTES[pid]:
        raise ObdError(f"{len(value)} bytes for PID 0x{pid:02X} instead of {_BYTES[pid]}")
    number = int.from_bytes(value, "big")
    return pid, number / 4 if pid == RPM_PID else float(number)
