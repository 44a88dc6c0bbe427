"""The REST interface of sessions, weights, alarms, inspections and the safety log, over a desk and a reader.

It decides nothing: a request is read strictly, handed in, and answered when it is stored.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import msgspec
from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, Response

from ashibar.core import requests

if TYPE_CHECKING:
    from concurrent.futures import Future

STORED_WITHIN_S = 5.0
MAX_BODY_BYTES = 64 * 1024
_NAME = "^[^\x00-\x1f]{1,64}$"
Rig = Annotated[str | None, Query(pattern=_NAME, description="Rig; the only one if left out")]
Us = Annotated[int | None, Query(ge=0, le=2**53, description="Unix microseconds")]


class Refusal(Exception):  # noqa: N818 (it is an answer)
    """A request that is answered with words. `confirm`: it may be sent again, confirmed."""

    def __init__(self, status: int, text: str, *, confirm: bool = False) -> None:
        super().__init__(text)
        self.status = status
        self.confirm = confirm

    def answer(self) -> Response:
        """Return the answer: what was expected, what came, what to do."""
        text = str(self)
        return JSONResponse(_words(text) | ({"confirm": True} if self.confirm else {}), self.status)


def _words(text: str) -> dict[str, Any]:
    """Take a sentence of ours apart: "... expected, ... came: ...", in this order; else it is given whole."""
    expected, comma, rest = text.partition(" expected, ")
    if not comma:
        return {"expected": text, "came": "this request", "do": "see what was expected"}
    came, colon, do = rest.rpartition(": ")
    if not colon:
        came, do = rest, "see what was expected"
    subject = expected.removesuffix(" was").removesuffix(" were")
    return {"expected": subject, "came": came.removesuffix(" came"), "do": do.rstrip(".")}


class ServiceProvider(Protocol):
    """What the interface asks of the daemon. `ask` may be called from any thread, the others wait for a disk.

    `view` and `look` raise LookupError for what there is not; a view is one of `current`, `hang_test`,
    `alarms`, `inspections`, `limits`; a look one of `sessions`, `session`, `weights`, `incidents`, `log`,
    `head`.
    """

    def ask(self, request: requests.Request) -> Future[Any]: ...  # noqa: D102
    def view(self, what: str, rig: str | None) -> Any: ...  # noqa: D102
    def look(self, what: str, **chosen: Any) -> Any: ...  # noqa: D102


def service_router(provider: ServiceProvider) -> APIRouter:
    """Build the routes."""
    router = APIRouter(prefix="/api/v1")
    _add_looks(router, provider)
    _add_views(router, provider)
    _add_actions(router, provider)
    return router


def _add_looks(router: APIRouter, provider: ServiceProvider) -> None:
    """Add what is read from the record; FastAPI runs these in threads of its own."""

    @router.get("/sessions")
    def sessions(rig: Rig = None, from_us: Us = None, to_us: Us = None, limit: int = 100) -> Response:
        """List sessions, newest first."""
        return _looked(provider, "sessions", rig=rig, from_us=from_us, to_us=to_us, limit=limit)

    @router.get("/sessions/current")
    def current(rig: Rig = None) -> Response:
        """Say what session runs, and whether it was forgotten."""
        return _viewed(provider, "current", rig)

    @router.get("/sessions/{number}")
    def session(number: str) -> Response:
        """Return a session, with its figures once it has ended."""
        return _looked(provider, "session", number=number)

    @router.get("/weights")
    def weights(therapist: str | None = None) -> Response:
        """List the weights of a therapist, newest first; without one the newest of each."""
        return _looked(provider, "weights", therapist=therapist)

    @router.get("/incidents")
    def incidents(rig: Rig = None, from_us: Us = None, to_us: Us = None) -> Response:
        """List incidents, newest first."""
        return _looked(provider, "incidents", rig=rig, from_us=from_us, to_us=to_us)

    @router.get("/log")
    def log(
        from_us: Us = None,
        to_us: Us = None,
        kind: str | None = None,
        after_seq: int = -1,
        limit: int = 1000,
    ) -> Response:
        """List entries of the safety log, oldest first."""
        chosen = {"from_us": from_us, "to_us": to_us, "kind": kind, "after_seq": after_seq, "limit": limit}
        return _looked(provider, "log", **chosen)

    @router.get("/log/head")
    def head() -> Response:
        """Return the newest stored entry's number, hash and time."""
        return _looked(provider, "head")


def _add_views(router: APIRouter, provider: ServiceProvider) -> None:
    """Add what is answered from memory."""

    @router.get("/hang-test")
    def hang_test(rig: Rig = None) -> Response:
        """Say how the hang test stands; null before the first."""
        return _viewed(provider, "hang_test", rig)

    @router.get("/alarms")
    def alarms(rig: Rig = None) -> Response:
        """List all alarms of a rig."""
        return _viewed(provider, "alarms", rig)

    @router.get("/inspections")
    def inspections(rig: Rig = None) -> Response:
        """List inspections and ratings, and what is due when."""
        return _viewed(provider, "inspections", rig)

    @router.get("/limits")
    def limits(rig: Rig = None) -> Response:
        """Say which limits are in force now."""
        return _viewed(provider, "limits", rig)


