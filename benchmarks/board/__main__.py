"""Install on emulated arm64 boards (Debian 12 and 13) and compare with this machine.

``python -m benchmarks.board --debian 12``, as root. On each board: ``systemd/install.sh`` from a folder of arm64 wheels
and without a network, ``evenkeel doctor``, ``evenkeel replay`` of the demo's clip, and the tests that depend on the
processor. README.md in this folder says what is emulated and what is not.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.board.compare import BOUNDS, Comparison, compare_events, compare_traces, frame_time
from benchmarks.board.root import BOARDS, Board, EmulationError, Root, require_emulation
from benchmarks.board.stage import SOURCE, make_stage, packages_for_tests
from benchmarks.debian import MIRROR

TESTS = (
    "tests/vision",
    "tests/camera/test_files.py",
    "tests/camera/test_luma.py",
    "tests/mqtt/test_contract.py",
    "tests/mqtt/test_outbox.py",
    "tests/config/test_config.py",
    "tests/test_pipeline.py",
    "tests/traces/test_replay.py",
    "tests/systemd/test_unit.py",
    "tests/traces/test_trace.py",
)
"""What stands on compiled packages (LiteRT, numpy, OpenCV, pydantic, sqlite) or on the system.

The others are Python alone, or hold real clocks to deadlines that an emulator misses.
"""

UNJUDGED = ("inference", "dashboard")
"""Lines of ``doctor`` that must fail here: an emulator is slower than any board, and without systemd nobody serves."""


@dataclass
class Outcome:
    """What came of one board. ``steps`` are seconds by name; ``faults`` say what is wrong, one line each."""

    board: Board
    steps: dict[str, float] = field(default_factory=dict)
    figures: dict[str, float] = field(default_factory=dict)
    remarks: dict[str, str] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    def take(self, comparison: Comparison) -> None:
        """Add what a comparison found."""
        self.figures |= comparison.figures
        self.faults += comparison.faults


class Trial:
    """The steps on one board, each with its log in ``folder``."""

    def __init__(self, board: Board, folder: Path, stage: Path, console: Console) -> None:
        self.outcome = Outcome(board)
        self._folder = folder
        self._root = Root(board, folder, stage)
        self._console = console
        self._results = stage / f"debian{board.debian}"

    def run(self, mirror: str, reference: Path, tests: Sequence[str]) -> Outcome:
        """All steps; one that fails ends the trial, except for the comparison and the tests."""
        self._folder.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(self._results, ignore_errors=True)
        self._results.mkdir(parents=True)
        steps: tuple[tuple[str, Callable[[], bool]], ...] = (
            ("bootstrap", lambda: self._bootstrap(mirror)),
            ("install", self._install),
            ("doctor", self._doctor),
            ("replay", lambda: self._replay(reference)),
            ("tests", lambda: self._test(tests)),
        )
        for name, step in steps:
            began = time.monotonic()
            self._console.print(f"Debian {self.outcome.board.debian}: {name} …")
            done = step()
            self.outcome.steps[name] = time.monotonic() - began
            if not done:
                break
        return self.outcome

    def _bootstrap(self, mirror: str) -> bool:
        if not self._root.make(mirror):
            self.outcome.remarks["bootstrap"] = "cached"
        self._root.forget_changes()
        return True

    def _install(self) -> bool:
        command = ["/mnt/wheels/systemd/install.sh", "--wheels", "/mnt/wheels", "--dashboard", "--no-start"]
        return self._inside("install", command)

    def _doctor(self) -> bool:
        """The board's own view of itself, with a broker and with the clip for a camera."""
        command = ["sh", "-c", "mosquitto -p 1883 & exec evenkeel doctor --json >/mnt/$0/doctor.json"]
        code = self._root.run(
            [*command, self._results.name], self._log("doctor"), {"EVENKEEL_CAMERA__SOURCE": "/mnt/clip.mp4"}
        )
        try:
            report = json.loads((self._results / "doctor.json").read_text())
        except (OSError, ValueError):
            self.outcome.faults.append(f"doctor: exit {code} and no report; see {self._log('doctor')}")
            return False
        for check in report["checks"]:
            if check["check"] in UNJUDGED:
                self.outcome.remarks[check["check"]] = check["text"]
            elif check["verdict"] == "fail":
                self.outcome.faults.append(f"doctor: {check['check']}: {check['text']}")
        verdicts = [check["verdict"] for check in report["checks"]]
        self.outcome.remarks["doctor"] = ", ".join(f"{verdicts.count(v)} {v}" for v in ("pass", "warn", "fail"))
        return True

    def _replay(self, reference: Path) -> bool:
        folder = f"/mnt/{self._results.name}"
        if not self._inside("replay", replay_command("evenkeel", "/mnt/clip.mp4", folder)):
            return False
        trace = reference / "trace.jsonl"
        self.outcome.take(compare_traces(trace, self._results / "trace.jsonl"))
        events = compare_events(reference / "events.jsonl", self._results / "events.jsonl", frame_time(trace))
        self.outcome.take(events)
        return True

    def _test(self, tests: Sequence[str]) -> bool:
        python = "/opt/evenkeel/current/bin/python"
        packages = ["-m", "pip", "install", "--quiet", "--no-compile", "--no-index", "--find-links", "/mnt/test-wheels"]
        if not self._inside("test packages", [python, *packages, *packages_for_tests()]):
            return False
        options = ["-q", "-p", "no:cacheprovider", "--timeout", "1800"]
        done = self._inside(
            "tests", [python, "-m", "pytest", *options, *tests], environment={"CI": "true"}, folder="/mnt/suite"
        )
        self.outcome.remarks["tests"] = last_line(self._log("tests"))
        return done

    def _inside(
        self, name: str, command: Sequence[str], environment: dict[str, str] | None = None, folder: str = "/"
    ) -> bool:
        code = self._root.run(command, self._log(name), environment, folder)
        if code:
            self.outcome.faults.append(f"{name}: exit {code}: {last_line(self._log(name))}; see {self._log(name)}")
        return code == 0

    def _log(self, name: str) -> Path:
        return self._folder / f"{name.replace(' ', '-')}.log"


