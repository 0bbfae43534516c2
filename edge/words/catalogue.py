"""A language's words for reasons, kinds of alert and entities, read from the TOML file beside this module."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

from edge.compat import tomllib
from edge.domain import Kind, Reason, ReasonCode
from edge.errors import ConfigError

DEFAULT = "en"


@dataclass(frozen=True, slots=True)
class Catalogue:
    """``reasons`` are texts with {kinds} or {text} in them, ``joint`` is what stands between two kinds.

    ``entities`` are the names that a device's entities have in Home Assistant.
    """

    language: str
    reasons: Mapping[ReasonCode, str]
    kinds: Mapping[Kind, str]
    entities: Mapping[str, str]
    joint: str
    spoken: Mapping[str, str]
    """What is said in the cab: to wake a driver, and to offer a break."""

    def kind(self, kind: Kind) -> str:
        """A kind's name; its own where the language has none for it."""
        return self.kinds.get(kind, kind)

    def entity(self, key: str) -> str:
        """What an entity is called."""
        return self.entities[key]

    def say(self, reason: Reason) -> str:
        """A reason in words; empty where there is none."""
        if not reason:
            return ""
        kinds = self.joint.join(map(self.kind, reason.kinds))
        return self.reasons[reason.code].format(kinds=kinds, text=reason.text)


def languages() -> tuple[str, ...]:
    """The languages that there is a catalogue of."""
    files = (each.name for each in resources.files("edge.words").iterdir())
    return tuple(sorted(name.removesuffix(".toml") for name in files if name.endswith(".toml")))


@cache
def catalogue(language: str) -> Catalogue:
    """The words of a language.

    Raises:
        ConfigError: there is no catalogue of it.
    """
    if language not in languages():
        raise ConfigError(f"language {language!r}: no such catalogue; there are {', '.join(languages())}")
    data = tomllib.loads((resources.files("edge.words") / f"{language}.toml").read_text(encoding="utf-8"))
    reasons = {ReasonCode(code): text for code, text in data["reason"].items()}
    return Catalogue(language, reasons, data["kind"], data["entity"], data["and"], data["spoken"])


def say(reason: Reason) -> str:
    """A reason in the language of payloads, logs and traces."""
    return catalogue(DEFAULT).say(reason)
