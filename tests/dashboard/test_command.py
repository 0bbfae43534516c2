"""``evenkeel dashboard`` and ``evenkeel demo --web`` as their users run them."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from edge.config import Config
from edge.config.override import changed
from edge.errors import UsageError

if TYPE_CHECKING:
    from benchmarks.mosquitto import Mosquitto

PATIENCE_S = 60


@contextmanager
def running(*arguments: str, **environ: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """An ``evenkeel`` with these arguments, and the host and port that it prints."""
    command = [sys.executable, "-c", "from edge.start import main; main()", *arguments]
    environ = {**os.environ, "COLUMNS": "200", **environ}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environ) as process:  # noqa: S603 - our own command
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            found = re.search(r"http://\S+/", line)
            assert found, line
            yield process, urlsplit(found[0]).netloc
        finally:
            process.kill()


def first_event(host: str, name: str) -> dict[str, object]:
    """What comes with the first event of this name."""
    connection = http.client.HTTPConnection(host, timeout=PATIENCE_S)
    connection.request("GET", "/events?live=1")
    answer = connection.getresponse()
    lines = iter(answer.readline, b"")
    next(line for line in lines if line == f"event: {name}\n".encode())
    told: dict[str, object] = json.loads(next(lines).removeprefix(b"data: "))
    answer.close()
    connection.close()
    return told


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    """The service manager's end."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(PATIENCE_S)
        yield listening


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_dashboard_prints_where_it_is_and_ends_when_it_is_told_to(
    number: signal.Signals, mosquitto: Mosquitto, manager: socket.socket
) -> None:
    where = ("--broker", f"127.0.0.1:{mosquitto.port}", "--device", "van-7", "--listen", "127.0.0.1:0")
    with running("dashboard", *where, NOTIFY_SOCKET=manager.getsockname()) as (process, host):
        assert manager.recv(1000) == b"READY=1"
        assert host.encode() in manager.recv(1000)  # the line of its status
        told = first_event(host, "snapshot")
        assert told["device"] == "van-7"
        assert told["thresholds"] == {}  # those of another machine's device are not known
        looking = http.client.HTTPConnection(host, timeout=PATIENCE_S)
        looking.request("GET", "/events?live=1")
        stream = looking.getresponse()
        stream.readline()
        process.send_signal(number)
        assert b"event: snapshot" in stream.read()  # to its end
        looking.close()
        assert process.wait(PATIENCE_S) == 0
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()


def test_the_demo_plays_on_the_pages_until_ctrl_c() -> None:
    with running("demo", "--web") as (process, host):
        live = first_event(host, "live")
        assert live["speed_kmh"] is not None
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE_S) == 0


@pytest.mark.parametrize(
    ("broker", "host", "port"),
    [("other", "other", 1883), ("other:1884", "other", 1884), ("[::1]:1884", "::1", 1884), ("::1", "::1", 1883)],
)
def test_a_broker_is_a_host_with_or_without_a_port(broker: str, host: str, port: int) -> None:
    config = changed(Config(), broker=broker, device="van-8", listen="[::1]:80")
    assert (config.mqtt.host, config.mqtt.port, config.device.id) == (host, port, "van-8")
    assert config.dashboard.address == ("::1", 80)


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"broker": "mqtt://other"}, "--broker mqtt://other: expected a host"),
        ({"broker": "other:99999"}, "--broker other:99999: "),
        ({"device": "a/b"}, "--device a/b: "),
        ({"listen": "80"}, "--listen 80: an address and a port are needed"),
        ({"device": "van-7", "fleet": True}, "--device van-7: with --fleet every device is shown"),
    ],
)
def test_what_cannot_be_is_named_by_its_option(wrong: dict[str, Any], why: str) -> None:
    with pytest.raises(UsageError, match=re.escape(why)):
        changed(Config(), **wrong)
