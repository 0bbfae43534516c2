"""The shipped automations for Home Assistant: what they let pass, and that they ask for what they use."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from jinja2.sandbox import ImmutableSandboxedEnvironment

import edge.mqtt
from docs.tutorials import ROOT, files

FOLDER = Path(edge.mqtt.__file__).parent / "home_assistant"
BLUEPRINTS = sorted(FOLDER.glob("*.yaml"))


class Loader(yaml.SafeLoader):
    """Reads ``!input name`` as the name in a tuple of its own."""


Loader.add_constructor("!input", lambda _, node: ("input", node.value))


def read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.load(path.read_text(), Loader)  # noqa: S506 - a safe loader
    return content


def inputs(value: Any) -> set[str]:
    if isinstance(value, tuple):
        return {value[1]}
    if isinstance(value, dict):
        return set().union(*map(inputs, value.values()))
    return set().union(*map(inputs, value)) if isinstance(value, list) else set()


@pytest.mark.parametrize("path", BLUEPRINTS, ids=lambda path: path.stem)
def test_a_blueprint_uses_what_it_asks_for_and_nothing_else(path: Path) -> None:
    blueprint = read(path)
    told = blueprint.pop("blueprint")
    assert inputs(blueprint) == set(told["input"])
    assert told["homeassistant"]["min_version"] == "2024.11.0"


@pytest.mark.parametrize("path", BLUEPRINTS, ids=lambda path: path.stem)
def test_the_page_on_home_assistant_tells_of_each_blueprint(path: Path) -> None:
    assert path.name in (ROOT / "docs/home-assistant.md").read_text()


def event(sequence: int | None, epoch: int = 1, state: str = "2026-05-04T09:30:00.125+00:00") -> Any:
    attributes = {} if sequence is None else {"epoch": epoch, "sequence": sequence, "phase": "start"}
    return SimpleNamespace(state=state, attributes=attributes)


def passes(condition: str, before: Any, after: Any) -> bool:
    trigger = SimpleNamespace(id="alert", from_state=before, to_state=after)
    alert = after.attributes
    text = ImmutableSandboxedEnvironment().from_string(condition).render(trigger=trigger, alert=alert, phases=["start"])
    return text.strip() == "True"


def shipped(before: Any, after: Any) -> bool:
    return all(passes(condition, before, after) for condition in read(FOLDER / "announce.yaml")["conditions"])


def documented(before: Any, after: Any) -> bool:
    (condition,) = yaml.safe_load(files((ROOT / "docs/home-assistant.md").read_text())["condition.yaml"])
    return passes(condition, before, after)


@pytest.mark.parametrize("condition", [shipped, documented])
@pytest.mark.parametrize(
    ("before", "after", "passed"),
    [
        (event(None, state="unknown"), event(1), True),  # the first one
        (event(1), event(2), True),
        (event(9), event(1, epoch=2), True),
        (event(2), event(2), False),  # sent twice
        (event(2), event(1), False),  # sent again, out of order
        (event(None, state="unavailable"), event(2), False),  # the broker is back, and with it what was
        (event(2), event(None, state="unavailable"), False),
        (None, event(2), False),
    ],
)
def test_each_alert_passes_once(condition: Any, before: Any, after: Any, *, passed: bool) -> None:
    assert condition(before, after) is passed


@pytest.mark.parametrize(
    ("last", "passed"), [(None, True), ("2026-05-04T09:29:00+00:00", True), ("2026-05-04T09:31:00+00:00", False)]
)
def test_a_start_announces_the_newest_alert_unless_it_was_announced(last: str | None, *, passed: bool) -> None:
    known = ImmutableSandboxedEnvironment()
    known.globals["states"] = lambda _: "2026-05-04T09:30:00.125+00:00"
    known.filters["as_datetime"] = datetime.fromisoformat
    this = SimpleNamespace(
        attributes=SimpleNamespace(last_triggered=None if last is None else datetime.fromisoformat(last))
    )
    alert = {"epoch": 1, "sequence": 2, "phase": "start"}
    given = {
        "trigger": SimpleNamespace(id="started"),
        "this": this,
        "alert": alert,
        "entity": "event.a",
        "phases": ["start"],
    }
    conditions = read(FOLDER / "announce.yaml")["conditions"]
    assert all(known.from_string(one).render(given).strip() == "True" for one in conditions) is passed
