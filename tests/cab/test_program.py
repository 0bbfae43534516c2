"""A program of the user's gets each chosen alert as JSON; one that hangs, floods or dies is said and ends nothing."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.cab.program import Program
from edge.cab.relay import Relay
from edge.config import CabConfig, Config, ProgramConfig
from edge.domain import (
    EXPRESSIONS,
    NO_REASON,
    Context,
    Judged,
    Kind,
    Level,
    Observation,
    Phase,
    Sight,
    Signals,
    State,
    Step,
    Transition,
)
from edge.errors import UnavailableError
from edge.service.cab_sink import CabSink, cue_of
from edge.service.loop import board_stamp
from edge.tools.cab import try_out

WAKES = {"anger": False, "fatigue": True}
START, ESCALATE, END = Phase.START, Phase.ESCALATE, Phase.END


def eventually(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 30.0
    while not condition():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.005)


def script(folder: Path, text: str) -> str:
    path = folder / "warn"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def runs(folder: Path, text: str, **more: Any) -> Program:
    return Program(ProgramConfig(program=(script(folder, text),), **more))


def told(kind: Kind, phase: Phase, level: Level = Level.WARNING) -> Transition:
    return Transition(0.0, kind, phase, level, 1, 0.0, 0.8, 0.8, None)


def step_of(*transitions: Transition, standstill: bool | None = None) -> Step:
    signals = Signals(0.0, {"fatigue": Judged(0.5)}, 1.0, np.zeros(len(EXPRESSIONS), np.float32))
    context = Context(standstill=standstill)
    return Step(Observation(0.0, Sight.FACE), signals, State.WARNING, NO_REASON, transitions, context)


def test_it_gets_the_text_and_its_own_arguments_and_no_shell_reads_them(tmp_path: Path) -> None:
    path = script(tmp_path, f'cat >{tmp_path}/got; printf "%s|" "$@" >{tmp_path}/arguments')
    Program(ProgramConfig(program=(path, "$(id)", "a b", ";"))).run(b'{"kind": "$(reboot)"}\n')
    assert (tmp_path / "got").read_bytes() == b'{"kind": "$(reboot)"}\n'
    assert (tmp_path / "arguments").read_text() == "$(id)|a b|;|"


def test_it_sees_nothing_of_our_environment_but_what_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", "/etc/evenkeel")
    monkeypatch.setenv("TZ", "Europe/Berlin")
    runs(tmp_path, f"env >{tmp_path}/environment").run(b"")
    names = {line.partition("=")[0] for line in (tmp_path / "environment").read_text().splitlines()}
    assert "TZ" in names
    assert names <= {"PATH", "LANG", "TZ", "PWD", "OLDPWD", "SHLVL", "_"}


def test_one_that_reads_nothing_is_no_fault(tmp_path: Path) -> None:
    runs(tmp_path, "exit 0").run(b"x" * 1_000_000)


def test_one_that_hangs_is_killed_with_all_that_it_has_started(tmp_path: Path) -> None:
    program = runs(tmp_path, f"sleep 1000 & echo $! >{tmp_path}/child; wait", timeout_s=0.5)
    with pytest.raises(UnavailableError, match=r"warn: killed after 0\.5 s \(cab\.command\.timeout_s\)"):
        program.run(b"")
    child = int((tmp_path / "child").read_text())
    eventually(lambda: not alive(child))


def alive(pid: int) -> bool:
    """A process that has ended, of which nobody has asked yet how, is alive no more."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("where", ["", ">&2"])
def test_one_that_floods_its_outputs_costs_no_memory_and_is_ended(tmp_path: Path, where: str) -> None:
    program = runs(tmp_path, f"yes flood {where}", timeout_s=1.0)
    with pytest.raises(UnavailableError, match="killed because it writes so much" if where else "killed after 1 s"):
        program.run(b"")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("echo first >&2; echo 'no such \033[31mlamp' >&2; exit 3", r"ended with status 3: no such \?\[31mlamp; try"),
        ("exit 1", "ended with status 1: without a word"),
        ("kill -SEGV $$", "ended with SIGSEGV"),
        ("exec 2>&-; sleep 0.2; exit 4", "ended with status 4"),
    ],
)
def test_one_that_dies_is_told_with_its_last_words(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UnavailableError, match=said):
        runs(tmp_path, text).run(b"")


def test_a_program_that_is_not_there_or_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="/no/such/program: No such file"):
        Program(ProgramConfig(program=("/no/such/program",))).run(b"")
    (tmp_path / "plain").write_text("no program")
    with pytest.raises(UnavailableError, match="plain: Permission denied"):
        Program(ProgramConfig(program=(str(tmp_path / "plain"),))).run(b"")


def test_a_stop_ends_what_runs_and_starts_nothing_more(tmp_path: Path) -> None:
    program = runs(tmp_path, f"echo $$ >>{tmp_path}/pids; sleep 1000", timeout_s=100.0)
    running = threading.Thread(target=program.run, args=(b"",))
    running.start()
    eventually(lambda: (tmp_path / "pids").exists() and (tmp_path / "pids").read_text().endswith("\n"))
    program.stop()
    running.join(10.0)
    assert not running.is_alive()
    program.run(b"")
    assert len((tmp_path / "pids").read_text().split()) == 1


