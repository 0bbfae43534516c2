"""What a renamed device does about its former names, beside its work."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from types import TracebackType

from edge.compat import Self
from edge.config import Config
from edge.errors import EvenkeelError
from edge.mqtt.identity import Identity, IdentityFile
from edge.mqtt.retire import retire

_log = logging.getLogger(__name__)

FIRST_PAUSE_S, LONGEST_PAUSE_S = 60.0, 3600.0


class Retirements:
    """Clears at the broker what is retained under the device's former names; used as a context manager.

    It works in a thread of its own, over a connection of its own, and tries again until the broker has forgotten them.
    """

    def __init__(
        self,
        config: Config,
        file: IdentityFile,
        environ: Mapping[str, str],
        *,
        clear: Callable[..., object] = retire,
        first_pause_s: float = FIRST_PAUSE_S,
    ) -> None:
        self._config = config
        self._file = file
        self._environ = environ
        self._clear = clear
        self._pause_s = first_pause_s
        own = Identity.of(config)
        self._keep = own.retained
        self._former = file.remember(own)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="retirements", daemon=True)

    def __enter__(self) -> Self:
        if self._former:
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the rest for the next start; a connection under way ends with the process."""
        self._stopped.set()

    def _run(self) -> None:
        said: dict[Identity, str] = {}
        while self._former and not self._stopped.is_set():
            for gone in tuple(self._former):
                try:
                    self._clear(self._config, self._environ, gone, keep=self._keep)
                except EvenkeelError as error:
                    if said.get(gone) != str(error):
                        _log.warning("former name %s is not cleared yet: %s", gone.name, error)
                    said[gone] = str(error)
                    continue
                _log.info("former name %s: cleared from the broker", gone.name)
                self._former.remove(gone)
                self._file.forget(gone)
            self._stopped.wait(self._pause_s)
            self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)
