"""The picture of evidence shows the rule."""

from __future__ import annotations

import numpy as np
import pytest

from calibration.evidence import SHARES, Moment, draw, rates
from edge.decision.expression_judge import LEAK, RARE, SELDOM


def test_what_is_rare_adds_a_second_a_second_what_is_seldom_nothing_and_what_is_usual_takes_away() -> None:
    drawn = np.array(rates())
    assert np.allclose(drawn[RARE >= SHARES], 1.0)
    assert np.interp(SELDOM, SHARES, drawn) == pytest.approx(0.0, abs=0.05)
    assert drawn[-1] == pytest.approx(-LEAK)
    assert np.all(np.diff(drawn) <= 0)


def test_both_panels_are_drawn_with_the_alert() -> None:
    clip = [Moment(t, 0.9, 0.01, min(1.8, t - 10.0), started=t == 12.0) for t in np.arange(10.0, 14.0, 0.5).tolist()]
    above, below = draw(clip).axes
    assert len(above.get_lines()) == 4
    assert "the alert starts" in below.get_legend_handles_labels()[1]
