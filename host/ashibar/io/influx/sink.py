"""The thread that copies the record to InfluxDB: new samples first, what is missing behind them in between.

The cursor moves only after a 2xx. Stamps and values are those of the record, so that a write done again is
the same points. Whatever happens here, the measuring does not notice.
"""

from __future__ import annotations

import logging
import random
import threading
import time
import traceback
from typing import TYPE_CHECKING, Any, Final

import msgspec

from ashibar.core import decoding
from ashibar.io.influx.corrections import Correction, affected, known_changes
from ashibar.io.influx.lanes import Lanes
from ashibar.io.influx.streams import Position, Streams
from ashibar.io.influx.writer import InfluxWriter, PausedError, SinkError, Written
from ashibar.io.journal import AsideRow, Batch, SafetyReader
from ashibar.io.journal.sinks import STATE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import Protocol

    from ashibar.io.journal import Reader

    class Ready(Protocol):
        """Lines of frames that are ready, the id of the last of these and their number."""

        @property
        def lines(self) -> bytes: ...  # noqa: D102
        @property
        def last_id(self) -> int: ...  # noqa: D102
        @property
        def frames(self) -> int: ...  # noqa: D102

    class Converter(Protocol):
        """Turns frames into lines (us), however they are cut into batches the same ones."""

        def ready(  # noqa: D102, PLR0917 (one of two clocks each)
            self, reader: Reader, after: int, upto: int, limit: int, now_us: int, mono_us: int
        ) -> Ready | None: ...

        def of_span(  # noqa: D102
            self, reader: Reader, from_us: int, to_us: int, rig: str | None, begun_us: int
        ) -> Iterator[tuple[int, bytes]]: ...


log = logging.getLogger(__name__)

SINK: Final = "influx"
FRAMES_PER_WRITE: Final = 500  # 5,000 lines: the size from which larger requests gain nothing
FRAMES_AT_ONCE: Final = 3000  # of new ones: more than gather, for each piece costs what lies around it
IDLE_S: Final = 1.0  # without a commit, look again after this
# So long new samples gather: as long as it takes for the copy to need this share of a processor, for it costs
# the more the smaller the pieces are; but not longer than dashboards wait before they look again.
LINGER_S: Final = (1.0, 20.0)
SHARE: Final = 0.005
REST: Final = 0.25  # of the time of a slice of old samples: the live figure has the processor first
RETRY_MIN_S: Final = 0.25
RETRY_MAX_S: Final = 10.0  # a server that is back is used within this
PAUSED_S: Final = 30.0  # between looks whether a person has put right what was wrong
TOLD_US: Final = 5_000_000  # a change takes effect within a moment: that is no correction for the log
NO_LIMIT: Final = 2**62


class Status(msgspec.Struct, frozen=True):
    """Where the sink is. Frames; `behind` of them are not in InfluxDB, `old` of these wait for backfill."""

    cursor: int = 0
    newest: int = 0
    behind: int = 0
    old: int = 0
    recomputing: int = 0
    points: int = 0
    rejected: int = 0
    too_old: int = 0
    problem: str | None = None


class Counts(msgspec.Struct):
    """What was written, ever."""

    points: int = 0
    rejected: int = 0
    too_old: int = 0


