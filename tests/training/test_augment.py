"""What the training does to a picture leaves a picture, and is the same for the same seed."""

import numpy as np
import pytest

from models.training import augment

CORRUPTIONS = [*augment.LIGHT, *augment.SENSOR, *augment.COVER, augment.cabin]


def picture(height: int, width: int) -> augment.Luma:
    x = np.linspace(30, 220, width)
    return np.tile(x, (height, 1)).astype(np.uint8)


@pytest.mark.parametrize("corruption", CORRUPTIONS, ids=lambda corruption: corruption.__name__)
@pytest.mark.parametrize("shape", [(48, 48), (128, 160), (480, 640)])
def test_shape_and_depth_stay(corruption: augment.Corruption, shape: tuple[int, int]) -> None:
    luma = picture(*shape)
    before = luma.copy()
    for seed in range(5):
        changed = corruption(np.random.default_rng(seed), luma, 1.0)
        assert changed.shape == shape
        assert changed.dtype == np.uint8
    assert (luma == before).all()


@pytest.mark.parametrize("corruption", CORRUPTIONS, ids=lambda corruption: corruption.__name__)
def test_the_same_seed_gives_the_same_picture(corruption: augment.Corruption) -> None:
    one, other = (corruption(np.random.default_rng(7), picture(48, 48), 0.8) for _ in range(2))
    assert (one == other).all()


@pytest.mark.parametrize("corruption", [*augment.LIGHT, *augment.SENSOR], ids=lambda corruption: corruption.__name__)
def test_more_strength_changes_more(corruption: augment.Corruption) -> None:
    rng = np.random.default_rng(1)
    luma = rng.integers(40, 200, (64, 64), dtype=np.uint8)

    def change(strength: float) -> float:
        pictures = [corruption(np.random.default_rng(seed), luma, strength).astype(float) for seed in range(40)]
        return float(np.mean([np.abs(changed - luma).mean() for changed in pictures]))

    assert change(0.3) < change(1.0)


def test_detail_makes_pictures_softer_or_crisper_and_leaves_their_light() -> None:
    luma = np.random.default_rng(1).integers(80, 170, (64, 64), dtype=np.uint8)
    changed = [augment.detail(np.random.default_rng(seed), luma).astype(float) for seed in range(40)]
    spread = np.array([picture.std() for picture in changed]) / luma.std()
    assert (spread < 0.9).mean() > 0.5
    assert (spread > 1.1).any()
    assert np.abs([picture.mean() - luma.mean() for picture in changed]).max() < 4


def test_glasses_are_drawn_at_the_eyes_and_nowhere_else() -> None:
    luma = np.full((100, 100), 128, np.uint8)
    drawn = augment.glasses(np.random.default_rng(0), luma, np.array([[35.0, 40.0], [65.0, 40.0]]))
    rows, columns = np.nonzero(drawn != luma)
    assert (rows > 20).all()
    assert (rows < 60).all()
    assert columns.min() < 35
    assert columns.max() > 65


def test_a_darker_skin_darkens_the_face_and_leaves_what_is_around_it() -> None:
    luma = np.full((128, 160), 150, np.uint8)
    points = np.array([[70, 55], [90, 55], [80, 65], [72, 75], [88, 75]], np.float32)
    for seed in range(5):
        dark = augment.dark_skin(np.random.default_rng(seed), luma, points, 50.0)
        assert dark[65, 80] < 140
        assert dark[65, 10] == 150
        assert dark[5, 80] == 150


def test_a_dim_night_lies_in_the_lower_half_of_the_grey_levels() -> None:
    luma = picture(128, 160)
    pictures = [augment.dim(np.random.default_rng(seed), luma) for seed in range(20)]
    assert max(float(np.percentile(dim, 99)) for dim in pictures) < 128
    assert all(dim.shape == luma.shape and dim.dtype == np.uint8 for dim in pictures)
    assert (augment.dim(np.random.default_rng(3), luma) == pictures[3]).all()
