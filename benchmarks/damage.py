"""Damage outboxes at random and see what becomes of their alerts.

Each case copies a prepared outbox (of either layout, closed or killed), damages it (rows, pages, files, its log, its
witness, its layout), and lets an outbox live on it for some minutes of its own clock, part of them on a disk that is
full, locked, read-only or another user's. What must be left is what ``.recover`` of SQLite's command finds in a copy of
the damaged files. Ends with 1 where such an alert is lost, an alert is told under two numbers, two alerts under one, or
anything raises.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import random
import re
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.messages import made_alert
from edge.compat import UTC
from edge.domain import Phase, Stamp
from edge.mqtt.messages import Topics
from edge.mqtt.outbox import Bounds, Contents, Outbox, read_contents
from edge.mqtt.outbox.store import FAULTS

START = datetime(2026, 5, 4, 9, 30, tzinfo=UTC)
OWNER = Topics("evenkeel", "van-7")
ROOMY = Bounds(max_bytes=10**7, history_max_bytes=10**7)
FILES = ("", "-wal", "-shm", ".epoch")
NOBODY = 65534
MAIN, WAL, SHM, WITNESS = FILES

Number = tuple[int, int]

OF_VERSION_1: dict[str, Any] = {
    "schema": 1,
    "time": "2026-11-20T14:49:23.336Z",
    "uptime_s": 5858.501,
    "clock_synced": False,
    "id": "01a1f96e-fe88-7cca-9ffd-2ef888df3838",
    "sequence": 4,
    "kind": "distress",
    "phase": "start",
    "level": "warning",
    "started": "2026-11-20T14:49:23.336Z",
    "duration_s": 0.0,
    "score": 0.7167,
    "peak": 0.7167,
    "expression": "sadness",
    "reason": "",
    "models": {"face": "face 0.2.0", "expression": "expression 0.3.0"},
}
"""An alert as 0.1.0 wrote it: such wait on boards for whatever comes later."""


def at(seconds: float) -> Stamp:
    """A moment of the case's own clock."""
    return Stamp(START + timedelta(seconds=seconds), 100.0 + seconds, clock_synced=True)


@dataclass(frozen=True, slots=True)
class Truth:
    """What is in an outbox before it is damaged: payloads by the alert's name, which of them wait, their numbers.

    Alerts of layout 1 have no number yet.
    """

    payloads: Mapping[str, bytes]
    waiting: frozenset[str]
    numbers: Mapping[str, Number]


@dataclass(frozen=True, slots=True)
class Template:
    """A prepared outbox in a folder of its own."""

    name: str
    path: Path
    truth: Truth


@dataclass(slots=True)
class Outcome:
    """What a case showed: how many alerts could be read by the judge, and how many of them all the outbox kept."""

    damages: tuple[str, ...]
    readable: int = 0
    found: int = 0
    faults: list[str] = field(default_factory=list)


def name_of(payload: bytes) -> str:
    """The alert's name, its ``reason`` and ``time``; empty where the payload is none.

    One bit makes another reason of one; in layout 1, which has no checksums, nobody can tell.
    """
    try:
        told = json.loads(payload)
        return f"{told['reason'][:12]} {told['time']}"
    except (ValueError, KeyError, TypeError):
        return ""


# ---- outboxes to damage ----


def templates(folder: Path) -> list[Template]:
    """Outboxes of both layouts, each closed and killed, small and of many pages."""
    return [
        *(_of_layout_2(folder, count, closed=closed) for count in (3, 60) for closed in (True, False)),
        *(_of_layout_1(folder, 40, closed=closed) for closed in (True, False)),
    ]


def _of_layout_2(folder: Path, count: int, *, closed: bool) -> Template:
    name = f"{count} alerts, {'closed' if closed else 'killed'}"
    path = _folder(folder, name)
    lived = path.with_name("lived") / path.name
    outbox = Outbox(lived, OWNER, ROOMY, at(0))
    for index in range(count):
        if index == count // 2:
            outbox.close()
            outbox = Outbox(lived, OWNER, ROOMY, at(index))
        # some are longer than a page
        reason = f"alert-{index}" + "x" * (5000 if index % 9 == 8 else 0)
        outbox.put(made_alert(at(index), reason, phase=(Phase.START, Phase.END)[index % 2]))
        if index % 3 == 1:
            outbox.delivered([waiting.place for waiting in outbox.waiting(0, 1)])
    outbox.set_aside(outbox.waiting(0, 1)[0].place, "for the test")
    if closed:
        outbox.close()
    for suffix in FILES:
        if (file := lived.with_name(lived.name + suffix)).exists():
            shutil.copyfile(file, path.with_name(path.name + suffix))
    outbox.close()
    contents = read_contents(lived)
    rows = [row for part in (contents.waiting, contents.history, contents.aside) for row in part]
    payloads = {name_of(row.payload): row.payload for row in rows}
    numbers = {name_of(row.payload): (row.epoch, row.sequence) for row in rows}
    return Template(name, path, Truth(payloads, frozenset(name_of(row.payload) for row in contents.waiting), numbers))


