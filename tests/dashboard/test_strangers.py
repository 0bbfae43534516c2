"""What strangers do to the pages' server: ask slowly, read nothing, come in crowds; and TLS that cannot be."""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from benchmarks.messages import made_state
from edge.config import Config
from edge.dashboard.command import Dashboard
from edge.dashboard.patience import Patience
from edge.errors import ConfigError
from edge.service.loop import board_stamp
from tests.dashboard.conftest import a_dashboard
from tests.dashboard.test_server import LOCKED, PATIENCE_S, TOPICS, Browser, found

if TYPE_CHECKING:
    from benchmarks.mosquitto import Mosquitto
    from tests.conftest import Subscriber


POST = b"POST /login HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: http://127.0.0.1\r\nContent-Type: application/json\r\n"


class Cuts(list[str]):
    """Why connections were ended."""

    def patience(self, **how: float) -> Patience:
        return Patience(self.append, **how)  # type: ignore[arg-type]


@pytest.fixture
def cuts() -> Cuts:
    return Cuts()


def connected(browser: Browser) -> socket.socket:
    host, port = browser.host.split(":")
    return socket.create_connection((host, int(port)), timeout=PATIENCE_S)


def ended(stranger: socket.socket) -> bool:
    """Waits for the end of a connection."""
    with suppress(ConnectionResetError):
        return stranger.recv(1) == b""
    return True


@pytest.mark.parametrize(
    "told",
    [
        b"",
        b"GET / HTT",
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: a",
        POST + b"Content-Length: 100\r\n\r\n{",
        POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{",
    ],
)
def test_who_asks_letter_by_letter_is_not_waited_for(
    told: bytes, cuts: Cuts, config_of: Callable[..., Config], mosquitto: Mosquitto
) -> None:
    with a_dashboard(config_of(mosquitto), patience=cuts.patience(ask_s=0.5)) as address:
        browser = Browser(address)
        with connected(browser) as stranger, browser.events() as events:
            stranger.sendall(told)
            assert ended(stranger)
            found(events, "tick")  # who listens asks for nothing more, and stays
            assert browser.ask("GET", "/session")[0] == 200
    assert cuts == ["ask"]


def test_a_second_request_has_its_time_too(cuts: Cuts, config_of: Callable[..., Config], mosquitto: Mosquitto) -> None:
    with a_dashboard(config_of(mosquitto), patience=cuts.patience(ask_s=0.5)) as address, ExitStack() as stack:
        stranger = stack.enter_context(connected(Browser(address)))
        for _ in range(2):
            stranger.sendall(b"GET /session HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            while b'"fleet"' not in stranger.recv(4096):
                pass
        stranger.sendall(b"GET /sess")
        assert ended(stranger)
    assert cuts == ["ask"]


def test_who_reads_nothing_does_not_keep_a_place(
    cuts: Cuts, config_of: Callable[..., Config], mosquitto: Mosquitto, subscribe: Callable[..., Subscriber]
) -> None:
    desk = subscribe(mosquitto.port, "nothing")
    with a_dashboard(config_of(mosquitto), patience=cuts.patience(read_s=0.5)) as address:
        browser = Browser(address)
        stranger = socket.socket()
        stranger.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        host, port = browser.host.split(":")
        with stranger, browser.events() as events:
            stranger.connect((host, int(port)))
            stranger.sendall(f"GET /events?live=1 HTTP/1.1\r\nHost: {browser.host}\r\n\r\n".encode())
            found(events, "link", connected=True)
            end = time.monotonic() + PATIENCE_S
            while not cuts and time.monotonic() < end:
                for _ in range(20):
                    desk.publish(TOPICS.state, made_state(board_stamp(), "x" * 6000).payload(), qos=0)
                for _ in range(20):
                    found(events, "state")
    assert cuts == ["read"]


def test_in_a_crowd_who_dawdles_makes_room(cuts: Cuts, config_of: Callable[..., Config], mosquitto: Mosquitto) -> None:
    with a_dashboard(config_of(mosquitto), patience=cuts.patience(most=10)) as address, ExitStack() as stack:
        browser = Browser(address)
        events = stack.enter_context(browser.events())
        crowd = [stack.enter_context(connected(browser)) for _ in range(30)]
        for stranger in crowd:
            with suppress(ConnectionError):
                stranger.sendall(b"GET / HTTP/1.1\r\n")
        assert all(ended(stranger) for stranger in crowd[:20])
        assert browser.ask("GET", "/session")[0] == 200
        found(events, "tick")
    assert set(cuts) == {"crowd"}


def openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)  # noqa: S603, S607 - fixed


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a certificate, its key, another key, and the key under a password."""
    folder = tmp_path_factory.mktemp("certificates")
    subject = ("-subj", "/CN=dashboard", "-addext", "subjectAltName=IP:127.0.0.1")
    new = ("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")
    openssl(folder, *new, *subject, "-keyout", "key.pem", "-out", "cert.pem")
    openssl(folder, "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "other.pem")
    openssl(folder, "pkcs8", "-topk8", "-in", "key.pem", "-out", "locked.pem", "-passout", "pass:secret")
    (folder / "text.pem").write_text("no certificate\n")
    (folder / "folder.pem").mkdir()
    return folder


def test_over_tls_the_pages_are_the_same_and_the_cookie_stays_on_it(
    certificates: Path, config_of: Callable[..., Config], mosquitto: Mosquitto
) -> None:
    files = f'cert_file = "{certificates}/cert.pem"\nkey_file = "{certificates}/key.pem"\n'
    with a_dashboard(config_of(mosquitto, files + LOCKED)) as address:
        assert address.startswith("https://")
        browser = Browser(address, ssl.create_default_context(cafile=str(certificates / "cert.pem")))
        assert browser.log_in("turn the wheel") == 200
        assert "Secure" in browser.told_cookie
        with browser.events() as events:
            found(events, "link", connected=True)
        with pytest.raises(ssl.SSLCertVerificationError):
            Browser(address, ssl.create_default_context()).session()
        with connected(browser) as plain:
            plain.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            assert ended(plain)
        assert browser.session()["role"] == "operator"


@pytest.mark.parametrize(
    ("cert", "key", "why"),
    [
        ("none.pem", "key.pem", "none.pem: No such file"),
        ("folder.pem", "key.pem", "folder.pem: Is a directory"),
        ("text.pem", "key.pem", "no PEM certificate with its key"),
        ("cert.pem", "text.pem", "no PEM certificate with its key"),
        ("cert.pem", "other.pem", "no PEM certificate with its key"),
        ("cert.pem", "locked.pem", "without a password"),
        ("key.pem", "cert.pem", "no PEM certificate with its key"),
    ],
)
def test_files_that_make_no_certificate_are_named_before_anything_is_served(
    cert: str, key: str, why: str, certificates: Path, config_of: Callable[..., Config], mosquitto: Mosquitto
) -> None:
    files = f'cert_file = "{certificates / cert}"\nkey_file = "{certificates / key}"\n'
    with pytest.raises(ConfigError, match=why):
        Dashboard(config_of(mosquitto, files), os.environ)
