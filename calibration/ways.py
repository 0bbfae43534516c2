"""Ways to follow an expression over time, each with the settings that it is tried with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import product

import numpy as np
from numpy.typing import NDArray

from calibration.drives import SHOWN
from calibration.rivals import confusion, frame_mean, hidden_markov
from edge.config import Config
from edge.decision.expression_judge import ExpressionSettings
from edge.domain import EXPRESSIONS
from edge.tuning.batch import Batch, Evidence, Floats, Rules, run_rules, smooth
from edge.tuning.rest import hold_against_rest
from edge.tuning.score import Score
from edge.vision.ordinary import ordinary_face

SHIPPED = "own face + surprise"
SETS = 192
"""Sets of thresholds that each way is tried with: none is searched more than another."""
HOLDS_S = (0.6, 0.8, 1.0, 1.2, 1.4, 1.6, 1.8, 2.1, 2.4, 2.7, 3.1, 3.5, 4.0, 4.6, 5.3, 6.0)
LEVELS = tuple(np.arange(0.30, 0.86, 0.05).round(2).tolist())
BELIEFS = (0.2, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999, 0.9999)
RESTS = (0.3, 0.6, 0.9)
"""The most that a driver's face at rest is taken to show, where other ways are held against it."""

Probabilities = NDArray[np.float32]


@dataclass(frozen=True)
class Way:
    """One way of following, with one setting, and the thresholds to try it with: levels of ``enter``, ``hold_s``."""

    family: str
    setting: str
    evidence: Callable[[], Evidence]
    levels: Sequence[float]
    holds: Sequence[float]
    base: ExpressionSettings


@dataclass(frozen=True)
class Rule:
    """A way of following with one set of thresholds, and what it comes to for all kinds together."""

    family: str
    setting: str
    score: Score


def ways(batch: Batch, probabilities: Probabilities, matrix: Floats, config: Config) -> Iterator[Way]:
    """Every way with every setting, over drives of which the model answered ``probabilities`` (T, D, 9).

    ``matrix`` (9, 9) is what the model reads on average of each expression shown. Each way is tried with SETS sets of
    thresholds in all. For those that are not ours a driver's own face is one of the settings: the signals as they are,
    or held against it as far as one of RESTS.
    """
    base = config.alerts.expressions[SHOWN[0]]
    yield from _held_against_rest(batch, config, base)
    for most in (None, *RESTS):
        rested = cache(partial(_rested, batch, probabilities, config, most))
        yield from _others(rested, matrix, "as read" if most is None else f"own face to {most:g}", base)


def _others(
    rested: Callable[[], tuple[Batch, Probabilities]], matrix: Floats, face: str, base: ExpressionSettings
) -> Iterator[Way]:
    """The ways that are not ours, over signals that are held against a driver's face in one way."""
    for tau in (0.5, 0.7, 1.0, 2.0):
        smoothed = cache(partial(_smoothed, rested, tau))
        yield Way("exponential", f"{face}, τ {tau:g}", smoothed, LEVELS, (0.0,), base)
        if tau in (0.5, 1.0):
            yield Way("exponential + budget", f"{face}, τ {tau:g}", smoothed, LEVELS[::2], (0.5, 1.0, 2.0, 3.0), base)
    budget = cache(partial(_read, rested))
    yield Way("leaky budget", face, budget, LEVELS[2:10], (0.5, 1.0, 1.5, 2.0, 2.5, 3.0), base)
    for seconds in (0.2, 0.4, 0.7, 1.5):
        believed = cache(partial(_believed, rested, matrix, seconds))
        yield Way("hidden Markov", f"{face}, {seconds:g} s", believed, BELIEFS, (0.0,), base)
        if seconds in (0.4, 1.5):
            holds = (0.5, 1.0, 2.0, 3.0)
            yield Way("hidden Markov + budget", f"{face}, {seconds:g} s", believed, BELIEFS[::2], holds, base)


