"""The pages' server against a real broker: who gets what, and what bad requests and messages do to it."""

from __future__ import annotations

import asyncio
import gzip
import http.client
import json
import os
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from argon2 import PasswordHasher

from benchmarks.messages import made_state
from edge.config import Config
from edge.config.dashboard import DashboardConfig
from edge.dashboard.command import Dashboard
from edge.dashboard.doors import Doors
from edge.dashboard.hub import Hub
from edge.dashboard.hubs import Hubs
from edge.dashboard.picture import Picture
from edge.dashboard.server import Pages
from edge.dashboard.texts import LANGUAGES, words
from edge.domain import State
from edge.errors import ConfigError, UnavailableError
from edge.mqtt.client import Publisher
from edge.mqtt.messages import CommandName, Topics
from edge.service.loop import board_stamp
from tests.mqtt.conftest import publish_to, until

if TYPE_CHECKING:
    from benchmarks.mosquitto import Mosquitto
    from tests.conftest import Subscriber

__all__ = ["publish_to", "until"]

TOPICS = Topics("evenkeel", "van-7")
QUICK = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
LOCKED = f'operator_password = "{QUICK.hash("turn the wheel")}"\nviewer_password = "{QUICK.hash("only look at it")}"\n'
PATIENCE_S = 15.0


