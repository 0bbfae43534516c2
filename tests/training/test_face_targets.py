"""What the face model is trained to say is what the board reads from it."""

import numpy as np
import pytest

from edge.vision.face import decode
from models.training.face_data import SIZE_UNIT_PX, Canvas, Picture, cell_centres, targets


def test_the_board_decodes_a_perfect_answer_to_the_labelled_face() -> None:
    shape = np.array([[-0.18, -0.2], [0.18, -0.2], [0.0, 0.02], [-0.13, 0.2], [0.13, 0.2]], np.float32)
    points = shape * 60.0 + np.array([150.0, 110.0], np.float32)
    box = np.array([[124.0, 75.0, 52.0, 69.0]], np.float32)
    noise = np.random.default_rng(0).integers(0, 256, (240, 320), dtype=np.uint8)
    picture = Picture(noise, box, points[None], np.array([True]), "cabin", "1")
    canvas = Canvas.blank(np.random.default_rng(0))
    canvas.paste(picture, np.array([[0.5, 0.0, 0.0], [0.0, 0.5, 0.0]]), replicate=True)
    wanted = targets(canvas).transpose(1, 2, 0)
    sure = wanted[..., 0] >= 0.5
    said = wanted[sure]
    (face,) = decode(said[:, 0], said[:, 4:8], said[:, 8:18], cell_centres()[sure], SIZE_UNIT_PX)
    assert face.points == pytest.approx(points / 2, abs=0.01)
    assert face.box == pytest.approx(box[0] / 2, abs=0.05)
