"""How long a browser may take, and which connection goes where there are too many: uvicorn's HTTP, with an end to it.

uvicorn ends a connection that is idle after an answer, and no other: one that sends a letter a minute, or reads
nothing, could keep its place for ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

ASK_S = 10.0
"""Longest time from the connection, or from the first byte after an answer, to the end of a request with its body."""
READ_S = 20.0
"""Longest time in which a browser reads nothing of what waits for it."""
MOST = 300
"""Connections at once. Who comes then has the place of the one that has been about to ask for longest."""


class Patience:
    """Makes the connections' protocols; ``cut`` hears why one was ended: ``ask``, ``read`` or ``crowd``."""

    def __init__(
        self,
        cut: Callable[[str], None] = lambda _: None,
        *,
        ask_s: float = ASK_S,
        read_s: float = READ_S,
        most: int = MOST,
    ) -> None:
        self.ask_s = ask_s
        self.read_s = read_s
        self.most = most
        self._cut = cut
        self._asking: dict[_Connection, None] = {}
        self._count = 0

    def protocol(self, *args: Any, **named: Any) -> asyncio.Protocol:
        """A new connection's, as uvicorn makes one."""
        return _Connection(self, *args, **named)

    def came(self) -> None:
        """There is one connection more; where that is one too many, another goes."""
        self._count += 1
        if self._count > self.most and self._asking:
            self.end(next(iter(self._asking)), "crowd")

    def went(self, connection: _Connection) -> None:
        """There is one less."""
        self._count -= 1
        self._asking.pop(connection, None)

    def asks(self, connection: _Connection, *, still: bool) -> None:
        """A connection has not asked for anything whole yet, or now it has."""
        if still:
            self._asking[connection] = None
        else:
            self._asking.pop(connection, None)

    def end(self, connection: _Connection, why: str) -> None:
        """Close it at once, whatever waits to be sent."""
        self._asking.pop(connection, None)
        self._cut(why)
        connection.transport.abort()


class _Connection(H11Protocol):
    def __init__(self, patience: Patience, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._patience = patience
        self._deadlines: dict[str, asyncio.TimerHandle] = {}

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect_request()
        self._patience.came()

    def connection_lost(self, exc: Exception | None) -> None:
        for name in list(self._deadlines):
            self._settle(name)
        self._patience.went(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._is_asking():
            self._expect_request()
        else:
            self._settle("ask")
            self._patience.asks(self, still=False)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        # where it idles now, uvicorn ends that; but it may go before others
        self._patience.asks(self, still=self._is_asking())

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        self._expect("read", self._patience.read_s)  # what waits to be sent is waited for no longer than that

    def pause_writing(self) -> None:
        super().pause_writing()
        self._expect("read", self._patience.read_s)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._settle("read")

    def _is_asking(self) -> bool:
        """Whether the request that is under way is not whole, or there is none."""
        cycle = self.cycle
        return cycle is None or cycle.response_complete or cycle.more_body

    def _expect_request(self) -> None:
        self._patience.asks(self, still=True)
        self._expect("ask", self._patience.ask_s)

    def _expect(self, what: str, within_s: float) -> None:
        if what not in self._deadlines:
            self._deadlines[what] = self.loop.call_later(within_s, self._patience.end, self, what)

    def _settle(self, what: str) -> None:
        deadline = self._deadlines.pop(what, None)
        if deadline is not None:
            deadline.cancel()
