"""What a soak has shown: its samples, the verdict, the table and the plot."""

from __future__ import annotations

import csv
import dataclasses
import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from rich.table import Table

from benchmarks.process import Usage
from benchmarks.trend import slope_per_hour

WARM_UP_SHARE = 1 / 6
"""The first part of a soak is not judged: buffers, caches and the allocator's pools fill up."""

MAX_RESIDENT_MB = 120.0
MAX_GROWTH_MB_H = 1.0
GRAIN_MB = 0.5
"""Less than this is the allocator's grain and no growth, however short the soak."""

MAX_SLOWER = 1.5
"""The last third's step against the first third's: wide, as other work on the machine moves it."""

FIGURES = {
    "resident_mb": "resident MB",
    "private_mb": "private MB",
    "threads": "threads",
    "files": "open files",
    "fps": "frames/s",
    "step_p50_ms": "step p50 ms",
    "step_p95_ms": "step p95 ms",
    "age_p50_ms": "frame age p50 ms",
    "age_p95_ms": "frame age p95 ms",
    "waiting": "alerts waiting",
}
"""What is followed: the field of a sample, and its name."""


@dataclass(frozen=True, slots=True)
class Sample(Usage):
    """One device at ``t`` seconds: what the kernel says, then what its health says (NaN while that is not to be had).

    ``trouble`` names the faults that are going on.
    """

    device: str
    t: float
    fps: float
    step_p50_ms: float
    step_p95_ms: float
    age_p50_ms: float
    age_p95_ms: float
    waiting: float
    trouble: str


@dataclass(frozen=True, slots=True)
class Trend:
    """One figure over time: where it lay, how far up it went, and how it rises."""

    median: float
    highest: float
    per_hour: float


def trend(samples: Sequence[Sample], field: str) -> Trend:
    """The trend of one field of one device's samples; NaN where nothing is known."""
    known = [(one.t, float(getattr(one, field))) for one in samples]
    known = [(t, value) for t, value in known if not math.isnan(value)]
    if not known:
        return Trend(math.nan, math.nan, math.nan)
    times, values = zip(*known, strict=True)
    return Trend(median(values), max(values), slope_per_hour(times, values))


def judge(samples: Sequence[Sample]) -> list[str]:
    """What grows, in words; nothing where all is well."""
    return [f"{device}: {finding}" for device, own in _warm(samples).items() for finding in _judge_device(own)]


def _judge_device(own: Sequence[Sample]) -> Iterator[str]:
    hours = (own[-1].t - own[0].t) / 3600
    memory = trend(own, "resident_mb")
    if memory.highest > MAX_RESIDENT_MB:
        yield f"{memory.highest:.0f} MB resident, more than {MAX_RESIDENT_MB:g} MB"
    if memory.per_hour * hours > max(MAX_GROWTH_MB_H * hours, GRAIN_MB):
        yield f"resident memory grows by {memory.per_hour:.2f} MB an hour, more than {MAX_GROWTH_MB_H:g} MB"
    for field in ("threads", "files"):
        if (rise := trend(own, field).per_hour) * hours >= 1:
            yield f"{FIGURES[field]} grow by {rise:.1f} an hour"
    third = len(own) // 3
    first, last = (trend(part, "step_p50_ms").median for part in (own[:third], own[-third:]))
    if last > MAX_SLOWER * first:
        yield f"a step took {first:.1f} ms in the first third and {last:.1f} ms in the last"


def table(samples: Sequence[Sample]) -> Table:
    """Every figure of every device after the warm-up."""
    shown = Table(title="After the warm-up", title_justify="left")
    shown.add_column("figure")
    warm = _warm(samples)
    for device in warm:
        for name in ("median", "highest", "an hour"):
            shown.add_column(f"{device}: {name}", justify="right")
    for field, name in FIGURES.items():
        found = [trend(own, field) for own in warm.values()]
        cells = [(f"{one.median:.1f}", f"{one.highest:.1f}", f"{one.per_hour:+.2f}") for one in found]
        shown.add_row(name, *(text for cell in cells for text in cell))
    for field, name in (("cpu_s", "CPU % of one processor"), ("waits", "waits (context switches) a second")):
        rates = [_rate(own, field) * (100 if field == "cpu_s" else 1) for own in warm.values()]
        shown.add_row(name, *(text for rate in rates for text in (f"{rate:.1f}", "", "")))
    return shown


def logged(samples: Iterable[Sample], path: Path) -> Iterator[Sample]:
    """The samples as they come, each one also a line of a CSV file."""
    names = sorted((field.name for field in dataclasses.fields(Sample)), key=lambda name: name not in {"device", "t"})
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        for one in samples:
            writer.writerow(dataclasses.asdict(one))
            file.flush()
            yield one


def plot(samples: Sequence[Sample], path: Path) -> None:
    """Every figure over time; faults are shaded, the warm-up ends at the dotted line."""
    import matplotlib as mpl  # noqa: PLC0415 - an extra

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415 - an extra, and only after the choice of a backend

    panels = (
        ("resident MB, private MB (dashed)", ("resident_mb", "private_mb")),
        ("threads, open files (dashed)", ("threads", "files")),
        ("frames a second", ("fps",)),
        ("step ms: p50, p95 (dashed)", ("step_p50_ms", "step_p95_ms")),
        ("frame age at decision ms: p50, p95 (dashed)", ("age_p50_ms", "age_p95_ms")),
        ("alerts waiting in the outbox", ("waiting",)),
    )
    figure, grid = plt.subplots(3, 2, figsize=(13, 9), layout="constrained", sharex=True)
    for axes, (title, fields) in zip(grid.flat, panels, strict=True):
        for number, (device, own) in enumerate(_by_device(samples).items()):
            minutes = [one.t / 60 for one in own]
            for field, style in zip(fields, ("-", "--"), strict=False):
                label = device if style == "-" else None
                axes.plot(minutes, [getattr(one, field) for one in own], style, color=f"C{number}", lw=1, label=label)
        for begin, end, trouble in _faults(samples):
            axes.axvspan(begin / 60, end / 60, color="C3" if "broker" in trouble else "C7", alpha=0.2, lw=0)
        axes.axvline(WARM_UP_SHARE * samples[-1].t / 60, color="black", ls=":", lw=1)
        axes.set_title(title, fontsize=10)
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
    grid[0][0].legend()
    for axes in grid[-1]:
        axes.set_xlabel("minutes; red: broker down, grey: camera away")
    figure.savefig(path, dpi=100)
    plt.close(figure)


def _faults(samples: Sequence[Sample]) -> Iterator[tuple[float, float, str]]:
    """When a fault went on, as far as the samples tell: begin, end and what it was."""
    own = next(iter(_by_device(samples).values()))
    for one, following in itertools.pairwise(own):
        if one.trouble:
            yield one.t, following.t, one.trouble


def _rate(own: Sequence[Sample], field: str) -> float:
    """How much a counter rises a second."""
    span_s = own[-1].t - own[0].t
    return float(getattr(own[-1], field) - getattr(own[0], field)) / span_s if span_s else math.nan


def _warm(samples: Sequence[Sample]) -> dict[str, list[Sample]]:
    """What is judged, by device."""
    begin = WARM_UP_SHARE * samples[-1].t
    return _by_device([one for one in samples if one.t >= begin])


def _by_device(samples: Sequence[Sample]) -> dict[str, list[Sample]]:
    devices: dict[str, list[Sample]] = {}
    for one in samples:
        devices.setdefault(one.device, []).append(one)
    return devices
