"""Each alert once, what is missing, what is erased and what grows too old: on SQLite and on PostgreSQL."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, func, make_url, select

from edge.collect.database import open_database
from edge.collect.reading import read
from edge.collect.store import Received, Store
from edge.collect.tables import alerts, devices, erasures, hours, losses, refusals, streams
from edge.domain import Stamp
from tests.collect.said import answer, payload

if TYPE_CHECKING:
    from tests.collect.conftest import Desk


def rows(engine: Engine) -> list[tuple[str, str, int, int]]:
    columns = (alerts.c.prefix, alerts.c.device, alerts.c.epoch, alerts.c.sequence)
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(select(*columns).order_by(*columns))]


def size(engine: Engine, table: object) -> int:
    with engine.connect() as connection:
        return int(connection.scalar(select(func.count()).select_from(table)) or 0)  # type: ignore[arg-type]


def test_an_alert_is_stored_once_however_often_it_comes(desk: Desk, engine: Engine) -> None:
    first = desk.alerts(1, 2, 2)
    second = desk.alerts(2, 3)

    assert (len(first.stored), first.duplicates) == (2, 1)
    assert (len(second.stored), second.duplicates) == (1, 1)
    assert rows(engine) == [("evenkeel", "van-7", 7, number) for number in (1, 2, 3)]


def test_equal_numbers_of_other_devices_epochs_and_prefixes_are_other_alerts(desk: Desk, engine: Engine) -> None:
    desk.alerts(1)
    desk.alerts(1, epoch=8)
    desk.alerts(1, device="van_7")
    desk.alerts(1, device="van.7")
    desk.alerts(1, prefix="north")

    assert len(rows(engine)) == 5


def test_another_alert_under_the_same_number_is_no_duplicate_but_refused(desk: Desk, engine: Engine) -> None:
    desk.alerts(1)
    again = desk.take(("evenkeel/van-7/alert", payload("alert", resent=True)))
    other = desk.take(("evenkeel/van-7/alert", payload("alert", id="01a1f96e-fe88-7cca-9ffd-2ef888df3839")))

    assert (again.duplicates, again.refused) == (1, {})
    assert (other.duplicates, other.refused) == (0, {"conflict": 1})
    assert len(rows(engine)) == 1


def test_the_payload_is_kept_as_it_came(desk: Desk, engine: Engine) -> None:
    said = payload("alert", mood="ünknown", kind="hunger")
    desk.take(("evenkeel/van-7/alert", said))

    with engine.connect() as connection:
        row = connection.execute(select(alerts)).one()
    assert row.payload.encode() == said
    assert (row.kind, row.phase, row.level, row.time.isoformat()) == (
        "hunger",
        "start",
        "warning",
        "2026-05-04T09:30:00.125000+00:00",
    )


def test_gaps_are_known_from_alerts_and_from_what_state_tells(desk: Desk) -> None:
    desk.alerts(2, 5)
    assert desk.missing() == {7: [(1, 1), (3, 4)]}

    desk.state(8)
    assert desk.missing() == {7: [(1, 1), (3, 4), (6, 8)]}

    desk.alerts(1, 3, 4, 6, 7, 8)
    assert desk.missing() == {}


def test_what_came_in_order_is_settled_at_once(desk: Desk, engine: Engine) -> None:
    desk.alerts(1, 2, 3)
    desk.alerts(4)

    with engine.connect() as connection:
        assert connection.execute(select(streams.c.newest, streams.c.settled)).all() == [(4, 4)]


def test_what_a_device_says_is_gone_is_lost_with_the_reason(desk: Desk, engine: Engine) -> None:
    desk.alerts(1, 6)
    written = desk.answers(answer(7, 2, 5, newest=6, gone=((2, 3, "expired"),), queued=2))

    assert written.lost == {"expired": 2}
    assert desk.missing() == {7: [(4, 5)]}
    desk.alerts(4, 5)
    assert desk.missing() == {}
    assert size(engine, losses) == 1


def test_what_is_stored_is_not_lost_whatever_the_device_says(desk: Desk) -> None:
    desk.alerts(1, 2, 4)
    written = desk.answers(answer(7, 1, 4, newest=4, gone=((1, 4, "history"),)))

    assert written.lost == {"history": 1}
    assert desk.missing() == {}


def test_a_reason_that_no_database_holds_is_made_fit(desk: Desk, engine: Engine) -> None:
    desk.alerts(3)
    desk.answers(answer(7, 1, 2, newest=3, gone=((1, 1, "a\0b"), (2, 2, "x" * 500))))

    with engine.connect() as connection:
        assert connection.execute(select(losses.c.reason).order_by(losses.c.first)).scalars().all() == ["a?b", "x" * 64]


def test_an_answer_for_a_stream_nobody_knows_changes_nothing(desk: Desk, engine: Engine) -> None:
    desk.alerts(1)
    desk.answers(answer(99, 1, 2**50, newest=2**50, gone=((1, 2**50, "unknown"),)))

    assert desk.missing() == {}
    assert size(engine, losses) == 0


def test_a_new_epoch_asks_for_the_end_of_the_one_before(desk: Desk) -> None:
    desk.alerts(1, 2)
    desk.alerts(1, epoch=9)
    assert desk.missing() == {7: [(0, 0)]}

    desk.answers(answer(7, 1, 2, newest=2))  # to a question from before: not the end
    assert desk.missing() == {7: [(0, 0)]}
    desk.answers(answer(7, 3, 5, newest=5, queued=3, end=True))
    assert desk.missing() == {7: [(3, 5)]}
    desk.alerts(3, 4, 5)
    assert desk.missing() == {}


def test_an_epoch_that_the_device_does_not_know_any_more_ends_where_it_was_seen(desk: Desk) -> None:
    desk.alerts(1, 3)
    desk.state(0, epoch=9)
    written = desk.answers(answer(7, 2, 2, newest=None, gone=((2, 2, "unknown"),), end=True))

    assert written.lost == {"unknown": 1}
    assert desk.missing() == {}


def test_what_comes_of_an_ended_epoch_all_the_same_opens_it_again(desk: Desk) -> None:
    desk.alerts(1)
    desk.alerts(1, epoch=9)
    desk.answers(answer(7, 2, 2, newest=None, end=True))
    assert desk.missing() == {}

    desk.alerts(3)
    assert desk.missing() == {7: [(2, 2), (0, 0)]}


def test_the_newest_state_and_health_and_availability_of_a_device_are_kept(desk: Desk, engine: Engine) -> None:
    desk.take(("evenkeel/van-7/availability", b"online"))
    desk.state(0)
    desk.wait(seconds=10)
    desk.state(0, epoch=8)
    desk.wait(seconds=10)
    desk.take(("evenkeel/van-7/availability", b"offline"))  # the broker says so, not the device

    with engine.connect() as connection:
        row = connection.execute(select(devices)).one()
    assert row.availability == "offline"
    assert '"epoch": 8' in row.state
    assert (row.last_seen - row.first_seen).total_seconds() == 10


def test_a_sign_of_life_says_online_and_a_cleared_availability_retired(desk: Desk, engine: Engine) -> None:
    def availability() -> str | None:
        with engine.connect() as connection:
            return connection.scalar(select(devices.c.availability))

    desk.take(("evenkeel/van-7/availability", b"offline"))
    desk.state(0, retained=True)
    assert availability() == "offline"
    desk.state(0)
    assert availability() == "online"
    desk.alerts(2)
    cleared = desk.take(*((f"evenkeel/van-7/{name}", b"") for name in ("availability", "state", "health")))
    assert availability() == "retired"
    assert not cleared.refused
    assert not any(stream.online for stream in desk.store.open_streams())


def test_refusals_are_counted_by_reason_with_the_newest(desk: Desk, engine: Engine) -> None:
    desk.take(("evenkeel/van-7/alert", b"{"), ("evenkeel/van-7/state", b"["), ("x", b""))
    written = desk.take(("evenkeel/van-8/alert", b"\0"))

    assert written.refused == {"json": 1}
    with engine.connect() as connection:
        found = {row["reason"]: (row["count"], row["topic"]) for row in connection.execute(select(refusals)).mappings()}
    assert found == {"json": (3, "evenkeel/van-8/alert"), "topic": (1, "x")}


def test_a_forgotten_device_leaves_nothing_and_does_not_come_back_from_what_is_kept_elsewhere(
    desk: Desk, engine: Engine
) -> None:
    desk.alerts(1, 2, 4)
    desk.state(5)
    desk.alerts(1, device="van-8")
    erased = desk.store.forget("evenkeel", "van-7", desk.now)
    assert erased.alerts == 3

    desk.alerts(3, 4)  # sent again from the device's history
    desk.state(5, retained=True)  # kept by the broker
    desk.take(("evenkeel/van-7/availability", b"online"), retained=True)
    desk.take(("evenkeel/van-7/availability", b"offline"))  # its last will

    assert rows(engine) == [("evenkeel", "van-8", 7, 1)]
    assert size(engine, devices) == 1
    assert desk.missing() == {}
    with engine.connect() as connection:
        mark = connection.execute(select(erasures)).mappings().one()
    assert set(mark) == {"prefix", "device", "epoch", "sequence", "erased"}


def test_a_forgotten_device_that_speaks_is_new(desk: Desk, engine: Engine) -> None:
    desk.alerts(1, 2)
    desk.store.forget("evenkeel", "van-7", desk.now)
    desk.state(2)
    assert size(engine, devices) == 1
    assert desk.missing() == {}

    desk.alerts(4)
    assert rows(engine) == [("evenkeel", "van-7", 7, 4)]
    assert desk.missing() == {7: [(3, 3)]}
    desk.alerts(1, epoch=9)
    assert rows(engine)[-1] == ("evenkeel", "van-7", 9, 1)


def test_erased_content_is_not_left_in_the_file(desk: Desk, engine: Engine) -> None:
    if engine.dialect.name != "sqlite":
        return
    desk.take(("evenkeel/van-7/alert", payload("alert", reason="a word that nobody else uses")))
    path = str(engine.url.database)

    def files() -> bytes:
        return b"".join(Path(path + end).read_bytes() for end in ("", "-wal"))

    assert b"nobody else uses" in files()
    desk.store.forget("evenkeel", "van-7", desk.now)
    assert b"nobody else uses" not in files()


def test_what_is_too_old_is_deleted_and_not_asked_for_again(desk: Desk, engine: Engine) -> None:
    desk.alerts(1, 2, 4)
    desk.wait(days=10)
    desk.alerts(6)

    assert desk.store.delete_old(desk.now.replace(day=13), desk.now) == 3
    assert rows(engine) == [("evenkeel", "van-7", 7, 6)]
    assert desk.missing() == {7: [(5, 5)]}
    desk.alerts(5)
    assert desk.missing() == {}
    assert size(engine, losses) == 1  # 3 never came, and is not waited for any more


def test_what_came_under_an_unset_clock_is_as_old_as_what_came_after_it(desk: Desk, engine: Engine) -> None:
    desk.synced, desk.now = False, desk.now.replace(year=1970)
    desk.alerts(1)
    assert desk.store.delete_old(desk.now.replace(year=2026), desk.now) == 0

    desk.synced, desk.now = True, desk.now.replace(year=2026)
    desk.alerts(2)
    desk.wait(days=5)
    desk.alerts(3)
    assert desk.store.delete_old(desk.now.replace(day=8), desk.now) == 2
    assert rows(engine) == [("evenkeel", "van-7", 7, 3)]


def test_a_device_not_seen_for_as_long_goes_with_its_last_alert(desk: Desk, engine: Engine) -> None:
    desk.alerts(1)
    desk.wait(days=10)
    desk.alerts(1, device="van-8")
    while desk.store.delete_old(desk.now.replace(day=13), desk.now):
        pass

    assert size(engine, devices) == 1
    assert size(engine, streams) == 1


def test_several_writers_at_once_store_each_alert_once(engine: Engine, desk: Desk) -> None:
    batches = [
        [
            Received(topic, read(topic, said, retained=False))
            for number in range(first, 40, 2)
            for device in ("van-7", "van-8", "van-9")
            for topic, said in [
                (f"evenkeel/{device}/alert", payload("alert", sequence=number // 2 + 1, device_id=device))
            ]
        ]
        for first in (0, 1, 0, 1)
    ]
    url = make_url(engine.url.render_as_string(hide_password=False))
    writers = [open_database(url) for _ in batches]

    def write(index: int) -> int:
        return len(Store(writers[index]).write(batches[index], Stamp(desk.now, 1, clock_synced=True)).stored)

    with ThreadPoolExecutor(len(batches)) as pool:
        stored = sum(pool.map(write, range(len(batches))))
    for writer in writers:
        writer.dispose()

    assert stored == len(rows(engine)) == 60
    assert desk.missing() == {}


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(st.integers(1, 12), max_size=6), max_size=8), st.integers(0, 12))
def test_in_whatever_order_alerts_come_the_missing_ones_are_known(
    desk: Desk, batches: list[list[int]], told: int
) -> None:
    device = f"van-{id(batches)}-{len(desk.written)}"
    for batch in batches:
        desk.alerts(*batch, device=device)
    desk.state(told, device=device)

    came = {number for batch in batches for number in batch}
    expected = set(range(1, max(came | {told}, default=0) + 1)) - came
    found = {
        number
        for stream in desk.store.open_streams()
        if stream.key.device == device
        for one in stream.missing
        for number in range(one.first, one.last + 1)
    }
    assert found == expected


def minutes(engine: Engine) -> list[tuple[str, int, str, str]]:
    """Device, the hour, and the minutes watched and driven as text."""
    with engine.connect() as connection:
        rows = connection.execute(select(hours).order_by(hours.c.device, hours.c.hour))
        return [(row.device, row.hour.hour, bin(row.watched), bin(row.driven)) for row in rows]


def test_time_driven_counts_by_the_minute_however_often_and_to_whomever_it_is_said(desk: Desk, engine: Engine) -> None:
    other = Store(engine)
    for _ in range(3):
        desk.drives(moves=True)
        desk.wait(seconds=10)
    assert minutes(engine) == [("van-7", 9, bin(1 << 30), bin(1 << 30))]
    desk.wait(minutes=2)
    desk.drives(moves=False)
    desk.drives(moves=None)
    desk.store = other
    desk.drives(moves=True)
    desk.wait(hours=1)
    desk.drives(moves=True, retained=True)  # of an earlier time
    desk.synced = False
    desk.drives(moves=True)

    assert minutes(engine) == [("van-7", 9, bin(1 << 30 | 1 << 32), bin(1 << 30 | 1 << 32))]
    with engine.connect() as connection:
        row = connection.execute(select(hours)).one()
    assert (row.known, row.due) == (1 << 30 | 1 << 32, 0)


def test_a_device_that_was_erased_has_no_time_driven_until_it_drives_again(desk: Desk, engine: Engine) -> None:
    desk.drives(moves=True)
    desk.store.forget("evenkeel", "van-7", desk.now)
    assert size(engine, hours) == 0
    desk.wait(minutes=1)
    desk.drives(moves=True)
    assert minutes(engine) == [("van-7", 9, bin(1 << 31), bin(1 << 31))]


def test_time_driven_grows_too_old_like_alerts(desk: Desk, engine: Engine) -> None:
    desk.drives(moves=True)
    desk.wait(days=40)
    desk.drives(moves=True)
    desk.store.delete_old(desk.now - timedelta(days=30), desk.now)
    assert len(minutes(engine)) == 1


def test_an_episode_happened_when_a_clock_says_so_that_can_be_believed(desk: Desk, engine: Engine) -> None:
    desk.take(
        ("evenkeel/van-7/alert", payload("alert", sequence=1)),
        ("evenkeel/van-7/alert", payload("alert", sequence=2, clock_synced=False)),
        ("evenkeel/van-7/alert", payload("alert", sequence=3, started="2046-05-04T09:29:58.000Z")),
    )
    with engine.connect() as connection:
        told = list(connection.scalars(select(alerts.c.happened).order_by(alerts.c.sequence)))
    assert told == [desk.now - timedelta(seconds=2), desk.now, desk.now]
