"""The pages' server: files without secrets for everybody, what is known of the device for whoever may look."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import Future
from importlib import resources
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edge.dashboard.doors import LONGEST, Doors, Role, same
from edge.dashboard.fleet_hub import FleetHub
from edge.dashboard.hub import Hub
from edge.dashboard.hubs import Hubs
from edge.dashboard.meter import Meter, NoMeter
from edge.dashboard.texts import LANGUAGES, words
from edge.mqtt.messages import CommandName, CommandResult
from edge.mqtt.security import is_loopback

COOKIE = "evenkeel_session"
MAX_BODY_BYTES = 4096
ANSWER_S = 4.0
"""Longest wait for a device's answer to a command."""

_NUMBER = re.compile(r"\d{1,15}")
_PORT = re.compile(r":\d*$")
PAGES = {
    "/": "now.html",
    "/cab": "cab.html",
    "/fleet": "fleet.html",
    "/health": "health.html",
    "/history": "history.html",
    "/tune": "tune.html",
    "/login": "login.html",
}
OF_A_DEVICE = ("/", "/cab", "/health")
"""Pages that a fleet's dashboard shows for one device at a time."""
TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
HEAD = b"<!-- head -->\n"
"""Where each page has what every page begins with."""

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'; require-trusted-types-for 'script'"
)
HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}

MOST = 200
"""Browsers that listen at once."""

SendCommand = Callable[[str, CommandName, Mapping[str, Any]], "Future[CommandResult]"]


Body = TypeVar("Body", bound=BaseModel)


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    kind: str | None = Field(default=None, max_length=32)
    seconds: float | None = Field(default=None, gt=0, le=3600)


