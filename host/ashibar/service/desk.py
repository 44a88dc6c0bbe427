"""The desk: requests from any thread, done one after the other by the pipeline's, answered once stored.

It knows no request; whoever takes them decides what they mean.
"""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from ashibar.core.requests import Request


class NotFoundError(LookupError):
    """There is no such thing; the text says what there is."""


class ConflictError(ValueError):
    """Not possible now; the text says why and what to do. `confirm`: it is, once a person has confirmed."""

    def __init__(self, text: str, *, confirm: bool = False) -> None:
        super().__init__(text)
        self.confirm = confirm


class Asked(NamedTuple):
    """A request and who waits for its answer."""

    request: Request
    answer: Future[Any]


class Desk:
    """A queue of requests. `wake` is called after each, in the caller's thread."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._lock = threading.Lock()
        self._waiting: deque[Asked] = deque()
        self._closed = False

    def ask(self, request: Request) -> Future[Any]:
        """Hand in a request; the future has its answer once that is on the disk, or the error."""
        answer: Future[Any] = Future()
        with self._lock:
            if self._closed:
                answer.set_exception(ConflictError("the host is stopping: ask again when it is back"))
                return answer
            self._waiting.append(Asked(request, answer))
        self._wake()
        return answer

    @property
    def waiting(self) -> bool:
        """Whether anything waits to be taken."""
        return bool(self._waiting)

    def take(self) -> list[Asked]:
        """Give all that waits."""
        with self._lock:
            taken = list(self._waiting)
            self._waiting.clear()
        return taken

    def close(self) -> None:
        """Refuse everything from now on, and what still waits."""
        with self._lock:
            self._closed = True
        for asked in self.take():
            asked.answer.set_exception(ConflictError("the host is stopping: ask again when it is back"))
