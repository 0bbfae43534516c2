"""What the page *History* asks for: episodes of some days, and all of a device erased."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from datetime import datetime
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from edge.compat import UTC
from edge.config import TOPIC_PART
from edge.dashboard.archive import Archive
from edge.dashboard.doors import Role
from edge.dashboard.export import as_csv, as_parquet
from edge.dashboard.history import Told, Wanted, detail, episodes, overview
from edge.dashboard.server import Pages, Refusal, read_body
from edge.errors import UnavailableError, UsageError

LATEST_MS = 253_402_300_799_000
"""The last second of the year 9999."""
_DEVICE = re.compile(f"({TOPIC_PART.strip('^$')})/({TOPIC_PART.strip('^$')})")
MOST_EXPORTED = 50_000
"""Episodes in one file."""
_NAME = re.compile(r"[0-9a-f-]{36}")
_TIME = re.compile(r"[0-9]{1,15}")
_KIND = re.compile(r"[a-z][a-z0-9_]{0,31}")

Answer = TypeVar("Answer")


class _Erase(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    device: str = Field(max_length=200)
    confirmed: str = Field(max_length=200)


class HistoryPages:
    """Answers what is asked of the ``archive``. ``problem`` says why nothing is collected any more."""

    def __init__(self, pages: Pages, archive: Archive, problem: Callable[[], str]) -> None:
        self._pages = pages
        self._archive = archive
        self._problem = problem

    @property
    def routes(self) -> list[Route]:
        """For the application."""
        return [
            Route("/history/episodes", self._episodes),
            Route("/history/episode", self._episode),
            Route("/history/export.csv", self._csv),
            Route("/history/export.parquet", self._parquet),
            Route("/history/erase", self._erase, methods=["POST"]),
        ]

    async def _episodes(self, request: Request) -> Response:
        self._pages.check_look(request)
        wanted = wanted_of(request)
        told = await self._ask(lambda connection: overview(connection, wanted))
        return JSONResponse(told | {"problem": self._problem()})

    async def _episode(self, request: Request) -> Response:
        self._pages.check_look(request)
        device = device_of(request.query_params.get("device", ""))
        name = request.query_params.get("episode", "")
        if not _NAME.fullmatch(name):
            raise Refusal(400, "episode: the id of one is expected")
        told = await self._ask(lambda connection: detail(connection, device, name))
        if told is None:
            raise Refusal(404, "no such episode", "no_episode")
        return JSONResponse(told)

    async def _csv(self, request: Request) -> Response:
        return await self._export(request, as_csv, "csv", "text/csv; charset=utf-8")

    async def _parquet(self, request: Request) -> Response:
        return await self._export(request, as_parquet, "parquet", "application/vnd.apache.parquet")

    async def _export(self, request: Request, made: Callable[[list[Told]], bytes], format_: str, kind: str) -> Response:
        """A file of all episodes that are wanted, under a name that nothing from outside is part of."""
        self._pages.check_look(request)
        wanted = wanted_of(request)
        found, more = await self._ask(lambda connection: episodes(connection, wanted, MOST_EXPORTED))
        if more:
            why = f"more than {MOST_EXPORTED} episodes; choose fewer days or one device"
            raise Refusal(413, why, "too_many", most=str(MOST_EXPORTED))
        try:
            content = await asyncio.to_thread(made, found)
        except UnavailableError as error:
            raise Refusal(501, str(error)) from None
        name = f"evenkeel-{wanted.since:%Y-%m-%d}-{wanted.until:%Y-%m-%d}.{format_}"
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        return Response(content, media_type=kind, headers=headers)

    async def _erase(self, request: Request) -> Response:
        self._pages.check_change(request, Role.OPERATOR)
        asked = await read_body(request, _Erase)
        prefix, device = device_of(asked.device)
        if asked.confirmed != device:
            raise Refusal(400, f"to confirm, write the device's id: {device}", "confirm", device=device)
        try:
            erased = await self._archive.erase(prefix, device)
        except UsageError as error:
            raise Refusal(404, str(error), "no_device") from None
        except UnavailableError as error:
            raise Refusal(503, str(error), "database", why=str(error)) from None
        return JSONResponse({"device": asked.device, "alerts": erased.alerts})

    async def _ask(self, question: Callable[[Connection], Answer]) -> Answer:
        try:
            return await self._archive.ask(question)
        except UnavailableError as error:
            raise Refusal(503, str(error), "database", why=str(error)) from None


def wanted_of(request: Request) -> Wanted:
    """Which episodes a request's address asks for.

    Raises:
        Refusal: it names no days, or nothing that can be.
    """
    told = request.query_params
    device, kind = told.get("device"), told.get("kind")
    if kind and not _KIND.fullmatch(kind):
        raise Refusal(400, "kind: not the name of one")
    since, until = (_time_of(name, told.get(name, "")) for name in ("since", "until"))
    return Wanted(since, until, device_of(device) if device else None, kind or None)


def device_of(name: str) -> tuple[str, str]:
    """Prefix and id.

    Raises:
        Refusal: it is no ``PREFIX/ID``.
    """
    found = _DEVICE.fullmatch(name)
    if found is None:
        raise Refusal(400, "device: write PREFIX/ID")
    return found[1], found[2]


def _time_of(name: str, told: str) -> datetime:
    if not _TIME.fullmatch(told) or int(told) > LATEST_MS:
        raise Refusal(400, f"{name}: milliseconds since 1970 are expected")
    return datetime.fromtimestamp(int(told) / 1000, UTC)
