"""What the service is told while it runs: commands over MQTT, and to read its configuration again."""

from __future__ import annotations

import logging
from collections.abc import Callable

from edge.board.notify import Notifier
from edge.cab.presses import Press
from edge.config import Config
from edge.decision.alerts import AlertsConfig
from edge.domain import Kind
from edge.errors import EvenkeelError
from edge.mqtt.commands import Command
from edge.mqtt.messages import CommandName
from edge.service.ports import Memory, Outlet, Steps
from edge.service.silence import Silence, SilenceRefusedError

_log = logging.getLogger(__name__)

RELOADABLE = ("quality", "alerts", "baseline", "states")
"""Sections that a reload changes while the service runs; the others wait for a restart. Of ``alerts`` what says of whom
anything is told and judged at all (``shadow``, ``enabled``) waits too: what was set up for it at the start stays."""


class Orders:
    """Obeys commands and reloads, between two frames.

    ``reload`` reads the configuration again and raises EvenkeelError where it is wrong. ``memory`` keeps the driver's
    resting face over a restart. ``config`` is what holds now. ``renamed`` is True once a reload has given the device
    another name: then all that speaks under the old one must end, and begin anew with ``config``.
    """

    def __init__(
        self,
        config: Config,
        *,
        pipeline: Steps,
        publisher: Outlet,
        notifier: Notifier,
        memory: Memory,
        reload: Callable[[], Config],
        clock: Callable[[], float],
    ) -> None:
        self.config = config
        self._pipeline = pipeline
        self._publisher = publisher
        self._notifier = notifier
        self._memory = memory
        self._reload = reload
        self._clock = clock
        self._silence = Silence(config.publish.max_pause_s, config.publish.max_pause_hourly_s)
        self.renamed = False

    def obey_commands(self) -> None:
        """Do what has been asked over MQTT, and answer."""
        while (command := self._publisher.poll_command()) is not None:
            ok, message = self.ask(command)
            self._publisher.answer(command, ok=ok, message=message)

    def ask(self, command: Command) -> tuple[bool, str]:
        """Do what anybody asks for, a sender of commands, a button or a page; whether it was done, and what or why not.

        All of them share what silence there may be.
        """
        try:
            ok, message = self._obey(command)
        except SilenceRefusedError as error:
            ok, message = False, str(error)
        _log.info("command %s: %s", command.name, message)
        return ok, message

    def press(self, press: Press, *, paused: bool) -> None:
        """Do what the driver's button means: short acknowledges, long pauses, and ends the pause where there is one."""
        config = self.config
        if press is Press.SHORT:
            command = Command(CommandName.ACKNOWLEDGE)
        elif paused:
            command = Command(CommandName.RESUME)
        else:
            command = Command(CommandName.PAUSE, min(config.cab.button.pause_s, config.publish.max_pause_s))
        _log.info("button: %s press", press)
        self.ask(command)

    def reload(self, *, started: bool = True) -> tuple[bool, str]:
        """Read the configuration again; where it is wrong keep the old one and say why.

        A service that has not ``started`` yet is not called ready after it.
        """
        self._notifier.reloading()
        try:
            fresh = self._reload()
        except EvenkeelError as error:
            _log.error("reload refused, the old configuration stays: %s", error)
            self._say_ready(started)
            return False, f"the old configuration stays: {error}"
        renamed = _name(fresh) != _name(self.config)
        if not renamed:  # else it is for who begins under the new name to be ready
            self._say_ready(started)
        before = self.config
        changed = {name: getattr(fresh, name) for name in RELOADABLE}
        changed["alerts"], later = _reloaded(fresh.alerts, before.alerts)
        self.config = before.model_copy(update=changed)
        message = "reloaded"
        if renamed:
            mqtt = before.mqtt.model_copy(update={"prefix": fresh.mqtt.prefix})
            self.config = self.config.model_copy(update={"device": fresh.device, "mqtt": mqtt})
            self.renamed = True
            message += f"; {_name(before)} ends here and continues as {_name(fresh)}"
        else:
            self._pipeline.reconfigure(self.config)
        now = self.config
        later += [key for key in Config.model_fields if key != "alerts" and getattr(fresh, key) != getattr(now, key)]
        if later:
            message += f"; takes effect after a restart: {', '.join(later)}"
        _log.info("%s", message)
        return True, message

    def _say_ready(self, started: bool) -> None:  # noqa: FBT001 - as in ``reload``
        if started:
            self._notifier.ready()

    def _obey(self, command: Command) -> tuple[bool, str]:
        now, decider = self._clock(), self._pipeline.decider
        match command.name:
            case CommandName.PAUSE:
                seconds = command.seconds or 0.0
                self._silence.pause(now, seconds)
                decider.pause(now, seconds)
                return True, f"paused for {seconds:g} s"
            case CommandName.RESUME:
                self._silence.resume(now)
                decider.resume(now)
                return True, "resumed"
            case CommandName.RECALIBRATE:
                if not self.config.baseline.enabled:
                    return False, "no resting face is learned here (baseline.enabled = false)"
                self._silence.recalibrate(now)
                decider.recalibrate()
                self._memory.clear()
                return True, "the driver's resting face is learned anew"
            case CommandName.ACKNOWLEDGE:
                return self._acknowledge(now, command.kind)
            case CommandName.RELOAD:
                return self.reload()

    def _acknowledge(self, now: float, kind: Kind | None) -> tuple[bool, str]:
        decider = self._pipeline.decider
        if not decider.unacknowledged(kind):
            return False, f"no alert{f' of {kind}' if kind else ''} waits to be acknowledged"
        self._silence.acknowledge(now)
        return True, f"acknowledged: {', '.join(decider.acknowledge(kind))}"


def _reloaded(fresh: AlertsConfig, before: AlertsConfig) -> tuple[AlertsConfig, list[str]]:
    """What of ``fresh`` holds from a reload on, and the keys that wait for a restart."""
    later = ["alerts.shadow"] if fresh.shadow != before.shadow else []
    later += [f"alerts.{kind}.enabled" for kind in fresh.kinds if fresh.of(kind).enabled != before.of(kind).enabled]
    kinds = {
        kind: settings.model_copy(update={"enabled": before.of(kind).enabled}) for kind, settings in fresh.kinds.items()
    }
    return fresh.model_copy(update={"shadow": before.shadow, "kinds": kinds}), later


def _name(config: Config) -> str:
    """What stands in front of the device's topics."""
    return f"{config.mqtt.prefix}/{config.device.id}"
