"""From data to ``models/eyes.tflite`` with its manifest: draw eyes, train, convert to int8, measure.

``python -m models.training.train_eyes --data ../shared/data``; run again, it goes on where it stopped. With
``--clean`` from the parametric head alone to ``models/eyes-clean.tflite``.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from models.training import export  # before anything else that loads PyTorch: see there

# isort: split
import cv2
import numpy as np
import torch
from torch import Tensor

from models.training import eye_data as data
from models.training.eye_loss import TaughtLoss, eye_loss
from models.training.eye_measures import measure
from models.training.fit import Schedule, fit, is_first
from models.training.nets import EYE_SHAPES, EyeNet
from models.training.published import restore

SOURCES = {
    "mrl": "MRL eye data set: infrared eyes of 19 of its 28 people (Fusek 2018, research use)",
    "web": 'Kaggle "drowsiness" eye set, four fifths (licence unclear, research use)',
    "renders": "eyes drawn by models/training/eye_renders.py on the ICT-FaceKit head (USC ICT 2020, MIT)",
    "faces": "CNN_FacePoint portraits (Sun, Wang, Tang 2013) and YawDD drivers (Abtahi et al. 2014), research use; "
    "their eyes told by eye for this model",
    "beside": "what lies beside the eyes of CNN_FacePoint portraits",
    "untold": "further eyes of those portraits and drivers, told by larger networks trained on the sources above",
}
RESEARCH = "Weights for research and evaluation only: trained on research-only pictures; see MODEL_CARD.md"
CLEAN = "Apache-2.0: trained on eyes drawn from an MIT-licensed head alone; no picture of a person was used"


@torch.no_grad()
def validate(net: EyeNet, sources: list[data.Eyes], use: int) -> dict[str, float]:
    """Accuracy of closed and open at 0.5 on the real eyes of this ``use``, by source."""
    net.eval()
    side = net.shape.side
    found = {}
    for source in sources:
        part = source.only(source.use == use)
        if "open" not in part.about or not len(part.tiles):
            continue
        eyes = data.as_seen(part.tiles, side).astype(np.float32)[:, None] / 255
        logits = torch.cat([net(block)[:, 0] for block in torch.from_numpy(eyes).split(512)])
        found[source.name] = float(((logits > 0).numpy() == (part.about["open"] > 0)).mean())
    return found


def train(root: Path, folder: Path, epochs: int, options: argparse.Namespace) -> EyeNet:
    """Train on the wanted sources; in a trial without the people of its fold, who are watched."""
    torch.manual_seed(options.seed)
    net = EyeNet(EYE_SHAPES[options.shape])
    teachers = [_teacher(path) for path in options.teachers]
    sources = read_sources(root, options)
    watched = [source for source in sources if source.name in ("mrl", "web")]
    schedule = Schedule(epochs=epochs, batch=128, rate=3e-3, weight_decay=0.03, average_steps=300, seed=options.seed)
    sides = (net.shape.side, *{teacher.shape.side for teacher in teachers})
    samples = data.TrainingEyes(sources, schedule.seed, sides)
    if options.weights is not None:
        net = _started(options.weights, sources)
        schedule = replace(schedule, rate=schedule.rate * 0.7, average_steps=500)
    return fit(
        net,
        samples,
        data.chances(sources),
        options.length,
        TaughtLoss(teachers) if teachers else eye_loss,
        schedule,
        f"shape={options.shape}, sources={','.join(source.name for source in sources)}, fold={options.fold}, "
        f"weights={options.weights}, teachers={options.teachers}",
        folder,
        lambda net: validate(cast("EyeNet", net), watched, data.CHOOSE),
        {},
    )


def read_sources(root: Path, options: argparse.Namespace) -> list[data.Eyes]:
    """What is learned from; eyes of which nobody told anything only where a teacher does."""
    without = options.without if options.teachers else [*options.without, "untold"]
    return data.read_sources(root, options.renders, ("renders",) if options.clean else (), without, options.fold)


def _started(weights: Path, sources: list[data.Eyes]) -> EyeNet:
    """A network with the weights of a run, or of a published model."""
    net = EyeNet()
    if weights.suffix != ".tflite":
        net.load_state_dict(_weights(weights))
        return net
    typical = np.concatenate([data.as_seen(source.tiles[:: max(len(source.tiles) // 200, 1)]) for source in sources])
    net = restore([net], weights, torch.from_numpy(typical.astype(np.float32))[:, None] / 255)
    places, channels = data.SIDE // 8, net.shape.widths[-1]
    flattened = net.hidden.weight.data.reshape(-1, places, places, channels)  # a graph counts channels last
    net.hidden.weight.data = flattened.permute(0, 3, 1, 2).flatten(1).contiguous()
    return net


def _teacher(folder: Path) -> EyeNet:
    net = EyeNet(EYE_SHAPES["teacher"])
    net.load_state_dict(_weights(folder))
    return net.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def _weights(folder: Path) -> dict[str, Tensor]:
    """The averaged network of a run."""
    saved = torch.load(folder / "checkpoint.pt", map_location="cpu", weights_only=True)
    weights: dict[str, Tensor] = saved["average"]
    return weights


def blended(net: EyeNet, other: dict[str, Tensor]) -> EyeNet:
    """The mean of a network's weights and those of the run that it went on from (Wortsman et al. 2022)."""
    result = EyeNet()
    result.load_state_dict(
        {
            name: torch.lerp(value, other[name], 0.5) if value.dtype.is_floating_point else value
            for name, value in net.cpu().state_dict().items()
        }
    )
    return result


