"""What came of a judge of fatigue on simulated drives of eyes: found, how late, how often for nothing, and why."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration.nights import EyeDrive
from calibration.sleepers import LOOKS
from edge.decision.closures import BLINK_S
from edge.domain import Phase, Transition

MICROSLEEP, DROWSY = "microsleep", "drowsy"
GRACE_S = 0.5
"""An alert that comes so long after the eyes opened still is of that closure."""
MICROSLEEP_S, URGENT_S = 1.5, 3.0
"""Closures are microsleeps, and urgent, from this length on."""
WANTED_S = 2.0
"""Microsleeps of at least this length are to be found."""
MINUTE_S = 60.0
DROWSY_SHARE = 0.15
"""A minute with so large a share of closed eyes is a drowsy one."""
SHARE = 0.12
"""The rivals' share of closed time in a minute that is drowsy, which is the judge's."""
LEAST_RATIO = 0.2
"""Eye aspect ratio below which an eye is closed: Soukupová and Čech, Computer Vision Winter Workshop 2016."""
OWN_RATIO = 0.8
"""The same as a share of the driver's own; the best of MRL's people whom the eye model was trained on."""
LATE_S = 5.0
"""A drowsy minute is found by an alert, of either cause, that is open in it or so long after."""
LOOKING: tuple[str, ...] = ("down", "squint", "laugh")
"""What may be mistaken for closed eyes; the lids are apart."""
CAUSES: tuple[str, ...] = ("down", "squint", "laugh", "sneeze", "rub", "reflection", "stall", "glance")
"""What a false alert may come of: what went on in the seconds before it, else misread eyes."""
CAUSED_S = 3.0


@dataclass(frozen=True)
class Told:
    """What was said in one drive.

    ``starts`` are times with the cause of the alerts that began or took on another cause then, ``urgent`` when alerts
    became urgent, ``open`` the spans of open alerts with their cause.
    """

    starts: tuple[tuple[float, str], ...]
    urgent: tuple[float, ...]
    open: tuple[tuple[float, float, str], ...]


def told(transitions: Iterable[Transition], end_s: float) -> Told:
    """What the transitions of a drive of ``end_s`` say of fatigue."""
    starts: list[tuple[float, str]] = []
    urgent: list[float] = []
    spans: list[tuple[float, float, str]] = []
    since: tuple[float, str] | None = None
    for each in transitions:
        if each.kind != "fatigue":
            continue
        cause = each.cause or ""
        if each.phase is Phase.ESCALATE:
            urgent.append(each.t)
        if since is not None and (each.phase is Phase.END or cause != since[1]):
            spans.append((since[0], each.t, since[1]))
            since = None
        if each.phase is not Phase.END and since is None:
            starts.append((each.t, cause))
            since = each.t, cause
    if since is not None:
        spans.append((since[0], end_s, since[1]))
    return Told(tuple(starts), tuple(urgent), tuple(spans))


@dataclass(frozen=True)
class FatigueOutcome:
    """What came of one drive.

    ``microsleeps`` are (length, delay from MICROSLEEP_S of closure or NaN where nothing was said, urgent) of each true
    one; ``minutes`` of drowsiness with those ``found``; ``false`` are causes of false starts with what they came of;
    ``looking`` is by look (seconds, of them counted as closed).
    """

    hours: float
    microsleeps: tuple[tuple[float, float, bool], ...]
    minutes: int
    found: int
    false: tuple[tuple[str, str], ...]
    looking: dict[str, tuple[float, float]]

    def false_of(self, cause: str) -> int:
        """How many false starts are of this cause."""
        return sum(each == cause for each, _ in self.false)


def outcome(drive: EyeDrive, said: Told, closed: NDArray[np.bool_]) -> FatigueOutcome:
    """Hold what was ``said`` in a drive against what is true; ``closed`` (F,) are frames taken for closed eyes."""
    sleeps = drive.script.told.get("microsleep", [])
    ends = drowsy_minutes(drive)
    found = sum(any(start < end + LATE_S and last > end - MINUTE_S for start, last, _ in said.open) for end in ends)
    return FatigueOutcome(
        drive.hours,
        tuple(_microsleep(said, start, end) for start, end in sleeps),
        len(ends),
        found,
        tuple((cause, _came_of(drive, t)) for t, cause in said.starts if not _is_true(drive, t, cause)),
        _looking(drive, closed),
    )


def perclos(drive: EyeDrive, at: NDArray[np.float64]) -> NDArray[np.float64]:
    """True share of closed eyes in the minute before each of the times ``at``, blinks of under BLINK_S left out."""
    slow = [(start, end) for start, end in drive.script.closures if end - start >= BLINK_S]
    starts, ends = np.array(slow).reshape(-1, 2).T
    lasting = np.r_[0.0, np.cumsum(ends - starts)]

    def until(t: NDArray[np.float64]) -> NDArray[np.float64]:
        """Seconds of closure before ``t``."""
        place = np.searchsorted(starts, t)
        over = np.maximum((ends[place - 1] if len(ends) else t) - t, 0.0)
        return np.asarray(lasting[place] - np.where(place > 0, over, 0.0))

    return np.asarray((until(at) - until(at - MINUTE_S)) / MINUTE_S)


def drowsy_minutes(drive: EyeDrive) -> list[float]:
    """Ends of the minutes of drowsy spells, one after the other, with a share of DROWSY_SHARE or more."""
    ends = [
        start + MINUTE_S * (n + 1)
        for start, end in drive.script.told.get("spell", [])
        for n in range(int((end - start) // MINUTE_S))
    ]
    return [end for end, share in zip(ends, perclos(drive, np.array(ends)), strict=True) if share >= DROWSY_SHARE]


def _microsleep(said: Told, start: float, end: float) -> tuple[float, float, bool]:
    own = [t for t, cause in said.starts if cause == MICROSLEEP and start <= t <= end + GRACE_S]
    delay = own[0] - (start + MICROSLEEP_S) if own else float("nan")
    return end - start, delay, any(start <= t <= end + GRACE_S for t in said.urgent)


def _is_true(drive: EyeDrive, t: float, cause: str) -> bool:
    """Whether a start at ``t`` tells of something true: a closure, or a minute that is at least nearly drowsy."""
    script = drive.script
    if cause == MICROSLEEP:
        sleepy = [*script.told.get("microsleep", ()), *script.told.get("spell", ())]
        return any(start <= t <= end + GRACE_S for start, end in sleepy)
    return any(start <= t <= end + MINUTE_S for start, end in script.told.get("spell", ())) or bool(
        perclos(drive, np.array([t]))[0] >= DROWSY_SHARE / 2
    )


def _came_of(drive: EyeDrive, t: float) -> str:
    """What went on in the seconds before a false start."""
    for name in CAUSES:
        if any(start < t and end > t - CAUSED_S for start, end in drive.script.told.get(name, ())):
            return name
    return "misread"


def _looking(drive: EyeDrive, closed: NDArray[np.bool_]) -> dict[str, tuple[float, float]]:
    """By look: seconds in which it was seen, and those of them that counted as closed eyes."""
    lasts = np.minimum(np.diff(drive.t, append=drive.t[-1]), 0.2)
    found = {}
    for name in LOOKING:
        own = drive.seen & (drive.look == LOOKS.index(name))
        found[name] = float(lasts[own].sum()), float(lasts[own & closed].sum())
    return found


Rule = Callable[[EyeDrive], tuple[Told, NDArray[np.bool_]]]
"""A rival: what it says of a drive, and which frames (F,) it takes for closed eyes."""


def threshold_rule(drive: EyeDrive, below: float) -> tuple[Told, NDArray[np.bool_]]:
    """The plainest rule: closed below a threshold, MICROSLEEP_S without a break or SHARE of a minute, blinks and all.

    An eye that cannot be read is taken as it is read.
    """
    closed = drive.seen & (drive.eyes[:, :2].mean(1) < below)
    spells = _drowsy_spells(drive.t, closed)
    long = _long_closures(drive.t, closed)
    starts = long + [(start, cause) for start, _, cause in spells]
    return Told(
        tuple(sorted(starts)), (), tuple(sorted(spells + [(t, t + LATE_S, MICROSLEEP) for t, _ in long]))
    ), closed


def fixed(drive: EyeDrive) -> tuple[Told, NDArray[np.bool_]]:
    """The mean of both eyes below half, whoever drives."""
    return threshold_rule(drive, 0.5)


def calibrated(drive: EyeDrive) -> tuple[Told, NDArray[np.bool_]]:
    """Below half of the median of the driver's first minute."""
    first = drive.seen & (drive.t < MINUTE_S)
    return threshold_rule(drive, 0.5 * float(np.median(drive.eyes[first, :2].mean(1))))