def _of_layout_1(folder: Path, count: int, *, closed: bool) -> Template:
    """As version 0.1.0 left it."""
    name = f"layout 1, {'closed' if closed else 'killed'}"
    path = _folder(folder, name)
    lived = path.with_name("lived") / path.name
    database = sqlite3.connect(lived, isolation_level=None)
    database.executescript(
        "PRAGMA journal_mode = WAL; PRAGMA user_version = 1;"
        "CREATE TABLE alert"
        "(sequence INTEGER PRIMARY KEY, payload BLOB NOT NULL, is_end INTEGER NOT NULL, stored REAL);"
        "CREATE TABLE counter (id INTEGER PRIMARY KEY CHECK (id = 1), sequence INTEGER NOT NULL);"
        "INSERT INTO counter VALUES (1, 1777886400);"
    )
    payloads = {}
    for index in range(count):
        when = f"2026-05-04T09:{index // 60:02}:{index % 60:02}.000Z"
        message = OF_VERSION_1 | {"sequence": 1777886400 + index, "reason": f"alert-{index}", "time": when}
        payload = json.dumps(message).encode()
        payloads[name_of(payload)] = payload
        database.execute("INSERT INTO alert VALUES (?, ?, 0, NULL)", (message["sequence"], payload))
        database.execute("UPDATE counter SET sequence = ?", (message["sequence"],))
    if closed:
        database.close()
    for suffix in FILES:
        if (file := lived.with_name(lived.name + suffix)).exists():
            shutil.copyfile(file, path.with_name(path.name + suffix))
    database.close()
    return Template(name, path, Truth(payloads, frozenset(payloads), {}))


def _folder(folder: Path, name: str) -> Path:
    made = folder / name.replace(" ", "-").replace(",", "")
    (made / "lived").mkdir(parents=True)
    return made / "outbox.db"


# ---- damages ----


def _file(path: Path, chance: random.Random) -> Path | None:
    """One of the outbox's files that has content, most often the database or its log."""
    files = [path.with_name(path.name + suffix) for suffix in chance.sample((MAIN, MAIN, WAL, WAL, WITNESS, SHM), 6)]
    return next((file for file in files if file.exists() and file.stat().st_size), None)


def _rewrite(path: Path, chance: random.Random, change: Callable[[bytearray], bytes | bytearray]) -> None:
    if (file := _file(path, chance)) is not None:
        file.write_bytes(change(bytearray(file.read_bytes())))


def flip_bits(path: Path, chance: random.Random) -> None:
    """Some bits anywhere."""

    def change(data: bytearray) -> bytearray:
        for _ in range(chance.choice((1, 1, 3, 30))):
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        return data

    _rewrite(path, chance, change)


def overwrite(path: Path, chance: random.Random) -> None:
    """A stretch of zeros, ones or nonsense."""

    def change(data: bytearray) -> bytearray:
        size = min(chance.choice((4, 64, 512, 4096, 20_000)), len(data))
        start = chance.randrange(len(data) - size + 1)
        fill = chance.choice((b"\0" * size, b"\xff" * size, chance.randbytes(size)))
        data[start : start + size] = fill
        return data

    _rewrite(path, chance, change)


def damage_header(path: Path, chance: random.Random) -> None:
    """The first hundred bytes of the database."""
    if path.exists() and len(data := bytearray(path.read_bytes())) > 100:
        for _ in range(chance.choice((1, 2, 10))):
            data[chance.randrange(100)] = chance.randrange(256)
        path.write_bytes(data)


