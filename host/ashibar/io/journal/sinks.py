"""What sinks keep in the journal beside their cursor, and what only they pass on: tables and statements."""

SINKS = (
    # What a node says of itself every 10 s: for sinks and people, no part of the record. The newest stay.
    """CREATE TABLE health (
        id INTEGER PRIMARY KEY, node INTEGER NOT NULL, received_us INTEGER NOT NULL, record TEXT NOT NULL)""",
    """CREATE TRIGGER health_bound AFTER INSERT ON health WHEN NEW.id % 1000 = 0 BEGIN
        DELETE FROM health WHERE id <= NEW.id - 100000; END""",  # 11 days of one node
    # How far a sink is where one number does not say it; `value` is JSON.
    """CREATE TABLE sink_state (
        sink TEXT NOT NULL, what TEXT NOT NULL, value TEXT NOT NULL,
        PRIMARY KEY (sink, what)) WITHOUT ROWID""",
    # A calibration found wrong later: the newest record stands for it wherever counts become newtons.
    """CREATE TABLE calibration_corrections (
        id INTEGER PRIMARY KEY, node INTEGER NOT NULL, calibration INTEGER NOT NULL, made_us INTEGER NOT NULL,
        record TEXT NOT NULL)""",
    "CREATE INDEX corrections_of_calibration ON calibration_corrections (node, calibration, id)",
)

# Statements for `Batch.statements`.
HEALTH = "INSERT INTO health (node, received_us, record) VALUES (?, ?, ?)"
STATE = (  # sink, what, value
    "INSERT INTO sink_state VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET value = excluded.value"
)
CORRECT_CALIBRATION = (
    "INSERT INTO calibration_corrections (node, calibration, made_us, record) VALUES (?, ?, ?, ?)"
)
