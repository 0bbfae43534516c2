"""Measure the decision on simulated drives of several sources, as one model or several read them.

``python -m calibration.evaluate_decisions --data ../shared/data``. Each source has drives with episodes, plain ones
without any, and scenarios. The shipped settings are measured on all; then, for each source in turn, settings chosen on
the other sources' drives alone. What a model reads of the pictures is kept in a file named by its checksum, so that a
second run takes minutes. Other ways of following an expression: ``trade_off``.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap
from typing import Any

import cv2
import numpy as np
from rich.console import Console
from rich.table import Table

from calibration.choice import ALLOWED_PER_HOUR, choose, sweep
from calibration.deciding import decide_all
from calibration.drives import SCENARIOS, Scenario, Sort
from calibration.faces import TITLES
from calibration.outcome import Outcome, rate_interval, total
from calibration.readings import ReadingsFolder, checksum
from calibration.ways import peer_rules
from calibration.workshop import IN_SCENARIOS, PEOPLE, Workshop
from edge.config import Config, VisionConfig
from edge.config.reference import COLUMNS, replaced
from edge.traces.replay import replay
from edge.vision.expression import ExpressionReader
from models.training.expression_readers import OURS, PEER, Candidate, open_candidates

HERE = Path(__file__).parent
FIGURES, PAGE, SHORT_PAGE = HERE / "decisions.json", HERE / "README.md", HERE.parent / "docs/figures.md"
FRONT_PAGE = HERE.parent / "README.md"
CLIPS = ("driver_calm.avi", "driver_glasses.avi", "driver_yawn_smile.avi", "webcam.mp4")
SETTLED_S = 60.0
"""Alerts of the first minute of a scenario are told apart: nobody is known yet."""
CHOSEN_KEYS = ("enter", "hold_s")
ALL = "all"
SHOWN_HEAD = ("episodes found", "delay, known (p90)", "cold", "false/h", "s false/h", "late ends", "urgent late")
PLAIN_HEAD = ("hours", "false/h (95 %)", "s false/h (95 %)", "longest", *SCENARIOS)


@dataclass(frozen=True)
class Measured:
    """What came of one decision on one source: drives with episodes, plain ones, and each scenario, drive by drive."""

    episodes: list[Outcome]
    plain: list[Outcome]
    scenarios: dict[Scenario, list[Outcome]]

    def __add__(self, other: Measured) -> Measured:
        """Two sources together."""
        both = {name: self.scenarios[name] + other.scenarios[name] for name in self.scenarios}
        return Measured(self.episodes + other.episodes, self.plain + other.plain, both)


def measure(workshop: Workshop, name: str, candidate: Candidate, config: Config, workers: int) -> Measured:
    """All drives of one source."""
    sorts: tuple[Sort, ...] = ("episodes", "plain", *SCENARIOS)
    found = {sort: workshop.drives(name, sort, candidate) for sort in sorts}
    outcomes = iter(decide_all([drive for drives in found.values() for drive in drives], config, workers))
    by_sort = {sort: [next(outcomes) for _ in drives] for sort, drives in found.items()}
    return Measured(by_sort["episodes"], by_sort["plain"], {name: by_sort[name] for name in SCENARIOS})


def choices(workshop: Workshop, candidate: Candidate, config: Config) -> dict[str, Config]:
    """For each source thresholds that were chosen on the others' drives alone, as those of ``normal`` are."""
    swept = {name: sweep(workshop, name, candidate, config) for name in workshop.sources}
    chosen = {}
    for name in workshop.sources:
        others = [of_other for other, of_other in swept.items() if other != name]
        if others:
            chosen[name] = choose(others, ALLOWED_PER_HOUR["normal"]).applied(config)
    return chosen


