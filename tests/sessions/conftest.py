"""An investigation in memory, with one artifact of every kind and steps in every state."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sessions.artifacts import (
    AnyArtifact,
    Axis,
    Column,
    Curve,
    Edge,
    Graph,
    Matrix,
    Model,
    Node,
    Points,
    Program,
    PromptRow,
    Prompts,
    Series,
    Table,
    Text,
    Verdict,
    WeightProcessing,
)
from sessions.codec import encode
from sessions.components import Embed, Head, Logits, Mlp
from sessions.errors import ErrorRecord
from sessions.steps import Environment, Note, Status, Step, Stored


class MemoryInvestigation:
    """What the session file offers to readers, over lists."""

    path = Path("memory.iwb")

    def __init__(self) -> None:
        self._steps: list[Step] = []
        self._artifacts: list[tuple[int, AnyArtifact]] = []
        self._notes: list[Note] = []

    def steps(self) -> Sequence[Step]:
        return tuple(self._steps)

    def artifacts(self, step: int | None = None, /) -> Sequence[Stored]:
        return tuple(
            Stored(
                id=number,
                step=owner,
                kind=artifact.kind,
                title=artifact.title,
                summary=artifact.summary,
                sha256=encode(artifact).sha256,
                bytes=len(encode(artifact).document) + len(encode(artifact).arrays),
            )
            for number, (owner, artifact) in enumerate(self._artifacts, start=1)
            if step is None or owner == step
        )

    def artifact(self, number: int, /) -> AnyArtifact:
        return self._artifacts[number - 1][1]

    def notes(self) -> Sequence[Note]:
        return tuple(self._notes)

    def add(
        self,
        operation: str,
        parameters: dict[str, Any] | None = None,
        *artifacts: AnyArtifact,
        seed: int = 0,
        status: Status = "done",
        error: ErrorRecord | None = None,
        key: str | None = None,
        done: int = 0,
        total: int = 0,
        defaults: tuple[str, ...] = (),
    ) -> int:
        """A step and what it left; gives the step's id. Parameters written `@N`, alone or in a list, become
        inputs."""
        values = parameters or {}
        places = {
            place: text
            for name, value in values.items()
            for place, text in (
                ((f"{name}[{i}]", item) for i, item in enumerate(value)) if isinstance(value, list) else [(name, value)]
            )
        }
        number = len(self._steps) + 1
        self._steps.append(
            Step(
                id=number,
                operation=operation,
                version=1,
                parameters=values,
                given=tuple(name for name in values if name not in defaults),
                seed=seed,
                key=f"key{number}" if key is None else key,
                status=status,
                created=1_700_000_000.0 + 60 * number,
                inputs={
                    n: int(v[1:]) for n, v in places.items() if isinstance(v, str) and v[1:].isdigit() and v[0] == "@"
                },
                seconds=1.25 * number,
                done=done,
                total=total,
                environment=Environment(
                    iwb="0.1.0",
                    python="3.11.9",
                    torch="2.4.1",
                    platform="Linux",
                    device="cpu",
                    dtype="float32",
                    threads=2,
                ),
                error=error,
            )
        )
        self._artifacts += [(number, artifact) for artifact in artifacts]
        return number

    def note(self, text: str, *, step: int | None = None, artifact: int | None = None) -> None:
        self._notes.append(
            Note(id=len(self._notes) + 1, created=1_700_000_500.0, text=text, step=step, artifact=artifact)
        )


def one_of_each() -> dict[str, AnyArtifact]:
    """An artifact of every kind, each with something awkward in it: NaN, markup characters, non-ASCII text."""
    values = np.array([[0.5, -1.25, 0.0], [np.nan, 3.75, 1e-4]], dtype=np.float32)
    return {
        "model": Model(
            title="Model zoo:tpp",
            summary="2 layers, 4 heads",
            source="zoo:tpp",
            family="transformer",
            architecture="gpt2",
            sha256="ab" * 32,
            config={"n_layers": 2, "n_heads": 4},
            parameters=123456,
            processing=WeightProcessing(fold_ln=True),
            bytes_needed=493824,
            bytes_free=8 * 2**30,
        ),
        "prompts": Prompts(
            title="TPP prompts",
            summary="2 rows",
            task="tpp",
            rows=(
                PromptRow(
                    clean="vec A = B |",
                    corrupt="vec A = C |",
                    answers=(" B",),
                    foils=(" C",),
                    group="t1",
                    positions={"a1": 1},
                ),
                PromptRow(clean="<script>alert(1)</script> Zoë", answers=(" x",), problem="' x' is not one token"),
            ),
            rejected=("line 3: no column 'clean'",),
        ),
        "matrix": Matrix(
            title="Zero ablation of every head",
            summary="L1H1 matters most",
            facts={"ablation": "zero", "n": 100},
            values=values,
            axes=(Axis("layer", ("L0", "L1")), Axis("head")),
            unit="logits",
            scale="diverging",
            marks=((1, 1),),
        ),
        "table": Table(
            title="Heads",
            columns=(
                Column("head", "text"),
                Column("score", "float", unit="logits"),
                Column("n", "int"),
                Column("kept", "bool"),
            ),
            rows=(("L0H1", 1.25, 100, True), ("L1|H0", -0.031, 7, False), ("mlp0", None, 0, True)),
        ),
        "series": Series(
            title="Faithfulness by size",
            x=np.arange(5, dtype=np.int64),
            x_name="heads kept",
            y_name="faithfulness",
            curves=(
                Curve("ours", np.array([0.0, 0.5, np.nan, 0.9, 1.0]), low=np.zeros(5), high=np.ones(5)),
                Curve("random", np.array([0.0, 0.1, 0.2, 0.5, 1.0])),
            ),
        ),
        "points": Points(
            title="Hidden states",
            xy=np.array([[0.0, 1.0], [1.0, 0.0], [-1.0, -1.0]]),
            labels=("s0", "s1", "s&2"),
            colour=np.array([0.0, 1.0, 2.0]),
            axis_names=("PC1", "PC2"),
        ),
        "graph": Graph(
            title="The circuit",
            score_name="logits",
            weight_name="effect",
            nodes=(
                Node("embed", "embed", 0, Embed()),
                Node("L0H1", "L0H1", 1, Head(0, 1), score=1.25),
                Node("L0H2", "L0H2", 1, Head(0, 2), score=0.01, kept=False),
                Node("mlp0", "mlp0", 2, Mlp(0), score=-0.5),
                Node("logits", "logits", 3, Logits()),
            ),
            edges=(
                Edge("embed", "L0H1", 0.75),
                Edge("L0H1", "mlp0", -0.25),
                Edge("L0H1", "logits", 1.5, label="a<b"),
                Edge("L0H2", "logits", 0.001, kept=False),
            ),
        ),
        "automaton": Graph(
            title="Parity automaton",
            layout="automaton",
            nodes=(Node("even", "even", 0, accepting=True), Node("odd", "odd", 1)),
            edges=(
                Edge("even", "even", label="0/0"),
                Edge("even", "odd", label="1/1"),
                Edge("odd", "odd", label="0/1"),
                Edge("odd", "even", label="1/0"),
            ),
        ),
        "program": Program(
            title="Parity in Python",
            source="def parity(bits):\n    h = 0\n    for x in bits:\n        h ^= x  # <flip>\n    return h\n",
            verdicts=(
                Verdict("the network", 1024, 1024, True, "all 1,024 bit sequences of length 10"),
                Verdict("the target", 9, 10, False, "10 sequences", "[1, 0]"),
            ),
        ),
        "text": Text(title="Reading", markdown="# What we saw\n\n*Two* heads & `one` MLP <b>x</b>.\n"),
    }


@pytest.fixture
def kinds() -> dict[str, AnyArtifact]:
    return one_of_each()


@pytest.fixture
def investigation(kinds: dict[str, AnyArtifact]) -> MemoryInvestigation:
    """Load, make prompts, sweep, draw, synthesise; then one cancelled, one interrupted and one failed step."""
    session = MemoryInvestigation()
    session.add("models.load", {"source": "zoo:tpp"}, kinds["model"])
    session.add("prompts.make", {"task": "tpp", "n": 100}, kinds["prompts"], seed=1)
    session.add(
        "circuits.head_sweep",
        {"model": "@1", "prompts": "@2", "ablation": "zero", "threshold": 0.5, "limit": None},
        kinds["matrix"],
        kinds["table"],
        kinds["graph"],
        defaults=("ablation", "threshold", "limit"),
    )
    session.add("circuits.curve", {"graph": "@5"}, kinds["series"], kinds["points"], kinds["text"])
    session.add("synthesis.program", {"model": "@1"}, kinds["automaton"], kinds["program"])
    session.add("circuits.head_sweep", {"model": "@1", "prompts": "@2"}, status="interrupted", done=90, total=144)
    session.add("circuits.head_sweep", {"model": "@1", "prompts": "@2"}, seed=3, status="cancelled", done=1, total=2)
    session.add(
        "prompts.open",
        {"path": "mine's.csv"},
        status="failed",
        error=ErrorRecord("no such file", "mine's.csv", "check the path", traceback="Traceback: <frame>"),
    )
    session.note("Why the *second* head?", step=3)
    session.note("Look at L1H1 <here>", artifact=3)
    session.note("First try.")
    return session
