"""What the pages tell people to type exists, and the defaults that they name are the defaults."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.core import TyperGroup

from docs.tutorials import BLOCK, ROOT
from edge.cli import app
from edge.config import Config
from edge.vision.manifest import bundled, load_manifest

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "systemd/README.md", *sorted(ROOT.glob("docs/*.md"))]
COMMANDS = typer.main.get_command(app)
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
CODE = re.compile(r"`([^`\n]+)`")
DEFAULT = re.compile(r"`([a-z_]+(?:\.[a-z_]+)+)` \((\d[\d.]*)(?: s)?\)")


def typed(page: Path) -> list[str]:
    """Every line of the blocks without or with a shell's language, and every piece of code within a line."""
    text = page.read_text(encoding="utf-8")
    blocks = [block["body"] for block in BLOCK.finditer(text) if block["language"] in ("", "text")]
    pieces = CODE.findall(BLOCK.sub("", text))
    return [line.split(" # ")[0].strip() for line in [*"\n".join(blocks).splitlines(), *pieces]]


def wrong(line: str) -> str | None:
    """What of a typed ``evenkeel`` or ``make`` does not exist."""
    words = re.sub(r"[\[\]]", " ", line.removeprefix("$ ")).split()
    words = [word for word in words if word not in ("sudo", "-u")]
    if "evenkeel" in words[:2]:
        name, *rest = [*words[words.index("evenkeel") + 1 :], ""]
        if name == "evenkeel":
            name, *rest = rest
        if not name or name.startswith(("-", "…")):
            return None
        assert isinstance(COMMANDS, TyperGroup)
        command = COMMANDS.commands.get(name)
        if command is None:
            return f"evenkeel {name}"
        options = {option for parameter in command.params for option in parameter.opts}
        return next((word for word in rest if word.startswith("--") and word not in options), None)
    if words[:1] == ["make"]:
        asked = [word for word in words[1:] if re.fullmatch(r"[a-z-]+", word)]
        return next((f"make {target}" for target in asked if target not in TARGETS), None)
    return None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_command_on_a_page_exists(page: Path) -> None:
    assert [fault for fault in map(wrong, typed(page)) if fault] == []


def test_a_command_that_does_not_exist_is_found_out() -> None:
    assert wrong("$ evenkeel replay clip.mp4 --plot x.png") is None
    assert wrong("sudo -u evenkeel evenkeel outbox") is None
    assert wrong("evenkeel replay clip.mp4 --draw x.png") == "--draw"
    assert wrong("evenkeel play clip.mp4") == "evenkeel play"
    assert wrong("make nothing-of-the-kind") == "make nothing-of-the-kind"


def test_the_defaults_that_the_pages_name_are_the_defaults() -> None:
    config = Config().model_dump(mode="json")
    named = [pair for page in PAGES for pair in DEFAULT.findall(page.read_text(encoding="utf-8"))]
    assert len(named) > 5
    for key, value in named:
        found: Any = config
        for part in key.split("."):
            found = found[part]
        assert float(value) == found, key


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").split()) <= 1250  # with the generated table


def test_what_the_driver_is_told_of_cues_is_so() -> None:
    tells = bool(load_manifest(bundled("expression"), "expression").cues)
    page, glossary = ((ROOT / name).read_text(encoding="utf-8") for name in ("docs/driver.md", "docs/glossary.md"))
    assert ("does not yet" in page) is not tells
    assert ("the shipped model tells none" in glossary) is not tells
