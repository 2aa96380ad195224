"""What the engine would say of one small program: the histogram of `[a, b, a]`, worked out by hand."""

from __future__ import annotations

from typing import Any

import numpy as np

from sessions.artifacts import AnyArtifact, Axis, Column, Edge, Graph, Matrix, Model, Node, Program, Table, Verdict
from sessions.components import Embed, Head, Logits, Mlp
from sessions.parameters import FieldInfo, OperationInfo

TEXT = "same = select(tokens, tokens, ==)\nhist = selector_width(same)\n"
WRONG = "same = select(tokens, tokens, ==)\nhist = selector_wdth(same)\n"
INPUT = ["a", "b", "a"]
COLUMNS = (
    Column("line", "int"), Column("name", "text"), Column("operation", "text"), Column("encoding", "text"),
    Column("values", "text"), Column("count", "int"), Column("layer", "int"), Column("component", "text"),
    Column("units", "text"), Column("directions", "int"), Column("reads", "text"),
)  # fmt: skip
ROWS = (
    (None, "tokens", "tokens", "categorical", "a, b", 2, None, "embed", "", 2, ""),
    (2, "hist", "SelectorWidth", "categorical", "0, 1, 2, 3", 4, 0, "L0H0, mlp0", "0:7", 5, "tokens, tokens"),
)
SIZES = {"layers": 1, "heads": 1, "width": 12, "head width": 4, "hidden": 7, "parameters": 1234, "milliseconds": 0.8}


def operation(name: str, *gives: str, live: bool = False, interactive: bool = False) -> OperationInfo:
    fields = (FieldInfo(name="program", type="str", help="the program"),)
    return OperationInfo(
        name=name, title=name, summary=name, gives=gives, version=1, live=live, interactive=interactive, fields=fields
    )


OPERATIONS = (
    operation("rasp.check", "table", live=True),
    operation("rasp.compile", "model", "program", "graph", "table"),
    operation("rasp.trace", "table", "matrix", "matrix", interactive=True),
    operation("rasp.decompile", "program", "table"),
    operation("rasp.prompts", "prompts"),
    operation("rasp.sample", "table"),
)
LIBRARY: dict[str, Any] = {
    "library": [
        {"name": "hist", "summary": "how often each token occurs", "text": TEXT, "vocab": ["a", "b"], "max_len": 3,
         "causal": False},
        {"name": "reverse", "summary": "the input backwards", "text": "opp = length - indices - 1\n", "vocab": [1, 2],
         "max_len": 4, "causal": False},
    ]
}  # fmt: skip


def checked(values: dict[str, Any]) -> tuple[AnyArtifact, ...]:
    """The answer of `rasp.check`."""
    text = values["program"]
    if "wdth" in text:
        line = text.split("wdth")[0].count("\n") + 1
        message = "'selector_wdth' is not defined; did you mean 'selector_width'?"
        error = {"message": message, "line": line, "column": 8, "length": 13}
        return (Table(title="program", summary=message, columns=COLUMNS, rows=(), facts={"error": error}),)
    return (Table(title="program: variables", columns=COLUMNS, rows=ROWS, facts={"error": None, **SIZES}),)


def traced(*, model: bool = True) -> tuple[AnyArtifact, ...]:
    """What `rasp.trace` leaves of the input."""
    facts: dict[str, Any] = {"input": INPUT, "output": [2, 1, 2]}
    at = tuple(f"{i}:{token}" for i, token in enumerate(INPUT))
    values = Table(
        title="values", summary="[a, b, a] gives [2, 1, 2]", facts=facts,
        columns=(Column("s-op", "text"), Column("operation", "text"), *(Column(a, "text") for a in at)),
        rows=(("tokens", "Tokens", "a", "b", "a"), ("hist", "SelectorWidth", "2", "1", "2")),
    )  # fmt: skip
    same = np.array([[[1, 0, 1], [0, 1, 0], [1, 0, 1]]], dtype=np.float32)
    label = "same L0H0" if model else "same"
    axes = (Axis("selector", (label,)), Axis("query", at), Axis("key", at))
    selectors = Matrix(title="selectors", values=same, axes=axes, unit="selected", facts=facts)
    if not model:
        return values, selectors
    pattern = np.zeros((1, 4, 4), dtype=np.float32)
    pattern[0, 0, 0] = 1
    pattern[0, 1:, 1:] = same[0]
    pattern[0, 1:, 0] = 1
    pattern /= pattern.sum(-1, keepdims=True)
    with_bos = ("BOS", *at)
    patterns = Matrix(
        title="attention patterns", values=pattern, unit="attention", facts={**facts, "decoded": [2, 1, 2]},
        axes=(Axis("head", ("L0H0 same",)), Axis("query", with_bos), Axis("key", with_bos)),
    )  # fmt: skip
    return values, selectors, patterns


def compiled() -> tuple[AnyArtifact, ...]:
    """What `rasp.compile` leaves."""
    facts: dict[str, Any] = {"vocab": ["a", "b"], "max_len": 3, "causal": False, **SIZES}
    model = Model(
        title="program", source="session:" + "ab" * 32, family="transformer", architecture="rasp", sha256="ab" * 32,
        config={"n_layers": 1, "n_heads": 1, "d_model": 12, "n_ctx": 4, "d_vocab": 4}, parameters=1234, facts=facts,
    )  # fmt: skip
    nodes = (
        Node("embed", "embed", 0, Embed()), Node("L0H0", "L0H0 hist", 1, Head(0, 0)),
        Node("mlp0", "mlp0 hist", 2, Mlp(0)), Node("logits", "logits", 3, Logits()),
    )  # fmt: skip
    edges = (Edge("embed", "L0H0"), Edge("L0H0", "mlp0"), Edge("mlp0", "logits"))
    return model, program(), Graph(title="true circuit", nodes=nodes, edges=edges), checked({"program": TEXT})[0]


def program(*, decompiled: bool = False) -> Program:
    """The program with where its lines live; decompiled, with a line and a part that could not be read."""
    lines: list[dict[str, Any]] = [
        {"line": 1, "name": "same", "components": ["L0H0"], "units": None, "dims": [], "read": True},
        {"line": 2, "name": "hist", "components": ["L0H0", "mlp0"], "units": [0, 0, 7], "dims": [3, 4, 5, 6, 7],
         "read": not decompiled},
    ]  # fmt: skip
    verdict = Verdict(
        against="the interpreter", agreed=39, tested=39, exhaustive=True, domain="inputs of up to 3 tokens"
    )
    facts: dict[str, Any] = {"vocab": ["a", "b"], "max_len": 3, "causal": False, "lines": lines}
    if decompiled:
        facts["unread"] = ["mlp0 units 7 to 9 write directions that nothing reads"]
    return Program(title="program", source=TEXT, language="rasp", verdicts=(verdict,), facts=facts)


def sampled(n: int = 30) -> Table:
    """What `rasp.sample` leaves."""
    columns = (
        Column("program", "text"), Column("length", "int"), Column("operations", "text"), Column("tokens", "int"),
    )  # fmt: skip
    rows = tuple(
        (f"x{i} = map(lambda x: x + {i}, tokens)\n" + TEXT, 4 + i % 5, "Map, SelectorWidth", 30 + i) for i in range(n)
    )
    return Table(title="30 sampled programs", columns=columns, rows=rows)
