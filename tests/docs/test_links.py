"""Every page leads where it says, in the repository as on the site."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BUILT = {"build", "dist", "runs", "wheelhouse"}
LINK = re.compile(r"\]\((?!\w+:)([^)\s]+)\)")
HEADING = re.compile(r"^#{1,6}\s+(.*?)\s*$", re.MULTILINE)
SCHEMES = {"gh-light-mode-only", "gh-dark-mode-only"}
"""Said of a picture: it is shown where the page is light, or where it is dark."""
FENCE = re.compile(r"^```.*?^```\s*$", re.MULTILINE | re.DOTALL)


def pages() -> Iterator[Path]:
    for path in sorted(ROOT.rglob("*.md")):
        first = path.relative_to(ROOT).parts[0]
        if not first.startswith(".") and first not in BUILT:
            yield path


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def anchors(page: Path) -> set[str]:
    """As the repository's host and the site make them from headings."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    titles = (re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title) for title in HEADING.findall(text))
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def broken(page: Path) -> list[str]:
    """What is wrong with a page's links to files and headings."""
    faults = []
    for link in LINK.findall(FENCE.sub("", page.read_text(encoding="utf-8"))):
        target, _, anchor = link.partition("#")
        there = (page.parent / target).resolve() if target else page
        if not there.is_file():
            faults.append(f"{link}: no such file")
        elif anchor and anchor not in SCHEMES and anchor not in anchors(there):
            faults.append(f"{link}: no such heading")
    return faults


@pytest.mark.parametrize("page", list(pages()), ids=named)
def test_every_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    assert broken(page) == []


def test_a_link_that_leads_nowhere_is_found_out(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# One\n\n[a](#one) [b](#two) [c](other.md) [d](https://example.org/x)\n\n```\n[e](none.md)\n```\n")
    assert broken(page) == ["#two: no such heading", "other.md: no such file"]


def test_every_page_is_on_the_site() -> None:
    named_in_nav = set(re.findall(r"^ +- [^#\n]*: (\S+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE))
    assert named_in_nav == {named(page) for page in pages()}
