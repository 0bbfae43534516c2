"""Settings of what all judges share: the driver's resting face, the states."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field

from edge.section import Layer, Section


class BaselineConfig(Section):
    """The driver's resting face, learned while driving, against which every reading is held.

    On simulated drives (calibration/README.md) this is what tells an episode from a calm face that the model misreads.
    """

    layer: ClassVar[Layer] = Layer.EXPERT
    renamed: ClassVar[Mapping[str, str]] = {
        key: f"belongs to the model now: the expression model's manifest has it, {place}"
        for key, place in {
            "ordinary_anger": "[usual] anger",
            "ordinary_distress": "[usual] distress",
            "ordinary": "[rest] ordinary",
            "max_rest": "[rest] most",
        }.items()
    } | dict.fromkeys(
        (
            *("floor_s", "memory_s", "learn_after_s", "assumed_s", "max_times", "new_driver_after_s"),
            *("unknown_times", "min_weight", "moved_after_s", "moved_by", "changed_by"),
        ),
        "is no key any more: how a face is learned is fixed (docs/decision.md)",
    )

    enabled: bool = Field(default=True, description="Learn the driver's resting face.")
    max_age_hours: float = Field(
        default=8.0, ge=0, le=168, description="Older stored numbers are not used after a restart, hours; 0: none are."
    )


class StatesConfig(Section):
    """How long something must last before the state says so, and how long until it no longer does."""

    layer: ClassVar[Layer] = Layer.EXPERT

    blind_after_s: float = Field(
        default=1.0, ge=0, le=60, description="No usable picture for this long is 'blind', seconds."
    )
    absent_after_s: float = Field(default=2.0, ge=0, le=60, description="No face for this long is 'absent', seconds.")
    uncertain_after_s: float = Field(
        default=1.5, ge=0, le=60, description="A face that cannot be read for this long is 'uncertain', seconds."
    )
    calm_after_s: float = Field(
        default=1.0, ge=0, le=60, description="Good readings for this long end an unknown state, seconds."
    )
    lost_after_s: float = Field(
        default=15.0,
        ge=1,
        le=600,
        description="An open alert ends when the driver could not be read for this long, seconds.",
    )
    min_confidence: float = Field(
        default=0.3, gt=0, le=1, description="Confidence of the signals below which the state is 'uncertain'."
    )
