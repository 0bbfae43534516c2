"""From data to ``models/expression.tflite`` with its manifest: train, calibrate, convert to int8, measure.

``python -m models.training.train_expression --data ../shared/data``; run again, it goes on where it stopped.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from edge.config import VisionConfig
from edge.domain import EXPRESSIONS
from edge.vision.expression import ExpressionReader
from models.training import export
from models.training import expression_data as data
from models.training.evaluate_expression import measure
from models.training.expression_metrics import crowd_figures, driver_figures, eight, label_a
from models.training.expression_readers import FLOAT_FILE
from models.training.fit import Batch, Schedule, autocast, device, fit, is_first
from models.training.nets import EXPRESSION_SHAPES, ExpressionNet
from models.training.published import restore

REST = 0.25  # how far rare expressions are levelled up: 0 leaves them rare, 1 makes all classes equal
MATCH = 0.5  # how far the finished network is brought to call each expression as often as the crowd does
DISGUST = 0.4  # more log-odds for disgust, which is missed most; of 0, 0.4, 0.5, 0.6, 0.8 on the validation split
ORDINARY = 0.95  # of the pictures that ranges of int8 are taken from; the others' answers are the most extreme
WEB_TEACHER_SHARE = 0.8  # of a web face's, whose one label is noisy
WATCHED = ("accuracy_a", "accuracy_b", "auroc_anger", "auroc_distress", "yawn_called_anger", "yawn_recall")
USUAL = {"anger": 0.02, "distress": 0.04}
"""By kind of alert, for how much of the time ordinary faces at rest are read as such; set by tuning drives."""
SOURCES = (
    "FER2013 faces (Goodfellow et al. 2013, web images, research use) with FER+ crowd votes (Barsoum et al. 2016, MIT)",
    "Web faces of muxspace/facial_expressions (repository Apache-2.0; images from the web, research use)",
    "YawDD driver frames (Abtahi et al. 2014, research use)",
)
DRIVER_SHARE = 0.07  # of each epoch, once for yawns and once for calm drivers


def expression_loss(net: nn.Module, batch: Batch) -> Tensor:
    """Cross-entropy with the crowd's votes; for a set of allowed classes, minus the log of their joint probability."""
    luma, target, is_set, trust = batch
    log_p = functional.log_softmax(net(luma.contiguous(memory_format=torch.channels_last)).float(), 1)
    soft = -(target * log_p).sum(1)
    allowed = -torch.logsumexp(log_p.masked_fill(target == 0, -torch.inf), 1)
    return (trust * torch.where(is_set, allowed, soft)).sum() / trust.sum()


def sampling_weights(still: list[data.Faces], drivers: data.Faces) -> NDArray[np.float64]:
    """Rare expressions more often than they come, and fixed shares for yawning and for calm drivers.

    Web faces, the second part where there is one, come half as often as crowd-voted ones.
    """
    target = np.concatenate([part.target for part in still])
    share = target.sum(0) / target.sum()
    lift = np.minimum((share.max() / np.maximum(share, 1e-6)) ** REST, 4.0)
    faces = (target * lift).sum(1)
    faces[len(still[0].crops) :] *= 0.5
    faces = faces / faces.sum() * (1 - 2 * DRIVER_SHARE)
    yawn = drivers.target[:, data.YAWN] > 0
    seat = np.where(yawn, DRIVER_SHARE / yawn.sum(), DRIVER_SHARE / (~yawn).sum())
    return np.concatenate([faces, seat])


def as_input(crops: NDArray[np.uint8]) -> Tensor:
    """Crops (N, 48, 48) as the network takes them: (N, 1, 48, 48), 0 to 1."""
    return torch.from_numpy(crops.astype(np.float32) / 255)[:, None]


