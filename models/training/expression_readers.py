"""Ways to read a crop that are measured beside each other: the shipped model, its float twin, a public peer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.config import VisionConfig
from edge.vision.expression import ExpressionReader
from edge.vision.manifest import bundled
from edge.vision.tflite import open_runtime
from models.training.expression_data import SIDE, resized

Read = Callable[[NDArray[np.uint8]], NDArray[np.float32]]

OURS = "evenkeel int8"
TWIN = "evenkeel float"
PEER = "vicksam/fer-model float"
PEER_FILE = "ferplus_small_float.tflite"
PEER_PX = 48
# Of outputs, in the order in which they are told: nine expressions or the peer's eight, affect, cues. A largest logit,
# of one number, is left out.
OUTPUT_LENGTHS = (9, 8, 2, 5)
FLOAT_FILE = Path("runs/expression/expression_float.tflite")


@dataclass(frozen=True)
class Candidate:
    """A model that reads a crop (SIDE, SIDE) uint8 to nine probabilities, and the file that it came from.

    ``read_cues`` gives valence, arousal and cues (7,) where the model tells them, ``familiar`` how far the face is like
    those that the model learned from, 0 to 1. ``side`` is that of the picture that it takes, in pixels; a crop of
    another size is resized.
    """

    read: Read
    file: Path
    read_cues: Read | None = None
    familiar: Callable[[NDArray[np.uint8]], float] = lambda _: 1.0
    side: int = SIDE

    @property
    def size_kb(self) -> float:
        """Size of the file in units of 1,000 bytes."""
        return self.file.stat().st_size / 1000


def open_candidates(model: Path | None, twin: Path | None, peers: Path) -> dict[str, Candidate]:
    """The shipped model (or the one of another manifest), its float twin if there is one, and the peer if it is there.

    Raises:
        SystemExit: ``twin`` is given and missing.
    """
    manifest = model or bundled("expression")
    reader = ExpressionReader.load(VisionConfig(expression_model=manifest))
    ours = manifest.parent / reader.manifest.file
    found = {OURS: Candidate(reader.read_crop, ours, cue_reader(reader), familiarity(reader))}
    if twin is not None:
        if not twin.exists():
            raise SystemExit(f"{twin}: no such float model; training writes one beside its checkpoint")
        found[TWIN] = Candidate(twin_reader(twin), twin, twin_cue_reader(twin))
    if (peers / PEER_FILE).exists():
        found[PEER] = Candidate(peer_reader(peers / PEER_FILE), peers / PEER_FILE, side=PEER_PX)
    return found


def twin_reader(path: Path) -> Read:
    """The same graph as the shipped model in float32: raw luma to nine probabilities."""
    invoke = _float_model(path)
    return lambda crop: invoke(crop.astype(np.float32))[0]


def cue_reader(reader: ExpressionReader) -> Read | None:
    """Valence, arousal and cues (7,) as the board reads them; None where the model tells none."""
    if not reader.manifest.cues:
        return None

    def read(crop: NDArray[np.uint8]) -> NDArray[np.float32]:
        cues = reader.read_crop_all(crop).cues
        assert cues is not None
        return cues.reading().values

    return read


def familiarity(reader: ExpressionReader) -> Callable[[NDArray[np.uint8]], float]:
    """How far a face is like those that the model learned from, as the board sees it; 1 where the model tells none."""
    if reader.manifest.familiar is None:
        return lambda _: 1.0
    return lambda crop: reader.read_crop_all(crop).familiar


def twin_cue_reader(path: Path) -> Read | None:
    """The same in float32."""
    invoke = _float_model(path)
    if len(invoke(np.zeros((SIDE, SIDE), np.float32))) == 1:
        return None
    return lambda crop: np.concatenate(invoke(crop.astype(np.float32))[1:])


def peer_reader(path: Path) -> Read:
    """The float peer: grey 48x48 from 0 to 1 to eight logits; it has no yawn. A crop of another size is resized."""
    invoke = _float_model(path, PEER_PX)

    def read(crop: NDArray[np.uint8]) -> NDArray[np.float32]:
        (logits,) = invoke(resized(crop[None], PEER_PX)[0].astype(np.float32) / 255)
        powers = np.exp(logits - logits.max())
        return np.append(powers / powers.sum(), 0).astype(np.float32)

    return read


def _float_model(path: Path, side: int = SIDE) -> Callable[[NDArray[np.float32]], list[NDArray[np.float32]]]:
    """A model's outputs, flat: the probabilities, then where it has them affect and cues, told by their lengths."""
    interpreter = open_runtime("auto")[1](model_path=str(path), num_threads=1)
    interpreter.allocate_tensors()
    source = interpreter.get_input_details()[0]
    lengths = {int(np.prod(detail["shape"])): detail["index"] for detail in interpreter.get_output_details()}
    targets = [lengths[length] for length in OUTPUT_LENGTHS if length in lengths]
    if int(np.prod(source["shape"])) != side * side or np.dtype(source["dtype"]) != np.float32:
        raise SystemExit(f"{path}: expected a float32 input of {side} by {side} pixels, found {source['shape']}")

    def invoke(crop: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        interpreter.set_tensor(source["index"], crop.reshape(source["shape"]))
        interpreter.invoke()
        return [np.asarray(interpreter.get_tensor(target).reshape(-1), np.float32) for target in targets]

    return invoke


def require_twins(answers: Mapping[str, NDArray[np.float32]], least: float = 0.85) -> None:
    """Refuse a float model that is not the shipped one before quantisation: twins nearly always answer alike."""
    if TWIN not in answers:
        return
    alike = float((answers[OURS].argmax(1) == answers[TWIN].argmax(1)).mean())
    if alike < least:
        raise SystemExit(
            f"--float: only {alike:.0%} of its answers are the shipped model's; it is another model's float"
        )
