"""Instructions are told apart by where they were executed, and held against what is stored for this kind of machine."""

from __future__ import annotations

import pytest

from benchmarks.instructions import FRAMES, TOLERANCE, Count, split, verdict
from edge.tools.bench import Way

PROFILE = """# callgrind format
ob=(1) /usr/lib/libpython3.11.so
fn=(1) eval
10 4000000
+2 1000000
cob=(2) /venv/site-packages/ai_edge_litert/libpywrap.so
cfn=(2) invoke
calls=100 7
* 900000000
ob=(2)
fn=(2)
7 900000000
ob=(1)
fn=(3) free
-3 500000
"""

KIND = "this machine"
STORED = {KIND: {"following": 100.0, "searching": 90.0}}


def found(following: float, searching: float) -> dict[Way, Count]:
    return {"following": Count(1.0, following), "searching": Count(1.0, searching)}


def test_the_runtime_s_instructions_are_counted_apart_and_a_call_s_cost_only_once() -> None:
    counted = split(PROFILE)
    assert counted.runtime == pytest.approx(900_000_000 / FRAMES / 1000)
    assert counted.rest == pytest.approx(5_500_000 / FRAMES / 1000)


def test_more_than_the_tolerance_above_the_stored_figure_fails_and_says_which() -> None:
    good, lines = verdict(found(100.0 * (1 + TOLERANCE + 0.01), 90.0), KIND, STORED)
    assert not good
    assert lines[0].startswith("following: SLOWER, +4.0%")
    assert lines[1].startswith("searching: holds")


@pytest.mark.parametrize("change", [1 + TOLERANCE - 0.001, 1.0, 0.5])
def test_a_little_more_or_any_amount_less_holds(change: float) -> None:
    assert verdict(found(100.0 * change, 90.0 * change), KIND, STORED)[0]


def test_another_kind_of_machine_is_skipped_with_the_reason() -> None:
    good, lines = verdict(found(1e6, 1e6), "another machine", STORED)
    assert good
    assert "nothing is stored for another machine" in lines[0]
