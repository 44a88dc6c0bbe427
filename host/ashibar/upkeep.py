"""What the journal needs from time to time: packing, the pyramid, corrections, retention. One quiet thread.

Everything it writes goes through the journal's own thread, between commits, in short transactions; it is
tried again in the next round, so that a kill at any moment costs nothing but the time.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from functools import partial
from operator import methodcaller
from typing import TYPE_CHECKING, Final

import msgspec

from ashibar.core import retention
from ashibar.ingest import Salvaged
from ashibar.io.journal import Batch, EventRow, Reader, check, losses, salvage
from ashibar.io.journal.packed import COLD_S, cold_blocks, make_block
from ashibar.io.journal.retain import BLOCKS_AT_ONCE, kept_spans, oldest_blocks, room, shed
from ashibar.series import CURSOR

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from ashibar.core.retention import Policy, Room
    from ashibar.io.journal import Committer
    from ashibar.series_build import SeriesBuilder

log = logging.getLogger(__name__)

ROUND_S: Final = 60.0
FULL_SHARE: Final = 0.05  # of what is used goes in each round while nothing can be stored
FULL_ROUND_S: Final = 1.0  # while nothing can be stored, room is made as soon as there is something to give


class Upkeep:
    """Keeps the journal small and its series ready, in a thread. What all `sinks` have may go.

    `enter` puts on record what a damaged journal has cost; None where nobody keeps accounts.
    """

    def __init__(
        self,
        journal: Path,
        committer: Committer,
        builder: SeriesBuilder,
        *,
        policy: Policy,
        sinks: Sequence[str] = (),
        enter: Callable[[Salvaged], None] | None = None,
        cold_s: float = COLD_S,
        utc_us: Callable[[], int] = lambda: time.time_ns() // 1000,
    ) -> None:
        self.room: Room | None = None
        self.problem: str | None = None
        self._journal = journal
        self._committer = committer
        self._builder = builder
        self._policy = policy
        self._sinks = (*sinks, CURSOR)
        self._cold_s = cold_s
        self._utc_us = utc_us
        self._enter = enter or (lambda found: committer.submit(found.batch))
        self._salvaged: set[Path] = set()
        self._complaints: dict[str, str] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="upkeep", daemon=True)

    @property
    def store_full(self) -> bool:
        """Whether budget or disk is nearly used up, or a quota stops the journal: of the alarm so named."""
        return self.problem is not None or self._committer.full

    def start(self) -> None:
        """Begin; the first round is at once."""
        self._thread.start()

    def stop(self) -> None:
        """End after the transaction under way."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout=2.0)

    def _run(self) -> None:
        reader = Reader(self._journal)
        try:
            while not self._stopping.is_set():
                self.round(reader)
                self._stopping.wait(ROUND_S if self._committer.problem is None else FULL_ROUND_S)
        finally:
            reader.close()

    def round(self, reader: Reader) -> None:
        """Do what is due. Where nothing can be stored, only room is made."""
        self._guarded("check", lambda: self._committer.look_through(partial(self._look, reader)))
        damaged = salvage.pending(reader.connection, self._journal)
        if damaged is not None and damaged not in self._salvaged:
            self._guarded("salvage", lambda: self._salvage(reader, damaged))
        self._guarded("retention", lambda: self._retain(reader))
        if self._committer.problem is None:
            self._guarded("packing", lambda: self._pack(reader))
            self._guarded("series", lambda: self._builder.build(reader, self._stopping))

    def _look(self, reader: Reader) -> str | None:
        """Return what is wrong with the file, as far as the time for it shows."""
        try:
            return check.quick(reader.connection, stopped=self._stopping.is_set)
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError as error:
            return str(error)

    def _guarded(self, what: str, work: Callable[[], None]) -> None:
        """Do one thing; whatever goes wrong with it is said once and does not stop the others."""
        try:
            work()
            self._complaints.pop(what, None)
        except Exception as error:
            text = f"{what}: {error}"
            if self._complaints.get(what) != text:
                log.exception("upkeep of the journal, %s; it is tried again", what)
            self._complaints[what] = text

    def _salvage(self, reader: Reader, damaged: Path) -> None:
        """Take over the frames of a damaged journal; a frame that is there already is left out.

        The accounts then learn what is missing, and the same commit says that the file is done with.
        """
        frames, provisional = 0, []
        for group in salvage.frames(damaged):
            if self._stopping.is_set():
                return  # the next start begins anew, and finds these
            frames += self._committer.between(methodcaller("commit", Batch(frames=group)))
            provisional += [row for row in group if row.fit is None]
        missing = losses.lost(reader)
        count = sum(each.frames for each in missing)
        detail = {"file": damaged.name, "frames": frames, "frames_missing": count}
        log.warning("took %d frames over from %s; %d are missing", frames, damaged.name, count)
        event = EventRow(
            self._utc_us(), "journal salvaged", damaged.name, msgspec.json.encode(detail).decode()
        )
        done = ("DELETE FROM meta WHERE key = ?", [(salvage.PENDING,)])
        batch = Batch(events=[event], statements=[done])
        self._salvaged.add(damaged)
        self._enter(Salvaged(missing, provisional, batch, self._utc_us()))

    def _pack(self, reader: Reader) -> None:
        """Pack whatever is cold, block by block."""
        while not self._stopping.is_set():
            now_us = self._utc_us()
            packed = 0
            for node, boot in cold_blocks(reader.connection, now_us, cold_s=self._cold_s):
                block = make_block(reader.connection, node, boot, now_us, cold_s=self._cold_s)
                if block is None or self._stopping.is_set():
                    continue
                packed += self._committer.between(methodcaller("pack", block))
            if not packed:
                return

    def _retain(self, reader: Reader) -> None:
        """Look at the room, delete what has its time or has to go, and say so."""
        now_us = self._utc_us()
        self.room = room(reader.connection, self._journal)
        surplus = retention.surplus_bytes(self.room, self._policy)
        if self._committer.full:  # a quota that no number above shows
            surplus = max(surplus, round(FULL_SHARE * self.room.used_bytes))
        if surplus or self._policy.raw_days is not None:
            self._shed(reader, now_us, surplus)
            self.room = room(reader.connection, self._journal)
        newest = reader.highest_frame_id()
        waiting = [sink for sink in self._sinks if sink != CURSOR and reader.cursor(sink) < newest - 10_000]
        problem = retention.words(self.room, self._policy, waiting)
        if problem is not None and self.problem is None:
            log.warning("%s", problem)
        self.problem = problem

    def _shed(self, reader: Reader, now_us: int, surplus: int) -> None:
        doomed = retention.doomed(
            oldest_blocks(reader.connection),
            floor_id=min(reader.cursor(sink) for sink in self._sinks),
            kept=[(from_us, to_us) for from_us, to_us, _ in kept_spans(reader.connection)],
            now_us=now_us,
            policy=self._policy,
            surplus=surplus,
        )
        frames = 0
        for first in range(0, len(doomed), BLOCKS_AT_ONCE):
            part = doomed[first : first + BLOCKS_AT_ONCE]
            delete = partial(shed, doomed=part, now_us=now_us)
            frames += self._committer.between(methodcaller("work", delete))
            if self._stopping.is_set():
                break
        if frames:
            detail = {"blocks": len(doomed), "frames": frames, "reason": doomed[0].reason}
            event = EventRow(now_us, "shed", "journal", msgspec.json.encode(detail).decode())
            self._committer.submit(Batch(events=[event]))
