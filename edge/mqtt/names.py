"""A device's name in one word, for where a slash or a point is not allowed: Home Assistant's ids, client ids."""

from __future__ import annotations

import hashlib

from edge.config import Config

DEFAULT_PREFIX = "evenkeel"
LONGEST = 64
"""Characters of a word at most; what is longer ends in a hash of the whole."""

_HASH_DIGITS = 16
_SEPARATOR = "_-"
_ESCAPES = {"_": "__", ".": "_p"}


def device_word(prefix: str, device_id: str) -> str:
    """A word of letters, digits, ``_`` and ``-`` that no other prefix and id have.

    An id of letters, digits and ``-`` below the default prefix is its own word. ``_`` becomes ``__``, ``.`` becomes
    ``_p``, and another prefix stands before the id with ``_-`` between, so that each ``_`` tells by what follows it
    what it stands for.
    """
    word = _escaped(device_id)
    if prefix != DEFAULT_PREFIX:
        word = _escaped(prefix) + _SEPARATOR + word
    if len(word) <= LONGEST:
        return word
    digest = hashlib.sha256(word.encode()).hexdigest()[:_HASH_DIGITS]
    return f"{word[: LONGEST - _HASH_DIGITS - 2].rstrip('_')}_h{digest}"


def client_id(config: Config, errand: str = "") -> str:
    """The device's name at the broker: one for each, so that a second one takes the first one's place.

    An ``errand`` beside the service has a name of its own.
    """
    name = f"{DEFAULT_PREFIX}-{device_word(config.mqtt.prefix, config.device.id)}"
    return f"{name}_{errand}" if errand else name


def _escaped(text: str) -> str:
    return "".join(_ESCAPES.get(character, character) for character in text)