class InfluxSink:
    """Copies between `start` and `stop`; `submit` hands the journal a batch, `tell` an entry to the log."""

    def __init__(
        self,
        journal: Path,
        writer: InfluxWriter,
        convert: Converter,
        submit: Callable[[Batch], None],
        *,
        studio: str = "",
        tell: Callable[[str, dict[str, Any]], None] | None = None,
    ) -> None:
        self.status = Status()
        self._journal = journal
        self._writer = writer
        self._convert = convert
        self._submit = submit
        self._tell = tell or _log
        self._streams = Streams(studio)
        self._lanes = Lanes(0)
        self._counts = Counts()
        self._positions: dict[str, Position] = {}
        self._corrections: list[Correction] = []
        self._changes: dict[str, int] | None = None
        self._problem: str | None = None
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="influx", daemon=True)

    @property
    def cursor(self) -> int:
        """Every frame up to this id is in InfluxDB."""
        return self._lanes.cursor

    @property
    def problem(self) -> str | None:
        """Why the newest write failed, None while writing works."""
        return self._problem

    def start(self) -> None:
        """Begin to copy."""
        self._thread.start()

    def wake(self) -> None:
        """Say that there is something new; from any thread."""
        self._wake.set()

    def stop(self) -> None:
        """End after the write that is under way; the rest is written at the next start."""
        self._stopping.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout=1.0)

    def _run(self) -> None:
        reader = SafetyReader(self._journal)
        failures = 0
        try:
            self._restore(reader)
            while not self._stopping.is_set():
                self._wake.clear()
                try:
                    began_s = time.thread_time()
                    busy = self._turn(reader)
                    linger_s = min(max((time.thread_time() - began_s) / SHARE, LINGER_S[0]), LINGER_S[1])
                    failures = 0
                except Exception as error:  # noqa: BLE001 (a sink must never stop the rest, nor itself)
                    self._complain(error, reader)
                    failures += 1
                    self._stopping.wait(_delay_s(error, failures))
                    continue
                if not busy and not self._stopping.wait(linger_s):
                    self._wake.wait(IDLE_S)
        finally:
            reader.close()
            self._writer.close()

    def _restore(self, reader: SafetyReader) -> None:
        state = dict(
            reader.connection.execute("SELECT what, value FROM sink_state WHERE sink = ?", (SINK,)).fetchall()
        )
        self._lanes = Lanes.restored(reader.cursor(SINK), state.get("lanes"))
        self._counts = decoding.from_json(state.get("counts", "{}"), Counts)
        self._corrections = decoding.from_json(state.get("corrections", "[]"), list[Correction])
        changes = state.get("changes")
        self._changes = None if changes is None else msgspec.json.decode(changes, type=dict[str, int])
        for name in self._streams.names:
            self._positions[name] = decoding.from_json(state.get(name, "{}"), Position)
        self._look(reader)

    def _turn(self, reader: SafetyReader) -> bool:
        """Write the newest samples, then a bounded piece of everything else; False when there is nothing."""
        self._lanes.follow(reader.highest_frame_id())
        self._find_corrections(reader)
        if self._live(reader):
            return True
        busy = self._stream(reader)
        began_s = time.monotonic()
        if self._recompute(reader) or self._backfill(reader):
            self._stopping.wait(REST * (time.monotonic() - began_s))
            busy = True
        self._look(reader)
        if self._problem is not None:
            log.warning("InfluxDB takes writes again")
            self._problem = None
            self._look(reader)
        return busy

    def _live(self, reader: SafetyReader) -> bool:
        """Write the newest frames that are ready; True if there may be more."""
        ready = self._convert.ready(reader, self._lanes.live, NO_LIMIT, FRAMES_AT_ONCE, _utc_us(), _mono_us())
        if ready is None:
            return False
        written = self._writer.write(ready.lines)
        self._lanes.wrote_live(ready.last_id)
        self._keep(written, reader)
        return ready.frames == FRAMES_AT_ONCE

    def _backfill(self, reader: SafetyReader) -> bool:
        """Write a slice of the oldest frames that are missing; False when none is."""
        hole = self._lanes.hole
        if hole is None:
            return False
        ready = self._convert.ready(reader, *hole, FRAMES_PER_WRITE, _utc_us(), _mono_us())
        if ready is not None:
            written = self._writer.write(ready.lines)
            self._lanes.wrote_old(ready.last_id)
            self._keep(written, reader)
            return True
        following = reader.next_frame_id(hole[0])
        if following is not None and following <= hole[1]:
            return False  # it waits for what follows it, or for its stamps
        self._lanes.wrote_old(hole[1])
        self._keep(Written(), reader)
        return True

    def _stream(self, reader: SafetyReader) -> bool:
        """Write what is new of sessions, alarms, incidents and health; True if there was any."""
        busy = False
        for name, read in self._streams.names.items():
            before = self._positions[name]
            page = read(reader, before)
            written = self._writer.write(page.lines, "ns") if page.lines else Written()
            if page.position != before:
                self._positions[name] = page.position
                self._keep(written, reader, {name: msgspec.json.encode(page.position).decode()})
                busy = True
        return busy

    def _find_corrections(self, reader: SafetyReader) -> None:
        """Note what changes of parameters make wrong of what is written by now; later writes know of them."""
        seen = self._changes
        found, self._changes = affected(reader, seen, self._lanes)
        if self._changes != seen:
            self._corrections += found
            self._keep_corrections(reader)

    def _recompute(self, reader: SafetyReader) -> bool:
        """Write a slice of what a correction changed again; False when nothing waits."""
        if not self._corrections:
            return False
        first = self._corrections[0]
        slices = self._convert.of_span(reader, first.at_us, first.to_us, first.rig, first.from_us)
        end_us, lines = next(slices, (first.to_us, b""))
        slices.close()  # type: ignore[attr-defined]
        written = self._writer.write(lines) if lines else Written()
        first = msgspec.structs.replace(first, at_us=end_us, points=first.points + written.points)
        self._corrections[0] = first
        if end_us >= first.to_us:
            self._corrections.pop(0)
            if first.points and first.to_us - first.from_us >= TOLD_US:
                self._tell("influxdb-recomputed", first.entry)
        self._keep(written, reader)
        self._keep_corrections(reader)
        return True

    def _keep_corrections(self, reader: SafetyReader) -> None:
        changes = self._changes or known_changes(reader)
        values = {"corrections": self._corrections, "changes": changes}
        rows = [(SINK, what, msgspec.json.encode(value).decode()) for what, value in values.items()]
        self._submit(Batch(statements=[(STATE, rows)]))

    def _keep(self, written: Written, reader: SafetyReader, more: dict[str, str] | None = None) -> None:
        """Put on record how far the sink is, and the lines the server refused."""
        counts = self._counts
        counts.points += written.points
        counts.too_old += written.too_old
        counts.rejected += len(written.rejected)
        now_us = _utc_us()
        state = {"lanes": self._lanes.state, "counts": msgspec.json.encode(counts).decode(), **(more or {})}
        aside = [
            AsideRow("sink/influx", now_us, each.reason[:500], len(each.line), each.line)
            for each in written.rejected
        ]
        for each in written.rejected:
            log.warning("a line was kept aside: %s", each.reason)
        rows = [(SINK, what, value) for what, value in state.items()]
        cursors = {SINK: (self._lanes.cursor, now_us)}
        self._submit(Batch(cursors=cursors, aside=aside, statements=[(STATE, rows)]))
        self._look(reader)

    def _look(self, reader: SafetyReader) -> None:
        newest, hole = reader.highest_frame_id(), self._lanes.hole
        self.status = Status(
            cursor=self._lanes.cursor,
            newest=newest,
            behind=self._lanes.behind(newest),
            old=0 if hole is None else hole[1] - hole[0],
            recomputing=len(self._corrections),
            points=self._counts.points,
            rejected=self._counts.rejected,
            too_old=self._counts.too_old,
            problem=self._problem,
        )

    def _complain(self, error: Exception, reader: SafetyReader) -> None:
        if isinstance(error, SinkError):
            text = str(error)
        else:
            text = self._writer.hidden(f"{type(error).__name__}: {error}")
        if text != self._problem:
            log.warning("%s", text)
            if not isinstance(error, SinkError):
                log.error("%s", self._writer.hidden("".join(traceback.format_exception(error))))
        self._problem = text
        self._look(reader)


def _delay_s(error: Exception, failures: int) -> float:
    """Return how long to wait: doubling, with jitter so that many hosts do not come back as one."""
    if isinstance(error, PausedError):
        return PAUSED_S
    delay_s = min(RETRY_MIN_S * 2.0 ** min(failures - 1, 16), RETRY_MAX_S)
    wanted_s = error.retry_after_s if isinstance(error, SinkError) else 0.0
    return max(delay_s * random.uniform(0.5, 1.0), wanted_s)  # noqa: S311 (no secret)


def _log(kind: str, data: dict[str, Any]) -> None:
    log.info("%s: %s", kind, data)


def _utc_us() -> int:
    return time.time_ns() // 1000


def _mono_us() -> int:
    return time.monotonic_ns() // 1000
