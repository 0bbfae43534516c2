"""Rows of a fleet, from messages alone: what counts, for how long, and what is never said."""

from __future__ import annotations

import asyncio
import gzip
import json
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import insert, make_url

from benchmarks.messages import made_alert, made_health, made_state
from edge.collect.database import open_database, upgrade
from edge.collect.tables import alerts, devices, hours
from edge.compat import UTC
from edge.config import Config
from edge.dashboard.fleet import LEAST_DRIVEN_S, MOST, SILENT_S, TEXT, Collected, Fleet
from edge.dashboard.fleet_hub import KEPT, FleetHub
from edge.dashboard.hubs import IDLE, Hubs
from edge.dashboard.rates import DAYS, collected
from edge.domain import Level, Phase, Stamp, State
from edge.mqtt.messages import ContextPart, KindPart, OutboxPart, ShadowPart
from tests.dashboard.conftest import a_dashboard
from tests.dashboard.test_server import PATIENCE_S, Browser

if TYPE_CHECKING:
    from benchmarks.mosquitto import Mosquitto

BOX = OutboxPart(depth=0, bytes=0, dropped=0, problem=None)
COLUMNS = ("device", "word", "code", "text", "seen", "open", "rate", "version", "problems")


def stamp(uptime_s: float = 100.0, year: int = 2026) -> Stamp:
    return Stamp(datetime(year, 5, 4, tzinfo=UTC), uptime_s, clock_synced=False)


def state(state: State = State.CALM, uptime_s: float = 100.0, **changes: Any) -> bytes:
    return made_state(stamp(uptime_s), "", state).model_copy(update=changes).payload()


def health(*problems: str, **changes: Any) -> bytes:
    return made_health(stamp(), BOX, problems).model_copy(update=changes).payload()


class Desk:
    """A fleet, and what its rows say."""

    def __init__(self) -> None:
        self.fleet = Fleet()

    def say(self, name: str, payload: bytes, t: float = 0.0, *, device: str = "van-7", retained: bool = False) -> None:
        self.fleet.received(device, name, payload, t, retained=retained)

    def row(self, t: float = 0.0, device: str = "van-7") -> dict[str, Any]:
        self.fleet.changes(t)
        (row,) = [row for row in self.fleet.rows() if row[0] == device]
        return dict(zip(COLUMNS, row, strict=True))


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_a_device_that_speaks_says_what_holds(desk: Desk) -> None:
    desk.say("availability", b"online")
    kinds = {"fatigue": KindPart(signal=0.9, level=Level.URGENT, readable=True, acknowledged=True)}
    desk.say("state", state(State.URGENT, kinds=kinds, reason_code="eyes_closed", reason="eyes closed"))
    desk.say("health", health("camera: dark", "hot"))
    assert desk.row() == {
        "device": "van-7",
        "word": "urgent",
        "code": "eyes_closed",
        "text": "eyes closed",
        "seen": None,  # just now
        "open": [["fatigue", "urgent", True]],
        "rate": None,
        "version": "0",
        "problems": [2, "camera: dark"],
    }


def test_what_only_the_broker_tells_is_never_calm(desk: Desk) -> None:
    desk.say("availability", b"online", retained=True)
    desk.say("state", state(), retained=True)
    desk.say("health", health(), retained=True)
    row = desk.row()
    assert (row["word"], row["open"], row["seen"], row["problems"]) == ("unknown", None, None, None)
    assert row["version"] == "0"  # that holds until it is told otherwise
    desk.say("state", state())
    assert desk.row()["word"] == "calm"


@pytest.mark.parametrize("last", ["silence", "will", "no broker"])
def test_a_device_that_is_not_heard_any_more_is_not_calm(last: str, desk: Desk) -> None:
    desk.say("state", state(), 10.0)
    desk.say("health", health(), 10.0)
    desk.say("state", state(), 20.0)
    assert desk.row(20.0 + SILENT_S)["word"] == "calm"
    now = 20.0 + SILENT_S + 0.1
    if last == "will":
        desk.say("availability", b"offline", 21.0)
        now = 21.0
    if last == "no broker":
        desk.fleet.lost()
        now = 21.0
    row = desk.row(now)
    assert row["word"] == ("offline" if last == "will" else "unknown")
    assert (row["seen"], row["open"], row["problems"]) == (20.0, None, None)
    desk.say("availability", b"online", now)
    desk.say("state", state(State.ABSENT), now)
    assert desk.row(now)["word"] == "absent"


