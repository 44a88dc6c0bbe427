"""The thread that writes the journal: what waits while one commit runs goes into the next one together.

It keeps what could not be stored and tries again; whoever handed it in is told only when it is on the disk.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, TypeVar

from ashibar.io.journal.batch import Batch
from ashibar.io.journal.writer import Journal, JournalCorruptError, JournalError, JournalFullError

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

log = logging.getLogger(__name__)

RETRY_MIN_S = 0.25
RETRY_MAX_S = 2.0  # space that was freed is used within this
MAX_FRAMES = 4000  # of one transaction: more gains nothing and makes a failure cost more
GATHER_S = 0.5  # frames that trickle in share a commit; nobody waits for it but `committed`, twice a second
GATHER_MOST = 64  # batches and frames that go at once
BETWEEN_TIMEOUT_S = 30.0  # work that can wait gives up then, and comes again
FLUSH_TIMEOUT_S = 1.0  # at the end; what is not stored then is not acknowledged, and comes again


class Committer:
    """Commits batches in the order they are handed in. `submit` may be called from any thread."""

    def __init__(self, journal: Journal) -> None:
        self.stored_frames = 0
        self.commits = 0
        self._journal = journal
        self._waiting: deque[tuple[Batch, Callable[[], None] | None]] = deque()
        self._between: deque[tuple[Future[Any], Callable[[Journal], Any]]] = deque()
        self._wake = threading.Event()
        self._hurry = threading.Event()
        self._idle = threading.Event()
        self._idle.set()
        self._stopping = threading.Event()
        self._listeners: list[Callable[[], None]] = []
        self._problem: str | None = None
        self._full = False
        self._corrupt = False
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)

    @property
    def problem(self) -> str | None:
        """Why the newest attempt to store failed, None while storing works."""
        return self._problem

    @property
    def full(self) -> bool:
        """Whether the newest attempt to store failed for want of room."""
        return self._full

    @property
    def corrupt(self) -> bool:
        """Whether the file was found damaged: only a new start helps, which moves it aside."""
        return self._corrupt

    def on_commit(self, listener: Callable[[], None]) -> None:
        """Call `listener` after every commit, in the journal's thread; sinks wake by it."""
        self._listeners.append(listener)

    def start(self) -> None:
        """Begin to store."""
        self._thread.start()

    def submit(self, batch: Batch, stored: Callable[[], None] | None = None, *, hurry: bool = False) -> None:
        """Hand in a batch; `stored` is called in the journal's thread once it is on the disk.

        What is more than frames goes at once, for somebody waits for an answer, or it is evidence.
        """
        self._idle.clear()
        self._waiting.append((batch, stored))
        if hurry or batch.statements or len(self._waiting) + len(batch.frames) > GATHER_MOST:
            self._hurry.set()
        self._wake.set()

    def between(self, work: Callable[[Journal], T], timeout_s: float = BETWEEN_TIMEOUT_S) -> T:
        """Run `work` in the journal's thread between two commits and return its result; live commits first.

        It is tried once. Raises what it raises, and JournalError where its turn does not come in time.
        """
        turn: Future[T] = Future()
        self._between.append((turn, work))
        self._hurry.set()
        self._wake.set()
        try:
            return turn.result(timeout_s)
        except TimeoutError as error:
            turn.cancel()
            raise JournalError(
                f"expected a turn in the journal within {timeout_s:g} s, came none: it is busy or "
                "cannot store; it is tried again later"
            ) from error

    def look_through(self, look: Callable[[], str | None]) -> None:
        """Look at a file the start had no time for; `look` returns what is wrong, None for nothing."""
        if self._journal.unchecked:
            verdict = look()
            self._journal.unchecked = False
            if verdict is not None:
                self._complain(self._journal.found_damaged(verdict))

    def flush(self, timeout_s: float) -> bool:
        """Wait until everything handed in is stored; False when the time ran out."""
        self._hurry.set()
        return self._idle.wait(timeout_s)

    def stop(self) -> None:
        """Store what waits, if it goes quickly, and close the journal."""
        if self._thread.is_alive():
            self.flush(FLUSH_TIMEOUT_S)
            self._stopping.set()
            self._hurry.set()
            self._wake.set()
            self._thread.join(timeout=5.0)
        self._journal.close()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._wake.wait()
            self._wake.clear()
            self._hurry.wait(GATHER_S)
            self._hurry.clear()
            while (self._waiting or self._between) and not self._stopping.is_set():
                if self._waiting:
                    self._one_commit()
                if self._between:
                    self._one_between()
            if not self._waiting:
                self._idle.set()
                if self._waiting:  # handed in between the two lines above
                    self._idle.clear()
                    self._wake.set()

    def _one_between(self) -> None:
        turn, work = self._between.popleft()
        if not turn.set_running_or_notify_cancel():
            return
        try:
            turn.set_result(work(self._journal))
        except Exception as error:  # noqa: BLE001 (it is raised where the work came from)
            turn.set_exception(error)

    def _one_commit(self) -> None:
        """Store a group of waiting batches in one transaction, however often it takes."""
        batch, callbacks = self._take()
        delay_s = RETRY_MIN_S
        while True:
            try:
                self.stored_frames += self._journal.commit(batch)
                break
            except Exception as error:  # noqa: BLE001 (whatever it is, the measuring goes on)
                self._complain(error)
            if self._between:  # it may be what makes room
                self._one_between()
            elif self._stopping.wait(delay_s):
                return
            delay_s = min(delay_s * 2, RETRY_MAX_S)
        if self._problem is not None:
            log.warning("the journal is written again")
            self._problem = None
            self._full = False
        self.commits += 1
        for call in (*callbacks, *self._listeners):
            self._call(call)

    def _take(self) -> tuple[Batch, list[Callable[[], None]]]:
        group = Batch()
        callbacks: list[Callable[[], None]] = []
        while self._waiting and len(group.frames) < MAX_FRAMES:
            batch, stored = self._waiting.popleft()
            group.extend(batch)
            if stored is not None:
                callbacks.append(stored)
        return group, callbacks

    def _complain(self, error: Exception) -> None:
        text = str(error) if isinstance(error, JournalError) else f"{type(error).__name__}: {error}"
        if text != self._problem:
            log.error("%s", text, exc_info=None if isinstance(error, JournalError) else error)
        self._problem = text
        self._full = isinstance(error, JournalFullError)
        self._corrupt |= isinstance(error, JournalCorruptError)

    @staticmethod
    def _call(call: Callable[[], None]) -> None:
        try:
            call()
        except Exception:
            log.exception("after a commit")
