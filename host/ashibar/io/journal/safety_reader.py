"""Reading sessions, incidents, weights and the safety log. Checks no chain and computes no figures."""

from __future__ import annotations

from typing import NamedTuple

from ashibar.io.journal.reader import Reader

LAST_US = 2**62


class SessionRow(NamedTuple):
    """A session as stored: `record` and `summary` are JSON, `summary` None until it was computed."""

    id: str
    record: str
    summary: str | None


class IncidentRow(NamedTuple):
    """An incident as stored; both ends of its span are included."""

    rig: str
    id: str
    from_us: int
    to_us: int
    complete: bool
    session: str | None
    record: str


class SafetyReader(Reader):
    """A read-only connection for what the service keeps; one thread at a time."""

    def log_lines(self, first: int = 0) -> list[bytes]:
        """Return the chain's lines from number `first` on, as `core.chain.verify` takes them."""
        sql = "SELECT CAST(line AS BLOB) FROM safety_log WHERE seq >= ? ORDER BY seq"
        return [row[0] for row in self._all(sql, first)]

    def log_head(self) -> bytes | None:
        """Return the newest line, None for a log that has not begun."""
        rows = self._all("SELECT CAST(line AS BLOB) FROM safety_log ORDER BY seq DESC LIMIT 1")
        return rows[0][0] if rows else None

    def log_line(self, seq: int) -> bytes | None:
        """Return one line."""
        rows = self._all("SELECT CAST(line AS BLOB) FROM safety_log WHERE seq = ?", seq)
        return rows[0][0] if rows else None

    def log_of(
        self,
        *,
        from_us: int = 0,
        to_us: int = LAST_US,
        kinds: tuple[str, ...] = (),
        after_seq: int = -1,
        limit: int = -1,
    ) -> list[bytes]:
        """Return lines stamped within the span, of some kinds only if any are named, oldest first."""
        chosen = f" AND kind IN ({', '.join('?' * len(kinds))})" if kinds else ""
        sql = (
            "SELECT CAST(line AS BLOB) FROM safety_log WHERE seq > ? AND utc_us BETWEEN ? AND ?"  # noqa: S608
            f"{chosen} ORDER BY seq LIMIT ?"
        )
        return [row[0] for row in self._all(sql, after_seq, from_us, to_us, *kinds, limit)]

    def sessions(
        self, rig: str | None = None, *, from_us: int = 0, to_us: int = LAST_US, limit: int = -1
    ) -> list[SessionRow]:
        """Return the sessions that began within the span, newest first."""
        sql = (
            "SELECT id, record, summary FROM sessions WHERE started_us BETWEEN ?1 AND ?2"
            " AND (?3 IS NULL OR rig = ?3) ORDER BY started_us DESC LIMIT ?4"
        )
        return [SessionRow(*row) for row in self._all(sql, from_us, to_us, rig, limit)]

    def session(self, number: str) -> SessionRow | None:
        """Return one session by its id."""
        rows = self._all("SELECT id, record, summary FROM sessions WHERE id = ?", number)
        return SessionRow(*rows[0]) if rows else None

    def sessions_without_summary(self) -> list[SessionRow]:
        """Return the sessions that have ended but were not summed up."""
        sql = "SELECT id, record, summary FROM sessions WHERE ended_us IS NOT NULL AND summary IS NULL"
        return [SessionRow(*row) for row in self._all(sql)]

    def incidents(
        self, rig: str | None = None, *, from_us: int = 0, to_us: int = LAST_US
    ) -> list[IncidentRow]:
        """Return the incidents whose spans touch the span given, newest first."""
        sql = (
            "SELECT rig, id, from_us, to_us, complete, session, record FROM incidents"
            " WHERE to_us >= ?1 AND from_us <= ?2 AND (?3 IS NULL OR rig = ?3) ORDER BY from_us DESC"
        )
        rows = self._all(sql, from_us, to_us, rig)
        return [IncidentRow(a, b, c, d, bool(e), f, g) for a, b, c, d, e, f, g in rows]

    def weights(self, therapist: str | None = None) -> list[tuple[str, str]]:
        """Return therapist and record of the weights of one, newest first; of nobody: of each the newest."""
        if therapist is not None:
            sql = (
                "SELECT therapist, record FROM weights WHERE therapist = ? ORDER BY entered_us DESC, id DESC"
            )
            return self._all(sql, therapist)
        sql = (
            "SELECT therapist, record FROM weights"
            " WHERE id IN (SELECT max(id) FROM weights GROUP BY therapist) ORDER BY therapist"
        )
        return self._all(sql)

    def settings_of(self, rig: str, since_us: int = 0) -> list[tuple[int, str, str]]:
        """Return from when on (signal time), hash and record of a rig's settings, oldest first.

        Those in force at `since_us` or later.
        """
        sql = (
            "SELECT r.from_us, r.hash, s.record FROM rig_settings r JOIN settings s USING (hash)"
            " WHERE rig = ?1 AND r.from_us >= coalesce((SELECT max(from_us) FROM rig_settings"
            " WHERE rig = ?1 AND from_us <= ?2), 0) ORDER BY r.from_us, r.id"
        )
        return self._all(sql, rig, since_us)

    def rig_state(self, rig: str) -> dict[str, str]:
        """Return what a restart goes on from."""
        return dict(self._all("SELECT what, record FROM rig_state WHERE rig = ?", rig))
