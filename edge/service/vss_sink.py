"""The sink for a KUKSA databroker: what COVESA's Vehicle Signal Specification names, and an overlay for the rest.

Nothing is pressed into a leaf that means something else: anger and distress go to leaves of our own
(``edge/service/vss``), which a databroker without the overlay is not told.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
from kuksa_client.grpc import DataEntry, Datapoint, DataType, EntryUpdate, Field, Metadata, VSSClient, VSSClientError

from edge.config.vss import VssConfig
from edge.domain import State, Step
from edge.errors import ConfigError, UnavailableError
from edge.service.health import Health, SinkHealth
from edge.service.sinks import Worker

ENABLED = "Vehicle.ADAS.DMS.IsEnabled"
WARNING = "Vehicle.ADAS.DMS.IsWarning"
ERROR = "Vehicle.ADAS.DMS.IsError"
FATIGUE_LEVEL = "Vehicle.Driver.FatigueLevel"
OVERLAY = "Vehicle.ADAS.DMS.Evenkeel"

CALL_S = 1.0
"""Longest wait for one answer of the databroker, seconds."""
PERIOD_S = 1.0
"""Levels are told anew this often, seconds, so that their timestamps say how old they are."""
RETRY_S = 5.0
"""Pause before a databroker that could not be reached is tried again, seconds."""

Value = bool | float | str


def values_of(step: Step) -> dict[str, Value]:
    """What a step says, by the leaves' names. A level that cannot be read now is left out."""
    kinds = step.signals.kinds
    values: dict[str, Value] = {
        ENABLED: step.state.watching,
        WARNING: any(judged.level is not None for judged in kinds.values()),
        ERROR: step.state is State.BLIND,
        f"{OVERLAY}.State": str(step.state),
    }
    for kind, judged in kinds.items():
        leaf = FATIGUE_LEVEL if kind == "fatigue" else f"{OVERLAY}.{kind.title().replace('_', '')}Level"
        if judged.readable:
            values[leaf] = round(100 * judged.signal, 1)
    return values


class VssSink:
    """Tells the databroker what changes at once, and the levels each PERIOD_S, in a thread of its own.

    Raises:
        ConfigError: a file of [vss] cannot be read.
    """

    name = "vss"
    outward = True

    def __init__(self, config: VssConfig, clock: Callable[[], float]) -> None:
        self._broker = Databroker(config)
        self._clock = clock
        self._lock = threading.Lock()
        self._wanted: dict[str, Value] = {}
        self._words: dict[str, Value] = {}
        self._told_t = self._tried_t = float("-inf")
        self._worker: Worker[Callable[[], None]] = Worker(self.name, lambda tell: tell())

    @property
    def health(self) -> SinkHealth:
        """Why the databroker is not told; values that a newer one overtakes are not lost."""
        return SinkHealth(0, self._worker.health.problem or self._broker.lacks)

    def take(self, step: Step) -> None:
        """Have told what is new."""
        values = values_of(step)
        words: dict[str, Value] = {leaf: value for leaf, value in values.items() if not isinstance(value, float)}
        now = self._clock()
        if self._worker.health.problem is not None and now - self._tried_t < RETRY_S:
            return
        if words != self._words or now - self._told_t >= PERIOD_S:
            self._words, self._told_t, self._tried_t = words, now, now
            self._want(values)

    def probe(self, health: Health) -> None:
        """The databroker has no leaf for it."""

    def close(self) -> None:
        """Say that nobody is watched any more; nothing where nothing was said, as in shadow mode."""
        if self._words:
            self._want({ENABLED: False, WARNING: False})
        self._worker.close()
        self._broker.close()

    def _want(self, values: dict[str, Value]) -> None:
        """What waits is overtaken by what is newer."""
        with self._lock:
            waits = bool(self._wanted)
            self._wanted |= values
        if not waits:
            self._worker.put(self._tell)

    def _tell(self) -> None:
        with self._lock:
            values, self._wanted = self._wanted, {}
        self._broker.tell(values)


class Databroker:
    """One connection, opened where it is needed; each leaf's type is asked for once."""

    def __init__(self, config: VssConfig) -> None:
        self._where = f"databroker {config.host}:{config.port}"
        token = None if config.token_file is None else _read(config.token_file, "token_file").strip()
        if config.ca_file is not None:
            _read(config.ca_file, "ca_file")
        self._make: Callable[[], VSSClient] = lambda: VSSClient(
            config.host, config.port, token=token, root_certificates=config.ca_file, ensure_startup_connection=False
        )
        self._client: VSSClient | None = None
        self._types: dict[str, DataType | None] = {}

    @property
    def lacks(self) -> str | None:
        """Which leaves it does not have; None where it has all."""
        missing = sorted(leaf for leaf, kind in dict(self._types).items() if kind is None)
        if not missing:
            return None
        remedy = (
            "load the overlay evenkeel.json beside its own file" if any(OVERLAY in each for each in missing) else ""
        )
        return f"{self._where} has no {', '.join(missing)}; {remedy or 'load a newer Vehicle Signal Specification'}"

    def tell(self, values: dict[str, Value]) -> None:
        """Publish values.

        Raises:
            UnavailableError: it cannot be reached, or refuses them.
        """
        try:
            if self._client is None:
                self._client = self._make()
                self._client.connect()
            self._learn(self._client, values)
            updates = [
                EntryUpdate(
                    DataEntry(leaf, value=Datapoint(value), metadata=Metadata(data_type=self._types[leaf])),
                    (Field.VALUE,),
                )
                for leaf, value in values.items()
                if self._types[leaf] is not None
            ]
            if updates:
                self._client.set(updates, try_v2=True, timeout=CALL_S)
        except (VSSClientError, grpc.RpcError, OSError) as error:
            self.close()
            self._types.clear()
            raise UnavailableError(f"{self._where}: {_why(error)}; check [vss] and `systemctl status` of it") from error

    def close(self) -> None:
        """Hang up."""
        if self._client is not None:
            self._client.disconnect()
            self._client = None

    def _learn(self, client: VSSClient, values: dict[str, Value]) -> None:
        for leaf in values:
            if leaf in self._types:
                continue
            try:
                self._types[leaf] = client.get_value_types([leaf], timeout=CALL_S)[leaf]
            except (VSSClientError, KeyError) as error:
                if not _is_missing(error):
                    raise
                self._types[leaf] = None


def _is_missing(error: Exception) -> bool:
    codes = (404, grpc.StatusCode.NOT_FOUND.value[0])
    return isinstance(error, KeyError) or (isinstance(error, VSSClientError) and error.error.get("code") in codes)


def _why(error: Any) -> str:
    if isinstance(error, VSSClientError):
        error = error.error.get("message") or error.error.get("reason") or "refused"
    return " ".join(str(error).split())[:200]


def _read(path: Path, key: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        raise ConfigError(f"vss.{key}: {path}: {reason}") from None
