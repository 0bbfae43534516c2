"""From data to ``models/face.tflite`` with its manifest: train, convert to int8, measure.

``python -m models.training.train_face --data ../shared/data``; run again, it goes on where it stopped.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from edge.config import VisionConfig
from edge.vision.face import FaceFinder
from models.training import export
from models.training import face_data as data
from models.training.evaluate_face import WRONG, held_out_trial, measure, our_finder
from models.training.fit import Batch, Schedule, fit, is_first
from models.training.nets import FaceNet
from models.training.published import restore
from models.training.side_on import Head, profiles, relabelled

SOURCES = (
    "CNN_FacePoint portraits (Sun, Wang, Tang 2013, research use); their boxes by YuNet 2023 (Apache-2.0 / MIT)",
    "Face Mask Detection, 853 pictures (CC0 as published)",
    "YawDD driver frames (Abtahi et al. 2014, research use)",
    "ICT-FaceKit head (USC ICT 2020, MIT), on which portraits are turned side-on",
)
MIN_SCORE = 0.75  # least score that counts as a face; see the model card
PROFILES = 1500  # portraits turned side-on, beside the pictures as they are


def face_loss(net: nn.Module, batch: Batch) -> Tensor:
    """Focal loss on the score (Lin et al. 2017), absolute error of box and points in face sizes, each face alike."""
    luma, target = batch
    score, box, points = (part.float() for part in net(luma.contiguous(memory_format=torch.channels_last)))
    wanted, weight = target[:, 0:1], target[:, 1:2]
    chance = torch.sigmoid(score)
    miss = torch.where(wanted > 0, 1 - chance, chance)
    focal = functional.binary_cross_entropy_with_logits(score, wanted, reduction="none") * miss**2
    focal = focal * torch.where(wanted > 0, 1.0, 0.5) * weight
    box_error = (box - target[:, 4:8]).abs().sum(1) * target[:, 2]
    point_error = (points - target[:, 8:18]).abs().sum(1) * target[:, 3]
    faces = target[:, 3].sum().clamp(min=1.0)
    return (
        focal.sum() / (wanted * weight).sum().clamp(min=1.0)
        + 1.0 * box_error.sum() / faces
        + 2.0 * point_error.sum() / faces
    )


@torch.no_grad()
def validate(net: nn.Module, batches: list[Batch]) -> dict[str, float]:
    """Score loss aside, what matters: the points' error at the best cell of each canvas with one face."""
    net.eval()
    errors = []
    for luma, target in batches:
        score, _, points = net(luma)
        flat = score.flatten(1).argmax(1)
        rows = torch.arange(len(flat))
        wanted = target[:, 8:18].flatten(2)[rows, :, flat]
        found = points.flatten(2)[rows, :, flat]
        on_face = target[:, 3].flatten(1)[rows, flat] > 0
        gap = (wanted - found).reshape(-1, 5, 2)[:, :3].norm(dim=-1).mean(1)
        errors.append(torch.where(on_face, gap, torch.ones_like(gap)))
    error = torch.cat(errors)
    return {"wrong": float((error > 0.1).float().mean()), "median_error": float(error.median())}


def whole_view(_rng: np.random.Generator, pictures: list[data.Picture], index: int) -> data.Canvas:
    """The picture as the board sees it, scaled to fit, without augmentation."""
    picture = pictures[index]
    height, width = picture.luma.shape
    scale = min(data.WIDTH / width, data.HEIGHT / height)
    canvas = data.Canvas.blank(np.random.default_rng(0))
    canvas.luma[:] = 0
    matrix = np.array([[scale, 0, scale / 2 - 0.5], [0, scale, scale / 2 - 0.5]])
    canvas.paste(picture, matrix, replicate=False)
    return canvas


