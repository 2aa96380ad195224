"""Steps that hand units to an executor: one per step, gone with it, and killed with it when it is cancelled."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import wait
from pathlib import Path
from typing import Any

import pytest

from engine.operations import Context, Operation, Params
from engine.server import worker as worker_module
from engine.server.worker import Worker
from sessions.artifacts import AnyArtifact, Text
from sessions.file import SessionFile
from tests.engine.test_executors import gone
from tests.engine.units import die, sleep, square

from . import conftest
from .conftest import wait_until
from .test_worker import finished


class Spread(Params):
    seconds: float = 0.0
    fatal: bool = False


started: list[int] = []


def spread(params: Spread, ctx: Context) -> Sequence[AnyArtifact]:
    pool = ctx.executor()
    assert ctx.executor() is pool
    started.append(pool.submit(sleep, 0).result())
    if params.fatal:
        pool.submit(die).result()
    waiting = {pool.submit(sleep, params.seconds)}
    while waiting:
        ctx.progress(0, 1)
        _, waiting = wait(waiting, timeout=0.05)
    total = sum(pool.map(square, range(4)))
    return [Text(title="total", markdown=f"{total} on {getattr(pool, 'count', 0)}")]


@pytest.fixture(autouse=True)
def _more(monkeypatch: pytest.MonkeyPatch) -> None:
    own = Operation(name="test.spread", title="t", summary="s", params=Spread, gives=("text",), function=spread)
    known = conftest.OPERATIONS | {own.name: own}
    monkeypatch.setattr(worker_module, "find_operation", known.__getitem__)
    monkeypatch.syspath_prepend(Path(__file__).parents[3])
    monkeypatch.delenv("IWB_EXECUTOR", raising=False)
    started.clear()


def text(session: SessionFile, step: int) -> Any:
    return session.artifact(session.artifacts(step)[0].id)


def test_a_step_has_the_executor_it_was_given_and_it_ends_with_the_step(worker: Worker, session: SessionFile) -> None:
    step = finished(worker, "test.spread", executor="local:1")
    assert text(session, step).markdown == "14 on 1"
    assert gone(started[0])
    assert finished(worker, "test.spread", executor="local:2") == step  # where it runs changes no result
    worker.executor = "local:3"
    assert text(session, finished(worker, "test.spread", again=True)).markdown == "14 on 3"


def test_cancelling_kills_what_runs_elsewhere(working: Worker, session: SessionFile) -> None:
    step = working.submit("test.spread", {"seconds": 600}, executor="local:1").result().step
    wait_until(lambda: bool(started))
    working.cancel(step)
    wait_until(lambda: session.step(step).status == "cancelled")
    assert gone(started[0])


def test_a_process_that_dies_is_no_bug_of_ours(worker: Worker, session: SessionFile) -> None:
    error = session.step(finished(worker, "test.spread", {"fatal": True}, executor="local:1")).error
    assert error is not None
    assert "ended before its unit was done" in error.what
    assert "perhaps memory ran out" in error.remedy
