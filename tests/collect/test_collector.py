"""The collector on a real mosquitto: nothing lost, nothing twice, whatever goes away."""

from __future__ import annotations

import json
import random
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.mosquitto import Mosquitto
from benchmarks.postgresql import Postgresql
from tests.collect.said import answer, payload
from tests.mqtt.scripted import SUBSCRIBE, ScriptedBroker

if TYPE_CHECKING:
    from edge.collect.store import Stored
    from tests.collect.conftest import Running, Until
    from tests.conftest import Subscriber

RunCollector = Callable[..., "Running"]
Subscribe = Callable[..., "Subscriber"]


def numbers(*sequences: int, epoch: int = 7) -> list[tuple[int, int]]:
    return [(epoch, number) for number in sequences]


def say(
    device: Subscriber, *sequences: int, epoch: int = 7, name: str = "van-7", prefix: str = "evenkeel", qos: int = 1
) -> None:
    for number in sequences:
        said = payload("alert", sequence=number, epoch=epoch, device_id=name)
        device.publish(f"{prefix}/{name}/alert", said, qos=qos)


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_alerts_are_stored_in_order(
    mosquitto: Mosquitto, run_collector: RunCollector, subscribe: Subscribe, until: Until, protocol: str
) -> None:
    running = run_collector(mosquitto.port, mqtt={"protocol": protocol})
    say(subscribe(mosquitto.port), *range(1, 40))

    until(lambda: running.kept() == numbers(*range(1, 40)), "39 alerts")


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_the_broker_keeps_what_comes_while_the_collector_is_away(
    mosquitto: Mosquitto, run_collector: RunCollector, subscribe: Subscribe, until: Until, protocol: str
) -> None:
    options: dict[str, Any] = {"mqtt": {"protocol": protocol}, "client_id": "desk"}
    device = subscribe(mosquitto.port)
    run_collector(mosquitto.port, **options).stop()
    say(device, 1, 2, 3)

    running = run_collector(mosquitto.port, **options)
    until(lambda: running.kept() == numbers(1, 2, 3), "what came meanwhile")


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_it_asks_for_what_is_missing_where_the_broker_takes_qos_0_only(
    make_mosquitto: Callable[..., Mosquitto],
    run_collector: RunCollector,
    subscribe: Subscribe,
    until: Until,
    protocol: str,
) -> None:
    broker = make_mosquitto(listener="max_qos 0")
    running = run_collector(broker.port, mqtt={"protocol": protocol})
    device = subscribe(broker.port, "evenkeel/van-7/command/resend")
    say(device, 1, 3, qos=0)
    device.wait_for("evenkeel/van-7/command/resend")
    say(device, 2, qos=0)
    until(lambda: sorted(running.kept()) == numbers(1, 2, 3), "the missing alert")


def test_it_comes_back_after_the_broker(
    mosquitto: Mosquitto, run_collector: RunCollector, subscribe: Subscribe, until: Until
) -> None:
    running = run_collector(mosquitto.port)
    mosquitto.kill()
    until(lambda: not running.meter.up, "the loss of the broker")
    mosquitto.start()
    until(lambda: running.meter.up, "a new subscription")
    say(subscribe(mosquitto.port), 1)

    until(lambda: running.kept() == numbers(1), "the alert")


def test_a_user_with_a_password_over_tls(
    make_mosquitto: Callable[..., Mosquitto],
    certificates: Any,
    passwords: Callable[..., Path],
    run_collector: RunCollector,
    tmp_path: Path,
) -> None:
    broker = make_mosquitto(
        f"allow_anonymous false\npassword_file {passwords('desk')}", certificates.listener(), per_listener=True
    )
    secret = tmp_path / "secret"
    secret.write_text("desk\n")
    mqtt = {"username": "desk", "password_file": secret, "tls": {"enabled": True, "ca_file": certificates.ca}}

    assert run_collector(broker.port, mqtt=mqtt).meter.up


def test_garbage_is_refused_and_stops_nothing(
    mosquitto: Mosquitto, run_collector: RunCollector, subscribe: Subscribe, until: Until
) -> None:
    running = run_collector(mosquitto.port)
    device = subscribe(mosquitto.port)
    chance = random.Random(3)  # noqa: S311 - garbage, not secrets
    for number in range(300):
        name = chance.choice(["alert", "state", "health", "availability", "command/resend/result"])
        whole = payload("alert", sequence=number + 1, device_id="van-8")
        cut = whole[: chance.randrange(1, len(whole))]
        garbage = chance.choice([chance.randbytes(chance.randrange(1, 200)), cut, b"[" * 10_000, b"{}"])
        device.publish(f"evenkeel/van-{number % 3} x/{name}" if number % 9 == 0 else f"evenkeel/van-8/{name}", garbage)
    say(device, 1)

    until(lambda: running.kept() == numbers(1), "the alert behind the garbage")

    def refused() -> int:
        return sum(count for what, count in running.meter.counts.items() if what.startswith("refused"))

    until(lambda: refused() == 300, "every refusal")


def test_what_is_missing_is_asked_for_until_it_has_come_or_is_gone(
    mosquitto: Mosquitto, run_collector: RunCollector, subscribe: Subscribe, until: Until
) -> None:
    device = subscribe(mosquitto.port)
    running = run_collector(mosquitto.port)
    say(device, 1, 5)
    question = json.loads(device.wait_for("evenkeel/van-7/command/resend"))
    assert {name: question[name] for name in ("epoch", "from", "to")} == {"epoch": 7, "from": 2, "to": 4}

    device.wait_for("evenkeel/van-7/command/resend", count=2)  # nothing came
    device.publish(
        "evenkeel/van-7/command/resend/result", answer(7, 2, 4, newest=5, gone=((3, 3, "expired"),), queued=2)
    )
    say(device, 2, 4)
    until(lambda: sorted(running.kept()) == numbers(1, 2, 4, 5), "what was missing")
    asked = running.meter.counts["asked"]
    say(device, 6)
    until(lambda: (7, 6) in running.kept(), "one alert more")
    assert running.meter.counts["asked"] == asked


