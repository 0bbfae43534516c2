"""The faces labelled by eye are what their table says, and a reader of cues is held against them."""

import csv
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edge.domain import EXPRESSIONS
from models.training import answers, cue_measures, cue_teacher
from models.training.cues import CUES, LABELS, TILE_PX, cue_figures, interval, measure_cues, read_cue_faces
from models.training.expression_metrics import concordance


def table() -> list[dict[str, str]]:
    with LABELS.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_each_of_300_faces_is_labelled_once_half_of_either_source() -> None:
    rows = table()
    assert Counter(row["source"] for row in rows) == {"affect_valid": 150, "raf_train": 150}
    assert len({(row["source"], row["face"]) for row in rows}) == 300
    assert {row[cue] for row in rows for cue in CUES} == {"0", "1", ""}


def test_the_readme_says_how_often_the_rare_cues_are_shown() -> None:
    shown = {cue: sum(row[cue] == "1" for row in table()) for cue in CUES}
    text = (LABELS.parent / "README.md").read_text(encoding="utf-8")
    words = "Lowered brows are {brow_lowered}, lowered lids {lids_lowered}, hands {hand_at_mouth}"
    assert words.format(**shown) in text


def test_no_mouth_is_closed_and_open() -> None:
    assert not [row for row in table() if row["mouth_closed"] == row["mouth_open"] == "1"]


def test_tiles_and_labels_go_together(tmp_path: Path) -> None:
    shades = np.arange(0, 240, 40, dtype=np.uint8)
    tiles = np.repeat(np.repeat(shades.reshape(2, 3), TILE_PX, 0), TILE_PX, 1)
    (tmp_path / "expressions").mkdir()
    cv2.imwrite(str(tmp_path / "expressions/some.jpg"), tiles)
    np.savez(tmp_path / "expressions/some.npz", label=np.zeros(6))
    labels = tmp_path / "labels.csv"
    labels.write_text(f"source,face,{','.join(CUES)}\nsome,4,1,0,,0,1\nsome,1,0,0,1,0,0\n")
    faces = read_cue_faces(tmp_path, labels)
    assert faces.tiles.mean((1, 2)) == pytest.approx(shades[[4, 1]], abs=1)
    assert faces.shown[1].tolist() == [0, 0, 1, 0, 0]
    assert np.isnan(faces.shown[0]).tolist() == [False, False, True, False, False]


def test_labels_of_faces_that_are_not_there_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="no such file"):
        read_cue_faces(tmp_path)


def test_a_cue_that_cannot_be_told_of_a_face_does_not_count() -> None:
    shown = np.array([[1, 0, 1, 0, 1], [0, 1, 0, 1, 0], [np.nan, 1, 1, 0, 0]], np.float32)
    answers = shown.copy()
    answers[2, 0] = 0.5
    answers[2, 1] = 0.0
    figures = cue_figures(answers, shown)
    assert figures["auroc_brow_lowered"] == 1
    assert figures["auroc_lids_lowered"] == pytest.approx(0.75)
    assert {f"{part}_{cue}" for part in ("auroc", "low", "high", "n", "of") for cue in CUES} == set(figures)
    assert (figures["n_brow_lowered"], figures["of_brow_lowered"]) == (1, 2)


def test_an_interval_encloses_its_figure_and_narrows_with_more_faces() -> None:
    rng = np.random.default_rng(3)
    shown = (rng.random((400, 5)) < 0.3).astype(np.float32)
    answers = (shown + rng.normal(0, 0.8, shown.shape)).astype(np.float32)
    few, many = cue_figures(answers[:60], shown[:60]), cue_figures(answers, shown)
    for cue in CUES:
        assert many[f"low_{cue}"] < many[f"auroc_{cue}"] < many[f"high_{cue}"]
        assert many[f"high_{cue}"] - many[f"low_{cue}"] < few[f"high_{cue}"] - few[f"low_{cue}"]
    assert interval(many, "auroc_mouth_open").endswith(f"; {many['n_mouth_open']:.0f} of 400")
    assert interval(many, "ccc_valence") == ""


def test_generated_faces_are_measured_by_concordance(tmp_path: Path) -> None:
    shades = np.arange(0, 240, 40, dtype=np.uint8)
    (tmp_path / "expressions").mkdir()
    cv2.imwrite(str(tmp_path / "expressions/drawn.jpg"), np.repeat(np.repeat(shades[None], TILE_PX, 0), TILE_PX, 1))
    true = np.stack([shades / 120 - 1, 1 - shades / 120], 1).astype(np.float32)
    np.savez(tmp_path / "expressions/drawn.npz", valence_arousal=true)

    def read(crop: NDArray[np.uint8]) -> NDArray[np.float32]:
        valence = crop.mean() / 120 - 1
        return np.array([valence, valence, 0, 0, 0, 0, 0], np.float32)

    figures = measure_cues(read, tmp_path)
    assert figures["ccc_valence"] == pytest.approx(1, abs=0.01)
    assert figures["ccc_arousal"] < 0
    assert set(figures) == {"ccc_valence", "ccc_arousal"}


def test_concordance_falls_with_another_scale_and_another_middle() -> None:
    true = np.linspace(-1, 1, 50, dtype=np.float32)
    assert concordance(true, true) == pytest.approx(1)
    assert concordance(true / 2, true) == pytest.approx(0.8)
    assert concordance(true + 1, true) < 0.5


