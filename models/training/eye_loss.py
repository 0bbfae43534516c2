"""What an eye network is trained by: bounds of the openness, order of pairs, whether it can be told, and teachers."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.training.fit import Batch
from models.training.nets import EyeNet

READABLE_SHARE = 0.4  # of the loss, against that of the openness
RANK_SHARE = 0.3
WRONG_SIDE = 3.0  # times as much counts a drawn eye whose openness comes out on the other side of 0.5
TOLD_SHARE, TOLD_SHARE_EXACT = 0.7, 0.3
"""How much a teacher's answer counts against a label, and against the lids of a drawn eye."""
MIXED_SHARE = 1 / 3
"""So many eyes of a batch are mixed with another one, and are as the teacher then says."""
EXACT, CLOSE = 0.1, 0.06  # drawn eyes are known this closely; nothing is asked of those so near to 0.5
APART = 0.06  # eyes whose openness is known to differ by this much must come in order


def eye_loss(net: nn.Module, batch: Batch) -> Tensor:
    """Cross-entropy to the nearest allowed openness, rank loss between pairs, cross-entropy of readability."""
    luma, target = batch
    logits = net(luma.contiguous(memory_format=torch.channels_last)).float()
    return _loss(logits, target, _nearest(logits, target), target[:, 2])


def _nearest(logits: Tensor, target: Tensor) -> Tensor:
    """The openness nearest to each answer that its bounds allow."""
    low, high, _ = target.T
    return torch.minimum(torch.maximum(torch.sigmoid(logits[:, 0].detach()), low), high)


def _loss(logits: Tensor, target: Tensor, wanted: Tensor, readable: Tensor) -> Tensor:
    low, high, _ = target.T
    openness = logits[:, 0]
    chance = torch.sigmoid(openness.detach())
    each = functional.binary_cross_entropy_with_logits(openness, wanted, reduction="none")
    drawn = high - low < EXACT
    crossed = drawn & ((wanted - 0.5) * (chance - 0.5) < 0) & ((wanted - 0.5).abs() > CLOSE)
    each = torch.where(crossed, WRONG_SIDE * each, each)
    told = readable.sum().clamp(min=1.0)
    clear = functional.binary_cross_entropy_with_logits(logits[:, 1], readable)
    return (each * readable).sum() / told + RANK_SHARE * _rank(openness, low, high, readable) + READABLE_SHARE * clear


@dataclass(frozen=True)
class TaughtLoss:
    """``eye_loss`` with what ``teachers`` say, on the mean of their logits, of the same eye in more pixels.

    Some eyes are mixed with others, so that there is more to learn of a teacher than its training eyes (Beyer et al.,
    "Knowledge distillation: A good teacher is patient and consistent", CVPR 2022).
    """

    teachers: list[EyeNet]

    def __call__(self, net: nn.Module, batch: Batch) -> Tensor:
        """Of a batch of eyes as ``net`` sees them, as the teachers do, and their targets."""
        luma, larger, target = batch
        mixed = round(MIXED_SHARE * len(luma))
        share = torch.rand(mixed, 1, 1, 1)
        luma, larger = (torch.cat([_mix(part[:mixed], share), part[mixed:]]) for part in (luma, larger))
        with torch.no_grad():
            larger = larger.contiguous(memory_format=torch.channels_last)
            said = torch.sigmoid(torch.stack([one(larger).float() for one in self.teachers]).mean(0))
        logits = net(luma.contiguous(memory_format=torch.channels_last)).float()
        low, high, readable = target.T
        untold = readable.isnan()
        trust = torch.where(high - low < EXACT, TOLD_SHARE_EXACT, TOLD_SHARE)
        trust = torch.where(untold, 1.0, trust)
        trust[:mixed] = 1.0
        wanted = torch.lerp(_nearest(logits, target), said[:, 0], trust)
        clear = torch.where(untold, said[:, 1], readable)
        clear[:mixed] = said[:mixed, 1]
        free = torch.tensor([0.0, 1.0, 0.0]).expand(mixed, 3)
        return _loss(logits, torch.cat([free, target[mixed:]]), wanted, clear)


def _mix(eyes: Tensor, share: Tensor) -> Tensor:
    return torch.lerp(eyes, eyes.roll(1, 0), share)


def _rank(openness: Tensor, low: Tensor, high: Tensor, readable: Tensor) -> Tensor:
    """How far pairs, of each eye and the next in the batch, come out of their known order (Burges et al. 2005)."""
    apart = low - high.roll(1)
    known = ((apart > APART) & (readable * readable.roll(1) > 0)).float()
    return (functional.softplus(openness.roll(1) - openness) * known).sum() / known.sum().clamp(min=1.0)
