"""Models and manifests: what is loaded is what was measured, on either runtime."""

import contextlib
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import astuple
from importlib import resources
from itertools import count
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from numpy.typing import NDArray

from edge.camera import EndOfStream, open_camera
from edge.config import CameraConfig, VisionConfig
from edge.decision.alerts import AlertsConfig
from edge.domain import CUE_NAMES, EXPRESSIONS, Face
from edge.errors import EXIT_CONFIG, ModelError, UnavailableError
from edge.vision.crop import CropRule, FaceView
from edge.vision.expression import ExpressionReader, require_outputs
from edge.vision.eyes import EyeReader
from edge.vision.face import FaceFinder
from edge.vision.manifest import FamiliarSpec, Manifest, ModelName, bundled, load_manifest
from edge.vision.ordinary import ordinary_face
from edge.vision.tflite import TfliteModel, open_runtime
from edge.vision.track import FaceTracker

NAMES: tuple[ModelName, ...] = ("face", "follow", "expression", "eyes")


@pytest.fixture
def copies(tmp_path: Path) -> Path:
    """The bundled models in a folder where they may be damaged."""
    for name in NAMES:
        manifest = bundled(name)
        shutil.copy(manifest, tmp_path)
        shutil.copy(manifest.parent / load_manifest(manifest, name).file, tmp_path)
    return tmp_path


def load(folder: Path, name: str) -> ExpressionReader | EyeReader | FaceFinder | FaceTracker:
    if name == "follow":
        return FaceTracker.load(VisionConfig(follow_model=folder / "follow.toml"))
    if name == "face":
        return FaceFinder.load(VisionConfig(face_model=folder / "face.toml"))
    if name == "eyes":
        return EyeReader.load(VisionConfig(eye_model=folder / "eyes.toml"))
    return ExpressionReader.load(VisionConfig(expression_model=folder / "expression.toml"))


def refusal(folder: Path, name: str) -> str:
    with pytest.raises(ModelError) as caught:
        load(folder, name)
    assert caught.value.exit_code == EXIT_CONFIG
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", NAMES)
def test_the_bundled_models_load_and_say_who_they_are(name: str, copies: Path) -> None:
    manifest = load(copies, name).manifest
    assert manifest.name == name
    assert manifest.sources
    assert manifest.measurements


@pytest.mark.parametrize("name", NAMES)
def test_a_model_cut_short_is_refused_with_both_checksums(name: str, copies: Path) -> None:
    file = copies / f"{name}.tflite"
    file.write_bytes(file.read_bytes()[:1000])
    message = refusal(copies, name)
    assert str(file) in message
    assert "expected sha256" in message
    assert "found" in message


def test_a_manifest_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    path = tmp_path / "face.toml"
    path.write_bytes(b"\xef\xbb\xbf" + bundled("face").read_bytes())
    assert load_manifest(path, "face") == load_manifest(bundled("face"), "face")


def test_loading_a_model_says_nothing_and_keeps_what_others_say(capfd: pytest.CaptureFixture[str]) -> None:
    class Chatty:
        """A runtime's Interpreter that tells of itself, and of something else."""

        def __init__(self, **_: object) -> None:
            os.write(2, b"INFO: Created TensorFlow Lite XNNPACK delegate for CPU.\nWARNING: slow\n")
            raise ValueError("enough")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("edge.vision.tflite.open_runtime", lambda _: ("litert", Chatty))
        with pytest.raises(ModelError, match="enough"):
            TfliteModel.load(bundled("face"), "face")
    assert capfd.readouterr().err == "WARNING: slow\n"


def test_models_swapped_for_each_other_are_refused(copies: Path) -> None:
    (copies / "face.tflite").replace(copies / "spare")
    (copies / "expression.tflite").replace(copies / "face.tflite")
    (copies / "spare").replace(copies / "expression.tflite")
    for name in ("face", "expression"):
        assert "sha256" in refusal(copies, name)


def test_a_manifest_of_the_other_model_is_refused(copies: Path) -> None:
    shutil.copy(copies / "expression.toml", copies / "face.toml")
    assert "is a model for 'expression', expected 'face'" in refusal(copies, "face")


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_model_is_named(name: str, copies: Path) -> None:
    (copies / f"{name}.tflite").unlink()
    assert f"{name}.tflite" in refusal(copies, name)


