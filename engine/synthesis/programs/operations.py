"""A program on one input, step by step, as an operation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
from msgspec import Meta

from engine.operations import Context, Operation, Params, ProgramRef
from sessions.artifacts import AnyArtifact, Column, Program, Table
from sessions.errors import CallError, IwbError


class RunParams(Params, frozen=True, kw_only=True):
    program: ProgramRef
    inputs: Annotated[
        list[int | list[int]],
        Meta(description="the input sequence, [0,1,1]; for two streams [[0,1,1],[1,1,0]]"),
    ]


def run_program(params: RunParams, ctx: Context) -> Sequence[AnyArtifact]:
    """The program on one input, step by step."""
    from engine.synthesis.programs.evaluator import parse
    from engine.synthesis.programs.sandbox import Sandbox

    program = ctx.artifact(params.program)
    if not isinstance(program, Program) or program.language != "python":
        raise CallError(f"{params.program} is not a Python program", "synthesis.run", "give the @ID of a program")
    x = _sequences(params.inputs)
    arguments = [argument.arg for argument in parse(program.source).args.args]
    if x.shape[2] != len(arguments):
        streams = "1 sequence" if len(arguments) == 1 else f"{len(arguments)} sequences"
        raise CallError(
            f"the program takes {streams}, not {x.shape[2]}",
            "inputs",
            "write [0,1,1]" if len(arguments) == 1 else "write one list per sequence: [[0,1,1],[1,1,0]]",
        )
    with Sandbox(program.source, seconds=5.0) as sandbox:
        y, turns = sandbox.trace(x)
    if len(turns) != x.shape[1] or y.shape[1] != x.shape[1]:
        raise IwbError("the program does not take one turn per input", "synthesis.run", "only a single loop is traced")
    names = list(turns[0]) if turns else []
    columns = [Column("step", "int"), *(Column(f"{name}[step]", "int", help="what is read") for name in arguments)]
    columns += [Column(name, "int", help="after this step") for name in names]
    columns += [Column(f"output {k + 1}" if y.shape[2] > 1 else "output", "int") for k in range(y.shape[2])]
    rows = tuple(
        (t + 1, *x[0, t].tolist(), *(turn[name][0] for name in names), *y[0, t].tolist())
        for t, turn in enumerate(turns)
    )
    return (
        Table(
            title=f"{program.title} on one input",
            summary=f"{len(rows)} steps; output {' '.join(str(v) for v in y[0, :, 0].tolist())}",
            columns=tuple(columns),
            rows=rows,
        ),
    )


def _sequences(inputs: Sequence[int | list[int]]) -> np.ndarray[Any, np.dtype[np.int64]]:
    """One batch of one sequence, (1, position, input), from [0,1,1] or one list per stream."""
    streams = [s for s in inputs if isinstance(s, list)]
    if streams and len(streams) < len(inputs):
        raise CallError("numbers and lists are mixed", "inputs", "write [0,1,1], or one list per sequence")
    rows: list[list[int]] = streams if streams else [[v for v in inputs if isinstance(v, int)]]
    if not rows[0] or len({len(row) for row in rows}) > 1:
        raise CallError("the sequences are empty or differ in length", "inputs", "give lists of one length")
    if len(rows[0]) > 10_000 or any(abs(v) >= 2**31 for row in rows for v in row):
        raise CallError("too long, or a number of 2**31 or more", "inputs", "at most 10,000 numbers below 2**31")
    return np.array(rows, dtype=np.int64).T[None]


OPERATIONS: tuple[Operation, ...] = (
    Operation(
        name="synthesis.run",
        title="Run a program step by step",
        summary="Interpret a program on one input and list its variables and output after each step.",
        params=RunParams,
        gives=("table",),
        function=run_program,
        interactive=True,
    ),
)
