"""Runs the user's program with a text on its standard input: no shell, no arguments but the configured ones."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import tempfile
import threading
import time
from typing import IO

from edge.config import ProgramConfig
from edge.errors import UnavailableError

TICK_S = 0.05
"""How late an end can be noticed, seconds."""
FLOOD_BYTES = 1_000_000
"""A program that writes more to its standard error than this is ended."""
TOLD_CHARACTERS = 200
"""So much of its last line is told where it fails."""
REAP_S = 1.0
"""Longest wait for a program that was killed, seconds."""
PASSED_ON = ("PATH", "LANG", "TZ")
"""What it gets of our environment; it may hold what is none of its business."""


class Program:
    """Runs the program to its end, one call at a time; ``stop``, from any thread, ends what runs and what would."""

    def __init__(self, config: ProgramConfig) -> None:
        self._config = config
        self._stopped = False
        self._runs = threading.Lock()

    def stop(self) -> None:
        """End the program that runs, and wait until it has ended, REAP_S at most; no other is started."""
        self._stopped = True
        if self._runs.acquire(timeout=REAP_S):
            self._runs.release()

    def run(self, text: bytes) -> None:
        """Run the program with ``text`` on its standard input, ``timeout_s`` at most.

        Raises:
            UnavailableError: it cannot be run, takes too long, writes too much, or ends with a fault.
        """
        with self._runs:
            if not self._stopped:
                self._run(text)

    def _run(self, text: bytes) -> None:
        environ = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        with tempfile.TemporaryFile() as given:  # no pipe: a program need not read it
            given.write(text)
            given.seek(0)
            try:
                process = subprocess.Popen(  # noqa: S603 - fixed words of the configuration
                    self._config.program,
                    stdin=given,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    cwd="/",
                    env=environ,
                    start_new_session=True,
                )
            except OSError as error:
                raise self._fault(f"{error.strerror}; `evenkeel doctor` looks at it") from None
            assert process.stderr is not None  # noqa: S101 - asked for above
            with process.stderr as errors:
                try:
                    self._see_through(process, errors)
                finally:
                    if process.poll() is None:  # whoever waits was interrupted
                        _kill(process)

    def _see_through(self, process: subprocess.Popen[bytes], errors: IO[bytes]) -> None:
        os.set_blocking(errors.fileno(), False)
        end, written, last = time.monotonic() + self._config.timeout_s, 0, b""
        while process.poll() is None:
            if self._stopped:
                _kill(process)
                return
            if time.monotonic() >= end:
                _kill(process)
                raise self._fault(f"killed after {self._config.timeout_s:g} s (cab.command.timeout_s); try it by hand")
            if written > FLOOD_BYTES:
                _kill(process)
                raise self._fault(f"killed because it writes so much to its standard error: {_line(last)!r}")
            part = _some(errors, TICK_S)
            written, last = written + len(part), (last + part)[-2000:]
        last += _some(errors, 0.0)
        if process.returncode:
            how = f"status {process.returncode}" if process.returncode > 0 else _signal(-process.returncode)
            raise self._fault(f"ended with {how}: {_line(last) or 'without a word'}; try it by hand")

    def _fault(self, what: str) -> UnavailableError:
        return UnavailableError(f"command: {self._config.program[0]}: {what}")


def _some(errors: IO[bytes], wait_s: float) -> bytes:
    """What the program has written, at the latest after ``wait_s``; nothing where there is nothing."""
    begin = time.monotonic()
    if not select.select([errors], [], [], wait_s)[0]:
        return b""
    part = os.read(errors.fileno(), 65_536)
    if not part:  # it has closed it
        time.sleep(max(0.0, begin + min(wait_s, 0.005) - time.monotonic()))
    return part


def _line(said: bytes) -> str:
    """The last line, as it may be logged."""
    lines = said.decode(errors="replace").split("\n")
    line = next((each for each in reversed(lines) if each.strip()), "")
    return "".join(each if each.isprintable() else "?" for each in line.strip())[-TOLD_CHARACTERS:]


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End the program with all that it has started and not let go of."""
    with contextlib.suppress(ProcessLookupError):  # it has ended meanwhile
        os.killpg(process.pid, signal.SIGKILL)
    try:
        process.wait(REAP_S)
    except subprocess.TimeoutExpired:
        raise UnavailableError("command: it cannot even be killed; what it waits for hangs in the kernel") from None