class Browser:
    """A client that keeps its cookie and names its origin, as a browser does."""

    def __init__(self, address: str, tls: ssl.SSLContext | None = None) -> None:
        self.host = urlsplit(address).netloc
        self.tls = tls
        self.told_cookie = ""
        self.cookie = ""
        self.csrf = ""

    def _connection(self) -> http.client.HTTPConnection:
        if self.tls is None:
            return http.client.HTTPConnection(self.host, timeout=PATIENCE_S)
        return http.client.HTTPSConnection(self.host, timeout=PATIENCE_S, context=self.tls)

    def ask(
        self, method: str, path: str, body: bytes | None = None, **headers: str | None
    ) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of an answer; a header that is None is left out."""
        usual: dict[str, str | None] = {"Cookie": self.cookie or None}
        if method == "POST":
            usual |= {
                "Origin": f"{'https' if self.tls else 'http'}://{self.host}",
                "Content-Type": "application/json",
                "X-CSRF-Token": self.csrf,
            }
        told = usual | {name.replace("_", "-"): value for name, value in headers.items()}
        connection = self._connection()
        connection.putrequest(method, path, skip_host="Host" in told, skip_accept_encoding="Accept-Encoding" in told)
        for name, value in told.items():
            if value is not None:
                connection.putheader(name, value)
        if body is not None:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        answer = connection.getresponse()
        read = answer.read()
        connection.close()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, read

    def post(self, path: str, body: Any = None, **headers: str | None) -> tuple[int, dict[str, Any]]:
        """Status and body of an answer to JSON."""
        status, _, read = self.ask("POST", path, json.dumps({} if body is None else body).encode(), **headers)
        return status, json.loads(read)

    def session(self) -> dict[str, Any]:
        """Who the server takes this for; its token is used from now on."""
        told: dict[str, Any] = json.loads(self.ask("GET", "/session")[2])
        self.csrf = told["csrf"] or ""
        return told

    def log_in(self, password: str) -> int:
        """The status; the cookie is kept."""
        body = json.dumps({"password": password}).encode()
        status, headers, _ = self.ask("POST", "/login", body)
        if status == 200:
            cookie = headers["set-cookie"]
            assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(cookie.split("; "))
            self.told_cookie = cookie
            self.cookie = cookie.partition(";")[0]
            self.session()
        return status

    @contextmanager
    def events(self, path: str = "/events?live=1") -> Iterator[Iterator[tuple[str, dict[str, Any]]]]:
        """The stream, from its first event on."""
        connection = self._connection()
        connection.request("GET", path, headers={"Cookie": self.cookie})
        answer = connection.getresponse()
        assert (answer.status, answer.headers.get_content_type()) == (200, "text/event-stream")

        def read() -> Iterator[tuple[str, dict[str, Any]]]:
            name = ""
            for line in answer:
                key, _, value = line.decode().strip().partition(": ")
                if key == "event":
                    name = value
                elif key == "data":
                    told = json.loads(value)
                    yield name, told
                    if name == "snapshot":  # what holds already comes in it
                        yield "link", told["link"]
                        yield from told["newest"].items()

        try:
            yield read()
        finally:
            answer.close()
            connection.close()


def found(events: Iterator[tuple[str, dict[str, Any]]], name: str, **values: Any) -> dict[str, Any]:
    """The next event of that name with these values."""
    ticks = 0
    for said, told in events:
        if said == name and told.items() >= values.items():
            return told
        ticks += said == "tick"
        assert ticks < PATIENCE_S, f"no {name} with {values} came"
    pytest.fail(f"the stream ended before {name} with {values}")


@pytest.fixture
def open_page(served: Callable[[Config], str], config_of: Callable[..., Config], mosquitto: Mosquitto) -> Browser:
    """A browser at a dashboard for this machine, without a password."""
    return Browser(served(config_of(mosquitto)))


@pytest.fixture
def locked_page(served: Callable[[Config], str], config_of: Callable[..., Config], mosquitto: Mosquitto) -> Browser:
    """A browser at a dashboard with passwords."""
    return Browser(served(config_of(mosquitto, LOCKED)))


@pytest.mark.parametrize(
    "path",
    ["/", "/cab", "/health", "/history", "/fleet", "/login", "/page/base.js", "/words/de", "/session", "/nothing"],
)
def test_every_answer_keeps_strangers_scripts_out(path: str, open_page: Browser) -> None:
    status, headers, body = open_page.ask("GET", path)
    assert status == (404 if path == "/nothing" else 200)
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert "server" not in headers
    if headers["content-type"].startswith("text/html"):
        assert b"<script>" not in body
        assert b"style=" not in body
        assert b'="//' not in body  # nothing comes from elsewhere
        assert not re.search(rb"\w+://", body.replace(b"sqlite://", b""))


@pytest.mark.parametrize(
    "path",
    ["/page/../server.py", "/page/..%2fserver.py", "/page/%2e%2e/server.py", "//etc/passwd", "/words/../en.toml"],
)
def test_no_path_leads_out(path: str, open_page: Browser) -> None:
    assert open_page.ask("GET", path)[0] == 404


def test_a_name_that_leads_here_by_another_s_will_gets_nothing(open_page: Browser) -> None:
    assert open_page.ask("GET", "/session", Host="evil.example")[0] == 421
    port = open_page.host.rpartition(":")[2]
    assert open_page.ask("GET", "/session", Host=f"localhost:{port}")[0] == 200


def test_with_a_password_a_proxy_may_lead_here_by_a_name_of_its_own(locked_page: Browser) -> None:
    named = {"Host": "van.example", "Origin": "https://van.example"}
    connection = http.client.HTTPConnection(locked_page.host, timeout=PATIENCE_S)
    body = json.dumps({"password": "turn the wheel"})
    connection.request("POST", "/login", body, {**named, "Content-Type": "application/json"})
    assert connection.getresponse().status == 200
    connection.close()


def test_beyond_this_machine_a_password_is_needed(config_of: Callable[..., Config], mosquitto: Mosquitto) -> None:
    config = config_of(mosquitto)
    seen = config.model_copy(update={"dashboard": config.dashboard.model_copy(update={"listen": "0.0.0.0:0"})})
    with pytest.raises(ConfigError, match="evenkeel dashboard --set-password operator"):
        Dashboard(seen, os.environ)


def test_an_address_that_is_taken_is_named_with_the_remedy(
    config_of: Callable[..., Config], mosquitto: Mosquitto
) -> None:
    config = config_of(mosquitto)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        there = config.model_copy(update={"dashboard": config.dashboard.model_copy(update={"listen": listen})})
        with pytest.raises(UnavailableError, match=f"dashboard.listen = {listen}: .*--listen"):
            Dashboard(there, os.environ)


@pytest.mark.parametrize(
    ("cert", "key", "named"),
    [
        (None, "k", "cert_file = .*: No such file"),
        ("c", None, "key_file = .*: No such file"),
        ("c", "k", "no PEM certificate"),
    ],
)
def test_a_certificate_that_cannot_be_used_is_named_before_anything_is_served(
    cert: str | None,
    key: str | None,
    named: str,
    tmp_path: Path,
    config_of: Callable[..., Config],
    mosquitto: Mosquitto,
) -> None:
    for name, text in (("cert", cert), ("key", key)):
        if text is not None:
            (tmp_path / name).write_text(text)
    files = f'cert_file = "{tmp_path / "cert"}"\nkey_file = "{tmp_path / "key"}"\n'
    with pytest.raises(ConfigError, match=named):
        Dashboard(config_of(mosquitto, files), os.environ)


def test_before_log_in_nothing_is_told_and_nothing_done(locked_page: Browser) -> None:
    assert locked_page.session() == {"role": None, "csrf": None, "locked": True, "fleet": False}
    assert locked_page.ask("GET", "/events")[0] == 401
    for path in ("/fleet/rows", "/fleet/events?since=0"):
        assert locked_page.ask("GET", path)[0] == 401
    for path in ("/command/acknowledge", "/logout"):
        assert locked_page.post(path)[0] == 401
    locked_page.cookie = "evenkeel_session=forged"
    assert locked_page.ask("GET", "/events")[0] == 401


def test_a_viewer_looks_and_an_operator_may_do_something(locked_page: Browser) -> None:
    assert locked_page.log_in("no idea") == 401
    assert locked_page.log_in("only look at it") == 200
    assert locked_page.session()["role"] == "viewer"
    with locked_page.events() as events:
        assert next(events)[0] == "snapshot"
    assert locked_page.post("/command/acknowledge") == (
        403,
        {"error": "only an operator may do that", "key": "operator"},
    )
    assert locked_page.log_in("turn the wheel") == 200
    assert locked_page.post("/command/acknowledge")[0] == 504  # no device answers here
    assert locked_page.post("/logout")[0] == 200
    assert locked_page.session()["role"] is None


def test_a_log_out_ends_the_other_pages_of_the_session(locked_page: Browser) -> None:
    assert locked_page.log_in("only look at it") == 200
    with locked_page.events() as events:
        found(events, "tick")
        assert locked_page.post("/logout")[0] == 200
        assert len(list(islice(events, 10))) < 10


def test_passwords_cannot_be_guessed_in_a_row(locked_page: Browser) -> None:
    assert [locked_page.log_in(f"guess number {n}") for n in range(6)] == [401] * 5 + [429]
    assert locked_page.log_in("turn the wheel") == 429


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"X_CSRF_Token": None}, 403),
        ({"X_CSRF_Token": "x"}, 403),
        ({"X_CSRF_Token": "\xfc"}, 403),
        ({"Origin": None}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Content_Type": "text/plain"}, 415),
        ({"Content_Type": "application/x-www-form-urlencoded"}, 415),
    ],
)
def test_another_page_cannot_have_a_browser_command(
    headers: dict[str, str | None], status: int, open_page: Browser
) -> None:
    open_page.session()
    assert open_page.post("/command/pause", {"seconds": 60}, **headers)[0] == status


@pytest.mark.parametrize(
    ("name", "body", "status"),
    [
        ("pause", b'{"seconds": "60"}', 400),
        ("pause", b'{"seconds": NaN}', 400),
        ("pause", b'{"kind": "anger"}', 400),
        ("acknowledge", b'{"id": "x"}', 400),
        ("acknowledge", b"[" * 1000, 400),
        ("acknowledge", b"x" * 10_000_000, 413),
        ("reload", b"{}", 404),
        ("live", b"{}", 404),
        ("resend", b"{}", 404),
    ],
)
def test_only_few_commands_are_passed_on_and_only_whole_ones(
    name: str, body: bytes, status: int, open_page: Browser
) -> None:
    open_page.session()
    try:
        assert open_page.ask("POST", f"/command/{name}", body)[0] == status
    except (BrokenPipeError, ConnectionResetError):
        assert status == 413  # it did not even read it


def test_who_goes_away_in_the_middle_of_a_request_leaves_no_fault_behind() -> None:
    hubs = Hubs("evenkeel", "van-7", lambda *_: None)
    pages = Pages(hubs, Doors(DashboardConfig(), lambda: 0.0), lambda *_: Future(), secure=False)
    said = iter([{"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}])
    headers = {"host": "van", "origin": "http://van", "content-type": "application/json"}
    encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": "POST", "path": "/login", "query_string": b"", "headers": encoded}
    sent: list[Any] = []

    async def receive() -> Any:
        return next(said)

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(pages.app(local=False)(scope, receive, send))
    assert sent[0]["status"] == 400


def test_a_command_reaches_the_device_and_its_answer_the_page(
    open_page: Browser, mosquitto: Mosquitto, publish_to: Callable[..., Publisher], until: Callable[..., None]
) -> None:
    publisher = publish_to(mosquitto.port)
    open_page.session()
    with open_page.events() as events:
        found(events, "availability", word="online")
        told: list[tuple[int, dict[str, Any]]] = []
        asking = threading.Thread(target=lambda: told.append(open_page.post("/command/pause", {"seconds": 60})))
        asking.start()
        taken: list[Any] = []

        def is_taken() -> bool:
            taken.extend(command for command in [publisher.poll_command()] if command)
            return bool(taken)

        until(is_taken, "the command")
        assert (taken[0].name, taken[0].seconds) == (CommandName.PAUSE, 60)
        publisher.answer(taken[0], ok=False, message="no more silence this hour")
        asking.join(PATIENCE_S)
    assert told == [(200, {"ok": False, "message": "no more silence this hour"})]


def test_the_device_is_asked_for_what_is_live_only_where_somebody_looks(
    open_page: Browser, mosquitto: Mosquitto, subscribe: Callable[..., Subscriber]
) -> None:
    desk = subscribe(mosquitto.port)
    with open_page.events("/events?live=0") as events:
        found(events, "link", connected=True)
        desk.publish(TOPICS.availability, "online")
        found(events, "availability", word="online")
        assert desk.payloads(TOPICS.command("live")) == []
        with open_page.events() as lively:
            next(lively)
            assert json.loads(desk.wait_for(TOPICS.command("live"))) == {"seconds": 20.0}


def test_once_the_last_has_gone_the_device_is_asked_no_more() -> None:
    async def look() -> list[bool]:
        watched: list[bool] = []
        hub = Hub(Picture(TOPICS), watched.append)
        first, second = hub.events(live=True), hub.events(live=False)
        await anext(first)
        await anext(second)
        await first.aclose()  # type: ignore[attr-defined]
        return list(watched)

    assert asyncio.run(look()) == [True, True, False]


def test_a_state_that_only_the_broker_tells_does_not_stay_calm(
    served: Callable[[Config], str],
    config_of: Callable[..., Config],
    mosquitto: Mosquitto,
    subscribe: Callable[..., Subscriber],
) -> None:
    desk = subscribe(mosquitto.port, "nothing")
    desk.publish(TOPICS.availability, "online", retain=True)
    desk.publish(TOPICS.state, made_state(board_stamp()).payload(), retain=True)
    with Browser(served(config_of(mosquitto))).events() as events:
        found(events, "state", state="calm")
        found(events, "unsaid")
        desk.publish(TOPICS.state, made_state(board_stamp()).payload(), retain=True)
        found(events, "state", state="calm")
        assert {name for name, _ in islice(events, 5)} == {"tick"}  # what the device itself says stays


def test_a_broker_that_goes_is_said_and_one_that_comes_back_too(
    open_page: Browser, mosquitto: Mosquitto, publish_to: Callable[..., Publisher]
) -> None:
    publish_to(mosquitto.port)
    with open_page.events() as events:
        found(events, "availability", word="online")
        mosquitto.kill()
        lost = found(events, "link", connected=False)
        assert f"127.0.0.1:{mosquitto.port}" in lost["problem"]
        mosquitto.start()
        found(events, "link", connected=True)
        found(events, "state", state="calm")


def test_garbage_of_ten_megabytes_holds_up_nothing(
    open_page: Browser, mosquitto: Mosquitto, subscribe: Callable[..., Subscriber]
) -> None:
    desk = subscribe(mosquitto.port, "nothing")
    with open_page.events() as events:
        found(events, "link", connected=True)
        for topic in (TOPICS.live, TOPICS.state, TOPICS.alert, TOPICS.result("pause")):
            desk.publish(topic, "x" * 10_000_000)
            desk.publish(topic, "{" * 5000)
        desk.publish(TOPICS.state, made_state(board_stamp(), "the good one").payload())
        assert found(events, "state")["reason"] == "the good one"


def test_a_browser_that_does_not_read_begins_anew_and_others_miss_nothing(
    open_page: Browser, mosquitto: Mosquitto, subscribe: Callable[..., Subscriber]
) -> None:
    desk = subscribe(mosquitto.port, "nothing")
    with socket.create_connection(tuple(open_page.host.split(":"))) as silent, open_page.events() as events:  # type: ignore[arg-type]
        silent.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        silent.sendall(f"GET /events?live=1 HTTP/1.1\r\nHost: {open_page.host}\r\n\r\n".encode())
        found(events, "link", connected=True)
        for first in range(0, 600, 20):  # as much as fits into what waits for one who reads
            numbers = list(range(first, first + 20))
            for number in numbers:
                desk.publish(TOPICS.state, made_state(board_stamp(), f"{number} {'x' * 3000}").payload(), qos=0)
            assert [int(found(events, "state")["reason"].split()[0]) for _ in numbers] == numbers


def test_a_hundred_browsers_are_told_the_same(open_page: Browser, mosquitto: Mosquitto, subscribe: Any) -> None:
    desk = subscribe(mosquitto.port, "nothing")
    heard: list[str] = []

    def look(began: threading.Barrier) -> None:
        with open_page.events() as events:
            next(events)
            began.wait(PATIENCE_S)
            heard.append(found(events, "state")["reason"])

    barrier = threading.Barrier(101)
    threads = [threading.Thread(target=look, args=(barrier,)) for _ in range(100)]
    for thread in threads:
        thread.start()
    barrier.wait(PATIENCE_S)
    desk.publish(TOPICS.state, made_state(board_stamp(), "for all").payload())
    for thread in threads:
        thread.join(PATIENCE_S)
    assert heard == ["for all"] * 100


@pytest.fixture
def fleet_page(served: Callable[[Config], str], config_of: Callable[..., Config], mosquitto: Mosquitto) -> Browser:
    """A browser at a dashboard of a fleet."""
    return Browser(served(config_of(mosquitto, "fleet = true\n")))


def test_a_fleet_s_dashboard_shows_each_device_and_commands_the_one_that_is_named(
    fleet_page: Browser, mosquitto: Mosquitto, subscribe: Callable[..., Subscriber]
) -> None:
    desk = subscribe(mosquitto.port)
    said = {name: Topics("evenkeel", name) for name in ("van-1", "van-2")}
    for name, topics in said.items():
        desk.publish(topics.availability, "online", retain=True)
        desk.publish(topics.state, made_state(board_stamp(), name).payload(), retain=True)
    assert fleet_page.ask("GET", "/")[0] == fleet_page.ask("GET", "/health")[0] == 303
    assert fleet_page.ask("GET", "/?device=van-2")[0] == 200
    status, headers, body = fleet_page.ask("GET", "/fleet/rows", Accept_Encoding="gzip")
    assert (status, headers["content-encoding"]) == (200, "gzip")
    beat = json.loads(gzip.decompress(body))["beat"]
    with fleet_page.events(f"/fleet/events?since={beat}") as events:
        desk.publish(said["van-1"].state, made_state(board_stamp(), state=State.BLIND).payload(), retain=True)
        for _, told in events:
            if any(row[:2] == ["van-1", "blind"] for row in told.get("rows", ())):
                break
    with fleet_page.events("/events?live=1&device=van-2") as events:
        assert found(events, "state")["reason"] == "van-2"
        assert json.loads(desk.wait_for(said["van-2"].command("live"))) == {"seconds": 20.0}
        assert desk.payloads(said["van-1"].command("live")) == []
    fleet_page.session()
    asking = threading.Thread(target=fleet_page.post, args=("/command/pause?device=van-1", {"seconds": 60}))
    asking.start()
    assert json.loads(desk.wait_for(said["van-1"].command("pause")))["seconds"] == 60
    asking.join(PATIENCE_S)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/events?device=a%2Fb", 404),
        ("/events?device=%2B", 404),
        ("/events?device=..%2F..", 404),
        ("/events", 404),
        ("/fleet/events?since=x", 400),
        ("/fleet/events?since=" + 50 * "9", 400),
        ("/fleet/events", 400),
    ],
)
def test_of_no_device_nothing_is_told(path: str, status: int, fleet_page: Browser) -> None:
    assert fleet_page.ask("GET", path)[0] == status
    fleet_page.session()
    assert fleet_page.post("/command/pause?device=%23", {"seconds": 60})[0] == 404


def test_a_dashboard_of_one_device_tells_of_no_other(open_page: Browser) -> None:
    assert open_page.ask("GET", "/events?device=van-8")[0] == 404
    assert open_page.ask("GET", "/fleet/rows")[0] == open_page.ask("GET", "/fleet/events?since=0")[0] == 404
    with open_page.events("/events?live=0&device=van-7") as events:
        assert next(events)[0] == "snapshot"


def test_both_languages_say_the_same_things() -> None:
    english, german = (words(language) for language in LANGUAGES)
    assert english.keys() == german.keys()
    tables = [name for name, table in english.items() if isinstance(table, dict)]
    assert {"page", "expression", "reason", "kind"} <= set(tables)
    for table in tables:
        assert english[table].keys() == german[table].keys()
        for key, text in english[table].items():
            assert text.count("{") == german[table][key].count("{"), key
