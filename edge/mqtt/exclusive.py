"""Whose device and whose outbox it is.

Two processes that spoke as one device would contradict each other, and two that sent the same alerts would send them
twice and out of order. So a process claims both before it says anything, and the kernel lets go of both claims when it
ends, however it ends.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import logging
import os
import pwd
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

from edge.board.processes import named
from edge.config import Config
from edge.errors import UnavailableError
from edge.mqtt.security import is_loopback

BRIEF_S = 1.0
"""Who only looks whether an outbox is in use holds it for that moment: a claim is tried again for so long."""

_log = logging.getLogger(__name__)

_RETRY_S = 0.05
_CREDENTIALS = struct.Struct("3i")
"""``struct ucred`` (unix(7), SO_PEERCRED): process, user, group."""

STOP_IT = (
    "stop that first (the service: `sudo systemctl stop evenkeel`), or configure another device.id and outbox.path; "
    "`evenkeel replay` plays a clip and publishes nothing"
)

Claim = Callable[[], AbstractContextManager[str | None]]


@contextmanager
def hold(config: Config, outbox: Path, *, remedy: str = STOP_IT, patience_s: float = BRIEF_S) -> Iterator[None]:
    """Hold the configured device and the ``outbox`` for the time of the ``with``.

    Raises:
        UnavailableError: another process has had one of them for ``patience_s`` seconds; it tells which, who, and the
            ``remedy``.
    """
    mqtt = config.mqtt
    device = f"device {mqtt.prefix}/{config.device.id} at {mqtt.host}:{mqtt.port}"
    deadline = time.monotonic() + patience_s
    with ExitStack() as stack:
        claims: tuple[tuple[str, Claim], ...] = (
            (device, lambda: claim_device(config)),
            (f"outbox {outbox}", lambda: claim_outbox(outbox)),
        )
        for what, claim in claims:
            if (holder := _wait_for(what, claim, stack, deadline)) is not None:
                raise UnavailableError(f"{what} is already in use by {holder}; {remedy}")
        yield


@contextmanager
def claim_device(config: Config) -> Iterator[str | None]:
    """Hold the device's name at its broker; yields None, or in words who on this machine holds it already.

    The claim is a socket in Linux' abstract namespace: it needs no folder that every user could write to, and it tells
    who made it. It ends at the machine (or container), and where one broker is called by two names that both are
    another's.
    """
    address = _address(config)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as claimed:
        try:
            claimed.bind(address)
            claimed.listen()
        except OSError as error:
            yield _holder_of(address) if error.errno == errno.EADDRINUSE else None
            return
        yield None


@contextmanager
def claim_outbox(outbox: Path) -> Iterator[str | None]:
    """Hold an outbox; yields None, or in words who holds it already.

    Where no lock file can be made (the folder is missing or read-only) there is no outbox on disk to share: None.
    """
    try:
        outbox = outbox.resolve()
        outbox.parent.mkdir(parents=True, exist_ok=True)
        file = outbox.with_name(outbox.name + ".lock").open("a+b")
    except (OSError, RuntimeError):  # RuntimeError: a circle of links
        yield None
        return
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            yield _process_named_in(file.read(20))
            return
        except OSError:  # a file system that has no locks has no second process that could hold one
            yield None
            return
        _sign(file.fileno())
        yield None


def _wait_for(what: str, claim: Claim, stack: ExitStack, deadline: float) -> str | None:
    """Claim it as soon as it is free; say who still holds it at the ``deadline``. A long wait is logged."""
    said = deadline - time.monotonic() <= BRIEF_S
    while True:
        with ExitStack() as tried:
            holder = tried.enter_context(claim())
            if holder is None:
                stack.enter_context(tried.pop_all())
                return None
        if time.monotonic() >= deadline:
            return holder
        if not said:
            _log.warning("%s is in use by %s; waiting for it to end", what, holder)
            said = True
        time.sleep(_RETRY_S)


def _address(config: Config) -> bytes:
    host = config.mqtt.host.lower().rstrip(".")
    named_by = ("localhost" if is_loopback(host) else host, config.mqtt.port, config.mqtt.prefix, config.device.id)
    return b"\0evenkeel-" + hashlib.sha256(repr(named_by).encode()).hexdigest()[:32].encode()


def _holder_of(address: bytes) -> str:
    """Who listens at the address, as the kernel noted it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.settimeout(0)
        try:
            asking.connect(address)
            credentials = asking.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        except OSError:  # it has just ended, or so many have asked that it cannot be asked any more
            return "another process"
    pid, uid, _ = _CREDENTIALS.unpack(credentials)
    return f"{named(pid)} of user {_user_name(uid)}" if pid else f"a process of user {_user_name(uid)}"


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _sign(lock: int) -> None:
    """Leave this process's number in the lock file, for whoever is refused; a full disk leaves it out."""
    with contextlib.suppress(OSError):
        os.ftruncate(lock, 0)
        os.write(lock, f"{os.getpid()}\n".encode())


def _process_named_in(signature: bytes) -> str:
    number = signature.strip()
    return str(named(int(number))) if number.isdigit() else "another process"
