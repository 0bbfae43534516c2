"""How the eyes of a face are read: drawn eyes that open and close, and what stands in their way."""

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edge.config import VisionConfig
from edge.domain import EYE_NAMES, Face, Reading
from edge.errors import ModelError
from edge.vision import EyeReader
from edge.vision.crop import CropRule, cut_eyes
from edge.vision.eyes import LEAST_UNIT_PX, LEVEL, SPREAD, levelled
from edge.vision.manifest import bundled, load_manifest
from tests.vision.drawn_eyes import SKIN, drawn_face

HALF = 0.5
Luma = NDArray[np.uint8]


@pytest.fixture(scope="module")
def reader() -> EyeReader:
    return EyeReader.load()


def told(reading: Reading | None) -> dict[str, float]:
    assert reading is not None
    assert reading.names == EYE_NAMES
    assert reading.values.dtype == np.float32
    assert reading.values.min() >= 0
    assert reading.values.max() <= 1
    return dict(zip(reading.names, reading.values.tolist(), strict=True))


@pytest.mark.parametrize("unit", [40.0, 60.0, 110.0])
@pytest.mark.parametrize(("left", "right"), [(1.0, 1.0), (0.0, 0.0), (1.0, 0.0), (0.0, 1.0)])
def test_each_eye_is_told_closed_or_open(reader: EyeReader, left: float, right: float, unit: float) -> None:
    eyes = told(reader.read(*drawn_face(left, right, unit)))
    assert (eyes["openness_left"] > HALF) == (left > HALF)
    assert (eyes["openness_right"] > HALF) == (right > HALF)


def test_an_eye_reads_the_more_open_the_farther_its_lids_are_apart(reader: EyeReader) -> None:
    openness = [told(reader.read(*drawn_face(each, each)))["openness_left"] for each in (0.0, 0.5, 1.0)]
    assert openness == sorted(openness)


def test_a_mirrored_picture_swaps_the_eyes(reader: EyeReader) -> None:
    luma, face = drawn_face(1.0, 0.0)
    mirrored = np.ascontiguousarray(luma[:, ::-1])
    points = face.points.copy()
    points[:, 0] = luma.shape[1] - 1 - points[:, 0]
    swapped = Face((0, 0, 1, 1), points[[1, 0, 2, 4, 3]], face.score)
    eyes, other = told(reader.read(luma, face)), told(reader.read(mirrored, swapped))
    assert other["openness_left"] < HALF < other["openness_right"]
    assert other["openness_left"] == pytest.approx(eyes["openness_right"], abs=0.2)
    assert other["openness_right"] == pytest.approx(eyes["openness_left"], abs=0.2)


@pytest.mark.parametrize("roll_deg", [-25.0, 18.0])
def test_a_head_on_one_side_reads_like_an_upright_one(reader: EyeReader, roll_deg: float) -> None:
    luma, face = drawn_face(1.0, 0.0)
    turn = cv2.getRotationMatrix2D((320, 240), roll_deg, 1.0)
    rolled = np.asarray(cv2.warpAffine(luma, turn, (640, 480), borderMode=cv2.BORDER_REPLICATE), np.uint8)
    points = (face.points @ turn[:, :2].T + turn[:, 2]).astype(np.float32)
    eyes = told(reader.read(rolled, Face(face.box, points, face.score)))
    assert eyes["openness_right"] < HALF < eyes["openness_left"]


@pytest.mark.parametrize("light", [0.2, 0.5, 1.2])
def test_eyes_read_alike_in_any_light(reader: EyeReader, light: float) -> None:
    luma, face = drawn_face(1.0, 0.0)
    eyes = told(reader.read(np.clip(luma * light, 0, 255).astype(np.uint8), face))
    assert eyes["openness_right"] < HALF < eyes["openness_left"]


def test_a_lamp_s_reflection_does_not_drown_the_eye(reader: EyeReader) -> None:
    luma, face = drawn_face(1.0, 1.0)
    dark = (luma * 0.3).astype(np.uint8)
    x, y = face.points[0]
    cv2.circle(dark, (int(x) - 14, int(y) - 6), 3, 255, -1)
    assert told(reader.read(dark, face))["openness_left"] > HALF


def test_one_covered_eye_is_not_readable_and_the_other_is(reader: EyeReader) -> None:
    luma, face = drawn_face(1.0, 1.0)
    x, y = map(int, face.points[1])
    cv2.rectangle(luma, (x - 34, y - 34), (x + 34, y + 34), SKIN, -1)
    eyes = told(reader.read(luma, face))
    assert eyes["readable_right"] < HALF < eyes["readable_left"]
    assert eyes["openness_left"] > HALF


def test_sunglasses_make_both_eyes_unreadable(reader: EyeReader) -> None:
    luma, face = drawn_face(1.0, 1.0)
    for x, y in face.points[:2].astype(int).tolist():
        cv2.ellipse(luma, (x, y), (27, 20), 0, 0, 360, 22, -1, cv2.LINE_AA)
    eyes = told(reader.read(luma, face))
    assert max(eyes["readable_left"], eyes["readable_right"]) < HALF


@pytest.mark.parametrize("x", [-30.0, 12.0, 628.0, 670.0])
def test_eyes_outside_the_picture_are_not_readable(reader: EyeReader, x: float) -> None:
    luma, face = drawn_face(1.0, 1.0, centre=(x, 200.0))
    eyes = told(reader.read(luma, face))
    for name, (at, _) in zip(("readable_left", "readable_right"), face.points[:2].tolist(), strict=True):
        if not 0 <= at < 640:
            assert eyes[name] == 0


