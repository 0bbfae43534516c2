"""Ways of following an expression over time, beside the shipped one: what each makes of the frames' readings.

Each gives signals (2, T, D) for one batch of drives; when an alert starts and ends is then the same for all.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge.domain import EXPRESSIONS
from edge.tuning.batch import Batch, Floats

PRIOR = {"neutral": 0.6, "happiness": 0.12, "surprise": 0.06, "yawn": 0.06, "sadness": 0.05, "anger": 0.05}
"""How common an expression is at the wheel; what is not named here shares the rest."""
DWELL_S = 6.0
"""How long an expression lasts on average."""


def frame_mean(batch: Batch, seconds: float) -> Floats:
    """The plain mean of the frames of the last ``seconds``, whatever their quality; no face is no vote."""
    out = np.zeros_like(batch.read)
    seen = (batch.weight > 0).astype(float)
    signals = np.cumsum(batch.read * seen, axis=1)
    counts = np.cumsum(seen, axis=0)
    for drive in range(batch.t.shape[1]):
        t = batch.t[:, drive]
        before = np.searchsorted(t, t - seconds, side="right") - 1
        late = before >= 0
        count = counts[:, drive] - np.where(late, counts[before, drive], 0.0)
        for kind in range(2):
            total = signals[kind, :, drive] - np.where(late, signals[kind, before, drive], 0.0)
            out[kind, :, drive] = total / np.maximum(count, 1.0)
    return out


def confusion(probabilities: NDArray[np.float32], shown: NDArray[np.int64]) -> Floats:
    """What the model reads on average (9, 9) of each expression shown (N,), from its answers (N, 9)."""
    count = len(EXPRESSIONS)
    matrix = np.full((count, count), 1.0 / count)
    for each in range(count):
        answers = probabilities[shown == each]
        matrix[each] = (matrix[each] + answers.sum(0)) / (1 + len(answers))  # one uniform answer, where there are few
    return np.asarray(matrix)


def hidden_markov(batch: Batch, probabilities: NDArray[np.float32], matrix: Floats, correlation_s: float) -> Floats:
    """Posterior probability (2, T, D) of anger or disgust, and of fear or sadness, by the forward filter.

    Hidden is the expression shown, which changes after ``DWELL_S`` on average. The likelihood of an answer (9,) under
    an expression is that of its row in the confusion ``matrix``, ``exp(sum(p * log row))``, by the power of the
    seconds that the frame speaks for over ``correlation_s``: neighbouring frames say the same, not something new.
    """
    rest = (1.0 - sum(PRIOR.values())) / (len(EXPRESSIONS) - len(PRIOR))
    prior = np.array([PRIOR.get(name, rest) for name in EXPRESSIONS])
    answers = np.einsum("tdc,sc->tds", probabilities, np.log(np.maximum(matrix, 1e-3)))
    power = batch.seen_s / correlation_s
    stay = np.exp(-batch.elapsed_s / DWELL_S)[..., None]
    belief = np.tile(prior, (batch.t.shape[1], 1))
    columns = [[EXPRESSIONS.index(n) for n in names] for names in (("anger", "disgust"), ("fear", "sadness"))]
    out = np.empty_like(batch.read)
    for n in range(len(batch.t)):
        belief = stay[n] * belief + (1.0 - stay[n]) * prior
        belief *= np.exp(power[n][:, None] * (answers[n] - answers[n].max(1, keepdims=True)))
        belief /= belief.sum(1, keepdims=True)
        for kind, which in enumerate(columns):
            out[kind, :][n] = belief[:, which].sum(1)
    return out
