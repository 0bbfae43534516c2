"""What gives way when the outbox is full or its alerts are old, in which order."""

from __future__ import annotations

from edge.mqtt.outbox.rows import ASIDE, EXPIRED, HISTORY, SQUEEZED, Removal, Row, Status
from edge.mqtt.outbox.store import Store

_BATCH = 100


def expire(store: Store, before_s: float) -> list[Removal]:
    """Give up what has waited since before ``before_s``; one that was asked for again goes back to the history."""
    removed = []
    while old := store.rows("place IS NOT NULL AND stored_s < ? ORDER BY place LIMIT ?", (before_s, _BATCH)):
        removed += [removal for row in old for removal in _give_up(store, row, EXPIRED)]
    return removed


def squeeze(store: Store, max_bytes: int) -> list[Removal]:
    """Make it fit: what was asked for again goes back to the history, then the oldest ends go, then the oldest."""
    removed = []
    order = "place IS NOT NULL ORDER BY resent DESC, is_end DESC, place LIMIT ?"
    while store.totals().waiting_bytes > max_bytes:
        for row in store.rows(order, (_BATCH,)):
            if store.totals().waiting_bytes <= max_bytes:
                break
            removed += _give_up(store, row, SQUEEZED)
    return removed


def prune(store: Store, before_s: float, max_bytes: int) -> list[Removal]:
    """Bound what is kept besides the queue by age and by size, the oldest first."""
    removed = []
    while old := store.rows("place IS NULL AND stored_s < ? ORDER BY id LIMIT ?", (before_s, _BATCH)):
        removed += [store.remove(row, _kept_as(row)) for row in old]
    while store.totals().kept_bytes > max_bytes:
        for row in store.rows("place IS NULL ORDER BY id LIMIT ?", (_BATCH,)):
            if store.totals().kept_bytes <= max_bytes:
                break
            removed.append(store.remove(row, _kept_as(row)))
    return removed


def _give_up(store: Store, row: Row, reason: str) -> list[Removal]:
    if row.resent:
        store.change(row, status=Status.DELIVERED, place=None)
        return []
    return [store.remove(row, reason)]


def _kept_as(row: Row) -> str:
    return ASIDE if row.status is Status.ASIDE else HISTORY