def swap_pages(path: Path, chance: random.Random) -> None:
    """Two pages in each other's place, or one in both."""

    def change(data: bytearray) -> bytearray:
        pages = len(data) // 4096
        if pages > 1:
            one, other = (4096 * number for number in chance.sample(range(pages), 2))
            first, second = data[one : one + 4096], data[other : other + 4096]
            data[other : other + 4096] = first
            if chance.random() < 0.5:
                data[one : one + 4096] = second
        return data

    _rewrite(path, chance, change)


def truncate(path: Path, chance: random.Random) -> None:
    """The end of a file is gone, or all of it."""
    _rewrite(path, chance, lambda data: data[: chance.choice((0, chance.randrange(len(data))))])


def append(path: Path, chance: random.Random) -> None:
    """Nonsense behind the end."""
    _rewrite(path, chance, lambda data: data + chance.randbytes(chance.randrange(1, 9000)))


def remove(path: Path, chance: random.Random) -> None:
    """A file is gone."""
    if (file := _file(path, chance)) is not None:
        file.unlink()


ROW_DAMAGES = (
    "DELETE FROM alert WHERE rowid % 3 = {n}",
    "DELETE FROM alert WHERE rowid = (SELECT max(rowid) FROM alert)",
    "DELETE FROM outbox",
    "DELETE FROM gone",
    "UPDATE outbox SET sequence = {n}",
    "UPDATE outbox SET sequence = sequence - {n}",
    "UPDATE outbox SET epoch = epoch - {n}",
    "UPDATE counter SET sequence = sequence - {n}",
    "UPDATE alert SET sequence = sequence + 1000 WHERE rowid % 3 = {n}",
    "UPDATE alert SET epoch = epoch + 1 WHERE rowid % 3 = {n}",
    "UPDATE alert SET status = 1, place = NULL WHERE rowid % 3 = {n}",
    "UPDATE alert SET stored_s = -1e9 WHERE rowid % 3 = {n}",
    "UPDATE alert SET prefix = 'x', device_id = '#' WHERE rowid % 3 = {n}",
    "UPDATE alert SET payload = x'00' WHERE rowid % 3 = {n}",
    "UPDATE alert SET payload = '{{}}' WHERE rowid % 3 = {n}",
    "DROP TABLE alert",
    "DROP TABLE outbox",
    "DROP TABLE counter",
    "DROP INDEX alert_place",
    "ALTER TABLE alert RENAME TO alarm",
    "ALTER TABLE alert ADD COLUMN more TEXT",
    "PRAGMA user_version = 0",
    "PRAGMA user_version = {n}",
    "PRAGMA application_id = {n}",
    "PRAGMA writable_schema = ON; DELETE FROM sqlite_schema WHERE type = 'index'",
    "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET rootpage = rootpage + 1 WHERE name = 'alert'",
)


def damage_rows(path: Path, chance: random.Random) -> None:
    """Rows, tables and numbers, through SQLite."""
    with (
        contextlib.suppress(*FAULTS),
        contextlib.closing(sqlite3.connect(path, isolation_level=None)) as database,
    ):
        database.execute("PRAGMA wal_autocheckpoint = 0")
        database.execute("PRAGMA secure_delete = ON")
        for statement in chance.choice(ROW_DAMAGES).format(n=chance.randrange(3)).split("; "):
            database.execute(statement)


DAMAGES = (flip_bits, overwrite, damage_header, swap_pages, truncate, append, remove, damage_rows)


# ---- disks that cannot be used ----


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Another process writes for as long as this lasts."""
    with contextlib.closing(sqlite3.connect(path, timeout=0.0, isolation_level=None)) as other:
        with contextlib.suppress(*FAULTS):
            other.execute("BEGIN EXCLUSIVE")
        yield


@contextlib.contextmanager
def full(path: Path) -> Iterator[None]:
    """No file can grow beyond half the size of the largest."""
    largest = max((file.stat().st_size for file in path.parent.iterdir() if file.is_file()), default=0)
    was = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest // 2, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, was)


@contextlib.contextmanager
def usable(path: Path) -> Iterator[None]:
    """Nothing is in the way."""
    del path
    yield


@contextlib.contextmanager
def _of_another_user(path: Path, mode: int) -> Iterator[None]:
    files = [path.parent, *(file for file in path.parent.iterdir() if file.is_file())]
    for file in files:
        file.chmod(0o555 if file.is_dir() else mode)
    root = os.geteuid() == 0  # nothing is forbidden to root
    if root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)
        for file in files:
            if file.exists():
                file.chmod(0o755 if file.is_dir() else 0o644)


def read_only(path: Path) -> contextlib.AbstractContextManager[None]:
    """The files and their folder may be read, not written."""
    return _of_another_user(path, 0o444)


def foreign(path: Path) -> contextlib.AbstractContextManager[None]:
    """The files are another user's and may not even be read."""
    return _of_another_user(path, 0o000)


