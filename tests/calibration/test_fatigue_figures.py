"""What is told of the judge of fatigue: figures of every group of drives, and the page that shows them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from calibration.evaluate_fatigue import (
    FIGURES,
    GROUPS,
    HEAD,
    PAGE,
    Case,
    figures,
    group_figures,
    markdown,
    pages,
    rows,
)
from calibration.fatigue_outcome import DROWSY, MICROSLEEP, RIVALS, FatigueOutcome
from calibration.nights import RATES
from calibration.sleepers import people
from edge.vision.eyes import EyeReader
from models.training.eye_data import quoted_people

DATA = Path(__file__).parents[3] / "shared" / "data"
QUIET = {"down": (10.0, 0.5), "squint": (5.0, 0.0), "laugh": (0.0, 0.0)}
NAN = float("nan")


def case(sort: str, outcome: FatigueOutcome, *, glasses: bool = False, fps: float = 15.0) -> Case:
    outcomes = dict.fromkeys(("judge", *RIVALS), outcome)
    return Case(sort, "person 1", drawn=False, glasses=glasses, fps=fps, flickers=False, outcomes=outcomes)  # type: ignore[arg-type]


def cases() -> list[Case]:
    """Two awake hours with one false alert of each cause, four microsleeps, five drowsy minutes."""
    false = ((MICROSLEEP, "down"), (DROWSY, "misread"))
    sleeps = ((2.5, 0.1, False), (2.5, 0.3, False), (4.0, NAN, False), (1.2, NAN, False))
    return [
        case("awake", FatigueOutcome(1.5, (), 0, 0, false, QUIET)),
        case("awake", FatigueOutcome(0.5, (), 0, 0, (), QUIET), glasses=True, fps=10.0),
        case("microsleeps", FatigueOutcome(0.5, sleeps, 0, 0, (), QUIET)),
        case("drowsy", FatigueOutcome(0.5, (), 5, 4, (), QUIET)),
    ]


def test_figures_are_of_the_drives_that_they_are_named_for() -> None:
    told = group_figures(cases(), "judge")
    assert told["awake_hours"] == 2.0
    assert told["false"][MICROSLEEP]["per_hour"] == 0.5
    assert told["microsleeps"]["of"] == 3, "those of less than 2 s are told apart"
    assert told["microsleeps"]["percent"] == 66.7
    assert told["delay_s"] == [0.2, 0.28]
    assert told["drowsy_minutes"]["percent"] == 80.0
    assert told["delay_p90_interval"] is None, "one driver says nothing of how drivers differ"
    assert told["counted_closed_percent"] == {"down": 5.0, "squint": 0.0, "laugh": None}


def test_groups_and_rivals_have_a_row_each() -> None:
    made = figures(cases())
    assert len(rows(made)) == len(GROUPS) + len(RIVALS)
    assert all(len(row) == len(HEAD) for row in rows(made))
    assert made["groups"]["people with glasses"]["awake_hours"] == 0.5
    assert made["groups"]["10 frames a second"]["awake_hours"] == 0.5
    assert made["groups"]["drawn heads"]["microsleeps"]["percent"] is None
    assert made["false_came_of"] == {MICROSLEEP: {"down": 1}, DROWSY: {"misread": 1}}
    assert made["lengths"]["2 to 3 s"]["percent"] == 100.0
    assert "| all | 2 | 0.50 (0.01 to" in markdown(made)


def test_the_pages_show_the_figures_that_are_kept() -> None:
    kept = json.loads(FIGURES.read_text(encoding="utf-8"))
    for page, part in pages(kept).items():
        told = f"<!-- generated: fatigue -->\n\n{part}\n\n<!-- end: fatigue -->"
        assert told in page.read_text(encoding="utf-8"), f"{page}: run make evaluate-fatigue ARGS=--pages"
    assert markdown(kept) in PAGE.read_text(encoding="utf-8")


def test_the_figures_kept_are_of_the_shipped_eye_model() -> None:
    kept = json.loads(FIGURES.read_text(encoding="utf-8"))
    assert kept["sha256"] == EyeReader.load().manifest.sha256, "run make evaluate-fatigue ARGS=--write"
    assert kept["groups"]["all"]["awake_hours"] >= 200
    assert all(kept["groups"][f"{fps:g} frames a second"]["awake_hours"] > 50 for fps in RATES)


@pytest.mark.skipif(not DATA.exists(), reason="the eyes in ../shared/data are not here")
def test_people_of_the_simulation_are_those_whom_no_training_saw() -> None:
    drivers = list(people(DATA))
    assert len(drivers) >= 9
    with np.load(DATA / "eyes/mrl.npz") as table:
        quoted, _ = quoted_people(table["subject"])
    assert {int(name.split()[1].strip(",")) for name, *_ in drivers} == quoted
    assert any(glasses for _, glasses, *_ in drivers)
