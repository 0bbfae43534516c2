"""The collector's SQL that every batch uses, or that differs between databases; built once, as building is dear."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Executable, Table, and_, bindparam, case, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from edge.collect.database import SQLITE
from edge.collect.gaps import StreamKey
from edge.collect.tables import alerts, devices, erasures, hours, losses, pieces, refusals, streams


class Statements:
    """Each takes rows of its table; where a row is there already it stays, or takes the newer values."""

    def __init__(self, dialect: str) -> None:
        # both databases have the same statement under the same names
        self._insert: Any = sqlite.insert if dialect == SQLITE else postgresql.insert
        self.greater: Any = func.max if dialect == SQLITE else func.greatest
        self.floors = select(erasures.c.prefix, erasures.c.device, erasures.c.epoch, erasures.c.sequence)
        self.alert: Executable = (
            self._insert(alerts)
            .on_conflict_do_nothing(index_elements=["prefix", "device", "epoch", "sequence"])
            .returning(alerts.c.prefix, alerts.c.device, alerts.c.epoch, alerts.c.sequence)
        )
        self.device = self._device()
        self.stream = self._stream()
        self.settle_run = _settle(streams.c.settled == bindparam("before"))
        self.settle = _settle(streams.c.settled < bindparam("now"))
        keys = ["prefix", "device", "epoch", "first"]
        self.loss: Executable = self._insert(losses).on_conflict_do_nothing(index_elements=keys)
        self.refusal = self._refusal()
        self.hour = self._hour()
        self.piece = self._piece()
        self.erasure = self._newest(erasures, ["prefix", "device"], ["epoch", "sequence", "erased"])

    def _newest(self, table: Table, keys: list[str], names: list[str]) -> Executable:
        statement = self._insert(table)
        newer = {name: statement.excluded[name] for name in names}
        upsert: Executable = statement.on_conflict_do_update(index_elements=keys, set_=newer)
        return upsert

    def _device(self) -> Executable:
        statement = self._insert(devices)
        said: dict[str, Any] = {
            name: func.coalesce(statement.excluded[name], devices.c[name])
            for name in ("last_seen", "availability", "state_time", "state", "health_time", "health")
        }
        said["seen_synced"] = case(
            (statement.excluded.last_seen.is_(None), devices.c.seen_synced), else_=statement.excluded.seen_synced
        )
        upsert: Executable = statement.on_conflict_do_update(index_elements=["prefix", "device"], set_=said)
        return upsert

    def _stream(self) -> Executable:
        statement = self._insert(streams)
        told = {
            "newest": self.greater(streams.c.newest, statement.excluded.newest),
            # more came of an epoch that had ended: its end is not known after all
            "ended": case((statement.excluded.newest > streams.c.newest, None), else_=streams.c.ended),
        }
        upsert: Executable = statement.on_conflict_do_update(index_elements=["prefix", "device", "epoch"], set_=told)
        return upsert

    def _piece(self) -> Executable:
        statement = self._insert(pieces)
        newer = {name: statement.excluded[name] for name in ("count", "received", "received_synced", "payload")}
        upsert: Executable = statement.on_conflict_do_update(
            index_elements=["prefix", "device", "epoch", "sequence", "first"],
            set_=newer,
            where=pieces.c["count"] < statement.excluded["count"],  # cut anew, the one that holds more stays
        )
        return upsert

    def _hour(self) -> Executable:
        statement = self._insert(hours)
        both = {name: hours.c[name].op("|")(statement.excluded[name]) for name in ("watched", "known", "driven", "due")}
        upsert: Executable = statement.on_conflict_do_update(index_elements=["prefix", "device", "hour"], set_=both)
        return upsert

    def _refusal(self) -> Executable:
        statement = self._insert(refusals)
        added = {name: statement.excluded[name] for name in ("newest", "topic", "detail")}
        added["count"] = refusals.c["count"] + statement.excluded["count"]
        upsert: Executable = statement.on_conflict_do_update(index_elements=["reason"], set_=added)
        return upsert


def of_device(table: Table, prefix: str, device: str) -> ColumnElement[bool]:
    """The rows of one device."""
    return and_(table.c.prefix == prefix, table.c.device == device)


def of_stream(table: Table, key: StreamKey) -> ColumnElement[bool]:
    """The rows of one of its epochs."""
    return and_(of_device(table, key.prefix, key.device), table.c.epoch == key.epoch)


def settling(key: StreamKey, now: int, before: int | None = None) -> dict[str, Any]:
    """What ``settle``, or with ``before`` ``settle_run``, takes."""
    said = {"of_prefix": key.prefix, "of_device": key.device, "of_epoch": key.epoch, "now": now}
    return said if before is None else said | {"before": before}


def _settle(condition: ColumnElement[bool]) -> Executable:
    """Note up to where nothing is missing of a stream."""
    return (
        update(streams)
        .where(
            streams.c.prefix == bindparam("of_prefix"),
            streams.c.device == bindparam("of_device"),
            streams.c.epoch == bindparam("of_epoch"),
            condition,
        )
        .values(settled=bindparam("now"))
    )
