"""Runs the page's web server: in a thread of its own or in the caller's, stopped within a second.

It installs no signal handlers: whoever owns the process decides what a signal means and calls `request_stop`.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from typing import TYPE_CHECKING, Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    from collections.abc import Generator

    from starlette.types import ASGIApp

    from ashibar.web.feed import Feed

SEND_BUFFER_BYTES = 16_384  # the kernel's queue for a slow tablet: about a second of figures, not a minute
WRITE_BUFFER_BYTES = 4_096  # the same for the process's own queue
ABORT_AFTER_S = 0.3  # a client that does not read is cut off this long after the stop
TICK_S = 1.0  # the date in the headers
STOP_TIMEOUT_S = 5.0  # joining the thread; reached only if a handler hangs


class _Protocol(H11Protocol):
    """HTTP that queues little for a client that does not read, and does not wait for it at the end."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES)

    def shutdown(self) -> None:
        super().shutdown()
        self.loop.call_later(ABORT_AFTER_S, self.transport.abort)


class _Uvicorn(uvicorn.Server):
    """Uvicorn that ends the feed's streams first, and leaves the process's signals alone."""

    def __init__(self, config: uvicorn.Config, feed: Feed, bound: threading.Event) -> None:
        super().__init__(config)
        self._feed = feed
        self._bound = bound
        self._ending: tuple[asyncio.AbstractEventLoop, asyncio.Event] | None = None

    async def main_loop(self) -> None:
        """Tick once a second, and when asked to end: uvicorn's own way wakes ten times as often."""
        self._ending = (asyncio.get_running_loop(), asyncio.Event())
        while not await self.on_tick(0):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TICK_S):
                    await self._ending[1].wait()

    def request_end(self) -> None:
        """End soon; from any thread, also before it has started."""
        self.should_exit = True
        if self._ending is not None:
            loop, ending = self._ending
            with contextlib.suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(ending.set)

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._bound.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._feed.close()
        await super().shutdown(sockets)


class Server:
    """Serve `app` on `host:port`; with port 0 any free one, reported as `port` as soon as this object exists.

    Raises OSError when the address cannot be had.
    """

    def __init__(self, app: ASGIApp, feed: Feed, *, host: str = "127.0.0.1", port: int = 0) -> None:
        self._socket = _listen(host, port)
        self.host = host
        self.port: int = self._socket.getsockname()[1]
        self._up = threading.Event()
        self._thread: threading.Thread | None = None
        options: dict[str, Any] = {"lifespan": "off", "ws": "none", "log_config": None, "access_log": False}
        config = uvicorn.Config(
            app, http=_Protocol, server_header=False, timeout_graceful_shutdown=1, **options
        )
        self._uvicorn = _Uvicorn(config, feed, self._up)

    @property
    def url(self) -> str:
        """Return the page's address for a browser on this machine."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104 only compared with
        return f"http://[{host}]:{self.port}/" if ":" in host else f"http://{host}:{self.port}/"

    def run(self) -> None:
        """Serve in the calling thread until `request_stop`."""
        self._uvicorn.run(sockets=[self._socket])

    def start(self) -> None:
        """Serve in a thread; return once requests are answered. Raises RuntimeError if it ends before."""
        self._thread = threading.Thread(target=self.run, name="web", daemon=True)
        self._thread.start()
        while not self._up.wait(0.1):
            if not self._thread.is_alive():
                raise RuntimeError("expected the web server to come up, it ended; see the log above for why")

    def request_stop(self) -> None:
        """Ask the server to end; safe in a signal handler and before it has started."""
        self._uvicorn.request_end()

    def stop(self) -> None:
        """End the server started by `start`, with all its streams; takes well under a second."""
        self.request_stop()
        if self._thread is not None:
            self._thread.join(STOP_TIMEOUT_S)
        self._socket.close()


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(
        socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES
    )  # inherited by each connection
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise OSError(
            f"expected to serve the page on {host}:{port}, but {error.strerror or error}: "
            "end the program that has that port, or choose another (0: any free one)"
        ) from error
    listener.listen(64)
    listener.setblocking(False)
    return listener
