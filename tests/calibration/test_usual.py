"""How much of the time ordinary faces are read as each kind: the fit, and the manifest that gets it."""

from __future__ import annotations

import numpy as np
import pytest

from calibration.usual import LEAST, fit_usual, with_usual
from edge.compat import tomllib
from edge.vision.manifest import bundled


def faces(usual: float, count: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Signals of which the share ``usual * (1 - x) / x`` is at ``x`` or above, evenly spread."""
    share = (np.arange(count) + 0.5) / count
    return usual / (usual + share)


@pytest.mark.parametrize("usual", [0.01, 0.03, 0.08])
def test_the_fit_finds_the_share_that_faces_were_drawn_with(usual: float) -> None:
    assert fit_usual([faces(usual, 20_000)]) == pytest.approx(usual, rel=0.05)


def test_sources_count_alike_whatever_their_numbers_of_faces() -> None:
    together = fit_usual([faces(0.01, 20_000), faces(0.05, 5_000)])
    assert together == pytest.approx(0.03, rel=0.05)


def test_few_faces_of_which_none_is_misread_do_not_make_a_kind_impossible() -> None:
    assert fit_usual([np.zeros(100_000)]) == LEAST


def test_a_manifest_gets_the_new_numbers_and_keeps_all_else() -> None:
    text = bundled("expression").read_text(encoding="utf-8")
    before, after = tomllib.loads(text), tomllib.loads(with_usual(text, {"anger": 0.0158, "distress": 0.0515}))
    assert after.pop("usual") == {"anger": 0.0158, "distress": 0.0515}
    assert before.pop("usual") != {}
    assert after == before


def test_a_manifest_without_the_section_is_refused() -> None:
    with pytest.raises(SystemExit, match="usual"):
        with_usual('name = "expression"\n', {"anger": 0.02})
