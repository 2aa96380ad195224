"""kill -9 at random moments of a running sweep: the file stays whole, and the end result is that of an undisturbed run.

Five kills here, two hundred with `make kill-test` (IWB_KILLS=200). The children are forked from a process that has
already imported torch, so a kill costs milliseconds and falls into the work, not into the importing.
"""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from engine import catalogue
from engine.server import worker as worker_module
from engine.server.worker import Worker
from sessions.artifacts import Matrix
from sessions.file import SessionFile

KILLS = int(os.environ.get("IWB_KILLS", "5"))
# A small batch makes many units, and so many places to be killed between.
SWEEP = {"model": "@1", "prompts": "@2", "ablation": "mean", "metric": "loss", "batch": 40}


@pytest.fixture(autouse=True)
def _real_catalogue(_test_catalogue: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "find_operation", catalogue.operation)


def do(path: Path, ask: Callable[[Worker], object]) -> None:
    """One engine's life: open the file, do what is asked, close."""
    with SessionFile.open(path, create=True) as session:
        worker = Worker(session, lambda event: None)
        ask(worker)
        worker.work_until_idle()


def sweep(worker: Worker, seed: int) -> None:
    """Ask for the sweep: a new step, or on with the one that was interrupted."""
    worker.submit("circuits.head_sweep", SWEEP, seed=seed)


def killed(path: Path, seed: int, after: float) -> bool:
    """Run the sweep in a child and kill it after that many seconds. Whether the kill came before the end."""
    child = os.fork()
    if child == 0:
        try:
            do(path, lambda worker: sweep(worker, seed))
        finally:
            os._exit(0)
    time.sleep(after)
    os.kill(child, signal.SIGKILL)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def integrity(path: Path) -> str:
    with sqlite3.connect(path) as db:
        result = str(db.execute("PRAGMA integrity_check").fetchone()[0])
    db.close()
    return result


def test_kills_at_random_moments_lose_nothing_that_was_finished(tmp_path: Path) -> None:
    import torch

    torch.set_num_threads(1)  # threads do not survive a fork
    path = tmp_path / "my.iwb"
    do(path, lambda w: w.submit("models.load", {"source": "zoo:induction", "device": "cpu"}))
    do(path, lambda w: w.submit("prompts.make", {"task": "induction", "n": "400", "model": "@1"}))
    started = time.monotonic()
    do(path, lambda w: sweep(w, seed=0))
    usual = time.monotonic() - started

    with SessionFile.open(path, readonly=True) as session:
        undisturbed = session.artifacts(3)
        expected = session.artifact(undisturbed[0].id)
    assert isinstance(expected, Matrix)
    assert not np.isnan(expected.values).any()

    moments = random.Random(1)
    kills, seed, with_checkpoints = 0, 1, 0
    while kills < KILLS:
        if not killed(path, seed, moments.uniform(0, usual)):
            seed += 1  # it got through before the kill: the next child begins another sweep
            continue
        kills += 1
        assert integrity(path) == "ok"
        with SessionFile.open(path, readonly=True) as session:
            for step in session.steps():
                if step.status == "done":
                    for stored in session.artifacts(step.id):
                        session.artifact(stored.id)  # raises if it is not what was stored
                else:
                    assert session.artifacts(step.id) == ()
                    with_checkpoints += bool(session.checkpoints(step.id))
    do(path, lambda w: sweep(w, seed))
    with SessionFile.open(path, readonly=True) as session:
        last = session.steps()[-1]
        assert all(step.status == "done" for step in session.steps())
        # The seed plays no part in a mean ablation, so every sweep must give the very same bytes.
        assert [a.sha256 for a in session.artifacts(last.id)] == [a.sha256 for a in undisturbed]
    print(f"\n{kills} kills, {with_checkpoints} of them with work to go on from, {seed} sweeps finished, intact")
