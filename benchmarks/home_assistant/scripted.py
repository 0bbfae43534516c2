"""A device that says just what it is told to: the contract's messages from nowhere."""

from __future__ import annotations

import itertools

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from benchmarks.messages import made_alert, made_state
from edge.config import Config
from edge.domain import Level, Phase
from edge.mqtt.discovery import descriptions
from edge.mqtt.messages import AlertMessage, Topics
from edge.mqtt.sending import ONLINE
from edge.service.loop import board_stamp


class Scripted:
    """Connected and described from the start."""

    def __init__(self, name: str, port: int) -> None:
        config = Config.model_validate({"device": {"id": name}})
        self._name = name
        self._topics = Topics(config.mqtt.prefix, name)
        self._numbers = itertools.count(1)
        self._client = paho.Client(CallbackAPIVersion.VERSION2)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        for topic, told in descriptions(config, "0").items():
            self._say(topic, told, retain=True)
        self._say(self._topics.availability, ONLINE, retain=True)
        self._say(self._topics.state, made_state(board_stamp()).payload(), retain=True)

    def close(self) -> None:
        """Disconnect."""
        self._client.disconnect()
        self._client.loop_stop()

    def alert(self, reason: str, *, level: Level = Level.WARNING, phase: Phase = Phase.START) -> AlertMessage:
        """Say the next alert, of an episode of its own."""
        made = made_alert(board_stamp(), reason, phase=phase, sequence=next(self._numbers), device_id=self._name)
        alert = made.model_copy(update={"level": level})
        self.repeat(alert)
        return alert

    def go_on(self, alert: AlertMessage, reason: str, *, level: Level, phase: Phase) -> AlertMessage:
        """Say the next step of an episode."""
        changed = {"reason": reason, "level": level, "phase": phase, "sequence": next(self._numbers)}
        step = alert.model_copy(update=changed)
        self.repeat(step)
        return step

    def repeat(self, alert: AlertMessage) -> None:
        """Say it, be it for the first time or again."""
        self._say(self._topics.alert, alert.payload())

    def _say(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        self._client.publish(topic, payload, qos=1, retain=retain).wait_for_publish(10)
