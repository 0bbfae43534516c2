"""Power cuts at random moments of a running machine, and what its next boot finds."""

from __future__ import annotations

import contextlib
import random
import re
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.vehicle.checks import LOOP_S, waiting
from benchmarks.vehicle.disk import ForgetfulDisk, served
from benchmarks.vehicle.guest import BOOT_S, Guest, GuestError, overlay
from benchmarks.vehicle.lab import READY_S, Frozen, Lab, Machine, is_online, is_ready
from benchmarks.vehicle.outcome import Cut, FaultError
from benchmarks.vehicle.sockets import AnswerError
from benchmarks.vehicle.stored import Number, Stored, compare, known, last_stored, read_outbox

ALERTS = "alerts leave"
AWAY = "alerts wait, the broker is away"
FORGETS = "alerts leave, the disk forgets what was not flushed"
FORGETS_AWAY = "alerts wait, the disk forgets what was not flushed"
FIRST_START = "first start"
ROLL_BACK = "going back to the release before"
ROLL_BACK_FORGETS = "going back, the disk forgets what was not flushed"
SERIES = (ALERTS, AWAY, FORGETS, FORGETS_AWAY, FIRST_START, ROLL_BACK, ROLL_BACK_FORGETS)
_WAIT = {AWAY, FORGETS_AWAY}
_FORGET = {FORGETS, FORGETS_AWAY, ROLL_BACK_FORGETS}
_SWITCH = {ROLL_BACK, ROLL_BACK_FORGETS}

LONGEST_S = dict.fromkeys(SERIES, 30.0) | {FIRST_START: 45.0, ROLL_BACK: 40.0, ROLL_BACK_FORGETS: 40.0}
"""A cut comes at any moment up to so long, by its own clock, after the machine went on or was switched on."""

AT_ONCE_S = 0.3
"""Every second cut comes within so long after an alert was heard, or seen in the outbox: it was stored just now."""

SHARES = (0.0, 0.5, 0.9)
"""How much of what was not flushed outlives a cut; each in its turn."""

FSCK = "fsck.mode=force"
"""The boot after a cut looks at the whole file system, not only at its journal."""

SETTLE_S = 60.0
POLL_S = 0.1

_RELEASE = """
readlink /opt/evenkeel/current
cmp -s /opt/evenkeel/current/systemd/evenkeel.service /etc/systemd/system/evenkeel.service && echo same || echo other
evenkeel --version
"""


@dataclass(frozen=True, slots=True)
class Plan:
    """When a cut comes. With ``after_alert`` the time is that since the next alert, else since the machine went on."""

    series: str
    at_s: float
    after_alert: bool
    share: float


def plan(series: str, number: int, seed: int = 0) -> Plan:
    """The ``number``-th cut (from 0) of a series; the same one whenever it is asked for."""
    chance = random.Random(f"{series} {number} {seed}")  # noqa: S311 - moments, not secrets
    after_alert = series not in {FIRST_START, *_SWITCH} and number % 2 == 1
    at_s = chance.uniform(0.0, AT_ONCE_S) if after_alert else chance.uniform(1.0, LONGEST_S[series])
    return Plan(series, at_s, after_alert, SHARES[number % len(SHARES)])


def cut_power(lab: Lab, planned: Plan) -> Cut:
    """Let the machine go on, cut its power as planned, boot it again and look at what is left."""
    with _disk(lab, planned) as disk:
        frozen = _frozen(lab, planned.series)
        if frozen is None:
            before, at_s = _first_start(lab, disk.options, planned)
        else:
            before, at_s = _while_alerts(lab, frozen, disk.options, planned)
        forgotten = disk.cut(planned)
        with lab.booted(disk.options, words=(FSCK,), name="after-cut") as machine:
            faults, repaired, boot_s = _look(machine, before)
    return Cut(planned.series, round(at_s, 2), len(before), forgotten, repaired, round(boot_s, 1), tuple(faults))


@dataclass(frozen=True, slots=True)
class _Disk:
    options: Mapping[str, Any]
    forgetful: ForgetfulDisk | None = None

    def cut(self, planned: Plan) -> int:
        """What losing power does to it beyond the machine's own loss."""
        if self.forgetful is None:
            return 0
        return self.forgetful.cut(random.Random(planned.at_s), planned.share)  # noqa: S311


@contextlib.contextmanager
def _disk(lab: Lab, planned: Plan) -> Iterator[_Disk]:
    frozen = _frozen(lab, planned.series)
    if planned.series in _FORGET and frozen is not None:
        forgetful = ForgetfulDisk(_flat(frozen.disk))
        with served(forgetful, lab.folder / "disk.socket") as options:
            yield _Disk(options, forgetful)
    else:
        yield _Disk(overlay(lab.image.disk if frozen is None else frozen.disk, lab.folder / "cut.qcow2"))


def _flat(disk: Path) -> Path:
    """The same disk as one raw file."""
    flat = disk.with_suffix(".flat.raw")
    if not flat.exists() or flat.stat().st_mtime < disk.stat().st_mtime:
        command = ["qemu-img", "convert", "-q", "-O", "raw", str(disk), str(flat)]
        if subprocess.run(command, check=False).returncode:  # noqa: S603
            raise GuestError(f"qemu-img cannot make {flat}")
    return flat


