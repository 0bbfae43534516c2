"""Sources of faces: labels become targets, near copies share a fold, what is quoted trains nothing."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edge.domain import EXPRESSIONS
from models.training import answers, augment, near_copies, sources
from models.training.expression_data import CROWD_PX, SIDE, TrainingFaces, narrow
from models.training.expression_sources import (
    ASKED,
    Quoted,
    closed_mouths,
    present,
    quoted_figures,
    read_quoted,
    source_figures,
)
from models.training.sources import CHOOSE, CONTEMPT, LEFT_OUT, NEUTRAL, QUOTE, TRAIN, Source, read_sources

ANGER, FEAR, SADNESS = (EXPRESSIONS.index(name) for name in ("anger", "fear", "sadness"))
COUNT = 60


def pictures(seed: int, count: int, side: int) -> NDArray[np.uint8]:
    """Pictures that are like none of the others: coarse noise, enlarged."""
    coarse = np.random.default_rng(seed).integers(0, 256, (count, 9, 9), dtype=np.uint8)
    return np.stack([cv2.resize(one, (side, side), interpolation=cv2.INTER_CUBIC) for one in coarse])


def write_tiles(path: Path, tiles: NDArray[np.uint8]) -> None:
    """Ten tiles a row."""
    side, count = tiles.shape[1], len(tiles)
    padded = np.concatenate([tiles, np.zeros((-count % 10, side, side), np.uint8)])
    rows = padded.reshape(-1, 10, side, side).transpose(0, 2, 1, 3).reshape(-1, 10 * side)
    assert cv2.imwrite(str(path), rows, [cv2.IMWRITE_JPEG_QUALITY, 98])


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    """All sources, small; the second quoted AffectNet face lies among the training's, mirrored."""
    folder = tmp_path / "expressions"
    folder.mkdir()
    votes = np.zeros((COUNT, 10), np.uint8)
    votes[np.arange(COUNT), np.arange(COUNT) % 10] = 10
    np.savez(folder / "votes.npz", train=votes, valid=votes[:20], names=np.array(EXPRESSIONS[:8]))
    write_tiles(folder / "train.png", pictures(1, COUNT, CROWD_PX))
    write_tiles(folder / "valid.png", pictures(2, 20, CROWD_PX))
    label = (np.arange(COUNT) % 8).astype(np.int8)
    seven = (np.arange(COUNT) % 7).astype(np.int8)
    affect, quoted = pictures(3, COUNT, 72), pictures(4, 20, 72)
    affect[7] = quoted[1][:, ::-1]
    write_tiles(folder / "affect_train.jpg", affect)
    write_tiles(folder / "affect_valid.jpg", quoted)
    np.savez(folder / "affect_train.npz", label=label, ffhq=np.arange(COUNT) % 3 == 0)
    np.savez(folder / "affect_valid.npz", label=label[:20], ffhq=np.arange(20) % 3 == 0)
    write_tiles(folder / "raf_train.jpg", pictures(5, COUNT, 72))
    np.savez(folder / "raf_train.npz", label=seven, fold=np.arange(COUNT) % 5)
    for name, seed in (("expw", 6), ("drawn", 7)):
        write_tiles(folder / f"{name}.jpg", pictures(seed, COUNT, 72))
        np.savez(folder / f"{name}.npz", label=seven)
    write_tiles(folder / "web.jpg", pictures(8, COUNT, 64))
    np.savez(folder / "web_labels.npz", label=label.astype(np.uint8))
    return tmp_path


def by_name(found: list[Source]) -> dict[str, Source]:
    return {source.name: source for source in found}


def test_every_source_keeps_the_order_and_number_of_its_faces(layout: Path) -> None:
    found = by_name(read_sources(layout))
    assert list(found) == ["ferplus", "affect", "raf", "expw", "drawn", "web"]
    for source in found.values():
        assert len(source.label) == len(source.faces.crops) == len(source.use) == COUNT, source.name
        assert narrow(source.faces.crops).shape == (COUNT, SIDE, SIDE)
    assert sum(source.share for source in found.values()) == pytest.approx(0.97)


