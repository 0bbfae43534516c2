"""How many messages a second a broker may be sent: some count them, and throw away or cut off what is more."""

from __future__ import annotations

BURST = 8
"""So much of a second's messages, one in eight, may go at once: what the network holds up arrives together as it is."""


class Pace:
    """At most ``hz`` messages a second, evenly spread; None: any number. ``t`` is monotonic, seconds."""

    def __init__(self, hz: int | None) -> None:
        self._hz = hz
        self._most = 1.0 if hz is None else max(1.0, hz / BURST)
        self._free = self._most
        self._t: float | None = None

    def room(self, t: float) -> int | None:
        """How many may be sent now; None: any number."""
        if self._hz is None:
            return None
        if self._t is not None:
            self._free = min(self._most, self._free + (t - self._t) * self._hz)
        self._t = t
        return max(int(self._free), 0)

    def spend(self) -> None:
        """One was sent; whatever could not wait is made up for later."""
        if self._hz is not None:
            self._free -= 1

    def wait_s(self, t: float) -> float | None:
        """How long until the next may be sent, seconds; None where one may be sent now."""
        if self._hz is None or self.room(t):
            return None
        return (1 - self._free) / self._hz
