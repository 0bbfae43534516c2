"""What is not known of the driver, and since when: blind, absent, uncertain."""

from __future__ import annotations

from edge.decision.interval import Interval
from edge.decision.settings import StatesConfig
from edge.domain import NO_REASON, Observation, Reason, ReasonCode, Sight, State

_PICTURES = {
    Sight.DARK: ReasonCode.PICTURE_DARK,
    Sight.OVEREXPOSED: ReasonCode.PICTURE_OVEREXPOSED,
    Sight.COVERED: ReasonCode.PICTURE_COVERED,
    Sight.FROZEN: ReasonCode.PICTURE_FROZEN,
    Sight.NO_PICTURE: ReasonCode.PICTURE_MISSING,
}


def reason_of(sight: Sight) -> Reason:
    """Why nothing can be seen, by what a frame allows to be seen; none where it allows something."""
    return Reason(_PICTURES[sight]) if sight in _PICTURES else NO_REASON


class UnknownTracker:
    """Follows which of the unknown states holds, each with the time that it needs.

    ``unknown`` is BLIND, ABSENT, UNCERTAIN, or None while the driver can be read. An unknown state lasts until another
    one has lasted its own time, or until there were good readings for ``calm_after_s``: single frames change nothing.
    It begins as UNCERTAIN: nothing is known of a driver who was never seen.
    """

    def __init__(self, config: StatesConfig) -> None:
        self.config = config
        self.restart()

    def restart(self) -> None:
        """Know nothing, as at the start."""
        self.unknown: State | None = State.UNCERTAIN
        self.reason = Reason(ReasonCode.STARTING)
        self._sight: Sight | None = None
        self._sight_s = 0.0
        self._read_s = 0.0
        self._unread_s = 0.0
        self._lost_s = 0.0

    @property
    def lost(self) -> bool:
        """True where the driver could not be read for so long that no open alert can be upheld."""
        return self._lost_s >= self.config.lost_after_s

    def update(self, interval: Interval, observation: Observation, confidence: float) -> None:
        """Take in an observation; ``confidence`` is that of the signals with it."""
        self._time_sight(interval, observation.sight)
        self._time_reading(interval, observation.sight, confidence)
        if observation.sight.blind and self._sight_s >= self.config.blind_after_s:
            self._enter(State.BLIND, observation.reason or reason_of(observation.sight))
        elif observation.sight is Sight.NO_FACE and self._sight_s >= self.config.absent_after_s:
            self._enter(State.ABSENT, Reason(ReasonCode.NO_FACE))
        elif self._is_unreadable(observation.sight):
            self._enter(State.UNCERTAIN, observation.reason or Reason(ReasonCode.UNREADABLE))
        elif self._read_s > 0 and self._read_s >= self.config.calm_after_s:
            self.unknown, self.reason = None, NO_REASON

    def _time_sight(self, interval: Interval, sight: Sight) -> None:
        """Count how long the same has been seen; all kinds of blindness are one. A gap between equals counts too."""
        same = self._sight is not None and (sight is self._sight or (sight.blind and self._sight.blind))
        self._sight_s = self._sight_s + interval.elapsed_s if same else interval.spoken_s
        self._sight = sight

    def _time_reading(self, interval: Interval, sight: Sight, confidence: float) -> None:
        """Count how long the signals have been trustworthy or not; a gap before the frame was not."""
        self._unread_s += interval.elapsed_s - interval.spoken_s
        if self.unknown is None and self._unread_s >= self.config.uncertain_after_s:
            self._enter(State.UNCERTAIN, Reason(ReasonCode.NO_FRAMES))
        self._lost_s = self._unread_s
        if confidence < self.config.min_confidence:
            self._unread_s += interval.spoken_s
            self._lost_s = self._unread_s
            self._read_s = 0.0
        else:
            self._unread_s = 0.0
            self._read_s += interval.spoken_s if sight is Sight.FACE else 0.0

    def _is_unreadable(self, sight: Sight) -> bool:
        """True where the signals have been thin for long; once blind or absent, with a face in sight for as long."""
        unread_s = self._unread_s if self.unknown is None else min(self._unread_s, self._sight_s)
        return (
            unread_s > 0 and unread_s >= self.config.uncertain_after_s and (self.unknown is None or sight is Sight.FACE)
        )

    def _enter(self, state: State, reason: Reason) -> None:
        self.unknown, self.reason = state, reason
        self._read_s = 0.0
