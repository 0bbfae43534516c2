"""Figures served for Prometheus, at an address that has to be free."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.errors import UnavailableError

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry


class Scraped:
    """Serves ``registry`` at ``http://<address>:<port>/metrics`` until ``close``; ``told`` is what the user has set.

    Raises:
        UnavailableError: the address is taken.
    """

    def __init__(self, address: tuple[str, int], registry: CollectorRegistry, told: str) -> None:
        from prometheus_client import start_http_server  # noqa: PLC0415 - an extra

        host, port = address
        try:
            self._server, self._thread = start_http_server(port, host, registry)
        except OSError as error:
            raise UnavailableError(
                f"{told} {host}:{port}: cannot be served: {error.strerror or error}; choose another port"
            ) from None

    @property
    def port(self) -> int:
        """Where it is served."""
        return int(self._server.server_address[1])

    def close(self) -> None:
        """Serve no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
