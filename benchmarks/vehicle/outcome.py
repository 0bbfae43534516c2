"""What came of checks and cuts, kept in a file so that a slice of a run goes on where the last one stopped."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from edge.compat import Self, StrEnum


class Verdict(StrEnum):
    """What a check came to."""

    PASS = "passes"  # noqa: S105 - no secret
    FAIL = "FAILS"
    IMPOSSIBLE = "not possible"


class ImpossibleError(Exception):
    """What a check wants does not exist on the emulated machine; the message says what and why."""


class FaultError(Exception):
    """The product did something else than it must; the message says what."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of one check."""

    verdict: Verdict
    text: str
    seconds: float
    day: str


@dataclass(frozen=True, slots=True)
class Cut:
    """Of one power cut, ``at_s`` seconds after the machine went on.

    ``alerts`` were known to be stored by then; ``forgotten`` blocks the disk lost; ``faults`` is what was wrong
    afterwards, one line each.
    """

    series: str
    at_s: float
    alerts: int
    forgotten: int
    repaired: bool
    boot_s: float
    faults: tuple[str, ...] = ()


@dataclass
class Results:
    """Of one system: checks by name, and all cuts."""

    checks: dict[str, Outcome] = field(default_factory=dict)
    cuts: list[Cut] = field(default_factory=list)

    @classmethod
    def read(cls, path: Path) -> Self:
        """What was kept; nothing where there is no file.

        Raises:
            ValueError: the file is not of ours; the message names it.
        """
        if not path.exists():
            return cls()
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            checks = {
                name: Outcome(**one | {"verdict": Verdict(one["verdict"])}) for name, one in content["checks"].items()
            }
            cuts = [Cut(**one | {"faults": tuple(one["faults"])}) for one in content["cuts"]]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ValueError(f"{path}: no results of this program ({error}); delete it to begin anew") from error
        return cls(checks, cuts)

    def write(self, path: Path) -> None:
        """Keep it all; a reader finds the old file or the new one."""
        new = path.with_name(path.name + ".new")
        content = {
            "checks": {name: asdict(one) for name, one in self.checks.items()},
            "cuts": [asdict(cut) for cut in self.cuts],
        }
        new.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        new.replace(path)

    @property
    def faults(self) -> list[str]:
        """All that is wrong, one line each."""
        failed = [f"{name}: {one.text}" for name, one in self.checks.items() if one.verdict is Verdict.FAIL]
        return failed + [f"{cut.series}, cut at {cut.at_s:.1f} s: {fault}" for cut in self.cuts for fault in cut.faults]


def check_rows(names: Sequence[str], results: Mapping[str, Results]) -> list[list[str]]:
    """A line a check: its name, then what it came to on each system."""
    rows = []
    for name in names:
        found = [one.checks.get(name) for one in results.values()]
        rows.append([name, *("not run" if one is None else f"{one.verdict}: {one.text}" for one in found)])
    return rows


def cut_rows(names: Sequence[str], results: Mapping[str, Results]) -> list[list[str]]:
    """A line a series and system: cuts, alerts stored before, blocks forgotten, repairs, boot, cuts with a fault."""
    rows = []
    for title, one in results.items():
        for name in names:
            cuts = [cut for cut in one.cuts if cut.series == name]
            if not cuts:
                continue
            boots = sorted(cut.boot_s for cut in cuts)
            rows.append(
                [
                    name,
                    title,
                    str(len(cuts)),
                    str(sum(cut.alerts for cut in cuts)),
                    str(sum(cut.forgotten for cut in cuts)),
                    str(sum(cut.repaired for cut in cuts)),
                    f"{boots[len(boots) // 2]:.0f} s",
                    str(sum(bool(cut.faults) for cut in cuts)),
                ]
            )
    return rows
