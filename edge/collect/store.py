"""What the collector writes: each alert once, the last word of each device, and what is known to be missing.

All of a batch is one transaction. A statement that meets a row that is there already leaves it or takes the newer
value, so that a batch may be written again after a fault, and by several collectors side by side.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Table,
    and_,
    delete,
    func,
    select,
    tuple_,
    update,
)

from edge.collect.database import empty_log
from edge.collect.gaps import OpenStream, StreamKey
from edge.collect.hours import Hours
from edge.collect.missing import look_for_gaps, missing_of
from edge.collect.ranges import Range, common, without
from edge.collect.reading import (
    AlertSaid,
    AvailabilitySaid,
    ClearedSaid,
    PieceSaid,
    Reading,
    Refused,
    ResendSaid,
    Sender,
    StatusSaid,
)
from edge.collect.statements import Statements, of_device, of_stream, settling
from edge.collect.tables import OF_A_DEVICE, alerts, devices, hours, losses, pieces, streams
from edge.domain import Stamp
from edge.mqtt.messages import Resent, Topics

Device = tuple[str, str]
"""Prefix and device id."""

KNOWN, UNKNOWN = "known", "unknown"
RETENTION = "retention"
"""Why an alert that never came is no longer waited for: what came after it has been deleted for its age."""

DELETED_AT_ONCE = 1000
SHOWN_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class Received:
    """A reading, and the topic that it came on."""

    topic: str
    reading: Reading


@dataclass(frozen=True, slots=True)
class Stored:
    """An alert that is now in the database. ``decided``: by the device's clock; None where that cannot be believed."""

    prefix: str
    device: str
    received: datetime
    payload: str
    decided: datetime | None


