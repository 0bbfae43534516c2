"""An MQTT broker inside this process, for the demo and for tests: amqtt (MQTT 3.1.1) on a free loopback port."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from types import TracebackType

from edge.compat import Self
from edge.errors import UnavailableError

START_S = 10.0
STOP_S = 5.0


class EmbeddedBroker:
    """A broker with an event loop and a thread of its own; used as a context manager. ``port`` is set on entry.

    Everybody on this machine may connect, nobody else can: it listens on 127.0.0.1 only. Port 0 stands for a free one.

    Raises:
        UnavailableError: amqtt is not installed, or the broker does not start.
    """

    host = "127.0.0.1"

    def __init__(self, port: int = 0) -> None:
        self.port = port
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._serve, name="broker", daemon=True)
        self._ready = threading.Event()
        self._stop = asyncio.Event()
        self._fault: Exception | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._ready.wait(START_S):
            raise UnavailableError(f"the embedded broker did not start within {START_S:g} s")
        if self._fault is not None:
            raise self._fault
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(STOP_S)

    def _serve(self) -> None:
        try:
            asyncio.run(self._run())
        except UnavailableError as error:
            self._fault = error
        except Exception as error:  # noqa: BLE001 - whatever it is, the thread that waits must hear of it
            self._fault = UnavailableError(f"the embedded broker failed: {error}")
        finally:
            self._ready.set()

    async def _run(self) -> None:
        try:
            from amqtt.broker import Broker  # noqa: PLC0415 - an extra, needed nowhere else
        except ImportError:
            raise UnavailableError("the demo's broker needs the package amqtt: pip install 'evenkeel[demo]'") from None
        for name in ("amqtt", "transitions"):  # their reports of every connection would drown the demo's own words
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self.port = self.port or _free_port(self.host)
        broker = Broker(
            {
                "listeners": {"default": {"type": "tcp", "bind": f"{self.host}:{self.port}"}},
                "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
            }
        )
        await broker.start()
        self._loop = asyncio.get_running_loop()
        self._ready.set()
        await self._stop.wait()
        await broker.shutdown()


def _free_port(host: str) -> int:
    """A port that nobody uses now. Another process may take it in the meantime; amqtt then says so."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])
