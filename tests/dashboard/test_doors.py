"""Who may look and do something, and how a password gets into the configuration."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from argon2 import PasswordHasher
from pydantic import ValidationError
from typer.testing import CliRunner

from edge.cli import app
from edge.compat import tomllib
from edge.config import load_config
from edge.config.dashboard import DashboardConfig
from edge.dashboard.doors import GUESS_EVERY_S, GUESSES, SESSION_S, SESSIONS, Doors, Role
from edge.dashboard.set_password import set_password, with_password
from edge.errors import ConfigError

QUICK = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
OPERATOR, VIEWER = QUICK.hash("turn the wheel"), QUICK.hash("only look at it")
KEPT = "$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$RdescudvJCsgt3ub+b7dWg"


class Time:
    t = 0.0

    def __call__(self) -> float:
        return self.t


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def doors(time: Time) -> Doors:
    return Doors(DashboardConfig(operator_password=OPERATOR, viewer_password=VIEWER), time)


def test_each_password_opens_its_own_door(doors: Doors) -> None:
    assert doors.role_of("turn the wheel") is Role.OPERATOR
    assert doors.role_of("only look at it") is Role.VIEWER
    for wrong in ("", "Turn the wheel", OPERATOR, "x" * 10_000):
        assert doors.role_of(wrong) is None


def test_a_session_lasts_as_long_as_it_is_used(doors: Doors, time: Time) -> None:
    token = doors.let_in(Role.VIEWER)
    time.t = SESSION_S
    assert doors.session(token) is not None
    time.t = 2 * SESSION_S
    assert doors.session(token) is not None
    time.t = 3 * SESSION_S + 1
    assert doors.session(token) is None


@pytest.mark.parametrize("forged", [None, "", "x", "../../etc/passwd", "A" * 43])
def test_a_forged_cookie_is_nobody(doors: Doors, forged: str | None) -> None:
    doors.let_in(Role.OPERATOR)
    assert doors.session(forged) is None


def test_who_logs_out_is_out_and_others_stay(doors: Doors) -> None:
    first, second = doors.let_in(Role.VIEWER), doors.let_in(Role.VIEWER)
    doors.let_out(first)
    assert doors.session(first) is None
    assert doors.session(second) is not None


def test_sessions_are_bounded_and_have_tokens_of_their_own(doors: Doors) -> None:
    tokens = [doors.let_in(Role.VIEWER) for _ in range(SESSIONS + 1)]
    assert doors.session(tokens[0]) is None
    sessions = [doors.session(token) for token in tokens[1:]]
    assert len({each.csrf for each in sessions if each}) == SESSIONS


def test_one_address_may_guess_five_times_and_then_one_by_one(doors: Doors, time: Time) -> None:
    assert [doors.may_guess("10.0.0.9") for _ in range(GUESSES + 1)] == [True] * GUESSES + [False]
    assert doors.may_guess("10.0.0.8")
    time.t = GUESS_EVERY_S
    assert [doors.may_guess("10.0.0.9") for _ in range(2)] == [True, False]


def test_many_addresses_together_may_not_guess_without_end(doors: Doors) -> None:
    assert sum(doors.may_guess(f"10.0.{n // 250}.{n % 250}") for n in range(5000)) == 8 * GUESSES


def test_without_a_password_everybody_on_this_machine_is_an_operator(time: Time) -> None:
    doors = Doors(DashboardConfig(), time)
    session = doors.session(None)
    assert session is not None
    assert session.role is Role.OPERATOR
    assert not doors.locked


def test_only_a_hash_is_taken_for_a_password() -> None:
    with pytest.raises(ValidationError, match="pattern"):
        DashboardConfig(operator_password="turn the wheel")  # noqa: S106 - it is refused
    with pytest.raises(ValidationError, match="belong together"):
        DashboardConfig(cert_file=Path("/x.pem"))
    assert OPERATOR not in repr(DashboardConfig(operator_password=OPERATOR))


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("", '[dashboard]\noperator_password = "H"\n'),
        ('[mqtt]\nhost = "x" # mine', '[mqtt]\nhost = "x" # mine\n\n[dashboard]\noperator_password = "H"\n'),
        (
            '[dashboard] # pages\nlisten = "0.0.0.0:80"\n[mqtt]\n',
            '[dashboard] # pages\noperator_password = "H"\nlisten = "0.0.0.0:80"\n[mqtt]\n',
        ),
        (
            '[dashboard]\nviewer_password = "V"\noperator_password = "old" # mine\n',
            '[dashboard]\nviewer_password = "V"\noperator_password = "H"\n',
        ),
        ('[a]\nb = """\n[dashboard]\n"""\n', None),
        ('dashboard.listen = "x"\n', None),
        ('dashboard = {listen = "x"}\n', None),
        ('[dashboard]\n"operator_password" = "old"\n', None),
    ],
)
def test_a_password_s_hash_comes_into_the_file_and_nothing_else_changes(text: str, made: str | None) -> None:
    if made is None:
        with pytest.raises(ConfigError, match='by hand: operator_password = "H"'):
            with_password(text, Role.OPERATOR, "H")
    else:
        assert with_password(text, Role.OPERATOR, "H") == made


def test_the_file_keeps_its_mode_and_a_faulty_one_its_text(tmp_path: Path) -> None:
    path = tmp_path / "evenkeel.toml"
    path.write_text("# mine\n")
    path.chmod(0o640)
    set_password(path, Role.VIEWER, KEPT)
    assert path.read_text() == f'# mine\n\n[dashboard]\nviewer_password = "{KEPT}"\n'
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert load_config(path, {}).dashboard.viewer_password == KEPT
    path.write_text("[mqtt\n")
    with pytest.raises(ConfigError, match="not valid TOML"):
        set_password(path, Role.VIEWER, KEPT)
    assert path.read_text() == "[mqtt\n"
    assert os.listdir(tmp_path) == ["evenkeel.toml"]  # noqa: PTH208 - names are enough


def test_the_command_asks_for_the_password_and_prints_it_nowhere(tmp_path: Path) -> None:
    path = tmp_path / "evenkeel.toml"
    path.write_text("")
    asked = ["dashboard", "--config", str(path), "--set-password", "operator"]
    result = CliRunner().invoke(app, asked, input="turn the wheel\nturn the wheel\n")
    assert result.exit_code == 0, result.output
    assert "turn the wheel" not in result.output + path.read_text()
    kept = tomllib.loads(path.read_text())["dashboard"]["operator_password"]
    assert Doors(DashboardConfig(operator_password=kept), Time()).role_of("turn the wheel") is Role.OPERATOR
    short = CliRunner().invoke(app, asked, input="short\nshort\n")
    assert "8 to 256 characters" in str(short.exception)
    nobody = CliRunner().invoke(app, [*asked[:-1], "driver"])
    assert "viewer and operator" in str(nobody.exception)
