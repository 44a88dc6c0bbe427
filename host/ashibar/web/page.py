"""The live page, its files and its feed of server-sent events, as routes. They need no validation library.

What is wrong with a request is said in words; the REST interface is the application's.
"""

from __future__ import annotations

import base64
import hashlib
import html
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from ashibar.web.feed import Feed

STATIC = Path(__file__).with_name("static")


class ProblemError(Exception):
    """A request that cannot be answered, in words: what was expected, what came, what to do."""

    def __init__(self, status: int, *, expected: str, came: str, do: str) -> None:
        super().__init__(f"expected {expected}; came {came}; {do}")
        self.status = status
        self.words = {"expected": expected, "came": came, "do": do}


async def problem(_: Request, error: Exception) -> Response:
    """Answer with the words of a ProblemError."""
    if not isinstance(error, ProblemError):
        raise error
    return JSONResponse(error.words, status_code=error.status)


def page_routes(feed: Feed, rigs: Sequence[str]) -> list[BaseRoute]:
    """Return the routes of the page, over a feed of these rigs."""

    async def live_page(request: Request) -> Response:
        rig = request.query_params.get("rig")
        if rig is not None and rig not in rigs:
            return HTMLResponse(_no_such_rig_page(rig, rigs), status_code=404)
        return HTMLResponse(PAGE)

    async def events(request: Request) -> Response:
        name = rig_or_first(request.query_params.get("rig"), rigs)
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

    return [Route("/", live_page), Route("/events", events), Mount("/static", StaticFiles(directory=STATIC))]


def rig_or_first(rig: str | None, names: Sequence[str]) -> str:
    """Return the rig that is meant, the first one without a name; ProblemError where there is none."""
    if rig is None and names:
        return names[0]
    if rig is None or rig not in names:
        came = "none in the configuration" if rig is None else repr(rig)
        raise ProblemError(
            404,
            expected=f"one of the rigs {list(names)}",
            came=came,
            do="choose one that /api/v1/rigs lists",
        )
    return rig


def _no_such_rig_page(rig: str, names: Sequence[str]) -> str:
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


class Headers:
    """Adds the security headers to every answer, and makes browsers ask again for files after an update."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""

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
