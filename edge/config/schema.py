"""The one configuration model: every key with its unit, range, default and description.

Every field has a default that works, so an empty file is a valid configuration. Passwords need not be part of it: it
names the files that hold one, or an address with one.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from edge.compat import Self
from edge.config.breaks import BreaksConfig
from edge.config.cab import CabConfig
from edge.config.dashboard import DashboardConfig
from edge.config.hosts import check_host
from edge.config.metrics import MetricsConfig
from edge.config.vehicle import VehicleConfig
from edge.config.vss import VssConfig
from edge.decision.alerts import AlertsConfig
from edge.decision.holding import LONGEST_S
from edge.decision.settings import BaselineConfig, StatesConfig
from edge.section import BASIC, Layer, Section, Share

TOPIC_PART = r"^[A-Za-z0-9_.-]{1,64}$"
MAX_MQTT_TEXT_BYTES = 65_535
"""MQTT tells the length of a text in two bytes."""


def default_device_id() -> str:
    """The host's name, reduced to what an MQTT topic part may hold."""
    return re.sub(r"[^A-Za-z0-9_.-]", "-", socket.gethostname())[:64] or "evenkeel"


class DeviceConfig(Section):
    """Which device this is."""

    layer: ClassVar[Layer] = Layer.BASIC

    id: str = Field(
        examples=["van-7"],
        default_factory=default_device_id,
        pattern=TOPIC_PART,
        description="Name of this device in every MQTT topic: letters, digits, '_', '.', '-'. Default: host name.",
    )


