"""What was found, held against what is wanted, as a table for people and for the documentation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the table; ``passed`` says whether it is as wanted."""

    what: str
    wanted: str
    found: str
    passed: bool


def nothing(what: str, found: Sequence[str]) -> Finding:
    """A finding that passes where there is nothing; otherwise it names it."""
    return Finding(what, "none", "; ".join(found) or "none", passed=not found)


def counted(what: str, found: int, wanted: int) -> Finding:
    """A finding that passes where the number is the wanted one."""
    return Finding(what, str(wanted), str(found), passed=found == wanted)


def table(findings: Sequence[Finding]) -> Table:
    """For people at a terminal."""
    made = Table("", "wanted", "found", "")
    for one in findings:
        made.add_row(one.what, one.wanted, one.found, "[green]ok[/green]" if one.passed else "[red]failed[/red]")
    return made


def markdown(findings: Sequence[Finding]) -> str:
    """For the documentation."""
    lines = ["| | wanted | found |", "|---|---|---|"]
    return "\n".join(lines + [f"| {one.what} | {one.wanted} | {one.found} |" for one in findings])
