"""The configuration's ``[breaks]``: when a break is due."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, field_validator

from edge.decision.kinds import registered
from edge.domain import Kind
from edge.section import Layer, Section

EU_AFTER_H = 4.5
EU_LENGTH_MIN = 45.0
"""Regulation (EC) No 561/2006, Article 7."""


class BreaksConfig(Section):
    """When a break is due: by the time driven, where something tells the speed, and by the alerts since the last."""

    layer: ClassVar[Layer] = Layer.TUNER

    preset: Literal["off", "eu"] = Field(
        default="off",
        description="'eu': 45 min after 4.5 h of driving, or 15 and later 30 (Regulation (EC) No 561/2006, Article 7).",
    )
    after_h: float | None = Field(
        default=None,
        ge=0.1,
        le=24,
        description="Driving time after which a break is due, hours; default: the preset's, without one none.",
    )
    length_min: float | None = Field(
        default=None, ge=1, le=600, description="Length of that break, minutes; default: the preset's, or 45."
    )
    rest_min: float = Field(
        default=15.0, ge=1, le=600, description="Length of a break after which earlier alerts count no more, minutes."
    )
    episodes: dict[Kind, int] = Field(
        default={"fatigue": 2, "anger": 3},
        description="Alerts of a kind since the last break with which another one is due; a kind not named: never.",
    )

    @field_validator("episodes")
    @classmethod
    def _of_something(cls, episodes: dict[Kind, int]) -> dict[Kind, int]:
        if unknown := [kind for kind in episodes if kind not in registered()]:
            raise ValueError(f"no such kind: {', '.join(unknown)}; known: {', '.join(registered())}")
        if few := [kind for kind, count in episodes.items() if not 1 <= count <= 100]:
            raise ValueError(f"{', '.join(few)}: 1 to 100 alerts")
        return episodes

    @property
    def driving_s(self) -> float | None:
        """Driving time after which a break is due, seconds; None: none is."""
        after_h = EU_AFTER_H if self.after_h is None and self.preset == "eu" else self.after_h
        return None if after_h is None else after_h * 3600

    @property
    def length_s(self) -> float:
        """Length of that break, seconds."""
        return 60 * (EU_LENGTH_MIN if self.length_min is None else self.length_min)

    @property
    def enabled(self) -> bool:
        """Whether anything makes a break due."""
        return self.driving_s is not None or bool(self.episodes)