class _Password(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    password: str = Field(max_length=LONGEST)


class Refusal(Exception):  # noqa: N818 - an answer, not a fault of ours
    """What is answered instead: a status, and why in words.

    ``key`` names the words that the pages have for it in each language, ``values`` go into those.
    """

    def __init__(self, status: int, why: str, key: str = "", /, **values: str) -> None:
        super().__init__(why)
        self.status = status
        self.key = key
        self.values = values


class _Headers:
    """Adds HEADERS to each answer and tells the meter of it; what holds data is kept by no cache."""

    def __init__(self, app: ASGIApp, meter: Meter) -> None:
        self._app = app
        self._meter = meter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = time.monotonic()

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._meter.answered(message["status"], time.monotonic() - began)
                headers = MutableHeaders(scope=message)
                headers.update(HEADERS)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        await self._app(scope, receive, with_headers if scope["type"] == "http" else send)


class _LocalNames:
    """Answers only where the browser calls this machine by a name of its own.

    Another name is that of a page which has its name lead here (DNS rebinding).
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        host = _PORT.sub("", Headers(scope=scope).get("host", "")).strip("[]")
        if is_loopback(host):
            await self._app(scope, receive, send)
        else:
            await JSONResponse({"error": "this machine is called otherwise"}, 421)(scope, receive, send)


class Pages:
    """Answers requests. ``command`` sends one to a device; ``secure`` says whether TLS is spoken here.

    ``rows`` are those of a fleet: then each request of a device's page names its device.
    """

    def __init__(
        self,
        hubs: Hubs,
        doors: Doors,
        command: SendCommand,
        *,
        secure: bool,
        rows: FleetHub | None = None,
        meter: Meter | None = None,
    ) -> None:
        self._meter = meter or NoMeter()
        self._hubs = hubs
        self._rows = rows
        self._doors = doors
        self._command = command
        self._secure = secure
        self._one_guess = asyncio.Lock()
        folder = resources.files("edge.dashboard") / "page"
        self._files = {file.name: file.read_bytes() for file in folder.iterdir()}
        head = self._files.pop("head.html")
        self._files |= {name: self._files[name].replace(HEAD, head, 1) for name in PAGES.values()}

    def app(self, *, local: bool, more: Sequence[Route] = ()) -> Starlette:
        """The application; ``local`` where no password is needed, so only this machine's own names are answered.

        ``more`` are routes of other pages.
        """
        files = [*PAGES, *(f"/page/{name}" for name in self._files if name not in PAGES.values())]
        routes = [
            *(Route(path, self._file) for path in files),
            Route("/session", self._session),
            Route("/events", self._events),
            Route("/fleet/rows", self._fleet_rows),
            Route("/fleet/events", self._fleet_events),
            Route("/words/{language}", self._words),
            Route("/login", self._log_in, methods=["POST"]),
            Route("/logout", self._log_out, methods=["POST"]),
            Route("/command/{name}", self._obey, methods=["POST"]),
            *more,
        ]
        middleware = [Middleware(_Headers, meter=self._meter)]
        if local:
            middleware.append(Middleware(_LocalNames))
        return Starlette(routes=routes, middleware=middleware, exception_handlers={Refusal: _refuse})

    async def _file(self, request: Request) -> Response:
        path = request.url.path
        if path in OF_A_DEVICE and self._rows is not None and "device" not in request.query_params:
            return RedirectResponse("/fleet", 303)
        name = PAGES.get(path) or path.removeprefix("/page/")
        kind = TYPES[name.rpartition(".")[2]]
        return Response(self._files[name], media_type=kind, headers={"Cache-Control": "no-cache"})

    async def _session(self, request: Request) -> Response:
        session = self._doors.session(request.cookies.get(COOKIE))
        told = {"role": session.role, "csrf": session.csrf} if session else {"role": None, "csrf": None}
        return JSONResponse(told | {"locked": self._doors.locked, "fleet": self._rows is not None})

    async def _events(self, request: Request) -> Response:
        allowed = self.check_look(request)
        live = request.query_params.get("live") == "1"
        return self._stream(self._hub_of(request).events(live=live, allowed=allowed))

    async def _fleet_rows(self, request: Request) -> Response:
        self.check_look(request)
        small = "gzip" in request.headers.get("accept-encoding", "")
        headers = {"Vary": "Accept-Encoding"} | ({"Content-Encoding": "gzip"} if small else {})
        return Response(self._fleet().rows(small=small), media_type="application/json", headers=headers)

    async def _fleet_events(self, request: Request) -> Response:
        allowed = self.check_look(request)
        since = request.query_params.get("since", "")
        if not _NUMBER.fullmatch(since):
            raise Refusal(400, "since: the number of a beat is needed")
        return self._stream(self._fleet().events(since=int(since), allowed=allowed))

    def _fleet(self) -> FleetHub:
        if self._rows is None:
            raise Refusal(404, "this dashboard shows one device; start it with --fleet", "no_fleet")
        return self._rows

    def _stream(self, events: AsyncIterator[str]) -> Response:
        if self._hubs.browsers + (self._rows.browsers if self._rows is not None else 0) >= MOST:
            raise Refusal(503, "too many browsers look already", "crowd")
        return StreamingResponse(events, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})

    def _hub_of(self, request: Request) -> Hub:
        """The hub of the device that is asked for."""
        device = request.query_params.get("device")
        hub = self._hubs.of(device)
        if hub is None:
            if not device:
                raise Refusal(404, "which device? name it: ?device=ID", "which_device")
            raise Refusal(404, "no such device", "no_device")
        return hub

    async def _words(self, request: Request) -> Response:
        language = request.path_params["language"]
        if language not in LANGUAGES:
            raise Refusal(404, f"languages: {', '.join(LANGUAGES)}")
        return JSONResponse(words(language), headers={"Cache-Control": "no-cache"})

    async def _log_in(self, request: Request) -> Response:
        _check_origin(request)
        asked = await read_body(request, _Password)
        address = request.client.host if request.client else ""
        if not self._doors.may_guess(address):
            self._meter.login("limited")
            raise Refusal(429, "too many attempts; wait a moment")
        async with self._one_guess:  # a hash takes 19 MiB
            role = await asyncio.to_thread(self._doors.role_of, asked.password)
        self._meter.login("wrong" if role is None else "ok")
        if role is None:
            raise Refusal(401, "wrong password")
        response = JSONResponse({"role": role})
        token = self._doors.let_in(role)
        response.set_cookie(COOKIE, token, secure=self._secure, httponly=True, samesite="strict", path="/")
        return response

    async def _log_out(self, request: Request) -> Response:
        self.check_change(request, Role.VIEWER)
        self._doors.let_out(request.cookies.get(COOKIE))
        response = JSONResponse({})
        response.delete_cookie(COOKIE, path="/")
        return response

    async def _obey(self, request: Request) -> Response:
        self.check_change(request, Role.OPERATOR)
        name = request.path_params["name"]
        allowed: dict[str, Literal["kind", "seconds"] | None] = {
            CommandName.ACKNOWLEDGE: "kind",
            CommandName.PAUSE: "seconds",
            CommandName.RESUME: None,
            CommandName.RECALIBRATE: None,
        }
        if name not in allowed:
            raise Refusal(404, "no such command")
        asked = (await read_body(request, _Asked)).model_dump(exclude_none=True)
        if asked.keys() - {allowed[name]}:
            raise Refusal(400, f"{', '.join(asked)}: not for this command")
        answer = self._command(self._hub_of(request).device, CommandName(name), asked)
        try:
            result = await asyncio.wait_for(asyncio.wrap_future(answer), ANSWER_S)
        except (asyncio.TimeoutError, asyncio.CancelledError):
            raise Refusal(504, "no answer from the device") from None
        return JSONResponse({"ok": result.ok, "message": result.message})

    def check_look(self, request: Request) -> Callable[[], bool]:
        """Refuse whoever may not look; else what tells from now on whether this browser still may."""
        token = request.cookies.get(COOKIE)

        def allowed() -> bool:
            return self._doors.session(token) is not None

        if not allowed():
            raise Refusal(401, "log in first")
        return allowed

    def check_change(self, request: Request, least: Role) -> None:
        """Refuse a change that another page asks for, or somebody who may less than ``least``."""
        _check_origin(request)
        session = self._doors.session(request.cookies.get(COOKIE))
        if session is None:
            raise Refusal(401, "log in first")
        if not same(request.headers.get("x-csrf-token"), session.csrf):
            raise Refusal(403, "the page is of an earlier session; load it anew", "earlier")
        if least is Role.OPERATOR and session.role is not Role.OPERATOR:
            raise Refusal(403, "only an operator may do that", "operator")


async def no_history(request: Request) -> Response:
    """Without a database there is none; the page says how to get one."""
    del request
    raise Refusal(404, "no database (dashboard.history.database, or --database)")


async def _refuse(request: Request, error: Exception) -> Response:
    del request
    if not isinstance(error, Refusal):
        return JSONResponse({"error": str(error)}, status_code=500)
    told = {"error": str(error), "key": error.key, "values": error.values}
    return JSONResponse({name: each for name, each in told.items() if each}, status_code=error.status)


def _check_origin(request: Request) -> None:
    """Refuse what another page has a browser send. A browser names the page's origin with each POST."""
    origin = request.headers.get("origin")
    if origin is None or origin.partition("://")[2] != request.headers.get("host"):
        raise Refusal(403, "not from one of these pages")
    if request.headers.get("content-type", "").partition(";")[0] != "application/json":
        raise Refusal(415, "JSON is expected")


async def read_body(request: Request, model: type[Body], most: int = MAX_BODY_BYTES) -> Body:
    """What was sent, as ``model`` takes it; anything else is refused, and what has more bytes than ``most``."""
    body = b""
    try:
        async for piece in request.stream():
            body += piece
            if len(body) > most:
                raise Refusal(413, f"at most {most} bytes")
    except ClientDisconnect:
        raise Refusal(400, "the request ended before its end") from None  # nobody hears it
    try:
        return model.model_validate_json(body or b"{}")
    except ValidationError as error:
        fault = error.errors(include_url=False, include_context=False, include_input=False)[0]
        raise Refusal(400, f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}") from None
