"""The web application: the live page, its feed of server-sent events, and the REST interface.

It reads what a StatusProvider tells it and changes nothing.
"""

from __future__ import annotations

import base64
import hashlib
import html
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import msgspec
from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

from ashibar import __version__
from ashibar.web import models

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from ashibar.web.feed import Feed

STATIC = Path(__file__).with_name("static")
_log = logging.getLogger(__name__)


class StatusProvider(Protocol):
    """What the web edge asks of the daemon. Each answer is a mapping, a struct or a list of them.

    Called from the event loop: answers come from memory, at once. `figure` gives None before a first figure.
    """

    def accounting(self) -> object: ...  # noqa: D102
    def health(self) -> object: ...  # noqa: D102
    def ready(self) -> tuple[bool, list[str]]: ...  # noqa: D102
    def rigs(self) -> Sequence[object]: ...  # noqa: D102
    def nodes(self) -> Sequence[object]: ...  # noqa: D102
    def figure(self, rig: str) -> object | None: ...  # noqa: D102


class ProblemError(Exception):
    """A request that cannot be answered, in words: what was expected, what came, what to do."""

    def __init__(self, status: int, *, expected: str, came: str, do: str) -> None:
        super().__init__(f"expected {expected}; came {came}; {do}")
        self.status = status
        self.problem = models.Problem(expected=expected, came=came, do=do)


def create_app(feed: Feed, status: StatusProvider) -> FastAPI:
    """Build the application over a feed and the daemon's status."""
    app = FastAPI(
        title="ashibar",
        version=__version__,
        description="Load on the client in ashiatsu massage, measured at the bars. Not a safety device.",
        openapi_url="/api/v1/openapi.json",
        docs_url=None,  # its pages load scripts from other hosts
        redoc_url=None,
        responses={404: {"model": models.Problem}, 422: {"model": models.Problem}},
    )
    _add_page(app, feed, status)
    _add_api(app, status)
    _add_probes(app, status)
    _add_errors(app)
    app.mount("/static", StaticFiles(directory=STATIC))
    app.add_middleware(_Headers)
    return app


RigQuery = Annotated[
    str | None, Query(pattern="^[^\x00-\x1f]{1,64}$", description="Rig; the first if left out")
]


def _add_page(app: FastAPI, feed: Feed, status: StatusProvider) -> None:
    @app.get("/", response_class=HTMLResponse, include_in_schema=False)
    async def live_page(rig: str | None = None) -> Response:
        names = _rig_names(status)
        if rig is not None and rig not in names:
            return HTMLResponse(_no_such_rig_page(rig, names), status_code=404)
        return HTMLResponse(PAGE)

    @app.get("/events", include_in_schema=False)
    async def events(rig: RigQuery = None) -> Response:
        name = _rig_or_first(rig, status)
        if feed.full:
            raise ProblemError(
                503,
                expected="room for one more display",
                came=f"{feed.clients} displays already attached",
                do="close displays nobody looks at",
            )
        return StreamingResponse(
            feed.stream(name),
            media_type="text/event-stream",
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        )


def _add_api(app: FastAPI, status: StatusProvider) -> None:
    @app.get("/api/v1/accounting", response_model=models.Accounting)
    async def accounting() -> Any:
        """Count the samples: taken, stored, duplicate, missing (from-to), late."""
        return msgspec.to_builtins(status.accounting())

    @app.get("/api/v1/rigs", response_model=list[models.RigInfo])
    async def rigs() -> Any:
        """List the rigs, in the order of the configuration."""
        return [_rig_info(rig) for rig in status.rigs()]

    @app.get("/api/v1/nodes", response_model=list[models.NodeInfo])
    async def nodes() -> Any:
        """List the nodes as last heard of."""
        return msgspec.to_builtins(list(status.nodes()))

    @app.get("/api/v1/figure", response_model=models.Figure)
    async def figure(rig: RigQuery = None) -> Any:
        """Return the newest figure of a rig, or why there is none."""
        name = _rig_or_first(rig, status)
        newest = status.figure(name)
        if newest is None:
            return {"validity": "stale", "reason": "no sample yet since the daemon started"}
        return msgspec.to_builtins(newest)


