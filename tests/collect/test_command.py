"""``evenkeel collect`` as its user meets it: processes, exit codes, tables, and kills at random moments."""

from __future__ import annotations

import json
import random
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Engine, MetaData, Table, insert, make_url, select, text
from typer.testing import CliRunner

from benchmarks.collecting import CollectorProcess
from benchmarks.mosquitto import Mosquitto
from benchmarks.server import free_port
from edge.cli import app
from edge.collect.command import served_meter
from edge.collect.config import CollectConfig, load_collect_config
from edge.collect.database import VERSION_TABLE, _alembic, database_url, open_database, upgrade
from edge.collect.meter import PrometheusMeter
from edge.collect.tables import alerts, metadata
from edge.errors import ConfigError, EvenkeelError, UnavailableError
from tests.collect.conftest import BEGINNING
from tests.collect.said import payload

if TYPE_CHECKING:
    from tests.collect.conftest import Desk, Until
    from tests.conftest import Subscriber

Subscribe = Callable[..., "Subscriber"]
RUNNER = CliRunner()


def evenkeel(*arguments: str) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-c", "from edge.cli import main; main()", "collect", *arguments]
    return subprocess.run(program, capture_output=True, text=True, check=False, timeout=60)  # noqa: S603 - our own command


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., CollectorProcess]]:
    """Starts collectors in processes of their own: ``start(port, arguments=("--json",))``."""
    started: list[CollectorProcess] = []

    def make(port: int, **options: Any) -> CollectorProcess:
        started.append(CollectorProcess(tmp_path, port, **options))
        started[-1].start()
        return started[-1]

    yield make
    for one in started:
        one.kill()


def test_killed_at_random_moments_it_stores_each_alert_once(
    mosquitto: Mosquitto, subscribe: Subscribe, start: Callable[..., CollectorProcess], until: Until
) -> None:
    collector = start(mosquitto.port)
    device = subscribe(mosquitto.port)
    said: list[int] = []
    enough = threading.Event()

    def speak() -> None:
        while not enough.wait(0.02):  # it goes on while the collector dies and returns
            said.append(len(said) + 1)
            device.publish("evenkeel/van-7/alert", payload("alert", sequence=said[-1]))

    speaker = threading.Thread(target=speak)
    speaker.start()
    chance = random.Random(5)  # noqa: S311 - moments, not secrets
    for _ in range(3):
        time.sleep(chance.uniform(0.0, 0.4))  # the moment is the point
        collector.kill()
        collector.start()
    enough.set()
    speaker.join()

    until(lambda: len(collector.alerts()) >= len(said), "every alert", 30)
    assert [one.sequence for one in collector.alerts()] == said


