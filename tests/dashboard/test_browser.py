"""The pages in a real Chromium: a real service plays the demo's clip to a real mosquitto.

Pictures of each page are left in ``build/dashboard``; ``make axe`` fetches what looks for barriers.
"""

from __future__ import annotations

import json
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from datetime import datetime, timedelta
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from argon2 import PasswordHasher
from selenium import webdriver
from selenium.common.exceptions import TimeoutException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.select import Select
from selenium.webdriver.support.wait import WebDriverWait
from sqlalchemy import make_url

from benchmarks.messages import made_alert, made_health, made_state
from benchmarks.mosquitto import Mosquitto
from edge.collect.database import open_database, upgrade
from edge.compat import UTC
from edge.config import Config, load_config
from edge.domain import Level, State
from edge.mqtt.messages import KindPart, OutboxPart, Topics
from edge.service.loop import board_stamp
from tests.dashboard.conftest import a_dashboard, a_service, chromedriver, chromium, written
from tests.dashboard.recorded import record
from tests.dashboard.test_history import Fleet

if TYPE_CHECKING:
    from tests.conftest import Subscriber

ROOT = Path(__file__).parents[2]
SHOTS = ROOT / "build" / "dashboard"
AXE = ROOT / ".axe" / "axe_playwright_python" / "axe.min.js"
TOPICS = Topics("evenkeel", "van-7")
PATIENCE_S = 60
ATTEMPTS = 3
HEARD_S = 5
"""An input reaches the page within milliseconds, or never."""
TUNING_S = 180
"""It takes seconds, but with as little haste as a busy machine likes."""
SCRIPT = "</p><script>window.taken=1</script><img src=x onerror='window.taken=1'><b>bold</b>"
SIZES = {"phone": (390, 844), "tablet": (1024, 600)}
PAGES = {"now": "/", "cab": "/cab", "health": "/health"}


def lacking(what: str) -> None:
    """A part that is not there: in CI that is a failure."""
    (pytest.fail if os.environ.get("CI") else pytest.skip)(what)


class Page:
    """A browser at one dashboard."""

    def __init__(self, driver: webdriver.Chrome, address: str) -> None:
        self.driver = driver
        self.address = address

    def open(self, path: str) -> None:
        """Load a page, and wait until its words are there."""
        self.driver.get(self.address + path)
        self.wait(lambda: self.text("nav, form h1"), f"the words of {path}")

    def wait(self, condition: Callable[[], Any], what: str, patience_s: float = PATIENCE_S) -> None:
        """Wait until something holds."""
        WebDriverWait(self.driver, patience_s, poll_frequency=0.1).until(
            lambda _: condition(), f"{what} did not come; the page says: {self.text('body')}"
        )

    def text(self, selector: str) -> str:
        """What the first element of that kind shows."""
        script = "return document.querySelector(arguments[0])?.innerText ?? ''"
        return str(self.driver.execute_script(script, selector))

    def wait_for(self, selector: str, *words: str) -> None:
        """Wait until an element shows one of these words."""
        self.wait(lambda: any(word in self.text(selector) for word in words), f"{' or '.join(words)} in {selector}")

    def click(self, selector: str) -> None:
        """Press a button."""
        self._until_heard("click", lambda: self.driver.find_element(By.CSS_SELECTOR, selector).click())

    def press(self, *keys: str) -> None:
        """Press keys where the focus is."""
        self._until_heard("keydown", lambda: self.driver.switch_to.active_element.send_keys(*keys))

    def _until_heard(self, event: str, act: Callable[[], None]) -> None:
        """Do it again where nothing of it has reached the page: on a busy machine Chromium loses a driver's input."""
        listen = """
            window.heard = 0;
            addEventListener(arguments[0], () => { window.heard += 1; }, { capture: true, once: true });
        """
        for _ in range(ATTEMPTS):
            self.driver.execute_script(listen, event)
            act()
            with suppress(TimeoutException):
                # on another page, to which it has led, nobody has counted
                self.wait(lambda: self.driver.execute_script("return window.heard !== 0"), event, HEARD_S)
                return
        pytest.fail(f"{ATTEMPTS} times no {event} has reached the page")

    def as_device(self, size: str, scheme: str) -> None:
        """Be of this size, light or dark."""
        width, height = SIZES[size]
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def shoot(self, name: str) -> None:
        """Keep a picture of what is to be seen."""
        SHOTS.mkdir(parents=True, exist_ok=True)
        self.driver.save_screenshot(str(SHOTS / f"{name}.png"))

    def faults(self) -> list[str]:
        """What the browser complains of, scripts that the policy stopped among it; a lost server is no fault."""
        logged = [entry["message"] for entry in self.driver.get_log("browser")]  # type: ignore[no-untyped-call]
        return [each for each in logged if "net::ERR" not in each]