def _frozen(lab: Lab, series: str) -> Frozen | None:
    """From where a series goes on: an alert has just begun, with the broker there or away; None: switched on."""
    if series == FIRST_START:
        return None
    away = series in _WAIT
    name = "waiting" if away else "alerting"
    frozen = Frozen(lab.folder / f"{name}.state", lab.folder / f"{name}.qcow2")
    newer_warm = not frozen.made or frozen.state.stat().st_mtime < lab.warm.state.stat().st_mtime
    if newer_warm:
        frozen.state.unlink(missing_ok=True)
        disk = overlay(lab.warm.disk, frozen.disk)
        with lab.going_on(disk=disk) as machine:
            _come_to(machine, away=away)
            machine.guest.freeze(frozen.state)
    return frozen


def _come_to(machine: Machine, *, away: bool) -> None:
    if not machine.listener.wait(lambda: bool(machine.listener.alerts()), LOOP_S):
        raise GuestError("no alert came, so there is no moment to cut the power at")
    if away:
        machine.guest.tell("systemctl stop mosquitto")
        machine.guest.until("an alert waits", lambda: waiting(machine.guest) >= 1, LOOP_S)


def _while_alerts(
    lab: Lab, frozen: Frozen, disk: Mapping[str, Any], planned: Plan
) -> tuple[dict[Number, Mapping[str, Any]], float]:
    with lab.going_on(frozen, disk) as machine:
        guest, listener = machine.guest, machine.listener
        began_s = guest.uptime_s()
        stored = read_outbox(guest)
        if planned.series in _SWITCH:
            guest.tell("systemd-run --unit=back /opt/evenkeel/current/systemd/install.sh --rollback")
        if planned.series in _WAIT:
            stored = _watch_outbox(guest, planned, stored, began_s)
        elif planned.after_alert:
            if not listener.wait(lambda: bool(listener.alerts()), LOOP_S):
                raise FaultError(f"no alert within {LOOP_S:.0f} s")
            time.sleep(planned.at_s)
        else:
            guest.until("the moment of the cut", lambda: guest.uptime_s() >= began_s + planned.at_s, LOOP_S, POLL_S)
        at_s = guest.uptime_s() - began_s if not planned.after_alert else planned.at_s
        guest.cut()
        return known(listener.alerts(), stored), at_s


def _watch_outbox(guest: Guest, planned: Plan, stored: Stored, began_s: float) -> Stored:
    """Look into the outbox again and again, until an alert is new there or the time has come."""
    there = len(stored.rows)
    while True:
        stored = last_stored(guest, stored)
        if planned.after_alert and len(stored.rows) > there:
            time.sleep(planned.at_s)
            return stored
        passed_s = guest.uptime_s() - began_s
        if not planned.after_alert and passed_s >= planned.at_s:
            return stored
        if passed_s > LOOP_S:
            raise FaultError(f"no alert was stored within {LOOP_S:.0f} s")


def _first_start(lab: Lab, disk: Mapping[str, Any], planned: Plan) -> tuple[dict[Number, Mapping[str, Any]], float]:
    with lab.booted(disk, name="first-start") as machine:
        guest = machine.guest
        guest.until("the moment of the cut", lambda: seen_s(guest) >= planned.at_s, BOOT_S, POLL_S)
        guest.cut()
        return known(machine.listener.alerts(), Stored()), planned.at_s


def seen_s(guest: Guest) -> float:
    """How long a machine runs that may not answer yet: by its kernel's last line on the console, s."""
    console = guest.console()
    if "login:" in console:
        return guest.uptime_s()
    return max((float(found) for found in re.findall(r"^\[ *([0-9]+\.[0-9]+)\]", console, re.MULTILINE)), default=0.0)


def _look(machine: Machine, before: Mapping[Number, Mapping[str, Any]]) -> tuple[list[str], bool, float]:
    """What is wrong after the boot, whether the file system had to be repaired, and when the service was ready, s."""
    guest, listener = machine.guest, machine.listener
    try:
        guest.boot()
        guest.until("the unit is active", lambda: is_ready(guest), READY_S)
        boot_s = guest.uptime_s()
        guest.until("the device is online", lambda: is_online(listener), SETTLE_S)
        after = read_outbox(guest)
        checked = guest.tell("journalctl -b -o cat --no-pager -u systemd-fsck-root")
        errors = guest.tell("cat /sys/fs/ext4/vda/errors_count")
    except (GuestError, AnswerError) as error:
        return [str(error)], False, 0.0
    faults = compare(before, after) + file_system_faults(checked, errors)
    due = {number for number, row in after.rows.items() if number in before and row.waits}
    if not listener.wait(lambda: due <= _heard(machine), SETTLE_S):
        faults.append(f"waited and never left: {sorted(due - _heard(machine))}")
    return faults + release_faults(guest.tell(_RELEASE)), "MODIFIED" in checked, boot_s


def _heard(machine: Machine) -> set[Number]:
    return {(one["epoch"], one["sequence"]) for one in machine.listener.alerts()}


def release_faults(told: str) -> list[str]:
    """What is wrong with what is installed: the link names one release, which is whole and whose unit is in force."""
    release, unit_is_its_own, answer = (*told.splitlines(), "", "", "")[:3]
    faults = []
    if not re.fullmatch(r"releases/[0-9]+", release):
        faults.append(f"the link to the release that runs says {release!r}")
    if unit_is_its_own != "same":
        faults.append(f"the unit is not that of {release}")
    if not answer.startswith("evenkeel "):
        faults.append(f"{release} does not answer: {answer!r}")
    return faults


def file_system_faults(checked: str, errors: str) -> list[str]:
    """What e2fsck and the kernel say of the file system, where it is more than a journal that was played back."""
    faults = [line.strip() for line in checked.splitlines() if "UNEXPECTED INCONSISTENCY" in line or "Error" in line]
    if errors.strip() not in {"", "0"}:
        faults.append(f"the kernel counts {errors.strip()} errors of the file system")
    return faults
