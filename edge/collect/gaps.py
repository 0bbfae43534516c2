"""What is missing of each device's alerts, and when to ask for it. Pure: time comes in.

A device numbers its alerts 1, 2, 3 … within an epoch, so whoever knows the newest number knows what is missing. A gap
is not asked for at once, as its alerts may be on their way; it is asked for again, more and more seldom, until they
have come or the device has said that they are gone for good.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

from edge.collect.ranges import Range, union, without

SLACK = 50
"""Gaps with at most this many alerts between are asked for as one: a doubled alert costs less than a question."""

MOST_ASKED, LEAST_ASKED = 200, 8
"""Alerts asked for at once: first as many as a device sends for one question; fewer where not all come through."""

QUESTION_PAUSE_S = 2.5
"""Least time between two questions to a device, which takes one a second, and maybe from several collectors."""


@dataclass(frozen=True, slots=True, order=True)
class StreamKey:
    """One outbox of one device."""

    prefix: str
    device: str
    epoch: int


@dataclass(frozen=True, slots=True)
class OpenStream:
    """A stream of which something is missing.

    ``settled``: up to here every alert is stored or known to be lost. ``newest``: the highest number heard of.
    ``tail``: the device has begun another epoch, and what came after ``newest`` in this one is not known.
    """

    key: StreamKey
    settled: int
    newest: int
    missing: tuple[Range, ...]
    tail: bool
    online: bool


@dataclass(frozen=True, slots=True)
class Question:
    """A range of a stream that a device is to send again; ``last`` None: up to the newest that there is."""

    key: StreamKey
    first: int
    last: int | None


def still_missing(
    settled: int, newest: int, stored: Iterable[Range], lost: Iterable[Range]
) -> tuple[int, tuple[Range, ...]]:
    """Up to where all is settled, and what is missing above."""
    missing = without([Range(settled + 1, newest)] if newest > settled else [], [*stored, *lost])
    return (missing[0].first - 1 if missing else max(settled, newest)), missing


def questions(stream: OpenStream) -> tuple[Question, ...]:
    """What to ask of a stream, in order; the last one is open-ended where the epoch's end is not known."""
    ranges = union(stream.missing, SLACK)
    asked = [Question(stream.key, one.first, one.last) for one in ranges]
    if stream.tail:
        first = stream.newest + 1
        if asked and ranges[-1].last + SLACK >= stream.newest:
            first = asked.pop().first
        asked.append(Question(stream.key, first, None))
    return tuple(asked)


@dataclass(slots=True)
class _Watch:
    """One stream. ``span``: as many alerts are asked for at once; ``asked``: what was asked for last.

    ``cut``: more was missing than was asked for.
    """

    settled: int
    due: float
    pause_s: float
    span: int
    turn: int = 0
    asked: Question | None = None
    cut: bool = False


@dataclass(slots=True)
class Patience:
    """When to ask for what. ``wait_s``: first wait; each further one is twice as long, up to ``max_s``.

    Where not all came that was asked for, as a broker that queues little may have dropped it, half as many are asked
    for; where all came, twice as many.
    """

    wait_s: float
    max_s: float
    _watches: dict[StreamKey, _Watch] = field(default_factory=dict)
    _asked: dict[tuple[str, str], float] = field(default_factory=dict)

    def due(self, streams: Sequence[OpenStream], now: float, limit: int) -> list[Question]:
        """The questions whose time has come, ``limit`` at most.

        ``streams`` are all that have something missing, ``now`` is a monotonic clock's, in seconds.
        """
        self._watches = {key: self._watches[key] for key in (one.key for one in streams) if key in self._watches}
        self._asked = {device: at for device, at in self._asked.items() if now - at < QUESTION_PAUSE_S}
        asked = (self._question(stream, now) for stream in streams)
        return list(islice((question for question in asked if question is not None), limit))

    def _question(self, stream: OpenStream, now: float) -> Question | None:
        watch = self._watches.get(stream.key)
        # something came, or the device is away: what is missing may well come by itself
        if watch is None or watch.settled != stream.settled or not stream.online:
            watch = self._watches[stream.key] = self._begun(watch, stream, now)
        device = (stream.key.prefix, stream.key.device)
        if now < watch.due or device in self._asked:
            return None
        possible = questions(stream)
        watch.span = _next_span(watch, stream.settled)
        whole = possible[watch.turn % len(possible)]
        question = watch.asked = _bounded(whole, stream.newest, watch.span)
        watch.cut = question != whole
        watch.turn += 1
        if watch.turn % len(possible) == 0:
            watch.pause_s = min(watch.pause_s * 2, self.max_s)
            watch.due = now + watch.pause_s
        self._asked[device] = now
        return question

    def _begun(self, watch: _Watch | None, stream: OpenStream, now: float) -> _Watch:
        """What to wait for now that something came; what was cut off a question is asked for when its part has come."""
        if watch is None:
            return _Watch(stream.settled, now + self.wait_s, self.wait_s, MOST_ASKED)
        came = watch.asked is not None and watch.asked.last is not None and stream.settled >= watch.asked.last
        if stream.online and not came:
            # its question stands, until it is asked again or answered
            return replace(watch, settled=stream.settled, due=now + self.wait_s, pause_s=self.wait_s, turn=0)
        due = now if watch.cut and came and stream.online else now + self.wait_s
        return _Watch(stream.settled, due, self.wait_s, _next_span(watch, stream.settled))


def _next_span(watch: _Watch, settled: int) -> int:
    """How many alerts to ask for after this one's question, if it asked one."""
    asked = watch.asked
    if asked is None or asked.last is None:
        return watch.span
    if settled >= asked.last:
        return min(watch.span * 2, MOST_ASKED)
    return max(min(watch.span, asked.last - asked.first + 1) // 2, LEAST_ASKED)


def _bounded(question: Question, newest: int, span: int) -> Question:
    """Its beginning, if it asks for more than ``span`` alerts that are known of."""
    last = newest if question.last is None else question.last
    if last - question.first < span:
        return question
    return replace(question, last=question.first + span - 1)
