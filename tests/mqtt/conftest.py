"""Fixtures for the MQTT tests: certificates, passwords, publishers with an outbox of their own, and patience."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.messages import made_outbox, made_state
from edge.config import Config
from edge.mqtt.client import Publisher
from edge.mqtt.outbox import Outbox
from edge.service.loop import board_stamp


class Certificates:
    """A CA, a certificate for 127.0.0.1 and one for the client van-7, made with openssl.

    They say what each may be used for, as RFC 5280 asks and Python checks from 3.13 on.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        authority = "-addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign"
        self.ca = self._make("ca", f"req -x509 -subj /CN=test-ca {authority}")
        end = "-addext basicConstraints=critical,CA:FALSE -addext keyUsage=critical,digitalSignature"
        signed = f"-CA ca.pem -CAkey ca.key {end}"
        self.server = self._make("server", f"req -x509 -subj /CN=broker -addext subjectAltName=IP:127.0.0.1 {signed}")
        self.client = self._make("client", f"req -x509 -subj /CN=van-7 {signed}")

    @property
    def client_tls(self) -> dict[str, Any]:
        """``mqtt.tls`` of a client with its certificate."""
        key = self.folder / "client.key"
        return {"enabled": True, "ca_file": self.ca, "cert_file": self.client, "key_file": key}

    def listener(self, more: str = "") -> str:
        """Lines for a listener with TLS."""
        return f"cafile {self.ca}\ncertfile {self.server}\nkeyfile {self.folder / 'server.key'}\n{more}"

    def _make(self, name: str, arguments: str) -> Path:
        kind = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
        command = f"openssl {arguments} {kind} -keyout {name}.key -out {name}.pem".split()
        made = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False)  # noqa: S603 - a fixed tool
        if made.returncode:
            reason = f"openssl cannot make certificates here: {made.stderr.splitlines()[-1]}"
            (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
        return self.folder / f"{name}.pem"


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Made once: they do not change."""
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def passwords(tmp_path: Path) -> Callable[..., Path]:
    """Makes a password file for mosquitto: ``passwords("van-7", "display")``; each password is the user's name."""

    def make(*users: str) -> Path:
        file = tmp_path / "passwords"
        file.touch(mode=0o600)
        file.write_text("".join(f"{user}:{user}\n" for user in users))
        subprocess.run(["mosquitto_passwd", "-U", str(file)], check=True, capture_output=True)  # noqa: S603, S607 - a tool of the broker
        return file

    return make


@pytest.fixture(autouse=True)
def _home_assistant_settles_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.mqtt.sending.SETTLE_S", 0.01)


@pytest.fixture
def publish_to(tmp_path: Path) -> Iterator[Callable[..., Publisher]]:
    """Starts publishers of device van-7: ``publish_to(port, username=…, tls=…)``."""
    with_outbox: list[tuple[Publisher, Outbox]] = []

    def make(port: int, *, discovery: bool = True, **mqtt: Any) -> Publisher:
        known = {"host": "127.0.0.1", "port": port, "reconnect_min_s": 0.1, "reconnect_max_s": 0.4, "keepalive_s": 5}
        config = Config.model_validate(
            {"device": {"id": "van-7"}, "mqtt": known | mqtt, "discovery": {"enabled": discovery}}
        )
        path = tmp_path / f"outbox-{len(with_outbox)}.db"
        outbox = made_outbox(path, board_stamp())
        publisher = Publisher(config, outbox, clock=board_stamp, environ={})
        with_outbox.append((publisher, outbox))
        publisher.publish_state(made_state(board_stamp()))
        publisher.start()
        return publisher

    yield make
    for publisher, outbox in with_outbox:
        publisher.stop()
        outbox.close()


@pytest.fixture
def until() -> Callable[..., None]:
    """Waits for a condition: ``until(lambda: publisher.connected, "a connection")``."""

    def wait(condition: Callable[[], bool], what: str, deadline_s: float = 15.0) -> None:
        end = time.monotonic() + deadline_s
        while not condition():
            if time.monotonic() > end:
                pytest.fail(f"{what} did not happen within {deadline_s} s")
            time.sleep(0.005)

    return wait
