"""Simulated drives of eyes: when lids close, for how long, and what else makes them look closed; drawn by a seed.

A drive is a list of spans in which the driver's eyes do something, painted over open eyes, at the times of a camera's
frames. What the eye model reads of each is a driver's (``calibration.sleepers``). Nobody is sleepy in an *awake* drive;
in one of *microsleeps* an otherwise awake driver's eyes close for 0.5 to 6 s, each time alone; a *drowsy* one has
spells of slow closures; a *night* has it all, one after the other.

Times are seconds. Eyes are closed where the lids leave less than a fifth of the aperture at rest (PERCLOS P80).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from calibration.sleepers import CONDITIONS, LOOKS, VIEWS, Condition, Look, Sleeper
from edge.decision.judges.fatigue import WIDER
from edge.domain import EXPRESSION, EXPRESSIONS, EYE_NAMES, EYES, READABLE, Face, Observation, Quality, Reading, Sight
from edge.pipeline import EYES_HOLD_S, WIDE_OPEN

Sort = Literal["awake", "microsleeps", "drowsy", "night"]
SORTS: tuple[Sort, ...] = get_args(Sort)
RATES: tuple[float, ...] = (10.0, 15.0, 30.0)
"""Frames a second, dealt to the drives in turn."""
LENGTH_S: dict[Sort, float] = {"awake": 1800.0, "microsleeps": 1500.0, "drowsy": 1200.0, "night": 2400.0}

BLINKS_PER_MIN, BLINKS_SPREAD, BLINKS_MOST = 15.0, 0.4, 40.0
"""Median over drivers and its logarithm's spread. Log-normal: Bentivoglio et al., Movement Disorders 12, 1997 (17 a
minute at rest, 26 in talk); 8 to 21 with the gaze ahead: Doughty, Optometry and Vision Science 78, 2001."""
LID_S = 0.1
"""A lid closes in about so long, and opens in as long or up to twice that; the longest blinks last 0.5 s, of which the
eye is covered for up to 0.3 s: Stern, Walrath, Goldstein, Psychophysiology 21, 1984."""
BLINK_S, BLINK_SPREAD, BLINK_LONGEST_S = 0.08, 0.5, 0.3
"""How long an awake blink is shut: median, spread of the logarithm, most."""
DROWSY_BLINK_S = 0.2
"""The same median of a drowsy driver: blinks grow longer, reopening slower, the share of long ones rises (Caffier,
Erdmann, Ullsperger, European Journal of Applied Physiology 89, 2003; Schleicher et al., Ergonomics 51, 2008)."""
SLOW_S = (0.4, 1.4)
"""Slow closures of a drowsy spell, all shorter than a microsleep."""
SHARES = (0.16, 0.35)
"""Of a drowsy spell: the share of time with closed eyes. 6 % fresh, 10.5 % at the first microsleep of a second and 12 %
on leaving the lane are means of drivers on a closed track (abstract in Journal of Vision 12, 2012)."""
SPELL_S = (180.0, 270.0)
MICROSLEEP_S = (0.5, 6.0)
"""Their logarithms are spread evenly. Simulators find longer ones, 5 to 9 s on average (Golz et al., Driving Assessment
Conference 6, 2011), which are easier."""
APART_S = (60.0, 100.0)
"""From one microsleep to the next, so that they do not add up to a drowsy minute."""
GAZE_S, GAZE_SPREAD, GAZE_LONGEST_S = 0.5, 0.6, 3.0
"""How long a look at one point lasts; with each the eyes' picture is another."""

