"""What a trained expression network's logits are multiplied by and moved by, so that its probabilities are true."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from models.training.expression_data import CLASSES, YAWN


@dataclass(frozen=True)
class Chosen:
    """Logits (N, 9) and labels (N,) of one source's choosing faces, and how much the source counts."""

    logits: NDArray[np.float32]
    label: NDArray[np.int64]
    weight: float = 1.0


@dataclass(frozen=True)
class Scale:
    """Logits are divided by ``temperature``, then ``offsets`` (9,) are added."""

    temperature: float
    offsets: NDArray[np.float32]


def fit_scale(parts: list[Chosen]) -> Scale:
    """The scale with the least negative log-likelihood, averaged over sources (vector scaling, Guo et al. 2017).

    One temperature serves all classes, so that faces unlike any keep their order. Classes that a source's labellers did
    not have take no part there. A yawn, which nobody was asked for, stays where it is beside neutral.
    """
    log_t = torch.zeros((), requires_grad=True)
    offsets = torch.zeros(YAWN, requires_grad=True)
    _minimise([log_t, offsets], parts, log_t, offsets)
    found = np.zeros(CLASSES, np.float32)
    found[:YAWN] = (offsets - offsets[0]).detach().numpy()
    return Scale(float(log_t.detach().exp()), found)


def _minimise(free: list[torch.Tensor], parts: list[Chosen], log_t: torch.Tensor, offsets: torch.Tensor) -> None:
    tensors = [(torch.from_numpy(part.logits[:, :YAWN]), torch.from_numpy(part.label)) for part in parts]
    weights = [part.weight / sum(each.weight for each in parts) for part in parts]
    absent = [torch.bincount(label, minlength=YAWN) == 0 for _, label in tensors]
    optimiser = torch.optim.LBFGS(free, max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimiser.zero_grad()
        value = torch.zeros(())
        for (logits, label), missing, weight in zip(tensors, absent, weights, strict=True):
            scaled = (logits / log_t.exp() + offsets).masked_fill(missing, -1e4)
            value = value + weight * functional.cross_entropy(scaled, label)
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimiser.step(loss)  # type: ignore[arg-type]
