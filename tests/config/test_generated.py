"""What is made from the code is as the code makes it, and a page without its marks is no page to write into."""

from __future__ import annotations

import pytest

from edge.config import Config
from edge.config.load import all_keys
from edge.config.reference import replaced
from edge.tools.generate import ROOT, generated


def test_every_generated_file_is_up_to_date() -> None:
    stale = [str(path.relative_to(ROOT)) for path, text in generated().items() if path.read_text() != text]
    assert stale == [], "run make generate"


def test_the_reference_has_every_key() -> None:
    page = (ROOT / "docs/configuration.md").read_text()
    for section, path in all_keys(Config):
        part = page.split(f"## [{'.'.join(path[:-1])}]\n")[1].split("\n## ")[0]
        assert f"| `{path[-1]}` |" in part
        assert section.layer_of(path[-1]) in part


def test_a_part_is_made_anew_between_its_marks() -> None:
    page = "a\n<!-- generated: x -->\nold\n<!-- end: x -->\nb\n"
    assert replaced(page, {"x": "new"}) == page.replace("old", "\nnew\n")
    with pytest.raises(ValueError, match="marks of the generated part 'y'"):
        replaced(page, {"y": "new"})