PER_HOUR = {"down": 60.0, "squint": 12.0, "laugh": 8.0, "glance": 30.0, "sneeze": 1.0, "rub": 2.0, "stall": 6.0}
"""Of what an awake driver does. Wearers of glasses have reflections besides."""
REFLECTIONS_PER_HOUR = 20.0
LASTS_S = {
    "down": (1.0, 3.0),
    "squint": (2.0, 20.0),
    "laugh": (1.0, 4.0),
    "glance": (0.5, 1.5),
    "sneeze": (0.4, 1.2),
    "rub": (1.0, 3.0),
    "stall": (0.3, 2.5),
    "reflection": (1.0, 15.0),
}
"""From the shortest to the longest; logarithms are spread evenly. A look at the dash: Taoka, ITE Journal 60, 1990."""
LAUGH_SHUT_S, LAUGH_SHUT = (0.2, 0.8), 0.3
"""Who laughs shuts the eyes for so long at a time, for so large a share of it."""
LAUGH_READ = 0.9
"""Share of laughs that the expression model reads as happiness, which tells the judge why the eyes are shut."""
LOST = 0.01
"""Share of frames that are lost one by one."""
FLICKERS = 0.2
"""Share of drives in which the lamp flickers: for DARK of the time pictures are dark, at a beat of 0.3 to 5 Hz."""
DARK = 0.3
DULL, DULL_S, THINNED_S = 0.75, 0.3, 0.35
"""Where the eyes are read as open as this for so long before and after, frames are thinned to one in so long."""


@dataclass(frozen=True, slots=True)
class Span:
    """What the eyes do from ``start`` to ``end``; ``name`` is what it belongs to."""

    start: float
    end: float
    look: Look
    name: str


@dataclass(frozen=True)
class Script:
    """What happens in a drive.

    ``spans`` paint the looks, later ones over earlier ones. ``hidden`` are conditions with the eyes they are of (0, 1),
    ``away`` when no face is seen, ``stalls`` when no picture comes. ``closures`` are the true ones, sorted; ``told``
    are spans by what they are, for the figures.
    """

    length_s: float
    spans: tuple[Span, ...]
    hidden: tuple[tuple[float, float, Condition, tuple[int, ...]], ...] = ()
    away: tuple[tuple[float, float], ...] = ()
    stalls: tuple[tuple[float, float], ...] = ()
    flicker_hz: float = 0.0
    told: dict[str, list[tuple[float, float]]] = field(default_factory=dict)

    @property
    def closures(self) -> list[tuple[float, float]]:
        """When the lids are shut, sorted."""
        return sorted((span.start, span.end) for span in self.spans if span.look == "closed")


@dataclass(frozen=True)
class EyeDrive:
    """A drive as the eye model reads it, F frames.

    ``t`` (F,), ``seen`` (F,) whether a face is, ``eyes`` (F, 4) in the order EYE_NAMES, ``look`` (F,) places in LOOKS,
    ``happy`` (F,) whether the face is read as happy, else as calm.
    """

    driver: str
    drawn: bool
    glasses: bool
    sort: Sort
    fps: float
    script: Script
    t: NDArray[np.float64]
    seen: NDArray[np.bool_]
    eyes: NDArray[np.float32]
    look: NDArray[np.int8]
    happy: NDArray[np.bool_]

    @property
    def hours(self) -> float:
        """How long it lasts."""
        return self.script.length_s / 3600

    @property
    def openness(self) -> NDArray[np.float32]:
        """How far the eyes are read as open (F,), by both or by the one that can be read; NaN where none can."""
        readable = self.eyes[:, 2:] >= READABLE
        wide = np.where(readable, self.eyes[:, :2], -1.0).max(1)
        narrow = np.where(readable, self.eyes[:, :2], np.inf).min(1)
        both = np.where(readable.any(1), WIDER * wide + (1 - WIDER) * narrow, np.nan)
        return np.where(self.seen, both, np.nan).astype(np.float32)

    def thinned(self) -> NDArray[np.int64]:
        """Frames that the decision is given: all but most of those amid eyes that are wide open."""
        dull = np.nan_to_num(self.openness, nan=0.0) >= DULL
        eventful = self.t[~dull]
        after = np.searchsorted(eventful, self.t - DULL_S)
        near = after < np.searchsorted(eventful, self.t + DULL_S, side="right")
        step = np.floor(self.t / THINNED_S)
        first = np.r_[True, np.diff(step) > 0]
        return np.flatnonzero(near | first | np.r_[near[1:], False])

    def observations(self, *, thin: bool = True) -> Iterator[Observation]:
        """What the decision gets: a calm or a happy face with the eyes' readings."""
        rows = self.thinned() if thin else np.arange(len(self.t))
        face = Face((0.0, 0.0, 160.0, 160.0), np.zeros((5, 2), np.float32), 1.0)
        quality = Quality(0.5, 0.5, 160.0, 0.0, 0.0, 0.0, 1.0)
        calm, happy = (face_of(name) for name in ("neutral", "happiness"))
        parts = (part[rows] for part in (self.t, self.seen, self.happy))
        for (t, seen, laughs), eyes in zip(
            zip(*(part.tolist() for part in parts), strict=True), self.eyes[rows], strict=True
        ):
            if not seen:
                yield Observation(t, Sight.NO_FACE)
                continue
            readings = {EXPRESSION: happy if laughs else calm, EYES: Reading(EYE_NAMES, eyes)}
            yield Observation(t, Sight.FACE, face, quality, readings)


