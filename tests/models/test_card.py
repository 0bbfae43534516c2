"""What the model card and the manifests say was measured, on the models that are shipped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import pytest

from edge.vision.manifest import Manifest, ModelName, bundled, load_manifest
from models.training import evaluate_eyes, evaluate_follow
from models.training.card import EXPRESSION_FIRST, EYES_FIRST, FACE_FIRST, FIGURES, PAGES, SECTION, TABLES, render
from models.training.evaluate_expression import ROWS as EXPRESSION
from models.training.evaluate_face import ROWS as FACE
from models.training.expression_readers import OURS
from models.training.expression_sources import ASKED
from models.training.scoreboard import Row

ROOT = Path(__file__).parents[2]
CARD = (ROOT / "models" / "MODEL_CARD.md").read_text(encoding="utf-8")
REMEDY = "run make figures after a training"

Name = ModelName


def figures(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((ROOT / FIGURES / f"{name}.json").read_text(encoding="utf-8"))
    return content


def manifest(name: Name) -> Manifest:
    return load_manifest(bundled(name), name)


def test_the_pages_show_every_table_and_each_as_it_was_measured() -> None:
    pages = [(ROOT / page).read_text(encoding="utf-8") for page in PAGES]
    assert {name for page in pages for _, name, _ in SECTION.findall(page)} == set(TABLES)
    assert [render(page, ROOT / FIGURES) for page in pages] == pages, REMEDY


@pytest.mark.parametrize(
    ("rows", "first"),
    [(FACE, FACE_FIRST), (EXPRESSION, EXPRESSION_FIRST), (evaluate_eyes.ROWS, EYES_FIRST)],
)
def test_what_is_quoted_first_is_measured(rows: tuple[Row, ...], first: tuple[str, ...]) -> None:
    assert set(first) <= {row.key for row in rows}


def test_a_card_whose_figures_were_edited_by_hand_is_found_out() -> None:
    accuracy = f"{100 * figures('expression')['models'][OURS]['accuracy_a']:.1f}"
    assert accuracy in CARD
    assert render(CARD.replace(accuracy, "99.9"), ROOT / FIGURES) == CARD


@pytest.mark.parametrize(
    ("measured", "model"),
    [
        ("expression", "expression"),
        ("robustness", "expression"),
        ("fairness", "expression"),
        ("face", "face"),
        ("eyes", "eyes"),
        ("follow", "follow"),
    ],
)
def test_the_figures_are_of_the_shipped_model(measured: str, model: Name) -> None:
    assert figures(measured)["sha256"] == manifest(model).sha256, REMEDY


def test_the_following_model_s_manifest_tells_the_card_s_figures() -> None:
    (measured,) = manifest("follow").measurements
    for key, value in measured.figures.items():
        found = figures("follow")["models"][evaluate_follow.OURS][key]
        assert found == pytest.approx(float(value), abs=max(0.006, 0.02 * abs(float(value))))


@pytest.mark.parametrize("name", ["face", "expression"])
def test_the_manifest_s_figures_are_the_card_s(name: Name) -> None:
    content = figures(name)
    by_source = {ASKED[source].title: models[OURS] for source, models in content.get("sources", {}).items()}
    first, *others = manifest(name).measurements
    told = [(first, content["models"][OURS])]
    told += [(each, by_source.get(each.data) or content["cues"][OURS]) for each in others]
    for measurement, measured in told:
        for key, value in measurement.figures.items():
            # another machine's kernels round otherwise: one face in two hundred may fall to the other side
            close = pytest.approx(float(value), abs=max(0.006, 0.02 * abs(float(value))))
            assert measured[key] == close, f"{measurement.data}: {key}"


def test_the_card_counts_the_faces_that_were_measured() -> None:
    measured = figures("expression")["models"][OURS]
    for count in (f"n = {measured['n_a']:,.0f}", f"n = {measured['n_b']:,.0f}"):
        assert count in " ".join(CARD.split())
    assert f"{measured['n_yawn']:.0f} and {measured['n_calm']:.0f} frames" in " ".join(CARD.split())


def test_the_plots_that_the_card_shows_are_there() -> None:
    for plot in ("robustness.png", "face-errors.png"):
        assert f"(figures/{plot})" in CARD
        assert (ROOT / FIGURES / plot).stat().st_size < 500_000


def test_peers_figures_stand_under_the_split_that_they_were_measured_on() -> None:
    assert "private test" in figures("expression")["published"]["split"]
    assert figures("expression")["split"] == "valid"


@pytest.mark.parametrize("name", ["eyes", "eyes-clean"])
def test_the_eye_models_manifests_tell_the_card_s_figures(name: Literal["eyes", "eyes-clean"]) -> None:
    content = figures("eyes")
    column = {"eyes": evaluate_eyes.OURS, "eyes-clean": evaluate_eyes.CLEAN}[name]
    told = load_manifest(bundled(name), "eyes")
    assert told.sha256 == content["sha256" if name == "eyes" else "clean_sha256"], REMEDY
    (measured,) = told.measurements
    for key, value in measured.figures.items():
        assert content["models"][column][key] == pytest.approx(float(value), abs=max(0.006, 0.02 * abs(float(value))))


def test_the_clean_model_names_no_source_with_people() -> None:
    (source,) = load_manifest(bundled("eyes-clean"), "eyes").sources
    assert "MIT" in source