def publish(net: EyeNet, root: Path, target: Path, stem: str, options: argparse.Namespace) -> None:
    """Convert to int8, write model and manifest into ``target``, and add the figures measured on the file."""
    net = net.cpu().eval()
    graph = export.eye_graph(net, data.SIDE, 2)
    sources = read_sources(root, options)
    samples = data.TrainingEyes(sources, seed=2)
    rng = np.random.default_rng(0)
    picks = rng.choice(len(samples), 600, p=(weights := data.chances(sources)) / weights.sum())
    typical = np.stack([np.round(samples[0, int(index)][0][0] * 255) for index in picks]).astype(np.uint8)
    export.require_agreement(lambda luma: torch.sigmoid(net(luma)), graph, typical[::60])
    content = export.to_int8(graph, typical)
    entries = manifest_entries([source.name for source in sources], options)
    path = export.write_model(target, content, entries, stem)
    figures = measure(path, root, options.renders)
    measurement = {
        "data": "people of MRL and web eyes that trained nothing, seen for each candidate; renders of other heads",
        "protocol": "closed below 0.5; no test-time augmentation",
        "samples": int(figures["mrl_n"] + figures["web_n"] + figures["down_n"]),
        "figures": {name: round(value, 4) for name, value in figures.items()},
    }
    export.write_model(target, content, {**entries, "measurements": [measurement]}, stem)
    print(f"wrote {path}: {len(content) / 1000:.0f} kB")
    for name, value in figures.items():
        print(f"{name:>24} {value:.4f}")


def manifest_entries(names: list[str], options: argparse.Namespace) -> dict[str, Any]:
    """The manifest without file, checksum and figures."""
    return {
        "name": "eyes",
        "version": options.version,
        "description": f"Openness and readability of both eyes; {options.epochs} epochs, post-training int8",
        "licence": CLEAN if options.clean else RESEARCH,
        "sources": [SOURCES[name] for name in names],
        "input": {
            "name": "eyes",
            "dtype": "uint8",
            "shape": [2, data.SIDE, data.SIDE, 1],
            "description": "luma of both eyes' crops, each brought to one mean and standard deviation",
        },
        "outputs": [
            {
                "name": "eyes",
                "dtype": "uint8",
                "shape": [2, 2],
                "description": "of each eye: openness, 0 closed to 1 open, and the probability that it can be told",
            }
        ],
        "crop": {
            "size_px": data.SIDE,
            "centre_x": data.RULE.centre_x,
            "centre_y": data.RULE.centre_y,
            "unit": round(data.RULE.unit, 4),
        },
    }


def main() -> None:
    """Parse the command line and go from data to model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--runs", type=Path, help="checkpoints; by default runs/eyes or runs/eyes-clean")
    parser.add_argument("--weights", type=Path, help="run or .tflite to go on from, at a lower rate")
    parser.add_argument("--blend", type=Path, help="run whose weights are averaged with the trained ones")
    parser.add_argument("--renders", type=Path, default=Path("runs/eyes"), help="where drawn eyes are kept")
    parser.add_argument("--models", type=Path, default=Path("models"), help="where the model is written")
    parser.add_argument("--version", default="0.1.0", help="of the model")
    parser.add_argument("--clean", action="store_true", help="train on drawn eyes alone, write eyes-clean")
    parser.add_argument("--without", nargs="*", default=[], choices=list(SOURCES), help="sources to leave out")
    parser.add_argument("--fold", type=int, choices=range(data.FOLDS), help="watch its people, who then do not train")
    parser.add_argument("--shape", default="board", choices=EYE_SHAPES, help="a teacher is trained and not published")
    parser.add_argument("--teachers", type=Path, nargs="*", default=[], help="runs of teachers to learn from")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=24)
    parser.add_argument("--length", type=int, default=24_000, help="eyes an epoch")
    options = parser.parse_args()
    cv2.setNumThreads(1)  # OpenCV's thread pool does not survive the fork into data workers
    stem = "eyes-clean" if options.clean else "eyes"
    net = train(options.data, options.runs or Path("runs") / stem, options.epochs, options)
    if is_first() and options.fold is None and options.shape == "board":
        net = net if options.blend is None else blended(net, _weights(options.blend))
        options.models.mkdir(parents=True, exist_ok=True)
        publish(net, options.data, options.models, stem, options)


if __name__ == "__main__":
    main()
