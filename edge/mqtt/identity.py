"""Under which names this device has spoken, so that a renamed one leaves nothing retained behind."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edge.board.kept import KeptFile
from edge.compat import Self
from edge.config import Config
from edge.mqtt.discovery import discovery_topic, part_topics
from edge.mqtt.messages import Topics
from edge.mqtt.security import is_loopback

KEPT = 16
"""Former names that are remembered at most, the newest."""

_log = logging.getLogger(__name__)


class Identity(BaseModel):
    """The names that decide which topics are a device's. ``broker``: host:port.

    ``description``: where one message described it to Home Assistant; the parts' topics are made of that.
    """

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)

    broker: str
    prefix: str
    device_id: str
    description: str | None

    @classmethod
    def of(cls, config: Config) -> Self:
        """What ``config`` calls the device."""
        host = config.mqtt.host.lower().rstrip(".")
        return cls(
            broker=f"{'localhost' if is_loopback(host) else host}:{config.mqtt.port}",
            prefix=config.mqtt.prefix,
            device_id=config.device.id,
            description=discovery_topic(config) if config.discovery.enabled else None,
        )

    @property
    def name(self) -> str:
        """What stands in front of its topics."""
        return f"{self.prefix}/{self.device_id}"

    @property
    def retained(self) -> tuple[str, ...]:
        """Every topic of it that this version retains."""
        described = () if self.description is None else (self.description, *part_topics(self.description))
        return *Topics(self.prefix, self.device_id).retained, *described


class _Stored(BaseModel):
    model_config = ConfigDict(strict=True)

    version: Literal[1] = Field(alias="schema", default=1)
    own: Identity
    former: tuple[Identity, ...] = ()


class IdentityFile:
    """Remembers beside an outbox whose it is. A fault of the disk is logged once; alerts do not need the file."""

    def __init__(self, outbox: Path) -> None:
        path = outbox.with_name(f"{outbox.name}.identity")
        self._file = KeptFile(path, _log, "a changed device.id would leave its old topics behind")

    def remember(self, own: Identity) -> list[Identity]:
        """Note under which name the device speaks from now on; return the former ones whose topics are left behind."""
        stored = self._load()
        if stored is None:
            self._save(_Stored(own=own))
            return []
        known = dict.fromkeys((*stored.former, stored.own))
        former = [one for one in known if one.broker != own.broker or not set(one.retained) <= set(own.retained)]
        for elsewhere in [one for one in former if one.broker != own.broker]:
            _log.warning(
                "this device was %s at %s, whose broker still retains its topics; `evenkeel retire` with the "
                "old configuration clears them",
                elsewhere.name,
                elsewhere.broker,
            )
        former = [one for one in former if one.broker == own.broker][-KEPT:]
        if (fresh := _Stored(own=own, former=tuple(former))) != stored:
            self._save(fresh)
        return former

    def forget(self, gone: Identity) -> None:
        """Nothing is left behind of a former name."""
        if (stored := self._load()) is not None:
            former = tuple(one for one in stored.former if one != gone)
            self._save(_Stored(own=stored.own, former=former))

    def _load(self) -> _Stored | None:
        content = self._file.read()
        if content is None:
            return None
        try:
            return _Stored.model_validate_json(content)
        except ValidationError:
            _log.warning("%s: damaged or of another version; writing it anew", self._file.path)
            return None

    def _save(self, stored: _Stored) -> None:
        self._file.replace(stored.model_dump_json(by_alias=True))
