"""The ignition is off: the episode ends, what waits is sent, 'offline' is said, and nobody is watched any more."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

import edge.tools.demo
from edge.board.clock import uptime_s
from edge.compat import Self
from edge.config import Config
from edge.config.vehicle import VehicleConfig
from edge.domain import Context, Phase, State
from edge.mqtt.messages import OutboxPart
from edge.service.ignition import Ignition
from edge.service.loop import board_stamp
from edge.service.standby import PROGRAM_S, Program, StandBy, stand_by
from edge.vehicle import SourceHealth, Vehicle
from tests.service.test_loop import (
    DEADLINE_S,
    Bench,
    FakePublisher,
    Ticker,
    eventually,
    last_step,
    quick,
    speak_of,
    step_of,
    transition,
)

OFF = Context(ignition=False)
ON = Context(ignition=True)


def config_of(**off: Any) -> Config:
    return Config.model_validate({"vehicle": {"ignition_off": {"after_s": 1, **off}}})


def by_bus() -> Config:
    """A bus tells of the ignition, and gpsd the speed."""
    can = {"channel": "can0", "dbc": "van.dbc", "ignition_signal": "KeyPosition"}
    return Config.model_validate({"vehicle": {"can": can, "gpsd": {"host": "localhost"}}})


@pytest.mark.parametrize(
    ("contexts", "off"),
    [
        ([OFF] * 11, True),
        ([OFF] * 9, False),
        ([*[OFF] * 9, ON, *[OFF] * 9], False),
        ([*[OFF] * 9, Context(), *[OFF] * 9], False),
        ([Context(ignition=False, speed_kmh=0.0, standstill=True)] * 11, True),
        ([Context(ignition=False, speed_kmh=50.0)] * 99, False),
        ([Context()] * 99, False),
    ],
    ids=["long", "not yet", "on between", "unknown between", "at standstill", "but it moves", "unknown"],
)
def test_only_an_ignition_that_stays_off_in_a_vehicle_not_known_to_move_counts(
    contexts: list[Context],
    off: bool,  # noqa: FBT001 - a case
) -> None:
    ignition = Ignition(config_of().vehicle)
    assert [ignition.is_off(n / 10, context) for n, context in enumerate(contexts)][-1] is off


def test_a_clock_that_goes_back_begins_the_wait_anew() -> None:
    ignition = Ignition(config_of().vehicle)
    assert [ignition.is_off(t, OFF) for t in (100.0, 50.0, 50.9, 51.0)] == [False, False, False, True]


def test_where_it_is_not_wanted_an_ignition_that_is_off_is_only_told() -> None:
    ignition = Ignition(config_of(standby=False).vehicle)
    assert not any(ignition.is_off(float(t), OFF) for t in range(100))


class Told:
    """A vehicle that tells what the test sets."""

    def __init__(self, context: Context, **health: SourceHealth) -> None:
        self.told = context
        self.sources = health

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def context(self, now: float) -> Context:
        del now
        return self.told

    def health(self, now: float) -> Mapping[str, SourceHealth]:
        del now
        return self.sources


def test_the_episode_ends_with_its_context_and_what_waits_is_sent_before_offline() -> None:
    vehicle = Told(ON)
    flushed: list[float] = []

    def flush(longest_s: float, give_up: Callable[[], bool]) -> None:
        flushed.append(longest_s)
        assert not give_up()
        assert "stop" not in bench.publisher.log

    config = quick().model_copy(update={"vehicle": config_of(flush_s=7).vehicle})
    with Bench(Ticker, config, vehicle=vehicle, flush=flush) as bench:
        eventually(lambda: "start" in bench.publisher.log)
        bench.pipeline.decider.last = last_step(uptime_s())
        vehicle.told = Context(ignition=False, speed_kmh=0.0, standstill=True, standing_s=5.0)
        bench.thread.join(DEADLINE_S)
        assert bench.service.switched_off
    assert bench.publisher.log[-1] == "stop"
    assert "alert anger end" in bench.publisher.log
    assert flushed == [7.0]
    told = bench.publisher.alerts[-1].context
    assert told is not None
    assert (told.ignition, told.speed_kmh, told.standing_s) == (False, 0.0, 5.0)
    assert "STOPPING=1" not in bench.notifier.sent
    assert "WATCHDOG=1" in bench.notifier.sent


class Waiting(FakePublisher):
    """A publisher whose outbox empties after some looks."""

    def __init__(self, looks: int) -> None:
        super().__init__()
        self.looks = looks

    def outbox_health(self) -> OutboxPart:
        self.looks -= 1
        return OutboxPart(depth=max(self.looks, 0), bytes=0, dropped=0, problem=None)


def test_the_flush_ends_when_the_outbox_is_empty_or_when_it_is_told_to() -> None:
    for looks, give_up in ((3, False), (10**9, True)):
        publisher = Waiting(looks)
        speak = speak_of(quick(), publisher, board_stamp)
        speak.take(step_of(1.0, State.CALM))
        speak.take(step_of(1.0, State.CALM, transitions=(transition(Phase.START),)))
        asked = iter([False, False, False])
        speak.flush(60.0, lambda: next(asked, True) if give_up else False)  # noqa: B023 - called within the loop
        assert publisher.looks == 0 or give_up
        assert "alert anger start" in publisher.log
        speak.close()


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def goes_on(vehicle: Told, seconds: float, config: Config | None = None) -> tuple[bool, Program]:
    """Whether standing by goes on for so long, and the program that it may have run."""
    clock, program = Clock(), Program((config or config_of()).vehicle.ignition_off.command)
    standby = StandBy(config or config_of(), program, clock)
    for _ in range(int(seconds)):
        if not standby.goes_on(vehicle):
            return False, program
        clock.now += 1
    return True, program


@pytest.mark.parametrize(
    ("vehicle", "on"),
    [
        (Told(OFF), True),
        (Told(Context()), True),
        (Told(ON), False),
        (Told(Context(ignition=False, speed_kmh=30.0)), False),
        (Told(Context(), mqtt=SourceHealth(problem="silent")), True),
        (Told(Context(), can=SourceHealth(problem="gone", lost=True)), False),
        (Told(OFF, gpsd=SourceHealth(problem="gone", lost=True)), True),
        (Told(Context(), can=SourceHealth(), gpsd=SourceHealth(problem="gone", lost=True)), True),
    ],
    ids=[
        "off",
        "silent",
        "on",
        "it moves",
        "a topic without a word",
        "a bus that is gone",
        "another source is gone",
        "a parked bus is silent and a source of the speed is gone",
    ],
)
def test_standing_by_ends_where_somebody_may_drive(vehicle: Told, on: bool) -> None:  # noqa: FBT001 - a case
    assert goes_on(vehicle, 1000, by_bus())[0] is on


def test_a_source_that_is_lost_for_a_moment_wakes_nobody() -> None:
    assert goes_on(Told(Context(), can=SourceHealth(lost=True)), 100, by_bus())[0]


@pytest.mark.parametrize(
    ("told", "sources"),
    [
        ({"mqtt": {"ignition_topic": "van/ignition"}}, ("mqtt",)),
        ({"mqtt": {"speed_topic": "van/speed"}, "gpio": {"ignition_pin": 24}}, ("gpio",)),
        ({"can": {"channel": "can0", "obd": "11-bit"}, "gpsd": {"host": "localhost"}}, ("can",)),
        ({"can": {"channel": "can0", "dbc": "van.dbc", "speed_signal": "Speed"}}, ()),
    ],
)
def test_the_sources_of_the_ignition_are_known_by_name(told: dict[str, Any], sources: tuple[str, ...]) -> None:
    assert VehicleConfig.model_validate(told).ignition_sources == sources


def test_the_program_runs_once_and_only_after_its_time(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    write = f"import pathlib; p = pathlib.Path({str(mark)!r}); p.write_text('x' + (p.exists() and p.read_text() or ''))"
    config = config_of(command=[sys.executable, "-c", write], command_after_s=60)
    goes_on(Told(OFF), 59, config)
    assert not mark.exists()
    _, program = goes_on(Told(OFF), 62, config)
    eventually(mark.exists)
    program.start(1e9)
    program.close()
    assert mark.read_text() == "x"


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["/nowhere/poweroff"], "/nowhere/poweroff: No such file or directory"),
        ([sys.executable, "-c", "raise SystemExit(3)"], "ended with 3"),
        ([sys.executable, "-c", "print('x' * 10_000_000); raise SystemExit(4)"], "ended with 4"),
        ([sys.executable, "-c", "import time; time.sleep(600)"], "hangs; killed after 30 s"),
    ],
    ids=["missing", "fails", "floods", "hangs"],
)
def test_a_program_that_fails_is_said_in_one_line(
    command: list[str], said: str, caplog: pytest.LogCaptureFixture
) -> None:
    program = Program(tuple(command))
    program.start(100.0)
    if "hangs" in said:
        program.look(100.0 + PROGRAM_S)

    def looked() -> bool:
        program.look(101.0)
        return said in caplog.text

    eventually(looked)
    assert len(caplog.records) == 1


def test_a_program_without_a_name_is_refused() -> None:
    with pytest.raises(ValueError, match="the program's name comes first"):
        VehicleConfig.model_validate({"ignition_off": {"command": [""]}})


class Signalled(Told):
    """A vehicle whose ignition is on again just when a signal comes."""

    def __init__(self, number: int) -> None:
        super().__init__(ON)
        self.number = number

    def context(self, now: float) -> Context:
        signal.raise_signal(self.number)
        return super().context(now)


@pytest.fixture
def handlers() -> Iterator[None]:
    """Puts the handlers of signals back."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("handlers")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_that_comes_with_the_ignition_is_a_stop(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Vehicle, "from_config", lambda *_: Signalled(number))
    assert stand_by(config_of(), config_of, stopped=lambda: False) is None