def test_the_last_alert_is_missed_too_and_so_is_the_end_of_an_epoch(
    mosquitto: Mosquitto,
    run_collector: RunCollector,
    subscribe: Subscribe,
    until: Until,
    caplog: pytest.LogCaptureFixture,
) -> None:
    device = subscribe(mosquitto.port)
    run_collector(mosquitto.port)
    say(device, 1)
    device.publish("evenkeel/van-7/state", payload("state", sequence=2))
    first = json.loads(device.wait_for("evenkeel/van-7/command/resend"))
    assert (first["from"], first["to"]) == (2, 2)

    device.publish("evenkeel/van-7/command/resend/result", answer(7, 2, 2, newest=2, gone=((2, 2, "squeezed"),)))
    until(lambda: "are lost: " in caplog.text, "the loss")  # an answer after the next epoch's begin would end this one
    device.publish("evenkeel/van-7/state", payload("state", sequence=0, epoch=9))
    device.wait(
        lambda: any("to" not in json.loads(one) for one in device.payloads("evenkeel/van-7/command/resend")),
        "a question without an end",
    )


def test_a_device_that_is_offline_is_not_asked(
    mosquitto: Mosquitto, run_collector: RunCollector, subscribe: Subscribe, until: Until
) -> None:
    device = subscribe(mosquitto.port)
    running = run_collector(mosquitto.port)
    say(device, 2)
    device.publish("evenkeel/van-7/availability", b"offline", retain=True)
    say(device, 2, name="van-8")
    device.wait_for("evenkeel/van-8/command/resend", count=2)
    assert device.payloads("evenkeel/van-7/command/resend") == []

    device.publish("evenkeel/van-7/availability", b"online", retain=True)
    device.wait_for("evenkeel/van-7/command/resend")
    until(lambda: running.kept("van-8") == numbers(2), "the other's alert")


def test_collectors_of_a_group_share_the_work_and_store_each_alert_once(
    mosquitto: Mosquitto, run_collector: RunCollector, subscribe: Subscribe, until: Until, postgresql: Postgresql
) -> None:
    database = postgresql.create("shared")
    share = [run_collector(mosquitto.port, database, group="desks") for _ in range(2)]
    alone = run_collector(mosquitto.port, database)
    say(subscribe(mosquitto.port), *range(1, 101))

    until(lambda: sorted(share[0].kept()) == numbers(*range(1, 101)), "each alert once")
    until(lambda: sum(one.meter.counts["duplicates"] for one in (*share, alone)) == 100, "the others as duplicates")


def test_two_prefixes_and_a_renamed_device_are_kept_apart(
    mosquitto: Mosquitto, run_collector: RunCollector, subscribe: Subscribe, until: Until
) -> None:
    running = run_collector(mosquitto.port, prefixes=("north", "south"))
    device = subscribe(mosquitto.port)
    say(device, 1, prefix="north")
    say(device, 1, prefix="south")
    say(device, 1, prefix="evenkeel")
    say(device, 1, prefix="south", name="van-7a")

    until(lambda: len(running.kept("van-7a")) == 1, "the renamed one's alert")
    assert running.kept() == numbers(1) * 2


def test_however_many_prefixes_there_are_no_subscription_asks_for_more_than_eight_at_once(
    run_collector: RunCollector, until: Until
) -> None:
    with ScriptedBroker() as broker:
        run_collector(broker.port, prefixes=("north", "south", "east"))

        def asked() -> list[tuple[str, ...]]:
            return [one.filters for one in broker.received if one.kind == SUBSCRIBE]

        until(lambda: sum(map(len, asked())) == 18, "all subscriptions")
        assert all(len(some) <= 8 for some in asked())


def test_a_database_that_goes_away_costs_nothing(
    mosquitto: Mosquitto,
    run_collector: RunCollector,
    subscribe: Subscribe,
    until: Until,
    postgresql_of_its_own: Postgresql,
) -> None:
    server = postgresql_of_its_own
    device = subscribe(mosquitto.port)
    running = run_collector(mosquitto.port, server.create("collect"))
    say(device, 1, 2)
    until(lambda: running.kept() == numbers(1, 2), "the first two")
    server.kill()
    say(device, *range(3, 60))
    server.start()
    until(lambda: running.kept() == numbers(*range(1, 60)), "all of them")


def test_a_locked_database_is_waited_for(
    mosquitto: Mosquitto,
    run_collector: RunCollector,
    subscribe: Subscribe,
    until: Until,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    running = run_collector(mosquitto.port)
    device = subscribe(mosquitto.port)
    other = sqlite3.connect(tmp_path / "collect.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    say(device, 1, 2)
    until(lambda: "database is locked" in caplog.text, "a word about it")
    assert running.kept() == []

    other.execute("ROLLBACK")
    until(lambda: running.kept() == numbers(1, 2), "both")
    until(lambda: "available again" in caplog.text, "a word about its return")
    other.close()


def test_what_is_stored_is_told(
    mosquitto: Mosquitto, run_collector: RunCollector, subscribe: Subscribe, until: Until
) -> None:
    told: list[Stored] = []
    run_collector(mosquitto.port, on_stored=told.append)
    say(subscribe(mosquitto.port), 1, 1, 2)

    until(lambda: len(told) == 2, "two lines")
    assert [json.loads(one.payload)["sequence"] for one in told] == [1, 2]
