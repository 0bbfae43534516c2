"""The picture of evidence shows the rule."""

from __future__ import annotations

import numpy as np
import pytest

from calibration.evidence import KIND, SENSITIVITIES, SHARES, Moment, draw, rates
from edge.config import Config


@pytest.mark.parametrize("sensitivity", SENSITIVITIES)
def test_what_is_rare_adds_a_second_a_second_what_is_seldom_nothing_and_what_is_usual_takes_away(
    sensitivity: str,
) -> None:
    settings = Config.model_validate({"alerts": {"sensitivity": sensitivity}}).alerts.expressions[KIND]
    drawn = np.array(rates(sensitivity))
    assert np.allclose(drawn[settings.rare >= SHARES], 1.0)
    assert np.interp(settings.seldom, SHARES, drawn) == pytest.approx(0.0, abs=0.05)
    assert drawn[-1] == pytest.approx(-settings.leak)
    assert np.all(np.diff(drawn) <= 0)


def test_both_panels_are_drawn_with_the_alert() -> None:
    clip = [Moment(t, 0.9, 0.01, min(1.8, t - 10.0), started=t == 12.0) for t in np.arange(10.0, 14.0, 0.5).tolist()]
    above, below = draw(clip).axes
    assert [line.get_label() for line in above.get_lines()][: len(SENSITIVITIES)] == list(SENSITIVITIES)
    assert "the alert starts" in below.get_legend_handles_labels()[1]
