"""The tables of a session file, and how an older one becomes the current one."""

from __future__ import annotations

APPLICATION_ID = 0x49574231  # "IWB1" at byte 68 of the file: it says what the file is
SCHEMA_VERSION = 1  # SQLite's user_version, at byte 60

TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

CREATE TABLE steps (
    id          INTEGER PRIMARY KEY,
    operation   TEXT NOT NULL,
    version     INTEGER NOT NULL,
    parameters  TEXT NOT NULL,              -- JSON; a reference is "@ID" under the parameter's own name
    given       TEXT NOT NULL DEFAULT '[]', -- JSON: which parameters were given; the others are defaults of that day
    seed        INTEGER NOT NULL,
    key         TEXT NOT NULL,              -- identity of the work, see sessions.steps.identity_key
    status      TEXT NOT NULL,
    created     REAL NOT NULL,              -- seconds since 1970, UTC
    inputs      TEXT NOT NULL,              -- JSON: parameter -> artifact id; PARAMETER[0] in a list
    seconds     REAL NOT NULL DEFAULT 0,
    done        INTEGER NOT NULL DEFAULT 0,
    total       INTEGER NOT NULL DEFAULT 0,
    environment TEXT NOT NULL DEFAULT '{}', -- JSON
    error       TEXT                        -- JSON
);
CREATE INDEX steps_key ON steps (key);

CREATE TABLE artifacts (
    id       INTEGER PRIMARY KEY,
    step     INTEGER NOT NULL REFERENCES steps (id),
    position INTEGER NOT NULL,              -- order among the step's artifacts, from 0
    kind     TEXT NOT NULL,
    title    TEXT NOT NULL,
    summary  TEXT NOT NULL,
    document TEXT NOT NULL,                 -- JSON; an array is {"$array": NAME}
    arrays   BLOB NOT NULL,                 -- safetensors, empty when there are none
    sha256   TEXT NOT NULL                  -- of document, a zero byte, arrays
);
CREATE INDEX artifacts_step ON artifacts (step);

CREATE TABLE checkpoints (
    step    INTEGER NOT NULL REFERENCES steps (id),
    unit    TEXT NOT NULL,
    payload BLOB NOT NULL,                  -- msgpack
    PRIMARY KEY (step, unit)
) WITHOUT ROWID;

CREATE TABLE notes (
    id       INTEGER PRIMARY KEY,
    created  REAL NOT NULL,
    step     INTEGER REFERENCES steps (id),
    artifact INTEGER REFERENCES artifacts (id),
    text     TEXT NOT NULL                  -- Markdown
);

CREATE TABLE view_state (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

CREATE TABLE weights (sha256 TEXT PRIMARY KEY, step INTEGER, bytes INTEGER NOT NULL, data BLOB) WITHOUT ROWID;
"""

# MIGRATIONS[n] turns a file of version n into one of version n + 1, inside the transaction that opens it.
MIGRATIONS: dict[int, str] = {}