def close_view(rng: np.random.Generator, pictures: list[data.Picture], index: int) -> data.Canvas:
    """A face of the picture in the middle and large, as when the driver is followed, without augmentation."""
    canvas = data.Canvas.blank(rng)
    size = float(np.exp(rng.uniform(np.log(30), np.log(80))))
    where = np.array([data.WIDTH, data.HEIGHT]) / 2 + rng.normal(0, 8, 2)
    canvas.paste(pictures[index], data.placement(rng, pictures[index], 0, size, where, 0.0), replicate=True)
    return canvas


def train(root: Path, folder: Path, epochs: int, detector: Path | None, start: Path | None = None) -> FaceNet:
    """Train on all pictures but the held-out portraits and driver groups.

    With ``start``, a run's folder or a published ``.tflite``, go on from its network at half the rate.
    """
    pictures = data.read_pictures(root, detector)
    seen = [picture for picture in pictures if not data.is_held_out(picture)]
    unseen = [picture for picture in pictures if data.is_held_out(picture)]
    empty = data.empty_seats(seen)
    mesh = root / "head" / "head.npz"
    if mesh.exists():
        turned = profiles(seen, Head.load(mesh), PROFILES, seed=0)
        seen += turned if detector is None else [relabelled(picture, detector) for picture in turned]
    else:
        print(f"{mesh}: no such file; no portraits are turned side-on")
    seen += empty
    views = data.TrainingCanvases(unseen, 0, whole_view)
    samples = [views[0, index] for index in range(len(unseen))]
    batches: list[Batch] = [
        (torch.from_numpy(np.stack([s[0] for s in part])), torch.from_numpy(np.stack([s[1] for s in part])))
        for part in (samples[start : start + 64] for start in range(0, len(samples), 64))
    ]
    schedule = Schedule(epochs=epochs, batch=64, rate=2e-3, average_steps=500)
    torch.manual_seed(schedule.seed)
    net = FaceNet()
    if start is not None:
        net = load_net(start, data.TrainingCanvases(seen, schedule.seed))
        schedule = replace(schedule, rate=schedule.rate / 2, seed=schedule.seed + 1)
    # Drivers are few and are what the model is for, but their points are a detector's, the portraits' by hand.
    share = {"cabin": 3.5, "mask853": 1.5, "cuhk": 1.0, "side": 1.0, "empty": 2.0}
    weights = np.array([share[picture.source] for picture in seen])
    return fit(
        net,
        data.TrainingCanvases(seen, schedule.seed),
        weights,
        len(seen),
        face_loss,
        schedule,
        f"start={start}",
        folder,
        lambda net: validate(net, batches),
        {},
    )


