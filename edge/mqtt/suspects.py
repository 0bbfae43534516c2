"""Which message breaks the connection: so that one of them cannot keep all the others from being delivered.

A connection breaks for many reasons, and mostly no message is to blame. So a message is given up on strong evidence
only: the broker ended the connection, or answered everything but this message, while it was the only one on its way;
on a connection that had carried another message just before; and all that STRIKES times in a row.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from edge.mqtt.session import Delivery, Ending

STRIKES = 2


class Suspects:
    """The messages that may have broken a connection and have not passed since."""

    def __init__(self) -> None:
        self._suspects: set[Delivery] = set()
        self._strikes: Counter[Delivery] = Counter()

    @property
    def cautious(self) -> bool:
        """Whether one message at a time should be sent, so that the next break tells which one it is."""
        return bool(self._suspects)

    def passed(self, delivery: Delivery) -> None:
        """The broker has answered for this message and the connection stands."""
        self._suspects.discard(delivery)
        del self._strikes[delivery]

    def broke(self, ending: Ending, *, proved: bool) -> Delivery | None:
        """A connection ended; return the message that is to be given up for it, if there is one.

        ``proved``: another message was acknowledged on the same connection. Where none was, it is the broker that takes
        nothing, and no alert is given up for that.
        """
        if not ending.blame or not ending.under_way:
            return None
        if len(ending.under_way) == 1 and ending.under_way[0] in self._suspects:
            (only,) = ending.under_way
            if proved or only.place is None:
                return self.strike(only)
        self._suspects.update(ending.under_way)
        return None

    def strike(self, delivery: Delivery) -> Delivery | None:
        """Count one more fault of this message; return it where that was one too many."""
        self._strikes[delivery] += 1
        if self._strikes[delivery] < STRIKES:
            return None
        self.passed(delivery)
        return delivery

    def acquit(self, under_way: Sequence[Delivery] = ()) -> None:
        """Nothing is left to send, and nothing broke: suspect no longer what is not ``under_way``."""
        self._suspects &= set(under_way)
