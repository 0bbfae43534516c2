"""Trains the head that tells valence, arousal and cues, on the features of an expression network that stays as it is.

Its faces are the training faces of the sources that a teacher measured (``cue_measures.py``), and those that somebody
looked at for hands (``hand_faces.csv``). Features are made once, of faces distorted as in the trunk's own training.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm

from models.training import answers, cue_measures
from models.training.cues import AFFECT, CUES
from models.training.expression_data import SIDE, distort
from models.training.fit import autocast, device
from models.training.nets import CueHead, ExpressionNet
from models.training.sources import TRAIN, Source

ANSWERS = Path(__file__).with_name("answers.npz")
HANDS = Path(__file__).with_name("hand_faces.csv")
SHARES = {"affect": 0.4, "ferplus": 0.3, "raf": 0.25, "expw": 0.05}  # of the views, by source
TOLD = 0.5  # share of what a face expresses that the teacher's answers give
LIDS_OFTENER, BROWS_OFTENER = 4.0, 2.0  # how much more often than others faces come that show these
BROW, LIDS, CLOSED, OPEN, HAND = range(len(AFFECT), len(AFFECT) + len(CUES))
NO_HAND = 0.02  # how often a hand is at the mouth of a face that nobody looked at for one
LOOKED_AT = 0.13  # of the views are of faces that somebody looked at for hands
DRAWN_HANDS = 0.06  # of the views get a drawn hand
SWAPPED = 0.2  # of the views have the lower half of another face, half of these of one that was looked at for hands
CABIN = 0.3  # of the views get a cabin's light and sensor
BATCH = 256
RATE, DECAY = 2e-3, 0.02
AFFECT_WEIGHT = 4.0  # of valence's and arousal's losses against a cue's


@dataclass(frozen=True)
class Views:
    """Crops (N, S, S) uint8 and the shares (N, 7) that a head's outputs should have, NaN where nothing is known."""

    crops: NDArray[np.uint8]
    target: NDArray[np.float32]


@dataclass(frozen=True)
class _Known:
    """A source's wide crops, their targets (N, 7), how often each comes, and which show a hand: 1, 0, NaN unknown."""

    crops: NDArray[np.uint8]
    target: NDArray[np.float32]
    chance: NDArray[np.float64]
    hand: NDArray[np.float32]


def read_hands(path: Path = HANDS) -> dict[str, dict[int, bool]]:
    """By source and number of the face, whether a hand or what it holds is at the mouth, as labelled by eye."""
    found: dict[str, dict[int, bool]] = {}
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            found.setdefault(row["source"], {})[int(row["face"])] = row["hand"] == "1"
    return found


def targets(source: Source, measured: NDArray[np.float32], said: NDArray[np.float32] | None) -> NDArray[np.float32]:
    """What a head should say of each face, (N, 7) shares: (1 + valence) / 2, (1 + arousal) / 2, and CUES."""
    own = source.faces.target / np.maximum(source.faces.target.sum(1, keepdims=True), 1e-6)
    expression = own if said is None else (1 - TOLD) * own + TOLD * said
    shares = (1 + cue_measures.affect_targets(expression)) / 2
    cues = cue_measures.cue_targets(measured, expression, cue_measures.WIDENED.get(source.name, 1.0))
    return np.concatenate([shares, cues, np.full((len(own), 1), NO_HAND)], 1).astype(np.float32)


def make_views(found: list[Source], count: int, seed: int) -> Views:
    """``count`` distorted training faces of the measured sources among ``found``; the same for the same seed."""
    known = _known(found)
    rng = np.random.default_rng([seed, count])
    shares = np.array([SHARES[name] for name in known])
    crops, wanted = [], []
    for _ in tqdm(range(count), "views", leave=False, mininterval=5):
        source = known[list(known)[rng.choice(len(known), p=shares / shares.sum())]]
        crop, target = _drawn(rng, source)
        if rng.random() < SWAPPED:
            lower, theirs = _drawn(rng, source, looked_at=0.5)
            crop = with_lower_half(rng, crop, lower)
            target[: len(AFFECT)] = np.nan
            target[[CLOSED, OPEN, HAND]] = theirs[[CLOSED, OPEN, HAND]]
        drawn = rng.random() < DRAWN_HANDS
        if drawn:
            target[HAND] = 1.0
        if target[HAND] > 0.5:
            target[[CLOSED, OPEN]] = np.nan
        crops.append(distort(rng, crop, CABIN, 1.0 if drawn else 0.0))
        wanted.append(target)
    return Views(np.stack(crops), np.stack(wanted))


