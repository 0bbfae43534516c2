"""Which alerts a program in the cab is told of, and when. Pure: all it knows comes with the steps."""

from __future__ import annotations

from collections.abc import Mapping

from edge.config import ProgramConfig
from edge.domain import Kind, Phase, Step, Transition


class Relay:
    """Passes on the chosen steps of episodes.

    Of a kind that does not wake the driver nothing begins at a known standstill: what has begun is told when the
    vehicle moves, and what has ended by then is not told at all.
    """

    def __init__(self, config: ProgramConfig, wakes: Mapping[Kind, bool]) -> None:
        self._config = config
        self._wakes = wakes
        self._told: set[Kind] = set()
        self._held: dict[Kind, list[Transition]] = {}

    def update(self, step: Step) -> list[Transition]:
        """What is to be told after this step."""
        out: list[Transition] = []
        stands = step.context.standstill is True
        if not stands:
            for kind, held in self._held.items():
                self._told.add(kind)
                out += held
            self._held.clear()
        for transition in step.transitions:
            kind = transition.kind
            if transition.phase is Phase.END:
                if kind in self._told:
                    out += [*self._held.pop(kind, []), transition]
                self._held.pop(kind, None)
                self._told.discard(kind)
            elif stands and not self._wakes.get(kind, False):
                self._held.setdefault(kind, []).append(transition)
            else:
                self._told.add(kind)
                out.append(transition)
        return [each for each in out if self._is_chosen(each)]

    def _is_chosen(self, transition: Transition) -> bool:
        return self._config.takes(transition.kind, transition.level) and transition.phase in self._config.phases