@torch.no_grad()
def predict(net: nn.Module, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Logits (N, 9) of crops (N, 48, 48)."""
    net.eval()
    parts = []
    for start in range(0, len(crops), 256):
        luma = as_input(crops[start : start + 256])
        with autocast():
            parts.append(net(luma.to(device(), memory_format=torch.channels_last)).float().cpu().numpy())
    return np.concatenate(parts)


def softmax(logits: NDArray[np.float32], temperature: float = 1.0) -> NDArray[np.float32]:
    """Probabilities along the last axis."""
    scaled = logits / temperature
    powers = np.exp(scaled - scaled.max(-1, keepdims=True))
    return np.asarray(powers / powers.sum(-1, keepdims=True), np.float32)


def teach(faces: data.Faces, teachers: list[ExpressionNet], share: float) -> data.Faces:
    """Blend in what the teachers say on average of each face and of its mirror image."""
    crops = data.narrow(faces.crops)
    views = (crops, np.ascontiguousarray(crops[:, :, ::-1]))
    answers = [softmax(predict(teacher, view)) for teacher in teachers for view in views]
    return data.taught(faces, np.mean(answers, axis=0, dtype=np.float32), share)


@dataclass(frozen=True)
class Lesson:
    """What a network starts from and learns from.

    ``start`` and ``teachers`` are folders of runs or published ``.tflite`` files; teachers' answers are ``share`` of a
    crowd-voted face's target. ``cabin_share`` of the crops get a cabin's light and sensor.
    """

    shape: str
    start: Path | None
    teachers: tuple[Path, ...]
    share: float
    cabin_share: float


def train(root: Path, folder: Path, schedule: Schedule, lesson: Lesson) -> nn.Module:
    """Train on the crowd-voted faces and on all but the held-out driver groups; with teachers on web faces too."""
    still = [data.crowd_faces(root, "train")]
    drivers = data.read_drivers(root)
    torch.manual_seed(schedule.seed)
    net = ExpressionNet(EXPRESSION_SHAPES[lesson.shape])
    if lesson.teachers:
        nets = [load_net(teacher, still[0].crops) for teacher in lesson.teachers]
        shares = (lesson.share, WEB_TEACHER_SHARE)
        parts = zip([*still, data.web_faces(root)], shares, strict=True)
        still = [teach(faces, nets, share) for faces, share in parts]
    if lesson.start is not None:
        begun = load_net(lesson.start, still[0].crops)
        if [part.shape for part in begun.parameters()] != [part.shape for part in net.parameters()]:
            raise SystemExit(f"{lesson.start}: its layers are not those of --shape {lesson.shape}; name its own shape")
        net.load_state_dict(begun.state_dict())
    out = data.held_out(drivers.group)
    seen = data.driver_faces(data.Drivers(drivers.crops[~out], drivers.yawn[~out], drivers.group[~out]))
    valid_crops, votes = data.read_votes(root, "valid")
    driver_crops, yawn = data.narrow(drivers.crops[out]), drivers.yawn[out]

    def evaluate(net: nn.Module) -> dict[str, float]:
        figures = crowd_figures(softmax(predict(net, valid_crops)), votes)
        figures |= driver_figures(softmax(predict(net, driver_crops)), yawn)
        return {name: figures[name] for name in WATCHED}

    faces = data.TrainingFaces([*still, seen], schedule.seed, lesson.cabin_share)
    weights = sampling_weights(still, seen)
    about, length = {"shape": lesson.shape}, len(still[0].crops)
    return fit(net, faces, weights, length, expression_loss, schedule, str(lesson), folder, evaluate, about)


def load_net(source: Path, crops: NDArray[np.uint8]) -> ExpressionNet:
    """The averaged network of a run, or a published model's; ``crops`` (N, 48, 48) are training faces."""
    if source.is_dir():
        return load_average(source)
    nets = (ExpressionNet(shape) for shape in EXPRESSION_SHAPES.values())
    return restore(nets, source, as_input(crops[::10])).to(device()).eval()


def load_average(folder: Path) -> ExpressionNet:
    """The averaged network of a run."""
    saved = torch.load(folder / "checkpoint.pt", map_location="cpu", weights_only=True)
    net = ExpressionNet(EXPRESSION_SHAPES[saved["shape"]])
    net.load_state_dict(saved["average"])
    return net.to(device()).eval()


def fit_offsets(logits: NDArray[np.float32], label: NDArray[np.int64]) -> NDArray[np.float32]:
    """What to add to logits (N, 9) so that each expression wins as often as the crowd's ``label`` (N,) names it: (9,).

    Rare expressions are drawn more often in training, which leaves them called too often. -1 is no label. A yawn, which
    the crowd was not asked for, stays.
    """
    known = logits[label >= 0, : data.YAWN]
    wanted = np.bincount(label[label >= 0], minlength=data.YAWN)
    offsets = np.zeros(data.CLASSES, np.float32)
    for _ in range(300):
        found = np.bincount((known + offsets[: data.YAWN]).argmax(1), minlength=data.YAWN)
        offsets[: data.YAWN] += 0.1 * np.log(np.maximum(wanted, 1) / np.maximum(found, 1))
    offsets[: data.YAWN] -= offsets[0]
    return offsets


@torch.no_grad()
def balance(net: ExpressionNet, root: Path) -> None:
    """Fold MATCH of ``fit_offsets`` on every third training face, and DISGUST, into the network's last layer."""
    crops, votes = data.read_votes(root, "train")
    offsets = MATCH * fit_offsets(predict(net, crops[::3]), label_a(votes[::3]))
    offsets[EXPRESSIONS.index("disgust")] += DISGUST
    net.classify.bias += torch.from_numpy(offsets)


def fit_temperature(logits: NDArray[np.float32], label: NDArray[np.int64]) -> float:
    """The temperature with the least negative log-likelihood (Guo et al. 2017), by search over 0.5 to 2.5."""
    known = label >= 0
    rows = np.arange(int(known.sum()))
    candidates = np.linspace(0.5, 2.5, 201)
    losses = [-np.log(eight(softmax(logits[known], float(t)))[rows, label[known]] + 1e-9).mean() for t in candidates]
    return float(candidates[int(np.argmin(losses))])


def ordinary(net: ExpressionNet, crops: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The crops (N, 48, 48) less those of the largest logits, which would coarsen the steps of all others' answers."""
    extreme = np.abs(predict(net, crops)).max(1)
    return crops[extreme <= np.quantile(extreme, ORDINARY)]


def publish(net: ExpressionNet, root: Path, target: Path, epochs: int, folder: Path) -> None:
    """Calibrate, convert to int8, write model and manifest into ``target`` with the figures measured on the file.

    The same graph in float32 goes into ``folder``, the run's, to measure what quantisation costs.
    """
    net = net.cpu().eval()
    balance(net, root)
    crops, votes = data.read_votes(root, "valid")
    temperature = fit_temperature(predict(net, crops), label_a(votes))
    graph = export.expression_graph(net, data.SIDE, temperature)
    typical = ordinary(net, data.crowd_faces(root, "train").crops[::20])
    export.require_agreement(lambda luma: torch.softmax(net(luma) / temperature, 1), graph, typical[::50])
    content = export.to_int8(graph, typical)
    (folder / FLOAT_FILE.name).write_bytes(export.to_float(graph))
    entries = manifest_entries(temperature, epochs)
    path = export.write_model(target, content, entries)
    reader = ExpressionReader.load(VisionConfig(expression_model=path))
    figures = measure(reader.read_crop, root, "valid", "int8")
    measurement = {
        "data": "FER+ validation split; driver groups held out of training",
        "protocol": "no test-time augmentation; temperature, class offsets and the pictures for int8 ranges "
        "chosen on this split",
        "samples": int(figures["n_a"]),
        "figures": {name: round(value, 4) for name, value in figures.items()},
    }
    export.write_model(target, content, {**entries, "measurements": [measurement]})
    print(f"wrote {path}: temperature {temperature:.2f}, {len(content) / 1000:.0f} kB")
    for name, value in figures.items():
        print(f"{name:>22} {value:.4f}")


def manifest_entries(temperature: float, epochs: int) -> dict[str, Any]:
    """The manifest without file, checksum and figures."""
    rule = data.CROP_RULE
    return {
        "name": "expression",
        "version": "0.3.0",
        "description": f"Displayed expression of one face; residual 3x3 network, {epochs} epochs, post-training int8",
        "licence": "Weights for research and evaluation only: trained on research-only pictures; see MODEL_CARD.md",
        "classes": list(EXPRESSIONS),
        "temperature": temperature,
        "usual": USUAL,
        "sources": list(SOURCES),
        "input": {
            "name": "crop",
            "dtype": "uint8",
            "shape": [1, data.SIDE, data.SIDE, 1],
            "description": "luma of the face crop, raw 0 to 255",
        },
        "outputs": [
            {
                "name": "probabilities",
                "dtype": "uint8",
                "shape": [1, len(EXPRESSIONS)],
                "description": "softmax in the order of classes, dequantised by the tensor's own scale",
            }
        ],
        "crop": {"size_px": rule.size_px, "centre_x": rule.centre_x, "centre_y": rule.centre_y, "unit": rule.unit},
    }


def main() -> None:
    """Parse the command line and go from data to model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--runs", type=Path, default=Path("runs/expression"), help="checkpoints")
    parser.add_argument("--shape", choices=sorted(EXPRESSION_SHAPES), default="fine")
    parser.add_argument("--weights", type=Path, help="run or .tflite of the network to go on from, at half the rate")
    parser.add_argument("--teachers", type=Path, nargs="+", default=[], help="runs or .tflite files to learn from")
    parser.add_argument("--share", type=float, default=0.5, help="of a crowd-voted face's target that teachers give")
    parser.add_argument("--cabin", type=float, default=0.4, help="share of crops that get a cabin's light and sensor")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--models", type=Path, default=Path("models"), help="where the model is written")
    parser.add_argument("--epochs", type=int, default=60)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)  # OpenCV's thread pool does not survive the fork into data workers
    schedule = Schedule(epochs=arguments.epochs, seed=arguments.seed)
    if arguments.weights is not None:
        schedule = replace(schedule, rate=schedule.rate / 2)
    lesson = Lesson(arguments.shape, arguments.weights, tuple(arguments.teachers), arguments.share, arguments.cabin)
    train(arguments.data, arguments.runs, schedule, lesson)
    if is_first():
        publish(load_average(arguments.runs), arguments.data, arguments.models, arguments.epochs, arguments.runs)


if __name__ == "__main__":
    main()