def load_net(source: Path, canvases: data.TrainingCanvases) -> FaceNet:
    """The averaged network of a run, or a published model's."""
    if source.is_dir():
        net = FaceNet()
        net.load_state_dict(torch.load(source / "checkpoint.pt", map_location="cpu", weights_only=True)["average"])
        return net
    typical = [canvases[0, index][0] for index in range(0, len(canvases), max(1, len(canvases) // 256))]
    return restore([FaceNet()], source, torch.from_numpy(np.stack(typical)))


def blended(net: FaceNet, other: FaceNet, share: float) -> FaceNet:
    """The mean of two networks' weights, with this ``share`` of the other's (Wortsman et al. 2022).

    Of a network that went on from ``other`` it keeps what is new and loses less of what was.
    """
    ours, theirs = net.state_dict(), other.state_dict()
    mean = {
        name: torch.lerp(value, theirs[name], share) if value.dtype.is_floating_point else value
        for name, value in ours.items()
    }
    result = FaceNet()
    result.load_state_dict(mean)
    return result


def publish(net: FaceNet, root: Path, target: Path, epochs: int) -> None:
    """Convert to int8, write model and manifest into ``target``, and add the figures measured on the file."""
    net = net.cpu().eval()
    graph = export.face_graph(net, data.HEIGHT, data.WIDTH)
    pictures = [picture for picture in data.read_pictures(root, detector=None) if not data.is_held_out(picture)]
    rng = np.random.default_rng(0)
    picks = rng.choice(len(pictures), 300, replace=False)
    # Ranges from what the board sees; those of training canvases are wider and cost the points 0.0004 face sizes.
    typical = np.stack([make(rng, pictures, int(index)).luma for make in (whole_view, close_view) for index in picks])
    export.require_agreement(lambda luma: _with_sigmoid(net(luma)), graph, typical[::60])
    content = export.to_int8(graph, typical)
    entries = manifest_entries(epochs)
    path = export.write_model(target, content, entries)
    finder = our_finder(FaceFinder.load(VisionConfig(face_model=path)))
    figures = measure(finder, held_out_trial(root), "int8")
    measurement = {
        "data": "portraits and driver groups held out of training; sides of drivers' frames without a face",
        "protocol": f"wrong: missed, or eyes and nose off by more than {WRONG} face sizes; best face of the picture",
        "samples": int(figures["portraits_n"] + figures["drivers_n"]),
        "figures": {name: round(value, 4) for name, value in figures.items()},
    }
    export.write_model(target, content, {**entries, "measurements": [measurement]})
    print(f"wrote {path}: {len(content) / 1000:.0f} kB")
    for name, value in figures.items():
        print(f"{name:>18} {value:.4f}")


def _with_sigmoid(maps: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    return torch.sigmoid(maps[0]), maps[1], maps[2]


def manifest_entries(epochs: int) -> dict[str, Any]:
    """The manifest without file, checksum and figures."""
    rows, columns = data.HEIGHT // data.STRIDE, data.WIDTH // data.STRIDE
    maps = (
        ("score", 1, "probability of a face whose middle is near the cell"),
        ("box", 4, "centre's offset x, y from the cell in face sizes; log2 of size; log2 of width over height"),
        ("points", 10, "x, y of eye, eye, nose, mouth corner, mouth corner: offsets from the cell in face sizes"),
    )
    return {
        "name": "face",
        "version": "0.3.0",
        "description": f"Faces with five points, single shot, anchor-free; {epochs} epochs, post-training int8",
        "licence": "Weights for research and evaluation only: trained on research-only pictures; see MODEL_CARD.md",
        "sources": list(SOURCES),
        "min_score": MIN_SCORE,
        "input": {
            "name": "picture",
            "dtype": "uint8",
            "shape": [1, data.HEIGHT, data.WIDTH, 1],
            "description": "luma of the picture, raw 0 to 255, scaled to fit at the top left, black elsewhere",
        },
        "outputs": [
            {"name": name, "dtype": "uint8", "shape": [1, rows, columns, channels], "description": text}
            for name, channels, text in maps
        ],
        "grid": {"stride_px": data.STRIDE, "size_unit_px": data.SIZE_UNIT_PX},
    }


def main() -> None:
    """Parse the command line and go from data to model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument(
        "--detector", type=Path, default=Path("../shared/peers/yunet_2023mar.onnx"), help="YuNet, for boxes"
    )
    parser.add_argument("--runs", type=Path, default=Path("runs/face"), help="checkpoints")
    parser.add_argument("--weights", type=Path, help="run or .tflite of the network to go on from, at half the rate")
    parser.add_argument("--models", type=Path, default=Path("models"), help="where the model is written")
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--blend", type=Path, help="run or .tflite whose weights are averaged with the trained ones")
    parser.add_argument("--share", type=float, default=0.6, help="of those of --blend in the mean, 0 to 1")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)  # OpenCV's thread pool does not survive the fork into data workers
    detector = arguments.detector if arguments.detector.exists() else None
    net = train(arguments.data, arguments.runs, arguments.epochs, detector, arguments.weights)
    if is_first():
        if arguments.blend is not None:
            seen = [one for one in data.read_pictures(arguments.data, None) if not data.is_held_out(one)]
            net = blended(net.cpu(), load_net(arguments.blend, data.TrainingCanvases(seen, seed=1)), arguments.share)
        publish(net, arguments.data, arguments.models, arguments.epochs)


if __name__ == "__main__":
    main()