def test_problems_of_a_device_that_fell_silent_stay(desk: Desk) -> None:
    desk.say("health", health("camera: dark"))
    desk.say("availability", b"offline")
    assert desk.row()["problems"] == [1, "camera: dark"]


def test_a_device_in_shadow_mode_says_so_and_its_own_rate(desk: Desk) -> None:
    desk.say("health", health(shadow=ShadowPart(driven_h=2.0, alerts={"anger": 2, "fatigue": 1})))
    assert (desk.row()["word"], desk.row()["rate"]) == ("shadow", 1.5)
    desk.say("state", state())
    desk.say("state", b"")
    assert desk.row()["word"] == "shadow"


def test_a_device_that_is_cleared_away_is_gone(desk: Desk) -> None:
    desk.say("state", state())
    desk.row()
    desk.say("availability", b"")
    assert desk.fleet.changes(0.0) == {"van-7": None}
    for name in ("state", "health", "availability"):
        desk.say(name, b"")
    assert desk.fleet.changes(0.0) == {}
    assert desk.fleet.rows() == []


def test_a_heartbeat_is_no_news(desk: Desk) -> None:
    desk.say("state", state(), 0.0)
    assert list(desk.fleet.changes(0.0)) == ["van-7"]
    desk.say("state", state(uptime_s=110.0), 10.0)
    assert desk.fleet.changes(10.0) == {}


def drive(desk: Desk, seconds: float, t: float = 0.0, **changes: Any) -> float:
    """Heartbeats for so long; when the last one came."""
    for beat in range(int(seconds / 10) + 1):
        desk.say("state", state(uptime_s=1000 + t + 10 * beat, **changes), t + 10 * beat)
    return t + 10 * int(seconds / 10)


def alert(number: int, uptime_s: float, *, phase: Phase = Phase.START, **changes: Any) -> bytes:
    return made_alert(stamp(uptime_s), phase=phase, sequence=number).model_copy(update=changes).payload()


def test_alerts_are_counted_a_driven_hour(desk: Desk) -> None:
    end = drive(desk, LEAST_DRIVEN_S - 100)
    desk.say("alert", alert(1, 1000 + end), end)
    assert desk.row(end)["rate"] is None  # too little to tell
    end = drive(desk, 1000, t=end)
    assert desk.row(end)["rate"] == pytest.approx(3600 / end, rel=0.05)
    for again in (alert(1, 1000 + end), alert(2, 1000 + end, resent=True), alert(3, 1000 + end, phase=Phase.END)):
        desk.say("alert", again, end)
    desk.say("alert", alert(4, 500.0), end)  # decided before anybody counted, and sent late
    desk.say("alert", alert(5, 1000 + end), end, retained=True)
    assert desk.row(end)["rate"] == pytest.approx(3600 / end, rel=0.05)


@pytest.mark.parametrize(
    "resting",
    [
        {"context": ContextPart(speed_kmh=0.0, standstill=True, standing_s=60.0, ignition=True)},
        {"state": State.ABSENT},
        {"state": State.PAUSED},
    ],
)
def test_standing_and_not_being_looked_at_is_no_driving(resting: dict[str, Any], desk: Desk) -> None:
    end = drive(desk, 4 * LEAST_DRIVEN_S, **resting)
    assert desk.row(end)["rate"] is None


def test_what_the_collector_knows_goes_first(desk: Desk) -> None:
    desk.say("availability", b"offline", retained=True)
    desk.fleet.collected({"van-7": Collected(3600.0, 3, 7200.0), "van-8": Collected(None, 0, 0.0)})
    assert (desk.row(5000.0)["rate"], desk.row(5000.0)["seen"]) == (1.5, 1400.0)
    assert desk.row(5000.0, "van-8")["word"] == "unknown"