RIVALS: dict[str, Rule] = {"fixed threshold": fixed, "calibrated threshold": calibrated}


def narrow(drive: EyeDrive) -> tuple[Told, NDArray[np.bool_]]:
    """Eyes whose aspect ratio is below LEAST_RATIO, whoever drives."""
    return threshold_rule(drive, LEAST_RATIO)


def narrower(drive: EyeDrive) -> tuple[Told, NDArray[np.bool_]]:
    """Below OWN_RATIO of the median of the driver's first minute."""
    first = drive.seen & (drive.t < MINUTE_S)
    return threshold_rule(drive, OWN_RATIO * float(np.median(drive.eyes[first, :2].mean(1))))


OUTLINE_RIVALS: dict[str, Rule] = {"fixed eye aspect ratio": narrow, "calibrated eye aspect ratio": narrower}
"""Rules on the eye aspect ratio instead of the eye model's openness (``calibration.lid_outline``)."""


def _long_closures(t: NDArray[np.float64], closed: NDArray[np.bool_]) -> list[tuple[float, str]]:
    edges = np.flatnonzero(np.diff(np.r_[False, closed, False].astype(np.int8)))
    found = []
    for first, last in edges.reshape(-1, 2).tolist():
        if t[last - 1] - t[first] >= MICROSLEEP_S:
            found.append((float(t[np.searchsorted(t, t[first] + MICROSLEEP_S)]), MICROSLEEP))
    return found