def face_of(name: str) -> Reading:
    """A face that is read as showing this expression."""
    probabilities = np.full(len(EXPRESSIONS), 0.01, np.float32)
    probabilities[EXPRESSIONS.index(name)] += 1 - probabilities.sum()
    return Reading.expression(probabilities)


def drive(sort: Sort, seed: int, driver: Sleeper) -> EyeDrive:
    """One drive of a driver, all drawn from ``seed``; its frame rate is that of the seed's turn."""
    rng = np.random.default_rng([seed, SORTS.index(sort)])
    return film(rng, write(rng, sort, glasses=driver.glasses), sort, RATES[seed % len(RATES)], driver)


def write(rng: Generator, sort: Sort, *, glasses: bool) -> Script:
    """What happens in a drive of this sort."""
    length_s = LENGTH_S[sort]
    writer = _Writer(rng, length_s)
    if sort in ("microsleeps", "night"):
        writer.microsleeps(60.0, length_s if sort == "microsleeps" else length_s / 2)
    if sort in ("drowsy", "night"):
        writer.spells(240.0 if sort == "drowsy" else length_s / 2, length_s)
    writer.awake(glasses=glasses)
    return writer.script()


class _Writer:
    """Writes one script. What comes first keeps its time: nothing is put where something is already."""

    def __init__(self, rng: Generator, length_s: float) -> None:
        self._rng, self._length_s = rng, length_s
        self._spans: list[Span] = []
        self._hidden: list[tuple[float, float, Condition, tuple[int, ...]]] = []
        self._taken: list[tuple[float, float]] = []
        self._told: dict[str, list[tuple[float, float]]] = {}

    def script(self) -> Script:
        """All that was written."""
        flicker = float(np.exp(self._rng.uniform(np.log(0.3), np.log(5)))) if self._rng.random() < FLICKERS else 0.0
        return Script(
            self._length_s,
            tuple(self._spans),
            tuple(self._hidden),
            tuple(self._told.get("glance", ())),
            tuple(self._told.get("stall", ())),
            flicker,
            self._told,
        )

    def microsleeps(self, start: float, end: float) -> None:
        """Eyes that close slowly, stay shut and open again, one by one."""
        t = start + self._rng.uniform(0, APART_S[0])
        while t < end - 2 * MICROSLEEP_S[1]:
            shut_s = self._even_log(MICROSLEEP_S)
            first, last = self._close(
                t, shut_s, self._rng.uniform(0.15, 0.4), self._rng.uniform(0.15, 0.4), "microsleep"
            )
            self._tell("microsleep", first, last)
            self._taken.append((t - 3.0, last + 4.0))
            t = last + self._rng.uniform(*APART_S)

    def spells(self, start: float, end: float) -> None:
        """Drowsy spells: lids that hang, long blinks, and slow closures up to a share of the time."""
        t = start
        while t + SPELL_S[0] < end:
            until = min(t + self._rng.uniform(*SPELL_S), end)
            self._taken.append((t, until))
            self._spell(t, until, self._rng.uniform(*SHARES))
            self._tell("spell", t, until)
            t = until + self._rng.uniform(200.0, 300.0)

    def _spell(self, start: float, end: float, share: float) -> None:
        if self._rng.random() < 0.7:
            self._spans.append(Span(start, end, "half", "spell"))
        t = start
        while t < end - SLOW_S[1] - 1.0:
            slow = self._rng.random() < 0.6
            shut_s = self._even_log(SLOW_S) if slow else self._log_normal(DROWSY_BLINK_S, BLINK_SPREAD, 0.5)
            _, last = self._close(t, shut_s, self._rng.uniform(0.1, 0.3), self._rng.uniform(0.15, 0.4), "spell")
            mean_s = 0.6 * 0.8 + 0.4 * DROWSY_BLINK_S
            t = last + 0.35 + max(0.1, self._rng.exponential(max(mean_s / share - mean_s - 0.8, 0.1)))

    def awake(self, *, glasses: bool) -> None:
        """What else a driver does, wherever there is room, and blinks in between."""
        rates = {**PER_HOUR, **({"reflection": REFLECTIONS_PER_HOUR} if glasses else {})}
        for name, per_hour in rates.items():
            for t in np.sort(
                self._rng.uniform(2, self._length_s - 25, self._rng.poisson(per_hour * self._length_s / 3600))
            ):
                self._put(name, float(t), self._even_log(LASTS_S[name]))
        self._blinks()

    def _put(self, name: str, t: float, length_s: float) -> None:
        end = t + length_s
        if any(start < end + 1.0 and t - 1.0 < last for start, last in self._taken):
            return
        self._taken.append((t, end))
        self._tell(name, t, end)
        if name in ("down", "squint", "laugh"):
            self._spans.append(Span(t, end, LOOKS[LOOKS.index(name)], name))
        if name == "laugh":
            self._shut_in_laughter(t, end)
            if self._rng.random() < LAUGH_READ:
                self._tell("happiness", t, end)
        if name == "sneeze":
            self._close(t, length_s, 0.1, 0.15, name)
        if name in ("rub", "reflection"):
            both = name == "rub" or self._rng.random() < 0.3
            eyes = (0, 1) if both else (int(self._rng.integers(2)),)
            self._hidden.append((t, end, "covered" if name == "rub" else "dazzled", eyes))

    def _shut_in_laughter(self, start: float, end: float) -> None:
        t = start + self._rng.uniform(0.1, 0.5)
        while True:
            shut_s = self._even_log(LAUGH_SHUT_S)
            if t + shut_s + 0.2 > end:
                return
            _, t = self._close(t, shut_s, 0.05, 0.1, "laugh")
            t += shut_s * (1 / LAUGH_SHUT - 1)

    def _blinks(self) -> None:
        per_min = min(self._log_normal(BLINKS_PER_MIN, BLINKS_SPREAD, BLINKS_MOST), BLINKS_MOST)
        shut = sorted((span.start - 0.6, span.end + 0.6) for span in self._spans if span.look == "closed")
        starts, ends = np.array(shut).reshape(-1, 2).T
        t = 0.5
        while (t := t + 0.4 + self._rng.exponential(60 / per_min - 0.4)) < self._length_s - 2:
            place = int(np.searchsorted(starts, t, side="right")) - 1
            if place >= 0 and t < ends[place]:
                continue
            shut_s = self._log_normal(BLINK_S, BLINK_SPREAD, BLINK_LONGEST_S)
            self._close(t, shut_s, LID_S, LID_S * self._rng.uniform(1, 2), "blink")

    def _close(self, t: float, shut_s: float, closing_s: float, opening_s: float, name: str) -> tuple[float, float]:
        """Lids go down from ``t`` on, stay shut, go up; when they are closed (P80) from and to.

        They move evenly, so that a lid is closed for the last fifth of its way, and nearly so for the fifth before.
        """
        near, first = t + 0.6 * closing_s, t + 0.8 * closing_s
        last = first + shut_s
        away = last + 0.2 * opening_s
        self._spans += [
            Span(t, near, "closing", name),
            Span(near, first, "nearly closed", name),
            Span(first, last, "closed", name),
            Span(last, away, "nearly closed", name),
            Span(away, last + 0.8 * opening_s, "closing", name),
        ]
        return first, last

    def _tell(self, name: str, start: float, end: float) -> None:
        self._told.setdefault(name, []).append((start, end))

    def _even_log(self, ends: tuple[float, float]) -> float:
        return float(np.exp(self._rng.uniform(*np.log(ends))))

    def _log_normal(self, median: float, spread: float, most: float) -> float:
        return min(float(median * np.exp(self._rng.normal(0, spread))), most)


