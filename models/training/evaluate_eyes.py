"""Measure the shipped eye models on eyes that trained nothing; time a step with and without them.

``python -m models.training.evaluate_eyes --data ../shared/data --json models/figures/eyes.json``. Models that were
trained without a source (``train_eyes --without SOURCE``) are measured on it with ``--left-out SOURCE=MANIFEST``.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import time
from pathlib import Path

import cv2
from rich.console import Console

from edge.config import Config, VisionConfig
from edge.domain import Frame
from edge.pipeline import Pipeline
from edge.tools.bench import KEPT_FRAMES, WARM_UP, bundled_clip, clip_frames
from edge.vision.expression import ExpressionReader
from edge.vision.eyes import EyeReader
from edge.vision.face import FaceFinder
from edge.vision.manifest import bundled, load_manifest
from edge.vision.track import FaceTracker
from models.training.eye_measures import measure
from models.training.left_out import pairs
from models.training.scoreboard import Row, Want, percent, show, write_json

OURS, CLEAN = "eyes int8", "eyes-clean int8"
TURN = 4
"""Frames that each pipeline takes in its turn."""

ROWS: tuple[Row, ...] = (
    Row("mrl_n", "infrared eyes of nine people whom no training saw", digits=0),
    percent("mrl_accuracy", "accuracy, %", Want(0.985, at_least=True, floor=0.97)),
    Row("mrl_f1", "F1 of closed", want=Want(0.985, at_least=True, floor=0.97)),
    Row("mrl_auroc", "AUROC"),
    percent("mrl_worst_person", "accuracy, the worst of the nine, %"),
    Row("mrl_glasses_n", "of them with glasses", digits=0),
    Row("mrl_glasses_f1", "F1 of closed, with glasses", want=Want(0.96, at_least=True, floor=0.94)),
    Row("mrl_reflections_n", "of them with reflections", digits=0),
    Row("mrl_reflections_f1", "F1 of closed, with reflections", want=Want(0.96, at_least=True, floor=0.94)),
    percent("mrl_bare_accuracy", "accuracy without glasses, %"),
    Row("sunglasses_n", "of them, with sunglasses drawn over", digits=0),
    percent("opaque_readable", "said to be readable behind opaque or mirroring ones, %"),
    percent("clear_readable", "behind ones that let 60 to 90 % of infrared through, %"),
    percent("clear_accuracy", "accuracy of what is read there, %"),
    percent("dim_readable", "behind ones that let 30 to 60 % through, %"),
    percent("dim_accuracy", "accuracy of what is read there, %"),
    Row("web_n", "web eyes held out", digits=0),
    percent("web_accuracy", "web eyes, accuracy, %", Want(0.97, at_least=True, floor=0.95)),
    Row("renders_n", "drawn eyes of other heads, closed or open", digits=0),
    percent("renders_accuracy", "drawn eyes, accuracy, %"),
    Row("renders_rank", "drawn eyes, rank correlation of openness with the lids"),
    Row("down_n", "drawn eyes that look down, lids apart", digits=0),
    percent("down_closed", "of them taken for closed, %", Want(0.03, at_least=False, floor=0.06)),
    Row("squint_n", "drawn eyes that squint, lids apart", digits=0),
    percent("squint_closed", "of them taken for closed, %", Want(0.03, at_least=False, floor=0.06)),
    Row("faces_open_n", "open eyes of held-out portraits and drivers", digits=0),
    percent("faces_open_closed", "of them taken for closed, %", Want(0.03, at_least=False, floor=0.06)),
    Row("faces_lowered_n", "their lowered, laughing or squinting eyes", digits=0),
    percent("faces_lowered_closed", "of them taken for closed, %", Want(0.03, at_least=False, floor=0.06)),
    Row("faces_closed_n", "their closed eyes", digits=0),
    percent("faces_closed_found", "of them found closed, %"),
    percent("faces_readable", "of all these said to be readable, %"),
    Row("faces_hidden_n", "their eyes behind opaque glass or out of view", digits=0),
    percent("faces_hidden_readable", "of them said to be readable, %"),
    Row("step_ratio", "time of a step with eyes, against one without", 1, 3, Want(1.08, at_least=False, floor=1.15)),
    Row("size_kb", "size, kB", 1, 0, Want(60, at_least=False)),
)
CLEAN_WANTED = Want(0.92, at_least=True, floor=0.85)
"""Accuracy of the model that saw renders alone on infrared eyes of people."""
LEFT_OUT: dict[str, Row] = {
    "web": percent("web_all_accuracy", "web eyes, all", Want(0.93, at_least=True, floor=0.88)),
    "mrl": percent("mrl_accuracy", "infrared eyes of the nine people", Want(0.93, at_least=True, floor=0.88)),
}
"""By source the figure of a model that was trained without it."""


def step_ratio(count: int) -> float:
    """Time of steps with eyes over that of steps without, on the bundled clip: the medians of turns of a few frames.

    Wide open eyes are read in every second frame at most, so that whole turns are compared and not single steps.
    """
    config = Config()
    cv2.setNumThreads(1)
    frames = clip_frames(bundled_clip(), KEPT_FRAMES)
    pipelines = [
        Pipeline(config, FaceFinder.load(), ExpressionReader.load(), eyes=eyes, tracker=FaceTracker.load())
        for eyes in (EyeReader.load(), None)
    ]
    taken: list[list[float]] = [[], []]
    numbers = itertools.count()
    for _ in range((WARM_UP + count) // TURN + 1):
        turn = [Frame(frames[n % len(frames)], n / config.camera.fps) for n in itertools.islice(numbers, TURN)]
        for pipeline, times in zip(pipelines, taken, strict=True):
            begin = time.perf_counter()
            for frame in turn:
                pipeline.step(frame)
            times.append(time.perf_counter() - begin)
    with_eyes, without = (statistics.median(times[WARM_UP // TURN :]) for times in taken)
    return with_eyes / without


def left_out(given: list[str], root: Path, renders: Path) -> dict[str, dict[str, float]]:
    """Figures by source of models that were trained without it, from ``SOURCE=MANIFEST``.

    Raises:
        SystemExit: something else was given.
    """
    found = {}
    for name, manifest in pairs(given, LEFT_OUT).items():
        key = LEFT_OUT[name].key
        found[name] = {key: measure(manifest, root, renders)[key]}
    return found


def main() -> None:
    """Parse the command line, measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--renders", type=Path, default=Path("runs/eyes"), help="where drawn eyes are kept")
    parser.add_argument("--model", type=Path, help="manifest of another eye model")
    parser.add_argument("--frames", type=int, default=1500, help="frames to time")
    parser.add_argument("--left-out", nargs="*", default=[], help="SOURCE=MANIFEST of a model trained without SOURCE")
    parser.add_argument("--json", type=Path, help="write all figures here; figures of sources left out stay there")
    arguments = parser.parse_args()
    if not (arguments.data / "eyes").is_dir():
        raise SystemExit(f"{arguments.data / 'eyes'}: no such folder; name the data's folder with --data")
    manifests = {OURS: arguments.model or bundled("eyes"), CLEAN: bundled("eyes-clean")}
    models = {name: measure(path, arguments.data, arguments.renders) for name, path in manifests.items()}
    for name, path in manifests.items():
        models[name]["size_kb"] = (path.parent / load_manifest(path, "eyes").file).stat().st_size / 1000
    models[OURS]["step_ratio"] = step_ratio(arguments.frames)
    manifest = EyeReader.load(VisionConfig(eye_model=manifests[OURS])).manifest
    show(f"Eye model {manifest.version}", ROWS, models, Console(width=120), OURS)
    kept = json.loads(arguments.json.read_text()) if arguments.json and arguments.json.exists() else {}
    told = kept.get("left_out", {}) | left_out(arguments.left_out, arguments.data, arguments.renders)
    for name, figures in told.items():
        row = LEFT_OUT[name]
        print(f"trained without {name}: {row.label} {row.text(figures[row.key])} % ({row.verdict(figures[row.key])})")
    verdict = CLEAN_WANTED.verdict(models[CLEAN]["mrl_accuracy"])
    print(f"trained on renders alone: infrared accuracy {100 * models[CLEAN]['mrl_accuracy']:.1f} % ({verdict})")
    if arguments.json:
        clean = load_manifest(bundled("eyes-clean"), "eyes")
        head = {"sha256": manifest.sha256, "clean_sha256": clean.sha256, "version": manifest.version}
        write_json(arguments.json, {**head, "models": models, "left_out": told})


if __name__ == "__main__":
    main()
