"""What the bundled clip shows and when, as the file beside it says."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources

from edge.compat import tomllib
from edge.domain import Kind

CHANGE_S = 1.2
"""How long one look takes to become the next."""


@dataclass(frozen=True)
class Look:
    """From ``start_s`` to ``end_s`` of the clip the driver is drawn with this look; ``alert`` is to come of it."""

    name: str
    start_s: float
    end_s: float
    alert: Kind | None = None

    @property
    def is_rest(self) -> bool:
        """Whether nothing is shown."""
        return self.name == "neutral"

    @property
    def is_quiet(self) -> bool:
        """Whether something is shown that no alert is to come of."""
        return self.alert is None and not self.is_rest

    @property
    def gone_s(self) -> float:
        """When nothing is left of it, in seconds of the clip."""
        return self.end_s + CHANGE_S

    def lasts_at(self, t: float) -> bool:
        """Whether ``t`` seconds into the clip the look is there, whole or coming or going."""
        return self.start_s <= t < self.gone_s

    def is_whole_at(self, t: float) -> bool:
        """Whether it has come by then and has not begun to go."""
        return self.start_s + CHANGE_S <= t < self.end_s


def read_story(text: str | None = None) -> tuple[Look, ...]:
    """The looks in their order; ``text`` stands in for the file beside the bundled clip."""
    if text is None:
        text = (resources.files("edge.tools.demo") / "clip.toml").read_text(encoding="utf-8")
    story = tomllib.loads(text)
    cues = story["looks"]
    ends = [*(cue["start_s"] for cue in cues[1:]), story["length_s"]]
    return tuple(
        Look(cue["look"], cue["start_s"], end_s, cue.get("alert")) for cue, end_s in zip(cues, ends, strict=True)
    )
