"""What is wrong though the connection stands: kept for ``health``, and logged once."""

from __future__ import annotations

import logging

_log = logging.getLogger(__name__)


class Notices:
    """One line for each thing that is wrong, by a key. Read from any thread, changed by one."""

    def __init__(self) -> None:
        self._now: dict[str, str] = {}
        self._logged: set[str] = set()

    @property
    def texts(self) -> tuple[str, ...]:
        """All that is wrong now, in the order in which it was found."""
        return tuple(self._now.values())

    def say(self, key: str, text: str) -> None:
        """Note it; the same words are logged once in the life of this process."""
        if text not in self._logged:
            self._logged.add(text)
            _log.warning("%s", text)
        self._now = {**self._now, key: text}

    def end(self, key: str) -> None:
        """It is over."""
        self._now = {one: text for one, text in self._now.items() if one != key}

    def clear(self) -> None:
        """A new connection: what is still wrong will be found again."""
        self._now = {}