def _known(found: list[Source]) -> dict[str, _Known]:
    counts = {source.name: len(source.label) for source in found}
    measured = cue_measures.read(cue_measures.FILE, counts).by_source
    said: Mapping[str, NDArray[np.float32]] = answers.read(ANSWERS, counts).by_source if ANSWERS.exists() else {}
    hands = read_hands()
    known = {}
    for source in found:
        if source.name not in measured:
            continue
        target = targets(source, measured[source.name], said.get(source.name))
        train = (source.use == TRAIN) & ~np.isnan(target[:, LIDS])
        often = 1 + LIDS_OFTENER * (target[:, LIDS] > 0.5) + BROWS_OFTENER * (target[:, BROW] > 0.5)
        chance = np.where(train, often, 0.0)
        hand = np.full(len(target), np.nan, np.float32)
        for face, shown in hands.get(source.name, {}).items():
            if source.use[face] == TRAIN:
                hand[face] = shown
                target[face, HAND] = shown
        known[source.name] = _Known(source.faces.crops, target, chance / chance.sum(), hand)
    if not known:
        raise SystemExit(f"none of {', '.join(counts)} is measured in {cue_measures.FILE}; cues need one that is")
    return known


def _drawn(
    rng: Generator, source: _Known, looked_at: float = LOOKED_AT
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """A face and its targets; ``looked_at`` of them were looked at for hands, two in three of these show one."""
    seen = np.flatnonzero(source.hand == (rng.random() < 2 / 3))
    if len(seen) and rng.random() < looked_at:
        face = int(rng.choice(seen))
    else:
        face = int(rng.choice(len(source.chance), p=source.chance))
    return source.crops[face], source.target[face].copy()


def with_lower_half(rng: Generator, upper: NDArray[np.uint8], lower: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A face (S, S) with what another one (S, S) shows from the tip of the nose down, as bright as it is there.

    A hand is real then, and so is the seam above mouths that no hand is at.
    """
    side = len(upper)
    seam = 0.5 + (rng.uniform(0.5, 0.6) - 0.5) * SIDE / side
    rows = slice(int((seam - 0.08) * side), int((seam + 0.08) * side))
    middle = slice(side // 4, 3 * side // 4)
    gain = float(upper[rows, middle].mean() + 1) / float(lower[rows, middle].mean() + 1)
    below = 1 / (1 + np.exp(-(np.arange(side) / side - seam) * SIDE))[:, None]
    matched = lower.astype(np.float32) * np.clip(gain, 0.5, 2)
    return np.clip(upper * (1 - below) + matched * below, 0, 255).astype(np.uint8)


@torch.no_grad()
def features(net: ExpressionNet, crops: NDArray[np.uint8]) -> tuple[Tensor, Tensor]:
    """What a head looks at, of crops (N, S, S), in half precision."""
    net.eval()
    detail, deep = [], []
    for start in tqdm(range(0, len(crops), BATCH), "features", leave=False, mininterval=5):
        luma = torch.from_numpy(crops[start : start + BATCH].astype(np.float32) / 255)[:, None]
        with autocast():
            near, far = net.features(luma.to(device(), memory_format=torch.channels_last))
        detail.append(near.half().cpu())
        deep.append(far.half().cpu())
    return torch.cat(detail), torch.cat(deep)


def fit_head(net: ExpressionNet, views: Views, epochs: int, seed: int) -> CueHead:
    """A head trained on the features that ``net`` makes of ``views``."""
    torch.manual_seed(seed)
    detail, deep = features(net, views.crops)
    wanted = torch.from_numpy(views.target)
    head = CueHead(net).to(device())
    optimiser = torch.optim.AdamW(head.parameters(), lr=RATE, weight_decay=DECAY)
    batches = len(wanted) // BATCH
    weight = torch.tensor([AFFECT_WEIGHT] * len(AFFECT) + [1.0] * len(CUES), device=device())
    for epoch in range(epochs):
        total = 0.0
        for number, picked in enumerate(torch.randperm(len(wanted))[: batches * BATCH].split(BATCH)):
            done = (epoch + number / batches) / epochs
            for group in optimiser.param_groups:
                group["lr"] = RATE * 0.5 * (1 + math.cos(math.pi * done))
            with autocast():
                logits = head(detail[picked].float().to(device()), deep[picked].float().to(device())).float()
            loss = head_loss(logits, wanted[picked].to(device()), weight)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            total += float(loss.detach())
        tqdm.write(f"cues, epoch {epoch + 1}/{epochs}  loss {total / batches:.4f}")
    return head.cpu().eval()


def head_loss(logits: Tensor, wanted: Tensor, weight: Tensor) -> Tensor:
    """Cross-entropy of logits (N, 7) with the shares wanted, each output times its weight (7,); NaN counts nothing."""
    known = ~torch.isnan(wanted)
    losses = functional.binary_cross_entropy_with_logits(logits, wanted.nan_to_num(), reduction="none")
    return (losses * known * weight).sum() / len(logits)


@torch.no_grad()
def predict(net: ExpressionNet, head: nn.Module, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Valence, arousal and cues (N, 7) of crops (N, S, S)."""
    detail, deep = features(net, crops)
    parts = zip(detail.split(BATCH), deep.split(BATCH), strict=True)
    shares = torch.cat([torch.sigmoid(head(near.float(), far.float())) for near, far in parts]).numpy()
    return np.concatenate([2 * shares[:, : len(AFFECT)] - 1, shares[:, len(AFFECT) :]], 1).astype(np.float32)