def replay_command(program: str, clip: str, folder: str) -> list[str]:
    """``evenkeel replay`` into ``folder``."""
    return [program, "replay", clip, "--events", f"{folder}/events.jsonl", "--trace", f"{folder}/trace.jsonl"]


def last_line(log: Path) -> str:
    """The last thing that was printed, which is where programs say what is wrong."""
    lines = log.read_text(errors="replace").split("\n")
    return next((line.strip(" =") for line in reversed(lines) if line.strip()), "nothing was printed")


def make_reference(clip: Path, folder: Path) -> float:
    """What this machine makes of the clip; returns the seconds that it took."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    began = time.monotonic()
    program = str(Path(sys.executable).with_name("evenkeel"))
    subprocess.run(replay_command(program, str(clip), str(folder)), check=True, capture_output=True)  # noqa: S603
    return time.monotonic() - began


def show(outcomes: Sequence[Outcome], console: Console) -> None:
    """Times, figures, and what is wrong."""
    table = Table("", *(f"Debian {o.board.debian}, Python {o.board.python}, {o.board.cpu}" for o in outcomes))
    for name in ("bootstrap", "install", "doctor", "replay", "tests"):
        table.add_row(name, *(_step(outcome, name) for outcome in outcomes))
    for name in UNJUDGED:
        table.add_row(f"doctor: {name}, not judged", *(o.remarks.get(name, "") for o in outcomes))
    for name, bound in BOUNDS.items():
        cells = (f"{o.figures[name]:.4f} (at most {bound:g})" if name in o.figures else "" for o in outcomes)
        table.add_row(f"difference: {name}", *cells)
    console.print(table)
    for outcome in outcomes:
        for fault in outcome.faults:
            console.print(f"Debian {outcome.board.debian}: {fault}", style="red", soft_wrap=True, markup=False)


def _step(outcome: Outcome, name: str) -> str:
    if name not in outcome.steps:
        return "not reached"
    remark = outcome.remarks.get(name)
    return f"{outcome.steps[name]:.0f} s" + (f": {remark}" if remark else "")


def main() -> int:
    """Run the boards side by side; 1 where something differs or fails."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--debian", type=int, choices=[board.debian for board in BOARDS], help="only this one")
    parser.add_argument("--folder", type=Path, default=SOURCE / ".board", help="cache and logs")
    parser.add_argument("--mirror", default=MIRROR, help="Debian mirror")
    parser.add_argument("--every", type=int, default=3, metavar="N", help="of the clip, replay every Nth frame; 1: all")
    parser.add_argument("--tests", nargs="+", default=list(TESTS), metavar="PATH", help="tests to run on the boards")
    arguments = parser.parse_args()
    console = Console(soft_wrap=True)
    if os.geteuid() != 0:
        console.print("make board: needs root, for debootstrap and chroot")
        return 1
    try:
        require_emulation()
    except EmulationError as error:
        console.print(f"make board: {error}", markup=False)
        return 1
    boards = [board for board in BOARDS if arguments.debian in (None, board.debian)]
    folder = arguments.folder.resolve()
    stage = folder / "stage"
    make_stage(stage, boards, arguments.every)
    console.print(f"replay on this machine: {make_reference(stage / 'clip.mp4', folder / 'reference'):.0f} s")
    trials = [Trial(board, folder / f"debian{board.debian}", stage, console) for board in boards]
    with ThreadPoolExecutor() as pool:
        run = partial(Trial.run, mirror=arguments.mirror, reference=folder / "reference", tests=arguments.tests)
        outcomes = list(pool.map(run, trials))
    show(outcomes, console)
    return 1 if any(outcome.faults for outcome in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
