"""The session file: what is in it stays in it, and a file that is not ours is left alone."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sessions.artifacts import Axis, Matrix, Text
from sessions.database import examine
from sessions.errors import CallError, ErrorRecord, IwbError
from sessions.file import INLINE_WEIGHTS, SessionFile
from sessions.lock import WriterLock
from sessions.schema import APPLICATION_ID, SCHEMA_VERSION
from sessions.steps import Environment, Step


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "my.iwb"


def recorded(session: SessionFile, **more: object) -> Step:
    values = {"operation": "test.op", "version": 1, "parameters": {"n": 3}, "seed": 0, "key": "k", "inputs": {}}
    return session.add_step(**{**values, **more})  # type: ignore[arg-type]


def matrix() -> Matrix:
    return Matrix(title="effects", values=np.array([[1.0, np.nan], [-2.5, 0.0]]), axes=(Axis("layer"), Axis("head")))


def test_a_finished_step_is_whole_when_the_file_is_opened_again(path: Path) -> None:
    with SessionFile.open(path, create=True) as session:
        step = recorded(session)
        session.set_status(step.id, "running")
        stored = session.finish(
            step.id, [matrix(), Text(title="t", markdown="x")], seconds=1.5, environment=Environment()
        )
    with SessionFile.open(path, readonly=True) as session:
        again = session.step(step.id)
        assert (again.status, again.seconds, again.parameters) == ("done", 1.5, {"n": 3})
        assert [a.kind for a in session.artifacts(step.id)] == ["matrix", "text"]
        values = session.artifact(stored[0].id)
        assert isinstance(values, Matrix)
        np.testing.assert_array_equal(values.values, matrix().values)


def test_checkpoints_live_until_the_step_is_done(path: Path) -> None:
    with SessionFile.open(path, create=True) as session:
        step = recorded(session)
        session.checkpoint(step.id, "layer 0", {"values": np.arange(3.0), "n": 2}, 1, 4)
        found = session.checkpoints(step.id)["layer 0"]
        np.testing.assert_array_equal(found["values"], np.arange(3.0))
        assert (session.step(step.id).done, session.step(step.id).total) == (1, 4)
        session.finish(step.id, [], seconds=0, environment=Environment())
        assert session.checkpoints(step.id) == {}


def test_what_a_killed_writer_left_running_is_interrupted(path: Path) -> None:
    with SessionFile.open(path, create=True) as session:
        for status in ("queued", "running", "cancelling", "done", "failed"):
            session.set_status(recorded(session).id, status)  # type: ignore[arg-type]
    with SessionFile.open(path) as session:
        assert [s.status for s in session.steps()] == ["interrupted"] * 3 + ["done", "failed"]


def test_identical_finished_work_is_found_before_interrupted_work(path: Path) -> None:
    with SessionFile.open(path, create=True) as session:
        first = recorded(session)
        session.finish(first.id, [], seconds=0, environment=Environment())
        second = recorded(session)
        session.stop(second.id, "cancelled", seconds=0, environment=Environment())
        found = session.find("k")
        assert found is not None
        assert found.id == first.id
        assert session.find("other") is None


def test_a_failed_step_keeps_its_error(path: Path) -> None:
    with SessionFile.open(path, create=True) as session:
        step = recorded(session)
        error = ErrorRecord("went wrong", "here", "do that", traceback="...")
        session.stop(step.id, "failed", seconds=1, environment=Environment(), error=error)
        assert session.step(step.id).error == error


def test_notes_and_view_state_are_kept(path: Path) -> None:
    with SessionFile.open(path, create=True) as session:
        step = recorded(session)
        note = session.add_note("look here", step=step.id)
        session.add_note("on all of it")
        session.save_view("view", {"name": "sweep", "row": 3})
        session.save_view("view", {"name": "attention", "row": 4})
        with pytest.raises(CallError, match="no step 99"):
            session.add_note("x", step=99)
        session.remove_note(note.id)
    with SessionFile.open(path, readonly=True) as session:
        assert [n.text for n in session.notes()] == ["on all of it"]
        assert session.view_state() == {"view": {"name": "attention", "row": 4}}


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "not an iwb session file"),
        (b"hello world, this is text" * 100, "not an iwb session file"),
        (b"SQLite format 3\0" + bytes(84), "another program"),
        (b"SQLite format 3\0" + bytes(52) + APPLICATION_ID.to_bytes(4, "big") + bytes(1000), "damaged"),
    ],
)
def test_a_foreign_or_damaged_file_is_refused_and_left_byte_for_byte(path: Path, content: bytes, sentence: str) -> None:
    path.write_bytes(content)
    for readonly in (False, True):
        with pytest.raises(CallError, match=sentence):
            SessionFile.open(path, readonly=readonly, create=not readonly)
    assert path.read_bytes() == content
    assert not path.with_name(".my.iwb.lock").exists()


def test_a_newer_file_is_refused_and_left_byte_for_byte(path: Path) -> None:
    SessionFile.open(path, create=True).close()
    db = sqlite3.connect(path)
    db.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    db.close()
    before = path.read_bytes()
    with pytest.raises(CallError, match="use a newer iwb"):
        SessionFile.open(path)
    assert path.read_bytes() == before


def test_a_file_damaged_in_the_middle_is_refused_and_left_byte_for_byte(path: Path) -> None:
    with SessionFile.open(path, create=True) as session:
        for _ in range(50):
            recorded(session, parameters={"text": "x" * 500})
    content = bytearray(path.read_bytes())
    content[4096 * 2 : 4096 * 6] = b"\xff" * (4096 * 4)
    path.write_bytes(content)
    with pytest.raises(CallError, match="damaged"):
        SessionFile.open(path)
    assert path.read_bytes() == bytes(content)


def test_missing_files_and_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(CallError, match="no such session file"):
        SessionFile.open(tmp_path / "none.iwb", readonly=True)
    with pytest.raises(CallError, match="its folder does not exist"):
        SessionFile.open(tmp_path / "nowhere" / "a.iwb", create=True)
    with pytest.raises(CallError, match="this is a folder"):
        examine(tmp_path)


def test_only_one_writer_and_it_is_named(path: Path) -> None:
    with SessionFile.open(path, create=True) as session:
        code = f"from pathlib import Path; from sessions.file import SessionFile; SessionFile.open(Path({str(path)!r}))"
        done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=False)
        assert f"written by another iwb (process {os.getpid()} on" in done.stderr
        recorded(session)
    SessionFile.open(path).close()


def test_the_lock_of_a_killed_writer_is_free(path: Path) -> None:
    code = (
        "import time; from pathlib import Path; from sessions.file import SessionFile;"
        f"s = SessionFile.open(Path({str(path)!r}), create=True); print('open', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-P", "-c", code], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        writer.send_signal(signal.SIGKILL)
    SessionFile.open(path).close()


def test_a_file_locked_by_another_program_is_one_sentence(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    SessionFile.open(path, create=True).close()
    connect = sqlite3.connect
    monkeypatch.setattr("sessions.database.sqlite3.connect", lambda *a, **k: connect(*a, **{**k, "timeout": 0.05}))
    other = connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(CallError, match="locked by another program"):
        SessionFile.open(path, readonly=True)
    other.execute("ROLLBACK")
    other.close()


def test_a_full_disk_is_one_sentence_and_loses_nothing(path: Path) -> None:
    with SessionFile.open(path, create=True) as session:
        step = recorded(session)
        session.checkpoint(step.id, "a", 1, 1, 2)
        pages = session._db.execute("PRAGMA page_count").fetchone()[0]
        session._db.execute(f"PRAGMA max_page_count = {pages}")  # SQLite's own way to act out a full disk
        big = Matrix(title="big", values=np.zeros((300, 300)), axes=(Axis("a"), Axis("b")))
        with pytest.raises(IwbError, match="the disk is full"):
            session.finish(step.id, [big], seconds=0, environment=Environment())
        session._db.execute("PRAGMA max_page_count = 1000000")
        assert session.checkpoints(step.id) == {"a": 1}
        assert session.artifacts() == ()
        session.finish(step.id, [big], seconds=0, environment=Environment())


def test_a_changed_artifact_is_noticed(path: Path) -> None:
    with SessionFile.open(path, create=True) as session:
        step = recorded(session)
        (stored,) = session.finish(step.id, [matrix()], seconds=0, environment=Environment())
        with session.writing() as db:
            db.execute("UPDATE artifacts SET document = replace(document, 'effects', 'EFFECTS')")
        with pytest.raises(IwbError, match="not what was stored"):
            session.artifact(stored.id)


def test_weights_lie_inside_when_small_and_beside_when_large(path: Path) -> None:
    large = bytes(INLINE_WEIGHTS + 1)
    with SessionFile.open(path, create=True) as session:
        step = recorded(session)
        small_hash = session.put_weights(b"abc", step=step.id)
        large_hash = session.put_weights(large, step=step.id)
        assert session.weights(small_hash) == b"abc"
        assert session.weights(large_hash) == large
        shutil.rmtree(path.with_name("my.iwb.d"))
        with pytest.raises(IwbError, match=f"run step {step.id} again"):
            session.weights(large_hash)


def test_a_killed_transaction_is_rolled_back_on_reading(path: Path) -> None:
    with SessionFile.open(path, create=True) as session:
        recorded(session)
    code = (
        "import os; from pathlib import Path; from sessions.file import SessionFile;"
        f"s = SessionFile.open(Path({str(path)!r}));"
        "s._db.execute('PRAGMA cache_size = 1'); s._db.execute('BEGIN IMMEDIATE');"
        "s._db.execute(\"UPDATE steps SET operation = 'half done'\");"
        "[s._db.execute('INSERT INTO notes (created, text) VALUES (0, ?)', ('x' * 5000,)) for _ in range(200)];"
        "os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-P", "-c", code], check=False)
    with SessionFile.open(path, readonly=True) as session:
        assert session.steps()[0].operation == "test.op"
        assert session.notes() == ()
        assert session._db.execute("PRAGMA integrity_check").fetchone()[0] == "ok"


@pytest.mark.parametrize("change", ["parameters = '{'", "status = 'exec'", "environment = x'00'", "given = 5"])
def test_a_strangers_nonsense_in_a_step_is_one_sentence(path: Path, change: str) -> None:
    with SessionFile.open(path, create=True) as session:
        recorded(session)
        session._db.execute(f"UPDATE steps SET {change}")
    with (
        SessionFile.open(path, readonly=True) as session,
        pytest.raises(CallError, match="step 1 cannot be read; the file is damaged"),
    ):
        session.steps()


def test_a_lock_taken_on_a_name_that_was_just_given_back_is_taken_anew(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lockf, given_back = fcntl.lockf, []

    def after_the_last_holder_left(fd: int, how: int) -> None:
        if not given_back:  # it let go between our opening and our locking
            given_back.append(path.with_name(f".{path.name}.lock"))
            given_back[0].unlink()
        lockf(fd, how)

    monkeypatch.setattr(fcntl, "lockf", after_the_last_holder_left)
    lock = WriterLock(path)
    assert lock.path.stat().st_ino == os.fstat(lock._fd).st_ino
    lock.release()


@pytest.mark.parametrize("name", ["x" * 300 + ".iwb", "y" * 249 + ".iwb", "noname"])
def test_a_name_no_session_can_have_is_one_sentence(tmp_path: Path, name: str) -> None:
    with pytest.raises(CallError):
        SessionFile.open(tmp_path / name, create=True)
    assert list(tmp_path.iterdir()) == []


def test_a_reader_knows_that_a_killed_writer_no_longer_runs(path: Path) -> None:
    code = (
        "import os; from pathlib import Path; from sessions.file import SessionFile;"
        f"s = SessionFile.open(Path({str(path)!r}), create=True);"
        "step = s.add_step(operation='o', version=1, parameters={}, seed=0, key='k', inputs={});"
        "s.set_status(step.id, 'running'); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-P", "-c", code], check=False)
    with SessionFile.open(path, readonly=True) as reader:
        assert [step.status for step in reader.steps()] == ["interrupted"]
    with SessionFile.open(path) as writer:
        writer.set_status(1, "running")
        with SessionFile.open(path, readonly=True) as reader:
            assert reader.step(1).status == "running"
