"""``evenkeel outbox`` and ``evenkeel discovery``: beside a service that runs, and without one."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.messages import made_alert, made_outbox
from edge.cli import main
from edge.config import Config
from edge.errors import EXIT_UNAVAILABLE, UnavailableError
from edge.mqtt.client import Publisher
from edge.mqtt.exclusive import claim_device, claim_outbox
from edge.mqtt.one_shot import flush_outbox
from edge.mqtt.outbox import Outbox, read_contents
from edge.mqtt.session import Session
from edge.service.loop import board_stamp

if TYPE_CHECKING:
    from benchmarks.mosquitto import Mosquitto
    from tests.conftest import Subscriber

ALERT = "evenkeel/van-7/alert"
DESCRIPTION = "homeassistant/device/van-7_e-health/config"  # the last of its parts

Subscribe = Callable[..., "Subscriber"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "outbox.db"


@contextlib.contextmanager
def outbox_at(path: Path) -> Iterator[Outbox]:
    outbox = made_outbox(path, board_stamp())
    yield outbox
    outbox.close()


def store(path: Path, *reasons: str) -> None:
    with outbox_at(path) as outbox:
        for reason in reasons:
            outbox.put(made_alert(board_stamp(), reason))


def configuration(port: int, path: Path) -> Config:
    mqtt = {"host": "127.0.0.1", "port": port, "reconnect_min_s": 0.1}
    return Config.model_validate({"device": {"id": "van-7"}, "mqtt": mqtt, "outbox": {"path": path}})


@pytest.fixture
def evenkeel(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, path: Path
) -> Callable[..., tuple[int, str, str]]:
    """Run a command for van-7 and the broker at a port: exit code, stdout, stderr."""

    def run(port: int, *args: str) -> tuple[int, str, str]:
        file = tmp_path / "evenkeel.toml"
        file.write_text(
            f'[device]\nid = "van-7"\n[mqtt]\nhost = "127.0.0.1"\nport = {port}\n[outbox]\npath = "{path}"\n'
        )
        monkeypatch.setattr(sys, "argv", ["evenkeel", *args, "--config", str(file)])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    return run


Command = Callable[..., tuple[int, str, str]]


def test_an_outbox_that_nobody_ever_used_is_empty_and_stays_away(evenkeel: Command, path: Path) -> None:
    code, out, _ = evenkeel(1, "outbox")
    assert code == 0
    assert "0 alerts wait" in out
    assert not path.exists()


def test_waiting_alerts_are_shown_and_stay(evenkeel: Command, path: Path) -> None:
    store(path, "first reason", *(["more"] * 24), "last reason")
    code, out, _ = evenkeel(1, "outbox")
    assert code == 0
    assert "26 alerts wait" in out
    assert "first" in out
    assert "and 6 more" in out
    code, out, _ = evenkeel(1, "outbox", "--json")
    assert [json.loads(line)["reason"] for line in out.splitlines()][::25] == ["first reason", "last reason"]
    assert len(read_contents(path).waiting) == 26


def test_looking_beside_a_running_service_says_so_and_disturbs_nothing(evenkeel: Command, path: Path) -> None:
    store(path, "waits")
    with claim_outbox(path), outbox_at(path) as outbox:
        code, out, _ = evenkeel(1, "outbox")
        assert (code, "the service is running" in out) == (0, True)
        outbox.put(made_alert(board_stamp(), "more"))
        assert len(read_contents(path).waiting) == 2
        assert outbox.problem is None


def test_a_file_that_is_no_outbox_is_one_line_and_untouched(evenkeel: Command, path: Path) -> None:
    path.parent.mkdir()
    path.write_text("a shopping list, long enough to be looked at" * 20)
    code, out, err = evenkeel(1, "outbox")
    assert (code, out) == (EXIT_UNAVAILABLE, "")
    assert err.startswith(f"evenkeel: outbox {path} cannot be read")
    assert len(err.splitlines()) == 1
    assert path.read_text().startswith("a shopping list")


@pytest.mark.parametrize(
    ("content", "advice"),
    [
        (b"a shopping list" * 100, "set outbox.path to another file; else start the service"),
        (b"SQLite format 3\0" + b"\xff" * 5000, "start the service"),
    ],
)
def test_the_advice_for_a_file_that_is_no_outbox_is_not_to_run_as_somebody_else(
    evenkeel: Command, path: Path, content: bytes, advice: str
) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    code, _, err = evenkeel(1, "outbox")
    assert code == EXIT_UNAVAILABLE
    assert advice in err
    assert "service's user" not in err


def test_an_empty_file_is_an_outbox_that_nobody_has_used(evenkeel: Command, path: Path) -> None:
    path.parent.mkdir()
    path.touch()
    code, out, _ = evenkeel(1, "outbox")
    assert (code, "0 alerts wait" in out) == (0, True)


@pytest.mark.parametrize(
    ("statement", "advice"),
    [
        ("CREATE TABLE recipes (name TEXT)", "another program's database"),
        ("CREATE TABLE alert (x); PRAGMA user_version = 3", "is of a newer version"),
        ("CREATE TABLE alert (x); PRAGMA user_version = 2", "start the service"),
    ],
)
def test_another_database_is_named_for_what_it_is(evenkeel: Command, path: Path, statement: str, advice: str) -> None:
    path.parent.mkdir()
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.executescript(statement)
    code, _, err = evenkeel(1, "outbox")
    assert (code, len(err.splitlines()), advice in err) == (EXIT_UNAVAILABLE, 1, True), err


def test_what_is_kept_besides_the_queue_is_listed_on_request(evenkeel: Command, path: Path) -> None:
    with outbox_at(path) as outbox:
        for reason in ("sent", "refused", "waits"):
            outbox.put(made_alert(board_stamp(), reason))
        outbox.delivered([outbox.waiting(0, 1)[0].place])
        outbox.set_aside(outbox.waiting(0, 1)[0].place, "larger than the broker takes")
    code, out, _ = evenkeel(1, "outbox")
    assert (code, "kept besides: 1 acknowledged (--history), 1 set aside (--set-aside)" in out) == (0, True)
    assert "waits" in out
    assert [json.loads(line)["reason"] for line in evenkeel(1, "outbox", "--history", "--json")[1].splitlines()] == [
        "sent"
    ]
    assert "larger than the broker" in evenkeel(1, "outbox", "--set-aside")[1]


def test_a_flush_sends_what_waits_in_order_and_leaves_the_outbox_empty(
    mosquitto: Mosquitto, subscribe: Subscribe, evenkeel: Command, path: Path
) -> None:
    names = [str(number) for number in range(100)]
    store(path, *names)
    hears = subscribe(mosquitto.port)
    code, out, _ = evenkeel(mosquitto.port, "outbox", "--flush")
    assert (code, out) == (0, "100 alerts sent; the outbox is empty\n")
    hears.wait_for(ALERT, count=100)
    assert [json.loads(payload)["reason"] for payload in hears.payloads(ALERT)] == names
    assert not read_contents(path).waiting
    assert hears.payloads("evenkeel/van-7/availability") == []  # the device itself is not back
    assert evenkeel(mosquitto.port, "outbox", "--flush")[1] == "0 alerts sent; the outbox is empty\n"


def test_a_flush_without_a_broker_says_why_and_loses_nothing(evenkeel: Command, path: Path) -> None:
    store(path, "kept")
    code, _, err = evenkeel(1, "outbox", "--flush")
    assert code == EXIT_UNAVAILABLE
    assert "refused: nothing listens there" in err
    assert len(read_contents(path).waiting) == 1


def test_a_flush_leaves_the_alerts_to_a_service_that_runs(mosquitto: Mosquitto, evenkeel: Command, path: Path) -> None:
    store(path, "the service's")
    for held in (claim_outbox(path), claim_device(configuration(mosquitto.port, path))):
        with held:
            code, _, err = evenkeel(mosquitto.port, "outbox", "--flush")
        assert code == EXIT_UNAVAILABLE
        assert "a service that runs sends its alerts itself" in err
        assert len(read_contents(path).waiting) == 1


def test_a_flush_that_the_access_list_forbids_says_so_and_keeps_the_alert(
    make_mosquitto: Callable[..., Mosquitto], evenkeel: Command, path: Path, tmp_path: Path
) -> None:
    acl = tmp_path / "acl"
    acl.write_text("topic read #\n")
    acl.chmod(0o600)
    broker = make_mosquitto(f"allow_anonymous true\nacl_file {acl}")
    store(path, "kept")
    code, _, err = evenkeel(broker.port, "outbox", "--flush")
    assert code == EXIT_UNAVAILABLE
    assert f"refuses {ALERT}" in err
    assert len(read_contents(path).waiting) == 1


def test_a_flush_that_nobody_hears_says_so_and_keeps_the_alerts(
    mosquitto: Mosquitto, evenkeel: Command, path: Path
) -> None:
    store(path, "a", "b")
    code, _, err = evenkeel(mosquitto.port, "outbox", "--flush")
    assert code == EXIT_UNAVAILABLE
    assert f"nobody is subscribed to {ALERT}; start the receiver first" in err
    assert len(read_contents(path).waiting) == 2


@pytest.mark.parametrize("limit", ["max_inflight_messages 1", "max_qos 0", "max_packet_size 400"])
def test_a_flush_keeps_to_the_brokers_limits(
    make_mosquitto: Callable[..., Mosquitto], subscribe: Subscribe, evenkeel: Command, path: Path, limit: str
) -> None:
    store(path, "a", "b")
    broker = make_mosquitto(f"allow_anonymous true\n{limit}")
    subscribe(broker.port)
    code, _, err = evenkeel(broker.port, "outbox", "--flush")
    too_small = "400" in limit
    assert (code, "larger than the 400 bytes" in err) == ((EXIT_UNAVAILABLE, True) if too_small else (0, False))
    assert len(read_contents(path).waiting) == (2 if too_small else 0)


def test_a_service_that_starts_takes_over_from_a_flush(
    mosquitto: Mosquitto,
    subscribe: Subscribe,
    path: Path,
    until: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store(path, *map(str, range(60)))
    config = configuration(mosquitto.port, path)
    hears = subscribe(mosquitto.port, ALERT)
    with contextlib.ExitStack() as stack:
        send = Session.send
        started: list[Publisher] = []

        def interrupted(session: Session, *args: Any, **options: Any) -> None:
            send(session, *args, **options)
            if not started:
                started.append(stack.enter_context(service()))
                until(lambda: started[0].connected, "the service's connection")

        def service() -> Publisher:
            outbox = stack.enter_context(outbox_at(path))
            return Publisher(config, outbox, clock=board_stamp, environ={})

        monkeypatch.setattr(Session, "send", interrupted)
        with outbox_at(path) as outbox, pytest.raises(UnavailableError, match=r"took over|connection lost"):
            flush_outbox(config, {}, outbox)
        until(lambda: not read_contents(path).waiting, "the delivery by the service")
    hears.wait(lambda: len({json.loads(p)["sequence"] for p in hears.payloads(ALERT)}) == 60, "all alerts")
    first = dict.fromkeys(json.loads(payload)["reason"] for payload in hears.payloads(ALERT))
    assert list(first) == [str(number) for number in range(60)]


def test_the_description_for_home_assistant_is_printed(evenkeel: Command) -> None:
    code, out, _ = evenkeel(1, "discovery")
    told = dict(line.split(" ", 1) for line in out.splitlines())
    assert (code, [*told][-1]) == (0, DESCRIPTION)
    assert json.loads(told[DESCRIPTION])["dev"]["name"] == "van-7"


def test_a_removed_device_leaves_no_retained_description(
    mosquitto: Mosquitto, subscribe: Subscribe, evenkeel: Command
) -> None:
    subscribe(mosquitto.port).publish(DESCRIPTION, b"{}", retain=True)
    code, out, err = evenkeel(mosquitto.port, "discovery", "--remove")
    assert (code, out) == (0, "homeassistant/device/van-7/config: removed\n")
    assert "discovery.enabled = false" in err
    late = subscribe(mosquitto.port)
    late.publish("marker")
    late.wait_for("marker")
    assert late.payloads(DESCRIPTION) == []


def test_a_device_can_be_removed_while_its_service_is_connected(
    mosquitto: Mosquitto, subscribe: Subscribe, evenkeel: Command, publish_to: Callable[..., Publisher]
) -> None:
    hears = subscribe(mosquitto.port)
    publisher = publish_to(mosquitto.port)
    hears.wait_for(DESCRIPTION)
    hears.wait_for("evenkeel/van-7/state")
    assert evenkeel(mosquitto.port, "discovery", "--remove")[0] == 0
    hears.wait_for(DESCRIPTION, b"")
    assert publisher.connected
    assert publisher.problem is None
