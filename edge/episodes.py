"""What all messages of one episode share: an id that carries its beginning, and that beginning by the wall clock.

Nothing here knows a clock or a source of randomness: both come in as arguments, so a replay gives the same ids twice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from edge.domain import Kind, Phase, Transition

ENTROPY_BYTES = 10
CLOCK_SET = timedelta(seconds=1)
"""A start that moves by more than this between two messages of an episode tells that the wall clock was set."""


def uuid7(time: datetime, entropy: bytes) -> UUID:
    """A UUIDv7 (RFC 9562, section 5.7): 48 bits of Unix milliseconds, then ``entropy`` (10 bytes) but for 6 bits."""
    if len(entropy) != ENTROPY_BYTES:
        raise ValueError(f"entropy must be {ENTROPY_BYTES} bytes, not {len(entropy)}")
    milliseconds = int(time.timestamp() * 1000) & (2**48 - 1)
    value = milliseconds << 80 | int.from_bytes(entropy, "big")
    value = value & ~(0xF << 76) | 7 << 76
    value = value & ~(0x3 << 62) | 2 << 62
    return UUID(int=value)


@dataclass(frozen=True, slots=True)
class Episode:
    """What all messages of one episode share: ``id``, and when it began by the wall clock."""

    id: UUID
    started: datetime


class Episodes:
    """The episodes under way. ``entropy`` gives 10 bytes a call: random, or repeatable in a replay."""

    def __init__(self, entropy: Callable[[], bytes]) -> None:
        self._entropy = entropy
        self._open: dict[tuple[Kind, int], Episode] = {}

    def of(self, transition: Transition, now: datetime) -> Episode:
        """The transition's episode; ``now`` is the wall clock at the transition.

        Its start stays the same to the millisecond, unless the clock was set meanwhile: then it is told by the new one.
        """
        key = (transition.kind, transition.episode)
        started = now - timedelta(seconds=transition.duration_s)
        episode = self._open.get(key) or Episode(uuid7(started, self._entropy()), started)
        if abs(started - episode.started) > CLOCK_SET:
            episode = Episode(episode.id, started)
        self._open[key] = episode
        return self._open.pop(key) if transition.phase is Phase.END else episode
