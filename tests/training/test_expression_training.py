"""What an expression network is trained and scaled by; needs PyTorch, which only the training's environment has."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed; make .venv-training/.training brings it")

from models.training.expression_loss import Leaning, face_losses, mixed_loss  # noqa: E402 - after the check for PyTorch
from models.training.expression_scale import Chosen, fit_scale  # noqa: E402
from models.training.nets import EXPRESSION_SHAPES, ExpressionNet, grow  # noqa: E402


def test_a_set_costs_nothing_where_all_probability_is_allowed() -> None:
    log_p = torch.log(torch.tensor([[0.5, 0.5, 1e-9], [0.5, 0.5, 1e-9]]))
    target = torch.tensor([[1.0, 1.0, 0.0], [0.5, 0.5, 0.0]])
    losses = face_losses(log_p, target, torch.tensor([True, False]))
    assert losses.tolist() == pytest.approx([0.0, 0.6931], abs=1e-4)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_mixing_leaves_the_batch_as_it_was_and_gives_a_loss(share: float) -> None:
    torch.manual_seed(0)
    net = Leaning(ExpressionNet(EXPRESSION_SHAPES["coarse"], 48), 2)
    luma = torch.rand(8, 1, 48, 48)
    target = torch.eye(9)[torch.arange(8)]
    before = luma.clone()
    source = torch.arange(8) % 2
    for _ in range(6):
        loss = mixed_loss(net, (luma, target, torch.zeros(8, dtype=torch.bool), torch.ones(8), source), share)
        assert torch.isfinite(loss)
    assert bool((luma == before).all())


def test_how_a_source_leans_is_learned_apart_from_the_network() -> None:
    """Two sources that call the same faces by two names: the network is undecided, each source leans to its own."""
    torch.manual_seed(0)
    net = Leaning(ExpressionNet(EXPRESSION_SHAPES["coarse"], 48, dropout=0.0), 2)
    luma = torch.rand(1, 1, 48, 48).expand(16, -1, -1, -1)
    source = torch.arange(16) % 2
    target = torch.eye(9)[source]
    batch = luma, target, torch.zeros(16, dtype=torch.bool), torch.ones(16), source
    optimiser = torch.optim.SGD(net.parameters(), 0.5)
    for _ in range(150):
        optimiser.zero_grad()
        mixed_loss(net, batch, 0.0).backward()
        optimiser.step()
    with torch.no_grad():
        (told,) = net(luma, source)
        plain = net(luma)[0]
    assert bool((told.argmax(1) == source).all())
    assert float(plain[0] - plain[1]) == pytest.approx(0, abs=0.05)


def test_mixed_faces_keep_each_its_own_source_s_lean() -> None:
    torch.manual_seed(0)
    net = Leaning(ExpressionNet(EXPRESSION_SHAPES["coarse"], 48), 2).eval()
    net.leans.data[1, 3] = 50.0  # the second source calls everything by the fourth name
    luma = torch.rand(8, 1, 48, 48)
    source = torch.arange(8) % 2
    target = torch.eye(9)[torch.where(source == 1, 3, 0)]
    losses = [
        float(mixed_loss(net, (luma, target, torch.zeros(8, dtype=torch.bool), torch.ones(8), source), 1.0).detach())
        for _ in range(20)
    ]
    assert max(losses) < 10  # a lean of another source would cost some fifty


def test_a_grown_network_says_what_the_small_one_said() -> None:
    torch.manual_seed(1)
    small, broad = (ExpressionNet(EXPRESSION_SHAPES[name], 48).eval() for name in ("fine", "broad"))
    for norm in (m for m in small.modules() if isinstance(m, torch.nn.BatchNorm2d)):
        norm.running_mean.uniform_(-0.2, 0.2)
        norm.running_var.uniform_(0.5, 1.5)
    luma = torch.rand(4, 1, 48, 48)
    with torch.no_grad():
        assert not torch.allclose(broad(luma), small(luma), atol=1e-3)
        grow(small, broad)
        assert torch.allclose(broad(luma), small(luma), atol=1e-4)


def test_a_network_does_not_grow_into_fewer_channels_or_other_layers() -> None:
    nets = {name: ExpressionNet(shape, 48) for name, shape in EXPRESSION_SHAPES.items()}
    with pytest.raises(ValueError, match="does not go into"):
        grow(nets["broad"], nets["fine"])
    with pytest.raises(ValueError, match="other layers"):
        grow(nets["coarse"], nets["fine"])


def test_the_scale_takes_back_what_was_done_to_the_logits() -> None:
    rng = np.random.default_rng(0)
    true = rng.normal(0, 2, (6000, 9)).astype(np.float32)
    powers = np.exp(true[:, :8])
    chances = powers / powers.sum(1, keepdims=True)
    label = (chances.cumsum(1) > rng.random((6000, 1))).argmax(1)
    moved = 2.0 * true
    moved[:, 4] += 3.0
    scale = fit_scale([Chosen(moved, label)])
    assert scale.temperature == pytest.approx(2.0, rel=0.08)
    assert scale.offsets[4] - np.delete(scale.offsets[:8], 4).mean() == pytest.approx(-1.5, abs=0.15)
    assert scale.offsets[8] == 0


def test_a_class_that_a_source_does_not_know_is_not_judged_there() -> None:
    rng = np.random.default_rng(1)
    logits = rng.normal(0, 1, (3000, 9)).astype(np.float32)
    label = logits[:, :7].argmax(1)
    logits[:, 7] += 50.0
    scale = fit_scale([Chosen(logits, label)])
    assert np.isfinite(scale.offsets).all()
    assert np.abs(scale.offsets[:7]).max() < 1
