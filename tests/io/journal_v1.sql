-- A journal of the first released schema, as written then; never to be changed: tests bring it up to date.
PRAGMA application_id = 0x61736869;
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE nodes ( id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, first_seen_us INTEGER NOT NULL, about
    TEXT, about_us INTEGER);
CREATE TABLE boots ( node INTEGER NOT NULL REFERENCES nodes, boot INTEGER NOT NULL, first_seen_us INTEGER NOT
    NULL, upto INTEGER NOT NULL, counts TEXT NOT NULL, PRIMARY KEY (node, boot)) WITHOUT ROWID;
CREATE TABLE fits ( node INTEGER NOT NULL, boot INTEGER NOT NULL, version INTEGER NOT NULL, made_us INTEGER
    NOT NULL, state TEXT NOT NULL, PRIMARY KEY (node, boot)) WITHOUT ROWID;
CREATE TABLE frames ( id INTEGER PRIMARY KEY, node INTEGER NOT NULL, boot INTEGER NOT NULL, seq INTEGER NOT
    NULL, sample_index INTEGER NOT NULL, samples INTEGER NOT NULL, cells INTEGER NOT NULL, flags INTEGER NOT
    NULL, device_us INTEGER NOT NULL, utc_us INTEGER NOT NULL, utc_last_us INTEGER NOT NULL, fit INTEGER,
    received_us INTEGER NOT NULL, payload BLOB NOT NULL, UNIQUE (node, boot, seq));
CREATE INDEX frames_provisional ON frames (id) WHERE fit IS NULL;
CREATE TABLE gaps ( id INTEGER PRIMARY KEY, node INTEGER NOT NULL, boot INTEGER NOT NULL, seq_from INTEGER NOT
    NULL, seq_to INTEGER NOT NULL, reason TEXT NOT NULL, recorded_us INTEGER NOT NULL);
CREATE INDEX gaps_of_boot ON gaps (node, boot);
CREATE TABLE aside ( id INTEGER PRIMARY KEY, topic TEXT NOT NULL, received_us INTEGER NOT NULL, reason TEXT
    NOT NULL, size INTEGER NOT NULL, payload BLOB NOT NULL);
CREATE TABLE calibrations ( node INTEGER NOT NULL, calibration INTEGER NOT NULL, received_us INTEGER NOT NULL,
    record TEXT NOT NULL, PRIMARY KEY (node, calibration)) WITHOUT ROWID;
CREATE TABLE parameters ( id INTEGER PRIMARY KEY, rig TEXT NOT NULL, from_us INTEGER NOT NULL, record TEXT NOT
    NULL);
CREATE INDEX parameters_of_rig ON parameters (rig, from_us, id);
CREATE TABLE events ( id INTEGER PRIMARY KEY, utc_us INTEGER NOT NULL, kind TEXT NOT NULL, subject TEXT NOT
    NULL, detail TEXT NOT NULL);
CREATE TABLE cursors ( sink TEXT PRIMARY KEY, frame_id INTEGER NOT NULL, moved_us INTEGER NOT NULL) WITHOUT
    ROWID;
PRAGMA user_version = 1;
INSERT INTO nodes VALUES (1, 'bars-1', 0, NULL, NULL);
INSERT INTO boots VALUES (1, 7, 0, 2, '{}');
INSERT INTO frames VALUES (1, 1, 7, 0, 0, 10, 4, 0, 0, 1000000000000000, 1000000000112500, 1,
    1000000000120000, x'00');
INSERT INTO frames VALUES (2, 1, 7, 1, 10, 10, 4, 0, 125000, 1000000000125000, 1000000000237500, 1,
    1000000000245000, x'01');
INSERT INTO frames VALUES (3, 1, 7, 2, 20, 10, 4, 0, 250000, 1000000000250000, 1000000000362500, 1,
    1000000000370000, x'02');
INSERT INTO cursors VALUES ('influx', 2, 5);
