"""What a check says: one line with a verdict, and the remedy where something is to be done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from edge.compat import StrEnum
from edge.errors import EXIT_UNAVAILABLE, EvenkeelError

Figure = float | int | str | bool | None


class Verdict(StrEnum):
    """How bad it is: ``warn`` works, but not as well or as safely as it should; ``fail`` does not work.

    ``skip``: it could not be looked at, and nothing is said of it.
    """

    PASS = "pass"  # noqa: S105 - a verdict
    SKIP = "skip"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line. ``exit_code`` is what a failure makes of the process's exit; ``figures`` are for ``--json`` only."""

    verdict: Verdict
    text: str
    remedy: str = ""
    exit_code: int = 0
    figures: Mapping[str, Figure] = field(default_factory=dict)


def passed(text: str, **figures: Figure) -> Finding:
    """Nothing to be done."""
    return Finding(Verdict.PASS, text, figures=figures)


def skipped(text: str, remedy: str = "", **figures: Figure) -> Finding:
    """It cannot be told; ``remedy`` says how it could be."""
    return Finding(Verdict.SKIP, text, remedy, figures=figures)


def warned(text: str, remedy: str, **figures: Figure) -> Finding:
    """It works, but should be mended."""
    return Finding(Verdict.WARN, text, remedy, figures=figures)


def failed(text: str, remedy: str, exit_code: int = EXIT_UNAVAILABLE, **figures: Figure) -> Finding:
    """It does not work."""
    return Finding(Verdict.FAIL, text, remedy, exit_code, figures)


def failed_by(error: EvenkeelError, remedy: str) -> Finding:
    """It does not work, and an error that a user would see from the service as well tells why."""
    return Finding(Verdict.FAIL, "; ".join(str(error).splitlines()), remedy, error.exit_code)
