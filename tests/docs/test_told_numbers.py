"""The pages on a frame's way and on fatigue tell the numbers that the code goes by."""

from __future__ import annotations

import pytest

from docs.tutorials import ROOT
from edge.config import Config
from edge.decision.doubt import ASIDE_COUNTS, ASIDE_DEG, BUSY_COUNTS, BUSY_S, FIRST_S, HELD_S
from edge.decision.holding import LONGEST_M, LONGEST_S, STIRRED_S
from edge.decision.judges.fatigue import FatigueSettings
from edge.pipeline import EYES_HOLD_S
from edge.vision.follow import AWAY_SIZES, LOOK_S

SHUT_S = FatigueSettings().microsleep_s
WORDS = {1 / 3: "a third", 0.5: "half"}
SECONDS = {0.5: "half a second", 1.0: "a second"}


@pytest.mark.parametrize(
    ("page", "told"),
    [
        ("frame", f"The face model looks again every {SECONDS[LOOK_S].split()[-1]},"),
        ("frame", f"is {WORDS[AWAY_SIZES]} a face away from where it was seen last"),
        ("frame", f"up to {SECONDS[LONGEST_S]} (`vision.expression_hold_s`), at speed for {LONGEST_M:g} m"),
        ("frame", f"where something may build up, a reading stands for {STIRRED_S:g} s at most"),
        ("frame", f"Eyes that were wide open are not looked at again for {EYES_HOLD_S:g} s"),
        (
            "fatigue",
            f"and for {SECONDS[HELD_S]} after, closed eyes count {WORDS[BUSY_COUNTS]}, for {BUSY_S:g} s at most",
        ),
        ("fatigue", f"turned aside by {ASIDE_DEG:g} degrees or more"),
        ("fatigue", f"they count {WORDS[ASIDE_COUNTS]}: lids that look down"),
        ("fatigue", f"when the eyes closed or within {SECONDS[FIRST_S]} of it"),
        ("fatigue", f"mouth already open is found after {SHUT_S / BUSY_COUNTS:g} s instead of {SHUT_S:g} s"),
        ("fatigue", f"with the head already turned aside after {SHUT_S / ASIDE_COUNTS:g} s"),
    ],
)
def test_a_page_tells_what_is_so(page: str, told: str) -> None:
    text = (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")
    assert told in " ".join(text.split())


def test_the_longest_hold_that_is_told_is_the_default() -> None:
    assert Config().vision.expression_hold_s == LONGEST_S
