"""Sending again what a receiver has missed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from edge.mqtt.messages import Gone, Resent
from edge.mqtt.outbox.rows import ASIDE, UNKNOWN, Removal, Row, Status
from edge.mqtt.outbox.store import Store

AT_ONCE = 200
"""Alerts in the queue at once because they were asked for again: a new one shall not wait long behind them."""

RANGES = 20
"""Ranges named in one answer, so that it stays small."""


def resend(store: Store, epoch: int, first: int, last: int | None, *, place: int, stored_s: float) -> Resent:
    """Queue again what is kept of a range of numbers, at the places from ``place`` on, in the order of the numbers.

    Every number of the answer's range is in the queue then, or is named as gone.
    """
    newest = store.newest_of(epoch)
    if newest is None:
        end = max(first, last or first)
        unknown = [Gone(first=first, last=end, reason=UNKNOWN)]
        return Resent(epoch=epoch, first=first, last=end, queued=0, newest=None, gone=unknown)
    end = min(newest, newest if last is None else last)
    room = AT_ONCE - len(store.rows("place IS NOT NULL AND resent = 1"))
    remembered = store.gone(epoch)
    queued, settled = 0, first - 1
    gone: list[Gone] = []
    for row in _rows(store, epoch, first, end):
        missing = list(_missing(remembered, settled + 1, row.sequence - 1))
        aside = row.status is Status.ASIDE
        if len(gone) + len(missing) + aside > RANGES or (row.status is Status.DELIVERED and room == 0):
            return _answer(epoch, first, settled, queued, newest, gone)
        gone += missing
        if aside:
            gone.append(Gone(first=row.sequence, last=row.sequence, reason=ASIDE))
        elif row.status is Status.DELIVERED:
            payload = json.dumps(json.loads(row.payload) | {"resent": True}, separators=(",", ":"), ensure_ascii=False)
            store.change(
                row, status=Status.WAITING, place=place, resent=True, stored_s=stored_s, payload=payload.encode()
            )
            place, room = place + 1, room - 1
        queued += not aside
        settled = row.sequence
    rest = list(_missing(remembered, settled + 1, end))[:RANGES]
    if rest:
        gone += rest
        settled = rest[-1].last
    return _answer(epoch, first, settled, queued, newest, gone)


def _answer(epoch: int, first: int, last: int, queued: int, newest: int, gone: list[Gone]) -> Resent:
    return Resent(epoch=epoch, first=first, last=last, queued=queued, newest=newest, gone=_joined(gone))


def _rows(store: Store, epoch: int, first: int, last: int) -> Iterator[Row]:
    """Rows of a range in order, some at a time."""
    while found := store.rows(
        "epoch = ? AND sequence BETWEEN ? AND ? ORDER BY sequence LIMIT ?", (epoch, first, last, AT_ONCE)
    ):
        yield from found
        first = found[-1].sequence + 1


def _missing(remembered: Iterable[Removal], first: int, last: int) -> Iterator[Gone]:
    """The numbers from ``first`` to ``last``, none of which is kept, with what is remembered of them."""
    for removal in remembered:
        if removal.last < first or removal.first > last:
            continue
        if removal.first > first:
            yield Gone(first=first, last=removal.first - 1, reason=UNKNOWN)
        end = min(removal.last, last)
        yield Gone(first=max(first, removal.first), last=end, reason=removal.reason)
        first = end + 1
    if first <= last:
        yield Gone(first=first, last=last, reason=UNKNOWN)


def _joined(gone: list[Gone]) -> list[Gone]:
    joined: list[Gone] = []
    for one in gone:
        if joined and joined[-1].reason == one.reason and joined[-1].last == one.first - 1:
            joined[-1] = Gone(first=joined[-1].first, last=one.last, reason=one.reason)
        else:
            joined.append(one)
    return joined
