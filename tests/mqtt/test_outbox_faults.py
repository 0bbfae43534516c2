"""Whatever the disk does, what lies on it stays, what is decided meanwhile is added, and no number is given twice."""

from __future__ import annotations

import json
import logging
import shutil
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.damage import OF_VERSION_1, ROOMY, Template, folder_in_memory, run_case, selected, templates
from benchmarks.messages import made_alert
from edge.compat import UTC
from edge.domain import Stamp
from edge.mqtt.messages import Topics
from edge.mqtt.outbox import Outbox, read_contents
from edge.mqtt.outbox.files import beside
from edge.mqtt.outbox.store import Mode, Store

START = datetime(2026, 5, 4, 9, 30, tzinfo=UTC)
OWNER = Topics("evenkeel", "van-7")

Number = tuple[int, int]


def at(seconds: float = 0.0) -> Stamp:
    return Stamp(START + timedelta(seconds=seconds), 100.0 + seconds, clock_synced=True)


def open_at(path: Path, seconds: float = 0.0, owner: Topics = OWNER) -> Outbox:
    return Outbox(path, owner, ROOMY, at(seconds), busy_s=0.01)


def put(outbox: Outbox, reason: str, seconds: float = 0.0) -> Number:
    stored = outbox.put(made_alert(at(seconds), reason))
    return stored.epoch, stored.sequence


def reasons(outbox: Outbox) -> list[str]:
    return [json.loads(one.payload)["reason"] for one in outbox.waiting(0, 1000)]


