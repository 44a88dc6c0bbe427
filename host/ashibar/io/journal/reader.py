"""Reading the journal: what a start restores and what sinks and pages ask for. Each has a connection."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any, NamedTuple

from ashibar.io.journal.frames import FrameView, StoredFrame

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class BootRow(NamedTuple):
    """One boot as the ledger left it; `counts` is JSON."""

    node: int
    boot: int
    first_seen_us: int
    upto: int
    counts: str


class Reader:
    """A read-only connection; one thread at a time. The file must have been opened by a `Journal` before."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=rw",
            uri=True,
            isolation_level=None,
            check_same_thread=False,
            timeout=5.0,
        )
        self._connection.execute("PRAGMA query_only = ON")
        self.frames = FrameView(self._connection)

    @property
    def connection(self) -> sqlite3.Connection:
        """The connection, for queries on tables of other modules; it cannot write."""
        return self._connection

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _all(self, sql: str, *arguments: Any) -> list[Any]:
        return self._connection.execute(sql, arguments).fetchall()

    def nodes(self) -> list[tuple[int, str, str | None, int | None]]:
        """Return id, name, about (JSON) and its time of every node, by id."""
        return self._all("SELECT id, name, about, about_us FROM nodes ORDER BY id")

    def boots(self, node: int | None = None) -> list[BootRow]:
        """Return the boots in order of their first sight."""
        where = "" if node is None else "WHERE node = ?"
        arguments = () if node is None else (node,)
        rows = self._all(
            f"SELECT node, boot, first_seen_us, upto, counts FROM boots {where} ORDER BY first_seen_us",  # noqa: S608
            *arguments,
        )
        return [BootRow(*row) for row in rows]

    def boot(self, node: int, boot: int) -> BootRow | None:
        """Return one boot, or None where it was never seen."""
        rows = self._all(
            "SELECT node, boot, first_seen_us, upto, counts FROM boots WHERE node = ? AND boot = ?",
            node,
            boot,
        )
        return BootRow(*rows[0]) if rows else None

    def fit(self, node: int, boot: int) -> tuple[int, str] | None:
        """Return version and state of a boot's stored time fit."""
        rows = self._all("SELECT version, state FROM fits WHERE node = ? AND boot = ?", node, boot)
        return (rows[0][0], rows[0][1]) if rows else None

    def provisional(self, node: int, boot: int) -> list[tuple[int, int, int, int, bytes]]:
        """Return sequence, device time, stamps and payload of the frames whose stamps are provisional."""
        return self._all(
            "SELECT seq, device_us, utc_us, utc_last_us, payload FROM frames"
            " WHERE fit IS NULL AND node = ? AND boot = ? ORDER BY id",
            node,
            boot,
        )

    def boots_with_provisional(self) -> list[tuple[int, int]]:
        """Return node and boot of every boot that has frames with provisional stamps."""
        return self._all("SELECT DISTINCT node, boot FROM frames WHERE fit IS NULL")

    def frames_after(self, cursor: int, limit: int) -> list[StoredFrame]:
        """Return frames with ids above `cursor`, ascending, never past one whose stamp is provisional."""
        return self.frames.after(cursor, limit)

    def frames_of(self, node: int, boot: int, first: int = 0, last: int = 2**32 - 1) -> list[StoredFrame]:
        """Return the frames of a boot with sequences `first` to `last`, in their order."""
        return self.frames.of_boot(node, boot, first, last)

    def frames_between(self, from_us: int, to_us: int) -> Iterator[StoredFrame]:
        """Yield the settled frames with samples in `from_us` <= time < `to_us`, in order of time."""
        return self.frames.between(from_us, to_us)

    def next_frame_id(self, after: int) -> int | None:
        """Return the lowest id above `after` of a frame, whatever its stamps; None for none."""
        found = self._all(
            "SELECT min(id) FROM (SELECT min(id) AS id FROM frames WHERE id > ?1"
            " UNION ALL SELECT min(max(first_id, ?1 + 1)) FROM blocks WHERE last_id > ?1)",
            after,
        )[0][0]
        return None if found is None else int(found)

    def highest_frame_id(self) -> int:
        """Return the highest frame id, 0 for none."""
        return int(
            self._all(
                "SELECT max(coalesce((SELECT max(id) FROM frames), 0),"
                " coalesce((SELECT max(last_id) FROM blocks), 0))"
            )[0][0]
        )

    def cursor(self, sink: str) -> int:
        """Return how far a sink has come, 0 where it never began."""
        rows = self._all("SELECT frame_id FROM cursors WHERE sink = ?", sink)
        return int(rows[0][0]) if rows else 0

    def calibrations(self) -> list[tuple[int, int, str]]:
        """Return node, calibration id and record (JSON) of every calibration seen, as last corrected."""
        return self._all(
            "SELECT node, calibration, coalesce((SELECT c.record FROM calibration_corrections c"
            " WHERE c.node = k.node AND c.calibration = k.calibration ORDER BY c.id DESC LIMIT 1), record)"
            " FROM calibrations k ORDER BY node, calibration"
        )

    def parameters(self, rig: str) -> list[tuple[int, int, str]]:
        """Return id, first valid time and record (JSON) of a rig's parameters, oldest first."""
        return self._all("SELECT id, from_us, record FROM parameters WHERE rig = ? ORDER BY from_us, id", rig)

    def parameters_since(self, rig: str, from_us: int) -> list[tuple[int, str]]:
        """Return first valid time and record of what was in force at `from_us` or later, oldest first."""
        return self._all(
            "SELECT from_us, record FROM parameters WHERE rig = ?1 AND from_us >= coalesce("
            "(SELECT max(from_us) FROM parameters WHERE rig = ?1 AND from_us <= ?2), 0) ORDER BY from_us, id",
            rig,
            from_us,
        )

    def gaps_of(self, node: int, boot: int) -> list[tuple[int, int, int, str]]:
        """Return first and last sequence, time of record and reason of a boot's gaps."""
        return self._all(
            "SELECT seq_from, seq_to, recorded_us, reason FROM gaps WHERE node = ? AND boot = ?"
            " ORDER BY seq_from",
            node,
            boot,
        )

    def newest_device_us(self, node: int, boot: int) -> int | None:
        """Return a device time not before that of any sample stored of a boot, None where there is none."""
        newest = self.frames.newest_of_boot(node, boot)
        if newest is None:
            return None
        return newest.row.device_us + max(0, newest.row.utc_last_us - newest.row.utc_us)

    def gaps(self) -> list[tuple[int, int, int, int, str, int]]:
        """Return node, boot, first and last sequence, reason and time of record of every gap."""
        return self._all("SELECT node, boot, seq_from, seq_to, reason, recorded_us FROM gaps ORDER BY id")

    def aside(self) -> list[tuple[str, str, int, bytes]]:
        """Return topic, reason, size and payload of what could not be used."""
        return self._all("SELECT topic, reason, size, payload FROM aside ORDER BY id")

    def events(self, kind: str | None = None) -> list[tuple[int, str, str, str]]:
        """Return time, kind, subject and detail of the events, oldest first."""
        if kind is None:
            return self._all("SELECT utc_us, kind, subject, detail FROM events ORDER BY id")
        return self._all("SELECT utc_us, kind, subject, detail FROM events WHERE kind = ? ORDER BY id", kind)

    def totals(self) -> tuple[int, int]:
        """Return the number of frames and of samples stored."""
        return self.frames.totals()