ACTIONS: tuple[tuple[str, type[requests.Request], tuple[str, ...], str], ...] = (
    ("/sessions", requests.SessionStart, (), "Start a session."),
    (
        "/sessions/{id}/end",
        requests.SessionEnd,
        ("id",),
        "End the session that runs; its notes are fixed then.",
    ),
    ("/sessions/{id}/keep", requests.SessionKeep, ("id",), "Say that the session is still going."),
    ("/sessions/{id}/change", requests.SessionChange, ("id",), "Change notes, limit or band while it runs."),
    ("/weigh", requests.Weigh, (), "Enter a therapist's body weight."),
    ("/hang-test", requests.HangTestStart, (), "Begin a hang test."),
    ("/hang-test/cancel", requests.HangTestCancel, (), "Give the hang test up."),
    ("/zero", requests.ZeroNow, (), "Zero the bars, unloaded and at rest."),
    (
        "/alarms/{key}/{action}",
        requests.AlarmAction,
        ("key", "action"),
        "Acknowledge, shelve, remove an alarm.",
    ),
    ("/inspections", requests.InspectionGiven, (), "Record an inspection."),
    ("/ratings", requests.RatingGiven, (), "Record an engineer's rating."),
    ("/log/corrections", requests.CorrectionGiven, (), "Correct an entry of the log by a new one."),
)


def _add_actions(router: APIRouter, provider: ServiceProvider) -> None:
    for path, kind, named, summary in ACTIONS:
        router.add_api_route(
            path,
            _action(provider, kind, named),
            methods=["POST"],
            summary=summary,
            name=kind.__name__,
            openapi_extra=_described(kind, named),
        )


def _action(provider: ServiceProvider, kind: type[requests.Request], named: tuple[str, ...]) -> Any:
    async def act(request: Request) -> Response:
        try:
            _same_origin(request)
            body = await _body(request)
            chosen = {name: request.path_params[name] for name in named}
            return JSONResponse(await _done(provider, requests.read(kind, body, **chosen)))
        except requests.RequestError as error:
            return Refusal(
                422, f"{kind.__name__} as in /api/v1/openapi.json expected, {error} came: see there"
            ).answer()
        except Refusal as refusal:
            return refusal.answer()

    return act


async def _body(request: Request) -> bytes:
    body = await request.body()
    if len(body) > MAX_BODY_BYTES:
        raise Refusal(422, f"at most {MAX_BODY_BYTES} bytes were expected, {len(body)} came: shorten it")
    return body


async def _done(provider: ServiceProvider, request: requests.Request) -> Any:
    """Hand a request in and wait until it is stored; a zero is asked of the nodes before."""
    within_s = STORED_WITHIN_S + (requests.NODE_REPLY_S if isinstance(request, requests.ZeroNow) else 0.0)
    try:
        answer = asyncio.wrap_future(provider.ask(request))
        return msgspec.to_builtins(await asyncio.wait_for(asyncio.shield(answer), within_s))
    except TimeoutError:
        words = f"an answer from the disk within {within_s:g} s was expected, none came: see /readyz"
        raise Refusal(503, words) from None
    except LookupError as error:
        raise Refusal(404, str(error)) from error
    except ValueError as error:
        raise Refusal(409, str(error), confirm=bool(getattr(error, "confirm", False))) from error


def _same_origin(request: Request) -> None:
    """Refuse what a browser sends for a page of somebody else's. Programs send neither header."""
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    foreign = site is not None and site not in {"same-origin", "none"}
    if origin is not None:
        foreign = foreign or origin.partition("://")[2] != request.headers.get("host", "")
    if foreign:
        came = origin or site
        raise Refusal(
            403, f"a request of this host's own page was expected, one of {came} came: open the page here"
        )


def _viewed(provider: ServiceProvider, what: str, rig: str | None) -> Response:
    try:
        return JSONResponse(msgspec.to_builtins(provider.view(what, rig)))
    except LookupError as error:
        return Refusal(404, str(error)).answer()


def _looked(provider: ServiceProvider, what: str, **chosen: Any) -> Response:
    try:
        given = {name: value for name, value in chosen.items() if value is not None}
        return JSONResponse(msgspec.to_builtins(provider.look(what, **given)))
    except LookupError as error:
        return Refusal(404, str(error)).answer()


def _described(kind: type[requests.Request], named: tuple[str, ...]) -> dict[str, Any]:
    """Return what OpenAPI says of the body and the path of a request."""
    schema = _inlined(msgspec.json.schema(kind))
    properties = {name: value for name, value in schema["properties"].items() if name not in named}
    body = schema | {"properties": properties}
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": schema["properties"][name]} for name in named
    ]
    return {
        "requestBody": {"content": {"application/json": {"schema": body}}, "required": True},
        "parameters": parameters,
    }


def _inlined(schema: Any, known: Any = None) -> Any:
    """Return a JSON schema with its references put in place: those of msgspec are none of OpenAPI's."""
    if known is None:
        known = schema.get("$defs", {})
    if isinstance(schema, list):
        return [_inlined(each, known) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _inlined(known[schema["$ref"].rsplit("/", 1)[1]], known)
    return {name: _inlined(value, known) for name, value in schema.items() if name != "$defs"}
