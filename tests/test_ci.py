"""Where CI runs, what a test would be skipped without must be there: a part that is not tested there is a failure."""

from __future__ import annotations

import importlib.util
import os
import shutil

import pytest

from benchmarks.brokers.ejabberd import Ejabberd
from benchmarks.brokers.rabbitmq import RabbitMq
from benchmarks.mosquitto import executable
from benchmarks.postgresql import programs
from benchmarks.server import Server

in_ci = pytest.mark.skipif(not os.environ.get("CI"), reason="elsewhere than in CI a test may be skipped")


@in_ci
@pytest.mark.parametrize(
    "module",
    [
        "alembic",
        "amqtt",
        "argon2",
        "can",
        "cantools",
        "duckdb",
        "gpiozero",
        "grpc",
        "ibis",
        "kuksa",
        "matplotlib",
        "prometheus_client",
        "psycopg",
        "selenium",
        "sqlalchemy",
        "starlette",
    ],
)
def test_ci_has_the_package(module: str) -> None:
    assert importlib.util.find_spec(module)


@in_ci
@pytest.mark.parametrize(
    "program",
    [
        "chromedriver",
        "chromium",
        "espeak-ng",
        "gpsfake",
        "openssl",
        "mosquitto_passwd",
        "mosquitto_pub",
        "prometheus",
        "promtool",
        "systemd-analyze",
        "valgrind",
    ],
)
def test_ci_has_the_program(program: str) -> None:
    assert shutil.which(program)


@in_ci
def test_ci_has_the_broker() -> None:
    assert executable()


@in_ci
@pytest.mark.parametrize("kind", [RabbitMq, Ejabberd])
def test_ci_has_the_other_brokers(kind: type[Server]) -> None:
    assert kind.missing() is None


@in_ci
def test_ci_has_the_collector_s_other_database() -> None:
    assert programs()