def numbers(outbox: Outbox) -> list[Number]:
    return [(one.epoch, one.sequence) for one in outbox.waiting(0, 1000)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "outbox.db"


@contextmanager
def another_process_writes(path: Path) -> Iterator[None]:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield


def store(path: Path, *names: str) -> list[Number]:
    with closing(open_at(path)) as outbox:
        return [put(outbox, name) for name in names]


def change(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute(statement)


def test_alerts_on_a_disk_that_is_locked_at_the_start_stay_and_new_ones_come_behind_them(path: Path) -> None:
    before = store(path, "1", "2", "3", "4", "5")
    with another_process_writes(path):
        outbox = open_at(path)
        assert "locked" in str(outbox.problem)
        meanwhile = put(outbox, "6", 20)
    after = put(outbox, "7", 90)
    assert reasons(outbox) == ["1", "2", "3", "4", "5", "6", "7"]
    assert numbers(outbox) == [*before, meanwhile, after] == sorted([*before, meanwhile, after])
    assert (outbox.problem, outbox.health().dropped, outbox.health().lost) == (None, 0, 0)
    outbox.close()
    assert reasons(open_at(path)) == ["1", "2", "3", "4", "5", "6", "7"]


def test_a_disk_that_can_only_be_read_is_sent_from_and_what_was_sent_is_not_sent_again(path: Path) -> None:
    store(path, "a", "b", "c")
    outbox = open_at(path)
    outbox._store.database.execute("PRAGMA query_only = ON")
    put(outbox, "d", 1)
    assert "readonly" in str(outbox.problem)
    assert reasons(outbox) == ["a", "b", "c", "d"]
    outbox.delivered([one.place for one in outbox.waiting(0, 2)])
    put(outbox, "e", 70)
    assert outbox.problem is None
    assert reasons(outbox) == ["c", "d", "e"]
    assert outbox.health().history == 2


def test_alerts_in_memory_have_an_epoch_of_their_own_in_which_the_outbox_goes_on(path: Path) -> None:
    outbox = open_at(path)
    first = put(outbox, "a")
    outbox._store.database.execute("PRAGMA query_only = ON")
    second, third = put(outbox, "b", 1), put(outbox, "c", 2)
    fourth = put(outbox, "d", 100)
    assert second[0] > first[0]
    assert [second, third, fourth] == [(second[0], 1), (second[0], 2), (second[0], 3)]
    outbox.close()
    again = open_at(path, 200)
    assert put(again, "e", 201) == (second[0], 4)


def test_a_reader_behind_the_queue_sees_what_the_disk_held_when_it_comes_back(path: Path) -> None:
    store(path, "1", "2")
    with another_process_writes(path):
        outbox = open_at(path)
        put(outbox, "3", 1)
        last = outbox.newest_place
    outbox.expire(at(100))
    behind = outbox.waiting(last, 100)
    assert [json.loads(one.payload)["reason"] for one in behind] == ["1", "2", "3"]
    outbox.delivered([last])  # an old place means nothing any more: no alert is taken for the one that stood there
    assert reasons(outbox) == ["1", "2", "3"]
    assert outbox.newest_place >= behind[-1].place


def test_a_counter_behind_the_alerts_is_a_fault_of_the_disk(path: Path) -> None:
    before = store(path, "a", "b", "c")
    change(path, "UPDATE outbox SET sequence = 1")
    outbox = open_at(path, 10)
    after = put(outbox, "d", 11)
    assert reasons(outbox) == ["a", "b", "c", "d"]
    assert numbers(outbox)[:3] == before
    assert after[0] > before[0][0]
    assert "damaged" in str(outbox.problem)
    assert len(str(outbox.problem).splitlines()) == 1


def test_a_database_that_has_lost_its_newest_alerts_gives_no_number_again_and_counts_them(path: Path) -> None:
    outbox = open_at(path)
    kept = put(outbox, "a")
    with closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    lost = [put(outbox, "b"), put(outbox, "c")]
    for suffix in ("", ".epoch"):  # the log is gone, as after a power cut on a card that only says that it synced
        shutil.copyfile(beside(path, suffix), path.parent.parent / f"outbox.db{suffix}")
    later = open_at(path.parent.parent / "outbox.db", 10)
    assert put(later, "d", 11) not in [kept, *lost]
    assert reasons(later) == ["a", "d"]
    assert later.health().lost == 2


@pytest.mark.parametrize("suffix", ["", ".epoch"])
def test_epochs_rise_whichever_of_the_two_files_is_lost(path: Path, suffix: str) -> None:
    clockless = Stamp(datetime(1970, 1, 1, tzinfo=UTC), 1.0, clock_synced=False)
    outbox = Outbox(path, OWNER, ROOMY, at())
    put(outbox, "a")
    epoch = outbox.newest.epoch
    outbox.close()
    beside(path, suffix).unlink()
    outbox = Outbox(path, OWNER, ROOMY, clockless)
    assert outbox.newest.epoch > epoch
    outbox.close()


def test_an_outbox_of_a_newer_version_is_left_as_it_is(path: Path) -> None:
    store(path, "theirs")
    change(path, "PRAGMA user_version = 3")
    content = path.read_bytes()
    outbox = open_at(path, 10)
    put(outbox, "ours", 11)
    put(outbox, "ours too", 100)
    assert reasons(outbox) == ["ours", "ours too"]
    assert "newer version" in str(outbox.problem)
    assert "outbox.path" in str(outbox.problem)
    assert path.read_bytes() == content
    for file in path.parent.glob("outbox.db*"):
        file.rename(file.with_name("kept-" + file.name))
    put(outbox, "and on", 200)
    assert outbox.problem is None
    outbox.close()
    assert reasons(open_at(path)) == ["ours", "ours too", "and on"]


def test_a_damaged_database_that_cannot_be_replaced_stays_and_is_read(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = store(path, "a", "b")
    change(path, "DELETE FROM outbox")
    content = path.read_bytes()

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr("edge.mqtt.outbox.renew.os.link", fail)
        full.setattr("edge.mqtt.outbox.renew.shutil.copyfile", fail)
        outbox = open_at(path, 10)
        meanwhile = put(outbox, "c", 11)
        assert reasons(outbox) == ["a", "b", "c"]
        assert "No space left" in str(outbox.problem)
        assert path.read_bytes() == content
    put(outbox, "d", 100)
    assert reasons(outbox) == ["a", "b", "c", "d"]
    assert numbers(outbox)[:3] == [*before, meanwhile]


def test_a_power_cut_while_a_damaged_database_is_replaced_loses_nothing(path: Path) -> None:
    store(path, "a", "b")
    # the new database stands ready and the old one's log is gone already
    shutil.copyfile(path, beside(path, ".built"))
    path.write_bytes(b"\0" * 4096)
    assert reasons(open_at(path, 10)) == ["a", "b"]


def test_a_commit_that_failed_and_reached_the_disk_is_no_second_alert(path: Path) -> None:
    outbox = open_at(path)
    put(outbox, "a")
    with outbox._store.transaction(Mode.LAX):
        outbox._add(outbox._store, made_alert(at(), "b"))
    outbox._store.database.execute("PRAGMA query_only = ON")
    put(outbox, "b", 1)
    put(outbox, "c", 100)
    assert reasons(outbox) == ["a", "b", "c"]


def test_a_new_database_that_fails_at_once_leaves_memory(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outbox = open_at(path)
    put(outbox, "a")
    change(path, "UPDATE alert SET sequence = 77")
    with monkeypatch.context() as broken:
        broken.setattr(Store, "last_place", fail_on_disk(Store.last_place))
        assert reasons(outbox) == ["a"]
        assert "memory" in str(outbox.problem)
        put(outbox, "b", 1)
    put(outbox, "c", 100)
    assert reasons(outbox) == ["a", "b", "c"]


def fail_on_disk(method: Callable[[Store], int]) -> Callable[[Store], int]:
    def failing(store: Store) -> int:
        if store.database.execute("PRAGMA database_list").fetchone()[2]:
            raise sqlite3.OperationalError("disk I/O error")
        return method(store)

    return failing


def test_alerts_keep_the_device_that_decided_them(path: Path) -> None:
    ((epoch, _),) = store(path, "old")
    renamed = open_at(path, 10, Topics("fleet", "lorry-1"))
    number = put(renamed, "new", 11)
    assert (number[0] > epoch, number[1]) == (True, 1)  # the numbers of each device begin at 1
    assert [(one.prefix, one.device_id) for one in renamed.waiting(0, 10)] == [
        ("evenkeel", "van-7"),
        ("fleet", "lorry-1"),
    ]
    assert json.loads(renamed.waiting(0, 10)[1].payload)["device_id"] == "lorry-1"


def test_a_row_that_is_not_what_was_written_is_found_when_it_is_read(path: Path) -> None:
    outbox = open_at(path)
    for name in "abc":
        put(outbox, name)
    change(path, "UPDATE alert SET sequence = 77 WHERE id = 2")
    assert reasons(outbox) == ["a", "b", "c"]
    assert [number for _, number in numbers(outbox)] == [1, 2, 3]


def of_layout_1(path: Path, numbers: Iterable[int]) -> dict[int, bytes]:
    """An outbox as version 0.1 left it; the payloads by number."""
    path.parent.mkdir()
    payloads = {}
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.executescript(
            "PRAGMA user_version = 1;"
            "CREATE TABLE alert (sequence INTEGER PRIMARY KEY, payload BLOB, is_end INTEGER, stored REAL);"
            "CREATE TABLE counter (id INTEGER PRIMARY KEY, sequence INTEGER);"
        )
        for number in numbers:
            alert = OF_VERSION_1 | {"sequence": number, "time": f"2026-11-20T14:49:{number % 60:02}.000Z"}
            payloads[number] = json.dumps(alert | {"reason": f"{number}"}).encode()
            database.execute("INSERT INTO alert VALUES (?, ?, 0, NULL)", (number, payloads[number]))
    return payloads


def test_a_value_of_a_type_that_no_record_has_hides_none_beside_it(path: Path) -> None:
    payloads = of_layout_1(path, (1001, 1002))
    data = bytearray(path.read_bytes())
    at = data.index(payloads[1002]) - 2  # the type of is_end, just before that of stored
    assert data[at] == 8
    data[at] = 10
    data[:16] = bytes(16)  # SQLite cannot open it
    path.write_bytes(data)
    assert sorted(reasons(open_at(path))) == ["1001", "1002"]


def test_of_a_row_that_is_found_twice_the_whole_one_is_taken_and_each_other_row_stays(path: Path) -> None:
    payloads = of_layout_1(path, range(1001, 1031))
    data = bytearray(path.read_bytes())
    page = data.index(payloads[1001]) // 4096 * 4096
    copy = data[page : page + 4096].replace(b'"level": "warning"', b'"level": "warn1ng"')
    data[:16] = bytes(16)
    path.write_bytes(data + copy)
    assert sorted(reasons(open_at(path))) == [str(number) for number in payloads]


def test_an_alert_whose_own_checksum_is_hit_is_told_by_that_of_its_row(path: Path) -> None:
    store(path, "first", "second")
    data = bytearray(path.read_bytes())
    payload = data.index(b'{"schema":2', data.index(b'{"schema":2') + 1)
    assert data.rindex(b"van-7", 0, payload) > payload - 12  # then the payload's checksum, then the payload
    data[payload - 7 : payload] = b"\xff" * 7
    data[:16] = bytes(16)
    path.write_bytes(data)
    assert sorted(reasons(open_at(path))) == ["first", "second"]


def test_alerts_of_layout_1_are_taken_over_in_order_and_counted_on(path: Path) -> None:
    path.parent.mkdir()
    old = []
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.executescript(
            "PRAGMA user_version = 1;"
            "CREATE TABLE alert (sequence INTEGER PRIMARY KEY, payload BLOB, is_end INTEGER, stored REAL);"
            "CREATE TABLE counter (id INTEGER PRIMARY KEY, sequence INTEGER);"
            "INSERT INTO counter VALUES (1, 1700000009)"
        )
        for number in (1700000001, 1700000005, 1700000009):
            old.append(OF_VERSION_1 | {"sequence": number, "reason": f"{number}"})
            database.execute("INSERT INTO alert VALUES (?, ?, 0, NULL)", (number, json.dumps(old[-1]).encode()))
        database.execute("INSERT INTO alert VALUES (1700000007, x'00', 0, NULL)")
    outbox = open_at(path)
    epoch = outbox.newest.epoch
    new = [json.loads(one.payload) for one in outbox.waiting(0, 10)]
    for was, now, number in zip(old, new, (1, 2, 3), strict=True):
        given = {"schema": 2, "device_id": "van-7", "epoch": epoch, "sequence": number, "resent": False}
        added = {"reason_code": "", "cause": None, "acknowledged": False, "context": None}
        added |= {"models": was["models"] | {"eyes": None}}
        assert now == was | given | added
    assert outbox.health().set_aside == 1
    assert put(outbox, "next") == (epoch, 5)
    outbox.close()
    assert len(reasons(open_at(path))) == 4


def test_no_wall_clock_ages_an_alert(path: Path) -> None:
    outbox = open_at(path)
    put(outbox, "a")
    outbox.expire(Stamp(datetime(2060, 1, 1, tzinfo=UTC), 200.0, clock_synced=True))
    outbox.close()
    outbox = Outbox(path, OWNER, ROOMY, Stamp(datetime(2070, 1, 1, tzinfo=UTC), 5.0, clock_synced=True))
    outbox.expire(Stamp(datetime(2070, 1, 1, tzinfo=UTC), 600.0, clock_synced=True))
    assert reasons(outbox) == ["a"]


def test_the_age_of_an_alert_goes_on_over_starts(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    for start in range(8):
        with closing(open_at(path)) as outbox:
            if not start:
                put(outbox, "a")
            outbox.expire(at(86_400))
            left = reasons(outbox)
    assert left == []
    assert "given up: alert 1 of epoch" in caplog.text
    assert "(expired)" in caplog.text


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with folder_in_memory() as made:
        yield made


@pytest.fixture(scope="module")
def prepared(folder: Path) -> list[Template]:
    return templates(folder / "templates")


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), which=st.integers(0, 5))
def test_random_damage_loses_nothing_readable_and_gives_no_number_twice(
    folder: Path, prepared: list[Template], seed: int, which: int
) -> None:
    case = folder / "case"
    case.mkdir(exist_ok=True)
    outcome = run_case(prepared[which], seed, case, selected)
    assert not outcome.faults, (seed, which, outcome)


def test_contents_are_shown_as_they_are(path: Path) -> None:
    outbox = open_at(path)
    for name in "abc":
        put(outbox, name)
    outbox.delivered([outbox.waiting(0, 1)[0].place])
    outbox.set_aside(outbox.waiting(0, 1)[0].place, "too large")
    contents = read_contents(path)
    parts = (contents.waiting, contents.history, contents.aside)
    assert [[json.loads(row.payload)["reason"] for row in part] for part in parts] == [["c"], ["a"], ["b"]]
    assert contents.aside[0].note == "too large"
    assert outbox.health().set_aside == 1
