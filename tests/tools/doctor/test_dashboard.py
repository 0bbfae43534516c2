"""What the doctor says of the dashboard where the installer has made a service of it."""

from __future__ import annotations

import importlib.util
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edge.errors import EXIT_CONFIG
from edge.tools.doctor import dashboard
from edge.tools.doctor.finding import Finding, Verdict
from edge.tools.doctor.installed import INSTALLERS, add_dashboard
from edge.tools.doctor.target import Host, User

MakeHost = Callable[..., Host]
Look = Callable[..., Finding]


@pytest.fixture
def look(make_host: MakeHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Look:
    """What is said of an installed dashboard with this ``[dashboard]``; its user is ``user``."""
    unit = tmp_path / INSTALLERS / dashboard.UNIT
    unit.parent.mkdir(parents=True)
    unit.touch()

    def looked(user: User | None = User(dashboard.USER, os.getuid() + 1, frozenset()), **section: Any) -> Finding:  # noqa: B008
        monkeypatch.setattr(User, "named", lambda _: user)
        host = make_host(dashboard=section)
        assert host.config is not None
        return dashboard.dashboard(host, host.config)

    return looked


@pytest.fixture
def served() -> Iterator[str]:
    """An address where somebody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"127.0.0.1:{listening.getsockname()[1]}"


def test_where_it_is_no_service_nothing_is_missed(make_host: MakeHost) -> None:
    host = make_host()
    assert host.config is not None
    assert dashboard.dashboard(host, host.config).verdict is Verdict.SKIP


def test_one_that_serves_its_pages_passes(look: Look, served: str) -> None:
    found = look(listen=served)
    assert (found.verdict, served in found.text) == (Verdict.PASS, True)


def test_one_that_does_not_answer_names_its_journal(look: Look, served: str) -> None:
    host, _, port = served.partition(":")
    with socket.create_server((host, 0)) as closed:
        nobody = f"{host}:{closed.getsockname()[1]}"
    found = look(listen=nobody)
    assert (found.verdict, "journalctl -u evenkeel-dashboard" in found.remedy) == (Verdict.FAIL, True)
    assert port not in found.text


def test_other_machines_may_not_look_without_a_password(look: Look) -> None:
    found = look(listen="0.0.0.0:8470")
    assert (found.verdict, found.exit_code) == (Verdict.FAIL, EXIT_CONFIG)
    assert "--set-password operator" in found.text + found.remedy


def test_missing_packages_are_named_with_what_brings_them(look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dashboard, "PACKAGES", ("starlette", "no_such_package"))
    found = look()
    assert (found.verdict, found.text, found.remedy) == (
        Verdict.FAIL,
        "it lacks no_such_package",
        add_dashboard(),
    )


@pytest.mark.parametrize(
    ("section", "lacking"),
    [
        ({"history": {"collect": True}}, ["alembic", "prometheus_client", "sqlalchemy"]),
        (
            {"history": {"database": "postgresql+psycopg://e@db/e"}},
            ["alembic", "prometheus_client", "sqlalchemy", "psycopg"],
        ),
        ({"metrics": "127.0.0.1:9466"}, ["prometheus_client"]),
        ({}, None),
    ],
)
def test_packages_are_those_that_its_configuration_needs(
    section: dict[str, Any], lacking: list[str] | None, look: Look, served: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found_spec = importlib.util.find_spec
    more = ("alembic", "prometheus_client", "psycopg", "sqlalchemy")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in more else found_spec(name))
    found = look(listen=served, **section)
    text = None if found.verdict is Verdict.PASS else found.text
    assert text == (None if lacking is None else f"it lacks {', '.join(lacking)}")


def test_a_key_that_its_user_cannot_read_is_named(look: Look, tmp_path: Path, served: str) -> None:
    certificate, key = tmp_path / "dashboard.pem", tmp_path / "dashboard.key"
    certificate.touch(mode=0o644)
    key.touch(mode=0o600)
    found = look(listen=served, cert_file=certificate, key_file=key)
    assert (found.verdict, str(key) in found.text) == (Verdict.FAIL, True)
    assert look(user=User(dashboard.USER, os.getuid(), frozenset()), listen=served).verdict is Verdict.PASS


def test_a_user_that_could_reach_the_camera_is_a_warning(look: Look, served: str) -> None:
    found = look(user=User(dashboard.USER, os.getuid() + 1, frozenset({0})), listen=served)
    assert (found.verdict, "root" in found.text) == (Verdict.WARN, True)


def test_without_its_user_it_cannot_run(look: Look) -> None:
    assert look(user=None).verdict is Verdict.FAIL
