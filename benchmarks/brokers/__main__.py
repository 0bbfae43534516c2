"""Try the device on real brokers with their tightest limits, while broker, device and network come and go.

``python -m benchmarks.brokers``. Each row is a broker of its own on loopback, a real device process (real outbox,
publisher and topics, everything as shipped) and a receiver with its database. The device decides some tens of alerts
while broker, device, receiver and connections are killed; then everything that it decided must be in the database,
once and in order, and what the broker does not let through must be named in the device's problems.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import logging
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.brokers.aedes import MODULES, RELEASE
from benchmarks.brokers.rows import ROWS, Row
from benchmarks.faults import What, plan_faults
from benchmarks.server import BrokerError, program
from benchmarks.tally import Tally
from benchmarks.world import FallenError, living

ALERT_HZ = 3.0
PACE_S = (1.0, 3.0)
FAULTS = (What.BROKER, What.BROKER, What.DEVICE, What.DEVICE, What.COLLECTOR, What.CUT, What.CUT, What.OUTAGE)
SETTLE_S = 120.0
SAY_S = 210.0
"""A device that gives a message up does so after breaks of the connection, between which it waits up to a minute."""

REPORT = Path(__file__).parent.parent / "brokers.md"
PACKAGES = ("mosquitto", "rabbitmq-server", "ejabberd")

PAGE = """# Brokers and their limits

Written by `make brokers ARGS=--write` (seed {seed}). Each row is a broker, a device and `evenkeel collect`, the latter
two as they are shipped. While the device decides, broker, device and collector are killed and the network fails,
{faults} times a row; at two of three starts the broker has lost its memory. Counted in the collector's database.

| broker | limit | decided | stored | lost | out of order | twice | what the device's health names |
|---|---|---|---|---|---|---|---|
"""


@dataclasses.dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one row."""

    broker: str
    version: str
    limit: str
    decided: int
    received: int
    lost: int
    order_broken: int
    doubles: int
    seconds: float
    problems: tuple[str, ...]
    fault: str | None

    @property
    def counts(self) -> tuple[int, ...]:
        """The numbers of the table."""
        return self.decided, self.received, self.lost, self.order_broken, self.doubles

    @property
    def line(self) -> str:
        """The outcome in a few words."""
        return f"{self.received} of {self.decided} in {self.seconds:.0f} s" + (
            f": {self.fault.splitlines()[0]}" if self.fault else ""
        )

    @property
    def passed(self) -> bool:
        """Whether all is as wanted."""
        return self.fault is None


