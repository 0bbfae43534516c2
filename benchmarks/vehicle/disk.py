"""A disk that forgets what was not flushed when its power goes: a network block device (NBD) on a local socket.

The protocol is that of https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md, as far as QEMU needs it:
the fixed newstyle handshake, simple replies, read, write, flush, FUA.
"""

from __future__ import annotations

import contextlib
import random
import socketserver
import struct
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

BLOCK = 4096
_MAGIC, _OPTION_MAGIC, _REPLY_MAGIC = 0x4E42444D41474943, 0x49484156454F5054, 0x3E889045565A9
_REQUEST_MAGIC, _ANSWER_MAGIC = 0x25609513, 0x67446698
_EXPORT_NAME, _ABORT, _INFO, _GO = 1, 2, 6, 7
_ACK, _GIVE_INFO, _UNSUPPORTED = 1, 3, 2**31 + 1
_READ, _WRITE, _DISCONNECT, _FLUSH = 0, 1, 2, 3
_FUA = 1
_HAS_FLAGS, _CAN_FLUSH, _CAN_FUA = 1, 4, 8
_INVALID = 22


@dataclass
class ForgetfulDisk:
    """Blocks above ``base``, which is only read. ``kept`` outlives a power cut, ``unflushed`` does not, or in part."""

    base: Path
    kept: dict[int, bytes] = field(default_factory=dict)
    unflushed: dict[int, bytes] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Bytes."""
        return self.base.stat().st_size

    def read(self, offset: int, length: int) -> bytes:
        """What was written last, flushed or not."""
        first, last = offset // BLOCK, (offset + length - 1) // BLOCK
        found = bytearray()
        with self.base.open("rb") as file:
            file.seek(first * BLOCK)
            found += file.read((last - first + 1) * BLOCK)
        for number in range(first, last + 1):
            block = self.unflushed.get(number, self.kept.get(number))
            if block is not None:
                found[(number - first) * BLOCK : (number - first + 1) * BLOCK] = block
        begin = offset - first * BLOCK
        return bytes(found[begin : begin + length])

    def write(self, offset: int, content: bytes) -> None:
        """Take it into the disk's own memory."""
        at = 0
        while at < len(content):
            number, begin = divmod(offset + at, BLOCK)
            part = content[at : at + BLOCK - begin]
            if len(part) < BLOCK:
                block = self.read(number * BLOCK, BLOCK)
                self.unflushed[number] = block[:begin] + part + block[begin + len(part) :]
            else:
                self.unflushed[number] = part
            at += len(part)

    def flush(self) -> None:
        """Make what was written so far last."""
        self.kept |= self.unflushed
        self.unflushed.clear()

    def keep(self, offset: int, length: int) -> None:
        """Make what lies there last, and nothing else (a write with FUA)."""
        for number in range(offset // BLOCK, (offset + length - 1) // BLOCK + 1):
            if (block := self.unflushed.pop(number, None)) is not None:
                self.kept[number] = block

    def cut(self, chance: random.Random, share: float) -> int:
        """Lose power: of what was not flushed, each block is there with the probability ``share``, in no order.

        Return how many were forgotten.
        """
        survivors = {number: block for number, block in self.unflushed.items() if chance.random() < share}
        forgotten = len(self.unflushed) - len(survivors)
        self.kept |= survivors
        self.unflushed.clear()
        return forgotten


@contextlib.contextmanager
def served(disk: ForgetfulDisk, path: Path) -> Iterator[Mapping[str, Any]]:
    """Serve it on the socket ``path``; gives the options by which QEMU takes it."""
    path.unlink(missing_ok=True)

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            with contextlib.suppress(ConnectionError, _GoneError):  # QEMU was killed, as is our purpose
                _serve(self, disk)

    with socketserver.ThreadingUnixStreamServer(str(path), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield {"driver": "nbd", "server.type": "unix", "server.path": str(path), "export": "disk"}
        finally:
            server.shutdown()
            thread.join()
            path.unlink(missing_ok=True)


class _GoneError(Exception):
    """The client has hung up."""


def _serve(stream: socketserver.StreamRequestHandler, disk: ForgetfulDisk) -> None:
    stream.wfile.write(struct.pack(">QQH", _MAGIC, _OPTION_MAGIC, 3))  # fixed newstyle, no zeroes
    struct.unpack(">I", _take(stream, 4))
    if _agree(stream, disk):
        while _answer(stream, disk):
            pass


def _agree(stream: socketserver.StreamRequestHandler, disk: ForgetfulDisk) -> bool:
    """Answer options until one of them begins the transmission; whether one did."""
    flags = _HAS_FLAGS | _CAN_FLUSH | _CAN_FUA
    while True:
        _, option, length = struct.unpack(">QII", _take(stream, 16))
        _take(stream, length)
        if option == _EXPORT_NAME:
            stream.wfile.write(struct.pack(">QH", disk.size, flags))
            return True
        if option in {_GO, _INFO}:
            _reply(stream, option, _GIVE_INFO, struct.pack(">HQH", 0, disk.size, flags))
            _reply(stream, option, _ACK)
            if option == _GO:
                return True
        elif option == _ABORT:
            _reply(stream, option, _ACK)
            return False
        else:
            _reply(stream, option, _UNSUPPORTED)


def _reply(stream: socketserver.StreamRequestHandler, option: int, kind: int, content: bytes = b"") -> None:
    stream.wfile.write(struct.pack(">QIII", _REPLY_MAGIC, option, kind, len(content)) + content)


def _answer(stream: socketserver.StreamRequestHandler, disk: ForgetfulDisk) -> bool:
    """One request; False where it was the last."""
    _, flags, kind, handle, offset, length = struct.unpack(">IHHQQI", _take(stream, 28))
    content, error = b"", 0
    if kind == _READ:
        content = disk.read(offset, length)
    elif kind == _WRITE:
        disk.write(offset, _take(stream, length))
        if flags & _FUA:
            disk.keep(offset, length)
    elif kind == _FLUSH:
        disk.flush()
    elif kind == _DISCONNECT:
        return False
    else:
        error = _INVALID
    stream.wfile.write(struct.pack(">IIQ", _ANSWER_MAGIC, error, handle) + content)
    return True


def _take(stream: socketserver.StreamRequestHandler, length: int) -> bytes:
    content = stream.rfile.read(length)
    if len(content) < length:
        raise _GoneError
    return content
