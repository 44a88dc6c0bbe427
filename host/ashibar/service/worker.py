"""A thread that does one kind of work for what is handed to it, one after the other. It knows no journal."""

from __future__ import annotations

import logging
import threading
from collections import deque
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

log = logging.getLogger(__name__)

T = TypeVar("T")


class Worker(Generic[T]):
    """Calls `work` for each thing added, in order. An error is told with `problem` and the thing; it goes on.

    `add` may be called from any thread, `pause` only from `work`.
    """

    def __init__(self, name: str, work: Callable[[T], None], problem: str) -> None:
        self._work = work
        self._problem = problem
        self._waiting: deque[T] = deque()
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def add(self, things: Iterable[T]) -> None:
        """Hand these in."""
        self._waiting.extend(things)
        self._wake.set()

    def stop(self) -> None:
        """End after the thing under way; what still waits is not done."""
        self._stopping.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout=1.0)

    def pause(self, seconds: float) -> bool:
        """Wait; True as soon as the thread is to end."""
        return self._stopping.wait(seconds)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._wake.wait()
            self._wake.clear()
            while self._waiting and not self._stopping.is_set():
                thing = self._waiting.popleft()
                try:
                    self._work(thing)
                except Exception:
                    log.exception("%s: %s", thing, self._problem)
