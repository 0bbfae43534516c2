"""What runs here, as health and doctor tell it."""

from edge.config import VisionConfig
from edge.service.versions import About, verified_models


def test_the_model_that_follows_is_told_and_verified_where_it_is_used() -> None:
    used, unused = VisionConfig(), VisionConfig(tracking=False)
    follow = {one.name: one for one in verified_models(used)}["follow"]
    assert About.of(used).follow_model == f"follow {follow.version}"
    assert About.of(unused).follow_model is None
    assert "follow" not in {one.name for one in verified_models(unused)}
