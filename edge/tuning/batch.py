"""Many drives and many thresholds at once: the arithmetic of the decision over arrays, moment by moment.

The same rules as ``edge.decision``, but for pauses. A test holds both to the same alerts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edge.decision.expression_judge import (
    BESIDE_TIMES,
    EXIT_PART,
    FADE_S,
    LEAK,
    LEAK_OPEN,
    LEAK_UNSEEN,
    RARE,
    RELEASE_S,
    SELDOM,
    ExpressionSettings,
)
from edge.decision.interval import MAX_STEP_S
from edge.decision.smoothing import TIME_CONSTANT_S
from edge.domain import MAX_GAP_S, Kind
from edge.tuning.score import GRACE_S, LEAST_S, Episode, Score, Starts

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Batch:
    """D drives side by side, T moments each; a shorter one is filled up with moments of no length.

    ``kinds`` are the K kinds that go by expressions. ``t``, ``elapsed_s`` and ``seen_s`` are (T, D), as in
    ``Interval``; ``gain_s`` is what a moment's reading speaks for and ``weight`` how much it counts; ``read`` (K, T, D)
    are the frame's own signals. ``episode`` (K, T, D) is the index in ``episodes`` of what a moment belongs to, -1
    outside.
    """

    kinds: tuple[Kind, ...]
    t: Floats
    elapsed_s: Floats
    spoken_s: Floats
    weight: Floats
    read: Floats
    episode: NDArray[np.int32]
    episodes: tuple[Episode, ...]
    hours: float

    @property
    def seen_s(self) -> Floats:
        """Seconds of good sight in each moment (T, D)."""
        return self.spoken_s * self.weight

    def part(self, drives: Sequence[int]) -> Batch:
        """Some of the drives alone, numbered anew in the order given, with their episodes."""
        columns = list(drives)
        kept = [number for number, each in enumerate(self.episodes) if each.drive in columns]
        place = np.full(len(self.episodes) + 1, -1, np.int32)  # the last one is what -1, outside, stays
        place[kept] = np.arange(len(kept))
        elapsed_s = self.elapsed_s[:, columns]
        return Batch(
            self.kinds,
            self.t[:, columns],
            elapsed_s,
            self.spoken_s[:, columns],
            self.weight[:, columns],
            self.read[:, :, columns],
            place[self.episode[:, :, columns]],
            tuple(replace(self.episodes[n], drive=columns.index(self.episodes[n].drive)) for n in kept),
            float(np.minimum(elapsed_s, MAX_GAP_S).sum()) / 3600,
        )


@dataclass(frozen=True)
class Rules:
    """C sets of thresholds, (C,) each; the other values are those of ``base``.

    While an alert of another kind is on, one needs ``beside_times`` the evidence.
    """

    enter: Floats
    hold_s: Floats
    base: ExpressionSettings
    beside_times: float = BESIDE_TIMES

    @property
    def exit(self) -> Floats:
        """Signals below which an alert is on its way out (C,)."""
        return EXIT_PART * self.enter


@dataclass(frozen=True)
class Evidence:
    """What a way of following an expression makes of a batch: smoothed ``signals`` (K, T, D) and what adds up.

    ``shares`` (K, T, D) tell for how much of the time a driver shows as much. Without them the signals themselves add
    up: a second at ``enter`` or above is a second of evidence, one at ``exit`` or below takes LEAK_OPEN away.
    """

    signals: Floats
    shares: Floats | None = None

    def part(self, drives: Sequence[int]) -> Evidence:
        """That of some of the drives alone."""
        columns = list(drives)
        return Evidence(self.signals[:, :, columns], None if self.shares is None else self.shares[:, :, columns])


def make_batch(
    kinds: Sequence[Kind],
    times: Sequence[Floats],
    weights: Sequence[Floats],
    reads: Sequence[Floats],
    episodes: Sequence[Episode],
) -> Batch:
    """Put drives side by side: for each its times (T,), weights (T,) and signals (K, T) in the order of ``kinds``."""
    length, count = max(map(len, times)), len(times)
    t, weight, read = np.zeros((length, count)), np.zeros((length, count)), np.zeros((len(kinds), length, count))
    elapsed = np.zeros((length, count))
    episode = np.full((len(kinds), length, count), -1, np.int32)
    for drive, (when, weigh, signals) in enumerate(zip(times, weights, reads, strict=True)):
        size = len(when)
        t[:size, drive], t[size:, drive] = when, when[-1]
        elapsed[1:size, drive] = np.diff(when)
        weight[:size, drive], read[:, :size, drive] = weigh, signals
    for number, each in enumerate(episodes):
        if each.kind not in kinds:
            continue
        when = times[each.drive]
        inside = slice(*np.searchsorted(when, [each.start, each.end + GRACE_S]))
        episode[kinds.index(each.kind), inside, each.drive] = number
    hours = float(np.minimum(elapsed, MAX_GAP_S).sum()) / 3600
    spoken = np.minimum(elapsed, MAX_STEP_S)
    return Batch(tuple(kinds), t, elapsed, spoken, weight, read, episode, tuple(episodes), hours)


def smooth(batch: Batch, time_constant_s: float = TIME_CONSTANT_S) -> Floats:
    """Signals (K, T, D) as ``Smoother`` makes them of the frames' own."""
    keep = np.exp(-batch.elapsed_s / time_constant_s)
    gain = batch.weight * -np.expm1(-batch.spoken_s / time_constant_s)
    total, mass = np.zeros(batch.read.shape[::2]), np.zeros(batch.t.shape[1])
    out = np.empty_like(batch.read)
    for n in range(len(batch.t)):
        total = total * keep[n] + gain[n] * batch.read[:, n]
        mass = mass * keep[n] + gain[n]
        out[:, n] = np.where(mass > 1e-30, total / np.maximum(mass, 1e-30), 0.0)
    return np.minimum(out, 1.0)