class CameraConfig(Section):
    """Where frames come from."""

    layer: ClassVar[Layer] = Layer.EXPERT

    source: str = Field(
        json_schema_extra=BASIC,
        default="picamera2",
        min_length=1,
        repr=False,
        description=(
            "'picamera2', 'v4l2:/dev/video0', 'gst:PIPELINE', 'rtsp://…', a video file (played once in real time), "
            "or a folder of pictures."
        ),
    )
    source_file: Path | None = Field(
        examples=["/etc/evenkeel/camera_source"],
        json_schema_extra=BASIC,
        default=None,
        description=(
            "File with the source, for an address that holds a password; default: $CREDENTIALS_DIRECTORY/camera_source "
            "where systemd sets it and 'source' is not set."
        ),
    )
    width_px: int = Field(default=640, ge=64, le=4096, description="Requested picture width, pixels.")
    height_px: int = Field(default=480, ge=64, le=4096, description="Requested picture height, pixels.")
    fps: float = Field(
        json_schema_extra=BASIC,
        default=15.0,
        ge=1,
        le=120,
        description="Frame rate asked of the camera, and the most that is processed, frames a second.",
    )
    empty_fps: float = Field(
        default=5.0, ge=1, le=120, description="The most that is processed while the seat is empty, frames a second."
    )
    stream: Literal["main", "lores"] = Field(default="main", description="picamera2 stream to take the luma from.")
    rotate_deg: Literal[0, 90, 180, 270] = Field(
        json_schema_extra=BASIC, default=0, description="Clockwise rotation that makes the picture upright, degrees."
    )
    seat: tuple[Share, Share, Share, Share] = Field(
        json_schema_extra=BASIC,
        default=(0.0, 0.0, 1.0, 1.0),
        description="Region of the driver's face: left, top, right, bottom, as shares of the picture.",
    )
    timeout_s: float = Field(default=2.0, gt=0, le=60, description="Maximum wait for a frame, seconds.")
    reopen_min_s: float = Field(
        default=1.0, gt=0, le=60, description="Initial delay before reopening a lost camera, seconds."
    )
    reopen_max_s: float = Field(default=30.0, gt=0, le=3600, description="Maximum such delay, seconds.")
    frozen_s: float = Field(
        default=3.0,
        gt=0,
        le=60,
        description="Time after which an unchanged picture counts as frozen, seconds.",
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.source_file is not None and self.source != type(self).model_fields["source"].default:
            raise ValueError("set source or source_file, not both")
        left, top, right, bottom = self.seat
        if left >= right or top >= bottom:
            raise ValueError("seat must be left < right and top < bottom")
        if self.reopen_min_s > self.reopen_max_s:
            raise ValueError("reopen_min_s must not be above reopen_max_s")
        return self


class VisionConfig(Section):
    """Models and how they are run."""

    layer: ClassVar[Layer] = Layer.EXPERT
    renamed: ClassVar[Mapping[str, str]] = {
        "expression_every": "became expression_hold_s: seconds instead of frames, and only while the face is calm and "
        "still; leave it out, or say 0 where it was 1"
    }

    runtime: Literal["auto", "litert", "tflite"] = Field(
        default="auto",
        description="TFLite runtime: 'litert' (ai-edge-litert), 'tflite' (tflite-runtime), or 'auto' (either).",
    )
    threads: int = Field(default=1, ge=1, le=16, description="Threads per model.")
    face_model: Path | None = Field(
        examples=["/etc/evenkeel/face.toml"],
        default=None,
        description="Face model manifest (.toml); default: the bundled one.",
    )
    follow_model: Path | None = Field(
        examples=["/etc/evenkeel/follow.toml"],
        default=None,
        description="Manifest (.toml) of the model that follows a face; default: the bundled one.",
    )
    tracking: bool = Field(
        default=True,
        description="Follow the driver by a small model, and by the face model every second and where that is unsure; "
        "false: by the face model in every frame.",
    )
    expression_model: Path | None = Field(
        examples=["/etc/evenkeel/expression.toml"],
        default=None,
        description="Expression model manifest (.toml); default: the bundled one.",
    )
    eye_model: Path | None = Field(
        examples=["/etc/evenkeel/eyes.toml"],
        default=None,
        description="Eye model manifest (.toml); default: the bundled one.",
    )
    min_face_score: Share | None = Field(
        default=None, description="Minimum detector score of a face; default: the face model's own."
    )
    expression_hold_s: float = Field(
        default=LONGEST_S,
        ge=0,
        le=LONGEST_S,
        description="Longest time that a reading of a calm, still face's expression stands for the frames after it, "
        "seconds; 0: each frame is read.",
    )


class QualityConfig(Section):
    """When a face is readable. Between 'poor' and 'good' a frame's weight rises from 0 to 1.

    The defaults were set on 1,185 frames of 57 drivers seen from mirror and dash, hard side light included (YawDD): of
    the calm ones 95 % weigh above 0.9 and 0.3 % below 0.3, while the same frames blurred to a detail of 4 % of the face
    weigh 0.29 and darkened to 15 % of their light 0.28 (medians). A mirror camera sees a driver who looks ahead at 31°
    of yaw (median; 95 % below 51°), so turns count only from there.
    """

    layer: ClassVar[Layer] = Layer.EXPERT

    poor_brightness: Share = Field(
        default=0.04, description="Mean face luma at which a frame's weight is 0, share of full scale."
    )
    good_brightness: Share = Field(
        default=0.12, description="Mean face luma above which brightness no longer matters, share of full scale."
    )
    max_brightness: Share = Field(
        default=0.97, description="Mean face luma above which the face is overexposed, share of full scale."
    )
    poor_size_px: float = Field(
        default=20.0, ge=1, description="Face size (√(w·h)) at which a frame's weight is 0, pixels."
    )
    good_size_px: float = Field(default=44.0, ge=1, description="Face size above which size no longer matters, pixels.")
    poor_sharpness: Share = Field(default=0.05, description="Sharpness at which a frame's weight is 0.")
    good_sharpness: Share = Field(default=0.10, description="Sharpness above which it no longer matters.")
    good_turn_deg: float = Field(
        default=50.0, ge=0, le=90, description="Head turn (yaw or pitch) up to which pose does not matter, degrees."
    )
    poor_turn_deg: float = Field(
        default=75.0, ge=0, le=90, description="Head turn at which a frame's weight is 0, degrees."
    )
    good_score: Annotated[float, Field(gt=0, le=1)] = Field(
        default=0.7,
        description="Detector score above which it no longer matters; towards 0 a frame's weight falls to 0.",
    )
    min_weight: Share = Field(default=0.05, description="Minimum weight of a face whose expression is read.")
    dark_picture: Share = Field(
        default=0.03, description="Mean luma of the picture below which it is 'dark', share of full scale."
    )
    bright_picture: Share = Field(
        default=0.96, description="Mean luma of the picture above which it is 'overexposed', share of full scale."
    )
    flat_picture: Share = Field(
        default=0.015,
        description="Standard deviation of the picture's luma below which it is 'covered', share of full scale.",
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        for low, high in (
            ("poor_brightness", "good_brightness"),
            ("poor_size_px", "good_size_px"),
            ("poor_sharpness", "good_sharpness"),
            ("good_turn_deg", "poor_turn_deg"),
            ("dark_picture", "bright_picture"),
        ):
            if getattr(self, low) >= getattr(self, high):
                raise ValueError(f"{low} must be below {high}")
        return self


class TlsConfig(Section):
    """Encryption of the MQTT connection."""

    layer: ClassVar[Layer] = Layer.BASIC

    enabled: bool = Field(default=False, description="Use TLS 1.2 or newer.")
    ca_file: Path | None = Field(
        examples=["/etc/evenkeel/ca.pem"], default=None, description="CA certificates (PEM); default: the system's."
    )
    cert_file: Path | None = Field(
        examples=["/etc/evenkeel/client.pem"], default=None, description="Client certificate (PEM)."
    )
    key_file: Path | None = Field(examples=["/etc/evenkeel/client.key"], default=None, description="Client key (PEM).")

    @model_validator(mode="after")
    def _pair(self) -> Self:
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("cert_file and key_file belong together")
        return self


class MqttConfig(Section):
    """The broker and how to reach it."""

    layer: ClassVar[Layer] = Layer.EXPERT

    host: str = Field(
        json_schema_extra=BASIC, default="localhost", min_length=1, description="Broker's host name or address."
    )
    port: int = Field(
        json_schema_extra=BASIC, default=1883, ge=1, le=65535, description="Broker's port (usually 8883 with TLS)."
    )
    prefix: str = Field(
        json_schema_extra=BASIC, default="evenkeel", pattern=TOPIC_PART, description="First part of every topic."
    )
    protocol: Literal["auto", "5", "3.1.1"] = Field(
        default="auto", description="MQTT version; 'auto' tries 5 and falls back to 3.1.1."
    )
    username: str | None = Field(
        examples=["van-7"], json_schema_extra=BASIC, default=None, min_length=1, description="User name at the broker."
    )
    password_file: Path | None = Field(
        examples=["/etc/evenkeel/mqtt_password"],
        json_schema_extra=BASIC,
        default=None,
        description="File with the password; default: $CREDENTIALS_DIRECTORY/mqtt_password where systemd sets it.",
    )
    allow_plain_password: bool = Field(
        default=False, description="Allow a password to be sent without TLS to a broker on another host."
    )
    keepalive_s: int = Field(
        default=30,
        ge=5,
        le=3600,
        description="MQTT keep-alive interval, seconds.",
    )
    answer_s: float = Field(
        default=10.0,
        ge=0.2,
        le=300,
        description="Maximum wait for any answer from the broker before reconnecting, seconds.",
    )
    unheard_s: float = Field(
        default=600.0,
        ge=0,
        le=86400,
        description="How long an alert is resent while nobody is subscribed to it (MQTT 5), seconds.",
    )
    max_publish_hz: int | None = Field(
        examples=[80],
        default=None,
        ge=1,
        le=10_000,
        description="Messages to the broker within a second at most; unset: as many as it acknowledges.",
    )
    reconnect_min_s: float = Field(
        default=1.0, ge=0.1, le=60, description="Initial delay before reconnecting, seconds."
    )
    reconnect_max_s: float = Field(default=60.0, ge=0.1, le=3600, description="Maximum such delay, seconds.")
    tls: TlsConfig = Field(default_factory=TlsConfig, description="Encryption.")

    @field_validator("host")
    @classmethod
    def _plain_host(cls, host: str) -> str:
        return check_host(host)

    @field_validator("username")
    @classmethod
    def _fits_into_connect(cls, username: str | None) -> str | None:
        if username is not None and (len(username.encode()) > MAX_MQTT_TEXT_BYTES or "\0" in username):
            raise ValueError(f"at most {MAX_MQTT_TEXT_BYTES} bytes, and no NUL")
        return username

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.reconnect_min_s > self.reconnect_max_s:
            raise ValueError("reconnect_min_s must not be above reconnect_max_s")
        return self


class OutboxConfig(Section):
    """Where alerts wait until the broker has acknowledged them."""

    layer: ClassVar[Layer] = Layer.EXPERT

    path: Path | None = Field(
        examples=["/var/lib/evenkeel/outbox.db"],
        default=None,
        description=(
            "SQLite file; default: 'outbox.db' in $STATE_DIRECTORY where systemd sets it, else "
            "~/.local/state/evenkeel/outbox.db."
        ),
    )
    max_bytes: int = Field(
        default=5_000_000, ge=10_000, le=1_000_000_000, description="Maximum size of all waiting payloads, bytes."
    )
    max_age_days: float = Field(
        default=7.0, gt=0, le=365, description="Maximum age of a waiting alert, days of operation."
    )
    history_days: float = Field(
        default=7.0,
        gt=0,
        le=365,
        description="How long acknowledged alerts are kept for receivers that missed them, days of operation.",
    )
    history_max_bytes: int = Field(
        default=5_000_000, ge=0, le=1_000_000_000, description="Maximum size of all acknowledged payloads, bytes."
    )


class TraceConfig(Section):
    """The trace that ``run --trace`` writes: numbers of every frame, no picture; about 35 MB an hour at 15 frames/s."""

    layer: ClassVar[Layer] = Layer.TUNER

    max_mb: float = Field(
        default=1000.0, ge=1, le=1_000_000, description="Maximum size of all parts of the trace, megabytes."
    )
    max_age_days: float = Field(
        default=14.0,
        gt=0,
        le=365,
        description="Maximum age of a full part, days; counted only while the clock is synchronised.",
    )


class HeatConfig(Section):
    """How a hot board is protected: its frame rate falls step by step, and rises again once the board has cooled.

    The defaults stay below 80 °C, where a Raspberry Pi begins to slow itself down.
    """

    layer: ClassVar[Layer] = Layer.EXPERT

    hot_c: float = Field(
        default=75.0,
        ge=30,
        le=120,
        description="Temperature above which the frame rate falls (as while the board throttles), degrees Celsius.",
    )
    cool_c: float = Field(
        default=68.0, ge=20, le=110, description="Temperature below which it rises again, degrees Celsius."
    )
    step: float = Field(default=0.7, ge=0.3, le=0.95, description="Factor by which one step lowers the frame rate.")
    min_fps: float = Field(
        default=5.0,
        ge=1,
        le=120,
        description="Minimum frame rate; if it equals camera.fps, the rate never falls, frames a second.",
    )
    down_s: float = Field(default=20.0, ge=1, le=600, description="Minimum time between two steps down, seconds.")
    up_s: float = Field(
        default=60.0, ge=1, le=3600, description="Time the board must stay cool before each step up, seconds."
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.cool_c >= self.hot_c:
            raise ValueError("cool_c must be below hot_c")
        return self


class PublishConfig(Section):
    """How often messages are published."""

    layer: ClassVar[Layer] = Layer.EXPERT

    heartbeat_s: float = Field(
        default=10.0, ge=1, le=3600, description="Maximum interval between state messages, seconds."
    )
    health_s: float = Field(default=30.0, ge=1, le=3600, description="Interval between health messages, seconds.")
    episodes: bool = Field(
        default=False,
        description="Publish the numbers from a minute before each alert to a minute after it ('episode/…').",
    )
    max_pause_s: float = Field(
        default=1800.0, ge=1, le=3600, description="Longest pause that anybody may ask for, seconds."
    )
    max_pause_hourly_s: float = Field(
        default=1800.0,
        ge=0,
        le=3600,
        description="All pauses of any hour together, whoever asks for them, seconds; 0: none.",
    )
    max_command_age_s: float = Field(
        default=60.0, ge=1, le=86400, description="Maximum age of a command that carries 'issued', seconds."
    )


class DiscoveryConfig(Section):
    """Home Assistant."""

    layer: ClassVar[Layer] = Layer.EXPERT

    enabled: bool = Field(json_schema_extra=BASIC, default=True, description="Publish Home Assistant device discovery.")
    prefix: str = Field(default="homeassistant", pattern=TOPIC_PART, description="Home Assistant's discovery prefix.")
    language: Literal["de", "en", "es", "fr", "nl"] = Field(
        default="en", description="Language of the entities' names in Home Assistant."
    )


class Config(Section):
    """The whole configuration."""

    layer: ClassVar[Layer] = Layer.EXPERT
    renamed: ClassVar[Mapping[str, str]] = {
        "smoothing": "is no table any more: how readings are smoothed is fixed (docs/decision.md)"
    }

    device: DeviceConfig = Field(default_factory=DeviceConfig, description="Which device this is.")
    camera: CameraConfig = Field(default_factory=CameraConfig, description="Where frames come from.")
    vision: VisionConfig = Field(default_factory=VisionConfig, description="Models and how they are run.")
    quality: QualityConfig = Field(default_factory=QualityConfig, description="When a face can be read well.")
    alerts: AlertsConfig = Field(default_factory=AlertsConfig.default, description="What makes an alert.")
    baseline: BaselineConfig = Field(default_factory=BaselineConfig, description="The driver's resting face.")
    states: StatesConfig = Field(default_factory=StatesConfig, description="Timers of the other states.")
    mqtt: MqttConfig = Field(default_factory=MqttConfig, description="The broker and how to reach it.")
    outbox: OutboxConfig = Field(default_factory=OutboxConfig, description="Where alerts wait.")
    trace: TraceConfig = Field(default_factory=TraceConfig, description="How much of a trace is kept.")
    heat: HeatConfig = Field(default_factory=HeatConfig, description="How a hot board is spared.")
    publish: PublishConfig = Field(default_factory=PublishConfig, description="How often messages are published.")
    cab: CabConfig = Field(default_factory=CabConfig, description="What is said to the driver.")
    vehicle: VehicleConfig = Field(
        default_factory=VehicleConfig, description="What is known of the vehicle: speed, ignition."
    )
    breaks: BreaksConfig = Field(default_factory=BreaksConfig, description="When a break is due.")
    vss: VssConfig = Field(default_factory=VssConfig, description="A KUKSA databroker that is told.")
    discovery: DiscoveryConfig = Field(default_factory=DiscoveryConfig, description="Home Assistant.")
    metrics: MetricsConfig = Field(default_factory=MetricsConfig, description="Figures for Prometheus.")
    dashboard: DashboardConfig = Field(default_factory=DashboardConfig, description="Pages to look at in a browser.")

    @field_validator("vehicle")
    @classmethod
    def _pin_of_its_own(cls, vehicle: VehicleConfig, info: ValidationInfo) -> VehicleConfig:
        pin, cab = vehicle.gpio.ignition_pin, info.data.get("cab")
        if cab is not None and pin is not None and pin in (*cab.gpio.pins.values(), cab.button.pin):
            raise ValueError(f"gpio.ignition_pin is {pin}, which a part of [cab] has; each needs a pin of its own")
        return vehicle
