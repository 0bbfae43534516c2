"""The tables of README.md in this folder, from the results of all systems."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from benchmarks.page import write
from benchmarks.vehicle.checks import CHECKS
from benchmarks.vehicle.cuts import SERIES
from benchmarks.vehicle.outcome import Results, check_rows, cut_rows
from benchmarks.vehicle.systems import SYSTEMS

PAGE = Path(__file__).with_name("README.md")
RESULTS = "results.json"
CUT_HEAD = (
    "power cut while",
    "system",
    "cuts",
    "alerts stored before",
    "blocks forgotten",
    "file systems repaired",
    "boot to ready, median",
    "cuts with a fault",
)


def read_all(folder: Path) -> dict[str, Results]:
    """The results of every system that was run, by its title."""
    found = {system.title: Results.read(folder / system.name / RESULTS) for system in SYSTEMS}
    return {title: one for title, one in found.items() if one.checks or one.cuts}


def write_page(results: Mapping[str, Results], page: Path = PAGE) -> None:
    """Put the tables of checks and of cuts into the page."""
    names = [check.name for check in CHECKS]
    write("checks", ["check", *results], check_rows(names, results), page)
    write("cuts", CUT_HEAD, cut_rows(SERIES, results), page)
