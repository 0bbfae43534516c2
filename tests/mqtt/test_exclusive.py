"""One device, one outbox, one process: the second one is refused and told who the first is."""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import MagicMock

import pytest

from edge.cli import main
from edge.config import Config
from edge.errors import EXIT_UNAVAILABLE, UnavailableError
from edge.mqtt.exclusive import claim_device, claim_outbox, hold
from edge.service.loop import build_service

OWN_NAME = Path("/proc/self/comm").read_text().strip()
OWN_USER = pwd.getpwuid(os.getuid()).pw_name
NOBODY = 65534
DEVICE = f"van-{os.getpid()}"
"""The kernel's names are the whole machine's: another run of these tests has another."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "outbox.db"


def configuration(path: Path, device: str = DEVICE, host: str = "localhost", prefix: str = "evenkeel") -> Config:
    mqtt = {"host": host, "port": 1, "prefix": prefix}
    return Config.model_validate({"device": {"id": device}, "mqtt": mqtt, "outbox": {"path": path}})


@contextlib.contextmanager
def another_process(code: str) -> Iterator[int]:
    """Runs ``code``, in which ``path`` and ``config`` may be claimed, until the end of the ``with``; yields its pid."""
    head = (
        "import os, sys; from pathlib import Path; from edge.config import Config; from edge.mqtt.exclusive import *\n"
    )
    script = f"{head}{code}\n"
    with subprocess.Popen(  # noqa: S603 - our own script
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process.pid
        process.kill()


def holding(what: str) -> str:
    then = "assert holder is None, holder\n    print('held', flush=True)\n    sys.stdin.read()"
    return f"with {what} as holder:\n    {then}"


def device(config: Config, between: str = "") -> str:
    """Claims a device; ``between`` is done once the configuration is read, of which another user may not be able."""
    return f"config = Config.model_validate_json({config.model_dump_json()!r})\n{between}" + holding(
        "claim_device(config)"
    )


def test_a_service_holds_its_device_and_its_outbox_as_long_as_it_lives(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("Pipeline", "About"):  # no models are needed for this
        monkeypatch.setattr(f"edge.service.loop.{name}", MagicMock())
    config = configuration(path)
    me = f"{OWN_NAME} (pid {os.getpid()})"
    with build_service(config, reload=Config), claim_device(config) as device_s, claim_outbox(path) as outbox_s:
        assert (device_s, outbox_s) == (f"{me} of user {OWN_USER}", me)
    with claim_device(config) as device_s, claim_outbox(path) as outbox_s:
        assert not device_s
        assert not outbox_s


def test_a_run_beside_the_service_ends_with_69_and_says_who_is_there(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for name in ("Pipeline", "About"):
        monkeypatch.setattr(f"edge.service.loop.{name}", MagicMock())
    file = tmp_path / "evenkeel.toml"
    file.write_text(
        f'device.id = "{DEVICE}"\nmqtt.port = 1\noutbox.path = "{tmp_path / "a folder of its own" / "x.db"}"\n'
    )
    monkeypatch.setattr(sys, "argv", ["evenkeel", "run", "--source", "clip.mp4", "--config", str(file)])
    with another_process(device(configuration(path, host="127.0.0.1"))) as pid, pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == EXIT_UNAVAILABLE
    (line,) = capsys.readouterr().err.splitlines()
    assert f"device evenkeel/{DEVICE} at localhost:1 is already in use by" in line
    assert f"(pid {pid}) of user {OWN_USER}" in line
    assert "`evenkeel replay`" in line


@pytest.mark.skipif(os.getuid() != 0, reason="only root can be another user")
def test_another_user_s_process_is_in_the_way_too(path: Path) -> None:
    config = configuration(path)
    as_nobody = f"import os; os.setgid({NOBODY}); os.setuid({NOBODY})\n"
    with (
        another_process(device(config, as_nobody)) as pid,
        pytest.raises(UnavailableError) as refused,
        hold(config, path),
    ):
        pass
    assert f"(pid {pid}) of user nobody" in str(refused.value)


def test_the_same_outbox_under_another_name_is_in_use(path: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(path.parent)
    other = configuration(tmp_path / "link" / path.name, device=f"{DEVICE}-b")
    with another_process(holding(f"claim_outbox(Path({str(path)!r}))")) as pid:
        with pytest.raises(UnavailableError) as refused, hold(other, tmp_path / "link" / path.name):
            pass
        with claim_device(other) as holder:  # what was claimed before the refusal is free again
            assert holder is None
    assert re.search(rf"in use by \S+ \(pid {pid}\); stop that first", str(refused.value))


@pytest.mark.parametrize(
    ("other", "same"),
    [
        ({"host": "127.0.0.1"}, True),
        ({"host": "::1"}, True),
        ({"host": "broker.example"}, False),
        ({"device": f"{DEVICE}-b"}, False),
        ({"prefix": "fleet"}, False),
    ],
)
def test_a_device_is_its_broker_prefix_and_id(path: Path, other: dict[str, str], same: bool) -> None:  # noqa: FBT001 - a column
    with claim_device(configuration(path)), claim_device(configuration(path, **other)) as holder:
        assert (holder is not None) is same


def test_who_lets_go_in_time_was_not_in_the_way(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    config = configuration(path)
    code = f"import time\n{device(config).replace('sys.stdin.read()', 'time.sleep(0.2)')}"
    with another_process(code) as pid, hold(config, path, patience_s=30.0):
        pass
    assert caplog.text.count("waiting for it to end") == 1
    assert f"(pid {pid})" in caplog.text


@pytest.mark.parametrize("claim", ["claim_device", "claim_outbox"])
def test_the_kernel_frees_the_claim_of_a_killed_process(path: Path, claim: str) -> None:
    config = configuration(path)
    code = device(config) if claim == "claim_device" else holding(f"claim_outbox(Path({str(path)!r}))")
    with another_process(code):
        pass  # killed at the end
    with claim_device(config) as holder, claim_outbox(path) as other:
        assert (holder, other) == (None, None)


def test_many_that_were_refused_do_not_make_it_free(path: Path) -> None:
    config = configuration(path)
    with claim_device(config):
        for _ in range(300):
            with claim_device(config) as holder:
                assert holder


def test_a_folder_that_cannot_be_made_is_nobodys(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with claim_outbox(tmp_path / "file" / "outbox.db") as holder:
        assert holder is None
