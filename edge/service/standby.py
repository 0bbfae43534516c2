"""While the ignition is off: nobody is watched, the broker was told 'offline', and only the vehicle is listened to."""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import signal
import subprocess
import time
from collections.abc import Callable

from edge.board.clock import uptime_s
from edge.board.notify import Notifier
from edge.config import Config
from edge.domain import Context
from edge.errors import EvenkeelError
from edge.service.ignition import Ignition
from edge.service.ports import VehicleData
from edge.spare import inherited
from edge.vehicle import Vehicle

_log = logging.getLogger(__name__)

TICK_S = 0.2
"""How late an ignition that is on again can be noticed, beside what the source itself takes."""
PROGRAM_S = 30.0
"""A program that has not ended by then is killed, seconds."""


def stand_by(config: Config, load: Callable[[], Config], *, stopped: Callable[[], bool]) -> Config | None:
    """Wait until there is somebody to watch again; the configuration to go on with, None after SIGTERM or SIGINT.

    SIGHUP calls ``load`` again. ``stopped`` tells of a signal that came before this could take it.

    Raises:
        ConfigError, UnavailableError: a source of the vehicle's data cannot work any more.
    """
    asked: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda number, _: asked.append(number))
    gc.unfreeze()  # of the service that ended, nothing is needed any more
    gc.collect()
    notifier = Notifier.from_environment()
    program = Program(config.vehicle.ignition_off.command)
    standby = StandBy(config, program, uptime_s)
    notifier.status("the ignition is off: waiting for it to be on")
    try:
        with Vehicle.from_config(config, os.environ, uptime_s) as vehicle:
            while standby.goes_on(vehicle) and not asked and not stopped():
                notifier.alive()
                time.sleep(TICK_S)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # nobody looks at ``asked`` from here on
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if stopped() or signal.SIGTERM in asked or signal.SIGINT in asked:
            notifier.stopping()
            return None
        return _reloaded(config, load, notifier) if signal.SIGHUP in asked else config
    finally:
        notifier.close()
        program.close()


def _reloaded(config: Config, load: Callable[[], Config], notifier: Notifier) -> Config:
    """The configuration read again; where it is wrong, the old one."""
    notifier.reloading()
    try:
        return load()
    except EvenkeelError as error:
        _log.error("reload refused, the old configuration stays: %s", error)
        return config
    finally:
        notifier.ready()


class StandBy:
    """Says whether standing by goes on, and runs the configured program once it has lasted for long enough.

    It ends once a source says that the ignition is on or that the vehicle moves. Silence ends it only where a source
    of the ignition cannot be opened: what is parked says nothing, what is broken may hide a drive.
    """

    def __init__(self, config: Config, program: Program, clock: Callable[[], float]) -> None:
        self._config = config.vehicle
        self._ignition = Ignition(config.vehicle)
        self._program = program
        self._clock = clock
        self._since = clock()
        self._lost_t: float | None = None

    def goes_on(self, vehicle: VehicleData) -> bool:
        """Look at the vehicle once; whether to stand by further."""
        now = self._clock()
        context = vehicle.context(now)
        if context.ignition is True or self._ignition.moves(context):
            _log.info("%s: watching again", "the ignition is on" if context.ignition else "the vehicle moves")
            return False
        if self._is_lost(now, context, vehicle):
            _log.warning("the ignition is not known any more, and a source of it cannot be opened: watching again")
            return False
        if now - self._since >= self._config.ignition_off.command_after_s:
            self._program.start(now)
        self._program.look(now)
        return True

    def _is_lost(self, now: float, context: Context, vehicle: VehicleData) -> bool:
        sources = vehicle.health(now)
        gone = any(name in sources and sources[name].lost for name in self._config.ignition_sources)
        lost = context.ignition is None and gone
        self._lost_t = (now if self._lost_t is None else self._lost_t) if lost else None
        return self._lost_t is not None and now - self._lost_t >= self._config.ignition_max_age_s


class Program:
    """Runs ``command`` once, without a shell, and waits for it without holding anything up; nothing of it is read."""

    def __init__(self, command: tuple[str, ...]) -> None:
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None
        self._begun_t: float | None = None

    def start(self, now: float) -> None:
        """Begin, unless it has begun before or there is none."""
        if not self._command or self._begun_t is not None:
            return
        self._begun_t = now
        _log.info("the ignition is off: running %s", self._command[0])
        try:
            self._process = subprocess.Popen(  # noqa: S603 - the configuration's own words, and no shell
                self._command,
                env=inherited(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError as error:
            _log.warning("vehicle.ignition_off.command: %s: %s", self._command[0], error.strerror or error)

    def look(self, now: float) -> None:
        """Say how it ended, and end it where it hangs."""
        if self._process is None or self._begun_t is None:
            return
        status = self._process.poll()
        if status is None and now - self._begun_t < PROGRAM_S:
            return
        if status is None:
            _log.warning("vehicle.ignition_off.command: %s hangs; killed after %g s", self._command[0], PROGRAM_S)
            self.close()
        elif status != 0:
            _log.warning("vehicle.ignition_off.command: %s ended with %d", self._command[0], status)
        self._process = None

    def close(self) -> None:
        """Kill it with all that it has started, where it still runs."""
        if self._process is not None and self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):  # it ended just now
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
