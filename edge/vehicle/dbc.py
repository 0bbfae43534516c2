"""What frames mean, by a DBC file: the signals that tell speed and ignition, and how a frame's are told to a store."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

import cantools
from cantools.database.can import Database, Message, Signal
from cantools.database.errors import Error as DatabaseError

from edge.config.vehicle import CanSourceConfig, SpeedUnit
from edge.errors import ConfigError
from edge.vehicle.store import Store

UNITS: Mapping[str, SpeedUnit] = MappingProxyType(
    {
        "km/h": "km/h",
        "kmh": "km/h",
        "kph": "km/h",
        "km/hr": "km/h",
        "m/s": "m/s",
        "mps": "m/s",
        "mph": "mph",
        "mi/h": "mph",
        "mile/h": "mph",
        "kn": "knots",
        "kt": "knots",
        "knots": "knots",
    }
)
"""How DBC files write the units of a speed, in small letters."""

Identifier = tuple[int, bool]
"""A frame's identifier, and whether it has 29 bits."""
_Take = Callable[[Any, Store], None]


class DbcSignals:
    """The configured signals.

    Raises:
        ConfigError: the file cannot be read, has no such signal or several, or says no unit that is known.
    """

    def __init__(self, config: CanSourceConfig) -> None:
        self._wanted: dict[Identifier, list[tuple[Message, Signal, str, _Take]]] = {}
        if config.dbc is None:
            return
        database = _load(config.dbc)
        if config.speed_signal is not None:
            message, signal = _find(database, config.dbc, "speed_signal", config.speed_signal)
            unit = config.speed_unit or _unit(signal)
            self._want(message, signal, "speed", lambda value, store: store.speed(value, unit))
        if config.ignition_signal is not None:
            message, signal = _find(database, config.dbc, "ignition_signal", config.ignition_signal)
            self._want(message, signal, "ignition", lambda value, store: store.ignition(value >= config.ignition_from))

    @property
    def identifiers(self) -> tuple[Identifier, ...]:
        """Of the frames that hold them."""
        return tuple(self._wanted)

    def take(self, identifier: Identifier, data: bytes, store: Store) -> None:
        """Tell ``store`` what a frame says; a frame that is none of ours says nothing."""
        for message, signal, about, tell in self._wanted.get(identifier, ()):
            try:
                values = cast("dict[str, Any]", message.decode(data, decode_choices=False))
            except (DatabaseError, ValueError) as error:
                store.refuse(about, f"no {about} in a frame {message.name} of {len(data)} bytes: {error}")
                continue
            if signal.name not in values:
                continue  # the multiplexer has chosen other signals this time
            value = values[signal.name]
            if not _in_range(value, signal):
                store.refuse(about, f"no {about}: {signal.name} = {value:g} is outside what the DBC file allows")
                continue
            tell(value, store)

    def _want(self, message: Message, signal: Signal, about: str, tell: _Take) -> None:
        identifier = message.frame_id, message.is_extended_frame
        self._wanted.setdefault(identifier, []).append((message, signal, about, tell))


def _load(path: Path) -> Database:
    try:
        # files that manufacturers hand out often have signals that overlap, which is no reason to refuse them
        database = cantools.database.load_file(path, strict=False)
    except OSError as error:
        raise ConfigError(f"vehicle.can.dbc: {path}: {error.strerror or error}") from None
    except (DatabaseError, ValueError) as error:  # a text that is no DBC, or bytes that are no text
        raise ConfigError(f"vehicle.can.dbc: {path} is no DBC file: {' '.join(str(error).split())[:200]}") from None
    if not isinstance(database, Database):
        raise ConfigError(f"vehicle.can.dbc: {path} describes no frames")
    return database


def _find(database: Database, path: Path, key: str, name: str) -> tuple[Message, Signal]:
    of, _, own = name.rpartition(".")
    found = [
        (message, signal)
        for message in database.messages
        for signal in message.signals
        if signal.name == own and of in ("", message.name)
    ]
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(f"{message.name}.{signal.name}" for message, signal in found)
        raise ConfigError(f"vehicle.can.{key}: {path} has several: name one of {names}")
    near = sorted({signal.name for message in database.messages for signal in message.signals})
    alike = [each for each in near if own.lower()[:4] in each.lower()] or near
    shown = ", ".join(alike[:8]) + (", …" if len(alike) > 8 else "")
    raise ConfigError(f"vehicle.can.{key}: {path} has no signal {name}; it has {shown}")


def _unit(signal: Signal) -> SpeedUnit:
    unit = UNITS.get((signal.unit or "").strip().lower())
    if unit is None:
        raise ConfigError(
            f"vehicle.can.speed_unit: the DBC file says {signal.unit!r} of {signal.name}: set it to "
            "'km/h', 'm/s', 'mph' or 'knots'"
        )
    return unit


def _in_range(value: float, signal: Signal) -> bool:
    low, high = signal.minimum, signal.maximum
    if not math.isfinite(value):
        return False
    if low is None or high is None or low >= high:  # [0|0] is how a DBC file says nothing of it
        return True
    return float(low) <= value <= float(high)
