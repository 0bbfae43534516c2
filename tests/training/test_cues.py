"""The faces labelled by eye are what their table says, and a reader of cues is held against them."""

import csv
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest

from models.training.cues import CUES, LABELS, TILE_PX, cue_figures, read_cue_faces


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
    assert set(figures) == {f"auroc_{cue}" for cue in CUES}
