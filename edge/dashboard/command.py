"""``evenkeel dashboard``: the link, the hub and the server, until somebody stops it."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import signal
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn
from starlette.routing import Route

from edge.compat import UTC
from edge.config import Config
from edge.config.listen import host_and_port
from edge.dashboard.doors import Doors
from edge.dashboard.fleet import Fleet
from edge.dashboard.fleet_hub import FleetHub
from edge.dashboard.hubs import Hubs
from edge.dashboard.link import Link
from edge.dashboard.meter import Meter, NoMeter, PrometheusMeter
from edge.dashboard.patience import Patience
from edge.dashboard.server import Pages, no_history
from edge.dashboard.tune.desk import Desk
from edge.dashboard.tune.pages import TunePages, no_traces
from edge.errors import ConfigError, UnavailableError
from edge.mqtt.security import is_loopback

if TYPE_CHECKING:
    from edge.dashboard.archive import Archive
    from edge.dashboard.collecting import Collecting

_log = logging.getLogger(__name__)

STOP_S = 1
HEADER_BYTES = 16_384
HANDSHAKE_S = 10.0
RATES_S = 600.0
"""So often a fleet's rates are read from the database."""


def check_doors(config: Config) -> None:
    """Refuse to be seen from other machines without a password.

    Raises:
        ConfigError: it names the key and the remedy.
    """
    host, _ = config.dashboard.address
    if not is_loopback(host) and not config.dashboard.has_password:
        raise ConfigError(
            f"dashboard.listen = {config.dashboard.listen}: other machines could look without a password; "
            "set one with `evenkeel dashboard --set-password operator`, or listen at 127.0.0.1"
        )


def thresholds(config: Config) -> dict[str, float | None]:
    """The signal at which each judged kind can warn."""
    return {kind: config.alerts.of(kind).warns_at for kind in config.alerts.enabled}


class _Server(uvicorn.Server):
    """uvicorn would end the process by the signal that asked it to stop, before the link has said goodbye.

    And it gives TLS a minute to be agreed on, in which a connection holds a file.
    """

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to whoever runs the server."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen at ``sockets``."""
        config, loop = self.config, asyncio.get_running_loop()

        def protocol() -> asyncio.Protocol:
            made: Callable[..., asyncio.Protocol] = config.http_protocol_class
            return made(config=config, server_state=self.server_state, app_state=self.lifespan.state)

        patience_s = None if config.ssl is None else HANDSHAKE_S
        self.servers = [
            await loop.create_server(protocol, sock=each, ssl=config.ssl, ssl_handshake_timeout=patience_s)
            for each in sockets or ()
        ]
        self.started = True


