"""Live questions: answered between a long step's batches, in the worker's thread, with nothing left in the file."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import pytest
from msgspec import Meta

from engine.operations import Context, ModelRef, Operation, Params, describe
from engine.server import protocol as wire
from engine.server.client import EngineClient
from engine.server.process import Front
from engine.server.worker import Worker
from sessions.artifacts import AnyArtifact, Column, Table, Text
from sessions.errors import CallError, IwbError
from sessions.file import SessionFile

from .conftest import OPERATIONS, counted, wait_until


class Draft(Params, frozen=True, kw_only=True):
    text: Annotated[str, Meta(description="what is being written")] = ""
    model: ModelRef | None = None


asked_in: list[str] = []


def check(params: Draft, ctx: Context) -> Sequence[AnyArtifact]:
    asked_in.append(threading.current_thread().name)
    ctx.progress(0, 1)
    ctx.partial(Text(title="so far", markdown=""))
    ctx.checkpoint("a", 1)
    assert ctx.checkpoints() == {}
    ctx.log("never heard")
    if params.text == "refuse":
        raise CallError("that is no program", "line 1", "write another")
    if params.text == "crash":
        raise ZeroDivisionError("one over nothing")
    if params.text == "keep":
        ctx.keep_weights(b"")  # type: ignore[attr-defined]
    rows = ((params.text, len(params.text)),)
    columns = (Column("text", "text"), Column("letters", "int"))
    return [Table(title="checked", columns=columns, rows=rows, facts={"error": None})]


CHECK = Operation(
    name="test.check", title="Check", summary="s", params=Draft, gives=("table",), function=check, live=True
)


@pytest.fixture(autouse=True)
def _check_is_in_the_catalogue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(OPERATIONS, CHECK.name, CHECK)
    asked_in.clear()


def test_a_live_question_is_answered_and_leaves_nothing_behind(
    working: Worker, session: SessionFile, events: list[wire.Event]
) -> None:
    (table,) = working.look("test.check", {"text": "abc"}).result(timeout=4).artifacts()
    assert isinstance(table, Table)
    assert table.rows == (("abc", 3),)
    assert session.steps() == ()
    assert session.artifacts() == ()
    assert events == []


def test_it_is_answered_between_the_batches_of_a_long_step(working: Worker, session: SessionFile) -> None:
    long = working.submit("test.count", {"n": 500, "pause": 0.01}).result().step
    wait_until(lambda: len(counted) >= 2)
    working.look("test.check", {"text": "abc"}).result(timeout=4)
    assert session.step(long).status == "running"
    working.cancel(long)


@pytest.mark.parametrize(("text", "kind"), [("refuse", CallError), ("crash", ZeroDivisionError), ("keep", CallError)])
def test_what_goes_wrong_is_the_askers_to_hear(working: Worker, text: str, kind: type[Exception]) -> None:
    with pytest.raises(kind):
        working.look("test.check", {"text": text}).result(timeout=4)
    assert working.look("test.check", {"text": "abc"}).result(timeout=4).sights


@pytest.mark.parametrize(
    ("name", "values", "sentence"),
    [
        ("test.count", {}, "leaves a step behind"),
        ("test.chek", {}, "did you mean 'test.check'"),
        ("test.check", {"txt": "a"}, "unknown parameter 'txt'"),
        ("test.check", {"model": "zoo:tpp"}, "'zoo:tpp' is not loaded"),
    ],
)
def test_a_wrong_question_is_refused_at_once(worker: Worker, name: str, values: dict[str, str], sentence: str) -> None:
    with pytest.raises(CallError, match=sentence):
        worker.look(name, values)


def test_an_ending_engine_leaves_nobody_waiting(worker: Worker) -> None:
    waiting = worker.look("test.check", {"text": "abc"})
    worker.stop()
    worker.work()
    with pytest.raises(IwbError, match="the engine is ending"):
        waiting.result(timeout=0)
    with pytest.raises(IwbError, match="the engine is ending"):
        worker.look("test.check", {"text": "abc"})


def test_a_question_given_up_before_its_turn_is_not_computed(worker: Worker) -> None:
    worker.look("test.check", {"text": "abc"}).cancel()
    worker.answer_questions()
    assert asked_in == []


def test_the_catalogue_says_which_operations_are_live() -> None:
    assert describe(CHECK).live
    assert not describe(OPERATIONS["test.count"]).live


async def test_over_the_wire_it_comes_back_as_artifacts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IWB_RUNTIME_DIR", str(tmp_path / "run"))
    path = tmp_path / "wire.iwb"
    with SessionFile.open(path, create=True) as session:
        front = Front(session)
        await front.listen()
        thread = threading.Thread(target=front.worker.work, daemon=True)
        thread.start()
        client = await EngineClient.connect(path, start=False)
        try:
            (table,) = await asyncio.wait_for(client.look("test.check", {"text": "abcd"}), 5)
            assert isinstance(table, Table)
            assert table.rows == (("abcd", 4),)
            with pytest.raises(CallError, match="line 1: that is no program; write another"):
                await asyncio.wait_for(client.look("test.check", {"text": "refuse"}), 5)
            with pytest.raises(IwbError, match="this is a bug in iwb: ZeroDivisionError"):
                await asyncio.wait_for(client.look("test.check", {"text": "crash"}), 5)
        finally:
            await client.close()
            front.leave()
            front.worker.stop()
            await asyncio.to_thread(thread.join, 10)
