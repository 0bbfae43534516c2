"""From data and the shipped face model to ``models/follow.tflite`` with its manifest: train, convert to int8, measure.

``python -m models.training.train_follow --data ../shared/data``; run again, it goes on where it stopped. The model
learns from the face model beside it: train it anew after that one.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from models.training import export  # before anything else that loads PyTorch: see there

# isort: split
import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from edge.config import VisionConfig
from edge.vision.face import FaceFinder
from edge.vision.manifest import bundled, load_manifest
from edge.vision.track import NUMBERS, SURE, VOTES, FaceTracker
from models.training import face_data
from models.training import follow_data as data
from models.training.evaluate_follow import OURS, held_out_parts, no_face, stills
from models.training.fit import Batch, Schedule, fit, is_first
from models.training.nets import FollowNet
from models.training.side_on import Head, profiles

SOURCES = (
    "CNN_FacePoint portraits (Sun, Wang, Tang 2013, research use)",
    "Face Mask Detection, 853 pictures (CC0 as published)",
    "YawDD driver frames (Abtahi et al. 2014, research use)",
    "ICT-FaceKit head (USC ICT 2020, MIT), on which portraits are turned side-on",
)
PROFILES = 900
SHARES = {"cabin": 3.5, "mask853": 1.5, "cuhk": 1.0, "side": 1.0, "empty": 0.6}
"""How often pictures of each source are drawn, relative to a portrait."""
VALIDATION_CANVASES = 800
TRUE = 0.04
"""Points count as true up to this mean error, in face sizes."""
MIN_SCORE, LEAST_TRUST = 0.75, 0.7
TRUST_SHARE, ALONE_SHARE = 0.1, 0.5


def follow_loss(net: nn.Module, batch: Batch) -> Tensor:
    """Absolute error of the answers and their mean, cross-entropy of both probabilities.

    Whether the points are true is judged by the network's own error of the moment.
    """
    luma, target = batch
    sure, answers = net(luma.contiguous(memory_format=torch.channels_last))
    sure, answers = sure.float(), answers.float()
    score, told, shown, wanted = target[:, 0], target[:, 1], target[:, 2], target[:, 3:]
    mean = answers.mean(1)
    error = (mean - wanted).abs().sum(1) + ALONE_SHARE * (answers - wanted[:, None]).abs().sum(2).mean(1)
    points = (error * shown).sum() / shown.sum().clamp(min=1.0)
    cross = functional.binary_cross_entropy_with_logits(sure[:, 0], score, reduction="none")
    face = (cross * told).sum() / told.sum().clamp(min=1.0)
    true = (point_errors(mean.detach(), wanted) < TRUE).float()
    cross = functional.binary_cross_entropy_with_logits(sure[:, 1], true, reduction="none")
    trust = (cross * shown).sum() / shown.sum().clamp(min=1.0)
    return points + 0.5 * face + TRUST_SHARE * trust


def point_errors(answers: Tensor, wanted: Tensor) -> Tensor:
    """Mean distance of the five points (N,), in face sizes."""
    return (answers - wanted)[:, :10].reshape(-1, 5, 2).norm(dim=-1).mean(1)


@torch.no_grad()
def validate(net: nn.Module, views: data.Views) -> dict[str, float]:
    """On windows of held-out pictures: error of the points, faces kept and others let go at MIN_SCORE."""
    net.eval()
    luma = torch.from_numpy(views.windows)[:, None].float() / 255
    parts = [net(part) for part in luma.split(512)]
    sure, answers = torch.cat([part[0] for part in parts]), torch.cat([part[1] for part in parts]).mean(1)
    target = torch.from_numpy(views.targets)
    face, none = target[:, 0] > MIN_SCORE, (target[:, 0] == 0) & (target[:, 1] > 0)
    score, trust = torch.sigmoid(sure).T
    errors = point_errors(answers, target[:, 3:])
    kept = face & (score > MIN_SCORE) & (trust > LEAST_TRUST)
    return {
        "median_error": float(errors[face].median()),
        "kept_median": float(errors[kept].median()),
        "kept_p95": float(errors[kept].quantile(0.95)),
        "kept": float(kept.float().sum() / face.sum()),
        "imagined": float(((score > MIN_SCORE) & (trust > LEAST_TRUST))[none].float().mean()),
    }


def pictures_for(root: Path) -> tuple[list[face_data.Picture], list[face_data.Picture]]:
    """Pictures to learn from and held-out ones, with the face model's points; the first with sides and profiles."""
    teacher = data.Teacher()
    pictures = face_data.read_pictures(root, None)
    seen = [picture for picture in pictures if not face_data.is_held_out(picture)]
    unseen = [picture for picture in pictures if face_data.is_held_out(picture)]
    mesh = root / "head" / "head.npz"
    turned = profiles(seen, Head.load(mesh), PROFILES, seed=0) if mesh.exists() else []
    if not turned:
        print(f"{mesh}: no such file; no portraits are turned side-on")
    empty = face_data.empty_seats(seen)
    return [*map(teacher.taught, [*seen, *turned]), *empty], [teacher.taught(picture) for picture in unseen]