def test_what_is_not_in_the_database_is_not_acknowledged(
    mosquitto: Mosquitto, subscribe: Subscribe, start: Callable[..., CollectorProcess], until: Until, tmp_path: Path
) -> None:
    collector = start(mosquitto.port)
    other = sqlite3.connect(tmp_path / "collector.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    device = subscribe(mosquitto.port)
    device.publish("evenkeel/van-7/alert", payload("alert"))
    until(lambda: "database is locked" in collector.log, "a try to store it")
    collector.kill()
    other.close()

    collector.start()
    until(lambda: len(collector.alerts()) == 1, "the alert, from the broker")


def test_a_reader_that_goes_away_ends_it_in_one_line(
    mosquitto: Mosquitto, subscribe: Subscribe, start: Callable[..., CollectorProcess]
) -> None:
    collector = start(mosquitto.port, arguments=("--json",))
    collector.stop_reading()
    subscribe(mosquitto.port).publish("evenkeel/van-7/alert", payload("alert"))

    assert collector.wait() == 69
    assert "nothing reads the output any more" in collector.log
    assert "Traceback" not in collector.log
    assert len(collector.alerts()) == 1


def test_it_stops_cleanly_and_says_each_alert_as_a_line(
    mosquitto: Mosquitto, subscribe: Subscribe, start: Callable[..., CollectorProcess], until: Until
) -> None:
    collector = start(mosquitto.port, arguments=("--json",))
    device = subscribe(mosquitto.port)
    device.publish("evenkeel/van-7/alert", payload("alert"))
    until(lambda: bool(collector.alerts()), "the alert")

    printed = collector.lines()
    lines = [json.loads(next(printed))]
    assert collector.stop() == 0
    assert list(printed) == []
    assert [(one["prefix"], one["device"], one["alert"]["sequence"]) for one in lines] == [("evenkeel", "van-7", 1)]


def test_check_shows_devices_gaps_and_losses(desk: Desk, engine: Engine) -> None:
    desk.alerts(1, 2, 5)
    desk.state(5)
    desk.alerts(1, device="van-8")
    desk.take(("evenkeel/van-7/alert", b"{"))
    address = engine.url.render_as_string(hide_password=False)

    table = RUNNER.invoke(app, ["collect", "--database", address, "--check"])
    said = json.loads(RUNNER.invoke(app, ["collect", "--database", address, "--check", "--json"]).stdout)

    assert table.exit_code == 0
    assert "evenkeel/van-7: missing of epoch 7: 3-4" in table.stdout
    assert "refused (json): 1" in table.stdout
    assert all(len(line) <= 80 for line in table.stdout.splitlines() if "│" in line or "van-8" in line)
    first, second = said["devices"]
    assert first["missing"] == [{"epoch": 7, "from": 3, "to": 4}]
    assert (first["stored"], first["state"], first["newest"]) == (3, "calm", {"epoch": 7, "sequence": 5})
    assert (second["device"], second["missing"], second["lost"]) == ("van-8", [], {})


def test_forget_needs_to_know_which_device(desk: Desk, engine: Engine) -> None:
    desk.alerts(1)
    desk.alerts(1, prefix="north")
    address = engine.url.render_as_string(hide_password=False)

    def forget(name: str) -> tuple[int, str]:
        done = RUNNER.invoke(app, ["collect", "--database", address, "--forget", name])
        return done.exit_code, done.stdout or str(done.exception)

    assert "there are several: evenkeel/van-7, north/van-7" in forget("van-7")[1]
    assert "no such device" in forget("van-9")[1]
    assert forget("north/van-7") == (0, "north/van-7: forgotten, 1 alerts deleted\n")
    assert forget("van-7")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--database", "mysql://x/y"], 78, "mysql is not supported"),
        (["--database", "nonsense"], 78, "no database address"),
        (["--database", "sqlite://"], 78, "names no file"),
        (["--database", "postgresql://me:secret@host/x"], 78, "database_password_file"),
        (["--database", "sqlite:////proc/none/x.db"], 69, "cannot be written"),
        (["--database", "sqlite:////nowhere/x.db", "--check"], 69, "no such database"),
        (["--database", "postgresql://nobody@127.0.0.1:1/x"], 69, "refused"),
        (["--check", "--migrate"], 2, "exclude each other"),
        (["--metrics", "nine"], 2, "127.0.0.1:9109"),
        (["--config", "/nowhere.toml"], 78, "no such file"),
    ],
)
def test_what_cannot_be_done_is_said(arguments: list[str], code: int, words: str) -> None:
    error = RUNNER.invoke(app, ["collect", *arguments]).exception

    assert isinstance(error, EvenkeelError)
    assert (error.exit_code, words in str(error)) == (code, True), error
    assert "secret" not in str(error)
    assert len(str(error).splitlines()) == 1


def test_a_damaged_file_is_left_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "collect.db"
    file.write_bytes(b"no database at all" * 100)
    done = evenkeel("--database", f"sqlite:///{file}")

    assert done.returncode == 69
    assert "not a database" in done.stderr
    assert file.read_bytes() == b"no database at all" * 100


def test_the_steps_lead_to_the_tables(engine: Engine) -> None:
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE, "compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_a_newer_database_is_refused_and_an_older_one_brought_up(database: str) -> None:
    engine = open_database(make_url(database))
    upgrade(engine)
    upgrade(engine)  # nothing to do
    with engine.begin() as connection:
        connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))  # noqa: S608 - our own name
    with pytest.raises(ConfigError, match="newer version"):
        upgrade(engine)
    engine.dispose()


