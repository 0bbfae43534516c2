"""The page *History* as its server answers: what was collected, who may erase it, and databases that are none."""

from __future__ import annotations

import csv
import io
import json
import os
import sqlite3
import sys
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from pyarrow import parquet
from sqlalchemy import Engine, event, make_url, select, text

from benchmarks.messages import made_alert
from edge.collect.database import open_database, upgrade
from edge.collect.store import Store
from edge.collect.tables import OF_A_DEVICE, alerts, devices, erasures, hours, losses, metadata
from edge.compat import UTC
from edge.config import Config, load_config
from edge.dashboard.archive import Archive
from edge.dashboard.history import Wanted, episodes, is_known, overview
from edge.dashboard.rates import collected
from edge.errors import ConfigError, UnavailableError
from edge.mqtt.client import Publisher
from edge.service.loop import board_stamp
from tests.collect.conftest import BEGINNING, Desk, make_postgresql, postgresql
from tests.collect.said import payload
from tests.dashboard.conftest import written
from tests.dashboard.test_server import LOCKED, Browser
from tests.mqtt.conftest import publish_to, until

if TYPE_CHECKING:
    from benchmarks.mosquitto import Mosquitto
    from benchmarks.postgresql import Postgresql

__all__ = ["make_postgresql", "postgresql", "publish_to", "until"]

DAY = f"since={int(BEGINNING.timestamp() * 1000) - 43_200_000}&until={int(BEGINNING.timestamp() * 1000) + 43_200_000}"
ALL = Wanted(datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))
WIDE = "\uff1d1+1"
SCRIPT = "</p><script>window.taken=1</script>"


def name_of(number: int) -> str:
    """The id of an episode."""
    return f"01a1f96e-fe88-7cca-9ffd-2ef888df{number:04x}"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the collector's file is."""
    return tmp_path / "collect.db"


@pytest.fixture
def engine(path: Path) -> Iterator[Engine]:
    """A collector's database."""
    engine = open_database(make_url(f"sqlite:///{path}"))
    event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous = OFF"))  # no cut here
    upgrade(engine)
    yield engine
    engine.dispose()


class Fleet(Desk):
    """Takes what devices say, an episode at a time."""

    def __init__(self, engine: Engine, now: datetime = BEGINNING) -> None:
        super().__init__(Store(engine), now)
        self.number = 0

    def episode(self, device: str = "van-7", *, end: bool = True, **said: Any) -> str:
        """A start, an escalation and an end within a minute."""
        self.number += 1
        name, first = name_of(self.number), self.number * 3
        began = said.pop("started", self.now.isoformat())
        common = {"id": name, "device_id": device, "started": began, "models": {"face": "f", "expression": "e"}}
        steps = [
            {"phase": "start", "level": "warning", "duration_s": 0.0, "peak": 0.6},
            {"phase": "escalate", "level": "urgent", "duration_s": 12.0, "peak": 0.95},
            {"phase": "end", "level": "urgent", "duration_s": 30.5, "peak": 0.95, "reason_code": "calm"},
        ]
        for step, more in enumerate(steps if end else steps[:2]):
            numbered = {"sequence": first + step, "time": self.now.isoformat()}
            told = payload("alert", **(numbered | common | more | said))
            self.take((f"evenkeel/{device}/alert", told))
            self.wait(seconds=15)
        return name


@pytest.fixture
def fleet(engine: Engine) -> Fleet:
    """What devices say goes into the database."""
    return Fleet(engine)


@pytest.fixture
def alone(tmp_path: Path) -> Callable[[str], Config]:
    """The configuration of a dashboard whose broker is away."""
    return lambda more: load_config(written(tmp_path, 1, more), {})


@pytest.fixture
def page(served: Callable[[Config], str], alone: Callable[[str], Config], path: Path) -> Browser:
    """A browser at a dashboard with this database."""
    return Browser(served(alone(f'[dashboard.history]\ndatabase = "sqlite:///{path}"\n')))


def asked(page: Browser, query: str = DAY) -> tuple[int, dict[str, Any]]:
    """Status and body of what the page asks for first."""
    status, _, body = page.ask("GET", f"/history/episodes?{query}")
    return status, json.loads(body)