@dataclass(frozen=True, slots=True)
class Written:
    """What became of a batch."""

    stored: list[Stored] = field(default_factory=list)
    duplicates: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)
    newly_lost: list[tuple[StreamKey, Range, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Erasure:
    """What ``forget`` has deleted."""

    prefix: str
    device: str
    alerts: int


class Store:
    """Writes to the database of ``engine``. Every method may raise what the database raises (``DBAPIError``)."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._statements = Statements(engine.dialect.name)
        self._hours = Hours()

    def write(self, batch: Sequence[Received], now: Stamp) -> Written:
        """Write what came, in order, as one transaction that is on the disk when this returns."""
        readings = [one.reading for one in batch]
        with self._engine.begin() as connection:
            floors = self._floors(connection)
            said = [one for one in readings if not _below(floors, one)]
            said = self._without_ghosts(connection, floors, said)
            arrived = {
                (one.sender.prefix, one.sender.device, one.alert.epoch, one.alert.sequence): one
                for one in reversed(said)  # of the same alert twice, the first counts
                if isinstance(one, AlertSaid)
            }
            stored = self._write_alerts(connection, arrived, now)
            conflicts = self._conflicts(connection, [one for key, one in arrived.items() if key not in stored])
            conflicts += self._write_pieces(connection, said, now)
            self._write_devices(connection, said, now)
            self._write_streams(connection, said, stored, floors)
            newly_lost = [
                loss
                for one in said
                if isinstance(one, ResendSaid) and one.resent is not None
                for loss in self._write_answer(connection, one.sender, one.resent, now, end=one.end)
            ]
            refused = self._write_refusals(connection, [*batch, *conflicts], now)
            minutes = self._hours.news(said, now)
            if minutes:
                rows = [
                    {"prefix": prefix, "device": device, "hour": hour} | asdict(minutes[prefix, device, hour])
                    for prefix, device, hour in sorted(minutes)
                ]
                connection.execute(self._statements.hour, rows)
        self._hours.written(minutes)
        return Written(
            [_stored(arrived[key], now) for key in sorted(stored)],
            duplicates=sum(isinstance(one, AlertSaid) for one in said) - len(stored) - len(conflicts),
            refused=refused,
            lost=_by_reason(newly_lost),
            newly_lost=newly_lost,
        )

    def open_streams(self) -> list[OpenStream]:
        """The streams of which something is missing; those of which nothing is missing any more are settled."""
        with self._engine.begin() as connection:
            found = look_for_gaps(connection)
            if found:
                connection.execute(self._statements.settle, [settling(stream.key, stream.settled) for stream in found])
        return [stream for stream in found if stream.missing or stream.tail]

    def forget(self, prefix: str, device: str, now: datetime) -> Erasure:
        """Delete all of one device. What it had decided by now is not taken again; the mark of it holds no content."""
        with self._engine.begin() as connection:
            mine = of_device(streams, prefix, device)
            newest = connection.execute(
                select(streams.c.epoch, streams.c.newest).where(mine).order_by(streams.c.epoch.desc()).limit(1)
            ).first()
            count = connection.execute(delete(alerts).where(of_device(alerts, prefix, device))).rowcount
            for table in OF_A_DEVICE:
                if table is not alerts:
                    connection.execute(delete(table).where(of_device(table, prefix, device)))
            if newest is not None:
                mark = {"prefix": prefix, "device": device, "epoch": newest.epoch, "sequence": newest.newest}
                connection.execute(self._statements.erasure, mark | {"erased": now})
        self._hours.forget(prefix, device)
        empty_log(self._engine)
        return Erasure(prefix, device, count)

    def delete_old(self, before: datetime, now: datetime) -> int:
        """Delete alerts that came before then, at most DELETED_AT_ONCE; return how many.

        Their age is told by ids, which rise: what came under a wrong clock is as old as what came after it.
        """
        with self._engine.begin() as connection:
            last = connection.scalar(
                select(func.max(alerts.c.id)).where(alerts.c.received < before, alerts.c.received_synced)
            )
            if last is None:
                self._delete_unseen(connection, before)
                return 0
            oldest = select(alerts.c.id).where(alerts.c.id <= last).order_by(alerts.c.id).limit(DELETED_AT_ONCE)
            gone = connection.execute(
                delete(alerts)
                .where(alerts.c.id.in_(oldest))
                .returning(alerts.c.prefix, alerts.c.device, alerts.c.epoch, alerts.c.sequence)
            ).all()
            deleted: dict[StreamKey, list[int]] = defaultdict(list)
            for row in gone:
                deleted[StreamKey(row.prefix, row.device, row.epoch)].append(row.sequence)
            for key, sequences in sorted(deleted.items()):
                self._give_up_below(connection, key, sequences, now)
        return len(gone)

    def _floors(self, connection: Connection) -> dict[Device, tuple[int, int]]:
        rows = connection.execute(self._statements.floors)
        return {(row.prefix, row.device): (row.epoch, row.sequence) for row in rows}

    def _without_ghosts(
        self, connection: Connection, floors: dict[Device, tuple[int, int]], said: list[Reading]
    ) -> list[Reading]:
        """Leave out what a broker had kept of an erased device, or sent in its name, until it speaks itself."""
        silent = {
            (one.sender.prefix, one.sender.device)
            for one in said
            if not isinstance(one, Refused) and (one.sender.prefix, one.sender.device) in floors
        }
        if not silent:
            return said
        rows = connection.execute(
            select(devices.c.prefix, devices.c.device).where(tuple_(devices.c.prefix, devices.c.device).in_(silent))
        )
        silent -= {(row.prefix, row.device) for row in rows}
        silent -= {
            (one.sender.prefix, one.sender.device)
            for one in said
            if isinstance(one, AlertSaid | StatusSaid) and _spoken(one)
        }
        return [one for one in said if isinstance(one, Refused) or (one.sender.prefix, one.sender.device) not in silent]

    def _write_alerts(
        self, connection: Connection, arrived: dict[tuple[str, str, int, int], AlertSaid], now: Stamp
    ) -> set[tuple[str, str, int, int]]:
        if not arrived:
            return set()
        rows = [_alert_row(arrived[key], now) for key in sorted(arrived)]
        return {tuple(row) for row in connection.execute(self._statements.alert, rows)}

    def _conflicts(self, connection: Connection, again: Sequence[AlertSaid]) -> list[Received]:
        """Refuse alerts that bear the number of another one: two devices have one id, or one outbox was copied."""
        conflicts: list[Received] = []
        for one in again:
            row = connection.execute(
                select(alerts.c.episode, alerts.c.phase, alerts.c.time).where(
                    of_stream(alerts, _key(one.sender, one.alert.epoch)), alerts.c.sequence == one.alert.sequence
                )
            ).one()
            if (row.episode, row.phase, row.time) != (str(one.alert.id), str(one.alert.phase), one.time):
                topic = Topics(one.sender.prefix, one.sender.device).alert
                detail = (
                    f"another alert has number {one.alert.sequence} of epoch {one.alert.epoch}; is the id used twice?"
                )
                conflicts.append(Received(topic, Refused("conflict", detail)))
        return conflicts

    def _write_pieces(self, connection: Connection, said: Sequence[Reading], now: Stamp) -> list[Received]:
        """Keep numbers around alerts, each sample once; those that bear the number of another episode are refused."""
        rows: dict[tuple[StreamKey, int, int], dict[str, Any]] = {}
        conflicts: list[Received] = []
        for one in said:
            if not isinstance(one, PieceSaid):
                continue
            key, number = _key(one.sender, one.piece.epoch), one.piece.sequence
            mine = (str(one.piece.id), one.piece.total)
            known = next(((row["episode"], row["total"]) for at, row in rows.items() if at[:2] == (key, number)), None)
            if known is None:
                query = select(pieces.c.episode, pieces.c.total).where(
                    of_stream(pieces, key), pieces.c.sequence == number
                )
                found = connection.execute(query.limit(1)).first()
                known = mine if found is None else (found.episode, found.total)
            if known != mine:
                topic = Topics(key.prefix, key.device).episode(key.epoch, number)
                conflicts.append(Received(topic, Refused("conflict", "another episode has this number")))
                continue
            before = rows.get((key, number, one.piece.first))
            if before is None or before["count"] < len(one.piece.t_s):
                rows[key, number, one.piece.first] = _piece_row(one, now)
        if rows:
            connection.execute(self._statements.piece, [rows[key] for key in sorted(rows)])
        return conflicts

    def _write_devices(self, connection: Connection, said: Sequence[Reading], now: Stamp) -> None:
        rows: dict[Device, dict[str, Any]] = {}
        for one in said:
            if isinstance(one, Refused | ClearedSaid):
                continue
            sender = one.sender
            row = rows.setdefault((sender.prefix, sender.device), _device_row(sender, now))
            if _spoken(one):
                row["last_seen"], row["availability"] = now.time, "online"
            if isinstance(one, AvailabilitySaid):
                row["availability"] = one.availability
            elif isinstance(one, StatusSaid):
                row[one.what], row[f"{one.what}_time"] = one.payload, one.time
        if rows:
            connection.execute(self._statements.device, [rows[key] for key in sorted(rows)])

    def _write_streams(
        self,
        connection: Connection,
        said: Sequence[Reading],
        stored: set[tuple[str, str, int, int]],
        floors: dict[Device, tuple[int, int]],
    ) -> None:
        newest: dict[StreamKey, int] = {}
        for one in said:
            if isinstance(one, AlertSaid):
                key, number = _key(one.sender, one.alert.epoch), one.alert.sequence
            elif isinstance(one, StatusSaid):
                key, number = _key(one.sender, one.epoch), one.sequence
            else:
                continue
            newest[key] = max(newest.get(key, 0), number)
        fresh: dict[StreamKey, list[int]] = defaultdict(list)
        for prefix, device, epoch, sequence in sorted(stored):
            fresh[StreamKey(prefix, device, epoch)].append(sequence)
        rows = [_stream_row(key, newest[key], floors) for key in sorted(newest) if not _erased(floors, key)]
        if rows:
            connection.execute(self._statements.stream, rows)
        in_order = [
            settling(key, run[-1], before=run[0] - 1) for key, run in fresh.items() if run[-1] - run[0] == len(run) - 1
        ]
        if in_order:
            connection.execute(self._statements.settle_run, in_order)

    def _write_answer(
        self, connection: Connection, sender: Sender, resent: Resent, now: Stamp, *, end: bool
    ) -> list[tuple[StreamKey, Range, str]]:
        """Note what a device says is gone for good, and where an epoch ends."""
        key = _key(sender, resent.epoch)
        row = connection.execute(select(streams.c.newest, streams.c.settled).where(of_stream(streams, key))).first()
        if row is None:
            return []
        newest = max(row.newest, resent.newest or 0)
        gone = [(Range(one.first, one.last), one.reason) for one in resent.gone if one.first <= one.last]
        if resent.newest is None:
            gone.append((Range(resent.first, max(newest, resent.first)), UNKNOWN))
        _, missing = missing_of(connection, key, row.settled, newest)
        newly_lost: list[tuple[StreamKey, Range, str]] = []
        for one_gone, reason in gone:
            lost = common(missing, [one_gone])
            missing = without(missing, lost)
            newly_lost += [(key, one, _shown(reason)[:64]) for one in lost]
        self._write_losses(connection, newly_lost, now.time)
        told: dict[str, Any] = {"newest": self._statements.greater(streams.c.newest, newest)}
        if end:
            told["ended"] = KNOWN if resent.newest is not None else UNKNOWN
        connection.execute(update(streams).where(of_stream(streams, key)).values(**told))
        reached, _ = missing_of(connection, key, row.settled, newest)
        connection.execute(self._statements.settle, settling(key, reached))
        return newly_lost

    def _write_losses(
        self, connection: Connection, found: Sequence[tuple[StreamKey, Range, str]], noted: datetime
    ) -> None:
        rows = [
            {
                "prefix": key.prefix,
                "device": key.device,
                "epoch": key.epoch,
                "first": one.first,
                "last": one.last,
                "reason": reason,
                "noted": noted,
            }
            for key, one, reason in found
        ]
        if rows:
            connection.execute(self._statements.loss, rows)

    def _write_refusals(self, connection: Connection, batch: Sequence[Received], now: Stamp) -> Counter[str]:
        refused = [(one.topic, one.reading) for one in batch if isinstance(one.reading, Refused)]
        counts = Counter(reading.reason for _, reading in refused)
        newest = {reading.reason: (topic, reading.detail) for topic, reading in refused}
        rows = [
            {
                "reason": reason,
                "count": counts[reason],
                "newest": now.time,
                "topic": _shown(topic),
                "detail": _shown(detail),
            }
            for reason, (topic, detail) in sorted(newest.items())
        ]
        if rows:
            connection.execute(self._statements.refusal, rows)
        return counts

    def _give_up_below(self, connection: Connection, key: StreamKey, deleted: Sequence[int], now: datetime) -> None:
        """What is missing below a deleted alert is not waited for any more."""
        settled = connection.scalar(select(streams.c.settled).where(of_stream(streams, key)))
        if settled is None or settled >= max(deleted):
            return
        ranges = [Range(number, number) for number in deleted]
        _, missing = missing_of(connection, key, settled, max(deleted), ranges)
        self._write_losses(connection, [(key, one, RETENTION) for one in missing], now)
        connection.execute(update(streams).where(of_stream(streams, key)).values(settled=max(deleted)))

    def _delete_unseen(self, connection: Connection, before: datetime) -> None:
        """Delete devices not seen since of which no alert is left, and what else is of before then.

        The age of numbers around alerts is told by ids, as that of alerts.
        """
        connection.execute(delete(hours).where(hours.c.hour < before))
        last = select(func.max(pieces.c.id)).where(pieces.c.received < before, pieces.c.received_synced)
        connection.execute(delete(pieces).where(pieces.c.id <= last.scalar_subquery()))
        mine = and_(alerts.c.prefix == devices.c.prefix, alerts.c.device == devices.c.device)
        old = and_(devices.c.last_seen < before, devices.c.seen_synced)
        unseen = connection.execute(
            delete(devices).where(old, ~select(alerts.c.id).where(mine).exists()).returning(*_names(devices))
        ).all()
        for prefix, device in unseen:
            for table in (streams, losses, pieces, hours):  # came while the clock was unset: their age is not known
                connection.execute(delete(table).where(of_device(table, prefix, device)))


def _names(table: Table) -> tuple[ColumnElement[str], ColumnElement[str]]:
    return table.c.prefix, table.c.device


def _key(sender: Sender, epoch: int) -> StreamKey:
    return StreamKey(sender.prefix, sender.device, epoch)


def _spoken(reading: Reading) -> bool:
    """Whether the device itself has just said it, rather than the broker what it had kept or was told to say."""
    if isinstance(reading, Refused) or reading.sender.retained:
        return False
    if isinstance(reading, AvailabilitySaid):
        return reading.availability == "online"
    return not isinstance(reading, ClearedSaid)


def _below(floors: dict[Device, tuple[int, int]], reading: Reading) -> bool:
    """Whether it is an alert of what was erased, or of the numbers around one."""
    if not isinstance(reading, AlertSaid | PieceSaid):
        return False
    said = reading.alert if isinstance(reading, AlertSaid) else reading.piece
    floor = floors.get((reading.sender.prefix, reading.sender.device))
    return floor is not None and (said.epoch, said.sequence) <= floor


def _erased(floors: dict[Device, tuple[int, int]], key: StreamKey) -> bool:
    return key.epoch < floors.get((key.prefix, key.device), (0, 0))[0]


def _stream_row(key: StreamKey, newest: int, floors: dict[Device, tuple[int, int]]) -> dict[str, Any]:
    epoch, sequence = floors.get((key.prefix, key.device), (0, 0))
    settled = sequence if epoch == key.epoch else 0
    return {
        "prefix": key.prefix,
        "device": key.device,
        "epoch": key.epoch,
        "newest": max(newest, settled),
        "settled": settled,
        "ended": None,
    }


def _device_row(sender: Sender, now: Stamp) -> dict[str, Any]:
    return {
        "prefix": sender.prefix,
        "device": sender.device,
        "first_seen": now.time,
        "last_seen": None,
        "seen_synced": now.clock_synced,
        "availability": None,
        "state_time": None,
        "state": None,
        "health_time": None,
        "health": None,
    }


def _alert_row(said: AlertSaid, now: Stamp) -> dict[str, Any]:
    alert = said.alert
    return {
        "prefix": said.sender.prefix,
        "device": said.sender.device,
        "epoch": alert.epoch,
        "sequence": alert.sequence,
        "time": said.time,
        "clock_synced": alert.clock_synced,
        "episode": str(alert.id),
        "kind": alert.kind,
        "phase": str(alert.phase),
        "level": str(alert.level),
        "started": said.started,
        "happened": said.started if alert.clock_synced and said.started <= now.time else now.time,
        "resent": alert.resent,
        "received": now.time,
        "received_synced": now.clock_synced,
        "payload": said.payload,
    }


def _piece_row(said: PieceSaid, now: Stamp) -> dict[str, Any]:
    piece = said.piece
    return {
        "prefix": said.sender.prefix,
        "device": said.sender.device,
        "epoch": piece.epoch,
        "sequence": piece.sequence,
        "first": piece.first,
        "count": len(piece.t_s),
        "total": piece.total,
        "episode": str(piece.id),
        "received": now.time,
        "received_synced": now.clock_synced,
        "payload": said.payload,
    }


def _stored(said: AlertSaid, now: Stamp) -> Stored:
    believed = said.alert.clock_synced and not said.alert.resent
    return Stored(
        said.sender.prefix, said.sender.device, now.time, said.payload, decided=said.time if believed else None
    )


def _by_reason(found: Iterable[tuple[StreamKey, Range, str]]) -> Counter[str]:
    lost: Counter[str] = Counter()
    for _, one, reason in found:
        lost[reason] += one.count
    return lost


def _shown(text: str) -> str:
    """Fit for every database and for people."""
    return "".join(character if character.isprintable() else "?" for character in text)[:SHOWN_CHARACTERS]