@pytest.fixture(scope="module")
def driver() -> Iterator[webdriver.Chrome]:
    """One Chromium for all."""
    binary, helper = chromium(), chromedriver()
    if binary is None or helper is None:
        lacking("no Chromium with its driver (apt-get install chromium chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = binary or ""
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--lang=en-GB"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = webdriver.Chrome(options=options, service=Service(helper))
    yield browser
    browser.quit()


@pytest.fixture(autouse=True)
def no_faults_of_others(driver: webdriver.Chrome) -> None:
    """Forget what the browser complained of in the tests before."""
    driver.get_log("browser")  # type: ignore[no-untyped-call]


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    """The broker of the played clip."""
    if Mosquitto.missing():
        lacking(str(Mosquitto.missing()))
    server = Mosquitto(tmp_path_factory.mktemp("broker"))
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="module")
def played(driver: webdriver.Chrome, broker: Mosquitto, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """A browser at the dashboard of a service that plays the demo's clip."""
    path = written(tmp_path_factory.mktemp("device"), broker.port)
    with ExitStack() as stack:
        stack.enter_context(a_service(path))
        yield Page(driver, stack.enter_context(a_dashboard(load_config(path, {}))))


@pytest.fixture
def told(
    driver: webdriver.Chrome, served: Callable[[Config], str], config_of: Callable[..., Config], mosquitto: Mosquitto
) -> Page:
    """A browser at the dashboard of a device whose messages the test makes."""
    return Page(driver, served(config_of(mosquitto)))


def no_barriers(page: Page) -> None:
    """What axe-core calls serious is not there."""
    if not AXE.exists():
        lacking("no axe-core (make axe)")
    page.driver.execute_script(AXE.read_text(encoding="utf-8"))
    found = page.driver.execute_async_script("axe.run().then(arguments[0])")
    assert found["passes"]
    barriers = [(each["id"], [node["html"] for node in each["nodes"]]) for each in found["violations"]]
    serious = {each["id"] for each in found["violations"] if each["impact"] in ("serious", "critical")}
    assert not serious, barriers


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_each_page_fits_and_has_no_barriers(size: str, scheme: str, page: str, played: Page) -> None:
    played.as_device(size, scheme)
    played.open(PAGES[page])
    played.wait(lambda: played.text("#word") not in ("", "Unknown"), "what holds")
    fits(played, size, f"{page}-{size}-{scheme}")


def fits(page: Page, size: str, name: str) -> None:
    """The page is no wider than the device, and axe finds nothing serious; a picture is kept."""
    wide = "return [document.documentElement.scrollWidth, innerWidth]"
    assert page.driver.execute_script(wide) == [SIZES[size][0]] * 2
    page.shoot(name)
    if size == "tablet":
        return  # the same page in other columns
    no_barriers(page)


def test_by_day_and_night_the_colours_differ(played: Page) -> None:
    seen = set()
    for scheme in ("light", "dark"):
        played.as_device("tablet", scheme)
        played.open("/health")
        seen.add(played.driver.execute_script("return getComputedStyle(document.body).backgroundColor"))
    assert len(seen) == 2


def test_the_keyboard_leads_to_every_control_and_the_language_can_be_changed(played: Page) -> None:
    played.as_device("tablet", "light")
    played.open("/health")
    reached = []
    for _ in range(6):
        played.press(Keys.TAB)
        reached.append(played.driver.switch_to.active_element.text)
    assert reached == ["Now", "Cab", "Health", "History", "Tune", "Deutsch"]
    played.press(Keys.ENTER)
    played.wait_for("nav", "Jetzt")
    assert played.driver.execute_script("return document.documentElement.lang") == "de"
    played.open("/")
    played.wait_for("#controls", "10 Minuten pausieren")
    played.click("#language")
    played.wait_for("nav", "Now")


def test_what_the_clip_shows_appears_and_an_alert_is_marked_and_acknowledged(played: Page) -> None:
    played.as_device("tablet", "light")
    played.open("/")
    played.wait_for("#expression .strongest", "%")

    def acknowledged() -> bool:
        button = played.driver.find_element(By.ID, "acknowledge")
        if button.is_enabled():  # it may end in this moment: then the next one is waited for
            played.shoot("now-alert")
            button.click()
            played.wait(lambda: played.text("#told") not in ("", "…"), "the device's answer")
        return "acknowledged: " in played.text("#told")

    played.wait(acknowledged, "an alert")
    played.wait(lambda: not played.driver.find_element(By.ID, "acknowledge").is_enabled(), "the acknowledgement")
    played.wait_for("#alerts", "begins")
    labels = played.driver.execute_script(
        "return [...document.querySelectorAll('#charts canvas')].map((one) => one.getAttribute('aria-label'))"
    )
    assert len(labels) >= 3
    played.wait_for("#word", "Calm")
    played.wait_for("#alerts", "ends")
    assert played.faults() == []


def test_a_broker_that_goes_is_said_and_the_page_recovers_by_itself(played: Page, broker: Mosquitto) -> None:
    played.as_device("tablet", "light")
    played.open("/")
    played.wait(lambda: played.text("#word") not in ("", "Unknown"), "what holds")
    broker.kill()
    played.wait_for("#why", "No connection to the broker")
    assert played.text("#word") == "Unknown"
    played.wait_for("#charts", "unknown", "Unknown")
    assert not played.driver.find_element(By.ID, "pause").is_enabled()
    played.shoot("now-no-broker")
    broker.start()
    played.wait(lambda: played.text("#word") not in ("", "Unknown"), "what holds")
    assert played.faults() == []


def test_nothing_in_a_message_becomes_more_than_text(
    told: Page, mosquitto: Mosquitto, subscribe: Callable[..., Subscriber]
) -> None:
    desk = subscribe(mosquitto.port, "nothing")
    nasty = {"constructor": KindPart(signal=0.5, level=None, readable=False, reason_code=SCRIPT)}
    state = made_state(board_stamp(), SCRIPT, State.UNCERTAIN)
    changes = {"kinds": nasty, "reason_code": SCRIPT, "expression": SCRIPT, "probabilities": {SCRIPT: 1.0}}
    health = json.loads(
        made_health(
            board_stamp(), OutboxPart(depth=0, bytes=0, dropped=0, problem=SCRIPT), problems=(SCRIPT,)
        ).payload()
    )
    health |= {"stages": {SCRIPT: {"p50_ms": 1, "p95_ms": 2}}, "sinks": {SCRIPT: {"dropped": 0, "problem": SCRIPT}}}
    health["versions"]["evenkeel"] = SCRIPT
    for topic, payload in (
        (TOPICS.availability, b"online"),
        (TOPICS.state, state.model_copy(update=changes).payload()),
        (TOPICS.alert, made_alert(board_stamp(), SCRIPT).model_copy(update={"reason_code": SCRIPT}).payload()),
        (TOPICS.health, json.dumps(health).encode()),
    ):
        desk.publish(topic, payload, retain=True)
    for path, shown in (("/", "#why"), ("/cab", "#why"), ("/health", "#problems"), ("/health", "#stages")):
        told.open(path)
        told.wait_for(shown, SCRIPT)
        added = "return [window.taken ?? null, document.querySelectorAll('img, b, script:not([src])').length]"
        assert told.driver.execute_script(added) == [None, 0]
    assert told.faults() == []


@pytest.mark.parametrize(("kind", "words"), [("fatigue", "Please stop and rest"), ("anger", "Take a moment")])
def test_the_driver_is_told_by_the_kind_whatever_was_heard_of_how_it_began(
    kind: str, words: str, told: Page, mosquitto: Mosquitto, subscribe: Callable[..., Subscriber]
) -> None:
    desk = subscribe(mosquitto.port, "nothing")
    state = made_state(board_stamp(), kind, State.URGENT)
    kinds = {kind: KindPart(signal=1.0, level=Level.URGENT, readable=True)}
    desk.publish(TOPICS.availability, "online", retain=True)
    desk.publish(TOPICS.state, state.model_copy(update={"kinds": kinds}).payload(), retain=True)
    told.open("/cab")
    told.wait_for("#word", words)


def test_a_device_that_is_offline_or_silent_is_unknown_and_not_calm(
    told: Page, mosquitto: Mosquitto, subscribe: Callable[..., Subscriber]
) -> None:
    desk = subscribe(mosquitto.port, "nothing")
    told.open("/")
    told.wait_for("#why", "Nothing heard from the device so far")
    desk.publish(TOPICS.availability, "online", retain=True)
    desk.publish(TOPICS.state, made_state(board_stamp()).payload(), retain=True)
    told.wait_for("#word", "Calm")
    desk.publish(TOPICS.availability, "offline", retain=True)
    told.wait_for("#why", "The device is offline")
    assert told.text("#word") == "Unknown"
    told.wait_for("#expression", "Unknown")
    nobody = OutboxPart(depth=0, bytes=0, dropped=0, problem=None)
    told.open("/health")
    for available, problems, shown, rate in (
        ("online", (), "none", "15.0"),
        ("offline", (), "Unknown", "not known"),
        ("offline", ("camera: dark",), "last known: camera: dark", "not known"),
    ):
        desk.publish(TOPICS.health, made_health(board_stamp(), nobody, problems).payload(), retain=True)
        desk.publish(TOPICS.availability, available, retain=True)
        told.wait_for("#problems", shown)
        told.wait_for("#rates", rate)


@pytest.fixture
def fleet(
    driver: webdriver.Chrome,
    served: Callable[[Config], str],
    config_of: Callable[..., Config],
    mosquitto: Mosquitto,
    subscribe: Callable[..., Subscriber],
) -> Iterator[Page]:
    """A browser at the dashboard of a fleet: 60 calm devices, one that warns, one that is offline, one not heard."""
    desk = subscribe(mosquitto.port, "nothing")
    page = Page(driver, served(config_of(mosquitto, "fleet = true\n")))
    page.open("/fleet")

    def say(number: int, state: State, **changes: Any) -> None:
        topics = Topics("evenkeel", f"van-{number}")
        desk.publish(topics.state, made_state(board_stamp(), "", state).model_copy(update=changes).payload())

    page.wait_for("#none", "No device has been heard of so far.")
    desk.publish(Topics("evenkeel", "van-61").availability, "offline", retain=True)
    desk.publish(Topics("evenkeel", "van-62").availability, "online", retain=True)
    nobody = OutboxPart(depth=0, bytes=0, dropped=0, problem=None)
    stopped = threading.Event()

    def beat() -> None:
        for number in range(60):
            say(number, State.CALM)
        say(60, State.WARNING, kinds={"fatigue": KindPart(signal=0.9, level=Level.WARNING, readable=True)})
        desk.publish(Topics("evenkeel", "van-3").health, made_health(board_stamp(), nobody, (SCRIPT,)).payload())

    def drive() -> None:
        while not stopped.wait(3.0):
            with suppress(RuntimeError):  # a test may kill the broker
                beat()

    driving = threading.Thread(target=drive)
    driving.start()
    page.wait_for("#found", "63 of 63 devices")
    yield page
    stopped.set()
    driving.join()


def column(page: Page, name: str) -> list[str]:
    """What stands in a column of the rows in the page."""
    script = "return [...document.querySelectorAll(`#rows [data-of=${arguments[0]}]`)].map((one) => one.innerText)"
    return [str(text).strip() for text in page.driver.execute_script(script, name)]


def test_a_fleet_fits_and_has_no_barriers(fleet: Page) -> None:
    worst = ["Warning", "Unknown", "Offline"]
    for size, scheme in product(SIZES, ("light", "dark")):
        fleet.as_device(size, scheme)
        fleet.wait(lambda: [text.split("\n")[0] for text in column(fleet, "state")[:3]] == worst, "the worst first")
        assert fleet.driver.execute_script("return document.documentElement.scrollWidth") == SIZES[size][0]
        fleet.shoot(f"fleet-{size}-{scheme}")
        if size == "phone":  # a card a device
            no_barriers(fleet)
    no_barriers(fleet)
    assert fleet.faults() == []


def test_a_fleet_is_searched_sorted_and_leads_to_each_device(fleet: Page, mosquitto: Mosquitto) -> None:
    fleet.as_device("tablet", "light")
    assert column(fleet, "open")[0] == "Fatigue: Warning"
    assert len(column(fleet, "device")) == 50
    fleet.click("#on")
    assert len(column(fleet, "device")) == 13
    head = fleet.driver.find_elements(By.CSS_SELECTOR, "#head button")
    head[0].send_keys(Keys.ENTER)
    assert column(fleet, "device")[:3] == ["van-0", "van-1", "van-2"]
    head[0].send_keys(Keys.ENTER)
    assert column(fleet, "device")[:3] == ["van-62", "van-61", "van-60"]
    assert fleet.driver.find_element(By.CSS_SELECTOR, "#head [aria-sort]").get_attribute("aria-sort") == "descending"
    assert "ago" in column(fleet, "seen")[0]
    assert column(fleet, "seen")[1:3] == ["not known", "just now"]
    search = fleet.driver.find_element(By.ID, "search")
    search.send_keys("onerror")
    fleet.wait_for("#found", "1 of 63")
    assert column(fleet, "problems") == [f"1 · {SCRIPT}"]
    assert fleet.driver.execute_script("return window.taken ?? null") is None
    search.clear()
    search.send_keys("fatigue", Keys.ENTER)
    fleet.wait_for("#found", "1 of 63")
    mosquitto.kill()
    fleet.wait_for("#why", "No connection to the broker")
    fleet.wait_for("#words", "Unknown: 63")
    search.clear()
    search.send_keys("van-60", Keys.ENTER)
    assert [column(fleet, name) for name in ("state", "open", "problems")] == [
        ["Unknown"],
        ["not known"],
        ["not known"],
    ]
    fleet.shoot("fleet-no-broker")
    mosquitto.start()
    fleet.wait(lambda: not fleet.driver.find_element(By.ID, "lost").is_displayed(), "the broker")
    fleet.click("#rows th a")
    fleet.wait_for("#device", "van-60")
    assert fleet.text("nav").split()[:4] == ["Fleet", "Now", "Cab", "Health"]
    fleet.click("nav a[href^='/health']")
    fleet.wait_for("#device", "van-60")
    assert fleet.driver.current_url.endswith("/health?device=van-60")


def test_history_shows_episodes_the_numbers_around_one_and_erases_a_device(
    driver: webdriver.Chrome, served: Callable[[Config], str], tmp_path: Path
) -> None:
    address = f"sqlite:///{tmp_path / 'collect.db'}"
    engine = open_database(make_url(address))
    upgrade(engine)
    fleet = Fleet(engine, datetime.now(UTC) - timedelta(hours=1))
    name = fleet.episode(kind="fatigue", cause="microsleep")
    for first in (0, 2):
        fleet.piece(sequence=3, id=name, first=first, t_s=[first - 2.0, first - 1.0])
    fleet.drives(moves=True)
    fleet.episode(reason_code=SCRIPT, reason=SCRIPT, cause=SCRIPT)
    engine.dispose()
    config = load_config(written(tmp_path, 1, f'[dashboard.history]\ndatabase = "{address}"\n'), {})
    page = Page(driver, served(config))
    for size, scheme in (("phone", "light"), ("phone", "dark"), ("tablet", "light")):
        page.as_device(size, scheme)
        page.open("/history")
        page.wait_for("#list", "Fatigue")
        driver.find_elements(By.CSS_SELECTOR, "#list button")[1].send_keys(Keys.ENTER)
        page.wait_for(".around .moment", "from the begin")
        driver.find_element(By.CSS_SELECTOR, ".around input").send_keys(Keys.ARROW_RIGHT)
        page.wait_for(".around .moment", "1.0 s")
        page.shoot(f"history-{size}-{scheme}")
        wide = "return [document.documentElement.scrollWidth, innerWidth]"
        assert driver.execute_script(wide) == [SIZES[size][0]] * 2
        if not AXE.exists():
            lacking("no axe-core (make axe)")
        driver.execute_script(AXE.read_text(encoding="utf-8"))
        found = driver.execute_async_script("axe.run().then(arguments[0])")
        assert not [each["id"] for each in found["violations"] if each["impact"] in ("serious", "critical")]
    assert SCRIPT in page.text("#list")
    assert driver.execute_script("return [window.taken ?? null, document.querySelectorAll('img, b').length]") == [
        None,
        0,
    ]
    page.wait_for("#days", "1 min")
    Select(driver.find_element(By.ID, "device_of")).select_by_visible_text("van-7")
    page.wait_for("#erase_label", "van-7")
    driver.find_element(By.ID, "confirmed").send_keys("van-7", Keys.ENTER)
    page.wait_for("#told", "erased, 6 alerts deleted")
    page.click("#language")
    page.wait_for("h1", "Verlauf")
    page.click("#language")
    assert page.faults() == []


def test_without_a_database_history_says_how_to_get_one(told: Page) -> None:
    told.as_device("phone", "light")
    told.open("/history")
    told.wait_for("#none", "evenkeel dashboard --collect")
    told.shoot("history-none")


def test_a_viewer_logs_in_and_is_shown_no_controls(
    driver: webdriver.Chrome,
    served: Callable[[Config], str],
    config_of: Callable[..., Config],
    mosquitto: Mosquitto,
) -> None:
    kept = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash("only look at it")
    page = Page(driver, served(config_of(mosquitto, f'viewer_password = "{kept}"\n')))
    driver.get(f"{page.address}/")
    page.wait(lambda: driver.current_url.endswith("/login"), "the log-in")
    page.wait_for("form", "Password")
    page.shoot("login")
    strict = 'window.asked = fetch; window.fetch = async () => new Response(\'{"error": "not here"}\', {status: 403})'
    driver.execute_script(strict)
    driver.find_element(By.ID, "password").send_keys("only look at it", Keys.ENTER)
    page.wait_for("#told", "Refused: not here")  # a proxy may be in the way: the password is not at fault
    driver.execute_script("window.fetch = window.asked")
    for password, came in (("wrong one", "Wrong password."), ("only look at it", "")):
        field = driver.find_element(By.ID, "password")
        field.clear()
        field.send_keys(password, Keys.ENTER)
        if came:
            page.wait_for("#told", came)
    page.wait_for("#word", "Unknown")
    assert not driver.find_element(By.ID, "controls").is_displayed()
    page.wait_for("header", "Log out")
    driver.find_elements(By.CSS_SELECTOR, "header button")[-1].click()
    page.wait(lambda: driver.current_url.endswith("/login"), "the log-in")


KEY = "only look at it"


@pytest.fixture
def locked(config_of: Callable[..., Config], mosquitto: Mosquitto, tmp_path: Path, drives: Path) -> Iterator[str]:
    """The address of a dashboard with every page and a password."""
    kept = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(KEY)
    more = f'viewer_password = "{kept}"\nfleet = true\n[dashboard.history]\n'
    more += f'database = "sqlite:///{tmp_path}/history.db"\ncollect = true\n'
    with a_dashboard(config_of(mosquitto, more), traces=drives) as address:
        yield address


LOG_OUT = """
const { csrf } = await (await fetch("/session")).json();
const headers = { "Content-Type": "application/json", "X-CSRF-Token": csrf };
return (await fetch("/logout", { method: "POST", headers, body: "{}" })).status;
"""


@pytest.mark.parametrize("path", ["/?device=van-7", "/fleet", "/history", "/tune"])
def test_whose_session_is_over_is_told_so_and_comes_back_after_the_log_in(
    path: str, driver: webdriver.Chrome, locked: str
) -> None:
    page = Page(driver, locked)

    def enter() -> None:
        page.wait_for("form", "Password")
        driver.find_element(By.ID, "password").send_keys(KEY, Keys.ENTER)
        page.wait_for("header", "Log out")

    driver.get(f"{locked}/login")
    enter()
    page.open(path)
    page.wait_for("header", "Log out")
    assert driver.execute_script(LOG_OUT) == 200
    if path == "/history":  # it asks when it is asked
        driver.execute_script("document.getElementById('kind_of').dispatchEvent(new Event('change'))")
    page.wait_for("#told", "Your session has ended")
    enter()
    assert driver.current_url == f"{locked}{path}"


@pytest.mark.parametrize(
    ("path", "english", "german"),
    [
        ("/fleet", "This dashboard shows one device", "Diese Seiten zeigen ein Gerät"),
        ("/?device=van-0", "There is no such device", "Dieses Gerät gibt es nicht"),
    ],
)
def test_what_the_server_refuses_is_told_in_the_pages_language(
    path: str,
    english: str,
    german: str,
    driver: webdriver.Chrome,
    served: Callable[[Config], str],
    config_of: Callable[..., Config],
    mosquitto: Mosquitto,
) -> None:
    page = Page(driver, served(config_of(mosquitto)))
    page.open(path)
    page.wait_for("#why", english)
    page.click("#language")
    page.wait_for("#why", german)


def test_a_log_in_leads_to_no_other_server(driver: webdriver.Chrome, locked: str) -> None:
    page = Page(driver, locked)
    driver.get(f"{locked}/login?ended=1&to=//example.org/")
    page.wait_for("form", "Password")
    driver.find_element(By.ID, "password").send_keys(KEY, Keys.ENTER)
    page.wait_for("header", "Log out")
    assert driver.current_url == f"{locked}/fleet"


# ---- Tune


@pytest.fixture(scope="module")
def drives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two drives, marks on one of them, and a trace of a version to come."""
    folder = tmp_path_factory.mktemp("drives")
    for van in ("van-7", "van-9"):
        record(folder / van / "drive.jsonl")
    (folder / "new.jsonl").write_text('{"schema": 9}\n')
    (folder / "labels.csv").write_text("start,end,kind,trace\n12,22,anger,van-9/drive.jsonl\n")
    return folder


@pytest.fixture(scope="module")
def tuned(drives: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a dashboard for these drives."""
    with a_dashboard(load_config(written(tmp_path_factory.mktemp("desk"), 1), {}), traces=drives) as address:
        yield address


@pytest.fixture
def tuner(driver: webdriver.Chrome, tuned: str) -> Page:
    """A browser at the page Tune, the first drive on the timeline."""
    page = Page(driver, tuned)
    page.as_device("tablet", "light")
    page.open("/tune")
    page.wait(lambda: page.driver.find_element(By.ID, "plotted").is_displayed(), "the drive")
    return page


def labels(folder: Path) -> list[str]:
    """The lines of the file of marks, without the first."""
    return (folder / "labels.csv").read_text().splitlines()[1:]


@pytest.mark.usefixtures("hasty")
@pytest.mark.timeout(2 * TUNING_S)
def test_drives_are_marked_with_the_mouse_and_tuned_and_the_thresholds_move_the_figures(
    tuner: Page, drives: Path
) -> None:
    assert "not a line of trace version 1 or 2" in tuner.text("#drives")
    lane = tuner.driver.find_element(By.CSS_SELECTOR, "#lanes .lane canvas")
    width = int(lane.size["width"])

    def at(seconds: float) -> int:
        return round((seconds / 29.8 - 0.5) * width)

    mouse = ActionChains(tuner.driver, duration=50)
    mouse.move_to_element_with_offset(lane, at(12), 0).click_and_hold()
    mouse.move_to_element_with_offset(lane, at(18), 0).move_to_element_with_offset(lane, at(22), 0).release().perform()
    tuner.wait_for("#told", "Marked: anger")
    start, end, *rest = labels(drives)[1].split(",")
    assert rest == ["anger", "van-7/drive.jsonl"]
    assert float(start) == pytest.approx(12, abs=0.2)
    assert float(end) == pytest.approx(22, abs=0.2)

    assert tuner.text("#run") == "Tune on 2 drives"
    tuner.shoot("tune-marked")
    tuner.click("#run")
    tuner.wait(lambda: tuner.text("#job").startswith(("Done", "It failed")), "the end", TUNING_S)
    assert tuner.text("#job") == "Done."
    tuner.wait_for("#summary", "held out: thresholds chosen without a trace")
    tuner.wait_for("#kinds", "2 of 2")

    hollow = "return document.querySelector('#kinds section dl').innerText"
    before = tuner.driver.execute_script(hollow)
    slider = tuner.driver.find_element(By.ID, "anger-enter")
    slider.send_keys(Keys.END)
    tuner.wait(lambda: tuner.driver.execute_script(hollow) != before, "other figures")
    assert "0 of 2" in tuner.driver.execute_script(hollow)
    assert "anger=" in str(tuner.driver.find_element(By.ID, "section").get_attribute("href"))
    script = "fetch(document.getElementById('section').href).then((a) => a.text()).then(arguments[0])"
    section = tuner.driver.execute_async_script(script)
    assert "anger by hand, not as recommended above" in section
    assert "enter = 0.75" in section
    tuner.click("#kinds section .row button")
    tuner.wait(lambda: tuner.driver.execute_script(hollow) == before, "what is recommended")
    heard = "return [...document.querySelectorAll('#kinds [aria-label], #kinds [aria-valuetext]')].map((one) => \
        one.getAttribute('aria-label') ?? one.getAttribute('aria-valuetext')).join(' ')"
    tuner.click("#language")
    tuner.wait_for("#job", "Fertig.")
    told = str(tuner.driver.execute_script(heard))
    assert "2 von 2" in told
    assert re.search(r"\d,\d", told)
    assert not re.search(r"found|hour|false", told)
    tuner.click("#language")
    tuner.wait_for("#job", "Done.")
    assert tuner.faults() == []


def mark(tuner: Page, kind: str, start: str, end: str) -> None:
    """Make a mark by keys alone."""
    tuner.driver.find_element(By.ID, "kind").send_keys(kind)
    for name, value in (("from", start), ("to", end)):
        field = tuner.driver.find_element(By.ID, name)
        field.clear()
        field.send_keys(value)
    tuner.press(Keys.ENTER)


def test_marks_are_made_moved_and_taken_away_by_keys_alone_and_what_makes_no_sense_is_said(
    tuner: Page, drives: Path
) -> None:
    before = labels(drives)

    mark(tuner, "fatigue", "25", "40")
    tuner.wait_for("#told", "The drive goes from 0:00.0 to 0:29.8")
    mark(tuner, "fatigue", "9", "8")
    tuner.wait_for("#told", "The start has to be before the end.")
    mark(tuner, "fatigue", "8", "9")
    tuner.wait_for("#told", "Marked: fatigue, 0:08.0 to 0:09.0.")
    block = "document.querySelector('.block[aria-label^=fatigue]')"
    tuner.driver.execute_script(f"{block}.focus()")
    tuner.press(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    tuner.wait_for("#told", "Marked: fatigue, 0:08.0 to 0:09.4.")
    mark(tuner, "fatigue", "9", "12")
    tuner.wait_for("#told", "Joined with what it overlapped: fatigue, 0:08.0 to 0:12.0.")
    assert labels(drives) == [*before, "8,12,fatigue,van-7/drive.jsonl"]
    tuner.driver.execute_script(f"{block}.focus()")
    tuner.press(Keys.DELETE)
    tuner.wait_for("#told", "Deleted: fatigue, 0:08.0 to 0:12.0.")
    tuner.click("#undo")
    tuner.wait_for("#told", "Undone.")
    assert labels(drives) == [*before, "8,12,fatigue,van-7/drive.jsonl"]


def test_marks_that_were_read_before_a_change_are_not_shown_after_it(tuner: Page, drives: Path) -> None:
    before = labels(drives)
    tuner.driver.execute_script(
        """
        const asked = window.fetch;
        window.late = 0;
        window.fetch = async (path, options) => {
            const answer = await asked(path, options);
            if (!options?.method && String(path).startsWith("/tune/marks")) {
                window.late += 1;
                await new Promise((done) => setTimeout(done, 2000));
            }
            return answer;
        };
        """
    )
    mark(tuner, "distress", "20", "21")
    tuner.wait(lambda: tuner.driver.execute_script("return window.late") > 0, "the marks, read again")
    tuner.driver.execute_script("document.querySelector('.block[aria-label^=distress]').focus()")
    tuner.press(Keys.DELETE)
    tuner.wait_for("#told", "Deleted: distress, 0:20.0 to 0:21.0.")
    tuner.wait(lambda: tuner.driver.execute_script("return window.late") > 1, "the marks, read once more")
    time.sleep(2.5)  # until that answer has come too
    assert tuner.text("#told") == "Deleted: distress, 0:20.0 to 0:21.0."
    assert tuner.driver.execute_script("return document.querySelector('.block[aria-label^=distress]')") is None
    assert labels(drives) == before


def test_what_another_browser_marks_is_shown_and_not_written_over(tuner: Page, drives: Path) -> None:
    path = drives / "labels.csv"
    path.write_text(path.read_text() + "1,3,distress,van-7/drive.jsonl\n")
    tuner.wait_for("#told", "Somebody else has changed marks; they are shown.")
    shown = tuner.driver.execute_script("return document.querySelector('.block[aria-label^=distress]').mark")
    assert shown == {"kind": "distress", "start": 1, "end": 3}
    path.write_text(path.read_text().replace("1,3,distress", "1,4,distress"))
    script = """
        const [done] = arguments;
        fetch("/session").then((a) => a.json()).then(({ csrf }) => fetch("/tune/marks", { method: "POST",
            headers: { "Content-Type": "application/json", "X-CSRF-Token": csrf },
            body: JSON.stringify({ drive: "van-7/drive.jsonl", remove: [{ kind: "distress", start: 1, end: 3 }] }) }))
            .then((a) => done(a.status));
    """
    assert tuner.driver.execute_async_script(script) == 409
    assert "1,4,distress,van-7/drive.jsonl" in labels(drives)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_tune_fits_and_has_no_barriers(size: str, scheme: str, tuner: Page) -> None:
    tuner.as_device(size, scheme)
    fits(tuner, size, f"tune-{size}-{scheme}")


def test_without_a_folder_tune_says_how_to_name_one(played: Page) -> None:
    played.open("/tune")
    played.wait_for("#none", "evenkeel dashboard --traces DIR")
