"""The alerts' lane: from the outbox to the broker in the order of their places, whatever the broker answers.

An alert that the broker does not take holds up those behind it, so that their order stays; only one that is larger than
the broker takes is passed over, and waits in the outbox for another limit.
"""

from __future__ import annotations

from collections.abc import Callable

from edge.mqtt.notices import Notices
from edge.mqtt.outbox import Outbox, Waiting
from edge.mqtt.reasons import PAYLOAD_INVALID, TOO_LARGE
from edge.mqtt.session import Answer

REFUSED_PAUSE_S = 60.0
UNHEARD_RETRY_S = 5.0
UNHEARD_TELL_S = 30.0
"""Nobody subscribed for this long is a problem; a receiver that restarts is not."""


class AlertLane:
    """Which alerts are to be sent next, and what comes of those that were. Used by the publisher's thread alone.

    ``unheard_s``: how long an alert is tried again while the broker says that nobody is subscribed to it. All times
    are monotonic, seconds.
    """

    def __init__(self, outbox: Outbox, notices: Notices, *, unheard_s: float) -> None:
        self._outbox = outbox
        self._notices = notices
        self._unheard_s = unheard_s
        self._last = 0
        self._from = 0.0
        self._done: list[int] = []
        self._rewound = False
        # while nobody is subscribed: places up to the first are tried since the second
        self._tries: list[tuple[int, float]] = []
        self._left_out: set[int] = set()

    def restart(self) -> None:
        """A new connection: everything that waits is sent, in order."""
        self._last = 0
        self._from = 0.0
        self._rewound = False
        self._left_out.clear()

    def load(self, room: int, now: float, fits: Callable[[Waiting], bool], *, under_way: bool) -> list[Waiting]:
        """The next alerts, ``room`` at most; ``under_way``: some have not been answered for yet."""
        if room <= 0 or now < self._from or (under_way and (self._rewound or self._tries)):
            return []
        self._rewound = False
        if self._tries:
            room = 1  # one asks whether somebody listens again, for all that wait behind it
        chosen: list[Waiting] = []
        while len(chosen) < room and self._last < (newest := self._outbox.newest_place):
            batch = self._outbox.waiting(self._last, room - len(chosen))
            for waiting in batch:
                if fits(waiting):
                    chosen.append(waiting)
                else:
                    self._left_out.add(waiting.place)
            self._last = batch[-1].place if batch else newest
        return chosen

    @property
    def more(self) -> bool:
        """Whether alerts wait that were not sent on this connection."""
        return self._last < self._outbox.newest_place

    def waits(self, now: float) -> bool:
        """Whether alerts wait for their next try, because nobody is subscribed or the broker refused one."""
        return now < self._from

    @property
    def left_out(self) -> int:
        """How many alerts were passed over on this connection because they are too large."""
        return len(self._left_out)

    def answered(self, place: int, topic: str, answer: Answer, now: float) -> None:
        """The broker's word on an alert."""
        if answer.unheard and not self._waited_enough(place, now):
            self._rewind(place)
            self._from = now + UNHEARD_RETRY_S
            if now - self._tries[0][1] >= UNHEARD_TELL_S:
                text = f"nobody is subscribed to {topic}: each alert is tried again for {self._unheard_s:g} s"
                self._notices.say("unheard", f"{text} (mqtt.unheard_s), then only a receiver that asks gets it")
        elif answer.refused:
            self._rewind(place)
            if answer.code not in (TOO_LARGE, PAYLOAD_INVALID):  # which are this message's own fault
                self._from = now + REFUSED_PAUSE_S
        else:
            self._done.append(place)
            if not answer.unheard:
                self._tries.clear()
                self._notices.end("unheard")

    def settle(self) -> None:
        """Have the outbox note what was delivered."""
        if self._done:
            self._outbox.delivered(self._done)
            self._done = []

    def set_aside(self, place: int, reason: str) -> None:
        """Give up an alert that no broker would take."""
        self._outbox.set_aside(place, reason)

    def _rewind(self, place: int) -> None:
        """Begin again with this one, once all that is under way has been answered for."""
        self._last = min(self._last, place - 1)
        self._rewound = True

    def _waited_enough(self, place: int, now: float) -> bool:
        """Whether this alert has been tried for long enough with nobody listening."""
        while self._tries and self._tries[0][0] < place and len(self._tries) > 1:
            del self._tries[0]
        if not self._tries or self._tries[-1][0] < self._outbox.newest_place:
            self._tries.append((max(place, self._outbox.newest_place), now))
        since = next(t for upto, t in self._tries if upto >= place)
        return now - since >= self._unheard_s
