"""The configuration's ``[vehicle]``: where it is known from whether the vehicle moves. Nothing of it is needed."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints, field_validator

from edge.section import Layer, Section

MAX_TOPIC_BYTES = 65_535

SpeedUnit = Literal["km/h", "m/s", "mph", "knots"]
"""What a speed may be told in."""

Topic = Annotated[str, StringConstraints(min_length=1)]
Pointer = Annotated[str, StringConstraints(pattern=r"^(/([^~/]|~[01])*)*$")]
"""A JSON pointer (RFC 6901); empty: the whole payload is the value."""


class MqttSourceConfig(Section):
    """Topics of the configured broker that tell speed or ignition. What it retains is of an earlier time: ignored."""

    layer: ClassVar = Layer.EXPERT

    speed_topic: Topic | None = Field(examples=["van/speed"], default=None, description="Topic that tells the speed.")
    speed_pointer: Pointer = Field(
        default="",
        examples=["/gps/speed"],
        description="Where in the JSON payload the speed stands (JSON pointer); empty: the payload is the number.",
    )
    speed_unit: SpeedUnit = Field(default="km/h", description="What the speed is told in.")
    ignition_topic: Topic | None = Field(
        examples=["van/ignition"], default=None, description="Topic that tells whether the ignition is on."
    )
    ignition_pointer: Pointer = Field(
        default="",
        examples=["/ignition"],
        description="Where in the JSON payload it stands: true, false, 1, 0, 'on' or 'off'; empty: in its place.",
    )

    @field_validator("speed_topic", "ignition_topic")
    @classmethod
    def _one_topic(cls, topic: str | None) -> str | None:
        if topic is not None and (set(topic) & set("+#\0") or len(topic.encode()) > MAX_TOPIC_BYTES):
            raise ValueError(f"one topic is needed: no '+', no '#', no NUL, at most {MAX_TOPIC_BYTES} bytes")
        return topic

    @property
    def configured(self) -> bool:
        """Whether there is anything to subscribe to."""
        return self.speed_topic is not None or self.ignition_topic is not None


class VehicleConfig(Section):
    """What is known of the vehicle. What is unknown or too old keeps no alert back."""

    layer: ClassVar = Layer.EXPERT

    speed_max_age_s: float = Field(
        default=3.0, ge=0.2, le=60, description="Age at which a speed is too old to be known, seconds."
    )
    ignition_max_age_s: float = Field(
        default=120.0, ge=1, le=86400, description="Age at which a word on the ignition is too old, seconds."
    )
    max_speed_kmh: float = Field(
        default=250.0, ge=30, le=1000, description="A speed above this cannot be true and is ignored, km/h."
    )
    standstill_kmh: float = Field(
        default=3.0, ge=0.5, le=20, description="Up to this speed the vehicle may be standing, km/h."
    )
    standstill_after_s: float = Field(
        default=2.0, ge=0, le=60, description="It stands once it was that slow for so long, seconds."
    )
    mqtt: MqttSourceConfig = Field(default_factory=MqttSourceConfig, description="Topics that tell speed or ignition.")
