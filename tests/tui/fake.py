"""A scripted engine and session file in memory: what the screen is tested against, with no process and no clock."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from engine.server.protocol import (
    Accepted,
    EngineStatus,
    Event,
    Goodbye,
    NotesChanged,
    Partial,
    Progress,
    StepChanged,
    Topic,
)
from sessions.artifacts import AnyArtifact, Axis, Edge, Graph, Matrix, Model, Node, Program, PromptRow, Prompts, Verdict
from sessions.components import Head
from sessions.errors import CallError, ErrorRecord, nearest
from sessions.parameters import FieldInfo, OperationInfo
from sessions.steps import Note, Step, Stored
from tui.app import IwbApp
from tui.keymap import Config
from tui.link import Snapshot

CREATED = 1_700_000_000.0

CATALOGUE = (
    OperationInfo(
        name="models.load",
        title="Load a model",
        summary="A model, ready to be used.",
        gives=("model",),
        version=1,
        interactive=False,
        fields=(
            FieldInfo(name="source", type="str", help="what to load", required=True),
            FieldInfo(name="dtype", type="choice", choices=("float32", "bfloat16"), default="float32", help="numbers"),
            FieldInfo(name="fold_ln", type="bool", default=False, help="fold the norms"),
        ),
    ),
    OperationInfo(
        name="prompts.make",
        title="Make prompts",
        summary="A seeded set of prompts.",
        gives=("prompts",),
        version=1,
        interactive=False,
        fields=(
            FieldInfo(name="task", type="choice", choices=("tpp", "ioi"), default="tpp", help="the task"),
            FieldInfo(name="n", type="int", minimum=1, maximum=1000, default=100, help="how many prompts"),
        ),
    ),
    OperationInfo(
        name="prompts.open",
        title="Open prompts",
        summary="Prompts from a file.",
        gives=("prompts",),
        version=1,
        interactive=False,
        fields=(FieldInfo(name="path", type="str", required=True, help="the file"),),
    ),
    OperationInfo(
        name="circuits.head_sweep",
        title="Ablate every head",
        summary="What each head does to the metric.",
        gives=("matrix",),
        version=1,
        interactive=False,
        fields=(
            FieldInfo(name="model", type="artifact", kind="model", required=True, help="the model"),
            FieldInfo(name="prompts", type="artifact", kind="prompts", required=True, help="the prompts"),
            FieldInfo(
                name="ablation", type="choice", choices=("zero", "mean", "resample"), default="zero", help="by what"
            ),
            FieldInfo(name="strength", type="float", minimum=0, maximum=1, default=1.0, help="how much of it"),
        ),
    ),
)


def a_model(source: str = "zoo:tpp") -> Model:
    config = {"n_layers": 4, "n_heads": 6, "d_model": 96, "n_ctx": 64, "d_vocab": 310}
    return Model(
        title=source, source=source, family="transformer", architecture="attn-only", sha256="ab" * 32, config=config,
        parameters=123_456, bytes_needed=2_000_000, bytes_free=9_000_000_000,
    )  # fmt: skip


def some_prompts(n: int = 5) -> Prompts:
    rows = [
        PromptRow(
            clean=f"when {i} Mary and John went , John gave to", corrupt=f"when {i} Mary and John went , Mary gave to",
            answers=("Mary",), foils=("John",), group=f"t{i % 3}", positions={"a1": 2, "b1": 4, "end": 9},
            clean_tokens=("<bos>", "when", str(i), "Mary", "and", "John", "went", ",", "John", "gave", "to"),
            corrupt_tokens=("<bos>", "when", str(i), "Mary", "and", "John", "went", ",", "Mary", "gave", "to"),
            problem="answer 'Mary' is 2 tokens" if i == 3 else "",
        )
        for i in range(n)
    ]  # fmt: skip
    return Prompts(title="ioi prompts", task="ioi", rows=tuple(rows), tokenizer="zoo:tpp")


def a_sweep(done: int = 24) -> Matrix:
    values = np.random.default_rng(0).normal(size=(4, 6))
    values.flat[done:] = np.nan
    axes = (Axis("layer", tuple(map(str, range(4)))), Axis("head", tuple(map(str, range(6)))))
    return Matrix(
        title="logit difference, zero", values=values, axes=axes, scale="diverging", facts={"ablation": "zero"}
    )


def a_graph() -> Graph:
    nodes = (Node("embed", "embed", 0), Node("L0H1", "L0H1", 1, Head(0, 1), 0.5), Node("logits", "logits", 2))
    return Graph(title="circuit", nodes=nodes, edges=(Edge("embed", "L0H1", 0.4), Edge("L0H1", "logits", -0.6)))


def a_program() -> Program:
    verdict = Verdict(
        against="the network", agreed=1024, tested=1024, exhaustive=True, domain="all bit strings of length 10"
    )
    return Program(title="parity", source="def parity(bits):\n    return sum(bits) % 2\n", verdicts=(verdict,))


class FakeFile:
    """The session file: steps, artifacts and notes that tests put in."""

    def __init__(self) -> None:
        self.steps: dict[int, Step] = {}
        self.stored: dict[int, Stored] = {}
        self.payloads: dict[int, AnyArtifact] = {}
        self.notes: list[Note] = []
        self.view_state: dict[str, Any] = {}
        self.broken: str = ""

    def add_step(self, operation: str, status: Any = "done", **more: Any) -> Step:
        number = len(self.steps) + 1
        more = {"parameters": {}, "seed": 0, "seconds": 1.5, **more}
        more.setdefault("given", tuple(more["parameters"]))
        step = Step(id=number, operation=operation, version=1, key=f"k{number}", status=status, created=CREATED, **more)
        self.steps[number] = step
        return step

    def add(self, step: Step, artifact: AnyArtifact) -> Stored:
        number = len(self.stored) + 1
        stored = Stored(
            id=number, step=step.id, kind=artifact.kind, title=artifact.title, summary=artifact.summary,
            sha256=f"{number:064x}", bytes=100,
        )  # fmt: skip
        self.stored[number], self.payloads[number] = stored, artifact
        return stored

    def snapshot(self, path: Path) -> Snapshot | None:
        if self.broken:
            raise CallError(self.broken, str(path))
        return Snapshot(
            tuple(self.steps.values()), tuple(self.stored.values()), tuple(self.notes), dict(self.view_state)
        )

    def artifact(self, path: Path, artifact: int) -> AnyArtifact:
        return self.payloads[artifact]


def investigation() -> FakeFile:
    """A finished small investigation: model, prompts, sweep, circuit, program."""
    file = FakeFile()
    file.add(file.add_step("models.load", parameters={"source": "zoo:tpp"}), a_model())
    file.add(file.add_step("prompts.make", parameters={"task": "ioi", "n": 5}, seed=1), some_prompts())
    inputs = {"model": 1, "prompts": 2}
    at = {"model": "@1", "prompts": "@2"}
    file.add(file.add_step("circuits.head_sweep", parameters=at, inputs=inputs), a_sweep())
    file.add(file.add_step("circuits.greedy_sweep", parameters=at, inputs=inputs), a_graph())
    file.add(file.add_step("synthesis.program", parameters={"model": "@1"}, inputs={"model": 1}), a_program())
    file.add_step(
        "circuits.head_sweep", "interrupted", parameters={**at, "ablation": "mean"}, inputs=inputs, done=9, total=24
    )
    return file


class FakeEngine:
    """Answers at once. `run` records a running step; `finish` and `say` play the engine's part."""

    def __init__(self, file: FakeFile, on_event: Callable[[Event], None]) -> None:
        self.file, self.say = file, on_event
        self.asked: list[tuple[Any, ...]] = []
        self.looks: dict[str, Callable[[dict[str, Any]], tuple[AnyArtifact, ...]]] = {}  # answers of live operations
        self.closed = False

    async def run(self, operation: str, values: dict[str, Any], *, seed: int = 0, again: bool = False) -> Accepted:
        self.asked.append(("run", operation, values, seed))
        known = {info.name for info in CATALOGUE}
        if operation not in known:
            raise CallError(f"unknown operation '{operation}'", remedy=nearest(operation, known))
        if values.get("source") == "nowhere":
            raise CallError("'nowhere' does not fit parameter 'source'", operation, "there is no such model")
        inputs = {k: int(v[1:]) for k, v in values.items() if isinstance(v, str) and v[:1] == "@" and v[1:].isdigit()}
        step = self.file.add_step(operation, "running", parameters=values, seed=seed, inputs=inputs, seconds=0.0)
        self.say(StepChanged(step=step))
        self.say(EngineStatus(state="busy", step=step.id))
        return Accepted(step=step.id)

    def progress(self, step: int, done: int, total: int, partial: AnyArtifact | None = None) -> None:
        self.say(Progress(step=step, done=done, total=total, elapsed=2.0, rate=1.0, remaining=float(total - done)))
        if partial is not None:
            self.say(Partial.of(step, partial))

    def finish(
        self, step: int, *artifacts: AnyArtifact, status: Any = "done", error: ErrorRecord | None = None
    ) -> None:
        ended = msgspec.structs.replace(self.file.steps[step], status=status, seconds=2.5, error=error)
        self.file.steps[step] = ended
        stored = tuple(self.file.add(ended, artifact) for artifact in artifacts)
        self.say(StepChanged(step=ended, artifacts=stored))
        self.say(EngineStatus(state="ready"))

    def die(self, reason: str = "killed by signal 9") -> None:
        self.say(Goodbye(reason=reason))
        self.say(EngineStatus(state="lost"))

    async def catalogue(self) -> tuple[OperationInfo, ...]:
        return CATALOGUE

    async def cancel(self, step: int) -> None:
        self.asked.append(("cancel", step))
        self.finish(step, status="cancelled")

    async def resume(self, step: int) -> Accepted:
        self.asked.append(("resume", step))
        running = msgspec.structs.replace(self.file.steps[step], status="running")
        self.file.steps[step] = running
        self.say(StepChanged(step=running))
        return Accepted(step=step)

    async def rerun(self, step: int) -> tuple[Accepted, ...]:
        self.asked.append(("rerun", step))
        return (await self.run(self.file.steps[step].operation, self.file.steps[step].parameters),)

    async def add_note(self, text: str, *, step: int | None = None, artifact: int | None = None) -> Note:
        note = Note(id=len(self.file.notes) + 1, created=CREATED, text=text, step=step, artifact=artifact)
        self.file.notes.append(note)
        self.say(NotesChanged(notes=tuple(self.file.notes)))
        return note

    async def remove_note(self, note: int) -> None:
        self.file.notes = [n for n in self.file.notes if n.id != note]
        self.say(NotesChanged(notes=tuple(self.file.notes)))

    async def save_view(self, key: str, value: Any) -> None:
        self.file.view_state[key] = value

    async def ask(self, topic: Topic) -> dict[str, Any]:
        return {
            "models": [
                {"source": "zoo:tpp", "family": "transformer", "title": "tpp", "parameters": 123_456, "bundled": True}
            ]
        }

    async def look(self, operation: str, values: dict[str, Any]) -> tuple[AnyArtifact, ...]:
        self.asked.append(("look", operation, values))
        if operation not in self.looks:
            raise CallError(f"unknown operation '{operation}'")
        return self.looks[operation](values)

    async def shutdown(self) -> None:
        self.asked.append(("shutdown",))

    async def close(self) -> None:
        self.closed = True


class FakeBench:
    """An app with its fake file and engine. `engine` is there once the app has connected."""

    def __init__(
        self, file: FakeFile | None = None, path: Path = Path("case.iwb"), config: Config | None = None
    ) -> None:
        self.file = file or investigation()
        self.engines: list[FakeEngine] = []
        self.refuse = ""
        self.app = IwbApp(path, connect=self._connect, reader=self.file, config=config or Config({}))

    @property
    def engine(self) -> FakeEngine:
        return self.engines[-1]

    async def _connect(self, path: Path, *, on_event: Callable[[Event], None]) -> FakeEngine:
        if self.refuse:
            raise CallError(self.refuse, str(path))
        self.engines.append(FakeEngine(self.file, on_event))
        return self.engine


async def settle(pilot: Any) -> None:
    """Wait until workers and messages are done; workers that wait for a person do not exist here."""
    for _ in range(3):
        await pilot.pause()
        await pilot.app.workers.wait_for_complete()
    await pilot.pause()
