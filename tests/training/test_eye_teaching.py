"""What larger eye networks teach a small one; needs PyTorch, which only the training's environment has."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed; make .venv-training/.training brings it")

from models.training.eye_loss import TaughtLoss  # noqa: E402 - after the check for PyTorch
from models.training.nets import EYE_SHAPES, EyeNet  # noqa: E402

OPEN, HIDDEN, UNTOLD = (0.8, 1.0, 1.0), (0.0, 1.0, 0.0), (0.0, 1.0, float("nan"))


def answers(openness: float, readable: float, shape: str = "teacher") -> EyeNet:
    """A network that says the same of every eye, as logits."""
    net = EyeNet(EYE_SHAPES[shape]).eval()
    torch.nn.init.zeros_(net.answer.weight)
    net.answer.bias.data = torch.tensor([openness, readable])
    return net


def taught(teacher: EyeNet, net: EyeNet, target: tuple[float, float, float]) -> float:
    """The loss of a batch of eyes with this target."""
    torch.manual_seed(0)
    batch = (torch.rand(12, 1, 32, 32), torch.rand(12, 1, 48, 48), torch.tensor([target] * 12))
    return float(TaughtLoss([teacher])(net, batch).detach())


@pytest.mark.parametrize("target", [OPEN, UNTOLD])
def test_agreeing_with_the_teacher_costs_less_than_contradicting_it(target: tuple[float, float, float]) -> None:
    says_open = answers(3.0, 4.0)
    agrees, contradicts = (taught(says_open, answers(said, 4.0, "board"), target) for said in (3.0, -3.0))
    assert np.isfinite([agrees, contradicts]).all()
    assert agrees < contradicts - 1.0


def test_a_label_still_counts_against_the_teacher() -> None:
    says_closed = answers(-4.0, 4.0)
    told, untold = (taught(says_closed, answers(0.5, 4.0, "board"), target) for target in (OPEN, UNTOLD))
    assert told < untold, "the label pulls the wanted openness up"


def test_what_is_hidden_asks_for_no_openness_where_it_is_not_mixed() -> None:
    teacher = answers(-4.0, -30.0)
    low, high = (taught(teacher, answers(said, -30.0, "board"), HIDDEN) for said in (-3.0, 3.0))
    assert low == pytest.approx(high, abs=1e-3)
