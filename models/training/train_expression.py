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

from edge.config import VisionConfig
from edge.domain import EXPRESSIONS
from edge.vision.expression import ExpressionReader
from models.training import answers, export
from models.training import expression_data as data
from models.training.cues import AFFECT, CUES, ReadCues, measure_cues
from models.training.evaluate_expression import measure
from models.training.expression_loss import Leaning, mixed_loss
from models.training.expression_metrics import driver_figures
from models.training.expression_readers import FLOAT_FILE, Read, cue_reader
from models.training.expression_scale import Chosen, fit_scale
from models.training.expression_sources import ASKED, quoted_figures, read_quoted
from models.training.fit import Batch, Schedule, autocast, device, fit, is_first
from models.training.nets import EXPRESSION_SHAPES, CueHead, ExpressionNet, grow
from models.training.published import input_side, restore
from models.training.sources import CHOOSE, READERS, TRAIN, Source, read_sources

WEB_TEACHER_SHARE = 0.8  # of a web face's, whose one label is noisy
USUAL = {"anger": 0.02, "distress": 0.04}
"""By kind of alert, for how much of the time ordinary faces at rest are read as such; set by tuning drives."""
REST = {"ordinary": 0.12, "most": 0.3}
"""What ordinary faces at rest show of any kind, and the most that one can be taken to show; set by tuning drives."""
FAMILIAR = {"none": 0.005, "full": 0.12}
"""Shares of the choosing faces whose largest logit is less than that of a face unlike any, and of a familiar one."""
NOISY = frozenset({"expw", "web", "drawn"})  # sources whose labels the teacher's answers mostly replace
SOURCES = {
    "ferplus": "FER2013 faces (Goodfellow et al. 2013, web images, research use) with FER+ crowd votes "
    "(Barsoum et al. 2016, MIT)",
    "affect": "AffectNet faces (Mollahosseini et al. 2017, research use by agreement), a third of them of FFHQ "
    "(Karras et al. 2019, CC BY-NC-SA)",
    "raf": "RAF-DB faces (Li, Deng, Du 2017, research use by agreement)",
    "expw": "ExpW faces (Zhang et al. 2016, research use)",
    "drawn": "Generated faces of DiffusionFER (CC0 as published)",
    "web": "Web faces of muxspace/facial_expressions (repository Apache-2.0; images from the web, research use)",
    "drivers": "YawDD driver frames (Abtahi et al. 2014, research use)",
}
MEASURED_BY = "Lids, lips and brows of training faces as MediaPipe Face Mesh measured them (Google, Apache-2.0)"
CUE_FACES = 300
NOISY_TOLD = 0.8  # share of their targets
# Sources whose choosing faces set temperature and offsets, and how much each counts. AffectNet's classes are about
# equal, which no driver's are: counted in full it makes every ninth neutral face an angry or distressed one.
JUDGES = {"ferplus": 1.0, "affect": 0.1, "raf": 1.0}
ORDINARY = 0.8  # of the pictures that ranges of int8 are taken from; the others' answers are the most extreme
CLEAR = 0.45  # least trust in a label that a figure is measured on
EPOCH_FACES = 28_160
DRIVER_SHARE = 0.035  # of each epoch, once for yawns and once for calm drivers


def as_input(crops: NDArray[np.uint8]) -> Tensor:
    """Crops (N, SIDE, SIDE) as the network takes them: (N, 1, SIDE, SIDE), 0 to 1."""
    return torch.from_numpy(crops.astype(np.float32) / 255)[:, None]


