"""How the head for cues is trained and published; needs PyTorch, which only the training's environment has."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed; make .venv-training/.training brings it")

from models.training import cue_fit  # noqa: E402 - after the check for PyTorch
from models.training.expression_data import SIDE, Faces  # noqa: E402
from models.training.nets import EXPRESSION_SHAPES, CueHead, ExpressionNet  # noqa: E402
from models.training.sources import CHOOSE, TRAIN, Source  # noqa: E402
from models.training.synthetic_faces import LOOKS, draw  # noqa: E402


@pytest.mark.parametrize("shape", sorted(EXPRESSION_SHAPES))
def test_a_head_looks_at_the_last_two_stages_of_any_shape(shape: str) -> None:
    net = ExpressionNet(EXPRESSION_SHAPES[shape], 48).eval()
    luma = torch.rand(2, 1, 48, 48)
    detail, deep = net.features(luma)
    assert detail.shape[1:] == (net.detail_channels, 12, 12)
    assert deep.shape[1:] == (net.deep_channels, 6, 6)
    assert CueHead(net).eval()(detail, deep).shape == (2, 7)
    assert torch.equal(net.classify(deep.mean((2, 3))), net(luma))


def test_what_is_not_known_of_a_face_costs_nothing() -> None:
    logits = torch.tensor([[3.0, -3.0], [3.0, -3.0]])
    weight = torch.tensor([1.0, 4.0])
    unknown = torch.full((2, 2), torch.nan)
    assert float(cue_fit.head_loss(logits, unknown, weight)) == 0
    one = torch.tensor([[1.0, torch.nan], [torch.nan, torch.nan]])
    assert float(cue_fit.head_loss(logits, one, weight)) == pytest.approx(0.0486 / 2, abs=1e-4)


def test_a_face_gets_another_s_mouth_as_bright_as_its_own() -> None:
    upper, lower = np.full((64, 64), 120, np.uint8), np.full((64, 64), 60, np.uint8)
    lower[48:] = 30
    mixed = cue_fit.with_lower_half(np.random.default_rng(0), upper, lower)
    assert mixed[:30].mean() == pytest.approx(120, abs=1)
    assert mixed[40:46].mean() == pytest.approx(120, abs=5)
    assert mixed[50:].mean() == pytest.approx(60, abs=5)


@pytest.fixture
def source(monkeypatch: pytest.MonkeyPatch) -> Source:
    """Drawn faces under the name of a source, measured: those that gape have lids down and lips apart."""
    looks = [*LOOKS] * 6
    crops = np.stack([draw(LOOKS[name]) for name in looks])
    gape = np.array([name == "gape" for name in looks])
    measured = np.where(gape[:, None], (0.05, 0.5, 0.17, 0.03), (0.3, 0.01, 0.17, 0.03)).astype(np.float32)
    target = np.eye(9, dtype=np.float32)[np.zeros(len(looks), int)]
    faces = Faces(crops, target, np.zeros(len(looks), bool), np.ones(len(looks), np.float32))
    use = np.full(len(looks), TRAIN, np.uint8)
    use[:8] = CHOOSE
    kept = cue_fit.cue_measures.Measured({"affect": measured}, "")
    monkeypatch.setattr(cue_fit.cue_measures, "read", lambda *_: kept)
    monkeypatch.setattr(cue_fit, "ANSWERS", cue_fit.ANSWERS.with_name("none"))
    monkeypatch.setattr(cue_fit, "read_hands", lambda: {"affect": {0: True, 9: True, 10: False}})
    return Source("affect", faces, np.zeros(len(looks), int), use, np.ones(len(looks), np.float32), 1.0, 0.0)


def test_views_are_the_same_for_the_same_seed_and_say_nothing_of_lips_behind_a_hand(source: Source) -> None:
    views, again = (cue_fit.make_views([source], 200, 1) for _ in range(2))
    assert (views.crops == again.crops).all()
    assert views.crops.shape == (200, SIDE, SIDE)
    hand = views.target[:, cue_fit.HAND] > 0.5
    assert 10 < hand.sum() < 100
    assert np.isnan(views.target[hand][:, [cue_fit.CLOSED, cue_fit.OPEN]]).all()
    assert not np.isnan(views.target[~hand][:, cue_fit.BROW :]).any()
    swapped = np.isnan(views.target[:, 0])
    assert 15 < swapped.sum() < 80


def test_a_head_learns_what_it_is_shown(source: Source) -> None:
    torch.manual_seed(0)
    net = ExpressionNet(EXPRESSION_SHAPES["coarse"], 48).eval()
    before = {name: values.clone() for name, values in net.state_dict().items()}
    views = cue_fit.make_views([source], 512, 1)
    head = cue_fit.fit_head(net, views, epochs=12, seed=1)
    assert all(torch.equal(values, before[name]) for name, values in net.state_dict().items())
    crops = np.stack([draw(LOOKS["gape"]), draw(LOOKS["rest"])])
    gape, rest = cue_fit.predict(net, head, crops)
    assert gape[cue_fit.OPEN] > rest[cue_fit.OPEN]
    assert gape[cue_fit.CLOSED] < rest[cue_fit.CLOSED]
    assert gape[:2] == pytest.approx(0, abs=0.5)


def test_faces_that_nobody_measured_are_refused(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cue_fit.cue_measures, "read", lambda *_: cue_fit.cue_measures.Measured({}, ""))
    with pytest.raises(SystemExit, match="cues need one that is"):
        cue_fit.make_views([source], 5, 1)