DISKS = (usable, usable, usable, locked, full, read_only, foreign)


# ---- one case ----


Judge = Callable[[Path], set[bytes]]
"""Tells which payloads can be read in a copy of the damaged files."""


def recovered_by(sqlite: Path) -> Judge:
    """What ``.recover`` of this command finds."""

    def judge(path: Path) -> set[bytes]:
        done = subprocess.run([str(sqlite), str(path), ".recover"], capture_output=True, check=False, timeout=60)  # noqa: S603 - SQLite's own command
        return {bytes.fromhex(found.decode()) for found in re.findall(rb"[xX]'([0-9a-fA-F]{200,})'", done.stdout)}

    return judge


def selected(path: Path) -> set[bytes]:
    """What SQLite still reads row by row."""
    found = set()
    with contextlib.closing(sqlite3.connect(path)) as database:
        for row in range(200):
            with contextlib.suppress(*FAULTS):
                found |= set(database.execute("SELECT payload FROM alert NOT INDEXED WHERE rowid = ?", (row,)))
    return {payload for (payload,) in found if isinstance(payload, bytes)}


def _readable(path: Path, folder: Path, judge: Judge) -> set[bytes]:
    copy = folder / "copy.db"
    for suffix in FILES:
        copy.with_name(copy.name + suffix).unlink(missing_ok=True)
        if (file := path.with_name(path.name + suffix)).exists():
            shutil.copyfile(file, copy.with_name(copy.name + suffix))
    return judge(copy) if copy.exists() else set()


def run_case(template: Template, seed: int, folder: Path, judge: Judge) -> Outcome:
    """Damage a copy of the template and live on it; what is wrong is told in the outcome."""
    chance = random.Random(seed)  # noqa: S311 - repeatable damage, no secret
    path = folder / "outbox.db"
    for file in folder.iterdir():
        file.unlink()
    for suffix in FILES:
        if (file := template.path.with_name(template.path.name + suffix)).exists():
            shutil.copyfile(file, path.with_name(path.name + suffix))
    damages = [chance.choice(DAMAGES) for _ in range(chance.choice((0, 1, 1, 1, 2, 3)))]
    for damage in damages:
        damage(path, chance)
    first_disk, second_disk = chance.choice(DISKS), chance.choice(DISKS)
    outcome = Outcome((*(one.__name__ for one in damages), first_disk.__name__, second_disk.__name__))
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        readable = _readable(path, Path(scratch), judge)
    must = {name for name, payload in template.truth.payloads.items() if payload in readable}
    outcome.readable = len(must)
    try:
        lived = _live(path, first_disk, second_disk)
    except Exception:  # noqa: BLE001 - whatever it is, an outbox must not raise it
        outcome.faults.append(traceback.format_exc(limit=-4))
        return outcome
    _judge(template.truth, must, lived, outcome)
    return outcome


@dataclass(slots=True)
class Life:
    """What an outbox told: every alert that it handed out or was given, with its number, and what it ended with."""

    told: list[tuple[Number, str]] = field(default_factory=list)
    given: list[tuple[Number, str]] = field(default_factory=list)
    contents: Contents = field(default_factory=Contents)
    refused: bool = False
    """Whether the file was left alone, being of a newer layout."""

    def look(self, outbox: Outbox) -> None:
        """Take note of all that waits."""
        self.told += [((one.epoch, one.sequence), name_of(one.payload)) for one in outbox.waiting(0, 10_000)]

    def put(self, outbox: Outbox, seconds: float) -> None:
        """One more alert."""
        stored = outbox.put(made_alert(at(seconds), f"new-{len(self.given)}"))
        self.given.append(((stored.epoch, stored.sequence), name_of(stored.payload())))


Disk = Callable[[Path], contextlib.AbstractContextManager[None]]