@torch.no_grad()
def predict(net: nn.Module, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Logits (N, 9) of crops (N, SIDE, SIDE)."""
    net.eval()
    parts = [np.zeros((0, data.CLASSES), np.float32)]
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


def ask(teachers: list[ExpressionNet], crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What the teachers say on average of each face (N, S, S) and of its mirror image: (N, 9)."""
    crops = data.narrow(crops)
    views = (crops, np.ascontiguousarray(crops[:, :, ::-1]))
    said = [softmax(predict(teacher, data.resized(view, teacher.side))) for teacher in teachers for view in views]
    return np.mean(said, axis=0, dtype=np.float32)


@dataclass(frozen=True)
class Lesson:
    """What a network starts from and learns from.

    ``start`` and ``teachers`` are folders of runs or published ``.tflite`` files; teachers, who know crowd-voted faces
    alone, give ``share`` of the targets of those and most of the web faces'. ``answers`` is a file of a teacher's
    answers to all faces, which give ``told`` of the targets of those that no teacher answers. ``cabin_share`` of the
    crops get a cabin's light and sensor, ``mixed`` of the batches are mixed pairwise. Sources named in ``without`` are
    not seen, ``detail`` of the crops become softer or crisper. With ``leans``, how each source's labels lean is learned
    apart and left behind; without, the network itself learns it, as far as it tells sources apart.
    """

    shape: str
    start: Path | None
    teachers: tuple[Path, ...]
    share: float
    cabin_share: float
    answers: Path | None = None
    told: float = 0.5
    mixed: float = 0.0
    without: tuple[str, ...] = ()
    leans: bool = False
    detail: float = 0.0


def lessons(found: list[Source], lesson: Lesson) -> list[Source]:
    """The sources with what the lesson's teachers, or else its file of answers, say blended into the targets."""
    shares = {"ferplus": lesson.share, "web": WEB_TEACHER_SHARE} if lesson.teachers else {}
    if lesson.teachers:
        nets = [load_net(teacher, typical_crops(found)) for teacher in lesson.teachers]
        found = [
            source.taught(ask(nets, source.faces.crops), shares[source.name]) if source.name in shares else source
            for source in found
        ]
    if lesson.answers is not None:
        said = answers.read(lesson.answers, {source.name: len(source.label) for source in found}).by_source
        missing = [source.name for source in found if source.name not in said | shares]
        if missing:
            raise SystemExit(
                f"{lesson.answers}: its teacher answers no {', '.join(missing)}; leave them out: --without"
            )
        told = {name: max(lesson.told, NOISY_TOLD) if name in NOISY else lesson.told for name in said}
        found = [
            source if source.name in shares else source.taught(said[source.name], told[source.name]) for source in found
        ]
    return found


def typical_crops(found: list[Source]) -> NDArray[np.uint8]:
    """Some thousand crops (N, SIDE, SIDE) of all sources."""
    parts = [data.narrow(source.faces.crops[source.use == TRAIN]) for source in found]
    return np.concatenate([part[:: max(len(part) // 1000, 1)] for part in parts])


def train(root: Path, folder: Path, schedule: Schedule, lesson: Lesson) -> None:
    """Train on the sources' training faces and on all but the held-out driver groups; the run's folder holds it."""
    found = read_sources(root, lesson.without)
    torch.manual_seed(schedule.seed)
    net = ExpressionNet(EXPRESSION_SHAPES[lesson.shape], data.SIDE)
    if lesson.start is not None:
        _begin(net, lesson.start, typical_crops(found), lesson.shape)
    found = lessons(found, lesson)
    drivers = data.read_drivers(root)
    out = data.held_out(drivers.group)
    seen = data.driver_faces(data.Drivers(drivers.crops[~out], drivers.yawn[~out], drivers.group[~out]))
    unseen = data.narrow(drivers.crops[out]), drivers.yawn[out]

    def evaluate(net: nn.Module) -> dict[str, float]:
        figures = driver_figures(softmax(predict(net, unseen[0])), unseen[1])
        kept = {name: figures[name] for name in ("yawn_called_anger", "yawn_recall")}
        return kept | {
            f"{s.name}_{name}": value for s in found for name, value in chosen_figures(chosen(net, s)).items()
        }

    faces = data.TrainingFaces(
        [*(source.faces for source in found), seen], schedule.seed, lesson.cabin_share, lesson.detail
    )
    weights = sampling_weights(found, seen)

    def loss(net: nn.Module, batch: Batch) -> Tensor:
        return mixed_loss(net, batch, lesson.mixed)

    about = {"shape": lesson.shape, "side": str(data.SIDE)}
    leaning = Leaning(net, len(faces.parts))
    leaning.leans.requires_grad_(lesson.leans)
    fit(leaning, faces, weights, EPOCH_FACES, loss, schedule, str(lesson), folder, evaluate, about)


def _begin(net: ExpressionNet, start: Path, crops: NDArray[np.uint8], shape: str) -> None:
    """Give ``net`` the weights of ``start``, whose layers may have fewer channels."""
    try:
        grow(load_net(start, crops).cpu(), net)
    except ValueError as error:
        raise SystemExit(f"{start}: does not go into --shape {shape} ({error}); name its own shape") from error


def sampling_weights(found: list[Source], drivers: data.Faces) -> NDArray[np.float64]:
    """How often each face comes: the sources' shares, and fixed ones for yawning and for calm drivers."""
    faces = np.concatenate([source.chances() for source in found])
    faces = faces / faces.sum() * (1 - 2 * DRIVER_SHARE)
    yawn = drivers.target[:, data.YAWN] > 0
    seat = np.where(yawn, DRIVER_SHARE / yawn.sum(), DRIVER_SHARE / (~yawn).sum())
    return np.concatenate([faces, seat])


def load_net(source: Path, crops: NDArray[np.uint8]) -> ExpressionNet:
    """The averaged network of a run, or a published model's; ``crops`` (N, SIDE, SIDE) are training faces."""
    if source.is_dir():
        return load_average(source)
    side = input_side(source)
    nets = (ExpressionNet(shape, side) for shape in EXPRESSION_SHAPES.values())
    return restore(nets, source, as_input(data.resized(crops[::10], side))).to(device()).eval()


def load_average(folder: Path) -> ExpressionNet:
    """The averaged network of a run, without the leans of its sources."""
    saved = torch.load(folder / "checkpoint.pt", map_location="cpu", weights_only=True)
    leaning = Leaning(
        ExpressionNet(EXPRESSION_SHAPES[saved["shape"]], int(saved["side"])), len(saved["average"]["leans"])
    )
    leaning.load_state_dict(saved["average"])
    return leaning.net.to(device()).eval()


def chosen(net: nn.Module, source: Source) -> Chosen:
    """Logits and labels of a source's choosing faces whose label is clear."""
    kept = (source.use == CHOOSE) & (source.label >= 0) & (source.faces.trust >= CLEAR)
    return Chosen(predict(net, data.narrow(source.faces.crops[kept])), source.label[kept])


def chosen_figures(part: Chosen) -> dict[str, float]:
    """Accuracy and mean recall on choosing faces, among the classes that they have."""
    if not len(part.label):
        return {}
    classes = np.unique(part.label)
    guess = classes[part.logits[:, classes].argmax(1)]
    recalls = [float((guess[part.label == one] == one).mean()) for one in classes]
    return {"right": float((guess == part.label).mean()), "balanced": float(np.mean(recalls))}


@torch.no_grad()
def balance(net: ExpressionNet, found: list[Source]) -> float:
    """Fold the offsets that the choosing faces ask for into the network's last layer; return the temperature."""
    judges = [(source, JUDGES[source.name]) for source in found if source.name in JUDGES]
    parts = [replace(chosen(net, source), weight=weight) for source, weight in judges]
    parts = [part for part in parts if len(part.label)]
    if not parts:
        raise SystemExit(f"no face of {', '.join(sorted(JUDGES))} to choose on; a tenth of each source's does")
    with torch.enable_grad():
        scale = fit_scale(parts)
    net.classify.bias += torch.from_numpy(scale.offsets * scale.temperature)
    print("offsets", dict(zip(EXPRESSIONS, np.round(scale.offsets, 2).tolist(), strict=True)))
    return scale.temperature


def ordinary(net: ExpressionNet, crops: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The crops (N, SIDE, SIDE) less those of the largest logits, which would coarsen all others' steps."""
    extreme = np.abs(predict(net, crops)).max(1)
    return crops[extreme <= np.quantile(extreme, ORDINARY)]


def familiar(net: ExpressionNet, found: list[Source], temperature: float) -> dict[str, float]:
    """The manifest's [familiar]: of the choosing faces' largest logits those that so few fall below."""
    judges = (source for source in found if source.name in JUDGES)
    largest = np.concatenate([chosen(net, source).logits.max(1) for source in judges]) / temperature
    return {name: round(float(np.quantile(largest, share)), 3) for name, share in FAMILIAR.items()}


def publish(
    net: ExpressionNet,
    root: Path,
    target: Path,
    run: str,
    folder: Path,
    without: tuple[str, ...],
    head: CueHead | None = None,
) -> None:
    """Calibrate, convert to int8, write model and manifest into ``target`` with the figures measured on the file.

    ``run`` says in a few words how it was trained; a ``head`` adds valence, arousal and cues. The same graph in float32
    goes into ``folder``, the run's, to measure what quantisation costs.
    """
    net = net.cpu().eval()
    found = read_sources(root, without)
    temperature = balance(net, found)
    graph = export.expression_graph(net, data.SIDE, temperature, head)
    typical = ordinary(net, typical_crops(found))

    def says(luma: Tensor) -> tuple[Tensor, ...]:
        logits = net(luma) / temperature
        told = torch.softmax(logits, 1), logits.max(1, keepdim=True).values
        if head is None:
            return told
        cues = head(*net.features(luma))
        return told[0], torch.tanh(cues[:, :2] / 2), torch.sigmoid(cues[:, 2:]), told[1]

    export.require_agreement(says, graph, typical[::50])
    content = export.to_int8(graph, typical)
    target.mkdir(parents=True, exist_ok=True)
    (folder / FLOAT_FILE.name).write_bytes(export.to_float(graph))
    entries = manifest_entries(temperature, run, without, with_cues=head is not None)
    entries["familiar"] = familiar(net, found, temperature)
    path = export.write_model(target, content, entries)
    reader = ExpressionReader.load(VisionConfig(expression_model=path))
    measured = [*measurements(reader.read_crop, root), *cue_measurements(cue_reader(reader), root)]
    export.write_model(target, content, {**entries, "measurements": measured})
    print(f"wrote {path}: temperature {temperature:.2f}, {len(content) / 1000:.0f} kB")
    for measurement in measured:
        print(measurement["data"])
        for name, value in measurement["figures"].items():
            print(f"{name:>22} {value:.4f}")


def measurements(read: Read, root: Path) -> list[dict[str, Any]]:
    """The manifest's entries: the quoted faces of each source, and held-out drivers beside FER+."""
    protocol = "no test-time augmentation; nothing was chosen on these faces"
    figures = measure(read, root, "valid", "int8")
    found = [("FER+ validation split; driver groups held out of training", int(figures["n_a"]), figures)]
    for name, faces in read_quoted(root).items():
        if name != "ferplus":
            of_source = quoted_figures(np.array([read(crop) for crop in faces.crops], np.float32), faces)
            found.append((ASKED[name].title, len(faces.label), of_source))
    return [
        {
            "data": title,
            "protocol": protocol,
            "samples": samples,
            "figures": {name: round(value, 4) for name, value in values.items()},
        }
        for title, samples, values in found
    ]


def cue_measurements(read: ReadCues | None, root: Path) -> list[dict[str, Any]]:
    """The manifest's entry of cues, valence and arousal; none where the model tells none."""
    figures = {} if read is None else measure_cues(read, root)
    if not figures:
        return []
    return [
        {
            "data": "300 faces labelled by eye, of AffectNet's quoted ones and RAF-DB's fold 4; generated faces",
            "protocol": "AUROC of each cue with 95 % bootstrap interval; concordance of valence and arousal",
            "samples": CUE_FACES,
            "figures": {name: round(value, 4) for name, value in figures.items()},
        }
    ]


def manifest_entries(temperature: float, run: str, without: tuple[str, ...], *, with_cues: bool) -> dict[str, Any]:
    """The manifest without file, checksum and figures."""
    rule = data.CROP_RULE
    outputs = [
        {
            "name": "probabilities",
            "dtype": "uint8",
            "shape": [1, len(EXPRESSIONS)],
            "description": "softmax in the order of classes, dequantised by the tensor's own scale",
        }
    ]
    cues: dict[str, Any] = {}
    if with_cues:
        cues = {"cues": list(CUES)}
        outputs += [
            {"name": "affect", "dtype": "uint8", "shape": [1, len(AFFECT)], "description": "valence, arousal, -1 to 1"},
            {"name": "cues", "dtype": "uint8", "shape": [1, len(CUES)], "description": "probabilities of cues"},
        ]
    largest = "of the logits behind the probabilities"
    outputs.append({"name": "largest_logit", "dtype": "uint8", "shape": [1, 1], "description": largest})
    sources = [text for name, text in SOURCES.items() if name not in without]
    return {
        "name": "expression",
        "version": "0.5.0",
        "description": f"Displayed expression of one face; residual 3x3 network, {run}, post-training int8",
        "licence": "Weights for research and evaluation only: trained on research-only pictures; see MODEL_CARD.md",
        "classes": list(EXPRESSIONS),
        **cues,
        "temperature": temperature,
        "usual": USUAL,
        "rest": REST,
        "sources": [*sources, MEASURED_BY] if with_cues else sources,
        "input": {
            "name": "crop",
            "dtype": "uint8",
            "shape": [1, data.SIDE, data.SIDE, 1],
            "description": "luma of the face crop, raw 0 to 255",
        },
        "outputs": outputs,
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
    parser.add_argument("--answers", type=Path, help="file of a teacher's answers to all faces")
    parser.add_argument("--told", type=float, default=0.5, help="share of a face's target that --answers give")
    parser.add_argument("--mixed", type=float, default=0.0, help="share of batches that are mixed pairwise")
    parser.add_argument("--without", nargs="+", default=[], choices=sorted(READERS), help="sources that are not seen")
    parser.add_argument("--leans", action="store_true", help="learn apart how each source's labels lean")
    parser.add_argument("--rate", type=float, help="peak learning rate; by default 0.002, with --weights half of it")
    parser.add_argument("--cabin", type=float, default=0.4, help="share of crops that get a cabin's light and sensor")
    parser.add_argument("--detail", type=float, default=0.0, help="share of crops that become softer or crisper")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--models", type=Path, default=Path("models"), help="where the model is written")
    parser.add_argument("--epochs", type=int, default=60)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)  # OpenCV's thread pool does not survive the fork into data workers
    schedule = Schedule(epochs=arguments.epochs, seed=arguments.seed)
    if arguments.weights is not None:
        schedule = replace(schedule, rate=schedule.rate / 2)
    if arguments.rate is not None:
        schedule = replace(schedule, rate=arguments.rate)
    lesson = Lesson(
        arguments.shape,
        arguments.weights,
        tuple(arguments.teachers),
        arguments.share,
        arguments.cabin,
        arguments.answers,
        arguments.told,
        arguments.mixed,
        tuple(arguments.without),
        arguments.leans,
        arguments.detail,
    )
    train(arguments.data, arguments.runs, schedule, lesson)
    if is_first():
        run = f"{arguments.epochs} epochs on all sources"
        if lesson.without:
            run = f"{arguments.epochs} epochs without {', '.join(lesson.without)}"
        net = load_average(arguments.runs)
        publish(net, arguments.data, arguments.models, run, arguments.runs, lesson.without)


if __name__ == "__main__":
    main()
