"""Whatever is decoded becomes upright 8-bit luma."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edge.camera.luma import MAX_SIDE_PX, to_luma, upright
from edge.errors import CameraError


def test_grey_is_passed_on_without_a_copy() -> None:
    grey = np.zeros((48, 64), np.uint8)
    assert np.shares_memory(to_luma(grey), grey)


def test_yuyv_gives_its_luma_without_a_copy_or_conversion() -> None:
    yuyv = np.dstack([np.full((4, 6), 77, np.uint8), np.full((4, 6), 200, np.uint8)])
    luma = to_luma(yuyv)
    assert np.shares_memory(luma, yuyv)
    assert (luma == 77).all()


@pytest.mark.parametrize(
    ("picture", "level"),
    [
        (np.full((4, 6, 1), 90, np.uint8), 90),
        (np.full((4, 6, 3), 90, np.uint8), 90),
        (np.full((4, 6, 4), 90, np.uint8), 90),
        (np.full((4, 6), 90 << 8, np.uint16), 90),
        (np.full((4, 6, 3), 90 << 8, np.uint16), 90),
        (np.full((1, 1, 3), 90, np.uint8), 90),
    ],
    ids=["one channel", "colour", "alpha", "16 bits", "16-bit colour", "1x1"],
)
def test_every_kind_of_picture_becomes_8_bit_luma(picture: NDArray[Any], level: int) -> None:
    luma = to_luma(picture)
    assert luma.dtype == np.uint8
    assert luma.shape == picture.shape[:2]
    assert (luma == level).all()


def test_colour_is_weighted_as_bgr() -> None:
    green, blue = np.zeros((2, 2, 3), np.uint8), np.zeros((2, 2, 3), np.uint8)
    green[..., 1] = blue[..., 0] = 255
    assert to_luma(green)[0, 0] > 2 * to_luma(blue)[0, 0]


@pytest.mark.parametrize(
    "picture", [np.zeros((0, 4), np.uint8), np.zeros((4, 4), np.float32), np.zeros((4, 4, 5), np.uint8), np.zeros(4)]
)
def test_what_is_no_picture_is_refused_by_shape_and_type(picture: NDArray[Any]) -> None:
    with pytest.raises(CameraError, match="expected"):
        to_luma(picture)


@pytest.mark.parametrize(("degrees", "corner"), [(0, (0, 0)), (90, (0, -1)), (180, (-1, -1)), (270, (-1, 0))])
def test_rotation_is_clockwise(degrees: int, corner: tuple[int, int]) -> None:
    luma = np.zeros((4, 6), np.uint8)
    luma[0, 0] = 255
    turned = upright(luma, degrees)
    assert turned.shape == ((4, 6) if degrees in (0, 180) else (6, 4))
    assert turned[corner] == 255


def test_a_huge_picture_is_scaled_down_and_keeps_its_shape() -> None:
    assert upright(np.zeros((6000, 8000), np.uint8), 0).shape == (1536, MAX_SIDE_PX)


def test_an_ordinary_picture_is_not_touched() -> None:
    luma = np.zeros((720, 1280), np.uint8)
    assert upright(luma, 0) is luma
