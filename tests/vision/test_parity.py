"""The shipped int8 models say what their float twin said, and the same on every kernel."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edge.vision.crop import cut_eyes
from edge.vision.expression import ExpressionReader
from edge.vision.manifest import Manifest, ModelName, bundled, load_manifest, read_model
from edge.vision.tflite import open_runtime
from models.training.expression_data import CROP_RULE
from models.training.synthetic_faces import LOOKS, digest, draw, parity_crops
from tests.vision.drawn_eyes import drawn_face

PARITY = Path(__file__).parents[2] / "models" / "figures" / "parity.json"

Luma = NDArray[np.uint8]


@pytest.fixture(scope="module")
def twin() -> dict[str, Any]:
    """What the float model answered, with the checksums of the int8 model and of the drawn faces."""
    content: dict[str, Any] = json.loads(PARITY.read_text(encoding="utf-8"))
    return content


def manifest_of(name: ModelName) -> Manifest:
    return load_manifest(bundled(name), name)


def test_the_float_answers_are_of_the_shipped_model_and_of_these_faces(twin: dict[str, Any]) -> None:
    remedy = "run make figures after a training"
    assert twin["model_sha256"] == manifest_of("expression").sha256, remedy
    assert twin["crops_sha256"] == digest(parity_crops()), remedy


def test_the_int8_model_answers_as_its_float_twin(twin: dict[str, Any]) -> None:
    reader = ExpressionReader.load()
    apart = [np.abs(reader.read_crop(crop) - twin["float"][name]).max() for name, crop in parity_crops().items()]
    assert np.median(apart) <= 0.03
    assert max(apart) <= 0.15


def test_the_int8_model_tells_cues_as_its_float_twin_if_it_tells_any(twin: dict[str, Any]) -> None:
    reader = ExpressionReader.load()
    told: dict[str, list[float]] = twin.get("float_cues", {})
    assert bool(told) == bool(reader.manifest.cues), "run make figures after a training"
    cues = {name: reader.read_crop_all(crop).cues for name, crop in parity_crops().items()}
    apart = [np.abs(read.reading().values - told[name]).max() for name, read in cues.items() if read is not None]
    assert len(apart) == len(told)
    assert np.median([*apart, 0]) <= 0.06
    assert max([*apart, 0]) <= 0.25


def test_the_drawn_faces_are_not_all_one_expression(twin: dict[str, Any]) -> None:
    assert len({int(np.argmax(answer)) for answer in twin["float"].values()}) >= 3


def test_the_crop_rule_on_the_board_is_the_one_of_the_training() -> None:
    crop = manifest_of("expression").crop
    assert crop is not None
    assert crop.rule() == CROP_RULE


@pytest.mark.parametrize(
    ("name", "kernels"),
    [
        ("face", "BUILTIN_WITHOUT_DEFAULT_DELEGATES"),
        ("expression", "BUILTIN_WITHOUT_DEFAULT_DELEGATES"),
        ("eyes", "BUILTIN_WITHOUT_DEFAULT_DELEGATES"),
        ("eyes", "BUILTIN_REF"),
        ("follow", "BUILTIN_WITHOUT_DEFAULT_DELEGATES"),
        ("follow", "BUILTIN_REF"),
        ("expression", "BUILTIN_REF"),  # the reference kernels know no TILE of the face model's version
    ],
)
def test_a_model_says_the_same_on_other_kernels(name: ModelName, kernels: str) -> None:
    """What a board runs (XNNPACK where the runtime has it) against TFLite's own optimised and reference kernels."""
    usual, other = invoker(name, "AUTO"), invoker(name, kernels)
    pairs = [pair for luma in pictures(name) for pair in zip(usual(luma), other(luma), strict=True)]
    steps = np.concatenate([np.abs(one.astype(int) - two.astype(int)).reshape(-1) for one, two in pairs])
    # in steps of a 256-step output: sums are rounded at other places, which may move a value between two answers
    assert steps.mean() <= 1.5
    assert steps.max() <= 26


def pictures(name: str) -> list[Luma]:
    """The parity crops, or for the face model two drawn faces before a slope of grey; pairs of eyes for theirs."""
    if name == "expression":
        return list(parity_crops().values())
    if name == "follow":
        return [draw(look, side=64) for look in LOOKS.values()]
    if name == "eyes":
        rule = manifest_of("eyes").crop
        assert rule is not None
        faces = [drawn_face(left, right) for left in (0.0, 0.4, 1.0) for right in (0.0, 0.7)]
        return [np.stack(cut_eyes(luma, face.points, rule.rule())) for luma, face in faces]
    scenes = []
    for left, right in (("rest", "shout"), ("smile", "sad"), ("startled", "frown")):
        scene = np.tile(np.linspace(40, 160, 160), (128, 1)).astype(np.uint8)
        scene[30:94, 8:72] = draw(LOOKS[left], side=64)
        scene[50:90, 100:140] = cv2.resize(draw(LOOKS[right]), (40, 40), interpolation=cv2.INTER_AREA)
        scenes.append(scene)
    return scenes


def invoker(name: ModelName, kernels: str) -> Any:
    """A function from luma to the model's raw outputs, on these kernels."""
    interpreter_class = open_runtime("auto")[1]
    kinds = sys.modules[interpreter_class.__module__].OpResolverType
    path = bundled(name)
    interpreter = interpreter_class(
        model_content=read_model(path, manifest_of(name)),
        experimental_op_resolver_type=getattr(kinds, kernels),
    )
    interpreter.allocate_tensors()
    source = interpreter.get_input_details()[0]["index"]
    targets = [detail["index"] for detail in interpreter.get_output_details()]

    def invoke(luma: Luma) -> list[NDArray[np.uint8]]:
        interpreter.set_tensor(source, luma[..., None] if luma.ndim == 3 else luma[None, :, :, None])
        interpreter.invoke()
        return [interpreter.get_tensor(index) for index in targets]

    return invoke