def figures(measured: Measured) -> dict[str, Any]:
    """Every figure of one decision on one source, rounded as it is shown."""
    shown, plain = total(measured.episodes), total(measured.plain)
    low, high = rate_interval([each.false_starts for each in measured.plain], [each.hours for each in measured.plain])
    low_s, high_s = rate_interval([each.false_s for each in measured.plain], [each.hours for each in measured.plain])
    return {
        "with_episodes": {
            "drives": len(measured.episodes),
            "hours": round(shown.hours, 2),
            "episodes": shown.episodes,
            "found_percent": round(100 * shown.recall, 1),
            "delay_known_s": _quantiles(shown.known),
            "delay_cold_s": _quantiles(shown.cold),
            "false_per_hour": round(shown.false_per_hour, 2),
            "false_s_per_hour": round(shown.false_s_per_hour, 1),
            "late_ends_percent": round(100 * shown.late / max(shown.kept, 1), 1),
            "escalations": shown.escalations,
            "late_escalations": shown.late_escalations,
            "longest_s": round(shown.longest_s),
        },
        "plain": {
            "drives": len(measured.plain),
            "hours": round(plain.hours, 2),
            "false_per_hour": round(plain.false_per_hour, 2),
            "false_per_hour_interval": [round(low, 2), round(high, 2)],
            "false_s_per_hour": round(plain.false_s_per_hour, 1),
            "false_s_per_hour_interval": [round(low_s, 1), round(high_s, 1)],
            "longest_s": round(plain.longest_s),
        },
        "scenarios": {
            name: {
                "drives": len(outcomes),
                "alerting": sum(bool(each.starts) for each in outcomes),
                "alerting_after_a_minute": sum(any(t > SETTLED_S for t in each.starts) for each in outcomes),
                "alerts_after_a_minute": sum(sum(t > SETTLED_S for t in each.starts) for each in outcomes),
                "longest_s": round(max(each.longest_s for each in outcomes)),
            }
            for name, outcomes in measured.scenarios.items()
        },
    }


def _quantiles(delays: Sequence[float]) -> list[float] | None:
    """Median and 90th percentile; None without any."""
    return [round(float(each), 2) for each in np.percentile(delays, [50, 90])] if delays else None


def tables(title: str, rows: Mapping[str, Mapping[str, Any]]) -> Iterator[Table]:
    """What is told of one decision, a row for each source."""
    for name, head, cells in (
        ("drives with episodes", SHOWN_HEAD, lambda told: _shown_cells(told["with_episodes"])),
        ("hours without episodes; scenarios", PLAIN_HEAD, _plain_cells),
    ):
        table = Table("source", *head, title=f"{title}: {name}")
        for source, told in rows.items():
            table.add_row(source, *cells(told))
        yield table


SETTINGS = {"shipped": "as shipped", "chosen_on_the_others": "chosen on the other sources"}


def markdown(made: Mapping[str, Any]) -> str:
    """The README's tables of what was written."""
    rows = [
        ([_name(model), settings, source], told)
        for model in made["models"]
        for key, settings in SETTINGS.items()
        for source, told in model.get(key, {}).items()
    ]
    head = ["model", "settings", "source"]
    parts = (
        "Drives with episodes:",
        _rows([*head, *SHOWN_HEAD], [[*names, *_shown_cells(told["with_episodes"])] for names, told in rows]),
        "Hours without episodes, and scenarios (drives with an alert after the first minute, longest alert):",
        _rows([*head, *PLAIN_HEAD], [[*names, *_plain_cells(told)] for names, told in rows]),
    )
    return "\n\n".join(parts)


def short(made: Mapping[str, Any]) -> str:
    """What the shipped model and settings come to on each source, in Markdown."""
    told = next(model["shipped"] for model in made["models"] if model["shipped_model"])
    rows = []
    for source, each in told.items():
        one, two = each["with_episodes"], each["plain"]
        delays = (_spread(one["delay_known_s"]), _spread(one["delay_cold_s"]))
        found = f"{one['found_percent']} % of {one['episodes']}"
        rate = f"{two['false_per_hour']:.2f} ({' to '.join(f'{end:.2f}' for end in two['false_per_hour_interval'])})"
        title = TITLES.get(source, source)
        rows.append([title, found, *(f"{delay} s" for delay in delays), rate, f"{two['false_s_per_hour']:.1f}"])
    head = ("faces", "episodes found", "delay, known driver (p90)", "cold (p90)", "calm: false/h (95 %)", "s false/h")
    return _rows(head, rows)


