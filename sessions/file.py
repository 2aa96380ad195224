"""The session file: one SQLite database that holds a whole investigation. See docs/session_file.md for the format.

The engine writes, everyone may read. The rollback journal is used because write-ahead logging is not safe on the
network file systems that GPU boxes use for home directories. A step is recorded before it runs and finished in one
transaction.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

import msgspec

from sessions.artifacts import AnyArtifact
from sessions.codec import Encoded, decode, encode
from sessions.database import connect, examine, is_new, make_empty, sentence
from sessions.errors import CallError, ErrorRecord, IwbError
from sessions.lock import WriterLock, writer_lives
from sessions.packing import pack, unpack
from sessions.schema import MIGRATIONS, SCHEMA_VERSION
from sessions.steps import Environment, Note, Status, Step, Stored

INLINE_WEIGHTS = 64 * 2**20  # bytes; larger weights lie beside the file

_STEP = (
    "id, operation, version, parameters, given, seed, key, status, created, inputs, seconds, done, total,"
    " environment, error"
)
_STORED = "id, step, kind, title, summary, sha256, length(document) + length(arrays)"


class SessionFile:
    """An open session file. Safe to use from several threads; one writer, any number of readers.

    `readonly` sessions never write (an interrupted transaction of a killed writer is rolled back on first reading, as
    SQLite must). A writer holds the lock beside the file and marks what a killed writer left running as interrupted.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection, lock: WriterLock | None) -> None:
        self.path = path
        self._db = connection
        self._lock = lock
        self._mutex = threading.RLock()
        self._inode = path.stat().st_ino

    # ---- opening --------------------------------------------------------------------------------------------------

    @classmethod
    def open(cls, path: Path, *, readonly: bool = False, create: bool = False) -> SessionFile:
        """Open `path`; with `create`, make it first if it is not there. CallError for anything that is not ours."""
        path = Path(os.path.realpath(path))
        create = create and is_new(path)
        if readonly:
            examine(path)
            session = cls(path, connect(path, readonly=True), None)
            with session._reading():
                session._db.execute("SELECT count(*) FROM steps").fetchone()
            return session
        if not create:
            examine(path)
        lock = WriterLock(path)
        try:
            if not path.exists():
                make_empty(path)
            else:
                examine(path)  # another writer may have made it meanwhile
            session = cls(path, connect(path, readonly=False), lock)
            session._prepare()
        except BaseException:
            lock.release()
            raise
        return session

    def _prepare(self) -> None:
        with self._reading():
            if self._db.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
                raise CallError("the file is damaged", str(self.path), "restore a copy; it was left as it is")
        with self.writing() as db:
            version = db.execute("PRAGMA user_version").fetchone()[0]
            while version < SCHEMA_VERSION:
                for statement in MIGRATIONS[version].split(";"):
                    db.execute(statement)
                version += 1
                db.execute(f"PRAGMA user_version = {version}")
            db.execute("UPDATE steps SET status = 'interrupted' WHERE status IN ('queued', 'running', 'cancelling')")

    @property
    def still_there(self) -> bool:
        """Whether the open file is still the one under its name: somebody may have moved, deleted or replaced it."""
        try:
            return self.path.stat().st_ino == self._inode
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError:  # a network file system that does not answer just now
            return True

    def close(self) -> None:
        with self._mutex:
            self._db.close()
            if self._lock:
                self._lock.release()

    def __enter__(self) -> SessionFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ---- reading --------------------------------------------------------------------------------------------------

    @contextmanager
    def _reading(self) -> Iterator[None]:
        with self._mutex:
            try:
                yield
            except sqlite3.Error as error:
                raise sentence(error, self.path) from error

    def _rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        with self._reading():
            try:
                return self._db.execute(query, values).fetchall()
            except OverflowError:  # a number no row can have
                return []

    def steps(self) -> tuple[Step, ...]:
        return tuple(self._step(row) for row in self._rows(f"SELECT {_STEP} FROM steps ORDER BY id"))

    def step(self, number: int) -> Step:
        rows = self._rows(f"SELECT {_STEP} FROM steps WHERE id = ?", number)
        if not rows:
            raise CallError(f"there is no step {number}", str(self.path), self._range("steps"))
        return self._step(rows[0])

    def _step(self, row: tuple[Any, ...]) -> Step:
        try:
            step = _step(row)
        except (msgspec.MsgspecError, TypeError, ValueError):  # a stranger's file may hold anything
            raise CallError(f"step {row[0]} cannot be read", str(self.path), "the file is damaged") from None
        # A killed writer could not write that its step stopped; the next writer will. Readers are told already.
        unfinished = self._lock is None and step.status in ("queued", "running", "cancelling")
        if unfinished and not writer_lives(self.path):
            return msgspec.structs.replace(step, status="interrupted")
        return step

    def find(self, key: str) -> Step | None:
        """The newest step that is the same work: a finished one if there is one, else one that can be resumed."""
        rows = self._rows(f"SELECT {_STEP} FROM steps WHERE key = ? ORDER BY status = 'done' DESC, id DESC", key)
        return self._step(rows[0]) if rows else None

    def artifacts(self, step: int | None = None) -> tuple[Stored, ...]:
        """What is there, without payloads: of one step, or all, in the order they came."""
        where, values = ("", ()) if step is None else (" WHERE step = ?", (step,))
        rows = self._rows(f"SELECT {_STORED} FROM artifacts{where} ORDER BY step, position", *values)
        return tuple(_stored(row) for row in rows)

    def stored(self, artifact: int) -> Stored:
        rows = self._rows(f"SELECT {_STORED} FROM artifacts WHERE id = ?", artifact)
        if not rows:
            raise CallError(f"there is no artifact @{artifact}", str(self.path), self._range("artifacts"))
        return _stored(rows[0])

    def artifact(self, number: int) -> AnyArtifact:
        """The artifact itself. IwbError when its bytes are not those that were written."""
        rows = self._rows("SELECT document, arrays, sha256 FROM artifacts WHERE id = ?", number)
        if not rows:
            raise CallError(f"there is no artifact @{number}", str(self.path), self._range("artifacts"))
        document, arrays, sha256 = rows[0]
        if not (isinstance(document, str) and isinstance(arrays, bytes)):
            raise IwbError(f"artifact @{number} cannot be read", str(self.path), "the file is damaged")
        encoded = Encoded(document.encode(), arrays)
        if encoded.sha256 != sha256:
            raise IwbError(f"artifact @{number} is not what was stored", str(self.path), "run its step again")
        return decode(encoded)

    def _range(self, table: str) -> str:
        count, last = self._rows(f"SELECT count(*), max(id) FROM {table}")[0]
        return (
            f"it has {count} {table if count > 1 else table[:-1]}, numbered up to {last}"
            if count
            else f"it has no {table} yet"
        )

    def notes(self) -> tuple[Note, ...]:
        rows = self._rows("SELECT id, created, text, step, artifact FROM notes ORDER BY id")
        return tuple(Note(id=r[0], created=r[1], text=r[2], step=r[3], artifact=r[4]) for r in rows)

    def view_state(self) -> dict[str, Any]:
        return {key: msgspec.json.decode(value) for key, value in self._rows("SELECT key, value FROM view_state")}

    def checkpoints(self, step: int) -> dict[str, Any]:
        rows = self._rows("SELECT unit, payload FROM checkpoints WHERE step = ?", step)
        try:
            return {unit: unpack(payload) for unit, payload in rows}
        except (msgspec.MsgspecError, TypeError, ValueError):
            raise IwbError(
                f"what step {step} had done so far cannot be read", str(self.path), "run it again as a new step"
            ) from None

    # ---- writing --------------------------------------------------------------------------------------------------

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction: all of it is in the file afterwards, or nothing of it."""
        with self._mutex:
            try:
                self._db.execute("BEGIN IMMEDIATE")
                yield self._db
                self._db.execute("COMMIT")
            except BaseException as error:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                if isinstance(error, sqlite3.Error):
                    raise sentence(error, self.path) from error
                raise

    def add_step(
        self,
        *,
        operation: str,
        version: int,
        parameters: dict[str, Any],
        given: Sequence[str] = (),
        seed: int,
        key: str,
        inputs: dict[str, int],
    ) -> Step:
        """Record a step before it runs."""
        with self.writing() as db:
            cursor = db.execute(
                "INSERT INTO steps (operation, version, parameters, given, seed, key, status, created, inputs)"
                " VALUES (?, ?, ?, ?, ?, ?, 'queued', ?, ?)",
                (operation, version, _json(parameters), _json(list(given)), seed, key, time.time(), _json(inputs)),
            )
        assert cursor.lastrowid is not None
        return self.step(cursor.lastrowid)

    def set_status(self, step: int, status: Status, *, only_from: Status | None = None) -> bool:
        """Whether it changed: with `only_from`, a step in any other status is left as it is."""
        with self.writing() as db:
            query = "UPDATE steps SET status = ?, error = NULL WHERE id = ? AND status = coalesce(?, status)"
            return db.execute(query, (status, step, only_from)).rowcount > 0

    def checkpoint(self, step: int, unit: str, value: Any, done: int, total: int) -> None:
        """Keep one finished unit of a running step."""
        with self.writing() as db:
            db.execute("INSERT OR REPLACE INTO checkpoints VALUES (?, ?, ?)", (step, unit, pack(value)))
            db.execute("UPDATE steps SET done = ?, total = ? WHERE id = ?", (done, total, step))

    def finish(
        self,
        step: int,
        artifacts: Sequence[AnyArtifact],
        *,
        seconds: float,
        environment: Environment,
        weights: Sequence[bytes] = (),
    ) -> tuple[Stored, ...]:
        """The step is done: its artifacts, the weights of models it made, its status and the end of its checkpoints, in
        one transaction."""
        encoded = [(artifact, encode(artifact)) for artifact in artifacts]
        hashes = [self._beside(data) for data in weights]
        with self.writing() as db:
            for sha256, data in zip(hashes, weights):
                _insert_weights(db, sha256, step, data)
            for position, (artifact, payload) in enumerate(encoded):
                db.execute(
                    "INSERT INTO artifacts (step, position, kind, title, summary, document, arrays, sha256)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        *(step, position, artifact.kind, artifact.title, artifact.summary),
                        *(payload.document.decode(), payload.arrays, payload.sha256),
                    ),
                )
            db.execute("DELETE FROM checkpoints WHERE step = ?", (step,))
            db.execute(
                "UPDATE steps SET status = 'done', error = NULL, seconds = seconds + ?, environment = ? WHERE id = ?",
                (seconds, _json(environment), step),
            )
        return self.artifacts(step)

    def stop(
        self, step: int, status: Status, *, seconds: float, environment: Environment, error: ErrorRecord | None = None
    ) -> None:
        """The step ended without a result: cancelled, failed or interrupted. Its checkpoints stay."""
        with self.writing() as db:
            db.execute(
                "UPDATE steps SET status = ?, seconds = seconds + ?, environment = ?, error = ? WHERE id = ?",
                (status, seconds, _json(environment), _json(error) if error else None, step),
            )

    def add_note(self, text: str, *, step: int | None = None, artifact: int | None = None) -> Note:
        if step is not None:
            self.step(step)
        if artifact is not None:
            self.stored(artifact)
        with self.writing() as db:
            cursor = db.execute(
                "INSERT INTO notes (created, step, artifact, text) VALUES (?, ?, ?, ?)",
                (time.time(), step, artifact, text),
            )
        return next(note for note in self.notes() if note.id == cursor.lastrowid)

    def remove_note(self, note: int) -> None:
        with self.writing() as db:
            if not db.execute("DELETE FROM notes WHERE id = ?", (note,)).rowcount:
                raise CallError(f"there is no note {note}", str(self.path))

    def save_view(self, key: str, value: Any) -> None:
        with self.writing() as db:
            db.execute("INSERT OR REPLACE INTO view_state VALUES (?, ?)", (key, _json(value)))

    # ---- weights --------------------------------------------------------------------------------------------------

    def put_weights(self, data: bytes, *, step: int) -> str:
        """Keep a model's weights (safetensors bytes) that `step` made, and give back their sha256."""
        sha256 = self._beside(data)
        with self.writing() as db:
            _insert_weights(db, sha256, step, data)
        return sha256

    def _beside(self, data: bytes) -> str:
        """The hash of weights; those that are too large for the file now lie beside it."""
        sha256 = hashlib.sha256(data).hexdigest()
        if len(data) > INLINE_WEIGHTS:
            beside = self.path.with_name(self.path.name + ".d")
            beside.mkdir(exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=beside, delete=False) as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            Path(file.name).replace(beside / sha256)
        return sha256

    def weights(self, sha256: str) -> bytes:
        """The weights with that hash. IwbError names the step that can make missing ones again."""
        rows = self._rows("SELECT step, data FROM weights WHERE sha256 = ?", sha256)
        if not rows:
            raise IwbError(f"the file holds no weights {sha256[:12]}", str(self.path))
        step, data = rows[0]
        if data is None:
            beside = self.path.with_name(self.path.name + ".d") / sha256
            if not beside.is_file():
                raise IwbError(
                    f"the weights {sha256[:12]} are missing", str(beside), f"run step {step} again to make them"
                )
            data = beside.read_bytes()
        if hashlib.sha256(data).hexdigest() != sha256:
            raise IwbError(
                f"the weights {sha256[:12]} are damaged", str(self.path), f"run step {step} again to make them"
            )
        return bytes(data)


def _insert_weights(db: sqlite3.Connection, sha256: str, step: int, data: bytes) -> None:
    inline = data if len(data) <= INLINE_WEIGHTS else None
    db.execute("INSERT OR REPLACE INTO weights VALUES (?, ?, ?, ?)", (sha256, step, len(data), inline))


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _step(row: tuple[Any, ...]) -> Step:
    step = Step(
        id=row[0],
        operation=row[1],
        version=row[2],
        parameters=msgspec.json.decode(row[3]),
        given=msgspec.json.decode(row[4], type=tuple[str, ...]),
        seed=row[5],
        key=row[6],
        status=row[7],
        created=row[8],
        inputs=msgspec.json.decode(row[9]),
        seconds=row[10],
        done=row[11],
        total=row[12],
        environment=msgspec.json.decode(row[13], type=Environment),
        error=msgspec.json.decode(row[14], type=ErrorRecord) if row[14] else None,
    )
    if step.status not in get_args(Status):
        raise ValueError(step.status)
    return step


def _stored(row: tuple[Any, ...]) -> Stored:
    return Stored(id=row[0], step=row[1], kind=row[2], title=row[3], summary=row[4], sha256=row[5], bytes=row[6])
