"""What can be read of a damaged outbox: each alert says by itself what it is, and its checksums tell whether it is."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from edge.mqtt.messages import AlertMessage, Topics
from edge.mqtt.outbox.epochs import HIGHEST_EPOCH
from edge.mqtt.outbox.layout1 import is_alert, renumbered
from edge.mqtt.outbox.pages import Value, views
from edge.mqtt.outbox.rows import REASONS, Counter, Removal, Row, Status

Moment = tuple[Any, ...]

_UNKNOWN_S = math.inf


@dataclass(slots=True)
class Finds:
    """What was found, each alert once: ``counters`` are the last numbers given, as far as the file tells."""

    rows: dict[tuple[int, int], Row] = field(default_factory=dict)
    gone: set[Removal] = field(default_factory=set)
    counters: list[Counter] = field(default_factory=list)

    @property
    def lived_s(self) -> float:
        """How long the outbox has been in use, seconds, as far as anything found tells."""
        known = [row.stored_s for row in self.rows.values() if row.stored_s < _UNKNOWN_S]
        return max(known + [one.lived_s for one in self.counters], default=0.0)

    @property
    def epochs(self) -> set[int]:
        """Epochs of which anything was found."""
        return {epoch for epoch, _ in self.rows} | {counter.epoch for counter in self.counters}

    def add(self, row: Row) -> None:
        """One more alert. Found twice, it waits where either says so: better sent twice than never."""
        before = self.rows.get((row.epoch, row.sequence))
        if before is None or row.status < before.status:
            self.rows[row.epoch, row.sequence] = row

    def take(self, values: tuple[Value, ...], owner: Topics) -> bool:
        """One record; False where it is none of the present layout."""
        match values:
            case (None, int(epoch), int(sequence), float() | int() as lived, str(owner_name), int(checksum)):
                counter = Counter(epoch, sequence, float(lived), owner_name)
                if counter.checksum == checksum:
                    self.counters.append(counter)
            case (int(epoch), int(first), int(last), str(reason)) if reason in REASONS:
                if 1 <= epoch <= HIGHEST_EPOCH and 1 <= first <= last < 2**53:
                    self.gone.add(Removal(epoch, first, last, reason))
            case _ if (row := _row(values, owner)) is not None:
                self.add(row)
            case _:
                return False
        return True

    def complete(self, older: Finds) -> None:
        """Add what an older view of the same file holds and this one lacks."""
        for number, row in older.rows.items():
            if not any(one.epoch == row.epoch and one.first <= row.sequence <= one.last for one in self.gone):
                self.rows.setdefault(number, row)
        self.gone |= older.gone
        self.counters += older.counters

    def in_order(self) -> Iterator[Row]:
        """The alerts by number, those that wait at new places from 1; of unknown age is as old as the outbox."""
        place, lived_s = 0, self.lived_s
        for number in sorted(self.rows):
            row = self.rows[number]
            waits = row.status is Status.WAITING
            place += waits
            yield replace(row, place=place if waits else None, stored_s=min(row.stored_s, lived_s))

    def lost(self) -> int:
        """How many numbers up to the newest known of their epoch are neither found nor known to be gone."""
        lost = 0
        for epoch in self.epochs:
            spans = [(one.first, one.last) for one in self.gone if one.epoch == epoch]
            spans += [(number, number) for of, number in self.rows if of == epoch]
            counted = [one.sequence for one in self.counters if one.epoch == epoch]
            newest, at = max([last for _, last in spans] + counted), 1
            for first, last in sorted(spans):
                lost += max(first - at, 0)
                at = max(at, last + 1)
            lost += max(newest + 1 - at, 0)
        return lost


def salvage(path: Path, owner: Topics, epoch: int | None) -> Finds:
    """Read the file at ``path`` page by page, and its log; nothing is changed.

    Alerts of layout 1 become ``owner``'s, numbered in ``epoch``; without one they are left out.

    Raises:
        OSError: it cannot be read at all.
    """
    finds = Finds()
    old: dict[int, bytes] = {}
    with path.open("rb") as file:
        for pages in views(path, file):
            seen = Finds()
            for row_id, values in pages.records():
                if not seen.take(values, owner):
                    _take_old(old, row_id, [value for value in values if isinstance(value, bytes)])
            finds.complete(seen)
    if epoch is None or not old:
        return finds
    known = {_moment(row.payload) for row in finds.rows.values()}
    left = [payload for payload in old.values() if _moment(payload) not in known]
    for row in renumbered(left, owner, epoch):
        finds.add(replace(row, stored_s=_UNKNOWN_S))
    return finds


def _row(values: tuple[Value, ...], owner: Topics) -> Row | None:
    """The alert in these values where a checksum says that it is one, whatever has become of the values around it."""
    return _whole_row(values) or next((row for value in values if (row := _payload_row(value, values, owner))), None)


def _whole_row(values: tuple[Value, ...]) -> Row | None:
    match values:
        case (
            _,
            int(epoch),
            int(sequence),
            status,
            _,
            0 | 1 as resent,
            float() | int() as stored_s,
            0 | 1 as is_end,
            str(note),
            str(prefix),
            str(device_id),
            _,
            bytes(payload),
            checksum,
        ):
            flags = bool(resent), float(stored_s), bool(is_end)
        case _:
            return None
    # where the status was hit, the checksum tells the right one
    for told in sorted(Status, key=lambda one: one != status):
        row = Row(epoch, sequence, told, None, *flags, note, prefix, device_id, payload)
        if row.checksum == checksum and 1 <= epoch <= HIGHEST_EPOCH and sequence >= 1:
            return row
    return None


def _payload_row(value: Value, values: tuple[Value, ...], owner: Topics) -> Row | None:
    """A waiting alert, made of nothing but a payload that agrees with a checksum beside it.

    Where its own checksum was hit, that of the whole row tells, if what the payload says by itself is set right in it.
    """
    if not isinstance(value, bytes):
        return None
    try:
        message = AlertMessage.model_validate_json(value)
    except ValidationError:
        return None
    row = replace(Row.of(message, prefix=owner.prefix, place=None, stored_s=_UNKNOWN_S), payload=value)
    if row.payload_checksum in values:
        return row
    notes = {"", *(one for one in values if isinstance(one, str))}
    ages = [float(one) for one in values if isinstance(one, int | float)]
    told = (replace(row, status=one, stored_s=age, note=note) for one in Status for age in ages for note in notes)
    return next((one for one in told if one.checksum in values), None)


def _take_old(old: dict[int, bytes], row_id: int, blobs: list[bytes]) -> None:
    """Alerts of layout 1, whose row ids were their numbers.

    Where a row is found twice, the one that is whole counts; two whole ones that differ are two alerts, of which one
    has lost its row id.
    """
    for blob in blobs:
        if b'"schema":1,' not in blob.replace(b" ", b"") or _moment(blob) is None:
            continue
        before = old.get(row_id)
        if before is None or not is_alert(before):
            old[row_id] = blob
        elif is_alert(blob) and _moment(blob) not in map(_moment, old.values()):
            old[-len(old) - 1] = blob


def _moment(payload: bytes) -> Moment | None:
    """What tells an alert from another whatever its number; None where the payload is none."""
    try:
        message = json.loads(payload)
        return message["id"], message["phase"], message["time"], message["uptime_s"]
    except (ValueError, KeyError, TypeError):
        return None
