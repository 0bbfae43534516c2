"""The configuration's ``[cab]``: what reaches the driver without a broker. All of it is off until it is set."""

from __future__ import annotations

from datetime import time
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from edge.compat import Self
from edge.decision.kinds import registered
from edge.domain import Kind, Level, Phase
from edge.section import Layer, Section, Share

Pin = Annotated[int, Field(ge=2, le=27)]
"""A pin by the processor's number (BCM), which GPIO17 is called by; 0 and 1 are kept for boards on top."""

Pattern = tuple[
    Annotated[float, Field(ge=0.02, le=10)], Annotated[float, Field(ge=0, le=10)], Annotated[int, Field(ge=1, le=100)]
]
"""Seconds on, seconds off, and how often."""

TimeOfDay = Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]
"""Hours and minutes, as 22:00."""

Part = Literal["led", "buzzer", "vibration", "watching_light"]


class Output(Section):
    """What reaches the driver on one way: of which kinds, and from which level on."""

    layer: ClassVar[Layer] = Layer.TUNER

    kinds: tuple[Kind, ...] = Field(default=(), description="Kinds of alert that go this way; empty: all of them.")
    levels: tuple[Level, ...] = Field(default=tuple(Level), description="Levels that go this way.")

    @field_validator("kinds")
    @classmethod
    def _known(cls, kinds: tuple[Kind, ...]) -> tuple[Kind, ...]:
        if unknown := [kind for kind in kinds if kind not in registered()]:
            raise ValueError(f"no such kind: {', '.join(unknown)}; known: {', '.join(registered())}")
        return kinds

    def takes(self, kind: Kind, level: Level) -> bool:
        """Whether alerts of a kind go this way at a level."""
        return (not self.kinds or kind in self.kinds) and level in self.levels


class SoundConfig(Output):
    """Spoken warnings through a sound card."""

    layer: ClassVar[Layer] = Layer.TUNER

    enabled: bool = Field(default=False, description="Speak to the driver.")
    device: str = Field(default="default", min_length=1, description="ALSA device, such as 'plughw:1,0'.")
    volume: Share = Field(default=0.8, description="Loudness of all that is said, share of full scale.")
    folder: Path | None = Field(
        examples=["/etc/evenkeel/sounds"],
        default=None,
        description="Folder with WAV files to play instead: KIND_LEVEL.wav or KIND.wav, 16-bit PCM.",
    )
    quiet_from: TimeOfDay | None = Field(
        examples=["22:00"], default=None, description="From this local time on no break is offered aloud."
    )
    quiet_to: TimeOfDay | None = Field(examples=["06:00"], default=None, description="Until this time.")

    @model_validator(mode="after")
    def _both(self) -> Self:
        if (self.quiet_from is None) != (self.quiet_to is None):
            raise ValueError("quiet_from and quiet_to belong together")
        return self

    def is_quiet(self, now: time) -> bool:
        """Whether a local time lies in the quiet hours, which may pass midnight."""
        if self.quiet_from is None or self.quiet_to is None:
            return False
        begin, end = time.fromisoformat(self.quiet_from), time.fromisoformat(self.quiet_to)
        return begin <= now < end if begin <= end else now >= begin or now < end