@pytest.mark.parametrize("centre", [(-5000.0, 200.0), (320.0, 9000.0), (5.0, 3.0), (636.0, 476.0)])
def test_points_anywhere_are_borne(reader: EyeReader, centre: tuple[float, float]) -> None:
    luma, face = drawn_face(1.0, 1.0, centre=(320, 200))
    points = face.points - face.points[:2].mean(0) + np.array(centre, np.float32)
    told(reader.read(luma, Face(face.box, points, face.score)))


def test_nothing_is_read_of_a_tiny_face(reader: EyeReader) -> None:
    assert reader.read(*drawn_face(1.0, 1.0, unit=0.9 * LEAST_UNIT_PX / 1.05)) is None
    assert reader.read(*drawn_face(1.0, 1.0, unit=1.1 * LEAST_UNIT_PX)) is not None


def test_points_that_all_coincide_read_nothing(reader: EyeReader) -> None:
    luma, face = drawn_face(1.0, 1.0)
    assert reader.read(luma, Face(face.box, np.full((5, 2), 100, np.float32), face.score)) is None


@pytest.mark.parametrize("side", [24, 40, 97])
@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_crops_of_any_side_and_number_are_read(reader: EyeReader, side: int, count: int) -> None:
    rule = CropRule(side, 0.5, 0.5, 1 / 0.9)
    kinds = [number % 2 == 0 for number in range(count)]
    luma, face = drawn_face(1.0, 0.0, unit=100.0)
    pair = cut_eyes(luma, face.points, rule)
    crops = np.array([pair[0] if is_open else pair[1] for is_open in kinds], np.uint8).reshape(-1, side, side)
    openness = reader.read_crops(crops)
    assert openness.shape == (count,)
    assert openness.dtype == np.float32
    assert [value > HALF for value in openness.tolist()] == kinds


def test_crops_of_another_shape_are_refused_by_name(reader: EyeReader) -> None:
    with pytest.raises(ValueError, match=r"expected crops \(N, S, S\), found shape \(40, 40\)"):
        reader.read_crops(np.zeros((40, 40), np.uint8))


def test_an_eye_reads_the_same_alone_and_with_another(reader: EyeReader) -> None:
    luma, face = drawn_face(1.0, 0.0)
    pair = np.stack(cut_eyes(luma, face.points, CropRule(40, 0.5, 0.5, 1 / 0.9)))
    together = reader.read_crops(pair)
    assert reader.read_crops(pair[1:]) == pytest.approx(together[1:], abs=0.02)
    assert reader.read_crops(pair[::-1].copy()) == pytest.approx(together[::-1], abs=0.02)


def test_the_clean_model_reads_the_same_seam() -> None:
    clean = EyeReader.load(VisionConfig(eye_model=bundled("eyes-clean")))
    assert "MIT" in clean.manifest.licence
    eyes = told(clean.read(*drawn_face(1.0, 0.0)))
    assert eyes["openness_right"] < eyes["openness_left"]


def test_levelling_undoes_gain_and_offset() -> None:
    crop = np.clip(np.random.default_rng(1).normal(120, 20, (32, 32)), 0, 255).astype(np.uint8)
    dark = np.clip(crop * 0.5 + 10, 0, 255).astype(np.uint8)
    assert np.abs(levelled(crop).astype(float) - levelled(dark)).mean() < 3


@pytest.mark.parametrize("value", [0, 128, 255])
def test_a_crop_of_one_shade_is_levelled_to_one_shade(value: int) -> None:
    flat = levelled(np.full((32, 32), value, np.uint8))
    assert (flat == flat[0, 0]).all()
    assert flat[0, 0] == pytest.approx(LEVEL, abs=1)


def test_highlights_do_not_flatten_what_is_levelled() -> None:
    crop = np.clip(np.random.default_rng(1).normal(60, 8, (32, 32)), 0, 255).astype(np.uint8)
    plain = levelled(crop)
    crop[4:8, 4:12] = 255
    lamp = levelled(crop)
    assert lamp[12:].std() > 0.7 * plain[12:].std()
    assert plain.std() == pytest.approx(SPREAD, rel=0.35)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    manifest = bundled("eyes")
    shutil.copy(manifest, tmp_path)
    shutil.copy(manifest.parent / load_manifest(manifest, "eyes").file, tmp_path)
    return tmp_path / manifest.name


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("size_px = 32", "size_px = 48", r"expected input \(2, 48, 48, 1\) for this crop"),
        ('name = "eyes"\ndtype = "uint8"\nshape = [2, 2]', 'name = "lids"\ndtype = "uint8"\nshape = [2, 2]', "lids"),
        ("[crop]", "[grid]", "grid"),
        ('name = "eyes"\nversion', 'name = "face"\nversion', "is a model for 'face', expected 'eyes'"),
    ],
)
def test_a_manifest_of_something_else_is_refused(copy: Path, old: str, new: str, words: str) -> None:
    text = copy.read_text()
    assert old in text
    copy.write_text(text.replace(old, new))
    with pytest.raises(ModelError, match=words):
        EyeReader.load(VisionConfig(eye_model=copy))


def test_a_manifest_without_a_crop_rule_is_refused(copy: Path) -> None:
    text = copy.read_text()
    begin, end = text.index("[crop]"), text.index("[[measurements]]")
    copy.write_text(text[:begin] + text[end:])
    with pytest.raises(ModelError, match=r"expected a \[crop\] section"):
        EyeReader.load(VisionConfig(eye_model=copy))


def test_a_missing_manifest_names_the_config_key(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"\[vision\] eye_model"):
        EyeReader.load(VisionConfig(eye_model=tmp_path / "eyes.toml"))