def film(rng: Generator, script: Script, sort: Sort, fps: float, driver: Sleeper) -> EyeDrive:
    """The script as a camera sees it and the eye model reads it."""
    t = frame_times(rng, script, fps)
    look = np.zeros(len(t), np.int8)
    for span in script.spans:
        first, last = np.searchsorted(t, (span.start, span.end))
        look[first:last] = LOOKS.index(span.look)
    condition = np.zeros((len(t), 2), np.int8)
    if script.flicker_hz:
        condition[np.mod(t * script.flicker_hz, 1.0) < DARK] = CONDITIONS.index("dark")
    for start, end, name, sides in script.hidden:
        first, last = np.searchsorted(t, (start, end))
        condition[first:last, list(sides)] = CONDITIONS.index(name)
    seen = ~_within(t, script.away)
    eyes = _read(rng, driver, look, condition, _moments(rng, t, look))
    return EyeDrive(
        driver.name,
        driver.drawn,
        driver.glasses,
        sort,
        fps,
        script,
        t,
        seen,
        held(t, eyes),
        look,
        _within(t, script.told.get("happiness", ())),
    )


def held(t: NDArray[np.float64], eyes: NDArray[np.float32]) -> NDArray[np.float32]:
    """The readings (F, 4) as the pipeline passes them on: wide open eyes stand for the moment after them too."""
    fresh_from = np.searchsorted(t, t + EYES_HOLD_S, side="right")
    following = np.where(eyes.min(1) >= WIDE_OPEN, fresh_from, np.arange(1, len(t) + 1)).tolist()
    read, place = [], 0
    while place < len(t):
        read.append(place)
        place = following[place]
    return np.asarray(eyes[np.repeat(read, np.diff([*read, len(t)]))])


