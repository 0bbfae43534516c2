"""Pictures become smaller by averages of whole squares of pixels."""

import numpy as np
import pytest

from edge.vision.shrink import halve

NOISE = np.random.default_rng(0).integers(0, 256, (48, 64), dtype=np.uint8)


@pytest.mark.parametrize(("shrink", "factor"), [(0.5, 1), (1.99, 1), (2.0, 2), (3.9, 2), (4.0, 4), (9.0, 8)])
def test_a_picture_is_averaged_over_the_largest_squares_that_fit_the_factor(shrink: float, factor: int) -> None:
    small, taken = halve(NOISE, shrink)
    assert taken == factor
    means = NOISE.reshape(48 // factor, factor, 64 // factor, factor).mean((1, 3))
    assert np.abs(small - means).max() <= 0.5 * np.log2(factor) + 1e-6  # each halving rounds once


def test_what_fills_no_square_is_left_out() -> None:
    small, factor = halve(NOISE[:47, :63], 4.0)
    assert (small.shape, factor) == ((11, 15), 4)
    assert (small == halve(NOISE[:44, :60], 4.0)[0]).all()


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (3, 900)])
def test_a_narrow_picture_keeps_at_least_one_pixel(shape: tuple[int, int]) -> None:
    small, factor = halve(np.full(shape, 90, np.uint8), 16.0)
    assert min(small.shape) == 1
    assert small.shape == (shape[0] // factor, shape[1] // factor)
    assert (small == 90).all()