@pytest.mark.parametrize("content", ["", "name = 3", "not toml at all [", 'name = "face"\nunknown = 1'])
def test_a_broken_manifest_is_named(content: str, copies: Path) -> None:
    (copies / "face.toml").write_text(content)
    assert str(copies / "face.toml") in refusal(copies, "face")


def test_a_missing_manifest_names_the_config_key(tmp_path: Path) -> None:
    assert "[vision] face_model" in refusal(tmp_path, "face")


def test_a_file_that_is_no_model_is_refused_though_its_checksum_matches(copies: Path) -> None:
    import hashlib  # noqa: PLC0415 - this test alone forges a checksum

    junk = b"TFL3" * 500
    manifest = copies / "face.toml"
    old = load_manifest(manifest, "face").sha256
    (copies / "face.tflite").write_bytes(junk)
    manifest.write_text(manifest.read_text().replace(old, hashlib.sha256(junk).hexdigest()))
    assert "not a TFLite model" in refusal(copies, "face")


def test_another_input_shape_is_refused_with_both_values(copies: Path) -> None:
    manifest = copies / "expression.toml"
    manifest.write_text(manifest.read_text().replace("[1, 48, 48, 1]", "[1, 64, 64, 1]"))
    message = refusal(copies, "expression")
    assert "(1, 64, 64, 1)" in message
    assert "(1, 48, 48, 1)" in message


def test_a_crop_that_does_not_fit_the_input_is_refused_at_the_start(copies: Path) -> None:
    manifest = copies / "expression.toml"
    manifest.write_text(manifest.read_text().replace("size_px = 48", "size_px = 64"))
    assert "expected input (1, 64, 64, 1)" in refusal(copies, "expression")


def test_a_grid_that_does_not_fit_the_maps_is_refused_at_the_start(copies: Path) -> None:
    manifest = copies / "face.toml"
    manifest.write_text(manifest.read_text().replace("stride_px = 8", "stride_px = 4"))
    assert "expected maps of (32, 40) cells" in refusal(copies, "face")


def test_what_a_model_makes_of_ordinary_faces_stands_in_its_manifest(copies: Path) -> None:
    path = copies / "expression.toml"
    config = VisionConfig(expression_model=path)
    assert ordinary_face(config) == ordinary_face(VisionConfig())
    changed = re.sub(r"(\[rest\]\nordinary = )\S+\nmost = \S+", r"\g<1>0.2\nmost = 0.45", path.read_text())
    path.write_text(re.sub(r"(\[usual\]\nanger = )\S+", r"\g<1>0.07", changed))
    face = ordinary_face(config)
    assert (face.signal, face.most, face.usual["anger"]) == (0.2, 0.45, 0.07)
    path.write_text(path.read_text().replace("most = 0.45", "most = 0.15"))
    assert "rest: ordinary must not be above most" in refusal(copies, "expression")


def test_a_manifest_of_before_reads_ordinary_faces_as_always(copies: Path) -> None:
    path = copies / "expression.toml"
    path.write_text(re.sub(r"\[(usual|rest)\]\n(?:.+\n)+\n", "", path.read_text()))
    face = ordinary_face(VisionConfig(expression_model=path))
    assert (face.signal, face.most) == (0.12, 0.3)
    assert set(face.usual) == set(AlertsConfig.default().expressions)


def test_the_face_models_manifest_tells_the_least_score_unless_the_configuration_does(copies: Path) -> None:
    path = copies / "face.toml"
    path.write_text(re.sub(r"min_score = \S+", "min_score = 0.0", path.read_text()))
    noise = np.random.default_rng(1).integers(0, 256, (480, 640), dtype=np.uint8)
    assert FaceFinder.load(VisionConfig(face_model=path)).find(noise) is not None
    assert FaceFinder.load(VisionConfig(face_model=path, min_face_score=0.75)).find(noise) is None


def test_classes_in_another_order_are_refused(copies: Path) -> None:
    manifest = copies / "expression.toml"
    manifest.write_text(manifest.read_text().replace('"neutral", "happiness"', '"happiness", "neutral"'))
    assert "classes" in refusal(copies, "expression")