@pytest.mark.parametrize("year", [1970, 2099])
def test_clocks_that_are_years_off_change_nothing(year: int, desk: Desk) -> None:
    desk.say("state", made_state(stamp(year=year)).payload(), 50.0)
    desk.say("alert", made_alert(stamp(year=year)).payload(), 50.0)
    assert desk.row(50.0)["word"] == "calm"
    assert desk.row(50.0 + SILENT_S + 1)["seen"] == 50.0


@pytest.mark.parametrize(
    ("device", "name", "payload"),
    [
        ("van-7", "state", b"{"),
        ("van-7", "state", b"x" * 10_000_000),
        ("van-7", "state", state().replace(b'"calm"', b'"happy"')),
        ("van-7", "health", state()),
        ("van-7", "alert", b"[]"),
        ("van-7", "availability", b"perhaps"),
        ("van-7", "availability", b"\xff\xfe"),
        ("<script>", "state", state()),
        ("x" * 65, "state", state()),
        ("", "availability", b"online"),
    ],
)
def test_what_is_none_of_the_contracts_makes_no_row(device: str, name: str, payload: bytes, desk: Desk) -> None:
    desk.say(name, payload, device=device)
    assert desk.fleet.changes(0.0) == {}
    assert desk.fleet.passed_over == 1


def test_made_up_names_take_no_more_than_their_room(desk: Desk) -> None:
    for number in range(MOST + 10):
        desk.say("availability", b"online", device=f"van-{number}")
    desk.fleet.changes(0.0)
    assert len(desk.fleet.rows()) == MOST


def test_long_texts_are_cut(desk: Desk) -> None:
    desk.say("state", state(State.UNCERTAIN, reason="x" * 10_000, reason_code="y" * 10_000))
    desk.say("health", health("z" * 10_000))
    row = desk.row()
    assert [len(row["text"]), len(row["code"]), len(row["problems"][1])] == [TEXT] * 3


# ---- to the browsers


class Time:
    t = 100.0

    def __call__(self) -> float:
        return self.t


def test_rows_and_what_changes_after_them_make_a_whole() -> None:
    clock, fleet = Time(), Fleet()
    hub = FleetHub(fleet, clock)

    async def look() -> tuple[dict[str, Any], list[str]]:
        fleet.received("van-1", "state", state(), clock(), retained=False)
        told = json.loads(gzip.decompress(hub.rows(small=True)))
        clock.t += 1
        fleet.received("van-2", "state", state(), clock(), retained=False)
        assert [row[0] for row in json.loads(hub.rows(small=False))["rows"]] == ["van-1", "van-2"]  # another browser
        events = hub.events(since=told["beat"])
        got = [await anext(events), await anext(events)]
        await events.aclose()  # type: ignore[attr-defined]
        return told, got

    told, got = asyncio.run(look())
    assert [row[0] for row in told["rows"]] == ["van-1"]
    assert "event: link" in got[0]
    assert '"van-2"' in got[1]


@pytest.mark.parametrize("since", [-1, 7])
def test_who_has_missed_too_much_begins_anew(since: int) -> None:
    clock, fleet = Time(), Fleet()
    hub = FleetHub(fleet, clock)

    async def look() -> list[str]:
        for number in range(KEPT + 2):
            fleet.received(f"van-{number}", "state", state(), clock(), retained=False)
            hub.rows(small=True)
            clock.t += 1
        return [text async for text in hub.events(since=0 if since < 0 else KEPT + since)]

    assert [text.split("\n")[0] for text in asyncio.run(look())] == ["event: anew"]