def test_each_episode_is_told_once_with_its_begin_its_duration_and_its_peak(fleet: Fleet, page: Browser) -> None:
    fleet.episode(cause="microsleep", kind="fatigue", context={"speed_kmh": 81.5} | dict.fromkeys(
        ("standstill", "standing_s", "ignition")))  # fmt: skip
    fleet.episode("van-8", end=False)
    status, told = asked(page)

    assert (status, told["more"], told["problem"]) == (200, False, "")
    open_one, one = told["episodes"]
    assert (open_one["device"], open_one["ended"], open_one["duration_s"]) == ("evenkeel/van-8", False, None)
    assert one == {
        "device": "evenkeel/van-7",
        "episode": name_of(1),
        "kind": "fatigue",
        "level": "urgent",
        "at": int(BEGINNING.timestamp() * 1000),
        "believed": True,
        "ended": True,
        "duration_s": 30.5,
        "peak": 0.95,
        "expression": "anger",
        "cause": "microsleep",
        "reason_code": "calm",
        "reason": None,
        "acknowledged": False,
        "speed_kmh": 81.5,
    }
    assert [each["device"] for each in told["devices"]] == ["evenkeel/van-7", "evenkeel/van-8"]


def test_episodes_are_chosen_by_device_kind_and_days(fleet: Fleet, page: Browser) -> None:
    fleet.episode()
    fleet.episode(kind="fatigue")
    fleet.episode("van-8")
    fleet.wait(days=3)
    fleet.episode()

    def found(query: str) -> list[str]:
        return [each["episode"][-1] for each in asked(page, query)[1]["episodes"]]

    assert found(DAY) == ["3", "2", "1"]
    assert found(f"{DAY}&device=evenkeel/van-8") == ["3"]
    assert found(f"{DAY}&kind=fatigue") == ["2"]
    assert found(f"{DAY}&kind=hunger") == []
    assert asked(page, "since=0&until=1")[1]["newest"] == int((fleet.now - timedelta(seconds=45)).timestamp() * 1000)


def test_of_too_many_the_newest_are_told_and_that_there_are_more(fleet: Fleet, engine: Engine) -> None:
    for _ in range(4):
        fleet.episode()
    with engine.connect() as connection:
        told, more = episodes(connection, ALL, most=3)
        assert ([each.episode for each in told], more) == ([name_of(4), name_of(3), name_of(2)], True)
        assert episodes(connection, ALL, most=4)[1] is False


@pytest.mark.parametrize(
    "said",
    [{"clock_synced": False, "started": "1970-01-01T00:01:00Z"}, {"started": "2061-01-01T00:00:00Z"}],
    ids=["unset", "ahead by decades"],
)
def test_where_the_devices_clock_cannot_be_believed_the_arrival_counts(
    said: dict[str, Any], fleet: Fleet, page: Browser
) -> None:
    fleet.episode(**said)
    one = asked(page)[1]["episodes"][0]
    assert (one["at"], one["believed"], one["duration_s"]) == (int(BEGINNING.timestamp() * 1000), False, 30.5)


def test_what_a_payload_does_not_tell_is_not_known(fleet: Fleet, engine: Engine, page: Browser) -> None:
    fleet.episode(reason=SCRIPT, expression=SCRIPT)
    contents = ("no JSON", "[1]", '{"peak": "high", "duration_s": true, "context": 7}',
        '{"peak": Infinity, "duration_s": 1' + "0" * 400 + ', "context": {"speed_kmh": NaN}}')  # fmt: skip
    for number, content in enumerate(contents, 2):
        damaged = {"content": content, "episode": fleet.episode()}
        with engine.begin() as connection:
            connection.execute(text("UPDATE alerts SET payload = :content WHERE episode = :episode"), damaged)
        one = asked(page)[1]["episodes"][0]
        assert one["episode"] == name_of(number)
        assert (one["peak"], one["duration_s"], one["speed_kmh"], one["reason"]) == (None, None, None, None)
    status, headers, body = page.ask("GET", f"/history/episodes?{DAY}")
    assert (status, headers["content-type"]) == (200, "application/json")
    assert json.loads(body)["episodes"][-1]["reason"] == SCRIPT


