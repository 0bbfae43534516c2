"""An alert as a program in the cab gets it: the contract's, without what only receivers need."""

from __future__ import annotations

import os
from collections.abc import Callable

from edge.domain import Context, Stamp, Transition
from edge.episodes import ENTROPY_BYTES, Episodes
from edge.mqtt.messages import ModelsPart, alert_message

LEFT_OUT = {"id", "epoch", "sequence", "resent", "models"}
"""Numbers and ids are given where alerts are stored for the broker, which a program in the cab does not wait for."""


class AlertText:
    """Writes steps of episodes as one line of JSON each."""

    def __init__(self, device_id: str, stamp: Callable[[], Stamp]) -> None:
        self._device_id = device_id
        self._stamp = stamp
        self._episodes = Episodes(lambda: os.urandom(ENTROPY_BYTES))

    def __call__(self, transition: Transition, context: Context) -> bytes:
        """One step of an episode, and what is known of the vehicle meanwhile."""
        stamp = self._stamp()
        message = alert_message(
            transition,
            episode=self._episodes.of(transition, stamp.time),
            device_id=self._device_id,
            stamp=stamp,
            models=ModelsPart(face="", expression=""),
            context=context,
        )
        return message.model_dump_json(exclude=LEFT_OUT).encode() + b"\n"
