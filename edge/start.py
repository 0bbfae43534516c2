"""Where the program starts: what must be so before the imports, which take a good part of a second on a small board."""

from __future__ import annotations

import os
import signal
import sys

from edge.spare import spare


def main() -> None:
    """Run the command line.

    A service may be told to reload as soon as its process is there, and SIGHUP would end it by default: it is kept
    waiting until ``run`` can take it. Ctrl-C ends the imports without a word. Where a caller has closed a standard
    stream, the null device stands in: else the next file that is opened would get the stream's number, and with it what
    libraries print.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free, which is this one
    spare()
    if "run" in sys.argv[1:]:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from edge.cli import main as run_command  # noqa: PLC0415 - this is what takes long

    signal.signal(signal.SIGINT, signal.default_int_handler)
    run_command()
