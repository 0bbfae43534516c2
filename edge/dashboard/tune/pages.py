"""What the page *Tune* asks for: drives, marks on them, and tuning."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from edge.dashboard.doors import Role
from edge.dashboard.server import Pages, Refusal, read_body
from edge.dashboard.tune.desk import Desk
from edge.dashboard.tune.drives import MOST, Drive
from edge.dashboard.tune.marks import ConflictError, Mark, Marked
from edge.errors import UnavailableError, UsageError

RUN_BYTES = 1_000_000
"""A run names its drives, which may be many."""
LISTENERS = 50

Answer = TypeVar("Answer")


class _Exact(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class _Mark(_Exact):
    start: float
    end: float
    kind: str = Field(max_length=32)

    def mark(self) -> Mark:
        return Mark(self.start, self.end, self.kind)


class _Change(_Exact):
    drive: str = Field(max_length=1000)
    remove: list[_Mark] = Field(default_factory=list, max_length=20)
    add: list[_Mark] = Field(default_factory=list, max_length=20)


class _Run(_Exact):
    drives: list[str] = Field(max_length=MOST)
    max_false_per_hour: float = Field(ge=0, le=1000)


class _Nothing(_Exact):
    pass


class TunePages:
    """Answers what is asked of the ``desk``."""

    def __init__(self, pages: Pages, desk: Desk) -> None:
        self._pages = pages
        self._desk = desk
        self._listeners = 0

    @property
    def routes(self) -> list[Route]:
        """For the application."""
        return [
            Route("/tune/drives", self._drives),
            Route("/tune/drive", self._drive),
            Route("/tune/marks", self._marks),
            Route("/tune/marks", self._mark, methods=["POST"]),
            Route("/tune/run", self._run, methods=["POST"]),
            Route("/tune/cancel", self._cancel, methods=["POST"]),
            Route("/tune/result", self._result),
            Route("/tune/section", self._section),
            Route("/tune/report", self._report),
            Route("/tune/labels", self._labels),
            Route("/tune/events", self._events),
        ]

    async def _drives(self, request: Request) -> Response:
        self._pages.check_look(request)
        drives, more = await _told(self._desk.drives.all)
        problem, marked = "", Marked()
        try:
            marked = await asyncio.to_thread(self._desk.marks.read, [drive.name for drive in drives])
        except UnavailableError as error:
            problem = str(error)
        return JSONResponse(
            {
                "drives": [_as_told(drive) | {"marks": len(marked.marks.get(drive.name, ()))} for drive in drives],
                "more": more,
                "labels": self._desk.marks.path.name,
                "faults": list(marked.faults),
                "problem": problem,
                "kinds": self._desk.kinds,
            }
        )

    async def _drive(self, request: Request) -> Response:
        self._pages.check_look(request)
        try:
            body = await self._desk.view(_name(request))
        except UsageError as error:
            raise Refusal(404, str(error)) from None
        except UnavailableError as error:
            raise Refusal(422, str(error)) from None
        except FileNotFoundError:
            raise Refusal(404, "the drive has gone meanwhile") from None
        return Response(body, media_type="application/json")

    async def _marks(self, request: Request) -> Response:
        self._pages.check_look(request)
        name = _name(request)
        await _told(lambda: self._desk.drives.get(name))

        def read() -> list[Mark]:
            return self._desk.marks.read(self._desk.drives.names()).marks.get(name, [])

        return JSONResponse({"marks": _sorted(await _told(read))})

    async def _mark(self, request: Request) -> Response:
        self._pages.check_change(request, Role.OPERATOR)
        asked = await read_body(request, _Change)
        drive = await _told(lambda: self._desk.drives.get(asked.drive))
        if drive.fault:
            raise Refusal(400, f"{drive.name}: {drive.fault}")

        def change() -> list[Mark]:
            names = self._desk.drives.names()
            if drive.name not in names:
                raise UsageError(f"{drive.name}: beyond the {MOST} drives that are listed")
            remove, add = ([each.mark() for each in marks] for marks in (asked.remove, asked.add))
            return self._desk.marks.change(drive, names, remove, add)

        marks = await _told(change)
        self._desk.marked()
        return JSONResponse({"marks": _sorted(marks)})

    async def _run(self, request: Request) -> Response:
        self._pages.check_change(request, Role.OPERATOR)
        asked = await read_body(request, _Run, RUN_BYTES)
        every = await _told(self._desk.drives.names)
        await _told(lambda: [self._desk.drives.get(name) for name in asked.drives])
        picked = list(dict.fromkeys(asked.drives))
        try:
            self._desk.start(picked, every, asked.max_false_per_hour)
        except UsageError as error:
            raise Refusal(409, str(error)) from None
        return JSONResponse({})

    async def _cancel(self, request: Request) -> Response:
        self._pages.check_change(request, Role.OPERATOR)
        await read_body(request, _Nothing)
        await self._desk.cancel()
        return JSONResponse({})

    async def _result(self, request: Request) -> Response:
        self._pages.check_look(request)
        return _file(self._desk.result(), "application/json")

    async def _section(self, request: Request) -> Response:
        self._pages.check_look(request)
        try:
            chosen = {kind: int(place) for kind, place in request.query_params.items()}
        except ValueError:
            raise Refusal(400, "KIND=NUMBER is expected") from None
        text = await _told(lambda: self._desk.sections(chosen))
        return _file(text.encode(), "application/toml", "evenkeel-alerts.toml")

    async def _report(self, request: Request) -> Response:
        self._pages.check_look(request)
        return _file(self._desk.report(), "text/html", "tuning.html")

    async def _labels(self, request: Request) -> Response:
        self._pages.check_look(request)
        return _file(await _told(self._desk.marks.file), "text/csv", "labels.csv")

    async def _events(self, request: Request) -> Response:
        allowed = self._pages.check_look(request)
        if self._listeners >= LISTENERS:
            raise Refusal(503, "too many browsers look already", "crowd")

        async def events() -> AsyncIterator[str]:
            self._listeners += 1
            try:
                async for text in self._desk.events(allowed):
                    yield text
            finally:
                self._listeners -= 1

        return StreamingResponse(events(), media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})


async def no_traces(request: Request) -> Response:
    """Without a folder there is nothing; the page says how to name one."""
    del request
    raise Refusal(404, "no folder of traces (evenkeel dashboard --traces DIR)")


async def _told(ask: Callable[[], Answer]) -> Answer:
    """The answer of something that reads or writes files; what is wrong is told."""
    try:
        return await asyncio.to_thread(ask)
    except ConflictError as error:
        raise Refusal(409, str(error)) from None
    except UsageError as error:
        raise Refusal(400, str(error)) from None
    except UnavailableError as error:
        raise Refusal(503, str(error)) from None


def _name(request: Request) -> str:
    return request.query_params.get("name", "")


def _as_told(drive: Drive) -> dict[str, object]:
    return asdict(drive) | {"begun": None if drive.begun is None else drive.begun.isoformat()}


def _sorted(marks: list[Mark]) -> list[dict[str, object]]:
    return [asdict(mark) for mark in sorted(marks, key=lambda mark: (mark.start, mark.kind))]


def _file(content: bytes | None, kind: str, name: str = "") -> Response:
    if content is None:
        raise Refusal(404, "there is none yet")
    headers = {"Content-Disposition": f'attachment; filename="{name}"'} if name else {}
    return Response(content, media_type=kind, headers=headers)
