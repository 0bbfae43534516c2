"""What is told of a decision: figures of every source, and the page that shows those that were measured."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from calibration.drives import SCENARIOS
from calibration.evaluate_decisions import FIGURES, Measured, figures, markdown, pages, tables
from calibration.outcome import Outcome

QUIET = Outcome(hours=0.5)
NAGGED = replace(QUIET, false_starts=2, false_s=30.0, longest_s=20.0, starts=(10.0, 300.0))


def measured() -> Measured:
    """Four drives of each sort: two episodes found of four, one nagged driver."""
    found = Outcome(hours=0.25, episodes=2, known=(2.0,), kept=1, escalations=1, late_escalations=1)
    return Measured([found] * 2, [QUIET, NAGGED], {name: [QUIET, NAGGED] for name in SCENARIOS})


def test_figures_tell_episodes_plain_hours_and_scenarios_apart() -> None:
    told = figures(measured())
    assert told["with_episodes"]["found_percent"] == 50.0
    assert told["with_episodes"]["delay_known_s"] == [2.0, 2.0]
    assert told["with_episodes"]["delay_cold_s"] is None
    assert told["with_episodes"]["late_escalations"] == 2
    assert (told["plain"]["false_per_hour"], told["plain"]["false_s_per_hour"]) == (2.0, 30.0)
    low, high = told["plain"]["false_per_hour_interval"]
    assert low < 2.0 < high


def test_alerts_of_a_scenario_s_first_minute_are_told_apart() -> None:
    cold = replace(NAGGED, false_starts=1, starts=(10.0,))
    scenes = {name: [QUIET, NAGGED, cold] for name in SCENARIOS}
    told = figures(replace(measured(), scenarios=scenes))["scenarios"]["sunglasses"]
    assert (told["alerting"], told["alerting_after_a_minute"], told["drives"]) == (2, 1, 3)
    assert told["longest_s"] == 20


def test_sources_add_up() -> None:
    both = figures(measured() + measured())
    assert both["with_episodes"]["episodes"] == 8
    assert both["plain"]["hours"] == 2.0
    assert both["scenarios"]["sunglasses"]["drives"] == 4


def test_every_figure_has_a_cell_in_the_terminal_and_on_the_page() -> None:
    told = {"made": figures(measured())}
    assert [table.row_count for table in tables("x", told)] == [1, 1]
    models: list[dict[str, Any]] = [{"version": "1.2", "shipped_model": True, "shipped": told}]
    page = markdown({"models": models})
    assert "| 1.2 | as shipped | made | 50.0 % of 4 | 2.00 (2.00) s |" in page
    assert page.count("\n| 1.2 |") == 2


def test_the_page_shows_the_figures_that_are_kept() -> None:
    kept = json.loads(FIGURES.read_text(encoding="utf-8"))
    for page, text in pages(kept).items():
        assert text in page.read_text(encoding="utf-8"), "run make evaluate-decisions ARGS=--write"
