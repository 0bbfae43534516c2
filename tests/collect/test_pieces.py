"""Numbers around alerts: each sample kept once, whatever comes again; what is none is refused and counted."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import Engine, select

from edge.collect.reading import MOST_SAMPLES, PieceSaid, Refused, read
from edge.collect.tables import pieces, refusals
from tests.collect.said import payload

if TYPE_CHECKING:
    from tests.collect.conftest import Desk

TOPIC = "evenkeel/van-7/episode/7/1"
MORE: dict[str, Any] = {
    "t_s": [0.5, 1.0],
    "first": 2,
    "levels": {},
    "states": [],
    "reason_codes": [],
    "sights": [],
}


def kept(engine: Engine) -> list[tuple[int, int, int]]:
    """Sequence, first sample and number of samples of each piece."""
    with engine.connect() as connection:
        query = select(pieces.c.sequence, pieces.c.first, pieces.c["count"])
        return [(one, two, three) for one, two, three in connection.execute(query.order_by(*query.selected_columns))]


def test_a_piece_is_kept_once_however_often_it_comes_and_the_longer_cut_stays(desk: Desk, engine: Engine) -> None:
    desk.piece(**MORE)
    desk.piece()
    desk.piece()
    assert kept(engine) == [(1, 0, 2), (1, 2, 2)]
    short = {name: values[:1] for name, values in json.loads(payload("episode")).items() if isinstance(values, list)}
    one: dict[str, Any] = short | {
        "signal_percent": {},
        "expression_percent": {},
        "levels": {},
        "states": [[0, "calm"]],
    }
    desk.piece(**one)
    desk.piece(sequence=2, **one)
    desk.piece(sequence=2)
    assert kept(engine) == [(1, 0, 2), (1, 2, 2), (2, 0, 2)]


def test_numbers_of_another_episode_under_the_same_number_are_refused(desk: Desk, engine: Engine) -> None:
    desk.piece()
    other = desk.piece(first=2, id="01a1f96e-fe88-7cca-9ffd-2ef888df3839")
    longer = desk.piece(first=2, total=9)
    assert (other.refused, longer.refused) == ({"conflict": 1}, {"conflict": 1})
    assert kept(engine) == [(1, 0, 2)]


@pytest.mark.parametrize(
    ("topic", "changes", "why"),
    [
        (TOPIC, {"sequence": 2}, "number"),
        (TOPIC, {"device_id": "van-8"}, "device_id"),
        (TOPIC, {"first": 3}, "invalid"),
        (TOPIC, {"total": MOST_SAMPLES + 1}, "invalid"),
        (TOPIC, {"t_s": []}, "invalid"),
        (TOPIC, {"speed_kmh": [1.0]}, "invalid"),
        (TOPIC, {"signal_percent": {"anger": [1, 101]}}, "invalid"),
        (TOPIC, {"signal_percent": {f"kind{number}": [1, 2] for number in range(17)}}, "invalid"),
        (TOPIC, {"signal_percent": {"<script>": [1, 2]}}, "invalid"),
        (TOPIC, {"states": [[1, "calm"], [0, "warning"]]}, "invalid"),
        (TOPIC, {"sights": [[2, "face"]]}, "invalid"),
        (TOPIC, {"t_s": [float("inf"), 1.0]}, "invalid"),
        (TOPIC, {"schema": 3}, "schema"),
        (TOPIC, {"padding": "x" * 70_000}, "size"),
        ("evenkeel/van-7/episode/7/..", {}, "topic"),
        ("evenkeel/van-7/episode/7/1/2", {}, "topic"),
    ],
)
def test_a_bad_piece_is_refused_and_counted(
    topic: str, changes: dict[str, Any], why: str, desk: Desk, engine: Engine
) -> None:
    desk.take((topic, payload("episode", **changes)))
    assert kept(engine) == []
    with engine.connect() as connection:
        told = connection.execute(select(refusals.c.reason, refusals.c["count"])).all()
    assert [tuple(row) for row in told] == [(why, 1)]


def test_ten_megabytes_are_refused_without_being_read() -> None:
    assert read(TOPIC, b"[" * 10_000_000, retained=False) == Refused("size", "10000000 bytes")
    assert isinstance(read(TOPIC, payload("episode"), retained=False), PieceSaid)


def test_what_is_erased_or_too_old_is_gone_and_does_not_come_back(desk: Desk, engine: Engine) -> None:
    desk.alerts(1)
    desk.piece()
    desk.store.forget("evenkeel", "van-7", desk.now)
    desk.piece(first=2)
    assert kept(engine) == []
    desk.alerts(2)
    desk.piece(sequence=2)
    desk.wait(days=40)
    desk.piece(sequence=3)
    while desk.store.delete_old(desk.now - timedelta(days=30), desk.now):
        pass
    assert kept(engine) == [(3, 0, 2)]


def test_what_came_while_the_clock_was_unset_goes_with_its_device(desk: Desk, engine: Engine) -> None:
    desk.synced = False
    desk.piece()
    desk.synced = True
    desk.state(0)
    desk.wait(days=40)
    desk.state(0, device="van-8")
    desk.store.delete_old(desk.now - timedelta(days=30), desk.now)
    assert kept(engine) == []
