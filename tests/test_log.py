"""Logging never holds up who logs, and loses nothing while somebody reads."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from edge.log import BackgroundHandler, set_up_logging

DEADLINE_S = 10.0


class Journal:
    """Reads nothing until ``reads`` is set."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.reads = threading.Event()
        self.entered = threading.Event()

    def __call__(self, text: bytes) -> None:
        self.entered.set()
        assert self.reads.wait(DEADLINE_S)
        self.lines += text.decode().splitlines()


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    logger = logging.getLogger("test of the log")
    logger.propagate = False
    yield logger
    logger.handlers.clear()


def test_a_journal_that_reads_nothing_holds_nobody_up_and_what_was_lost_is_counted(logger: logging.Logger) -> None:
    journal = Journal()
    handler = BackgroundHandler(journal, waiting=10)
    logger.addHandler(handler)
    logger.warning("line %d", 0)
    assert journal.entered.wait(DEADLINE_S)
    for number in range(1, 101):  # nobody reads: this ends all the same
        logger.warning("line %d", number)
    journal.reads.set()
    handler.close()
    assert journal.lines[:2] == ["line 0", "90 lines were lost: for a while nobody read the log"]
    assert journal.lines[2:] == [f"line {number}" for number in range(1, 11)]


def test_a_line_reads_as_it_did_when_it_was_logged(logger: logging.Logger) -> None:
    journal, state = Journal(), ["calm"]
    handler = BackgroundHandler(journal)
    logger.addHandler(handler)
    logger.warning("state %s", state)
    state[0] = "urgent"
    journal.reads.set()
    handler.close()
    assert journal.lines == ["state ['calm']"]


def test_closing_brings_out_what_waits(logger: logging.Logger) -> None:
    journal = Journal()
    journal.reads.set()
    handler = BackgroundHandler(journal)
    logger.addHandler(handler)
    for number in range(500):
        logger.warning("%d", number)
    handler.close()
    assert journal.lines == [str(number) for number in range(500)]


def test_a_journal_that_hangs_for_good_does_not_hold_up_the_end(logger: logging.Logger) -> None:
    journal = Journal()
    handler = BackgroundHandler(journal, waiting=1)
    logger.addHandler(handler)
    for _ in range(5):
        logger.warning("unread")
    handler.close()  # this ends
    journal.reads.set()


def test_a_process_whose_stderr_nobody_reads_ends() -> None:
    code = """
import logging
from edge.log import set_up_logging
set_up_logging("info", {}, background=True)
for number in range(3000):
    logging.info("a line that fills the pipe %d", number)
print("done", flush=True)
"""
    reader, writer = os.pipe()
    done = subprocess.run(  # noqa: S603 - our own script
        [sys.executable, "-c", code], stderr=writer, stdout=subprocess.PIPE, timeout=60, check=True
    )
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        read = pipe.read().decode()
    assert done.stdout == b"done\n"
    assert "a line that fills the pipe 0" in read


def test_a_reader_that_is_gone_is_no_fault_of_the_service(logger: logging.Logger) -> None:
    def broken(_: bytes) -> None:
        raise BrokenPipeError

    handler = BackgroundHandler(broken)
    logger.addHandler(handler)
    logger.warning("unheard")
    logger.warning("unheard")
    handler.close()


def test_the_service_logs_in_the_background_and_a_command_does_not() -> None:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    try:
        set_up_logging("info", {}, background=True)
        assert isinstance(root.handlers[0], BackgroundHandler)
        root.handlers[0].close()
        set_up_logging("info", {})
        assert not isinstance(root.handlers[0], BackgroundHandler)
    finally:
        root.handlers[:] = before
        root.setLevel(level)


def test_libraries_that_try_again_and_again_do_not_fill_the_log(capfd: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    quiet = {name: logging.getLogger(name).level for name in ("alembic", "can", "kuksa_client")}
    try:
        set_up_logging("info", {})
        logging.getLogger("kuksa_client.grpc").info("Establishing insecure channel")
        logging.getLogger("can.interfaces.socketcan.socketcan").error("Could not access SocketCAN device can0")
        logging.getLogger("edge.vehicle.store").warning("vehicle can: told once")
        assert [line.partition(" edge")[0].split()[1] for line in capfd.readouterr().err.splitlines()] == ["WARNING"]
    finally:
        root.handlers[:] = before
        root.setLevel(level)
        for name, least in quiet.items():
            logging.getLogger(name).setLevel(least)