def main() -> None:
    """Run the rows and print their table; exit status 1 where one of them failed or, in CI, is missing."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", default="", help="rows whose name holds this, such as 'rabbit' or 'max_qos'")
    parser.add_argument("--seed", type=int, default=1, help="another seed: other moments for the faults")
    parser.add_argument("--jobs", type=int, default=3, help="so many rows side by side")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--write", action="store_true", help=f"write the table to {REPORT.name}")
    parser.add_argument("--keep", type=Path, help="keep each row's logs and databases in a folder below this one")
    parser.add_argument("--install", action="store_true", help="install the brokers first (apt-get, npm)")
    options = parser.parse_args()
    if options.install:
        install()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))  # so that all processes end with this one
    logging.disable(logging.INFO)
    console = Console(stderr=options.json, soft_wrap=True, width=None if sys.stdout.isatty() else 120)
    rows = [row for row in ROWS if options.only.lower() in row.name.lower()]
    if not rows:
        parser.error(f"no row's name holds {options.only!r}; there are: {', '.join(row.name for row in ROWS)}")
    missing = {row.kind.name: reason for row in rows if (reason := row.kind.missing())}
    for reason in missing.values():
        console.print(f"left out: {reason}", style="yellow")
    outcomes = try_rows([row for row in rows if row.kind.name not in missing], options, console)
    if options.json:
        sys.stdout.write(json.dumps([dataclasses.asdict(outcome) for outcome in outcomes], indent=2) + "\n")
    else:
        console.print(table(outcomes))
        console.print(said(outcomes), highlight=False, markup=False)
    if options.write and len(outcomes) == len(ROWS):
        REPORT.write_text(report(outcomes, options.seed))
    elif options.write:
        console.print(f"{REPORT.name} is left as it is: not every row was tried", style="yellow")
    left_out = missing and os.environ.get("CI")  # what is not tried there is a failure
    sys.exit(bool(left_out or not outcomes or not all(outcome.passed for outcome in outcomes)))


def install() -> None:
    """Install the brokers as the system's administrator.

    None of them needs to run as a service, though Debian starts them so where there is systemd.
    """
    apt = ["apt-get", "install", "-qy", "--no-install-recommends", *PACKAGES]
    if program("node") is None or program("npm") is None:
        apt += ["nodejs", "npm"]
    sudo = [] if os.geteuid() == 0 else ["sudo"]
    npm = ["npm", "install", "--no-audit", "--no-fund", "--prefix", str(MODULES.parent), f"aedes@{RELEASE}"]
    MODULES.parent.mkdir(parents=True, exist_ok=True)
    for command in ([*sudo, "apt-get", "update", "-q"], [*sudo, *apt], npm):
        subprocess.run(command, check=True)  # noqa: S603 - fixed commands


def try_rows(rows: Sequence[Row], options: argparse.Namespace, console: Console) -> list[Outcome]:
    """Several rows side by side: most of their time is waiting."""

    def run(row: Row) -> Outcome:
        outcome = try_row(row, random.Random(options.seed), options.keep)  # noqa: S311 - faults, not secrets
        console.print(f"{row.name}: {outcome.line}", style="dim", highlight=False)
        return outcome

    pool = ThreadPoolExecutor(options.jobs)
    try:
        return list(pool.map(run, rows))
    finally:
        pool.shutdown(cancel_futures=True)


def try_row(row: Row, chance: random.Random, keep: Path | None = None) -> Outcome:
    """One row from the broker's first start to the count."""
    began = time.monotonic()
    kinds = list(FAULTS)
    chance.shuffle(kinds)
    faults = plan_faults(chance, kinds, devices=1, pace_s=PACE_S)
    tally, fault = Tally(), None
    problems: tuple[str, ...] = ()
    with _folder(row, keep) as folder:
        try:
            with living(row.make(folder), {"van-7": {"alert-hz": ALERT_HZ}}, protocol=row.protocol) as world:
                world.play(faults)
                if row.named is not None:
                    for device in world.devices:
                        device.quieten()
                    _wait(lambda: _names(world.devices[0].decisions().problems, row.named), SAY_S)
                world.settle(SETTLE_S)
                tally, problems = world.tally(), world.devices[0].decisions().problems
        except (BrokerError, FallenError, TimeoutError) as error:
            fault = str(error)
    return Outcome(
        broker=row.kind.name,
        version=row.kind.version(),
        limit=row.limit,
        decided=tally.decided,
        received=tally.received,
        lost=tally.lost,
        order_broken=tally.order_broken,
        doubles=tally.doubles,
        seconds=time.monotonic() - began,
        problems=problems,
        fault=fault or judge(row, tally, problems),
    )


def judge(row: Row, tally: Tally, problems: Sequence[str]) -> str | None:
    """What is not as wanted, in a few words; None where everything is."""
    if not tally.decided:
        return "nothing was decided"
    if tally.lost or tally.order_broken or tally.doubles:
        return "alerts lost, doubled or out of order"
    if row.named is not None and not _names(problems, row.named):
        return f"no problem tells: {row.named}"
    return None


def _names(problems: Sequence[str], word: str | None) -> bool:
    return word is not None and any(word.lower() in problem.lower() for problem in problems)


def _wait(condition: Callable[[], bool], deadline_s: float) -> None:
    end = time.monotonic() + deadline_s
    while not condition() and time.monotonic() < end:
        time.sleep(0.5)


@contextmanager
def _folder(row: Row, keep: Path | None) -> Iterator[Path]:
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="evenkeel-broker-") as name:
            yield Path(name)
    else:
        folder = keep.resolve() / re.sub(r"\W+", "-", row.name)
        folder.mkdir(parents=True)
        yield folder


def table(outcomes: Sequence[Outcome]) -> Table:
    """For people at a terminal."""
    made = Table(title="Brokers and their limits: what was decided, and what the database holds", title_justify="left")
    for column in ("broker", "limit"):
        made.add_column(column, overflow="fold")
    for column in ("decided", "stored", "lost", "out of order", "twice"):
        made.add_column(column, justify="right")
    made.add_column("")
    for one in outcomes:
        verdict = "[green]ok[/green]" if one.passed else "[red]failed[/red]"
        made.add_row(f"{one.broker} {one.version}", one.limit, *map(str, one.counts), verdict)
    return made


def said(outcomes: Sequence[Outcome]) -> str:
    """What failed, and what the devices said to be wrong: for below the table."""
    lines = [f"{one.broker}, {one.limit}: FAILED: {one.fault}" for one in outcomes if one.fault]
    lines += [f"{one.broker}, {one.limit}: {problem}" for one in outcomes for problem in one.problems]
    return "\n".join(lines)


def report(outcomes: Sequence[Outcome], seed: int) -> str:
    """The same as a page."""
    lines = PAGE.format(seed=seed, faults=len(FAULTS)).splitlines()
    lines += [
        f"| {one.broker} {one.version} | {one.limit} | {' | '.join(map(str, one.counts))} | {'; '.join(one.problems)} |"
        for one in outcomes
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
