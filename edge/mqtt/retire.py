"""Clears what a broker retains of a device that is no more: its topics, and its description for Home Assistant."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterable, Mapping

from edge.config import Config, DeviceConfig
from edge.config.schema import TOPIC_PART
from edge.errors import UnavailableError, UsageError
from edge.mqtt.exclusive import claim_device
from edge.mqtt.extras import Reply
from edge.mqtt.identity import Identity
from edge.mqtt.messages import Topics
from edge.mqtt.names import client_id
from edge.mqtt.one_shot import Emptying, Errand
from edge.mqtt.sending import ONLINE
from edge.mqtt.session import Answer, Delivery, Session

LISTEN_S = 2.0
"""So long the broker is listened to for what it retains: it sends that at once, but there is no sign of its end."""

LISTENING = Delivery("the subscription to what is retained")

_log = logging.getLogger(__name__)


class Retirement(Errand):
    """Listens to what the broker retains of a device, then clears that and whatever this version retains."""

    def __init__(
        self, config: Config, environ: Mapping[str, str], gone: Identity, *, keep: Iterable[str], force: bool
    ) -> None:
        self._emptying = Emptying()
        super().__init__(config, environ, client_id(config, "retire"), self._emptying)
        self._gone = gone
        self._availability = Topics(gone.prefix, gone.device_id).availability
        self._keep = frozenset(keep)
        self._force = force
        self._found: dict[str, None] = {}
        self._is_online = False
        self._listen_until: float | None = None

    @property
    def cleared(self) -> int:
        """How many topics the broker was told to forget."""
        return self._emptying.cleared

    def established(self, session: Session) -> None:
        """Ask what is retained below the device's name."""
        super().established(session)
        self._listen_until = time.monotonic() + LISTEN_S
        session.subscribe(LISTENING, [f"{self._gone.name}/#", self._availability], retained=True)

    def acknowledged(self, delivery: Delivery, answer: Answer) -> None:
        """As every errand does; a broker that lets nobody listen may still let somebody clear."""
        if delivery != LISTENING:
            super().acknowledged(delivery, answer)
        elif answer.refused:
            _log.warning("the broker refuses to tell what it retains of %s: %s", self._gone.name, answer.text)

    def received(self, topic: str, payload: bytes, *, retained: bool, reply: Reply | None = None) -> None:
        """Note what is retained, and whether the device is there; what else is said meanwhile stays nowhere."""
        del reply
        if topic == self._availability:
            self._is_online = payload == ONLINE
        if retained and payload:
            self._found[topic] = None

    def pump(self, session: Session) -> None:
        """Listen for a while; then send what clears it all."""
        if self._listen_until is not None:
            if time.monotonic() < self._listen_until:
                return
            self._listen_until = None
            self._decide()
        super().pump(session)

    def _decide(self) -> None:
        if self._is_online and not self._force:
            self._refusal = f"{self._gone.name} is online: nothing was cleared; stop it first, or use --force"
            return
        left_behind = dict.fromkeys((*self._gone.retained, *self._found))
        self._emptying.add([topic for topic in left_behind if topic not in self._keep])


def retire(
    config: Config, environ: Mapping[str, str], gone: Identity, *, keep: Iterable[str] = (), force: bool = False
) -> int:
    """Have the configured broker forget a device, but for the topics to ``keep``; return how many were cleared.

    Where the device is ``online``, somebody speaks under its name: nothing is cleared unless that is asked for by
    ``force``. Where the access list lets nobody listen, the topics that this version retains are cleared unseen.

    Raises:
        ConfigError, UnavailableError: as in ``Errand``, or the device is online.
    """
    errand = Retirement(config, environ, gone, keep=keep, force=force)
    errand.run()
    return errand.cleared


def retire_device(
    config: Config, environ: Mapping[str, str], device_id: str | None = None, *, force: bool = False
) -> tuple[Identity, int]:
    """What ``evenkeel retire`` does: clear the configured device, or the one called ``device_id`` at the same broker.

    Raises:
        UsageError: no device can have that id.
        ConfigError, UnavailableError: as in ``retire``, or a process of this machine speaks for the device.
    """
    if device_id is not None:
        if re.fullmatch(TOPIC_PART, device_id) is None:
            raise UsageError(f"--device {device_id}: letters, digits, '_', '.' and '-' make a device.id, 64 at most")
        config = config.model_copy(update={"device": DeviceConfig(id=device_id)})
    # described or not by this configuration, an earlier one may have had it described
    described = config.model_copy(update={"discovery": config.discovery.model_copy(update={"enabled": True})})
    gone = Identity.of(described)
    with claim_device(config) as holder:
        if holder is not None:
            raise UnavailableError(
                f"{gone.name} is in use by {holder}; stop that first (the service: `sudo systemctl stop evenkeel`)"
            )
        return gone, retire(config, environ, gone, force=force)
