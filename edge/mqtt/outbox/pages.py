"""Pages and records of a SQLite file, read without SQLite, so that one bad byte does not hide the rest.

The formats are those of https://www.sqlite.org/fileformat2.html: the database header (section 1.3), table leaf pages
and their cells (1.6), records (2.1), the write-ahead log and its checksums (4).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from edge.compat import Self
from edge.mqtt.outbox.files import beside

Value = int | float | str | bytes | None

DEFAULT_PAGE_BYTES = 4096
HEADER_BYTES = 100
TABLE_LEAF = 0x0D
LONGEST_RECORD = 10_000_000

_WAL_HEADER_BYTES = 32
_FRAME_HEADER_BYTES = 24
_WAL_MAGIC = 0x377F0682  # the lowest bit tells that checksums are big-endian
_INTEGER_BYTES = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}


class Checksums:
    """The running checksum of a write-ahead log, for pieces of ``words`` 32-bit words (an even number).

    SQLite adds two words at a time: s0 += x + s1, s1 += y + s0, modulo 2**32. That is linear, so the sum over a piece
    is a dot product with powers of the matrix ((1, 1), (1, 2)).
    """

    def __init__(self, words: int, *, big_endian: bool) -> None:
        self._type = np.dtype(">u4" if big_endian else "<u4")
        weights = np.zeros((2, words), np.uint32)
        power = [[1, 0], [0, 1]]
        for pair in range(words // 2 - 1, -1, -1):
            for row in (0, 1):
                weights[row, 2 * pair] = (power[row][0] + power[row][1]) % 2**32
                weights[row, 2 * pair + 1] = power[row][1]
            power = [[(a + b) % 2**32, (a + 2 * b) % 2**32] for a, b in power]
        self._weights, self._power = weights, power

    def of(self, piece: bytes, seed: tuple[int, int]) -> tuple[int, int]:
        """The checksum after ``piece`` where it was ``seed`` before."""
        words: npt.NDArray[np.uint32] = np.frombuffer(piece, self._type).astype(np.uint32)
        sums = (self._weights * words).sum(axis=1, dtype=np.uint32)
        first, second = (
            (int(total) + power[0] * seed[0] + power[1] * seed[1]) % 2**32
            for total, power in zip(sums, self._power, strict=True)
        )
        return first, second


@dataclass(frozen=True, slots=True)
class Frame:
    """A page in the write-ahead log: which, and where its bytes begin."""

    page: int
    offset: int


@dataclass(frozen=True, slots=True)
class Log:
    """What can be read of a write-ahead log: whole frames up to the last that ends a transaction.

    SQLite reads the first ``sound`` of them and stops where the first is damaged.
    """

    data: bytes
    page_bytes: int
    frames: tuple[Frame, ...]
    sound: int

    @property
    def broken(self) -> bool:
        """Whether SQLite would stop before the end."""
        return self.sound < len(self.frames)

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """The log in a file; None where there is none or no frame of it is whole.

        Raises:
            OSError: it cannot be read.
        """
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return None
        if len(data) <= _WAL_HEADER_BYTES:
            return None
        for page_bytes in dict.fromkeys((int.from_bytes(data[8:12], "big"), DEFAULT_PAGE_BYTES)):
            for big_endian in dict.fromkeys((bool(data[3] & 1), False, True)):
                if _is_page_size(page_bytes) and (log := cls._read(data, page_bytes, big_endian=big_endian)).frames:
                    return log
        return None

    @classmethod
    def _read(cls, data: bytes, page_bytes: int, *, big_endian: bool) -> Self:
        head = Checksums(6, big_endian=big_endian)
        piece = Checksums(2 + page_bytes // 4, big_endian=big_endian)
        salts, seed = data[16:24], struct.unpack(">II", data[24:32])
        whole = head.of(data[:24], (0, 0)) == seed and int.from_bytes(data[:4], "big") & ~1 == _WAL_MAGIC
        frames: list[Frame] = []
        broken, end, sound = not whole, 0, 0
        for at in range(
            _WAL_HEADER_BYTES, len(data) - _FRAME_HEADER_BYTES - page_bytes + 1, _FRAME_HEADER_BYTES + page_bytes
        ):
            page, size, frame_salts = struct.unpack(">II8s", data[at : at + 16])
            stored = struct.unpack(">II", data[at + 16 : at + 24])
            content = at + _FRAME_HEADER_BYTES
            summed = data[at : at + 8] + data[content : content + page_bytes]
            if (frame_salts == salts or not whole) and page and piece.of(summed, seed) == stored:
                frames.append(Frame(page, content))
                end = len(frames) if size else end
                sound = end if not broken else sound
            else:
                broken = True
            seed = stored
        return cls(data, page_bytes, tuple(frames[:end]), sound)


class Pages:
    """The newest image of every page of a database, as its file and some frames of its log hold them."""

    def __init__(
        self, file: BinaryIO, file_bytes: int, page_bytes: int, log: Log | None = None, frames: tuple[Frame, ...] = ()
    ) -> None:
        self._file = file
        self._log_data = log.data if log else b""
        self._in_log = {frame.page: frame.offset for frame in frames}
        self.page_bytes = page_bytes
        self.count = max(-(-file_bytes // page_bytes), max(self._in_log, default=0))

    @property
    def numbers(self) -> range:
        """Numbers of the pages, from 1."""
        return range(1, self.count + 1)

    def image(self, number: int) -> bytes:
        """One page; zeros where it cannot be read or lies behind the end."""
        if (offset := self._in_log.get(number)) is not None:
            return self._log_data[offset : offset + self.page_bytes]
        try:
            self._file.seek((number - 1) * self.page_bytes)
            return self._file.read(self.page_bytes).ljust(self.page_bytes, b"\0")
        except OSError:  # a bad block takes this page, not the others
            return bytes(self.page_bytes)

    def records(self) -> Iterator[tuple[int, tuple[Value, ...]]]:
        """Row id and values of every record in a table's leaf pages, wherever these belong."""
        for number in self.numbers:
            image = self.image(number)
            start = HEADER_BYTES if number == 1 else 0
            if image[start] != TABLE_LEAF:
                continue
            cells = int.from_bytes(image[start + 3 : start + 5], "big")
            for index in range(min(cells, self.page_bytes // 4)):
                at = start + 8 + 2 * index
                if (found := self._cell(image, int.from_bytes(image[at : at + 2], "big"))) is not None:
                    yield found

    def _cell(self, image: bytes, at: int) -> tuple[int, tuple[Value, ...]] | None:
        try:
            size, at = _varint(image, at)
            row, at = _varint(image, at)
            if size <= 0:
                return None
            return row, _record(self._payload(image, at, min(size, LONGEST_RECORD)))
        except (IndexError, ValueError):
            return None

    def _payload(self, image: bytes, at: int, size: int) -> bytes:
        usable = self.page_bytes  # no bytes are reserved at the end of a page
        longest = usable - 35
        if size <= longest:
            return image[at : at + size]
        least = (usable - 12) * 32 // 255 - 23
        local = least + (size - least) % (usable - 4)
        local = local if local <= longest else least
        parts, left = [image[at : at + local]], size - local
        following = int.from_bytes(image[at + local : at + local + 4], "big")
        while left > 0:
            if following not in self.numbers:
                # where it is the size that is damaged, the record is whole in this page
                return image[at : at + longest]
            page = self.image(following)
            parts.append(page[4 : 4 + min(left, usable - 4)])
            left -= usable - 4
            following = int.from_bytes(page[:4], "big")
        return b"".join(parts)


def views(path: Path, file: BinaryIO) -> Iterator[Pages]:
    """The pages of the database at ``path``, opened as ``file``: with all of its log, then as SQLite sees them.

    The two differ where the log is damaged; then an older page may hold what the newer one has lost. Without a log the
    size of the pages is not sure either.

    Raises:
        OSError: they cannot be read.
    """
    log, file_bytes = Log.read(beside(path, "-wal")), path.stat().st_size
    if log is not None:
        yield Pages(file, file_bytes, log.page_bytes, log, log.frames)
        if log.broken:
            yield Pages(file, file_bytes, log.page_bytes, log, log.frames[: log.sound])
        return
    # the header may be damaged, and pages are of the default size but for a file of another make
    for page_bytes in dict.fromkeys((DEFAULT_PAGE_BYTES, _told_page_bytes(file))):
        if _is_page_size(page_bytes):
            yield Pages(file, file_bytes, page_bytes)


def _told_page_bytes(file: BinaryIO) -> int:
    try:
        file.seek(16)
        size = int.from_bytes(file.read(2), "big")
    except OSError:
        return DEFAULT_PAGE_BYTES
    return 65536 if size == 1 else size


def _is_page_size(size: int) -> bool:
    return 512 <= size <= 65536 and size & (size - 1) == 0


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A variable-length integer and where the next byte is."""
    value = 0
    for index in range(8):
        byte = data[at + index]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at + index + 1
    value = value << 8 | data[at + 8]
    return value - 2**64 if value >= 2**63 else value, at + 9


def _record(payload: bytes) -> tuple[Value, ...]:
    """The values of a record; ValueError or IndexError where it is none."""
    header_bytes, at = _varint(payload, 0)
    body = header_bytes
    values: list[Value] = []
    while at < header_bytes:
        serial, at = _varint(payload, at)
        value, size = _value(payload, body, serial)
        values.append(value)
        body += size
    return tuple(values)


def _value(payload: bytes, at: int, serial: int) -> tuple[Value, int]:
    if serial in _INTEGER_BYTES:
        size = _INTEGER_BYTES[serial]
        return int.from_bytes(payload[at : at + size], "big", signed=True), size
    if serial == 7:
        return struct.unpack(">d", payload[at : at + 8].ljust(8, b"\0"))[0], 8
    if serial in (0, 8, 9):
        return (None if serial == 0 else serial - 8), 0
    if serial < 12:  # no record has these; SQLite takes them for nothing too, and reads the values beside them
        return None, 0
    size = (serial - 12) // 2
    content = payload[at : at + size]
    return (content if serial % 2 == 0 else content.decode(errors="replace")), size