class Dashboard:
    """Serves the pages of one device, or of a fleet where ``dashboard.fleet`` says so.

    ``know_thresholds``: the configuration is the device's own. ``traces`` is a folder of recorded drives to tune on,
    ``labels`` where marks on them are kept.

    Raises:
        ConfigError: no password where one is needed; credentials or certificates cannot be used.
        UnavailableError: the address cannot be listened at, or there is no such folder.
    """

    def __init__(
        self,
        config: Config,
        environ: Mapping[str, str],
        *,
        know_thresholds: bool = True,
        patience: Patience | None = None,
        traces: Path | None = None,
        labels: Path | None = None,
    ) -> None:
        check_doors(config)
        dashboard = config.dashboard
        _check_certificate(dashboard.cert_file, dashboard.key_file)
        host, port = dashboard.address
        self._local = is_loopback(host)
        if not self._local and dashboard.cert_file is None:
            _log.warning("dashboard.listen = %s without TLS: passwords cross the network readable", dashboard.listen)
        self._metrics = self._served_metrics(dashboard.metrics)
        self._meter: Meter = self._metrics or NoMeter()
        self._patience = patience or Patience(self._meter.cut)
        self._prefix = config.mqtt.prefix
        self._doors = Doors(dashboard, time.monotonic)
        self._desk = None if traces is None else Desk(config, traces, labels)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._link = Link(config, environ, received=self._received, linked=self._linked, fleet=dashboard.fleet)
        self._fleet = Fleet() if dashboard.fleet else None
        self._rows = None if self._fleet is None else FleetHub(self._fleet)
        self._hubs = Hubs(
            config.mqtt.prefix,
            None if dashboard.fleet else config.device.id,
            self._link.watch,
            fleet=self._fleet,
            thresholds=thresholds(config) if know_thresholds and not dashboard.fleet else {},
        )
        self._secure = dashboard.cert_file is not None
        self._socket = _listen(host, port, dashboard.listen)
        self._files = (dashboard.cert_file, dashboard.key_file)
        self._archive, self._collecting = _history(config, environ)
        self._server: uvicorn.Server | None = None

    @property
    def address(self) -> str:
        """What a browser on this machine is to be given."""
        host, port = self._socket.getsockname()[:2]
        name = f"[{host}]" if ":" in host else host
        return f"{'https' if self._secure else 'http'}://{'127.0.0.1' if _is_any(host) else name}:{port}/"

    def run(self, ready: Callable[[], None] = lambda: None) -> None:
        """Serve until ``stop``, SIGTERM or SIGINT; ``ready`` is called once it does."""
        asyncio.run(self._run(ready))

    def stop(self) -> None:
        """Ask for the end; from any thread."""
        self._soon(self._close_streams)  # an open stream would hold up the end
        if self._server is not None:
            self._server.should_exit = True

    def _close_streams(self) -> None:
        self._hubs.close()
        if self._rows is not None:
            self._rows.close()
        if self._desk is not None:
            self._desk.end_streams()

    async def _run(self, ready: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        pages = Pages(
            self._hubs, self._doors, self._link.command, secure=self._secure, rows=self._rows, meter=self._meter
        )
        cert, key = self._files
        settings = uvicorn.Config(
            pages.app(local=self._local and not self._doors.locked, more=self._more(pages)),
            lifespan="off",
            log_config=None,
            log_level="error",  # what strangers send is no news
            access_log=False,
            server_header=False,
            proxy_headers=False,
            h11_max_incomplete_event_size=HEADER_BYTES,
            http=self._patience.protocol,  # type: ignore[arg-type]  # what makes one serves as well as a class
            ws="none",
            timeout_graceful_shutdown=STOP_S,
            ssl_certfile=cert,
            ssl_keyfile=key,
        )
        self._server = _Server(settings)
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._loop.add_signal_handler(number, self.stop)
        self._link.start()
        if self._collecting is not None:
            self._collecting.start()
        rates = None
        if self._archive is not None and self._fleet is not None and self._rows is not None:
            rates = asyncio.create_task(self._read_rates(self._archive, self._fleet, self._rows, self._prefix))
        ready()
        try:
            await self._server.serve([self._socket])
        finally:
            self._loop = None
            if rates is not None:
                rates.cancel()
            self._link.stop()
            if self._collecting is not None:
                self._collecting.stop()
            if self._archive is not None:
                self._archive.close()
            if self._desk is not None:
                await self._desk.close()
            if self._metrics is not None:
                self._metrics.close()

    def _served_metrics(self, listen: str | None) -> PrometheusMeter | None:
        if listen is None:
            return None
        return PrometheusMeter(host_and_port(listen), browsers=self._browsers, devices=self._devices)

    def _devices(self) -> Mapping[str, int]:
        return {} if self._fleet is None else self._fleet.count()

    def _browsers(self) -> int:
        return self._hubs.browsers + (0 if self._rows is None else self._rows.browsers)

    async def _read_rates(self, archive: Archive, fleet: Fleet, rows: FleetHub, prefix: str) -> None:
        """Again and again what the database knows of the fleet; where it cannot be read, that is told on the page."""
        from edge.dashboard.rates import collected  # noqa: PLC0415 - needs an extra

        while True:
            question = partial(collected, prefix=prefix, now=datetime.now(UTC))
            try:
                fleet.collected(await archive.ask(question))
                rows.noted("rate_kept")
            except UnavailableError as error:
                fleet.collected({})
                rows.noted("rate_gone", str(error))
            await asyncio.sleep(RATES_S)

    def _more(self, pages: Pages) -> list[Route]:
        return [*self._history(pages), *self._tune(pages)]

    def _history(self, pages: Pages) -> list[Route]:
        if self._archive is None:
            return [Route("/history/{_:path}", no_history)]
        from edge.dashboard.history_pages import HistoryPages  # noqa: PLC0415 - needs an extra

        collecting = self._collecting
        return HistoryPages(pages, self._archive, lambda: "" if collecting is None else collecting.problem).routes

    def _tune(self, pages: Pages) -> list[Route]:
        if self._desk is None:
            return [Route("/tune/{_:path}", no_traces)]
        return TunePages(pages, self._desk).routes

    # ---- from the link's thread ----

    def _received(self, device: str, name: str, payload: bytes, retained: bool) -> None:  # noqa: FBT001 - a callback
        t = time.monotonic()
        self._meter.message()
        if self._fleet is not None:
            self._fleet.received(device, name, payload, t, retained=retained)
        if self._hubs.follows(device):
            self._soon(lambda: self._hubs.received(device, name, payload, retained=retained, t=t))

    def _linked(self, connected: bool, problem: str) -> None:  # noqa: FBT001 - a callback
        self._meter.broker(up=connected)

        def tell() -> None:
            self._hubs.linked(connected, problem)
            if self._rows is not None:
                self._rows.linked(connected, problem)

        self._soon(tell)

    def _soon(self, act: Callable[[], None]) -> None:
        loop = self._loop
        if loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(act)


def _check_certificate(cert_file: Path | None, key_file: Path | None) -> None:
    if cert_file is None or key_file is None:
        return
    for key, file in (("cert_file", cert_file), ("key_file", key_file)):
        try:
            file.read_bytes()
        except OSError as error:
            raise ConfigError(f"dashboard.{key} = {file}: {error.strerror or error}") from None
    try:
        # a key with a password would be asked for at a terminal, which a service does not have
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert_file, key_file, password=lambda: "")
    except (ssl.SSLError, ValueError) as error:
        reason = getattr(error, "reason", None) or "not readable"
        raise ConfigError(
            f"dashboard.cert_file = {cert_file}, dashboard.key_file = {key_file}: "
            f"no PEM certificate with its key, without a password ({reason})"
        ) from None


def _history(config: Config, environ: Mapping[str, str]) -> tuple[Archive | None, Collecting | None]:
    """The database behind the page *History*, and who fills it; None where there is none."""
    wanted = config.dashboard.history
    if wanted.database is None and not wanted.collect:
        return None, None
    try:
        from edge.collect.database import database_url  # noqa: PLC0415 - needs an extra
        from edge.dashboard.archive import Archive  # noqa: PLC0415 - as above
        from edge.dashboard.collecting import Collecting, collect_config  # noqa: PLC0415 - as above
    except ModuleNotFoundError as error:
        raise UnavailableError(
            f"dashboard.history needs the package {error.name}; install it: pip install 'evenkeel[history]'"
        ) from None
    collect = collect_config(config)
    url = database_url(collect.collect, environ, "dashboard.history")
    return Archive(url), Collecting(collect, url, environ) if wanted.collect else None


def _listen(host: str, port: int, told: str) -> socket.socket:
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise UnavailableError(
            f"dashboard.listen = {told}: {error.strerror or error}; choose another port with --listen"
        ) from None


def _is_any(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False
