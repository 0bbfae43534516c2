"""Write the measured tables of the pages that show them from the figures in ``models/figures/``.

``python -m models.training.card``, after the measuring commands (``make figures`` runs them all). What stands between
``<!-- figures: NAME -->`` and ``<!-- end -->`` is replaced; the rest of a page is written by hand.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from models.training import (
    cues,
    evaluate_expression,
    evaluate_eyes,
    evaluate_face,
    evaluate_follow,
    familiarity,
    left_out,
    robustness,
)
from models.training.expression_readers import OURS, PEER, TWIN
from models.training.expression_sources import ASKED, present
from models.training.fairness import Share
from models.training.scoreboard import Row, markdown

CARD = Path("models/MODEL_CARD.md")
PAGES = (CARD, Path("docs/figures.md"))
"""Where measured tables stand: the model card has them all, the other page what is quoted first."""
FIGURES = Path("models/figures")
SECTION = re.compile(r"(<!-- figures: (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)

FACE_FIRST = (
    "portraits_n", "portraits_wrong", "portraits_median", "drivers_n", "drivers_wrong", "drivers_median", "faceless_n",
    "faceless_found", "dim_wrong_share", "night_n", "night_found", "side_n", "side_found", "time_ratio",
)  # fmt: skip
EXPRESSION_FIRST = (
    "accuracy_a", "accuracy_b", "auroc_anger", "auroc_distress", "recall_anger", "recall_fear", "recall_sadness",
    "recall_disgust", "yawn_called_anger", "yawn_recall", "calm_called_yawn", "calibration_error", "time_ratio",
)  # fmt: skip

EYES_FIRST = (
    "mrl_n", "mrl_accuracy", "mrl_f1", "mrl_glasses_f1", "mrl_reflections_f1", "web_n", "web_accuracy", "down_closed",
    "squint_closed", "faces_lowered_closed", "step_ratio",
)  # fmt: skip

Content = dict[str, Any]


def render(page: str, figures: Path) -> str:
    """A page with its tables as the figures in the folder say.

    Raises:
        SystemExit: a table's figures are missing, or the page asks for a table that nobody makes.
    """

    def table(match: re.Match[str]) -> str:
        name = match[2]
        if name not in TABLES:
            raise SystemExit(f"no table is called '{name}'; there are {', '.join(TABLES)}")
        file, make = TABLES[name]
        path = figures / file
        if not path.exists():
            raise SystemExit(f"{path}: no such figures; make figures measures them")
        return f"{match[1]}\n{make(json.loads(path.read_text(encoding='utf-8')))}\n\n{match[3]}"

    return SECTION.sub(table, page)


def _beside(rows: tuple[Row, ...], models: dict[str, dict[str, float]], ours: str) -> str:
    """One line a figure, with what is wanted; the wanted and reached are bold."""
    lines = []
    for row in rows:
        cells = [row.text(figures.get(row.key)) for figures in models.values()]
        if row.verdict(models[ours].get(row.key)) == "yes":
            cells[0] = f"**{cells[0]}**"
        lines.append([row.label, row.wanted(), *cells])
    return markdown(["figure", "want", *models], lines)


def expression_table(content: Content) -> str:
    """The shipped model, its float twin and the peer, measured in one run."""
    models = {name: content["models"][name] for name in (OURS, TWIN, PEER) if name in content["models"]}
    return _beside(evaluate_expression.ROWS, models, OURS)


def _shortly(rows: tuple[Row, ...], keys: tuple[str, ...], models: dict[str, dict[str, float]]) -> str:
    """Only these figures, without what is wanted."""
    lines = [[row.label, *(row.text(figures.get(row.key)) for figures in models.values())] for row in rows]
    shown = [line for line, row in zip(lines, rows, strict=True) if row.key in keys]
    return markdown(["figure", *models], shown)


def expression_short(content: Content) -> str:
    """What is quoted first of the shipped model, with the peer."""
    models = {name: content["models"][name] for name in (OURS, PEER) if name in content["models"]}
    return _shortly(evaluate_expression.ROWS, EXPRESSION_FIRST, models)


def source_tables(content: Content) -> str:
    """The same models on the quoted faces of each source."""
    parts = []
    for name, models in content["sources"].items():
        found = {model: models[model] for model in (OURS, TWIN, PEER) if model in models}
        table = _beside(present(name, found), found, OURS)
        parts.append(f"{ASKED[name].title}, {found[OURS]['n']:.0f} of them:\n\n{table}")
    return "\n\n".join(parts)


def resampled_tables(content: Content) -> str:
    """The quoted faces brought to the crop in other ways than training does it."""
    parts = []
    for name, ways in content["sources"].items():
        lines = [
            [row.label, row.wanted(), *(row.text(figures.get(row.key)) for figures in ways.values())]
            for row in present(name, ways)
        ]
        parts.append(f"{ASKED[name].title}:\n\n{markdown(['figure', 'want', *ways], lines)}")
    return "\n\n".join(parts)


def familiar_table(content: Content) -> str:
    """How much faces unlike any count."""
    return markdown(*familiarity.lines_of(content["faces"]))


def left_out_table(content: Content) -> str:
    """Sources as models read them that were trained without them, beside the model that was shipped before."""
    before = content["before"]
    lines = []
    for name, models in content["sources"].items():
        rows = {row.key: row for row in present(name, models)}
        for key in left_out.SHOWN:
            if key in rows:
                cells = [rows[key].text(models[model].get(key)) for model in ("without", "before")]
                lines.append([ASKED[name].title, rows[key].label, *cells])
    return markdown(["source", "figure", "trained without it", before], lines)


def cue_table(content: Content) -> str:
    """Cues, valence and arousal of the model and its float twin, with the shipped model's intervals."""
    models = content.get("cues", {})
    if OURS not in models:
        return "This model tells no cues."
    header = ["figure", "want", OURS, "95 % interval; faces that show it", *(name for name in models if name != OURS)]
    lines = []
    for row in cues.ROWS:
        own, *others = (row.text(figures.get(row.key)) for figures in models.values())
        reached = row.verdict(models[OURS].get(row.key)) == "yes"
        lines.append(
            [row.label, row.wanted(), f"**{own}**" if reached else own, cues.interval(models[OURS], row.key), *others]
        )
    return markdown(header, lines)


