"""How many frames a second a board bears: fewer while it is hot, all again once it has cooled. Pure."""

from __future__ import annotations

from edge.board.sensors import Heat
from edge.config import HeatConfig


class RateLimit:
    """``fps`` is what may be processed: the full rate, lowered by steps that follow each other by ``down_s`` at least.

    Hot is ``hot_c`` or more, or a board that throttles itself; cool is ``cool_c`` or less without throttling. What lies
    between, and a board that cannot tell, changes nothing; so heat that the lower rate has just mended does not bring
    the higher rate back at once.
    """

    def __init__(self, config: HeatConfig, fps: float) -> None:
        self._config = config
        self._full_fps = fps
        self._least_fps = min(config.min_fps, fps)
        self._steps = 0
        self._stepped_t = float("-inf")
        self._cool_t: float | None = None

    @property
    def fps(self) -> float:
        """Frames a second that may be processed now."""
        return max(self._least_fps, self._full_fps * self._config.step**self._steps)

    @property
    def lowered(self) -> bool:
        """Whether that is less than the full rate."""
        return self._steps > 0

    def update(self, t: float, heat: Heat) -> bool:
        """Take in a reading at ``t`` (monotonic seconds); True where it has changed ``fps``, by one step."""
        if self._is_cool(heat):
            self._cool_t = t if self._cool_t is None else self._cool_t
        else:
            self._cool_t = None
        if self._is_hot(heat) and self.fps > self._least_fps and t - self._stepped_t >= self._config.down_s:
            return self._step(t, 1)
        if self._steps and self._cool_t is not None and t - max(self._cool_t, self._stepped_t) >= self._config.up_s:
            return self._step(t, -1)
        return False

    def _is_hot(self, heat: Heat) -> bool:
        return bool(heat.throttled) or (heat.temperature_c is not None and heat.temperature_c >= self._config.hot_c)

    def _is_cool(self, heat: Heat) -> bool:
        if heat.throttled or (heat.temperature_c is None and heat.throttled is None):
            return False
        return heat.temperature_c is None or heat.temperature_c <= self._config.cool_c

    def _step(self, t: float, by: int) -> bool:
        self._steps += by
        self._stepped_t = t
        return True
