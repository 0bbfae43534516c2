"""The collector's page says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import edge.collect
from edge.collect.config import CollectSection
from edge.collect.tables import metadata

PAGE = (Path(edge.collect.__file__).parent / "README.md").read_text()
ACL = Path(edge.collect.__file__).parents[1] / "mqtt" / "mosquitto" / "fleet.acl"


def rows(heading: str) -> dict[str, str]:
    section = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", section, re.MULTILINE))


def test_every_key_is_listed_with_what_it_does() -> None:
    listed = rows("Configuration")

    assert listed == {name: field.description for name, field in CollectSection.model_fields.items()}


def test_every_table_is_listed() -> None:
    assert set(rows("The tables")) == set(metadata.tables)


def test_the_access_list_on_the_page_is_the_one_that_is_shipped() -> None:
    shown = PAGE.split("user fleet-collector\n")[1].split("```")[0]

    assert f"user fleet-collector\n{shown}" in ACL.read_text()
