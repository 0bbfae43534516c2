"""Alerts survive in the outbox: in order, bounded, and whatever the disk does."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import textwrap
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.compat import UTC
from edge.config import OutboxConfig
from edge.domain import Level, Phase, Stamp
from edge.mqtt.messages import AlertMessage, ModelsPart, Topics
from edge.mqtt.outbox import Bounds, Outbox, outbox_path

START = datetime(2026, 5, 4, 9, 30, tzinfo=UTC)
UNSET_CLOCK = datetime(1970, 1, 1, tzinfo=UTC)
ROOMY = 1_000_000


def at(seconds: float = 0.0, *, synced: bool = True) -> Stamp:
    return Stamp(START + timedelta(seconds=seconds), 100.0 + seconds, synced)


def alert(phase: Phase = Phase.START, now: Stamp | None = None, reason: str = "") -> AlertMessage:
    now = now or at()
    return AlertMessage(
        time=now.time,
        uptime_s=now.uptime_s,
        clock_synced=now.clock_synced,
        id=UUID(int=1),
        device_id="van-7",
        epoch=1,
        sequence=1,
        resent=False,
        kind="anger",
        phase=phase,
        level=Level.WARNING,
        started=now.time,
        duration_s=0.0,
        score=0.6,
        peak=0.6,
        expression="anger",
        reason=reason,
        models=ModelsPart(face="face 1", expression="expression 1"),
    )


def open_outbox(path: Path, *, max_bytes: int = ROOMY, max_age_days: float = 7.0, now: Stamp | None = None) -> Outbox:
    bounds = Bounds(max_bytes=max_bytes, max_age_days=max_age_days)
    return Outbox(path, Topics("evenkeel", "van-7"), bounds, now or at())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "outbox.db"


def reasons(outbox: Outbox) -> list[str]:
    return [json.loads(waiting.payload)["reason"] for waiting in outbox.waiting(0, 10_000)]


def number_of(message: AlertMessage) -> tuple[int, int]:
    return message.epoch, message.sequence


def test_alerts_wait_in_the_order_in_which_they_came(path: Path) -> None:
    outbox = open_outbox(path)
    stored = [outbox.put(alert(reason=str(i))) for i in range(5)]
    assert reasons(outbox) == ["0", "1", "2", "3", "4"]
    assert [w.sequence for w in outbox.waiting(0, 10)] == [m.sequence for m in stored]
    third = outbox.waiting(0, 3)[-1].place
    assert [w.sequence for w in outbox.waiting(third, 1)] == [stored[3].sequence]


def test_the_payload_carries_its_sequence_number(path: Path) -> None:
    outbox = open_outbox(path)
    outbox.put(alert())
    (waiting,) = outbox.waiting(0, 10)
    assert json.loads(waiting.payload)["sequence"] == waiting.sequence


def test_an_acknowledged_alert_is_forgotten_and_the_others_stay(path: Path) -> None:
    outbox = open_outbox(path)
    outbox.put(alert(reason="a"))
    outbox.put(alert(reason="b"))
    outbox.delivered([outbox.waiting(0, 1)[0].place])
    assert reasons(outbox) == ["b"]


def test_alerts_are_still_there_after_the_process_was_killed(path: Path) -> None:
    script = f"""
        import os, signal, sys
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        from test_outbox import alert, open_outbox
        from pathlib import Path
        outbox = open_outbox(Path({str(path)!r}))
        outbox.put(alert(reason="kept"))
        os.kill(os.getpid(), signal.SIGKILL)
    """
    killed = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=False, capture_output=True)  # noqa: S603 - our own script
    assert killed.returncode == -9, killed.stderr.decode()
    assert reasons(open_outbox(path)) == ["kept"]


def test_an_alert_is_synced_to_the_disk_before_put_returns(path: Path) -> None:
    outbox = open_outbox(path)
    assert outbox._store.database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    outbox.delivered([1])
    outbox.put(alert())
    assert outbox._store.database.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL


def test_sequence_numbers_rise_across_restarts_of_an_empty_outbox(path: Path) -> None:
    unset = Stamp(UNSET_CLOCK, 1.0, clock_synced=False)
    numbers = []
    for _ in range(3):
        outbox = open_outbox(path, now=unset)
        numbers.append(outbox.put(alert(now=unset)).sequence)
        outbox.delivered([waiting.place for waiting in outbox.waiting(0, 10)])
        outbox.close()
    assert numbers == [1, 2, 3]


def test_sequence_numbers_rise_past_a_lost_database(path: Path) -> None:
    before = open_outbox(path)
    last = [number_of(before.put(alert())) for _ in range(3)][-1]
    before.close()
    path.unlink()
    assert number_of(open_outbox(path, now=at(60)).put(alert())) > last


def test_a_full_outbox_gives_up_the_oldest_ends_first_and_then_the_oldest_alerts(path: Path) -> None:
    size = len(alert(reason="x").model_copy(update={"epoch": 10**15}).payload())
    outbox = open_outbox(path, max_bytes=4 * size + 20)
    for reason, phase in [("a", Phase.START), ("b", Phase.END), ("c", Phase.START), ("d", Phase.END)]:
        outbox.put(alert(phase, reason=reason))
    expected = [["a", "c", "d", "e"], ["a", "c", "e", "f"], ["c", "e", "f", "g"]]
    for reason, left in zip("efg", expected, strict=True):
        outbox.put(alert(reason=reason))
        assert reasons(outbox) == left
    assert outbox.health().dropped == 3


def test_alerts_older_than_the_bound_are_given_up_and_counted(path: Path) -> None:
    outbox = open_outbox(path, max_age_days=1)
    outbox.put(alert(reason="old"))
    outbox.put(alert(reason="new", now=at(86_000)))
    outbox.expire(at(86_401))
    assert reasons(outbox) == ["new"]
    assert outbox.health().dropped == 1


def test_an_alert_stored_under_an_unset_clock_is_not_taken_for_decades_old(path: Path) -> None:
    outbox = open_outbox(path, max_age_days=1)
    outbox.put(alert(reason="kept", now=Stamp(UNSET_CLOCK, 1.0, clock_synced=False)))
    outbox.expire(at())
    assert reasons(outbox) == ["kept"]
    outbox.expire(at(86_401))
    assert reasons(outbox) == []


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.one_of(st.sampled_from(list(Phase)), st.just("ack"), st.just("restart")), max_size=40),
    st.integers(700, 4000),
)
def test_whatever_happens_it_stays_in_order_in_bounds_and_nothing_vanishes_uncounted(
    tmp_path_factory: pytest.TempPathFactory, events: list[Phase | str], max_bytes: int
) -> None:
    path = tmp_path_factory.mktemp("outbox") / "outbox.db"
    outbox = open_outbox(path, max_bytes=max_bytes)
    put = acknowledged = dropped_before = 0
    last = (0, 0)
    for event in events:
        if isinstance(event, Phase):
            number = number_of(outbox.put(alert(event)))
            assert number == (number[0], last[1] + 1)
            last, put = number, put + 1
        elif event == "ack" and (first := outbox.waiting(0, 1)):
            outbox.delivered([first[0].place])
            acknowledged += 1
        elif event == "restart":
            dropped_before += outbox.health().dropped
            outbox.close()
            outbox = open_outbox(path, max_bytes=max_bytes)
        waiting = [w.sequence for w in outbox.waiting(0, 1000)]
        health = outbox.health()
        assert waiting == sorted(waiting)
        assert health.bytes <= max_bytes
        assert put == acknowledged + dropped_before + health.dropped + len(waiting)
    outbox.close()


@pytest.mark.parametrize("content", [b"not a database at all" * 100, b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_damaged_database_is_set_aside_and_a_new_one_begun(path: Path, content: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    outbox = open_outbox(path)
    outbox.put(alert(reason="new"))
    outbox.close()
    assert reasons(open_outbox(path)) == ["new"]
    assert path.with_name("outbox.db.damaged").read_bytes() == content
    assert outbox.problem is not None
    assert "outbox.db.damaged" in outbox.problem


def test_a_database_damaged_while_it_is_open_is_set_aside_too(path: Path) -> None:
    first = open_outbox(path)
    for i in range(200):
        first.put(alert(reason=str(i)))
    first.close()
    outbox = open_outbox(path)
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (path.stat().st_size - 4096))
    outbox._store.database.execute("PRAGMA cache_size = 0")
    outbox.put(alert(reason="new"))
    assert reasons(outbox)[-1] == "new"
    assert outbox.problem is not None


def test_a_database_of_another_layout_is_set_aside(path: Path) -> None:
    path.parent.mkdir()
    foreign = sqlite3.connect(path)
    foreign.execute("CREATE TABLE alert (text TEXT)")
    foreign.commit()
    foreign.close()
    assert open_outbox(path).put(alert()).sequence > 0


def test_a_folder_that_cannot_be_made_leaves_a_memory_outbox_that_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    outbox = open_outbox(tmp_path / "file" / "outbox.db")
    outbox.put(alert(reason="a"))
    assert reasons(outbox) == ["a"]
    assert outbox.problem is not None
    assert "memory" in outbox.problem


def test_a_disk_that_fills_up_moves_what_waits_into_memory_and_back_when_there_is_room(path: Path) -> None:
    outbox = open_outbox(path)
    outbox.put(alert(reason="a"))
    pages = outbox._store.database.execute("PRAGMA page_count").fetchone()[0]
    outbox._store.database.execute(f"PRAGMA max_page_count = {pages}")
    long = "x" * 20_000
    outbox.put(alert(reason=long))
    assert reasons(outbox) == ["a", long]
    assert outbox.problem is not None
    assert "full" in outbox.problem
    outbox.put(alert(reason="b", now=at(61)))
    outbox.put(alert(reason="c", now=at(200)))
    assert outbox.problem is None
    outbox.close()
    assert reasons(open_outbox(path)) == ["a", long, "b", "c"]


def test_another_process_that_holds_the_database_does_not_block_alerts(path: Path) -> None:
    outbox = open_outbox(path)
    outbox._store.database.execute("PRAGMA busy_timeout = 10")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    outbox.put(alert(reason="a"))
    assert reasons(outbox) == ["a"]
    other.close()


def test_the_file_lies_where_configuration_or_systemd_or_the_user_says(tmp_path: Path) -> None:
    default = OutboxConfig()
    assert outbox_path(OutboxConfig(path=tmp_path / "o.db"), {"STATE_DIRECTORY": "/var/lib/x"}) == tmp_path / "o.db"
    assert outbox_path(default, {"STATE_DIRECTORY": "/var/lib/evenkeel"}) == Path("/var/lib/evenkeel/outbox.db")
    assert outbox_path(default, {"XDG_STATE_HOME": "/home/u/state"}) == Path("/home/u/state/evenkeel/outbox.db")
    assert outbox_path(default, {}) == Path.home() / ".local/state/evenkeel/outbox.db"
