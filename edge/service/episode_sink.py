"""The sink that keeps the numbers around each alert and hands them on once it is over. No pictures, ever."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from edge.domain import Kind, Phase, ReasonCode, Step, Transition
from edge.mqtt.around import Around, Sample
from edge.mqtt.messages import AlertMessage
from edge.service.health import Health, SinkHealth
from edge.service.pacing import Pace
from edge.service.ports import Outlet

BEFORE_S = 60.0
AFTER_S = 60.0
"""How long before an alert's begin and after its end numbers are kept."""
HZ = 2.0
MIDDLE = 240
"""Samples from begin to end at most: where an alert lasts longer than two minutes, every second one goes, and again."""
RECORDED = 8
"""Alerts around which numbers are kept at the same time at most."""

Key = tuple[Kind, int]
"""A kind, and the number of its episode in the life of the decider."""


@dataclass(slots=True)
class _Recording:
    """What is kept around one alert. ``until_t`` is when nothing more is added; None while the alert is open."""

    key: Key
    began_t: float
    before: tuple[Sample, ...]
    middle: list[Sample] = field(default_factory=list)
    after: list[Sample] = field(default_factory=list)
    until_t: float | None = None
    stride: int = 1
    seen: int = 0

    def add(self, sample: Sample) -> None:
        """Take a sample."""
        if self.until_t is not None:
            self.after.append(sample)
            return
        if self.seen % self.stride == 0:
            self.middle.append(sample)
        self.seen += 1
        if len(self.middle) > MIDDLE:
            self.middle, self.stride = self.middle[::2], self.stride * 2

    @property
    def samples(self) -> tuple[Sample, ...]:
        """All of them."""
        return (*self.before, *self.middle, *self.after)


class EpisodeSink:
    """Looks at two steps a second. ``told`` is to hear of each alert with its number, from whatever thread.

    ``thresholds`` are the signals at which each kind can warn. In shadow mode no step comes: nothing is said.
    """

    name = "episodes"
    outward = True

    def __init__(
        self, device_id: str, publisher: Outlet, thresholds: Callable[[], Mapping[Kind, float | None]]
    ) -> None:
        self._device_id = device_id
        self._publisher = publisher
        self._thresholds = thresholds
        self._pace = Pace()
        self._ring: deque[Sample] = deque(maxlen=round(BEFORE_S * HZ) + 1)
        self._recordings: list[_Recording] = []
        self._lock = threading.Lock()
        self._names: dict[Key, AlertMessage] = {}
        self._done: dict[Key, _Recording] = {}
        self._missed = 0

    @property
    def health(self) -> SinkHealth:
        """Alerts around which nothing, or not all, was said; what is wrong at the broker, health tells by itself."""
        return SinkHealth(self._missed + self._publisher.around_dropped)

    def take(self, step: Step) -> None:
        """Keep what a step says, where one is due."""
        t = step.signals.t
        for transition in step.transitions:
            self._note(transition)
        if t >= self._pace.open_t:
            self._pace.take(t, HZ)
            sample = Sample.of(step)
            for recording in self._recordings:
                recording.add(sample)
            self._ring.append(sample)
        for recording in [one for one in self._recordings if one.until_t is not None and t >= one.until_t]:
            self._finish(recording)

    def told(self, transition: Transition, numbered: AlertMessage) -> None:
        """An alert has got its number."""
        if transition.phase is not Phase.START:
            return
        key = (transition.kind, transition.episode)
        with self._lock:
            self._names[key] = numbered
            done = self._done.pop(key, None)
        if done is not None:
            self._hand_on(done)

    def probe(self, health: Health) -> None:
        """How the device is has a topic of its own."""

    def close(self) -> None:
        """Hand on what there is: nothing comes after it."""
        for recording in list(self._recordings):
            self._finish(recording)

    def _note(self, transition: Transition) -> None:
        key = (transition.kind, transition.episode)
        if transition.phase is Phase.START:
            if len(self._recordings) >= RECORDED:
                self._missed += 1
                return
            before = tuple(one for one in self._ring if one.t >= transition.started - BEFORE_S)
            self._recordings.append(_Recording(key, transition.started, before))
        elif transition.phase is Phase.END:
            for recording in [one for one in self._recordings if one.key == key]:
                recording.until_t = transition.t + AFTER_S
                if transition.reason.code is ReasonCode.STOPPED:
                    self._finish(recording)

    def _finish(self, recording: _Recording) -> None:
        self._recordings.remove(recording)
        with self._lock:
            if recording.key not in self._names:  # a slow disk: the alert has no number yet
                self._done[recording.key] = recording
                while len(self._done) > RECORDED:
                    del self._done[next(iter(self._done))]
                    self._missed += 1
                return
        self._hand_on(recording)

    def _hand_on(self, recording: _Recording) -> None:
        with self._lock:
            named = self._names.pop(recording.key)
            while len(self._names) > 4 * RECORDED:  # of alerts that were not recorded
                del self._names[next(iter(self._names))]
        if recording.samples:
            self._publisher.publish_around(
                Around(
                    id=named.id,
                    device_id=self._device_id,
                    epoch=named.epoch,
                    sequence=named.sequence,
                    kind=named.kind,
                    started=named.started,
                    began_t=recording.began_t,
                    thresholds=dict(self._thresholds()),
                    samples=recording.samples,
                )
            )