def peer_rules(batch: Batch, config: Config) -> Iterator[Rule]:
    """A threshold of 0.5 on single frames, and on the mean of a second."""
    base = config.alerts.expressions[SHOWN[0]]
    for name, seconds in (("single frame", 0.01), ("one second", 1.0)):
        mean = partial(_mean, batch, seconds)
        yield from run_way(Way(name, "", mean, (0.5,), (0.0,), base), batch)


def run_way(way: Way, batch: Batch) -> Iterator[Rule]:
    """Every level with every hold."""
    pairs = list(product(way.levels, way.holds))
    enter, hold_s = np.array(pairs).T
    evidence = way.evidence()
    rules = Rules(enter, hold_s, way.base)
    if evidence.shares is None:
        rules = replace(rules, beside_times=1.0)  # our own idea; the others look at one kind alone
    for (level, hold), scores in zip(pairs, run_rules(batch, evidence, rules), strict=True):
        parts = (way.setting, f"enter {level:g}", f"hold {hold:g} s" if hold else "")
        yield Rule(way.family, ", ".join(filter(None, parts)), scores[SHOWN[0]] + scores[SHOWN[1]])


def mistaken(shown_as: Mapping[str, Probabilities]) -> Floats:
    """What a model reads on average (9, 9) of each expression, where a twin counts as its like.

    ``shown_as`` are its answers (N, 9) to faces of each look.
    """
    names = {"rest": "neutral", "smile": "happiness", "distress": "sadness"}
    shown, answers = [], []
    for look in ("rest", "smile", "surprise", "anger", "distress", "yawn"):
        read = shown_as[look]
        answers.append(read)
        shown.append(np.full(len(read), EXPRESSIONS.index(names.get(look, look))))
    matrix = confusion(np.concatenate(answers), np.concatenate(shown))
    for twin, own in (("fear", "sadness"), ("disgust", "anger"), ("contempt", "neutral")):
        matrix[EXPRESSIONS.index(twin)] = matrix[EXPRESSIONS.index(own)]
    return matrix


def _held_against_rest(batch: Batch, config: Config, base: ExpressionSettings) -> Iterator[Way]:
    """How seldom a reading is in the driver's own face, as shipped, and in a face that is the same for all drivers."""
    for family, enabled in ((SHIPPED, True), ("one face for all + surprise", False)):
        yield Way(family, "", cache(partial(_held, batch, config, enabled=enabled)), LEVELS, HOLDS_S, base)


def _held(batch: Batch, config: Config, *, enabled: bool) -> Evidence:
    baseline = config.baseline.model_copy(update={"enabled": enabled})
    return hold_against_rest(batch, smooth(batch), baseline, ordinary_face(config.vision))


def _rested(
    batch: Batch, probabilities: Probabilities, config: Config, most: float | None
) -> tuple[Batch, Probabilities]:
    """The batch and the model's answers, held against each driver's mean face at rest up to ``most``; None: as read."""
    if most is None:
        return batch, probabilities
    face = replace(ordinary_face(config.vision), most=most)
    signals = hold_against_rest(batch, batch.read, config.baseline, face).signals
    scaled = np.array(probabilities, np.float64)
    for code, kind in enumerate(batch.kinds):
        shown = [EXPRESSIONS.index(name) for name, weight in config.alerts.expressions[kind].weights.items() if weight]
        scaled[..., shown] *= (signals[code] / np.maximum(batch.read[code], 1e-6))[..., None]
    scaled /= np.maximum(scaled.sum(-1, keepdims=True), 1e-6)
    return replace(batch, read=signals), scaled.astype(np.float32)


def _smoothed(rested: Callable[[], tuple[Batch, Probabilities]], tau: float) -> Evidence:
    return Evidence(smooth(rested()[0], tau))


def _read(rested: Callable[[], tuple[Batch, Probabilities]]) -> Evidence:
    return Evidence(rested()[0].read)


def _believed(rested: Callable[[], tuple[Batch, Probabilities]], matrix: Floats, correlation_s: float) -> Evidence:
    return Evidence(hidden_markov(*rested(), matrix, correlation_s))


def _mean(batch: Batch, seconds: float) -> Evidence:
    return Evidence(frame_mean(batch, seconds))
