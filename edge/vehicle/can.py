"""Speed and ignition from a CAN bus, by python-can: frames that a DBC file explains, or answers to OBD-II questions."""

from __future__ import annotations

import errno
import time
from typing import Any

import can

from edge.config.vehicle import CanSourceConfig
from edge.errors import UnavailableError
from edge.vehicle.dbc import DbcSignals
from edge.vehicle.obd import ADDRESSES, RPM_PID, SPEED_PID, ObdError, answer, question
from edge.vehicle.source import Stop
from edge.vehicle.store import Store

WAIT_S = 0.2
"""Longest wait for a frame at a time, seconds."""
BUS_OFF = 0x40
"""In an error frame of SocketCAN (linux/can/error.h): the controller takes no part in the bus any more."""


class CanSource:
    """Listens to the bus of ``[vehicle.can]``, and asks on it where OBD-II is configured.

    Raises:
        ConfigError: the DBC file cannot be read or has no such signal.
    """

    name = "can"

    def __init__(self, config: CanSourceConfig) -> None:
        self._config = config
        self._frames = Frames(config)

    @property
    def tells_speed(self) -> bool:
        """Whether a signal of the speed is configured, or it is asked for."""
        return self._config.speed_signal is not None or self._config.obd != "off"

    def run(self, store: Store, stop: Stop) -> None:
        """Listen until ``stop``.

        Raises:
            UnavailableError: the bus cannot be opened, or is gone.
        """
        try:
            with self._open() as bus:
                self._listen(bus, store, stop)
        except (can.CanError, OSError) as error:
            raise UnavailableError(self._lost(error)) from error

    def interrupt(self) -> None:
        """Nothing to end early: each wait is a short one."""

    def _open(self) -> can.BusABC:
        config = self._config
        more: dict[str, Any] = {} if config.bitrate is None else {"bitrate": config.bitrate}
        if config.fd:
            more["fd"] = True
        if config.driver == "socketcan":  # the kernel leaves out what is not asked for; error frames come as ever
            more["can_filters"] = self._frames.filters
        try:
            return can.Bus(interface=config.driver, channel=config.channel, **more)
        except (can.CanError, OSError):
            raise
        except Exception as error:  # each driver has exceptions of its own
            raise UnavailableError(self._lost(error)) from error

    def _listen(self, bus: can.BusABC, store: Store, stop: Stop) -> None:
        ask_t = time.monotonic()
        pid = SPEED_PID
        while not stop.is_set():
            if self._config.obd != "off" and time.monotonic() >= ask_t:
                self._ask(bus, pid, store)
                pid = RPM_PID if pid == SPEED_PID else SPEED_PID
                ask_t = time.monotonic() + self._config.obd_period_s / 2
            frame = bus.recv(WAIT_S)
            store.mend("source")
            if frame is not None:
                self._frames.take(frame, store)

    def _ask(self, bus: can.BusABC, pid: int, store: Store) -> None:
        if self._config.obd == "off":
            return
        to = ADDRESSES[self._config.obd]
        frame = can.Message(arbitration_id=to.request, is_extended_id=to.extended, data=question(pid))
        try:
            bus.send(frame, timeout=WAIT_S)
        except can.CanOperationError as error:
            store.fail("asking", f"{self._config.channel}: cannot ask: {error}; check wiring, bitrate and terminators")
        else:
            store.mend("asking")

    def _lost(self, error: Exception) -> str:
        config = self._config
        remedy = "check [vehicle.can]"
        if config.driver == "socketcan":
            remedy = f"see `ip -details link show {config.channel}`"
        if isinstance(error, OSError) and error.errno == errno.EAFNOSUPPORT:
            remedy = "the service's unit must allow it (RestrictAddressFamilies=AF_CAN), and the kernel must know CAN"
        told = error.strerror if isinstance(error, OSError) else None
        told = told or " ".join(str(error).split()) or repr(error)
        return f"bus {config.channel} ({config.driver}): {told}; {remedy}"


class Frames:
    """What each frame tells a store."""

    def __init__(self, config: CanSourceConfig) -> None:
        self._channel = config.channel
        self._signals = DbcSignals(config)
        self._obd = None if config.obd == "off" else ADDRESSES[config.obd]

    @property
    def filters(self) -> list[can.typechecking.CanFilter]:
        """Those that are of use, as python-can's filters."""
        wanted: list[can.typechecking.CanFilter] = [
            {"can_id": number, "can_mask": 0x1FFFFFFF if extended else 0x7FF, "extended": extended}
            for number, extended in self._signals.identifiers
        ]
        if self._obd is not None:
            wanted.append({"can_id": self._obd.answers, "can_mask": self._obd.mask, "extended": self._obd.extended})
        return wanted

    def take(self, frame: can.Message, store: Store) -> None:
        """Tell what it says; nothing where it is none of ours, or asks instead of telling."""
        if frame.is_error_frame:
            if frame.arbitration_id & BUS_OFF:
                store.fail(
                    "bus",
                    f"bus off on {self._channel}: check wiring and bitrate, and let it restart by itself: "
                    f"`ip link set {self._channel} type can restart-ms 100`",
                )
            return
        store.mend("bus")
        if frame.is_remote_frame:
            return
        data = bytes(frame.data)
        self._signals.take((frame.arbitration_id, frame.is_extended_id), data, store)
        if self._obd is not None and self._obd.answered_by(frame.arbitration_id, extended=frame.is_extended_id):
            _take_answer(data, store)


def _take_answer(data: bytes, store: Store) -> None:
    try:
        told = answer(data)
    except ObdError as error:
        store.refuse("OBD-II", str(error))
        return
    if told is None:
        return
    store.mend("OBD-II")
    pid, value = told
    if pid == SPEED_PID:
        store.speed(value)
    elif value > 0:  # an engine that does not turn says nothing of the ignition: it may start by itself
        store.ignition(value=True)