def test_time_driven_and_breaks_are_told_where_the_speed_is_known(fleet: Fleet, engine: Engine) -> None:
    for minute in range(100):
        if not 60 <= minute < 80:  # the network is away
            fleet.drives(moves=not 30 <= minute < 50)
        fleet.wait(minutes=1)
    with engine.connect() as connection:
        (told,) = overview(connection, ALL)["driven"]
    first = int(BEGINNING.timestamp() * 1000)
    assert told["device"] == "evenkeel/van-7"
    assert [row[1:] for row in told["hours"]] == [[30, 30, 30], [20, 40, 40], [10, 10, 10]]
    assert told["breaks"] == [(first + 30 * 60_000, 20, 20), (first + 60 * 60_000, 20, 0)]


def test_where_there_is_more_time_driven_than_is_read_it_is_told(fleet: Fleet, engine: Engine) -> None:
    for _ in range(130):
        fleet.drives(moves=True)
        fleet.wait(minutes=1)
    with engine.connect() as connection:
        cut, whole = (overview(connection, ALL, most_hours) for most_hours in (2, 3))
    assert (len(cut["driven"][0]["hours"]), cut["driven_more"]) == (2, True)
    assert (len(whole["driven"][0]["hours"]), whole["driven_more"]) == (3, False)


def test_a_question_that_cannot_be_is_refused(fleet: Fleet, page: Browser) -> None:
    fleet.episode()
    for query in (
        "",
        "since=1",
        "since=x&until=2",
        "since=-1&until=2",
        "since=1&until=99999999999999999",
        f"since=1&until={'9' * 5000}",
        f"since=1&until={quote('²')}",
        f"{DAY}&device=van-7",
        f"{DAY}&device=a/b/c",
        f"{DAY}&device={quote('evenkeel/..%2f', safe='')}",
        f"{DAY}&kind={quote(SCRIPT, safe='')}",
        f"{DAY}&kind=../../etc",
    ):
        status, told = asked(page, query)
        assert (status, list(told)) == (400, ["error"]), query


def test_without_a_database_the_page_is_told_so(
    served: Callable[[Config], str], alone: Callable[[str], Config]
) -> None:
    page = Browser(served(alone("")))
    assert page.ask("GET", "/history")[0] == 200
    assert asked(page) == (404, {"error": "no database (dashboard.history.database, or --database)"})


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "no such file; is a collector writing there?"),
        (b"", "not a collector's database, or one of an older version; run `evenkeel collect --migrate`"),
        (b"no database at all" * 100, "file is not a database"),
    ],
)
def test_a_database_that_is_none_is_named(content: bytes | None, why: str, page: Browser, path: Path) -> None:
    if content is not None:
        path.write_bytes(content)
    status, told = asked(page)
    assert status == 503
    assert str(path) in told["error"]
    assert why in told["error"]


def test_half_a_database_is_named_and_one_that_is_whole_again_is_read(fleet: Fleet, page: Browser, path: Path) -> None:
    fleet.episode()
    for missing in ("alerts", "hours", "devices"):
        with sqlite3.connect(path) as database:
            database.execute(f"ALTER TABLE {missing} RENAME TO away")
        status, told = asked(page)
        assert (status, f"no such table: {missing}" in told["error"]) == (503, True)
        with sqlite3.connect(path) as database:
            database.execute(f"ALTER TABLE away RENAME TO {missing}")
        assert asked(page)[0] == 200


