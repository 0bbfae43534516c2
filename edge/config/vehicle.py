"""The configuration's ``[vehicle]``: where it is known from whether the vehicle moves. Nothing of it is needed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints, field_validator, model_validator

from edge.compat import Self
from edge.config.cab import Pin
from edge.config.hosts import check_host
from edge.section import Layer, Section

MAX_TOPIC_BYTES = 65_535

SpeedUnit = Literal["km/h", "m/s", "mph", "knots"]
"""What a speed may be told in."""

Topic = Annotated[str, StringConstraints(min_length=1)]
Pointer = Annotated[str, StringConstraints(pattern=r"^(/([^~/]|~[01])*)*$")]
"""A JSON pointer (RFC 6901); empty: the whole payload is the value."""


class MqttSourceConfig(Section):
    """Topics of the configured broker that tell speed or ignition. What it retains is of an earlier time: ignored."""

    layer: ClassVar[Layer] = Layer.EXPERT

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


Signal = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)?$")]
"""A signal of a DBC file; where several messages have one of that name, ``Message.Signal``."""


class CanSourceConfig(Section):
    """A CAN bus that is listened to, by a DBC file; or a car's diagnostic socket, which has to be asked (OBD-II)."""

    layer: ClassVar[Layer] = Layer.EXPERT

    channel: str | None = Field(
        examples=["can0"], default=None, min_length=1, description="The bus, as the system calls it."
    )
    driver: str = Field(
        default="socketcan", min_length=1, description="How python-can reaches it: 'socketcan', 'slcan', 'pcan', …"
    )
    bitrate: int | None = Field(
        default=None,
        ge=1000,
        le=1_000_000,
        description="Bitrate, for drivers that set it (SocketCAN's is set by the system), bit/s.",
    )
    fd: bool = Field(default=False, description="The bus carries CAN FD frames.")
    dbc: Path | None = Field(
        examples=["/etc/evenkeel/van.dbc"], default=None, description="DBC file that says what the frames mean."
    )
    speed_signal: Signal | None = Field(
        examples=["WheelSpeed.VehicleSpeed"],
        default=None,
        description="Its signal that tells the speed: 'Signal', or 'Message.Signal'.",
    )
    speed_unit: SpeedUnit | None = Field(
        default=None, description="What the speed is told in; default: what the DBC file says."
    )
    ignition_signal: Signal | None = Field(
        examples=["Body.KeyPosition"], default=None, description="Its signal that tells whether the ignition is on."
    )
    ignition_from: float = Field(default=1.0, description="Value of that signal from which it is on.")
    obd: Literal["off", "11-bit", "29-bit"] = Field(
        default="off",
        description="Ask for speed and revolutions by OBD-II, with identifiers of that length; this sends on the bus.",
    )
    obd_period_s: float = Field(default=0.5, ge=0.1, le=10, description="Time between two such questions, seconds.")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        signals = self.speed_signal or self.ignition_signal
        if (self.dbc is None) != (signals is None):
            raise ValueError("dbc and a signal of it (speed_signal, ignition_signal) belong together")
        if self.channel is None and (signals or self.obd != "off"):
            raise ValueError("set channel, the bus")
        if self.channel is not None and not (signals or self.obd != "off"):
            raise ValueError("set dbc with speed_signal or ignition_signal, or obd")
        return self

    @property
    def configured(self) -> bool:
        """Whether there is a bus to listen to."""
        return self.channel is not None


class GpsdSourceConfig(Section):
    """A gpsd that tells the speed by satellites."""

    layer: ClassVar[Layer] = Layer.EXPERT

    host: str | None = Field(
        examples=["localhost"], default=None, min_length=1, description="Host of the gpsd; without one it is not asked."
    )
    port: int = Field(default=2947, ge=1, le=65535, description="Its port.")
    device: str | None = Field(
        examples=["/dev/ttyACM0"],
        default=None,
        min_length=1,
        description="The receiver that counts, where it has several.",
    )

    @field_validator("host")
    @classmethod
    def _plain_host(cls, host: str | None) -> str | None:
        return host if host is None else check_host(host, "vehicle.gpsd.port")

    @property
    def configured(self) -> bool:
        """Whether there is one to ask."""
        return self.host is not None


class GpioSourceConfig(Section):
    """A pin of a Raspberry Pi that tells whether the ignition is on."""

    layer: ClassVar[Layer] = Layer.EXPERT

    ignition_pin: Pin | None = Field(default=None, examples=[24], description="Its number (BCM).")
    ignition_pull: Literal["up", "down", "none"] = Field(
        default="down", description="The resistor that holds the pin while nothing drives it."
    )
    ignition_active_low: bool = Field(default=False, description="The ignition is on while the pin is low.")

    @property
    def configured(self) -> bool:
        """Whether there is a pin to look at."""
        return self.ignition_pin is not None


class IgnitionOffConfig(Section):
    """What happens once a source says that the ignition is off, and the vehicle is not known to move."""

    layer: ClassVar[Layer] = Layer.EXPERT

    standby: bool = Field(
        default=True, description="Stop watching and say 'offline' until the ignition is on; false: only tell of it."
    )
    after_s: float = Field(
        default=10.0, ge=1, le=3600, description="It must be off for so long, seconds: starters make it flicker."
    )
    flush_s: float = Field(
        default=20.0, ge=0, le=600, description="Longest wait for the broker to take what waits, seconds."
    )
    command: tuple[str, ...] = Field(
        default=(),
        examples=[["systemctl", "poweroff"]],
        description="Program to run then, with its arguments, to switch the board off; no shell reads it.",
    )
    command_after_s: float = Field(
        default=60.0, ge=0, le=86400, description="So long after that, unless the ignition is on again, seconds."
    )

    @field_validator("command")
    @classmethod
    def _a_program(cls, command: tuple[str, ...]) -> tuple[str, ...]:
        if command and (not command[0] or any("\0" in word for word in command)):
            raise ValueError("the program's name comes first, and no word holds a NUL")
        return command


class VehicleConfig(Section):
    """What is known of the vehicle. What is unknown or too old keeps no alert back."""

    layer: ClassVar[Layer] = Layer.EXPERT

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
    can: CanSourceConfig = Field(default_factory=CanSourceConfig, description="A CAN bus that tells them.")
    gpsd: GpsdSourceConfig = Field(default_factory=GpsdSourceConfig, description="A gpsd that tells the speed.")
    gpio: GpioSourceConfig = Field(default_factory=GpioSourceConfig, description="A pin that tells the ignition.")
    ignition_off: IgnitionOffConfig = Field(
        default_factory=IgnitionOffConfig, description="What happens when the ignition is off."
    )

    @property
    def ignition_sources(self) -> tuple[str, ...]:
        """The names of the sources that tell of the ignition."""
        can = self.can.ignition_signal is not None or self.can.obd != "off"
        told = {"mqtt": self.mqtt.ignition_topic is not None, "can": can, "gpio": self.gpio.configured}
        return tuple(name for name, tells in told.items() if tells)
