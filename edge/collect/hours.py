"""Time driven, minute by minute: of each device and hour a bit for each minute. Pure.

Whoever has heard a state sets the bit of its minute; to set one again changes nothing. So what comes twice, and several
collectors that hear the same, count once.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import datetime

from edge.collect.reading import Moment, Reading, StatusSaid
from edge.domain import Stamp

Hour = tuple[str, str, datetime]
"""Prefix, device id and the beginning of an hour."""
MOST = 20_000
"""Devices whose current hour is remembered, so that what the database knows is not written again."""


@dataclass(frozen=True, slots=True)
class Minutes:
    """Bit m of each: in minute m of the hour it was said. ``driven`` is among ``known``."""

    watched: int = 0
    known: int = 0
    driven: int = 0
    due: int = 0

    def __or__(self, other: Minutes) -> Minutes:
        """Both."""
        return Minutes(*(getattr(self, one.name) | getattr(other, one.name) for one in fields(self)))


def minutes_of(moment: Moment, minute: int) -> Minutes:
    """What one state sets."""
    bit = 1 << minute
    return Minutes(
        watched=bit * moment.watched,
        known=bit * (moment.moves is not None),
        driven=bit * bool(moment.moves),
        due=bit * bool(moment.due),
    )


class Hours:
    """Which minutes are news for the database."""

    def __init__(self) -> None:
        self._written: dict[tuple[str, str], tuple[datetime, Minutes]] = {}

    def news(self, said: Iterable[Reading], now: Stamp) -> dict[Hour, Minutes]:
        """What is to be written of states that have just come; nothing while the clock is unset.

        What a broker had kept is of an earlier time, of which nobody knows when it was.
        """
        if not now.clock_synced:
            return {}
        hour = now.time.replace(minute=0, second=0, microsecond=0)
        found: dict[Hour, Minutes] = {}
        for one in said:
            if isinstance(one, StatusSaid) and one.moment is not None and not one.sender.retained:
                key = (one.sender.prefix, one.sender.device, hour)
                found[key] = found.get(key, Minutes()) | minutes_of(one.moment, now.time.minute)
        return {key: told for key, told in found.items() if told | self._known(key) != self._known(key)}

    def written(self, news: dict[Hour, Minutes]) -> None:
        """They are in the database."""
        for key, told in news.items():
            self._written[key[:2]] = (key[2], told | self._known(key))
        while len(self._written) > MOST:
            del self._written[next(iter(self._written))]

    def forget(self, prefix: str, device: str) -> None:
        """A device was erased."""
        self._written.pop((prefix, device), None)

    def _known(self, key: Hour) -> Minutes:
        hour, minutes = self._written.get(key[:2], (None, Minutes()))
        return minutes if hour == key[2] else Minutes()
