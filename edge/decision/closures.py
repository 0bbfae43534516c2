"""How long and how often the driver's eyes are closed: learned openness, closures, shares of time over windows.

Pure: time comes in with what is seen, and shares are of time, so that 5 and 60 frames a second give the same.
"""

from __future__ import annotations

from collections import deque

OPEN = 0.9
"""How far open the eye model reads ordinary open eyes."""
SHUT = 0.05
"""How far open it reads ordinary closed ones."""
CLOSED = 0.45
"""Eyes are closed below so much of the way from this driver's closed eyes to the open ones; for ordinary eyes that is
nearly the 0.5 at which the lids leave a fifth of the aperture: the 80 % closure of PERCLOS P80 (Wierwille et al.,
"Research on vehicle-based driver status/performance monitoring", NHTSA DOT HS 808 247, 1994).

This constant, DEEP, SHALLOW, WIDE, REOPENING and those of ``OwnOpenness`` were chosen together, on other drivers than
those that are quoted (``calibration.evaluate_fatigue --tuning``)."""
DEEP = 0.3
"""Below so much of the way nothing is seen between the lids; above it may be lids that are lowered to look down."""
SHALLOW = 0.5
"""So much counts a second of eyes that are closed, but not deeply, towards a microsleep. Most closed eyes are read as
deeply closed, most lowered ones that are misread as closed are not."""
WIDE, REOPENING = 0.8, 3.0
"""An open second takes so many seconds from a microsleep at so much of the way or more, and less the less open the eyes
are read: a frame that is misread does not end a closure, eyes that are wide open soon do."""
AWAKE_S = 1.0
"""Whoever had open eyes for so long, but for blinks, begins anew."""
NARROWEST, WIDEST = 0.5, 1.0
"""What open eyes can be read as at least and at most: less is no eye at rest, whoever the driver is."""
BLINK_S = 0.3
"""A closure counts once it is this long. PERCLOS is of slow closures and not of blinks, most of which last 0.1 to 0.3 s
(Caffier, Erdmann, Ullsperger, "Experimental evaluation of eye-blink parameters as a drowsiness measure", European
Journal of Applied Physiology 89, 2003)."""
LONGEST_BLINK_S = 0.5
"""A closure up to this long is counted as a blink."""
SCREWED_UP_S = 8.0
"""A yawn or a laugh shuts the eyes for no longer: whoever sleeps with an open mouth is not taken to yawn on and on."""


class OwnOpenness:
    """How far open this driver's eyes are read when they are open, and when they are closed.

    Open is what they exceed for two fifths of the time: since drowsy drivers' eyes are closed for less than that,
    closures do not make them narrower. Closed is what they fall below for three thousandths of it: blinks take more
    of it, whoever drives, so these show how deep this driver's closures are read. The driver begins as an ordinary one
    who was watched for ``assumed_s`` and then blinked for ``blinked_s``; ``memory_s`` of sight are remembered.
    """

    _BINS = 40
    _EXCEEDED, _BELOW = 0.4, 0.003
    _MOST_SHUT = 0.5
    """Eyes that were never read as closed as this share of the open ones were not seen closed at all."""

    def __init__(self, assumed_s: float = 20.0, blinked_s: float = 0.4, memory_s: float = 600.0) -> None:
        self._memory_s = memory_s
        self._seconds = [0.0] * self._BINS
        self._total_s = 0.0
        self._level, self._shut = OPEN, SHUT
        self._waiting_s = 0.0
        self._add(OPEN, assumed_s)
        self._add(SHUT, blinked_s)

    @property
    def level(self) -> float:
        """Openness of the open eyes, NARROWEST to WIDEST."""
        return self._level

    @property
    def shut(self) -> float:
        """Openness that closed eyes are read as, at most half of ``level``."""
        return self._shut

    def on_the_way(self, share: float) -> float:
        """The openness that lies so much of the way, 0 to 1, from closed eyes to open ones."""
        return self._shut + share * (self._level - self._shut)

    def learn(self, openness: float, seconds: float) -> None:
        """Take in that the eyes were so far open for so long; what is known follows once a second."""
        self._add(openness, seconds)
        self._waiting_s += seconds
        if self._waiting_s >= 1.0:
            self._forget()
            self._level = min(max(self._exceeded(self._EXCEEDED), NARROWEST), WIDEST)
            self._shut = min(self._exceeded(1.0 - self._BELOW), self._MOST_SHUT * self._level)
            self._waiting_s = 0.0

    def _add(self, openness: float, seconds: float) -> None:
        self._seconds[min(max(int(openness * self._BINS), 0), self._BINS - 1)] += seconds
        self._total_s += seconds

    def _forget(self) -> None:
        if self._total_s > self._memory_s:
            keep = self._memory_s / self._total_s
            self._seconds = [each * keep for each in self._seconds]
            self._total_s = sum(self._seconds)

    def _exceeded(self, share: float) -> float:
        """What the eyes exceed for so large a share of the time."""
        above_s, wanted_s = 0.0, share * self._total_s
        for place in reversed(range(self._BINS)):
            above_s += self._seconds[place]
            if above_s >= wanted_s:
                return (place + 0.5) / self._BINS
        return 0.5 / self._BINS