def test_measures_are_kept_as_they_were_up_to_their_steps(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    low, high = np.array(cue_measures.SPANS, np.float32).T
    values = (low + (high - low) * rng.random((30, 4))).astype(np.float32)
    values[3] = np.nan
    path = tmp_path / "measures.npz"
    cue_measures.write(path, {"some": values}, "a ruler")
    found = cue_measures.read(path, {"some": 30, "other": 5})
    assert found.about == "a ruler"
    assert set(found.by_source) == {"some"}
    assert np.isnan(found.by_source["some"]).sum() == 4
    assert np.nanmax(np.abs(found.by_source["some"] - values) / (high - low)) < 0.003
    with pytest.raises(SystemExit, match="measures 30 faces of some, the data hold 31"):
        cue_measures.read(path, {"some": 31})
    (tmp_path / "junk.npz").write_bytes(b"junk")
    with pytest.raises(SystemExit, match="cannot be read"):
        cue_measures.read(tmp_path / "junk.npz", {})


def test_the_measures_that_are_kept_are_whole() -> None:
    assert cue_measures.FILE.stat().st_size < 500_000
    with np.load(cue_measures.FILE, allow_pickle=False) as table:
        counts = {name: len(table[name]) for name in table if name != answers.ABOUT}
    assert set(counts) == set(cue_teacher.FILES)
    found = cue_measures.read(cue_measures.FILE, counts)
    assert found.about == cue_teacher.ABOUT
    assert all(np.isnan(values).mean() < 0.1 for values in found.by_source.values())


def test_measures_say_which_cues_a_face_shows() -> None:
    #                     lids  lips  brow  slope
    measured = np.array([[0.30, 0.01, 0.17, 0.03], [0.05, 0.40, -0.05, -0.1], [np.nan] * 4], np.float32)
    calm = np.eye(9, dtype=np.float32)[[0, 0, 0]]
    plain, changed, unknown = cue_measures.cue_targets(measured, calm)
    assert plain.tolist() == pytest.approx([0, 0, 1, 0], abs=0.2)
    assert changed.tolist() == pytest.approx([1, 1, 0, 1], abs=0.2)
    assert np.isnan(unknown).all()
    angry = cue_measures.cue_targets(measured, np.eye(9, dtype=np.float32)[[4, 4, 4]])
    assert angry[0, 0] > plain[0]
    assert cue_measures.cue_targets(measured / 1.16, calm, 1.16)[:2] == pytest.approx(np.stack([plain, changed]))


def test_expressions_lie_on_the_circumplex_where_their_names_say() -> None:
    place = dict(zip(EXPRESSIONS, cue_measures.circumplex().tolist(), strict=True))
    assert place["neutral"] == [0, 0]
    assert place["happiness"][0] > 0.5
    assert place["anger"][0] < 0 < place["anger"][1]
    assert max(place["sadness"]) < 0
    mixed = cue_measures.affect_targets(np.eye(9, dtype=np.float32)[[1]] / 2)
    assert mixed[0] == pytest.approx(np.array(place["happiness"]) / 2)


def test_a_mesh_is_measured_whatever_its_size_and_turn() -> None:
    points = np.random.default_rng(5).normal(0, 1, (1, 478, 3)).astype(np.float32)
    pairs: dict[int, tuple[float, float]] = {
        159: (0, 0.1),
        145: (0, -0.1),
        158: (0, 0.1),
        153: (0, -0.1),
        160: (0, 0.1),
        144: (0, -0.1),
    }
    pairs |= {33: (-1, 0), 133: (-0.2, 0), 263: (1, 0), 362: (0.2, 0), 10: (0, 2), 152: (0, -2)}
    pairs |= {386: (0, 0.1), 374: (0, -0.1), 385: (0, 0.1), 380: (0, -0.1), 387: (0, 0.1), 373: (0, -0.1)}
    pairs |= {13: (0, -0.9), 14: (0, -1.1), 82: (0, -1), 87: (0, -1), 312: (0, -1), 317: (0, -1)}
    pairs |= {78: (-0.4, -1), 308: (0.4, -1), 55: (-0.2, 0.3), 285: (0.2, 0.3), 46: (-1, 0.2), 276: (1, 0.2)}
    for number, (x, y) in pairs.items():
        points[0, number] = x, y, 0
    wanted = [0.2 / 0.8, 0.2 / 0.8, 0.3 / 2, 0.3 / 2 - 0.2 / 2]
    assert cue_teacher.measures(points)[0].tolist() == pytest.approx(wanted, abs=1e-5)
    turned = points @ np.array([[0.8, -0.6, 0], [0.6, 0.8, 0], [0, 0, 1]], np.float32) * 3 + 7
    assert cue_teacher.measures(turned)[0].tolist() == pytest.approx(wanted, abs=1e-4)


def test_faces_looked_at_for_hands_are_training_faces_labelled_once_each() -> None:
    path = LABELS.with_name("hand_faces.csv")
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len({(row["source"], row["face"]) for row in rows}) == len(rows)
    assert {row["source"] for row in rows} <= set(cue_teacher.FILES)
    assert Counter(row["hand"] for row in rows) == {"1": 97, "0": 93}
    quoted = {int(row["face"]) for row in table() if row["source"] == "raf_train"}
    assert not quoted & {int(row["face"]) for row in rows if row["source"] == "raf"}