def sentence(made: Mapping[str, Any]) -> str:
    """What the rule comes to on drives that its thresholds were not chosen on, in two sentences for the front page."""
    model = next(model for model in made["models"] if model["shipped_model"])
    told = next(reversed(model.get("chosen_on_the_others", model["shipped"]).values()))
    one, two = told["with_episodes"], told["plain"]
    words = (
        f"On simulated drives of faces unseen before it finds {one['found_percent']} % of {one['episodes']} episodes, "
        f"half of these within {one['delay_known_s'][0]:g} s, and is wrong {two['false_per_hour']:g} times an hour "
        "without any ([figures](calibration/README.md#figures))."
    )
    return "\n".join(wrap(words, COLUMNS))


def _name(model: Mapping[str, Any]) -> str:
    return str(model["version"]) if model["shipped_model"] else f"{model['version']}, not shipped"


def _rows(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows))


def _shown_cells(told: Mapping[str, Any]) -> list[str]:
    return [
        f"{told['found_percent']} % of {told['episodes']}",
        f"{_spread(told['delay_known_s'])} s",
        f"{_spread(told['delay_cold_s'])} s",
        f"{told['false_per_hour']:.2f}",
        f"{told['false_s_per_hour']:.1f}",
        f"{told['late_ends_percent']} %",
        f"{told['late_escalations']} of {told['escalations']}",
    ]


def _plain_cells(told: Mapping[str, Any]) -> list[str]:
    plain = told["plain"]
    (low, high), (low_s, high_s) = plain["false_per_hour_interval"], plain["false_s_per_hour_interval"]
    return [
        f"{plain['hours']:.1f}",
        f"{plain['false_per_hour']:.2f} ({low:.2f} to {high:.2f})",
        f"{plain['false_s_per_hour']:.1f} ({low_s:.1f} to {high_s:.1f})",
        f"{plain['longest_s']} s",
        *(
            f"{each['alerting_after_a_minute']} of {each['drives']}, {each['longest_s']} s"
            for each in told["scenarios"].values()
        ),
    ]


def _spread(delays: Sequence[float] | None) -> str:
    return "none" if delays is None else f"{delays[0]:.2f} ({delays[1]:.2f})"


def calm_clips(data: Path, config: Config) -> dict[str, int]:
    """Alerts on the clips in which nobody is angry or distressed."""
    return {name: sum(replay(data / "clips" / name, config).alerts.values()) for name in CLIPS}


def evaluate(
    workshop: Workshop, manifest: Path | None, options: argparse.Namespace, console: Console
) -> dict[str, Any]:
    """All figures of one model, printed as they are known."""
    config = Config(vision=VisionConfig(expression_model=manifest))
    candidate = open_candidates(manifest, None, options.peers)[OURS]
    version = ExpressionReader.load(config.vision).manifest.version
    shipped = {name: measure(workshop, name, candidate, config, options.workers) for name in workshop.sources}
    told: dict[str, Any] = {"version": version, "shipped_model": manifest is None, "sha256": checksum(candidate.file)}
    told["shipped"] = _by_source(shipped)
    for table in tables(f"{version}, shipped settings", told["shipped"]):
        console.print(table)
    if not options.no_choice:
        settings = choices(workshop, candidate, config)
        chosen = {name: measure(workshop, name, candidate, settings[name], options.workers) for name in settings}
        told["chosen_on_the_others"] = _by_source(chosen)
        told["chosen_settings"] = {name: _told_settings(each) for name, each in settings.items()}
        console.print(json.dumps(told["chosen_settings"]))
        for table in tables(f"{version}, settings chosen on the other sources", told["chosen_on_the_others"]):
            console.print(table)
    if not options.no_clips:
        told["calm_clips"] = calm_clips(options.data, config)
        for name, alerts in told["calm_clips"].items():
            console.print(f"{name}: {alerts} alerts")
    return told


