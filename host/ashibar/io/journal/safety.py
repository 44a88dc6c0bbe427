"""Sessions, incidents, weights and the chained safety log in the journal: their tables and statements.

It hashes nothing: entries come as finished lines. What refers to what goes into one batch.
"""

SAFETY = (
    # The chain. Everything but the line is computed from it, so that nothing can disagree with it.
    """CREATE TABLE safety_log (
        seq INTEGER PRIMARY KEY, line TEXT NOT NULL,
        utc_us INTEGER GENERATED ALWAYS AS (json_extract(line, '$.utc_us')) VIRTUAL,
        kind TEXT GENERATED ALWAYS AS (json_extract(line, '$.kind')) VIRTUAL,
        who TEXT GENERATED ALWAYS AS (json_extract(line, '$.who')) VIRTUAL,
        rig TEXT GENERATED ALWAYS AS (json_extract(line, '$.data.rig')) VIRTUAL,
        session TEXT GENERATED ALWAYS AS (json_extract(line, '$.data.session')) VIRTUAL)""",
    "CREATE INDEX safety_log_by_kind ON safety_log (kind, seq)",
    "CREATE INDEX safety_log_by_time ON safety_log (utc_us)",
    "CREATE INDEX safety_log_by_session ON safety_log (session) WHERE session IS NOT NULL",
    """CREATE TRIGGER safety_log_update BEFORE UPDATE ON safety_log BEGIN
        SELECT raise(ABORT, 'the safety log is append-only: enter a correction'); END""",
    """CREATE TRIGGER safety_log_delete BEFORE DELETE ON safety_log BEGIN
        SELECT raise(ABORT, 'the safety log is append-only: nothing is deleted from it'); END""",
    # Without this one, INSERT OR REPLACE would get past the two above.
    """CREATE TRIGGER safety_log_insert BEFORE INSERT ON safety_log
        WHEN NEW.seq IS NOT (SELECT coalesce(max(seq), -1) + 1 FROM safety_log)
        OR NEW.seq IS NOT json_extract(NEW.line, '$.seq') BEGIN
        SELECT raise(ABORT, 'the safety log is append-only: the next entry was expected'); END""",
    """CREATE TABLE sessions (
        id TEXT PRIMARY KEY, rig TEXT NOT NULL, therapist TEXT NOT NULL, client_code TEXT NOT NULL,
        started_us INTEGER NOT NULL, ended_us INTEGER, record TEXT NOT NULL, summary TEXT)""",
    "CREATE INDEX sessions_by_start ON sessions (started_us)",
    # Both ends of the span are included; retention has it from `kept_spans`.
    """CREATE TABLE incidents (
        rig TEXT NOT NULL, id TEXT NOT NULL, from_us INTEGER NOT NULL, to_us INTEGER NOT NULL,
        complete INTEGER NOT NULL, session TEXT, record TEXT NOT NULL, PRIMARY KEY (rig, id))""",
    "CREATE INDEX incidents_by_time ON incidents (from_us)",
    """CREATE TABLE weights (
        id INTEGER PRIMARY KEY, therapist TEXT NOT NULL, entered_us INTEGER NOT NULL,
        record TEXT NOT NULL)""",
    "CREATE INDEX weights_of_therapist ON weights (therapist, entered_us)",
    "CREATE TABLE settings (hash TEXT PRIMARY KEY, record TEXT NOT NULL) WITHOUT ROWID",
    """CREATE TABLE rig_settings (
        id INTEGER PRIMARY KEY, rig TEXT NOT NULL, from_us INTEGER NOT NULL, hash TEXT NOT NULL)""",
    "CREATE INDEX rig_settings_of_rig ON rig_settings (rig, from_us, id)",
    """CREATE TABLE rig_state (
        rig TEXT NOT NULL, what TEXT NOT NULL, record TEXT NOT NULL,
        PRIMARY KEY (rig, what)) WITHOUT ROWID""",
)

# Statements for `Batch.statements`. None can fail on its rows as long as one daemon writes the journal: the
# chain's own trigger refuses a second writer's entries.
LOG = "INSERT INTO safety_log (seq, line) VALUES (?, ?)"
SESSION = (
    "INSERT INTO sessions (id, rig, therapist, client_code, started_us, ended_us, record)"
    " VALUES (?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT DO UPDATE SET ended_us = excluded.ended_us, record = excluded.record"
)
SUMMARY = "UPDATE sessions SET summary = ? WHERE id = ?"
INCIDENT = (  # rig, id, from_us, to_us, complete, session, record
    "INSERT INTO incidents VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
    " from_us = excluded.from_us, to_us = excluded.to_us, complete = excluded.complete,"
    " session = excluded.session, record = excluded.record"
)
WEIGHT = "INSERT INTO weights (therapist, entered_us, record) VALUES (?, ?, ?)"
SETTINGS = "INSERT OR IGNORE INTO settings VALUES (?, ?)"  # hash, record
RIG_SETTINGS = "INSERT INTO rig_settings (rig, from_us, hash) VALUES (?, ?, ?)"
RIG_STATE = (  # rig, what, record
    "INSERT INTO rig_state VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET record = excluded.record"
)
