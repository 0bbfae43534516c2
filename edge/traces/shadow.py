"""What a device in shadow mode would have said: a line for each few minutes, and what they come to a driven hour."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from edge.compat import Self
from edge.domain import Kind, Phase, State, Step
from edge.errors import UnavailableError

if TYPE_CHECKING:
    from rich.table import Table

SHADOW_FILE = "shadow.jsonl"
"""Beside the outbox."""
LONGEST_STEP_S = 2.0
"""A longer gap between two steps is time that nobody saw, seconds."""
_UNDRIVEN = frozenset({State.ABSENT, State.BLIND, State.PAUSED})

Seconds = Annotated[float, Field(ge=0, le=1e6)]
Count = Annotated[int, Field(ge=0)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class KindSpan(_Part):
    """One kind in one span: its alerts, those that became urgent, how long they were on, and why they ended."""

    alerts: Count = 0
    urgent: Count = 0
    alert_s: Seconds = 0.0
    longest_s: Seconds = 0.0
    unread_s: Seconds = 0.0
    ends: dict[str, Count] = Field(default_factory=dict)

    def __add__(self, other: Self) -> KindSpan:
        """Both one after the other."""
        return KindSpan(
            alerts=self.alerts + other.alerts,
            urgent=self.urgent + other.urgent,
            alert_s=self.alert_s + other.alert_s,
            longest_s=max(self.longest_s, other.longest_s),
            unread_s=self.unread_s + other.unread_s,
            ends=dict(Counter(self.ends) + Counter(other.ends)),
        )


class ShadowLine(_Part):
    """Some minutes of a device in shadow mode, all of them under the same ``settings`` (their checksum).

    ``driven_s`` is the time with a face in sight in a vehicle that is not known to stand; ``time`` is the line's end.
    """

    version: Literal[1] = Field(default=1, alias="schema")
    device: str
    settings: str
    time: AwareDatetime
    clock_synced: bool
    driven_s: Seconds
    kinds: dict[Kind, KindSpan]


@dataclass
class Tally:
    """Adds up what steps would have said. ``driven_s`` and ``kinds`` are those since the last ``take``."""

    driven_s: float = 0.0
    kinds: dict[Kind, KindSpan] = field(default_factory=dict)
    _last_t: float | None = None

    def add(self, step: Step) -> None:
        """Take in one step, which speaks for the time since the one before, LONGEST_STEP_S at most."""
        t = step.signals.t
        spoken_s = 0.0 if self._last_t is None else min(t - self._last_t, LONGEST_STEP_S)
        self._last_t = t
        driven_s = spoken_s if step.state not in _UNDRIVEN and step.context.standstill is not True else 0.0
        self.driven_s += driven_s
        for kind, judged in step.signals.kinds.items():
            ended = [each for each in step.transitions if each.kind == kind and each.phase is Phase.END]
            phases = [each.phase for each in step.transitions if each.kind == kind]
            now = KindSpan.model_construct(
                alerts=phases.count(Phase.START),
                urgent=phases.count(Phase.ESCALATE),
                alert_s=spoken_s if judged.level is not None else 0.0,
                longest_s=max((each.duration_s for each in ended), default=0.0),
                unread_s=driven_s if not judged.readable and judged.level is None else 0.0,
                ends=dict(Counter(str(each.reason.code) for each in ended)),
            )
            self.kinds[kind] = self.kinds[kind] + now if kind in self.kinds else now

    def take(self) -> tuple[float, dict[Kind, KindSpan]]:
        """What has been added up since the last time; begin anew."""
        taken = self.driven_s, self.kinds
        self.driven_s, self.kinds = 0.0, {}
        return taken


@dataclass(frozen=True)
class ShadowReport:
    """What devices would have said under the settings that they had last. ``other_s`` was driven under others."""

    devices: tuple[str, ...]
    driven_s: float
    other_s: float
    kinds: Mapping[Kind, KindSpan]
    faults: tuple[str, ...]

    @property
    def hours(self) -> float:
        """Hours driven under the newest settings."""
        return self.driven_s / 3600

    def lines(self) -> list[str]:
        """What stands above the table."""
        said = [f"{self.hours:.2f} driven hours of {', '.join(self.devices)}; nothing of this was published"]
        if self.other_s:
            said.append(f"{self.other_s / 3600:.2f} hours under other settings before are left out")
        return said

    def table(self) -> Table:
        """A row for each kind, all rates for a driven hour."""
        from rich.table import Table  # noqa: PLC0415 - the service, which writes this file, shows no tables

        columns = ("alert", "would have come", "an hour", "urgent an hour", "seconds on an hour", "longest")
        table = Table(*columns, "not readable", "ended by")
        for kind, each in self.kinds.items():
            table.add_row(
                kind,
                str(each.alerts),
                f"{each.alerts / self.hours:.2f}",
                f"{each.urgent / self.hours:.2f}",
                f"{each.alert_s / self.hours:.1f}",
                f"{each.longest_s:.0f} s" if each.alerts else "",
                f"{each.unread_s / self.driven_s:.1%}",
                ", ".join(f"{reason} {count}" for reason, count in sorted(each.ends.items())),
            )
        return table


def report_shadow(paths: Sequence[Path]) -> ShadowReport:
    """Add up the records of one device or of several. Lines that are no such record are left out and said.

    Raises:
        UnavailableError: a record cannot be read, or there is no driven time in them.
    """
    faults: list[str] = []
    lines = list(chain.from_iterable(_read(path, faults) for path in paths))
    newest = {line.device: line.settings for line in lines}
    own = [line for line in lines if line.settings == newest[line.device]]
    driven_s = sum(line.driven_s for line in own)
    if not driven_s:
        where = ", ".join(map(str, paths))
        raise UnavailableError(f"{where}: nothing was driven yet; run the service with alerts.shadow = true")
    kinds: dict[Kind, KindSpan] = {}
    for line in own:
        for kind, span in line.kinds.items():
            kinds[kind] = kinds[kind] + span if kind in kinds else span
    other_s = sum(line.driven_s for line in lines) - driven_s
    return ShadowReport(tuple(newest), driven_s, other_s, kinds, tuple(faults))


def _read(path: Path, faults: list[str]) -> Iterable[ShadowLine]:
    try:
        texts = path.read_bytes().splitlines()
    except FileNotFoundError:
        raise UnavailableError(f"{path}: no such record; run the service with alerts.shadow = true") from None
    except OSError as error:
        raise UnavailableError(f"{path}: record cannot be read: {error.strerror}") from error
    for number, text in enumerate(texts, 1):
        if not text.strip():
            continue
        try:
            yield ShadowLine.model_validate_json(text)
        except ValidationError:
            faults.append(f"{path}:{number}: not a line of a shadow record; line left out")