def _live(path: Path, first: Disk, second: Disk) -> Life:
    life = Life()
    with first(path):
        outbox = Outbox(path, OWNER, ROOMY, at(1000), busy_s=0.001)
        life.look(outbox)
        life.put(outbox, 1001)
    with second(path):
        for seconds in (1002, 1065, 1070):
            life.put(outbox, seconds)
        life.look(outbox)
    for seconds in (1200, 1300):
        outbox.expire(at(seconds))
        life.put(outbox, seconds)
    life.look(outbox)
    outbox.health()
    outbox.close()
    outbox = Outbox(path, OWNER, ROOMY, at(2000))
    life.put(outbox, 2001)
    life.look(outbox)
    life.refused = outbox.problem is not None and "newer version" in outbox.problem
    outbox.close()
    if not life.refused:
        life.contents = read_contents(path)
    return life


def _judge(truth: Truth, must: set[str], life: Life, outcome: Outcome) -> None:
    last_look = {name for _, name in life.told}
    kept = [row for part in (life.contents.waiting, life.contents.history, life.contents.aside) for row in part]
    held = last_look | {name_of(row.payload) for row in kept}
    outcome.found = len(held & set(truth.payloads))
    must = set() if life.refused else must
    for name in sorted(must & truth.waiting - last_look):
        outcome.faults.append(f"{name} could be read and is not sent")
    for name in sorted(must - held):
        outcome.faults.append(f"{name} could be read and is lost")
    numbers: dict[str, set[Number]] = {}
    names: dict[Number, set[str]] = {}
    sightings = life.told + life.given + [((row.epoch, row.sequence), name_of(row.payload)) for row in kept]
    for number, name in [*sightings, *((number, name) for name, number in truth.numbers.items())]:
        numbers.setdefault(name, set()).add(number)
        names.setdefault(number, set()).add(name)
    for name, its in numbers.items():
        if len(its) > 1 and name:
            outcome.faults.append(f"{name} was told under {len(its)} numbers: {sorted(its)}")
    for number, bearers in names.items():
        if len(bearers) > 1:
            outcome.faults.append(f"number {number} was told of {len(bearers)} alerts: {sorted(bearers)}")
    ends = {name_of(row.payload) for row in kept}
    outcome.faults += [f"{name} was decided and is not kept" for _, name in life.given if ends and name not in ends]


# ---- many cases ----


@contextlib.contextmanager
def folder_in_memory() -> Iterator[Path]:
    """A folder for as long as this lasts, in memory where the system has such: cases sync a lot."""
    memory = Path("/dev/shm")  # noqa: S108 - a folder of our own is made in it
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as made:
        Path(made).chmod(0o755)  # open to the user that a case takes for another
        yield Path(made)


def run_cases(cases: int, seed: int, judge: Judge, *, verbose: bool = True) -> list[tuple[str, int, Outcome]]:
    """Run them; return what each showed, with its template and its seed."""
    logging.disable(logging.CRITICAL)
    outcomes = []
    try:
        with folder_in_memory() as made:
            prepared = templates(made / "templates")
            folder = made / "case"
            folder.mkdir()
            numbers = range(seed, seed + cases)
            for number in track(numbers, console=Console(stderr=True)) if verbose else numbers:
                template = prepared[number % len(prepared)]
                outcomes.append((template.name, number, run_case(template, number, folder, judge)))
    finally:
        logging.disable(logging.NOTSET)
    return outcomes


def main() -> None:
    """Run many cases and tell what they showed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--sqlite", type=Path, required=True, help="a sqlite3 command whose .recover works")
    parser.add_argument("--seed", type=int, default=0, help="of the first case; each case has the next")
    options = parser.parse_args()
    began = time.monotonic()
    outcomes = run_cases(options.cases, options.seed, recovered_by(options.sqlite))
    console = Console(soft_wrap=True)
    bad = [(name, seed, outcome) for name, seed, outcome in outcomes if outcome.faults]
    for name, seed, outcome in bad[:20]:
        console.print(f"case {seed} ({name}; {', '.join(outcome.damages)}): {'; '.join(outcome.faults[:3])}")
    table = Table("outbox", "cases", ".recover reads", "the outbox keeps", "cases with a fault")
    for name in dict.fromkeys(name for name, _, _ in outcomes):
        these = [outcome for of, _, outcome in outcomes if of == name]
        counts = Counter(readable=sum(one.readable for one in these), found=sum(one.found for one in these))
        faults = sum(bool(one.faults) for one in these)
        table.add_row(name, f"{len(these):,}", f"{counts['readable']:,}", f"{counts['found']:,}", f"{faults:,}")
    console.print(table)
    console.print(f"{len(outcomes):,} cases in {time.monotonic() - began:.0f} s, {len(bad)} with a fault")
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
