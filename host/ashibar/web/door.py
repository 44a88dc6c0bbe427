"""What the server serves: the page and its feed from the first moment, the REST interface once it is made.

Making that takes as long as all the rest of a start: a display must not wait for it.
"""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Final

from starlette.applications import Starlette

from ashibar.web.page import Headers, ProblemError, page_routes, problem

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from starlette.types import ASGIApp, Receive, Scope, Send

    from ashibar.web.feed import Feed

AT_ONCE: Final = ("/", "/events")
FILES: Final = "/static/"


class Door:
    """An ASGI application. `make` gives the whole one, page and feed included; it is called once."""

    def __init__(self, feed: Feed, rigs: Sequence[str], make: Callable[[], ASGIApp]) -> None:
        early = Starlette(routes=page_routes(feed, rigs), exception_handlers={ProblemError: problem})
        early.add_middleware(Headers)
        self._early = early
        self._make = make
        self._whole: ASGIApp | None = None
        self._making = threading.Lock()

    def make(self) -> ASGIApp:
        """Return the whole application, made where it is not yet; from any thread."""
        with self._making:
            if self._whole is None:
                self._whole = self._make()
            return self._whole

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        path = scope.get("path", "")
        if self._whole is None and (path in AT_ONCE or path.startswith(FILES)):
            await self._early(scope, receive, send)
            return
        whole = self._whole
        if whole is None:
            whole = await asyncio.to_thread(self.make)
        await whole(scope, receive, send)
