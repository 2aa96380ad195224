"""The database under a session file: whether a file is ours, how it is made and opened, what SQLite complains of."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from pathlib import Path

from sessions.errors import CallError, IwbError
from sessions.schema import APPLICATION_ID, SCHEMA_VERSION, TABLES

SUFFIX = ".iwb"


def examine(path: Path) -> None:
    """Raise CallError, without touching a byte, unless the file is a session file this version can open."""
    where = str(path)
    try:
        if path.is_dir():
            raise CallError("this is a folder, not a session file", where, f"name a file such as {path / 'my.iwb'}")
        with path.open("rb") as file:
            head = file.read(100)
    except FileNotFoundError:
        raise CallError(
            "there is no such session file", where, "check the name, or make it with iwb run or iwb"
        ) from None
    except OSError as error:
        raise CallError(f"the file cannot be read ({error.strerror})", where) from None
    if head[:16] != b"SQLite format 3\0":
        raise CallError("this is not an iwb session file", where, "it was left as it is; name another file")
    if int.from_bytes(head[68:72], "big") != APPLICATION_ID:
        raise CallError("this is an SQLite file of another program", where, "it was left as it is; name another file")
    version = int.from_bytes(head[60:64], "big")
    if version > SCHEMA_VERSION:
        raise CallError(
            f"the file is of format {version}; this iwb knows formats up to {SCHEMA_VERSION}", where, "use a newer iwb"
        )


def is_new(path: Path) -> bool:
    """Whether a session file has yet to be made there. CallError when none can be, or should be, of that name."""
    try:
        if os.path.lexists(path):
            return False
        if not path.parent.is_dir():
            raise CallError("its folder does not exist", str(path), f"make {path.parent} first")
        path.with_name(f".{path.name}.lock").stat()  # asks the system whether such a name can be
    except FileNotFoundError:
        pass
    except OSError as error:
        raise CallError(f"no file of that name can be made ({error.strerror})", str(path), "choose another") from None
    if path.suffix != SUFFIX:
        raise CallError(f"a session file's name ends in {SUFFIX}", str(path), f"use {path.name}{SUFFIX}")
    return True


def connect(path: Path, *, readonly: bool) -> sqlite3.Connection:
    # Read-write even to read: only so can SQLite roll back what a killed writer left half done.
    uri = f"{path.as_uri()}?mode=rw"
    try:
        db = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=10, check_same_thread=False)
        if readonly:
            db.execute("PRAGMA query_only = ON")
        else:
            db.execute("PRAGMA journal_mode = DELETE")
            db.execute("PRAGMA synchronous = FULL")
            db.execute("PRAGMA foreign_keys = ON")
    except sqlite3.Error as error:
        raise sentence(error, path) from error
    return db


def make_empty(path: Path) -> None:
    """An empty session file, complete or not at all: it is made under another name and moved into place."""
    draft = path.with_name(f".{path.name}.new")
    draft.unlink(missing_ok=True)
    try:
        db = sqlite3.connect(draft, isolation_level=None)
        db.executescript(
            f"PRAGMA synchronous = FULL; BEGIN; PRAGMA application_id = {APPLICATION_ID};"
            f"PRAGMA user_version = {SCHEMA_VERSION}; {TABLES} COMMIT;"
        )
        db.execute("INSERT INTO meta VALUES ('created', ?)", (json.dumps(time.time()),))
        db.close()
        draft.replace(path)
    except sqlite3.Error as error:
        draft.unlink(missing_ok=True)
        raise sentence(error, path) from error


def sentence(error: sqlite3.Error, path: Path) -> IwbError:
    """SQLite's complaint as one sentence for a person."""
    text = str(error)
    if "full" in text:
        return IwbError(
            "the disk is full; nothing in the file was lost", str(path), "free some space and resume the step"
        )
    if "locked" in text or "busy" in text:
        return CallError("the file is locked by another program", str(path), "close it there and try again")
    if ("readonly" in text or "read-only" in text) and not path.exists():
        return IwbError(
            "the session file was moved or deleted while it was open", str(path), "put it back, or start anew"
        )
    if "readonly" in text or "read-only" in text:
        return CallError("the file may not be written", str(path), "copy it to a folder of your own")
    if "malformed" in text or "not a database" in text or "no such table" in text or "no such column" in text:
        return CallError("the file is damaged", str(path), "restore a copy; it was left as it is")
    return IwbError(f"the session file could not be used ({text})", str(path))