def _told_settings(config: Config) -> dict[str, dict[str, float]]:
    """What was chosen for each kind."""
    kinds = config.alerts.expressions.items()
    return {kind: {name: getattr(settings, name) for name in CHOSEN_KEYS} for kind, settings in kinds}


def _by_source(measured: Mapping[str, Measured]) -> dict[str, Any]:
    """Figures of each source and, where there are several, of all."""
    rows = {name: figures(each) for name, each in measured.items()}
    if len(measured) > 1:
        first, *others = measured.values()
        rows[ALL] = figures(sum(others, start=first))
    return rows


def _print_peers(workshop: Workshop, options: argparse.Namespace, console: Console) -> None:
    """A threshold of 0.5 on single frames and on the mean of a second, as this model and the peer read them."""
    config = Config()
    table = Table("rule", "read by", "episodes found", "false/h", "median delay, s")
    table.title = f"Plain thresholds on the drives with episodes of {workshop.quoted}"
    for name, candidate in open_candidates(None, None, options.peers).items():
        if name not in (OURS, PEER):
            continue
        batch = workshop.batch([workshop.quoted], ["episodes"], candidate).batch
        for rule in peer_rules(batch, config):
            score = rule.score
            found = f"{100 * score.recall:.1f} % of {score.episodes}"
            table.add_row(f"{rule.family} ≥ 0.5", name, found, f"{score.false_per_hour:.1f}", f"{score.delay_s:.2f}")
    console.print(table)


def main() -> None:
    """Parse the command line, make drives, measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--peers", type=Path, default=Path("../shared/peers"))
    parser.add_argument(
        "--expression-model", type=Path, action="append", default=[], help="manifest to measure beside the shipped one"
    )
    parser.add_argument("--only", action="store_true", help="measure those manifests alone, not the shipped one")
    parser.add_argument("--cache", type=Path, default=Path("runs/readings"), help="folder for what models read")
    parser.add_argument("--people", type=int, default=PEOPLE, help="drivers of each source, 2 to 100")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--no-choice", action="store_true", help="measure the shipped settings only")
    parser.add_argument("--no-clips", action="store_true", help="leave the calm clips out")
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--write", action="store_true", help=f"the same into {FIGURES.name}, and the README's tables")
    options = parser.parse_args()
    if not options.data.exists():
        raise SystemExit(f"{options.data}: no such folder; give the data with --data")
    if not 2 <= options.people <= 100:
        raise SystemExit(f"--people {options.people}: give 2 to 100")
    if options.only and (options.write or not options.expression_model):
        raise SystemExit("--only: name a manifest with --expression-model, and give no --write, which is of what ships")
    cv2.setNumThreads(1)
    console = Console(width=150)
    workshop = Workshop(options.data, Config(), ReadingsFolder(options.cache), options.people)
    for name, source in workshop.sources.items():
        console.print(f"{name}: {TITLES[name]}, {(source.driver < 0).sum()} faces, {(source.driver >= 0).sum()} frames")
    manifests = [*([] if options.only else [None]), *options.expression_model]
    told: list[dict[str, Any]] = []
    for manifest in manifests:
        told.append(evaluate(workshop, manifest, options, console))
        _write({"people": options.people, "in_scenarios": min(options.people, IN_SCENARIOS), "models": told}, options)
    _print_peers(workshop, options, console)


def pages(made: Mapping[str, Any]) -> dict[Path, str]:
    """The pages that show what was measured, with what each shows."""
    return {PAGE: markdown(made), SHORT_PAGE: short(made), FRONT_PAGE: sentence(made)}


def _write(made: Mapping[str, Any], options: argparse.Namespace) -> None:
    """Write what was measured so far where the options say."""
    for path in [options.json, *([FIGURES] if options.write else [])]:
        if path is not None:
            path.write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")
    if options.write:
        for page, text in pages(made).items():
            page.write_text(replaced(page.read_text(encoding="utf-8"), {"decisions": text}), encoding="utf-8")


if __name__ == "__main__":
    main()