def run_rules(
    batch: Batch, evidence: Evidence, rules: Rules, on_step: Callable[[], None] = lambda: None
) -> list[dict[Kind, Score]]:
    """For each of the C rules the score of each kind."""
    return [
        {kind: score for kind, (score, _) in of_kind.items()}
        for of_kind in follow_rules(batch, evidence, rules, on_step)
    ]


def follow_rules(
    batch: Batch, evidence: Evidence, rules: Rules, on_step: Callable[[], None] = lambda: None
) -> list[dict[Kind, tuple[Score, Starts]]]:
    """For each of the C rules the score of each kind, and where its alerts start.

    It is ``ExpressionJudge`` over the ``evidence``, one call a moment.
    """
    events: list[NDArray[np.int64]] = []
    state = _State((len(batch.kinds), batch.t.shape[1], len(rules.enter)))
    seen, blank = batch.seen_s[..., None], (batch.elapsed_s - batch.seen_s)[..., None]
    for n in range(len(batch.t)):
        on_step()
        score = evidence.signals[:, n, :, None]
        rate = _rate(score, None if evidence.shares is None else evidence.shares[:, n, :, None], rules)
        started = state.step(score, rate, seen[n], blank[n], batch.elapsed_s[n][:, None], rules)
        if started.any():
            kind, drive, rule = np.nonzero(started)
            events.append(np.stack([np.full(len(kind), n), kind, drive, rule]))
    found = np.concatenate(events, axis=1) if events else np.empty((4, 0), np.int64)
    of_rule = [found[:3, found[3] == rule] for rule in range(len(rules.enter))]
    return [
        {kind: _outcome(batch, kind, events[:, events[1] == code]) for code, kind in enumerate(batch.kinds)}
        for events in of_rule
    ]


