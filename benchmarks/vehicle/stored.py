"""What an outbox in the emulated machine holds, and what a power cut may not have done to it."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from benchmarks.vehicle.guest import Guest
from benchmarks.vehicle.sockets import AnswerError

OUTBOX = "/var/lib/evenkeel/outbox.db"
Number = tuple[int, int]
"""An alert's epoch and sequence."""

_READ = """
import base64, json, sqlite3
database = sqlite3.connect("file:OUTBOX?mode=ro", uri=True, timeout=10)
rows = database.execute("SELECT epoch, sequence, place IS NOT NULL, payload FROM alert ORDER BY epoch, sequence")
alerts = [[epoch, sequence, bool(waits), json.loads(payload)] for epoch, sequence, waits, payload in rows]
counter = database.execute("SELECT epoch, sequence FROM outbox").fetchone()
sound = database.execute("PRAGMA integrity_check").fetchone()[0]
print(json.dumps(dict(alerts=alerts, counter=counter, sound=sound)))
""".replace("OUTBOX", OUTBOX)


@dataclass(frozen=True, slots=True)
class Kept:
    """An alert in the database."""

    content: Mapping[str, Any]
    waits: bool


@dataclass(frozen=True, slots=True)
class Stored:
    """An outbox: its alerts, the newest number it has given, and what SQLite says of the file."""

    rows: Mapping[Number, Kept] = field(default_factory=dict)
    newest: Number = (0, 0)
    sound: str = "ok"


def read_outbox(guest: Guest) -> Stored:
    """What lies in the database now; nothing where there is none yet."""
    if guest.run(f"test -s {OUTBOX}").code:
        return Stored()
    script = base64.b64encode(_READ.encode()).decode()
    return parse(guest.tell(f"echo {script} | base64 -d | python3 -I -"))


def last_stored(guest: Guest, before: Stored) -> Stored:
    """The same, where the machine may be too busy to tell: then what was known before."""
    try:
        return read_outbox(guest)
    except AnswerError:
        return before


def parse(text: str) -> Stored:
    """What ``read_outbox``'s program prints."""
    content = json.loads(text)
    rows = {(epoch, sequence): Kept(alert, waits) for epoch, sequence, waits, alert in content["alerts"]}
    return Stored(rows, tuple(content["counter"] or (0, 0)), content["sound"])


def known(alerts: Iterable[Mapping[str, Any]], stored: Stored) -> dict[Number, Mapping[str, Any]]:
    """Every alert that was stored: those that came outside, as they were stored before, and those that lie there."""
    heard = {(one["epoch"], one["sequence"]): one for one in alerts}
    return heard | {number: row.content for number, row in stored.rows.items()}


def compare(before: Mapping[Number, Mapping[str, Any]], after: Stored) -> list[str]:
    """What is wrong with an outbox after a cut, one line each, given the alerts that were stored before."""
    faults = []
    if after.sound != "ok":
        faults.append(f"SQLite: {after.sound}")
    lost = sorted(number for number in before if number not in after.rows)
    if lost:
        faults.append(f"lost: {', '.join(map(_shown, lost))}")
    for number, content in sorted(before.items()):
        row = after.rows.get(number)
        if row is not None and _identity(row.content) != _identity(content):
            faults.append(f"renumbered: {_shown(number)} is another alert now")
    newest = max(before, default=(0, 0))
    if after.newest < newest:
        faults.append(f"counts on from {_shown(after.newest)}, behind {_shown(newest)}")
    if before and after.newest[0] != newest[0]:
        faults.append(f"began another epoch: {_shown(after.newest)} after {_shown(newest)}")
    return faults


def _identity(content: Mapping[str, Any]) -> dict[str, Any]:
    """An alert without what tells of its delivery."""
    return {name: value for name, value in content.items() if name != "resent"}


def _shown(number: Number) -> str:
    return f"{number[0]}/{number[1]}"
