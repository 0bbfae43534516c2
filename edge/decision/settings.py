"""Settings of what all judges share: smoothing, the driver's resting face, the states."""

from __future__ import annotations

from typing import ClassVar, Self

from pydantic import Field, model_validator

from edge.section import Layer, Section, Share


class SmoothingConfig(Section):
    """How predictions are smoothed over time, for what is published and for upholding an alert.

    On simulated drives (calibration/README.md) 0.4 and 0.7 s are alike. ``max_step_s`` lets a camera at 3 frames a
    second count fully.
    """

    layer: ClassVar = Layer.EXPERT

    time_constant_s: float = Field(
        default=0.7, gt=0, le=30, description="Time constant of the exponential smoothing, seconds."
    )
    max_step_s: float = Field(
        default=0.4,
        gt=0,
        le=5,
        description="Longest time that one frame can speak for, seconds: a frame after a gap counts no more.",
    )


class BaselineConfig(Section):
    """The driver's resting face, learned while driving, against which every reading is held.

    On simulated drives (calibration/README.md) this is what tells an episode from a calm face that the model misreads.

    Place and size tell one driver's face from the next one's in hardly any case: over 57 drivers' stills and 3 clips
    one driver's face is up to 0.6 of its size away from its usual place, and two drivers' are 0.4 apart (median). They
    tell the driver from a passenger, at most; ``moved_by`` lies above what one driver does.
    """

    layer: ClassVar = Layer.EXPERT
    renamed: ClassVar = {
        key: f"belongs to the model now: the expression model's manifest has it, {place}"
        for key, place in {
            "ordinary_anger": "[usual] anger",
            "ordinary_distress": "[usual] distress",
            "ordinary": "[rest] ordinary",
            "max_rest": "[rest] most",
        }.items()
    }

    enabled: bool = Field(default=True, description="Learn the driver's resting face.")
    floor_s: float = Field(
        default=25.0, ge=1, le=3600, description="Confident sight that is needed before it is used, seconds."
    )
    memory_s: float = Field(
        default=300.0, ge=1, le=86400, description="Sight that what was learned reaches back over, seconds."
    )
    learn_after_s: float = Field(
        default=4.0,
        ge=0,
        le=60,
        description="A frame is learned from this long after it was seen, and not at all if an alert came meanwhile.",
    )
    assumed_s: float = Field(
        default=20.0,
        ge=1,
        le=3600,
        description="How long an ordinary face counts as watched beside the driver's own, seconds.",
    )
    unknown_times: float = Field(
        default=5.0,
        ge=1,
        le=100,
        description="The same is taken to be so many times as usual until 'floor_s' of the driver were seen.",
    )
    max_times: float = Field(
        default=20.0,
        ge=1,
        le=1000,
        description="How many times as usual as in an ordinary face a reading can be taken to be in the driver's.",
    )
    min_weight: Share = Field(default=0.5, description="Frames of less weight are not learned from.")
    new_driver_after_s: float = Field(
        default=20.0, ge=1, le=3600, description="No face for this long: learning starts anew, seconds."
    )
    moved_after_s: float = Field(
        default=2.0,
        ge=0,
        le=3600,
        description="No face for this long and then one that is elsewhere: learning starts anew, seconds.",
    )
    moved_by: float = Field(
        default=0.8,
        gt=0,
        le=10,
        description="What counts as elsewhere: face sizes to the last place, or this much larger or smaller.",
    )
    changed_by: float = Field(
        default=0.7,
        gt=0,
        le=10,
        description="Mean of the last floor_s this far from what was learned, in log-odds: only the last are kept.",
    )
    max_age_hours: float = Field(
        default=8.0, ge=0, le=168, description="Older stored numbers are not used after a restart, hours; 0: none are."
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.floor_s > self.memory_s:
            raise ValueError("floor_s must not be above memory_s")
        return self


class StatesConfig(Section):
    """How long something must last before the state says so, and how long until it no longer does."""

    layer: ClassVar = Layer.EXPERT

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
