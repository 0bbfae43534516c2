"""Where the program starts: what must be so before the imports, which take a good part of a second on a small board."""

from __future__ import annotations

import signal
import sys


def main() -> None:
    """Run the command line.

    A service may be told to reload as soon as its process is there, and SIGHUP would end it by default: it is kept
    waiting until ``run`` can take it. Ctrl-C ends the imports without a word.
    """
    if "run" in sys.argv[1:]:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from edge.cli import main as run_command  # noqa: PLC0415 - this is what takes long

    signal.signal(signal.SIGINT, signal.default_int_handler)
    run_command()