def test_the_middle_of_a_tile_is_what_the_crop_shows(layout: Path) -> None:
    tiles = sources.read_labelled(layout / "expressions/raf_train.jpg", COUNT)
    wide, tile = sources.shrunk(tiles), tiles[3]
    wanted = cv2.resize(tile[9:63, 9:63], (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    assert np.abs(narrow(wide)[3].astype(int) - wanted).max() <= 1


def test_a_training_face_is_made_in_one_of_several_ways_and_so_in_every_run(layout: Path) -> None:
    path = layout / "expressions/raf_train.jpg"
    wide, again = (sources.read_wide(path, COUNT) for _ in range(2))
    assert (wide == again).all()
    tiles = sources.read_labelled(path, COUNT)
    made_by = [[(way(tile) == crop).all() for way in sources.WAYS] for tile, crop in zip(tiles, wide, strict=True)]
    assert all(any(each) for each in made_by)
    assert np.any(made_by, axis=0).all()


def test_what_is_quoted_is_neither_trained_nor_chosen_on(layout: Path) -> None:
    found = by_name(read_sources(layout))
    fold = np.arange(COUNT) % 5
    assert (found["raf"].use[fold == 4] == QUOTE).all()
    assert (found["raf"].use[fold != 4] != QUOTE).all()
    for source in found.values():
        assert (source.chances()[source.use != TRAIN] == 0).all(), source.name


def test_a_mirrored_copy_of_a_quoted_face_is_left_out(layout: Path) -> None:
    use = by_name(read_sources(layout))["affect"].use
    assert use[7] == LEFT_OUT
    assert (np.delete(use, 7) != LEFT_OUT).all()


def test_a_source_can_be_left_out_or_missing(layout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "affect" not in by_name(read_sources(layout, ("affect",)))
    assert capsys.readouterr().out == ""
    (layout / "expressions/expw.npz").unlink()
    assert "expw" not in by_name(read_sources(layout))
    assert "expw: not in" in capsys.readouterr().out


def test_fewer_tiles_than_labels_are_refused(layout: Path) -> None:
    np.savez(layout / "expressions/expw.npz", label=np.zeros(500, np.int8))
    with pytest.raises(SystemExit, match="holds 60 tiles of 72 pixels for 500 labels"):
        read_sources(layout)


def test_near_copies_lie_in_one_fold() -> None:
    crops = pictures(9, 400, SIDE)
    crops[200:] = crops[:200, :, ::-1]
    label = np.zeros(400, np.int64)
    source = sources._labelled("pairs", crops, label, 1.0, 0.1, contempt=True)
    (result,) = sources.folded([source], np.zeros((0, 144), np.float32))
    assert (result.use[:200] == result.use[200:]).all()
    assert 10 <= (result.use == CHOOSE).sum() <= 80


def test_groups_join_copies_of_copies_and_nothing_else() -> None:
    thumbs = near_copies.thumbnails(pictures(10, 6, 48))
    twins = np.concatenate([thumbs, near_copies.mirrored(thumbs[2:3]), thumbs[2:3]])
    assert near_copies.groups(twins).tolist() == [0, 1, 2, 3, 4, 5, 2, 2]
    assert near_copies.copies_of(twins, thumbs[2:3]).nonzero()[0].tolist() == [2, 6, 7]
    assert not near_copies.copies_of(twins, thumbs[:0]).any()


def test_a_picture_of_one_shade_is_no_copy_of_another() -> None:
    flat = near_copies.thumbnails(np.full((2, 48, 48), 90, np.uint8))
    assert near_copies.groups(flat).tolist() == [0, 1]


def test_a_hard_label_is_smoothed_and_contempt_stays_open_where_nobody_could_say_it() -> None:
    label = np.array([NEUTRAL, ANGER, CONTEMPT])
    target, is_set = sources.hard(label, 0.14, contempt=True)
    assert not is_set.any()
    assert target.sum(1) == pytest.approx(1)
    assert target[1, ANGER] == pytest.approx(0.86)
    assert target[1, CONTEMPT] == pytest.approx(0.02)
    target, is_set = sources.hard(label[:2], 0.12, contempt=False)
    assert is_set.tolist() == [True, False]
    assert np.flatnonzero(target[0]).tolist() == [NEUTRAL, CONTEMPT]
    assert target[1, CONTEMPT] == 0


def labelled(label: list[int]) -> Source:
    return sources._labelled(
        "some", np.zeros((len(label), SIDE, SIDE), np.uint8), np.array(label), 1.0, 0.0, contempt=False
    )


def test_rare_classes_are_levelled_up_and_shares_add_up() -> None:
    source = labelled([1] * 90 + [ANGER] * 10)
    for level, ratio in ((0.0, 1.0), (0.5, 3.0), (1.0, 9.0)):
        chances = sources.replace(source, share=0.4, level=level).chances()
        assert chances.sum() == pytest.approx(0.4)
        assert chances[-1] / chances[0] == pytest.approx(ratio)


def test_a_teacher_fills_an_open_target_with_what_is_allowed() -> None:
    said = np.zeros((2, 9), np.float32)
    said[:, [NEUTRAL, CONTEMPT, SADNESS]] = 0.3, 0.2, 0.5
    taught = labelled([NEUTRAL, ANGER]).taught(said, 0.5).faces
    assert not taught.is_set.any()
    assert taught.target.sum(1) == pytest.approx(1)
    assert taught.target[0, [NEUTRAL, CONTEMPT, SADNESS]] == pytest.approx([0.45, 0.3, 0.25])
    assert taught.target[1, ANGER] == pytest.approx(0.5)


def test_a_teacher_s_answers_survive_their_file(tmp_path: Path) -> None:
    said = np.random.default_rng(0).dirichlet(np.full(9, 0.3), 50).astype(np.float32)
    answers.write(tmp_path / "answers.npz", {"affect": said}, "one net")
    found = answers.read(tmp_path / "answers.npz", {"affect": 50, "raf": 3})
    assert found.about == "one net"
    assert list(found.by_source) == ["affect"]
    assert np.abs(found.by_source["affect"] - said).max() < 0.03
    with pytest.raises(SystemExit, match="answers 50 faces of affect, the data hold 49"):
        answers.read(tmp_path / "answers.npz", {"affect": 49})
    with pytest.raises(SystemExit, match="cannot be read as a teacher's answers"):
        answers.read(tmp_path / "none.npz", {"affect": 50})


def test_a_sample_is_the_same_however_often_it_is_asked_for(layout: Path) -> None:
    found = read_sources(layout)
    faces = TrainingFaces([source.faces for source in found], 3, 0.5)
    for index in (0, COUNT + 1, 3 * COUNT):
        (crop, *rest), (again, *other) = faces[2, index], faces[2, index]
        assert crop.shape == (1, SIDE, SIDE)
        assert (crop == again).all()
        assert all(np.array_equal(one, two) for one, two in zip(rest, other, strict=True))


def test_a_hand_hides_the_mouth_and_leaves_the_brows() -> None:
    luma = np.random.default_rng(0).integers(0, 256, (48, 48), dtype=np.uint8)
    before = luma.copy()
    changed = np.zeros((48, 48), bool)
    for seed in range(20):
        drawn = augment.hand(np.random.default_rng(seed), luma, np.array([24.0, 36.0]), 18.0)
        assert (drawn.shape, drawn.dtype) == (luma.shape, luma.dtype)
        changed |= np.abs(drawn.astype(int) - luma) > 40
    assert (luma == before).all()
    assert changed[38:46, 20:28].mean() > 0.5
    assert changed[:8].mean() < 0.1


def test_quoted_faces_are_those_without_weak_labels_and_of_the_quoted_fold(layout: Path) -> None:
    found = read_quoted(layout)
    assert [len(found[name].label) for name in ("affect", "raf", "ferplus")] == [13, 12, 16]
    assert all(faces.crops.shape[1:] == (SIDE, SIDE) for faces in found.values())


def test_figures_of_a_source_count_only_its_own_classes() -> None:
    label = np.array([NEUTRAL] * 4 + [ANGER] * 2 + [FEAR])
    probabilities = np.zeros((7, 9), np.float32)
    probabilities[:4, NEUTRAL] = 1
    probabilities[3] = 0
    probabilities[3, SADNESS] = 0.6
    probabilities[3, NEUTRAL] = 0.4
    probabilities[4:, ANGER] = 1
    probabilities[4, CONTEMPT] = 2
    figures = source_figures(probabilities, label)
    assert figures["accuracy"] == pytest.approx(6 / 7)
    assert figures["balanced"] == pytest.approx(2 / 3)
    assert (figures["recall_anger"], figures["recall_fear"]) == (1.0, 0.0)
    assert figures["neutral_alarm"] == 0.25
    assert figures["fear_low"] == 0.0 < figures["fear_high"]
    assert "recall_sadness" not in figures


def test_restrained_anger_is_counted_where_somebody_looked() -> None:
    probabilities = np.eye(9, dtype=np.float32)[[ANGER, NEUTRAL, ANGER]]
    label = np.full(3, ANGER)
    assert "restrained_anger" not in quoted_figures(probabilities, Quoted(probabilities[:0], label))
    closed = np.array([True, True, False])
    assert quoted_figures(probabilities, Quoted(probabilities[:0], label, closed))["restrained_anger"] == 0.5


def test_a_source_s_table_leaves_out_what_no_model_has() -> None:
    keys = [row.key for row in present("raf", {"a": {"accuracy": 0.5}, "b": {"recall_fear": 0.1}})]
    assert keys == ["accuracy", "recall_fear"]
    assert set(ASKED) == {"affect", "raf", "ferplus"}


def test_mouths_that_were_looked_at_are_labelled_once_each(tmp_path: Path) -> None:
    path = Path(sources.__file__).with_name("anger_mouths.csv")
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len({row["face"] for row in rows}) == len(rows) == 200
    assert {row["mouth"] for row in rows} == {"closed", "open", "hidden"}
    own = tmp_path / "mouths.csv"
    own.write_text("face,mouth\n3,closed\n5,open\n")
    assert closed_mouths(own).tolist() == [3]


def test_the_teacher_s_answers_that_are_kept_are_whole() -> None:
    path = Path(sources.__file__).with_name("answers.npz")
    assert path.stat().st_size < 1_000_000
    with np.load(path, allow_pickle=False) as table:
        assert set(table) == {answers.ABOUT, *sources.READERS}
        counts = {name: len(table[name]) for name in sources.READERS}
    found = answers.read(path, counts)
    assert found.about
    for name, said in found.by_source.items():
        assert said.shape == (counts[name], 9)
        assert said.sum(1) == pytest.approx(1, abs=1e-5), name
