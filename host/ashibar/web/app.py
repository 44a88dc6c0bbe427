"""The web application: the live page, its feed of server-sent events, and the REST interface.

It reads what a StatusProvider tells it and changes nothing.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import msgspec
from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from ashibar import __version__
from ashibar.web import models
from ashibar.web.page import Headers, ProblemError, page_routes, problem, rig_or_first

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ashibar.web.feed import Feed

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
    app.router.routes.extend(page_routes(feed, _rig_names(status)))
    _add_api(app, status)
    _add_probes(app, status)
    _add_errors(app)
    app.add_middleware(Headers)
    return app


RigQuery = Annotated[
    str | None, Query(pattern="^[^\x00-\x1f]{1,64}$", description="Rig; the first if left out")
]


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
        name = rig_or_first(rig, _rig_names(status))
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
    app.add_exception_handler(ProblemError, problem)

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