def _add_probes(app: FastAPI, status: StatusProvider) -> None:
    @app.get("/healthz", response_model=models.Health)
    async def healthz() -> Any:
        """Answer while the process lives."""
        return msgspec.to_builtins(status.health())

    @app.get("/readyz", response_model=models.Ready, responses={503: {"model": models.Ready}})
    async def readyz(response: Response) -> models.Ready:
        """Tell whether the daemon can do its work; 503 with the reasons if not."""
        ready, reasons = status.ready()
        response.status_code = 200 if ready else 503
        return models.Ready(ready=ready, reasons=list(reasons))


def _add_errors(app: FastAPI) -> None:
    @app.exception_handler(ProblemError)
    async def problem(_: Request, error: ProblemError) -> Response:
        return _problem(error.status, error.problem)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        words = models.Problem(
            expected=f"{where}: {first['msg']}",
            came=repr(first.get("input")),
            do="see /api/v1/openapi.json for what this address takes",
        )
        return _problem(422, words)

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> Response:
        words = models.Problem(
            expected="an address and method listed in /api/v1/openapi.json",
            came=f"{request.method} {request.url.path}: {error.detail}",
            do="check the address",
        )
        return _problem(error.status_code, words)

    @app.exception_handler(Exception)
    async def failed(request: Request, error: Exception) -> Response:
        _log.error("%s %s failed", request.method, request.url.path, exc_info=error)
        words = models.Problem(
            expected="an answer",
            came=type(error).__name__,
            do="report it, with the daemon's log of this moment",
        )
        return _problem(500, words)


def _problem(status: int, words: models.Problem) -> Response:
    return JSONResponse(words.model_dump(), status_code=status)


def _rig_info(rig: object) -> Any:
    return {"name": rig} if isinstance(rig, str) else msgspec.to_builtins(rig)


def _rig_names(status: StatusProvider) -> list[str]:
    return [_rig_info(rig)["name"] for rig in status.rigs()]


def _rig_or_first(rig: str | None, status: StatusProvider) -> str:
    names = _rig_names(status)
    if rig is None and names:
        return names[0]
    if rig is None or rig not in names:
        came = "none in the configuration" if rig is None else repr(rig)
        raise ProblemError(
            404, expected=f"one of the rigs {names}", came=came, do="choose one that /api/v1/rigs lists"
        )
    return rig


def _no_such_rig_page(rig: str, names: list[str]) -> str:
    links = "".join(f'<li><a href="/?rig={html.escape(name)}">{html.escape(name)}</a>' for name in names)
    head = PAGE[: PAGE.index("<body")]
    return f"{head}<body class=plain><h1>No rig {html.escape(rig)}</h1><p>There is:<ul>{links}</ul>"


def _inline_style_hash(page: str) -> str:
    """Return the CSP source of the page's one inline style: the dark ground before any file has come."""
    style = page.split("<style>", 1)[1].split("</style>", 1)[0]
    return "'sha256-" + base64.b64encode(hashlib.sha256(style.encode()).digest()).decode() + "'"


PAGE = (STATIC / "index.html").read_text(encoding="utf-8")
_HEADERS = {
    "content-security-policy": (
        f"default-src 'none'; script-src 'self'; style-src 'self' {_inline_style_hash(PAGE)}; "
        "img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}


class _Headers:
    """Adds the security headers to every answer, and makes browsers ask again for files after an update."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                present = {name for name, _ in message["headers"]}
                more = _HEADERS | {"cache-control": "no-cache"}
                message["headers"] = [
                    *message["headers"],
                    *((k.encode(), v.encode()) for k, v in more.items() if k.encode() not in present),
                ]
            await send(message)

        await self._app(scope, receive, send_with_headers)