def frame_times(rng: Generator, script: Script, fps: float) -> NDArray[np.float64]:
    """When frames come (F,): steady but for jitter, some lost one by one, none in a stall."""
    count = int(script.length_s * fps)
    t = np.asarray((np.arange(count) + np.clip(rng.normal(0, 0.05, count), -0.3, 0.3) + 0.5) / fps, np.float64)
    return np.asarray(t[(rng.random(count) >= LOST) & ~_within(t, script.stalls)], np.float64)


def _within(t: NDArray[np.float64], spans: Sequence[tuple[float, float]]) -> NDArray[np.bool_]:
    inside = np.zeros(len(t), bool)
    for start, end in spans:
        first, last = np.searchsorted(t, (start, end))
        inside[first:last] = True
    return inside


def _moments(rng: Generator, t: NDArray[np.float64], look: NDArray[np.int8]) -> NDArray[np.float64]:
    """Which moment of its look each frame is of (F,), 0 to 1: one for each look at one point.

    Closed eyes look at nothing: a closure is of one moment throughout.
    """
    points, now = [], 0.0
    while now < t[-1]:
        now += min(float(GAZE_S * np.exp(rng.normal(0, GAZE_SPREAD))), GAZE_LONGEST_S)
        points.append(now)
    gaze = np.searchsorted(points, t)
    stretch = np.cumsum(np.r_[0, np.diff(look) != 0])
    drawn = rng.random((2, len(points) + len(t) + 1))
    shut = look == LOOKS.index("closed")
    return np.asarray(np.where(shut, drawn[0][stretch], drawn[1][gaze]))


def _read(
    rng: Generator, driver: Sleeper, look: NDArray[np.int8], condition: NDArray[np.int8], moment: NDArray[np.float64]
) -> NDArray[np.float32]:
    """The eyes' readings (F, 4)."""
    count = len(look)
    found = np.zeros((count, 4), np.float32)
    views = rng.integers(VIEWS, size=(count, 2))
    for number, name in enumerate(LOOKS):
        rows = np.flatnonzero(look == number)
        table = driver.looks[name]
        place = (moment[rows] * table.shape[1]).astype(int)
        for eye in range(2):
            read = table[condition[rows, eye], place, eye, views[rows, eye]]
            found[rows, eye], found[rows, 2 + eye] = read[:, 0], read[:, 1]
    return found