def published_table(content: Content) -> str:
    """The shipped model on its split, and peers as published on theirs."""
    models = {f"**Evenkeel int8, {content['split']} split**": content["models"][OURS], **content["published"]["models"]}
    rows = evaluate_expression.COMPARED
    lines = [[name, *(row.text(figures.get(row.key)) for row in rows)] for name, figures in models.items()]
    return markdown(["model", *(row.label for row in rows)], lines)


def robustness_table(content: Content) -> str:
    """One line a family: accuracy A by level for each model, and the shipped model's false anger."""
    found = content["conditions"]
    models = [name for name in (OURS, TWIN, PEER) if name in found[robustness.CLEAN]]
    families: dict[str, list[robustness.Condition]] = {}
    for condition in robustness.conditions():
        families.setdefault(condition.family, []).append(condition)

    def cell(steps: list[robustness.Condition], model: str, key: str) -> str:
        return ", ".join(f"{100 * found[step.name][model][key]:.1f}" for step in steps)

    lines = [
        [
            family,
            ", ".join(step.level for step in steps),
            *(cell(steps, model, "accuracy_a") for model in models),
            cell(steps, OURS, "false_anger"),
        ]
        for family, steps in families.items()
    ]
    header = ["what is done", "how much", *(f"{name}, A, %" for name in models), "int8: called angry, %"]
    return f"{content['faces']} faces of the {content['split']} split:\n\n{markdown(header, lines)}"


