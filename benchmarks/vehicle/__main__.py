"""Boot whole machines in QEMU and break what a vehicle breaks: cameras, disks, clocks, power.

``python -m benchmarks.vehicle --debian 12 --arch amd64``, as root. The first run makes the disk; every run
goes on where the last one stopped, for ``--minutes`` at most. README.md in this folder says what is looked at, and what
came of it.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

from rich.console import Console

from benchmarks.board.stage import SOURCE
from benchmarks.debian import MIRROR
from benchmarks.server import free_port
from benchmarks.vehicle.checks import CHECKS
from benchmarks.vehicle.cuts import SERIES, cut_power, plan
from benchmarks.vehicle.guest import GuestError
from benchmarks.vehicle.image import make_image
from benchmarks.vehicle.image.build import BuildError
from benchmarks.vehicle.lab import Lab
from benchmarks.vehicle.outcome import FaultError, ImpossibleError, Outcome, Results, Verdict
from benchmarks.vehicle.page import RESULTS, read_all, write_page
from benchmarks.vehicle.sockets import AnswerError
from benchmarks.vehicle.systems import SYSTEMS, MissingError, System, require, system_of
from edge.compat import UTC


class Run:
    """One slice over one system: what is not done yet, until the time is up."""

    def __init__(self, lab: Lab, until: float, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._lab = lab
        self._path = lab.folder / RESULTS
        self._until = until
        self._console = console
        self._clock = clock
        self.results = Results.read(self._path)

    def check(self, names: Sequence[str], *, again: bool) -> None:
        """Run the checks of these names; those that have passed are not repeated but with ``again``."""
        for check in CHECKS:
            done = self.results.checks.get(check.name)
            passed = done is not None and done.verdict is not Verdict.FAIL
            boots = check is CHECKS[0] and not self._lab.warm.made
            if check.name not in names or (passed and not again and not boots):
                continue
            if self._clock() >= self._until:
                return
            began = self._clock()
            verdict, text = judge(lambda look=check.look: look(self._lab))  # type: ignore[misc]
            self.results.checks[check.name] = Outcome(verdict, text, round(self._clock() - began, 1), _today())
            self._keep(f"{check.name}: {verdict}: {text}")
            if check is CHECKS[0] and verdict is Verdict.FAIL:
                return  # everything else goes on from there

    def cut(self, series: Sequence[str], cuts: int) -> None:
        """Cut the power until each series has so many, the series taking turns."""
        while self._clock() < self._until:
            due = [name for name in SERIES if name in series and self._count(name) < cuts]
            if not due:
                return
            name = min(due, key=self._count)
            number = self._count(name)
            try:
                cut = cut_power(self._lab, plan(name, number))
            except (FaultError, GuestError, AnswerError) as error:
                self._console.print(f"{name}, cut {number + 1}: no cut was made: {error}", markup=False)
                return
            self.results.cuts.append(cut)
            said = "; ".join(cut.faults) or f"{cut.alerts} alerts stored before, none lost or renumbered"
            self._keep(f"{name}, cut {number + 1} at {cut.at_s:.1f} s: {said}")

    def _count(self, name: str) -> int:
        return sum(cut.series == name for cut in self.results.cuts)

    def _keep(self, line: str) -> None:
        self.results.write(self._path)
        self._console.print(line, markup=False)


def judge(look: Callable[[], str]) -> tuple[Verdict, str]:
    """What a check comes to, in a word and a line."""
    try:
        return Verdict.PASS, look()
    except ImpossibleError as error:
        return Verdict.IMPOSSIBLE, str(error)
    except (FaultError, GuestError, AnswerError) as error:
        return Verdict.FAIL, " ".join(str(error).split())


def _today() -> str:
    return f"{datetime.now(UTC):%Y-%m-%d}"


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="make vehicle", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--debian", type=int, choices=sorted({system.debian for system in SYSTEMS}), default=12)
    parser.add_argument("--arch", choices=sorted({system.arch for system in SYSTEMS}), default="amd64")
    parser.add_argument("--folder", type=Path, default=SOURCE / ".vehicle", help="disks, logs and results")
    parser.add_argument("--mirror", default=MIRROR, help="Debian mirror")
    parser.add_argument("--minutes", type=_positive, default=30.0, help="begin nothing new after so long (30)")
    parser.add_argument("--cuts", type=int, default=20, metavar="N", help="power cuts in each series, 0: none (20)")
    parser.add_argument("--only", metavar="TEXT", help="only checks and series whose name holds this")
    parser.add_argument("--again", action="store_true", help="repeat checks that have passed")
    parser.add_argument(
        "--write", action="store_true", help="write the tables of all systems into the page, run nothing"
    )
    found = parser.parse_args(arguments)
    if found.cuts < 0:
        parser.error("--cuts: 0 or more")
    if found.only and not _named(found.only, [check.name for check in CHECKS] + list(SERIES)):
        parser.error(f"--only {found.only}: no check and no series is named so")
    return found


def _positive(text: str) -> float:
    if (value := float(text)) <= 0:
        raise ValueError
    return value


def _named(only: str | None, names: Sequence[str]) -> list[str]:
    return [name for name in names if only is None or only in name]


def run(options: argparse.Namespace, system: System, console: Console) -> Results:
    """Make what is missing, then a slice of checks and cuts."""
    until = time.monotonic() + options.minutes * 60
    folder = options.folder.resolve() / system.name
    lab = Lab(system, make_image(system, folder, options.mirror), folder, free_port())
    if not lab.is_of_this_machine():
        lab.forget()
    slice_ = Run(lab, until, console)
    checks = _named(options.only, [check.name for check in CHECKS])
    if not lab.warm.made:
        checks = [CHECKS[0].name, *checks]
    slice_.check(checks, again=options.again)
    if lab.warm.made:
        slice_.cut(_named(options.only, SERIES), options.cuts)
    return slice_.results


def main() -> int:
    """A slice, or the page; 1 where something is wrong, 2 where this machine lacks what it takes."""
    options = parse()
    console = Console(soft_wrap=True)
    try:
        if options.write:
            write_page(read_all(options.folder.resolve()))
            return 0
        system = system_of(options.debian, options.arch)
        require(system)
        results = run(options, system, console)
    except (MissingError, BuildError, ValueError) as error:
        console.print(f"make vehicle: {error}", markup=False)
        return 2
    for fault in results.faults:
        console.print(f"{system.title}: {fault}", style="red", markup=False)
    return 1 if results.faults else 0


if __name__ == "__main__":
    sys.exit(main())