def test_a_runtime_that_is_not_installed_is_named_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys  # noqa: PLC0415 - only to hide the runtimes

    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    monkeypatch.setitem(sys.modules, "tflite_runtime.interpreter", None)
    with pytest.raises(UnavailableError, match="pip install ai-edge-litert"):
        open_runtime("auto")
    with pytest.raises(UnavailableError, match="pip install tflite-runtime"):
        open_runtime("tflite")


def test_probabilities_add_up_to_one_for_any_crop() -> None:
    reader = ExpressionReader.load()
    rng = np.random.default_rng(2)
    for crop in (
        np.zeros((48, 48), np.uint8),
        np.full((48, 48), 255, np.uint8),
        rng.integers(0, 256, (48, 48), np.uint8),
    ):
        probabilities = reader.read_crop(crop)
        assert probabilities.shape == (len(EXPRESSIONS),)
        assert probabilities.dtype == np.float32
        assert probabilities.sum() == pytest.approx(1.0, abs=1e-5)


class Told:
    """A model that tells fixed numbers and counts how often it runs."""

    def __init__(self, *outputs: list[float]) -> None:
        self.outputs = [np.array([each], np.float32) for each in outputs]
        self.runs = 0

    def run_raw(self, picture: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        assert picture.shape == (1, 48, 48, 1)
        self.runs += 1
        return self.outputs

    def real(self, output: int, raw: NDArray[np.float32]) -> NDArray[np.float32]:
        assert raw is self.outputs[output]
        return raw

    def run(self, picture: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        return [self.real(output, raw) for output, raw in enumerate(self.run_raw(picture))]


def test_one_run_of_the_model_gives_probabilities_and_cues() -> None:
    model = Told([0.5, 0.0, 0.0, 0.0, 0.75, 0.0, 0.0, 0.0, 0.0], [-0.5, 0.25], [0.9, 0.1, 0.8, 0.0, 0.3])
    reader = ExpressionReader(cast("TfliteModel", model), CropRule(48, 0.5, 0.575, 0.376))
    luma = np.zeros((100, 100), np.uint8)
    face = Face((20, 20, 60, 60), np.array([[35, 40], [65, 40], [50, 55], [38, 70], [62, 70]], np.float32), 0.9)
    read = reader.read_all(FaceView(luma, face))
    assert model.runs == 1
    assert read.probabilities.tolist() == pytest.approx([0.4, 0, 0, 0, 0.6, 0, 0, 0, 0])
    assert read.cues is not None
    assert astuple(read.cues) == pytest.approx((-0.5, 0.25, 0.9, 0.1, 0.8, 0.0, 0.3))
    assert (reader.read(luma, face) == read.probabilities).all()


@pytest.mark.parametrize(("logit", "familiar"), [(0.5, 0.0), (1.0, 0.0), (1.5, 0.25), (3.0, 1.0), (9.0, 1.0)])
@pytest.mark.parametrize("cues", [[], [[-0.5, 0.25], [0.9, 0.1, 0.8, 0.0, 0.3]]])
def test_the_largest_logit_tells_how_familiar_a_face_is(cues: list[list[float]], logit: float, familiar: float) -> None:
    model = cast("TfliteModel", Told([1.0, *[0.0] * 8], *cues, [logit]))
    reader = ExpressionReader(model, CropRule(48, 0.5, 0.575, 0.376), FamiliarSpec(none=1.0, full=3.0))
    read = reader.read_crop_all(np.zeros((48, 48), np.uint8))
    assert read.familiar == pytest.approx(familiar)
    assert (read.cues is not None) == bool(cues)


def test_a_model_without_cues_tells_none() -> None:
    reader = ExpressionReader(cast("TfliteModel", Told([1.0] * 9)), CropRule(48, 0.5, 0.575, 0.376))
    assert reader.read_crop_all(np.zeros((48, 48), np.uint8)).cues is None


def output(name: str, *shape: int) -> dict[str, object]:
    return {"name": name, "dtype": "uint8", "shape": shape, "description": ""}


@pytest.mark.parametrize(
    ("more", "cues", "words"),
    [
        ([output("affect", 1, 2)], [], "found probabilities, affect"),
        ([output("cues", 1, 5), output("affect", 1, 2)], list(CUE_NAMES[2:]), "found probabilities, cues, affect"),
        ([output("affect", 1, 2), output("cues", 1, 6)], list(CUE_NAMES[2:]), "cues: expected shape (1, 5), found"),
        ([output("affect", 1, 2), output("cues", 1, 5)], [], "found none"),
        ([output("affect", 1, 2), output("cues", 1, 5)], list(CUE_NAMES[:1:-1]), "found hand_at_mouth, mouth_open"),
    ],
)
def test_other_outputs_than_those_that_are_read_are_refused(
    more: list[dict[str, object]], cues: list[str], words: str
) -> None:
    plain = load_manifest(bundled("expression"), "expression").model_dump() | {"familiar": None}
    plain["outputs"] = plain["outputs"][:1]
    path = Path("some.toml")
    require_outputs(path, Manifest.model_validate(plain | {"cues": []}))
    told = [output("affect", 1, 2), output("cues", 1, 5)]
    require_outputs(
        path, Manifest.model_validate(plain | {"outputs": [*plain["outputs"], *told], "cues": CUE_NAMES[2:]})
    )
    with pytest.raises(ModelError) as caught:
        require_outputs(path, Manifest.model_validate(plain | {"outputs": [*plain["outputs"], *more], "cues": cues}))
    assert words in str(caught.value)


def test_the_largest_logit_and_what_it_means_come_together() -> None:
    plain = load_manifest(bundled("expression"), "expression").model_dump()
    plain["outputs"] = [plain["outputs"][0], output("largest_logit", 1, 1)]
    path = Path("some.toml")
    known = plain | {"cues": [], "familiar": {"none": 0.1, "full": 1.0}}
    require_outputs(path, Manifest.model_validate(known))
    with pytest.raises(ModelError, match=r"\[familiar\] and the output largest_logit together"):
        require_outputs(path, Manifest.model_validate(known | {"familiar": None}))
    with pytest.raises(ModelError, match=r"\[familiar\] and the output largest_logit together"):
        require_outputs(path, Manifest.model_validate(known | {"outputs": plain["outputs"][:1]}))
    with pytest.raises(ValueError, match="none must be below full"):
        Manifest.model_validate(known | {"familiar": {"none": 1.0, "full": 1.0}})


def test_both_runtimes_read_the_same_of_the_bundled_clip() -> None:
    try:
        one, other = (VisionConfig(runtime=runtime) for runtime in ("litert", "tflite"))
        finders = [FaceFinder.load(config) for config in (one, other)]
        readers = [ExpressionReader.load(config) for config in (one, other)]
        eyes = [EyeReader.load(config) for config in (one, other)]
        trackers = [FaceTracker.load(config) for config in (one, other)]
    except UnavailableError as error:
        pytest.skip(str(error))
    apart, eyes_apart = [], []
    for luma in every_second():
        faces = [finder.find(luma) for finder in finders]
        assert faces[0] is not None
        assert faces[1] is not None
        size_px = float(np.sqrt(faces[0].box[2] * faces[0].box[3]))
        assert np.abs(faces[0].points - faces[1].points).max() < 0.02 * size_px
        tracked = [tracker.look(luma, faces[0])[0] for tracker in trackers]
        assert np.abs(tracked[0].points - tracked[1].points).max() < 0.02 * size_px
        assert abs(tracked[0].score - tracked[1].score) < 0.05
        read = [reader.read(luma, faces[0]) for reader in readers]
        apart.append(float(np.abs(read[0] - read[1]).max()))
        seen = [each.read(luma, faces[0]) for each in eyes]
        assert seen[0] is not None
        assert seen[1] is not None
        eyes_apart.append(float(np.abs(seen[0].values - seen[1].values).max()))
    # Their kernels round differently; in a morph between two expressions one step of an int8 logit tells most.
    assert np.median(apart) <= 0.01
    assert max(apart) <= 0.08
    assert np.median(eyes_apart) <= 0.02
    assert max(eyes_apart) <= 0.1


def every_second() -> Iterator[NDArray[np.uint8]]:
    """A frame of each second of the demo's clip."""
    clip = Path(str(resources.files("edge") / "tools" / "demo" / "clip.mp4"))
    with open_camera(CameraConfig(source=str(clip)), realtime=False) as camera, contextlib.suppress(EndOfStream):
        for number in count():
            frame = camera.read(1.0)
            if number % round(camera.fps) == 0:
                yield frame.luma
