"""Lines of JSON over a local socket, as QEMU's monitor and its guest agent speak them."""

from __future__ import annotations

import base64
import json
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from edge.compat import Self

PATIENCE = 6.0
"""Deadlines are of an idle machine; a loaded one gets so many times as long, and the guest's own time waits for it."""

_POLL_S = 0.05
_SEND_S = 10.0
_FORGET = b"\xff"
"""Has the guest agent forget what it was told by halves, and comes before its next answer."""


class AnswerError(Exception):
    """What was asked was refused, or nobody answered in time."""


@dataclass(frozen=True, slots=True)
class Output:
    """What a command in the guest came to."""

    code: int
    text: str


class JsonLines:
    """One question, one answer; events that come between are passed over."""

    def __init__(self, path: Path, timeout_s: float) -> None:
        self._socket = _connect(path, timeout_s)
        self._buffer = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def send(self, question: dict[str, Any], before: bytes = b"") -> None:
        """Ask.

        Raises:
            AnswerError: the other side has gone.
        """
        self._socket.settimeout(_SEND_S)
        try:
            self._socket.sendall(before + json.dumps(question).encode() + b"\n")
        except OSError as error:
            raise AnswerError(f"{question.get('execute')}: nobody listens: {error}") from error

    def receive(self, timeout_s: float) -> dict[str, Any]:
        """The next line.

        Raises:
            AnswerError: none came, or the other side has gone.
        """
        until = time.monotonic() + timeout_s * PATIENCE
        while b"\n" not in self._buffer:
            self._socket.settimeout(max(0.01, until - time.monotonic()))
            try:
                more = self._socket.recv(65536)
            except OSError as error:
                raise AnswerError(f"no answer within {timeout_s:g} s: {error}") from error
            if not more:
                raise AnswerError("the other side has hung up")
            self._buffer += more
        line, _, self._buffer = self._buffer.partition(b"\n")
        answer: dict[str, Any] = json.loads(line.rpartition(_FORGET)[2])
        return answer

    def ask(self, execute: str, timeout_s: float = 20.0, **arguments: Any) -> Any:
        """What ``execute`` returns.

        Raises:
            AnswerError: it was refused, or no answer came.
        """
        self.send({"execute": execute, "arguments": arguments} if arguments else {"execute": execute})
        while True:
            answer = self.receive(timeout_s)
            if "error" in answer:
                raise AnswerError(f"{execute}: {answer['error']['desc']}")
            if "return" in answer:
                return answer["return"]


class Monitor(JsonLines):
    """QEMU's own: the machine from outside (QMP)."""

    def __init__(self, path: Path, timeout_s: float = 20.0) -> None:
        super().__init__(path, timeout_s)
        self.receive(timeout_s)  # its greeting
        self.ask("qmp_capabilities")


class Agent(JsonLines):
    """Debian's qemu-guest-agent: commands as root, inside."""

    def wait(self, timeout_s: float) -> None:
        """Until it answers.

        Raises:
            AnswerError: it does not.
        """
        until = time.monotonic() + timeout_s * PATIENCE
        for number in range(1, 1_000_000):
            try:  # while it boots nobody takes what is sent, until the buffers are full
                self.send({"execute": "guest-sync-delimited", "arguments": {"id": number}}, _FORGET)
                while self.receive(1.0).get("return") != number:
                    pass
            except AnswerError:
                if time.monotonic() > until:
                    raise AnswerError(f"the guest's agent did not answer within {timeout_s:g} s") from None
            else:
                return

    def run(self, command: str, timeout_s: float = 60.0) -> Output:
        """Run a shell's ``command`` and wait for its end.

        Raises:
            AnswerError: it did not end in time, or the guest does not answer.
        """
        started = self.ask(
            "guest-exec", path="/bin/sh", arg=["-c", command], env=_ENVIRONMENT, **{"capture-output": True}
        )
        until = time.monotonic() + timeout_s * PATIENCE
        while time.monotonic() < until:
            found = self.ask("guest-exec-status", pid=started["pid"])
            if found["exited"]:
                output = b"".join(base64.b64decode(found.get(name, "")) for name in ("out-data", "err-data"))
                return Output(found.get("exitcode", 128 + found.get("signal", 0)), output.decode(errors="replace"))
            time.sleep(_POLL_S)
        raise AnswerError(f"{command!r} did not end within {timeout_s:g} s")


_ENVIRONMENT = [
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME=/root",
    "LANG=C.UTF-8",
    "SYSTEMD_PAGER=cat",
    "SYSTEMD_COLORS=0",
]


def _connect(path: Path, timeout_s: float) -> socket.socket:
    until = time.monotonic() + timeout_s
    while True:
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(str(path))
        except OSError as error:
            connection.close()
            if time.monotonic() > until:
                raise AnswerError(f"{path.name}: {error.strerror}") from error
            time.sleep(_POLL_S)
        else:
            return connection
