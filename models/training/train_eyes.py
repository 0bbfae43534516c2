"""From data to ``models/eyes.tflite`` with its manifest: draw eyes, train, convert to int8, measure.

``python -m models.training.train_eyes --data ../shared/data``; run again, it goes on where it stopped. With
``--clean`` from the parametric head alone to ``models/eyes-clean.tflite``.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

from models.training import export  # before anything else that loads PyTorch: see there

# isort: split
import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from models.training import eye_data as data
from models.training.eye_measures import measure
from models.training.fit import Batch, Schedule, fit, is_first
from models.training.nets import EyeNet

SOURCES = {
    "mrl": "MRL eye data set: infrared eyes of 19 of its 28 people (Fusek 2018, research use)",
    "web": 'Kaggle "drowsiness" eye set, four fifths (licence unclear, research use)',
    "renders": "eyes drawn by models/training/eye_renders.py on the ICT-FaceKit head (USC ICT 2020, MIT)",
    "faces": "CNN_FacePoint portraits (Sun, Wang, Tang 2013) and YawDD drivers (Abtahi et al. 2014), research use; "
    "their eyes told by eye for this model",
    "beside": "what lies beside the eyes of CNN_FacePoint portraits",
}
RESEARCH = "Weights for research and evaluation only: trained on research-only pictures; see MODEL_CARD.md"
CLEAN = "Apache-2.0: trained on eyes drawn from an MIT-licensed head alone; no picture of a person was used"
READABLE_SHARE = 0.4  # of the loss, against that of the openness
RANK_SHARE = 0.3
WRONG_SIDE = 3.0  # times as much counts a drawn eye whose openness comes out on the other side of 0.5
EXACT, CLOSE = 0.1, 0.06  # drawn eyes are known this closely; nothing is asked of those so near to 0.5
APART = 0.06  # eyes whose openness is known to differ by this much must come in order


def eye_loss(net: nn.Module, batch: Batch) -> Tensor:
    """Cross-entropy to the nearest allowed openness, rank loss between pairs, cross-entropy of readability."""
    luma, target = batch
    logits = net(luma.contiguous(memory_format=torch.channels_last)).float()
    low, high, readable = target.T
    openness = logits[:, 0]
    chance = torch.sigmoid(openness.detach())
    wanted = torch.minimum(torch.maximum(chance, low), high)
    each = functional.binary_cross_entropy_with_logits(openness, wanted, reduction="none")
    drawn = high - low < EXACT
    crossed = drawn & ((wanted - 0.5) * (chance - 0.5) < 0) & ((wanted - 0.5).abs() > CLOSE)
    each = torch.where(crossed, WRONG_SIDE * each, each)
    told = readable.sum().clamp(min=1.0)
    clear = functional.binary_cross_entropy_with_logits(logits[:, 1], readable)
    return (each * readable).sum() / told + RANK_SHARE * _rank(openness, low, high, readable) + READABLE_SHARE * clear


def _rank(openness: Tensor, low: Tensor, high: Tensor, readable: Tensor) -> Tensor:
    """How far pairs, of each eye and the next in the batch, come out of their known order (Burges et al. 2005)."""
    apart = low - high.roll(1)
    known = ((apart > APART) & (readable * readable.roll(1) > 0)).float()
    return (functional.softplus(openness.roll(1) - openness) * known).sum() / known.sum().clamp(min=1.0)


@torch.no_grad()
def validate(net: nn.Module, sources: list[data.Eyes], use: int) -> dict[str, float]:
    """Accuracy of closed and open at 0.5 on the real eyes of this ``use``, by source."""
    net.eval()
    found = {}
    for source in sources:
        part = source.only(source.use == use)
        if "open" not in part.about or not len(part.tiles):
            continue
        eyes = data.as_seen(part.tiles).astype(np.float32)[:, None] / 255
        logits = torch.cat([net(block)[:, 0] for block in torch.from_numpy(eyes).split(512)])
        found[source.name] = float(((logits > 0).numpy() == (part.about["open"] > 0)).mean())
    return found


def train(root: Path, folder: Path, epochs: int, options: argparse.Namespace) -> EyeNet:
    """Train on the wanted sources; in a trial without the people who are watched in it."""
    sources = data.read_sources(root, options.renders, ("renders",) if options.clean else (), options.without)
    watched = [source for source in sources if source.name in ("mrl", "web")]
    if not options.trial:
        sources = [data.with_all_people(source) for source in sources]
    schedule = Schedule(epochs=epochs, batch=128, rate=3e-3, weight_decay=0.03, average_steps=300)
    torch.manual_seed(schedule.seed)
    net = EyeNet()
    if options.weights is not None:
        net.load_state_dict(_weights(options.weights))
        schedule = replace(schedule, rate=schedule.rate * 0.7, average_steps=500, seed=schedule.seed + 1)
    return fit(
        net,
        data.TrainingEyes(sources, schedule.seed),
        data.chances(sources),
        options.length,
        eye_loss,
        schedule,
        f"sources={','.join(source.name for source in sources)}, trial={options.trial}, weights={options.weights}",
        folder,
        lambda net: validate(net, watched, data.CHOOSE),
        {},
    )


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
    sources = data.read_sources(root, options.renders, ("renders",) if options.clean else (), options.without)
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
    parser.add_argument("--weights", type=Path, help="run to go on from, at a lower rate")
    parser.add_argument("--blend", type=Path, help="run whose weights are averaged with the trained ones")
    parser.add_argument("--renders", type=Path, default=Path("runs/eyes"), help="where drawn eyes are kept")
    parser.add_argument("--models", type=Path, default=Path("models"), help="where the model is written")
    parser.add_argument("--version", default="0.1.0", help="of the model")
    parser.add_argument("--clean", action="store_true", help="train on drawn eyes alone, write eyes-clean")
    parser.add_argument("--without", nargs="*", default=[], choices=list(SOURCES), help="sources to leave out")
    parser.add_argument("--trial", action="store_true", help="watch some people who then do not train; write nothing")
    parser.add_argument("--epochs", type=int, default=24)
    parser.add_argument("--length", type=int, default=24_000, help="eyes an epoch")
    options = parser.parse_args()
    cv2.setNumThreads(1)  # OpenCV's thread pool does not survive the fork into data workers
    stem = "eyes-clean" if options.clean else "eyes"
    net = train(options.data, options.runs or Path("runs") / stem, options.epochs, options)
    if is_first() and not options.trial:
        net = net if options.blend is None else blended(net, _weights(options.blend))
        options.models.mkdir(parents=True, exist_ok=True)
        publish(net, options.data, options.models, stem, options)


if __name__ == "__main__":
    main()