class Window:
    """Time in the last ``length_s`` in which the eyes could be read, and were closed; it moves on by whole seconds."""

    def __init__(self, length_s: int) -> None:
        self._length_s = length_s
        self._steps: deque[list[float]] = deque()
        self._read_s = 0.0
        self._closed_s = 0.0

    def add(self, t: float, read_s: float, closed_s: float) -> None:
        """Take in what ended at ``t``; ``closed_s`` may be of earlier frames whose closure has become a long one."""
        second = float(int(t))
        if not self._steps or self._steps[-1][0] != second:
            self._steps.append([second, 0.0, 0.0])
            while self._steps[0][0] <= second - self._length_s:
                _, read, closed = self._steps.popleft()
                self._read_s, self._closed_s = max(self._read_s - read, 0.0), max(self._closed_s - closed, 0.0)
            if len(self._steps) == 1:
                self._read_s = self._closed_s = 0.0  # what rounding left
        newest = self._steps[-1]
        newest[1] += read_s
        newest[2] += closed_s
        self._read_s += read_s
        self._closed_s += closed_s

    @property
    def read(self) -> float:
        """Share of the window in which the eyes could be read, 0 to 1."""
        return min(self._read_s / self._length_s, 1.0)

    @property
    def closed(self) -> float:
        """Share of the time read in which they were closed, 0 to 1."""
        return min(self._closed_s / self._read_s, 1.0) if self._read_s > 0 else 0.0


class Closures:
    """Follows the eyes of one driver.

    ``closed_s`` is how long they have been closed by now, ``asleep_s`` the evidence for a microsleep: the same with
    less of what may be a look down. ``open_s`` is how long they have been open but for blinks, and ``unread_s`` how
    long they could not be read. ``short`` and ``long`` are the windows of a minute and of three.
    """

    def __init__(self) -> None:
        self.own = OwnOpenness()
        self.short, self.long = Window(60), Window(180)
        self.closed_s = self.asleep_s = self.open_s = self.unread_s = 0.0
        self._longest_s = self._waiting_s = self._screwed_up_s = 0.0
        self._blinks: deque[float] = deque()

    @property
    def closes_below(self) -> float:
        """Openness below which this driver's eyes are closed."""
        return self.own.on_the_way(CLOSED)

    @property
    def blinks(self) -> int:
        """Blinks in the last minute."""
        return len(self._blinks)

    def update(
        self,
        t: float,
        elapsed_s: float,
        spoken_s: float,
        openness: float | None,
        *,
        screwed_up: bool = False,
        counts: float = 1.0,
    ) -> None:
        """Take in a frame at ``t`` that speaks for ``spoken_s`` of the ``elapsed_s`` since the last one.

        ``openness`` is that of both eyes, None where neither could be read. ``screwed_up`` says that the face yawns or
        laughs: where the eyes are shut then, for SCREWED_UP_S at most, the frame tells nothing of fatigue. ``counts``
        is how much it tells otherwise, 0 to 1, of a microsleep and of closed time.
        """
        closes_below = self.closes_below
        shut = openness is not None and openness < closes_below
        self._screwed_up_s = self._screwed_up_s + elapsed_s if shut and screwed_up else 0.0
        while self._blinks and self._blinks[0] <= t - 60.0:
            self._blinks.popleft()
        unseen_s = elapsed_s - spoken_s if openness is not None else elapsed_s
        if unseen_s > 0:
            self._fade(t, unseen_s)
        if openness is None:
            self.unread_s += elapsed_s
            self._count(t, 0.0, 0.0)
            return
        self.unread_s = 0.0
        if 0 < self._screwed_up_s <= SCREWED_UP_S:
            self._fade(t, spoken_s)
            self._count(t, 0.0, 0.0)
            return
        self.own.learn(openness, spoken_s)
        if shut:
            self._close(t, spoken_s, openness, counts)
        else:
            self._open(t, spoken_s, openness)

    def _close(self, t: float, seconds: float, openness: float, counts: float) -> None:
        self.closed_s += seconds
        self.asleep_s += seconds * min(counts, 1.0 if openness < self.own.on_the_way(DEEP) else SHALLOW)
        self._longest_s = max(self._longest_s, self.closed_s)
        self._waiting_s += seconds * counts
        if self._longest_s < BLINK_S:
            self._count(t, seconds, 0.0)
        else:
            self._count(t, seconds, self._waiting_s)
            self._waiting_s = self.open_s = 0.0

    def _open(self, t: float, seconds: float, openness: float) -> None:
        self.open_s += seconds
        closed, wide = self.own.on_the_way(CLOSED), self.own.on_the_way(WIDE)
        taken = REOPENING * min((openness - closed) / (wide - closed), 1.0)
        self.asleep_s = max(self.asleep_s - taken * seconds, 0.0) if self.open_s < AWAKE_S else 0.0
        self._reopen(t, REOPENING * seconds)
        self._count(t, seconds, 0.0)

    def _fade(self, t: float, seconds: float) -> None:
        """Let unseen time take as much from a closure as it lasts."""
        self.asleep_s = max(self.asleep_s - seconds, 0.0)
        self._reopen(t, seconds)

    def _reopen(self, t: float, seconds: float) -> None:
        """Take seconds from a closure; one that is over may have been a blink."""
        if self.closed_s <= 0:
            return
        self.closed_s -= seconds
        if self.closed_s > 0:
            return
        if self._longest_s <= LONGEST_BLINK_S:
            self._blinks.append(t)
        self.closed_s = self._longest_s = self._waiting_s = 0.0

    def _count(self, t: float, read_s: float, closed_s: float) -> None:
        self.short.add(t, read_s, closed_s)
        self.long.add(t, read_s, closed_s)