def test_a_page_of_a_device_begins_with_what_was_said_before() -> None:
    clock, fleet = Time(), Fleet()
    watched: list[tuple[str, bool]] = []
    hubs = Hubs("evenkeel", None, lambda *told: watched.append(told), fleet=fleet, clock=clock)
    for name, payload in (("availability", b"online"), ("state", state()), ("health", health("dark"))):
        fleet.received("van-7", name, payload, clock(), retained=False)
    hubs.linked(True, "")  # noqa: FBT003 - as the link tells it
    clock.t += 5
    hub = hubs.of("van-7")
    assert hub is not None

    async def look() -> dict[str, Any]:
        events = hub.events(live=True)
        first = await anext(events)
        await events.aclose()  # type: ignore[attr-defined]
        told: dict[str, Any] = json.loads(first.partition("data: ")[2])
        return told

    told = asyncio.run(look())
    assert told["newest"]["state"]["t"] == 100.0
    assert told["newest"]["state"]["state"] == "calm"
    assert told["newest"]["health"]["problems"] == ["dark"]
    assert told["link"]["connected"]
    assert watched == [("van-7", True), ("van-7", False)]


def test_pages_that_nobody_looks_at_are_given_up_in_the_end() -> None:
    hubs = Hubs("evenkeel", None, lambda *_: None, fleet=Fleet())
    for number in range(3 * IDLE):
        assert hubs.of(f"van-{number}") is not None
    assert sum(hubs.follows(f"van-{number}") for number in range(3 * IDLE)) == IDLE
    for none in (None, "", "a/b", "#", "+", "x" * 65):
        assert hubs.of(none) is None


def test_the_collector_s_database_tells_when_each_was_heard_and_how_it_was_driven(tmp_path: Path) -> None:
    engine = open_database(make_url(f"sqlite:///{tmp_path / 'collect.db'}"))
    upgrade(engine)
    now = datetime(2026, 5, 4, 12, tzinfo=UTC)
    late, old = now - timedelta(hours=1), now - timedelta(days=DAYS, hours=2)
    alert = {"prefix": "evenkeel", "device": "van-7", "epoch": 1, "clock_synced": True, "level": "warning"}
    alert |= {"kind": "anger", "resent": False, "received_synced": True, "payload": "{}", "episode": "e"}
    mine = {"prefix": "evenkeel", "device": "van-7"}
    with engine.begin() as connection:
        for number, (time, phase) in enumerate(((late, "start"), (late, "end"), (old, "start"))):
            when = {"time": time, "started": time, "happened": time, "received": time}
            connection.execute(insert(alerts).values(**alert, **when, sequence=number, phase=phase))
        for hour, watched, known, driven in ((late, 0b1111, 0b0111, 0b0001), (old, 0b1, 0b1, 0b1)):
            row = {"hour": hour, "watched": watched, "known": known, "driven": driven, "due": 0}
            connection.execute(insert(hours).values(**mine, **row))
        for device, availability in (("van-7", "offline"), ("van-8", "retired")):
            told = {"first_seen": old, "last_seen": late, "seen_synced": device == "van-7"}
            connection.execute(
                insert(devices).values(prefix="evenkeel", device=device, availability=availability, **told)
            )
    with engine.connect() as connection:
        found = collected(connection, "evenkeel", now)
        assert collected(connection, "other", now) == {}
    engine.dispose()
    # one minute driven, one of which nobody knows; two in which it stood
    assert found == {"van-7": Collected(3600.0, 1, 120.0)}


def test_half_a_database_is_told_on_the_page_and_the_fleet_goes_on(
    tmp_path: Path, config_of: Callable[..., Config], mosquitto: Mosquitto
) -> None:
    path = tmp_path / "collect.db"
    path.write_bytes(b"SQLite format 3\x00" + bytes(3000))
    more = f'fleet = true\nmetrics = "127.0.0.1:0"\n[dashboard.history]\ndatabase = "sqlite:///{path}"\n'
    with a_dashboard(config_of(mosquitto, more)) as address:
        browser, end = Browser(address), time.monotonic() + PATIENCE_S
        told = {"note": "rate_here"}
        while told["note"] == "rate_here" and time.monotonic() < end:
            told = json.loads(browser.ask("GET", "/fleet/rows")[2])
    assert told["note"] == "rate_gone"
    assert f"database {path}: file is not a database" in told["why"]