def _drowsy_spells(t: NDArray[np.float64], closed: NDArray[np.bool_]) -> list[tuple[float, float, str]]:
    """When the last minute's share of closed frames was SHARE or more; spells of less than LATE_S apart are one."""
    lasting = np.r_[0.0, np.cumsum(np.minimum(np.diff(t, append=t[-1]), 0.4) * closed)]
    before = np.searchsorted(t, t - MINUTE_S)
    drowsy = (lasting[:-1] - lasting[before] >= SHARE * MINUTE_S) & (t >= MINUTE_S)
    edges = np.flatnonzero(np.diff(np.r_[False, drowsy, False].astype(np.int8))).reshape(-1, 2)
    found: list[tuple[float, float, str]] = []
    for start, end in zip(t[edges[:, 0]].tolist(), t[edges[:, 1] - 1].tolist(), strict=True):
        if found and start - found[-1][1] < LATE_S:
            found[-1] = found[-1][0], end, DROWSY
        else:
            found.append((start, end, DROWSY))
    return found


def total_looking(outcomes: Sequence[FatigueOutcome]) -> dict[str, tuple[float, float]]:
    """By look all seconds, and those counted as closed."""
    return {
        name: (sum(each.looking[name][0] for each in outcomes), sum(each.looking[name][1] for each in outcomes))
        for name in LOOKING
    }