def _group_table(entries: list[Content]) -> str:
    names = [name for name in entries[0] if name not in ("grouping", "group")]
    lines = [
        [one["grouping"], one["group"], *(Share(one[name]["hits"], one[name]["count"]).text() for name in names)]
        for one in entries
    ]
    return markdown(["grouping", "group", *(f"{name}, %" for name in names)], lines)


def face_fairness_table(content: Content) -> str:
    """Crowd-voted faces by group."""
    return _group_table(content["faces"])


def driver_fairness_table(content: Content) -> str:
    """Drivers by group."""
    return _group_table(content["drivers"])


def face_table(content: Content) -> str:
    """The shipped detector beside its peers, measured in one run."""
    return _beside(evaluate_face.ROWS, content["models"], evaluate_face.OURS)


def face_short(content: Content) -> str:
    """What is quoted first of the shipped detector, with its peers."""
    return _shortly(evaluate_face.ROWS, FACE_FIRST, content["models"])


def face_skin_table(content: Content) -> str:
    """Wrong faces of the detectors by the brightness of the skin."""
    return _group_table(content["skin"])


def follow_table(content: Content) -> str:
    """The model that follows a face beside the face model."""
    return _beside(evaluate_follow.ROWS, content["models"], evaluate_follow.OURS)


def eye_table(content: Content) -> str:
    """The shipped eye model beside the one that was trained on renders alone."""
    return _beside(evaluate_eyes.ROWS, content["models"], evaluate_eyes.OURS)


def eye_short(content: Content) -> str:
    """What is quoted first of both eye models."""
    return _shortly(evaluate_eyes.ROWS, EYES_FIRST, content["models"])


def eye_sources_table(content: Content) -> str:
    """Sources as eye models read them that were trained without them, the last one without any picture of a person."""
    rows = [(name, evaluate_eyes.LEFT_OUT[name], content["left_out"][name]) for name in content["left_out"]]
    lines = [[f"without {name}", row.label, row.wanted(), row.text(found[row.key])] for name, row, found in rows]
    alone = replace(evaluate_eyes.LEFT_OUT["mrl"], want=evaluate_eyes.CLEAN_WANTED)
    accuracy = content["models"][evaluate_eyes.CLEAN]["mrl_accuracy"]
    lines.append(["on renders alone", alone.label, alone.wanted(), alone.text(accuracy)])
    return markdown(["trained", "measured on", "want, %", "accuracy, %"], lines)


TABLES: dict[str, tuple[str, Callable[[Content], str]]] = {
    "expression": ("expression.json", expression_table),
    "sources": ("expression.json", source_tables),
    "resampled": ("resampled.json", resampled_tables),
    "familiar": ("familiar.json", familiar_table),
    "cues": ("expression.json", cue_table),
    "left-out": ("left_out.json", left_out_table),
    "published": ("expression.json", published_table),
    "robustness": ("robustness.json", robustness_table),
    "fairness-faces": ("fairness.json", face_fairness_table),
    "fairness-drivers": ("fairness.json", driver_fairness_table),
    "face": ("face.json", face_table),
    "face-short": ("face.json", face_short),
    "expression-short": ("expression.json", expression_short),
    "face-skin": ("face.json", face_skin_table),
    "follow": ("follow.json", follow_table),
    "eyes": ("eyes.json", eye_table),
    "eyes-short": ("eyes.json", eye_short),
    "eyes-sources": ("eyes.json", eye_sources_table),
}


def main() -> None:
    """Parse the command line and write the pages."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pages", type=Path, nargs="+", default=PAGES)
    parser.add_argument("--figures", type=Path, default=FIGURES)
    arguments = parser.parse_args()
    for page in arguments.pages:
        old = page.read_text(encoding="utf-8")
        page.write_text(render(old, arguments.figures), encoding="utf-8")
        print(f"{page}: {len(SECTION.findall(old))} tables written from {arguments.figures}")


if __name__ == "__main__":
    main()