def test_what_an_older_version_stored_is_told_its_time(database: str) -> None:
    engine = open_database(make_url(database))
    with engine.begin() as connection:
        command.upgrade(_alembic(connection), "0001")
        old = Table("alerts", MetaData(), autoload_with=connection)
        assert "happened" not in old.c
        for number, (synced, started) in enumerate(((True, 1), (False, 1), (True, 20)), 1):
            told: dict[str, Any] = {"sequence": number, "epoch": 1, "clock_synced": synced, "time": BEGINNING}
            told |= {"started": BEGINNING + timedelta(hours=started), "received": BEGINNING + timedelta(hours=2)}
            flags = {"resent": False, "received_synced": True}
            values = dict.fromkeys(old.c.keys(), "") | told | flags
            del values["id"]
            connection.execute(insert(old).values(values))
    upgrade(engine)
    with engine.connect() as connection:
        happened = list(connection.scalars(select(alerts.c.happened).order_by(alerts.c.sequence)))
    assert happened == [BEGINNING + timedelta(hours=hours) for hours in (1, 2, 2)]
    engine.dispose()


def test_without_its_packages_it_names_the_extra() -> None:
    without = "import sys; sys.modules['alembic'] = None; from edge.cli import main; main()"
    command = [sys.executable, "-c", without, "collect", "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)  # noqa: S603 - our own command

    assert done.returncode == 69
    assert "needs the package alembic; install it: pip install 'evenkeel[collect]'" in done.stderr


def test_the_password_comes_from_its_file_or_from_systemd(tmp_path: Path) -> None:
    secret = tmp_path / "database_password"
    secret.write_text("\ufeffs3cret\n")
    address = "postgresql://evenkeel@db/alerts"
    named = CollectConfig.model_validate({"collect": {"database": address, "database_password_file": secret}})
    plain = CollectConfig.model_validate({"collect": {"database": address}})

    assert database_url(named.collect, {}).password == "s3cret"  # noqa: S105 - made for this test
    assert database_url(plain.collect, {"CREDENTIALS_DIRECTORY": str(tmp_path)}).password == "s3cret"  # noqa: S105 - as above
    assert database_url(plain.collect, {}).password is None
    assert "s3cret" not in str(database_url(named.collect, {}))


def test_the_database_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "new" / "collect.db"
    open_database(make_url(f"sqlite:///{path}"))

    assert path.stat().st_mode & 0o777 == 0o600


def test_configuration_errors_name_the_key(tmp_path: Path) -> None:
    file = tmp_path / "collect.toml"
    file.write_text('[collect]\ndatabse = "x"\n[camera]\nfps = 3\n')

    with pytest.raises(ConfigError) as caught:
        load_collect_config(file, {})
    assert "collect.databse: unknown key; did you mean database? known here: client_id, database" in str(caught.value)
    assert "camera: unknown key; known here: collect, metrics, mqtt" in str(caught.value)


def test_metrics_are_served_where_the_configuration_or_the_command_line_says(tmp_path: Path) -> None:
    port = free_port()
    file = tmp_path / "collect.toml"
    file.write_text(f'[metrics]\nlisten = "127.0.0.1:{port}"\n')
    configured = load_collect_config(file, {})
    for told, where in ((None, port), ("127.0.0.1:0", 0)):
        meter = served_meter(configured, told)
        assert meter is not None
        assert (meter.port == port) is (where == port)
        meter.close()
    assert served_meter(load_collect_config(None, {}), None) is None


def test_metrics_are_served() -> None:
    meter = PrometheusMeter("127.0.0.1", 0)
    meter.stored([0.004, None])
    meter.refused("json", 3)
    meter.lost("expired", 2)
    meter.missing(4)
    with urllib.request.urlopen(f"http://127.0.0.1:{meter.port}/metrics", timeout=5) as answer:
        said = answer.read().decode()
    meter.close()

    assert "evenkeel_collect_alerts_stored_total 2.0" in said
    assert 'evenkeel_collect_refused_total{reason="json"} 3.0' in said
    assert 'evenkeel_collect_alerts_lost_total{reason="expired"} 2.0' in said
    assert "evenkeel_collect_alerts_missing 4.0" in said
    assert 'evenkeel_collect_lag_seconds_bucket{le="0.005"} 1.0' in said


def test_a_taken_port_is_said() -> None:
    meter = PrometheusMeter("127.0.0.1", 0)
    with pytest.raises(UnavailableError, match="choose another port"):
        PrometheusMeter("127.0.0.1", meter.port)
    meter.close()