@pytest.mark.usefixtures("handlers")
def test_a_reload_that_comes_with_the_ignition_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Vehicle, "from_config", lambda *_: Signalled(signal.SIGHUP))
    fresh = config_of()
    assert stand_by(config_of(), lambda: fresh, stopped=lambda: False) is fresh


@pytest.mark.usefixtures("handlers")
def test_a_stop_behind_standing_by_ends_the_process_while_the_next_service_is_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Vehicle, "from_config", lambda *_: Told(ON))
    config = config_of()
    assert stand_by(config, config_of, stopped=lambda: False) is config
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Callable[[int], subprocess.Popen[str]]]:
    """Starts the real service on the demo's clip, with the ignition on a topic."""
    processes: list[subprocess.Popen[str]] = []

    def start(port: int) -> subprocess.Popen[str]:
        file = tmp_path / "evenkeel.toml"
        clip = Path(edge.tools.demo.__file__).with_name("clip.mp4")
        file.write_text(
            f'device.id = "van-7"\nmqtt = {{host = "127.0.0.1", port = {port}}}\n'
            f"camera.source = {json.dumps(str(clip))}\noutbox.path = {json.dumps(str(tmp_path / 'outbox.db'))}\n"
            'vehicle.mqtt.ignition_topic = "van/ignition"\nvehicle.ignition_off.after_s = 1\n'
        )
        main = "from edge.start import main; main()"
        command = [sys.executable, "-c", main, "run", "--loop", "--config", str(file)]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)  # noqa: S603 - our own words
        processes.append(process)
        return process

    yield start
    for each in processes:
        each.kill()
        each.wait()


def test_the_service_stands_by_while_the_ignition_is_off_and_comes_back(
    mosquitto: Any, subscribe: Callable[..., Any], started: Callable[[int], subprocess.Popen[str]]
) -> None:
    van = subscribe(mosquitto.port)
    process = started(mosquitto.port)
    topic = "evenkeel/van-7/availability"

    def tell(word: str, until: bytes, count: int) -> None:
        end = time.monotonic() + 60
        while van.payloads(topic).count(until) < count:
            assert time.monotonic() < end, f"never {until!r}"
            van.publish("van/ignition", word)
            time.sleep(0.2)

    tell("on", b"online", 1)
    tell("off", b"offline", 1)
    tell("on", b"online", 2)
    tell("off", b"offline", 2)
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0
    assert process.stderr is not None
    said = process.stderr.read()
    assert said.count("the ignition is off: nobody is watched until it is on") == 2
    assert "the ignition is on: watching again" in said