def views_for(root: Path, folder: Path, canvases: int) -> tuple[data.Views, data.Views]:
    """Windows to learn from and windows of held-out pictures, kept in ``folder``."""
    kept: tuple[list[face_data.Picture], list[face_data.Picture]] | None = None
    views = []
    for number, (name, count) in enumerate((("windows", canvases), ("held_out", VALIDATION_CANVASES))):

        def pictures(number: int = number) -> list[face_data.Picture]:
            nonlocal kept
            kept = kept or pictures_for(root)
            return kept[number]

        views.append(data.stored_views(folder / f"{name}.npz", pictures, SHARES, count, seed=number))
    return views[0], views[1]


def train(root: Path, folder: Path, epochs: int, canvases: int) -> FollowNet:
    """Train on windows of all pictures but the held-out portraits and driver groups."""
    seen, unseen = views_for(root, folder, canvases)
    schedule = Schedule(epochs=epochs, batch=256, rate=4e-3, weight_decay=0.02, average_steps=600)
    torch.manual_seed(schedule.seed)
    return fit(
        FollowNet(VOTES, NUMBERS),
        data.TrainingWindows(seen, schedule.seed),
        np.ones(len(seen.windows)),
        len(seen.windows),
        follow_loss,
        schedule,
        f"face={load_manifest(bundled('face'), 'face').sha256[:12]}, canvases={canvases}",
        folder,
        lambda net: validate(net, unseen),
        {},
    )


def publish(net: FollowNet, root: Path, folder: Path, target: Path, epochs: int, canvases: int) -> None:
    """Convert to int8, write model and manifest into ``target``, and add the figures measured on the file."""
    net = net.cpu().eval()
    graph = export.follow_graph(net, data.SIDE)
    seen, _ = views_for(root, folder, canvases)
    faces = np.flatnonzero(seen.targets[:, 2] > 0)
    rng = np.random.default_rng(0)
    typical: NDArray[np.uint8] = seen.windows[rng.choice(faces, 600, replace=False)]
    export.require_agreement(lambda luma: _with_sigmoid(net(luma)), graph, typical[::60])
    content = export.to_int8(graph, typical)
    entries = manifest_entries(epochs)
    path = export.write_model(target, content, entries)
    figures = measured(path, root)
    measurement = {
        "data": "portraits and driver groups held out of training",
        "protocol": "looked for from three places nearby each; errors of eyes and nose in face sizes; places "
        "without the face that are followed all the same",
        "samples": int(figures["stills_n"]),
        "figures": {name: round(value, 4) for name, value in figures.items()},
    }
    export.write_model(target, content, {**entries, "measurements": [measurement]})
    print(f"wrote {path}: {len(content) / 1000:.0f} kB")
    for name, value in figures.items():
        print(f"{name:>20} {value:.4f}")


def measured(path: Path, root: Path) -> dict[str, float]:
    """Figures of the model whose manifest lies at ``path``, on held-out pictures."""
    finder, tracker = FaceFinder.load(), FaceTracker.load(VisionConfig(follow_model=path))
    parts = held_out_parts(root)
    return stills(finder, tracker, parts)[OURS] | no_face(finder, tracker, parts)[OURS]


def _with_sigmoid(parts: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    return torch.sigmoid(parts[0]), parts[1]


def manifest_entries(epochs: int) -> dict[str, Any]:
    """The manifest without file, checksum and figures."""
    face = load_manifest(bundled("face"), "face")
    return {
        "name": "follow",
        "version": "0.1.0",
        "description": f"Where a face is now that was seen a moment ago; learned from {face.name} {face.version}, "
        f"{epochs} epochs, post-training int8",
        "licence": "Weights for research and evaluation only: trained on research-only pictures; see MODEL_CARD.md",
        "sources": list(SOURCES),
        "min_score": MIN_SCORE,
        "input": {
            "name": "window",
            "dtype": "uint8",
            "shape": [1, data.SIDE, data.SIDE, 1],
            "description": "luma around where the face was, raw 0 to 255, black beyond the picture",
        },
        "outputs": [
            {
                "name": "sure",
                "dtype": "uint8",
                "shape": list(SURE),
                "description": "probability of a face that the face model would find, and of points that are true",
            },
            {
                "name": "answers",
                "dtype": "uint8",
                "shape": [1, VOTES, NUMBERS],
                "description": "to be averaged: x, y of eye, eye, nose, mouth corner, mouth corner and of the box's "
                "middle, from the window's middle in sizes of the face before; log2 of size; log2 of width to height",
            },
        ],
        "window": {"span": data.SPAN, "least_trust": LEAST_TRUST},
    }


def main() -> None:
    """Parse the command line and go from data to model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--runs", type=Path, default=Path("runs/follow"), help="checkpoints, and windows once made")
    parser.add_argument("--models", type=Path, default=Path("models"), help="where the model is written")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--canvases", type=int, default=60_000, help="of which five windows are cut each")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)  # OpenCV's thread pool does not survive the fork into data workers
    net = train(arguments.data, arguments.runs, arguments.epochs, arguments.canvases)
    if is_first():
        arguments.models.mkdir(parents=True, exist_ok=True)
        publish(net, arguments.data, arguments.runs, arguments.models, arguments.epochs, arguments.canvases)


if __name__ == "__main__":
    main()