def test_what_is_not_chosen_is_not_told() -> None:
    config = ProgramConfig(kinds=("fatigue",), levels=(Level.URGENT,), phases=(START, ESCALATE))
    relay = Relay(config, WAKES)
    steps = [told("anger", START, Level.URGENT), told("fatigue", START)]
    steps += [told("fatigue", ESCALATE, Level.URGENT), told("fatigue", END, Level.URGENT)]
    assert [each for step in steps for each in relay.update(step_of(step))] == steps[2:3]


def test_at_a_known_standstill_an_angry_driver_s_alert_waits_until_the_vehicle_moves() -> None:
    relay = Relay(ProgramConfig(), WAKES)
    start, worse, end = told("anger", START), told("anger", ESCALATE, Level.URGENT), told("anger", END, Level.URGENT)
    assert relay.update(step_of(start, standstill=True)) == []
    assert relay.update(step_of(worse, standstill=True)) == []
    assert relay.update(step_of(standstill=False)) == [start, worse]
    assert relay.update(step_of(end, standstill=True)) == [end]


def test_what_began_and_ended_at_a_standstill_is_not_told_at_all() -> None:
    relay = Relay(ProgramConfig(), WAKES)
    for step in (step_of(told("anger", START), standstill=True), step_of(told("anger", END), standstill=True)):
        assert relay.update(step) == []
    assert relay.update(step_of(standstill=False)) == []


def test_a_sleeping_driver_s_alert_does_not_wait_and_nothing_known_holds_nothing_back() -> None:
    relay = Relay(ProgramConfig(), WAKES)
    assert relay.update(step_of(told("fatigue", START), standstill=True)) == [told("fatigue", START)]
    assert relay.update(step_of(told("anger", START), standstill=None)) == [told("anger", START)]


def sink_of(path: str, **more: Any) -> CabSink:
    command = ProgramConfig(program=(path,), **more)
    return CabSink(Config.model_validate({"device": {"id": "van-7"}, "cab": {"command": command}}), board_stamp)


def read(path: Path) -> Iterable[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_each_alert_is_one_line_of_json_in_order_one_program_at_a_time(tmp_path: Path) -> None:
    busy = f"mkdir {tmp_path}/busy && cat >>{tmp_path}/got && sleep 0.1 && rmdir {tmp_path}/busy"
    sink = sink_of(script(tmp_path, busy))
    for phase in (START, ESCALATE, END):
        level = Level.WARNING if phase is START else Level.URGENT
        sink.take(step_of(told("fatigue", phase, level)))
    sink.close()
    assert sink.health.problem is None
    lines = list(read(tmp_path / "got"))
    assert [(line["kind"], line["phase"], line["level"]) for line in lines] == [
        ("fatigue", "start", "warning"),
        ("fatigue", "escalate", "urgent"),
        ("fatigue", "end", "urgent"),
    ]
    assert all(line["device_id"] == "van-7" and not line.keys() & {"id", "epoch", "sequence"} for line in lines)


def test_one_that_keeps_dying_is_said_once_and_health_tells_it_until_it_works(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sink = sink_of(script(tmp_path, f"[ -e {tmp_path}/mended ] || exit 1"))
    with caplog.at_level(logging.WARNING):
        for number in range(3):
            sink.take(step_of(told("fatigue", START)))
            eventually(lambda number=number: sink.health.dropped == number + 1)  # type: ignore[misc]
        assert "ended with status 1" in (sink.health.problem or "")
        (tmp_path / "mended").touch()
        sink.take(step_of(told("fatigue", END)))
        eventually(lambda: sink.health.problem is None)
    sink.close()
    assert len(caplog.records) == 1


def test_a_close_waits_for_no_program_that_hangs(tmp_path: Path) -> None:
    sink = sink_of(script(tmp_path, f"echo $$ >{tmp_path}/pid; exec sleep 1000"), timeout_s=100.0)
    sink.take(step_of(told("fatigue", START)))
    eventually(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().endswith("\n"))
    pid = int((tmp_path / "pid").read_text())
    sink.close()
    assert not alive(pid)  # whoever closes may end at once, and its threads with it


def test_who_is_interrupted_leaves_no_program_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[int] = []

    def interrupt(_: Program, process: Any, __: Any) -> None:
        begun.append(process.pid)
        raise KeyboardInterrupt

    monkeypatch.setattr(Program, "_see_through", interrupt)
    with pytest.raises(KeyboardInterrupt):
        runs(tmp_path, "exec sleep 1000").run(b"")
    assert [alive(pid) for pid in begun] == [False]


def test_trying_runs_the_program_too(tmp_path: Path) -> None:
    command = ProgramConfig(program=(script(tmp_path, f"cat >{tmp_path}/got"),))
    try_out(Config(cab=CabConfig(command=command)), cue_of("anger", Level.URGENT), board_stamp())
    (line,) = read(tmp_path / "got")
    assert (line["kind"], line["level"], line["phase"]) == ("anger", "urgent", "start")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"program": ["warn"]}, "absolute path"),
        ({"program": ["/bin/warn", "a\0b"]}, "pattern"),
        ({"program": ["/bin/warn", ""]}, "pattern"),
        ({"kinds": ["rage"]}, "no such kind: rage; known: anger, distress, fatigue"),
        ({"levels": ["mild"]}, "warning"),
    ],
)
def test_a_program_that_cannot_be_is_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        ProgramConfig.model_validate(wrong)
