"""Sources that a model was trained without, as they are named on the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.training.card import left_out_table
from models.training.expression_sources import ASKED
from models.training.left_out import pairs


def test_a_source_is_named_with_its_model() -> None:
    assert pairs(["raf=runs/a/expression.toml"], ASKED) == {"raf": Path("runs/a/expression.toml")}


@pytest.mark.parametrize("given", ["raf", "=x.toml", "moon=x.toml"])
def test_anything_else_is_refused_with_what_was_given(given: str) -> None:
    with pytest.raises(SystemExit, match="expected SOURCE=MANIFEST"):
        pairs([given], ASKED)


def test_the_table_holds_each_source_against_the_model_before() -> None:
    models = {"without": {"balanced": 0.39}, "before": {"balanced": 0.37}}
    table = left_out_table({"before": "0.3.0", "sources": {"affect": models}})
    assert "| 39.0 | 37.0 |" in table
    assert "trained without it | 0.3.0" in table