def test_a_database_that_another_one_replaces_is_told_no_more(fleet: Fleet, page: Browser, path: Path) -> None:
    fleet.episode()
    assert len(asked(page)[1]["episodes"]) == 1
    for each in path.parent.glob("collect.db*"):
        each.rename(path.parent / f"away-{each.name}")
    assert asked(page)[0] == 503
    engine = open_database(make_url(f"sqlite:///{path}"))
    upgrade(engine)
    assert asked(page)[1]["episodes"] == []
    engine.dispose()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_a_database_of_somebody_else_is_named(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir(mode=0o700)
    (theirs / "collect.db").touch()
    archive = Archive(make_url(f"sqlite:///{theirs / 'collect.db'}"))
    os.seteuid(65534)
    try:
        with pytest.raises(UnavailableError, match=r"collect\.db: Permission denied; run the dashboard as a user who"):
            archive.ask_here(lambda connection: is_known(connection, "evenkeel", "van-7"))
    finally:
        os.seteuid(0)


def test_a_name_that_no_file_can_have_is_named(served: Callable[[Config], str], alone: Callable[[str], Config]) -> None:
    page = Browser(served(alone(f'[dashboard.history]\ndatabase = "sqlite:////tmp/{"x" * 300}"\n')))
    status, told = asked(page)
    assert (status, "File name too long" in told["error"]) == (503, True)


def test_a_value_that_no_version_has_written_is_a_damaged_database(fleet: Fleet, page: Browser, path: Path) -> None:
    fleet.episode()
    with sqlite3.connect(path) as database:
        database.execute("UPDATE alerts SET started = 'yesterday'")
    assert "holds what cannot be read" in asked(page)[1]["error"]


def test_a_server_that_is_not_there_is_named_without_its_password(
    served: Callable[[Config], str], alone: Callable[[str], Config], tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s3cret")
    address = "postgresql+psycopg://evenkeel@127.0.0.1:1/evenkeel"
    more = f'[dashboard.history]\ndatabase = "{address}"\ndatabase_password_file = "{secret}"\n'
    page = Browser(served(alone(more)))
    status, told = asked(page)
    assert (status, "127.0.0.1:1" in told["error"], "s3cret" in told["error"]) == (503, True, False)
    assert page.ask("GET", "/session")[0] == 200


@pytest.mark.parametrize("database", ["mysql://x@y/z", "sqlite://", "no address", "postgresql://x:y@z/w"])
def test_an_address_that_cannot_be_is_refused_at_the_start(
    database: str, served: Callable[[Config], str], alone: Callable[[str], Config]
) -> None:
    with pytest.raises(ConfigError, match=r"dashboard\.history\.database = "):
        served(alone(f'[dashboard.history]\ndatabase = "{database}"\n'))


def around_of(fleet: Fleet, name: str, sequence: int, first: int, **said: Any) -> None:
    """A piece of two samples of four around an episode."""
    fleet.piece(sequence=sequence, id=name, first=first, t_s=[first - 2.0, first - 1.0], **said)


def test_the_numbers_around_an_episode_are_put_together_and_what_is_missing_is_told(
    fleet: Fleet, page: Browser, path: Path
) -> None:
    name = fleet.episode()
    query = f"/history/episode?device=evenkeel/van-7&episode={name}"
    assert json.loads(page.ask("GET", query)[2])["numbers"] is None
    around_of(fleet, name, 3, 2, states=[[0, SCRIPT]])
    told = json.loads(page.ask("GET", query)[2])
    assert [each["phase"] for each in told["alerts"]] == ["start", "escalate", "end"]
    numbers = told["numbers"]
    assert (numbers["total"], numbers["missing"], numbers["t_s"]) == (4, 2, [None, None, 0.0, 1.0])
    assert numbers["states"] == [None, None, SCRIPT, SCRIPT]
    around_of(fleet, name, 3, 0)
    numbers = json.loads(page.ask("GET", query)[2])["numbers"]
    assert (numbers["missing"], numbers["t_s"]) == (0, [-2.0, -1.0, 0.0, 1.0])
    assert numbers["states"] == ["calm", "warning", SCRIPT, SCRIPT]
    assert numbers["signals"] == {"anger": [40, None, 40, None]}
    assert numbers["levels"] == {"anger": [None, "warning", None, "warning"]}
    assert numbers["thresholds"] == {"anger": 60}
    with sqlite3.connect(path) as database:  # a payload of which half is gone
        database.execute("UPDATE pieces SET payload = substr(payload, 1, 90) WHERE first = 0")
    assert json.loads(page.ask("GET", query)[2])["numbers"]["missing"] == 2


def test_an_episode_that_is_none_is_refused(fleet: Fleet, page: Browser) -> None:
    fleet.episode()
    for query, status in (
        (f"device=evenkeel/van-8&episode={name_of(1)}", 404),
        (f"device=evenkeel/van-7&episode={name_of(9)}", 404),
        ("device=evenkeel/van-7&episode=../../etc/passwd", 400),
        (f"device=van-7&episode={name_of(1)}", 400),
        ("", 400),
    ):
        assert page.ask("GET", f"/history/episode?{query}")[0] == status, query


def test_a_file_has_the_episodes_that_are_shown_and_a_name_of_ours(fleet: Fleet, page: Browser) -> None:
    fleet.episode(kind="fatigue", cause="=cmd|'/c calc'!A0", expression=SCRIPT)
    fleet.episode("van-8", end=False, clock_synced=False, cause=WIDE, expression="\n=1+1")
    status, headers, body = page.ask("GET", f"/history/export.csv?{DAY}")
    assert (status, headers["content-type"]) == (200, "text/csv; charset=utf-8")
    assert headers["content-disposition"] == 'attachment; filename="evenkeel-2026-05-03-2026-05-04.csv"'
    late, first = csv.DictReader(io.StringIO(body.decode()))
    assert (first["device"], first["kind"], first["duration_s"], first["peak"]) == ("van-7", "fatigue", "30.5", "0.95")
    assert (first["began"], first["clock_set"]) == ("2026-05-04T09:30:00.000+00:00", "true")
    assert (first["cause"], first["expression"]) == ("'=cmd|'/c calc'!A0", SCRIPT)
    assert (late["device"], late["duration_s"], late["ended"], late["clock_set"]) == ("van-8", "", "false", "false")
    assert (late["cause"], late["expression"]) == (f"'{WIDE}", "'\n=1+1")
    _, _, packed = page.ask("GET", f"/history/export.parquet?{DAY}&device=evenkeel/van-7")
    (row,) = parquet.read_table(io.BytesIO(packed)).to_pylist()
    assert (row["began"], row["duration_s"], row["speed_kmh"]) == (BEGINNING, 30.5, None)
    for name in ("export.xlsx", "export.csv/../../../etc/passwd", "export.", "..%2f..%2fexport.csv"):
        assert page.ask("GET", f"/history/{name}?{DAY}")[0] == 404


def test_without_its_package_parquet_names_the_extra(
    fleet: Fleet, page: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet.episode()
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    status, _, body = page.ask("GET", f"/history/export.parquet?{DAY}")
    assert (status, "pip install 'evenkeel[parquet]'" in json.loads(body)["error"]) == (501, True)


def test_an_operator_erases_a_device_after_writing_its_id(
    served: Callable[[Config], str],
    alone: Callable[[str], Config],
    path: Path,
    fleet: Fleet,
    engine: Engine,
) -> None:
    fleet.episode()
    fleet.drives(moves=True)
    fleet.episode("van-8")
    more = f'{LOCKED}[dashboard.history]\ndatabase = "sqlite:///{path}"\n'
    page = Browser(served(alone(more)))
    erase = {"device": "evenkeel/van-7", "confirmed": "van-7"}
    assert page.post("/history/erase", erase)[0] == 401
    assert asked(page)[0] == 401
    assert page.log_in("only look at it") == 200
    assert (asked(page)[0], page.post("/history/erase", erase)[0]) == (200, 403)
    assert page.log_in("turn the wheel") == 200
    assert page.post("/history/erase", erase, X_CSRF_Token=SCRIPT)[0] == 403
    assert page.post("/history/erase", erase, Origin="http://elsewhere.example")[0] == 403
    assert page.post("/history/erase", erase | {"confirmed": "van-8"})[0] == 400
    assert page.post("/history/erase", {"device": "evenkeel/van-9", "confirmed": "van-9"})[0] == 404
    assert page.post("/history/erase", {"device": "../van-7", "confirmed": "van-7"})[0] == 404
    assert len(asked(page)[1]["episodes"]) == 2

    assert page.post("/history/erase", erase) == (200, {"device": "evenkeel/van-7", "alerts": 3})
    with engine.connect() as connection:
        left = {device for table in (alerts, devices, hours) for device in connection.scalars(select(table.c.device))}
        marks = list(connection.scalars(select(erasures.c.device)))
    assert (left, marks) == ({"van-8"}, ["van-7"])


def test_whatever_is_left_of_a_device_can_be_erased(fleet: Fleet, engine: Engine) -> None:
    fleet.episode()
    fleet.drives(moves=True)
    fleet.piece()
    with engine.begin() as connection:
        connection.execute(losses.insert().values(
            prefix="evenkeel", device="van-7", epoch=7, first=1, last=1, reason="age", noted=BEGINNING))  # fmt: skip
    tables = {table for table in metadata.sorted_tables if "device" in table.c}
    assert tables - {erasures} == set(OF_A_DEVICE)
    for left in OF_A_DEVICE:
        with engine.connect() as connection:
            for table in OF_A_DEVICE:
                if table is not left:
                    connection.execute(table.delete())
            assert is_known(connection, "evenkeel", "van-7"), left.name
            connection.rollback()
    fleet.store.forget("evenkeel", "van-7", fleet.now)
    with engine.connect() as connection:
        assert not is_known(connection, "evenkeel", "van-7")


def test_all_of_it_is_told_and_erased_on_postgresql_too(
    served: Callable[[Config], str], alone: Callable[[str], Config], path: Path, postgresql: Postgresql
) -> None:
    pages = []
    for address in (f"sqlite:///{path}", postgresql.create("history")):
        engine = open_database(make_url(address))
        upgrade(engine)
        fleet = Fleet(engine)
        name = fleet.episode(kind="fatigue", cause="microsleep")
        fleet.episode("van-8", end=False, clock_synced=False)
        fleet.episode(started="2061-01-01T00:00:00Z")
        around_of(fleet, name, 3, 2)
        for minute in range(60):
            fleet.drives(moves=not 20 <= minute < 40)
            fleet.wait(minutes=1)
        with engine.connect() as connection:
            rated = collected(connection, "evenkeel", fleet.now)
        engine.dispose()
        page = Browser(served(alone(f'[dashboard.history]\ndatabase = "{address}"\n')))
        one = f"/history/episode?device=evenkeel/van-7&episode={name}"
        paths = (f"/history/episodes?{DAY}", one, f"/history/export.csv?{DAY}&device=evenkeel/van-7&kind=fatigue")
        answers = [page.ask("GET", path) for path in paths]
        assert [status for status, _, _ in answers] == [200, 200, 200]
        page.session()
        erased = page.post("/history/erase", {"device": "evenkeel/van-7", "confirmed": "van-7"})
        left = asked(page, DAY)[1]
        pages.append((rated, [body for _, _, body in answers], erased, left))
    assert pages[0] == pages[1]
    _, (told, numbers, _), erased, left = pages[1]
    assert len(json.loads(told)["episodes"]) == 3
    assert json.loads(told)["driven"][0]["breaks"]
    assert json.loads(numbers)["numbers"]["missing"] == 2
    assert erased == (200, {"device": "evenkeel/van-7", "alerts": 6})
    assert [each["device"] for each in left["devices"]] == ["evenkeel/van-8"]


def test_a_device_on_its_own_has_its_history_collected_by_the_dashboard(
    served: Callable[[Config], str],
    config_of: Callable[..., Config],
    mosquitto: Mosquitto,
    path: Path,
    publish_to: Callable[..., Publisher],
    until: Callable[..., None],
) -> None:
    config = config_of(mosquitto, f'[dashboard.history]\ndatabase = "sqlite:///{path}"\ncollect = true\n')
    page = Browser(served(config))
    publisher = publish_to(mosquitto.port)

    def told() -> list[str]:
        return [each["episode"] for each in asked(page, "since=0&until=4102444800000")[1]["episodes"]]

    first, second = made_alert(board_stamp(), "a"), made_alert(board_stamp(), "b")
    publisher.publish_alert(first)
    until(lambda: told() == [str(first.id)], "the episode")
    mosquitto.kill()
    publisher.publish_alert(second)
    mosquitto.start()
    until(lambda: set(told()) == {str(first.id), str(second.id)}, "the episode of meanwhile")


def test_what_the_dashboard_collects_goes_into_a_file_alone(
    served: Callable[[Config], str], alone: Callable[[str], Config]
) -> None:
    more = '[dashboard.history]\ndatabase = "postgresql://x@127.0.0.1:1/y"\ncollect = true\n'
    with pytest.raises(ConfigError, match="SQLite file only"):
        served(alone(more))
