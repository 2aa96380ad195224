"""A handful of small operations that the server's tests run instead of the catalogue's."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import pytest
from msgspec import Meta

from engine.operations import Context, MatrixRef, ModelRef, ModelRefs, Operation, Params
from engine.server import worker as worker_module
from engine.server.protocol import Event
from engine.server.worker import Worker
from sessions.artifacts import AnyArtifact, Axis, Matrix, Model, Text
from sessions.errors import CallError, IwbError, nearest
from sessions.file import SessionFile


class Count(Params):
    n: Annotated[int, Meta(ge=1, description="how many units")] = 5
    pause: Annotated[float, Meta(ge=0, description="seconds a unit takes")] = 0.0


class Double(Params):
    matrix: MatrixRef
    path: Annotated[str, Meta(description="a file")] = ""


class Nothing(Params):
    pass


class Source(Params):
    source: Annotated[str, Meta(description="a model")]


class Ask(Params):
    model: ModelRef
    other: ModelRef | None = None


class Cross(Params):
    models: ModelRefs
    matrices: Annotated[tuple[str, ...], Meta(description="matrices", extra={"kind": "matrix"})] = ()


counted: list[int] = []  # the units really computed, over all runs


def count(params: Count, ctx: Context) -> Sequence[AnyArtifact]:
    done = ctx.checkpoints()
    values = np.full((1, params.n), np.nan)
    for unit in range(params.n):
        ctx.progress(unit, params.n)
        if str(unit) not in done:
            counted.append(unit)
            time.sleep(params.pause)
            ctx.checkpoint(str(unit), float(unit) ** 2 + ctx.seed)
            done[str(unit)] = float(unit) ** 2 + ctx.seed
        values[0, unit] = done[str(unit)]
        ctx.partial(Matrix(title="so far", values=values.copy(), axes=(Axis("a"), Axis("b"))))
    ctx.progress(params.n, params.n)
    return [Matrix(title="squares", values=values, axes=(Axis("a"), Axis("b")))]


def double(params: Double, ctx: Context) -> Sequence[AnyArtifact]:
    given = ctx.artifact(params.matrix)
    assert isinstance(given, Matrix)
    return [Matrix(title="doubled", values=given.values * 2, axes=given.axes)]


def crash(params: Nothing, ctx: Context) -> Sequence[AnyArtifact]:
    raise ZeroDivisionError("one over nothing")


def refuse(params: Nothing, ctx: Context) -> Sequence[AnyArtifact]:
    raise IwbError("it does not work", "here", "do something else")


def load(params: Source, ctx: Context) -> Sequence[AnyArtifact]:
    return [
        Model(
            title="m", source=params.source, family="rnn", architecture="a", sha256="1", bytes_free=time.monotonic_ns()
        )
    ]


def ask(params: Ask, ctx: Context) -> Sequence[AnyArtifact]:
    ctx.progress(0, 1)
    return [Text(title="answer", markdown=params.model)]


def cross(params: Cross, ctx: Context) -> Sequence[AnyArtifact]:
    return [Text(title="crossed", markdown=" ".join((*params.models, *params.matrices)))]


OPERATIONS = {
    o.name: o
    for o in (
        Operation(name="test.count", title="Count", summary="s", params=Count, gives=("matrix",), function=count),
        Operation(
            name="test.double",
            title="Double",
            summary="s",
            params=Double,
            gives=("matrix",),
            function=double,
            interactive=True,
            files=("path",),
        ),
        Operation(name="models.load", title="Load", summary="s", params=Source, gives=("model",), function=load),
        Operation(
            name="test.ask", title="Ask", summary="s", params=Ask, gives=("text",), function=ask, interactive=True
        ),
        Operation(name="test.cross", title="Cross", summary="s", params=Cross, gives=("text",), function=cross),
        Operation(name="test.crash", title="Crash", summary="s", params=Nothing, gives=(), function=crash),
        Operation(name="test.refuse", title="Refuse", summary="s", params=Nothing, gives=(), function=refuse),
    )
}


def find(name: str) -> Operation:
    if name not in OPERATIONS:
        raise CallError(f"unknown operation '{name}'", remedy=nearest(name, OPERATIONS))
    return OPERATIONS[name]


@pytest.fixture(autouse=True)
def _test_catalogue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "find_operation", find)
    counted.clear()


@pytest.fixture
def session(tmp_path: Path) -> Iterator[SessionFile]:
    with SessionFile.open(tmp_path / "my.iwb", create=True) as opened:
        yield opened


@pytest.fixture
def events() -> list[Event]:
    return []


@pytest.fixture
def worker(session: SessionFile, events: list[Event]) -> Worker:
    return Worker(session, events.append)


@pytest.fixture
def working(worker: Worker) -> Iterator[Worker]:
    """A worker whose thread runs."""
    thread = threading.Thread(target=worker.work, daemon=True)
    thread.start()
    yield worker
    worker.stop()
    thread.join(10)


def wait_until(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.005)
