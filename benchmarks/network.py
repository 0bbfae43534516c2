"""A network that can fail: a TCP forwarder for each device, which cuts, falls silent, and lets nobody through."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class Link:
    """One device's way to the broker. All of it runs on the network's event loop."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._open = True
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._transports: set[asyncio.WriteTransport] = set()
        self._server: asyncio.Server | None = None

    async def listen(self) -> int:
        """Start; return the port for the device."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    def cut(self) -> None:
        """Reset every connection; what was on the way is lost, in the middle of a packet if need be."""
        for transport in self._transports:
            transport.abort()

    def shut(self) -> None:
        """Cut, and let nobody through until ``open``."""
        self._open = False
        self.cut()

    def hush(self) -> None:
        """Swallow nothing and deliver nothing until ``open``: a vehicle in a tunnel."""
        self._flowing.clear()

    def open(self) -> None:
        """Let devices through, and what was held back in silence as well."""
        self._open = True
        self._flowing.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._open:
            writer.transport.abort()
            return
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
        except OSError:
            writer.transport.abort()
            return
        ends = {writer.transport, far_writer.transport}
        self._transports |= ends
        await asyncio.gather(self._pump(reader, far_writer), self._pump(far_reader, writer))
        self._transports -= ends

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(4096):
                await self._flowing.wait()
                writer.write(data)
                await writer.drain()
        except OSError:
            return  # cut: the other direction ends in the same way
        finally:
            writer.close()


class Network:
    """Links on an event loop in a thread of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name="network", daemon=True).start()

    def link(self, target_port: int) -> tuple[Link, int]:
        """A new link to the broker, and the port that its device uses."""
        link = self._wait(self._make(target_port))
        return link, self._wait(link.listen())

    def do(self, action: Callable[[], None]) -> None:
        """Call a link's method on the loop and return when it is done."""
        self._wait(_called(action))

    @staticmethod
    async def _make(target_port: int) -> Link:
        return Link(target_port)

    def _wait(self, action: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(action, self._loop).result(10)


async def _called(action: Callable[[], None]) -> None:
    action()