def _outcome(batch: Batch, kind: Kind, events: NDArray[np.int64]) -> tuple[Score, Starts]:
    """Events (3, N) as ``_score`` takes them."""
    moment, _, drive = events
    return _score(batch, kind, events), np.stack([drive.astype(np.float64), batch.t[moment, drive]], axis=1)


def _rate(score: Floats, share: Floats | None, rules: Rules) -> Floats:
    """Seconds of evidence (K, D, C) that a second of sight adds."""
    if share is None:
        calmness = np.minimum(1.0, (rules.enter - score) / (rules.enter - rules.exit))
        return np.where(score >= rules.enter, 1.0, -LEAK_OPEN * calmness)
    usual, seldom = np.log(share), np.log(SELDOM)
    above = np.minimum((seldom - usual) / np.log(SELDOM / RARE), 1.0)
    return np.asarray(np.where(share > SELDOM, -LEAK * (1.0 - usual / seldom), above))


class _State:
    """Evidence and open alerts, (K, D, C) each."""

    def __init__(self, shape: tuple[int, int, int]) -> None:
        self.evidence, self.calm, self.faded = np.zeros(shape), np.zeros(shape), np.zeros(shape)
        self.clearest = np.zeros(shape)
        self.cooled, self.unseen = np.full(shape, np.inf), np.zeros(shape)
        self.open, self.age = np.zeros(shape, bool), np.zeros(shape)

    def step(
        self, score: Floats, rate: Floats, seen: Floats, blank: Floats, elapsed: Floats, rules: Rules
    ) -> NDArray[np.bool_]:
        """Go on by one moment; return where an alert starts."""
        base = rules.base
        high, low = score >= rules.enter, score < rules.exit
        told = self.open & (self.age < base.max_alert_s)
        beside = told.sum(0) > told
        hold_s = np.where(beside, rules.beside_times * rules.hold_s, rules.hold_s)
        self.evidence += rate * seen - LEAK_UNSEEN * blank
        np.clip(self.evidence, 0.0, hold_s, out=self.evidence)
        self.calm = np.maximum(0.0, self.calm + np.where(low, seen, -seen))
        self.faded = np.maximum(0.0, self.faded + np.where(high, -seen, seen))
        self.cooled += elapsed
        self.age = np.where(self.open, self.age + elapsed, 0.0)
        self.unseen = np.where(seen > 0, 0.0, self.unseen + elapsed)
        over = (self.calm >= RELEASE_S) & low | (self.faded >= FADE_S) & ~high
        ends = self.open & (over & (seen > 0) | (self.unseen >= LOST_S))
        clear = np.where(seen > 0, score, 0.0)
        self.clearest = np.where((self.evidence > 0) & ~self.open, np.maximum(self.clearest, clear), clear)
        ready = ~self.open & (self.clearest >= rules.enter) & (rate * seen > 0) & (self.evidence >= hold_s)
        starts = ready & (self.cooled >= base.cool_down_s)
        self.open ^= ends | starts
        changed = ends | starts
        self.evidence[changed] = self.calm[changed] = self.faded[changed] = 0.0
        self.cooled[told & (ends | (self.age >= base.max_alert_s))] = 0.0
        return np.asarray(starts)


LOST_S = 15.0
"""As ``states.lost_after_s``: an open alert ends when the driver was not read for this long."""


def _score(batch: Batch, kind: Kind, events: NDArray[np.int64]) -> Score:
    """Events (3, N): moment, kind, drive; all of one kind and in the order of time."""
    moment, code, drive = events
    number = batch.episode[code, moment, drive]
    inside = number >= 0
    which, first = np.unique(number[inside], return_index=True)
    when = batch.t[moment[inside][first], drive[inside][first]]
    long = {n for n, each in enumerate(batch.episodes) if each.kind == kind and each.end - each.start >= LEAST_S}
    delays = tuple(
        float(t - batch.episodes[n].start) for n, t in zip(which.tolist(), when.tolist(), strict=True) if n in long
    )
    return Score(batch.hours, len(long), len(delays), int((~inside).sum()), delays)
