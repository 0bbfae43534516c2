"""What an expression network is trained on: soft labels, sets of allowed labels, faces mixed pairwise."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.training.fit import Batch
from models.training.nets import ExpressionNet


def face_losses(log_p: Tensor, target: Tensor, is_set: Tensor) -> Tensor:
    """Losses (N,) of log-probabilities (N, 9).

    They are the cross-entropy with a distribution or, for a set of allowed classes, minus the log of its probability.
    """
    soft = -(target * log_p).sum(1)
    allowed = -torch.logsumexp(log_p.masked_fill(target == 0, -torch.inf), 1)
    return torch.where(is_set, allowed, soft)


class Leaning(nn.Module):
    """An expression network in training, with how each source's labels lean from class to class.

    A source's labellers saw other shares of each class than another's, and had other habits. What they say of a face is
    taken for the network's answer plus their ``leans`` (sources, 9), so that the network itself needs not tell sources
    apart (a learned logit adjustment, Menon et al. 2021). Only training knows the leans: the network without them is
    what is measured and shipped.
    """

    def __init__(self, net: ExpressionNet, sources: int) -> None:
        super().__init__()
        self.net = net
        self.leans = nn.Parameter(torch.zeros(sources, net.classify.out_features))

    def forward(self, luma: Tensor, *sources: Tensor) -> Tensor:
        """Logits (N, 9); with ``sources``, each (N,), log-probabilities (M, N, 9) as each one's labellers would say."""
        logits = cast("Tensor", self.net(luma.contiguous(memory_format=torch.channels_last))).float()
        if not sources:
            return logits
        return functional.log_softmax(torch.stack([logits + self.leans[source] for source in sources]), 2)


def expression_loss(net: nn.Module, batch: Batch) -> Tensor:
    """The faces' losses, averaged by trust."""
    luma, target, is_set, trust, source = batch
    (log_p,) = net(luma, source)
    return (trust * face_losses(log_p, target, is_set)).sum() / trust.sum()


def mixed_loss(net: nn.Module, batch: Batch, share: float) -> Tensor:
    """The same, with ``share`` of the batches mixed pairwise.

    Half of those by MixUp (Zhang et al. 2018), half by CutMix (Yun et al. 2019).
    """
    if float(torch.rand(())) >= share:
        return expression_loss(net, batch)
    luma, target, is_set, trust, source = batch
    order = torch.randperm(len(luma))
    luma, kept = _mix_up(luma, order) if float(torch.rand(())) < 0.5 else _cut_mix(luma, order)
    mine, theirs = kept * trust, (1 - kept) * trust[order]
    log_p, other = net(luma, source, source[order])
    losses = mine * face_losses(log_p, target, is_set) + theirs * face_losses(other, target[order], is_set[order])
    return losses.sum() / (mine + theirs).sum()


def _kept() -> float:
    return float(torch.distributions.Beta(0.4, 0.4).sample())  # type: ignore[no-untyped-call]


def _mix_up(luma: Tensor, order: Tensor) -> tuple[Tensor, float]:
    kept = _kept()
    return kept * luma + (1 - kept) * luma[order], kept


def _cut_mix(luma: Tensor, order: Tensor) -> tuple[Tensor, float]:
    side = luma.shape[-1]
    half = int(side * (1 - _kept()) ** 0.5 / 2)
    x, y = (int(at) for at in torch.randint(0, side, (2,)))
    rows, columns = slice(max(y - half, 0), y + half), slice(max(x - half, 0), x + half)
    mixed = luma.clone()
    mixed[:, :, rows, columns] = luma[order][:, :, rows, columns]
    return mixed, 1 - mixed[0, 0, rows, columns].numel() / side**2