class GpioConfig(Output):
    """Lights, a buzzer and vibration on the pins of a Raspberry Pi. A key that is not set: there is no such part."""

    layer: ClassVar[Layer] = Layer.TUNER

    led: Pin | None = Field(default=None, examples=[17], description="Pin of a light that shows every warning (BCM).")
    buzzer: Pin | None = Field(
        default=None, examples=[22], description="Pin of a buzzer, for warnings that are to wake the driver (BCM)."
    )
    vibration: Pin | None = Field(
        default=None, examples=[23], description="Pin of a motor in the seat, for the same warnings (BCM)."
    )
    watching_light: Pin | None = Field(
        default=None, examples=[27], description="Pin of a light that is on while the driver is looked at (BCM)."
    )
    active_low: tuple[Part, ...] = Field(default=(), description="Parts that are on while their pin is low.")
    patterns: dict[str, Pattern] = Field(
        default={},
        examples=[{"fatigue_urgent": [0.1, 0.1, 30]}],
        description="Patterns of KIND_LEVEL or KIND instead of the usual ones: seconds on, seconds off, how often.",
    )

    @field_validator("patterns")
    @classmethod
    def _of_something(cls, patterns: dict[str, Pattern]) -> dict[str, Pattern]:
        known = [name for kind in registered() for name in (kind, *(f"{kind}_{level}" for level in Level))]
        if unknown := [name for name in patterns if name not in known]:
            raise ValueError(f"no such kind or level: {', '.join(unknown)}; known: {', '.join(known)}")
        return patterns

    @property
    def pins(self) -> dict[Part, int]:
        """The parts that there are, each with its pin."""
        parts: tuple[tuple[Part, int | None], ...] = (
            ("led", self.led),
            ("buzzer", self.buzzer),
            ("vibration", self.vibration),
            ("watching_light", self.watching_light),
        )
        return {part: pin for part, pin in parts if pin is not None}


class ButtonConfig(Section):
    """A button for the driver, between a pin of a Raspberry Pi and ground: short acknowledges, long pauses."""

    layer: ClassVar[Layer] = Layer.TUNER

    pin: Pin | None = Field(default=None, examples=[26], description="Pin of the button (BCM).")
    hold_s: float = Field(default=2.0, ge=0.5, le=10, description="A press is long from here on, seconds.")
    pause_s: float = Field(
        default=600.0,
        ge=30,
        le=3600,
        description="A long press pauses for so long, publish.max_pause_s at most, seconds.",
    )


class ProgramConfig(Output):
    """A program of your own that is run with each alert as JSON on its standard input; no shell has a part in it."""

    layer: ClassVar[Layer] = Layer.EXPERT

    program: tuple[Annotated[str, Field(pattern=r"^[^\x00]+$")], ...] = Field(
        default=(),
        examples=[["/usr/local/bin/warn", "--cab"]],
        description="The program, as an absolute path, and its arguments.",
    )
    timeout_s: float = Field(default=10.0, ge=0.1, le=120, description="It is killed after so long, seconds.")
    phases: tuple[Phase, ...] = Field(default=tuple(Phase), description="Phases of an alert that it is run for.")

    @field_validator("program")
    @classmethod
    def _absolute(cls, program: tuple[str, ...]) -> tuple[str, ...]:
        if program and not Path(program[0]).is_absolute():
            raise ValueError("the program is named by its absolute path, as /usr/local/bin/warn")
        return program


class CabConfig(Section):
    """What is said to the driver in the cab."""

    layer: ClassVar[Layer] = Layer.TUNER

    language: Literal["en", "de", "fr", "es", "nl"] = Field(default="en", description="Language of what is said.")
    repeat_s: float = Field(
        default=5.0, ge=2, le=60, description="A warning of fatigue is said again while the eyes are closed, seconds."
    )
    offer_every_s: float = Field(
        default=900.0, ge=0, le=86400, description="Least time between two offers of a break, seconds."
    )
    sound: SoundConfig = Field(default_factory=SoundConfig, description="Spoken warnings.")
    gpio: GpioConfig = Field(default_factory=GpioConfig, description="Lights, buzzer and vibration.")
    command: ProgramConfig = Field(default_factory=ProgramConfig, description="A program of your own.")
    button: ButtonConfig = Field(default_factory=ButtonConfig, description="A button for the driver.")

    @model_validator(mode="after")
    def _apart(self) -> Self:
        pins = [*self.gpio.pins.values(), *([] if self.button.pin is None else [self.button.pin])]
        if len(set(pins)) < len(pins):
            raise ValueError("two parts have the same pin; each needs one of its own")
        return self

    @property
    def configured(self) -> bool:
        """Whether anything reaches the driver."""
        return self.sound.enabled or bool(self.gpio.pins) or bool(self.command.program)
