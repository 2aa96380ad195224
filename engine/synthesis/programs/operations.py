"""A program on one input, step by step, as an operation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from msgspec import Meta

from engine.operations import Context, Operation, Params, ProgramRef
from sessions.artifacts import AnyArtifact, Column, Table

InputText = Annotated[
    list[int | list[int]],
    Meta(description="the input sequence, [0,1,1]; for two streams [[0,1,1],[1,1,0]]"),
]


class RunParams(Params, frozen=True, kw_only=True):
    program: ProgramRef
    inputs: InputText


def run_program(params: RunParams, ctx: Context) -> Sequence[AnyArtifact]:
    """The program on one input, step by step."""
    from engine.synthesis.programs.tracing import one_sequence, python_program, trace

    program = python_program(ctx.artifact(params.program), params.program, "synthesis.run")
    x = one_sequence(params.inputs)
    traced = trace(program, x, "synthesis.run")
    columns = [Column("step", "int")]
    columns += [Column(f"{name}[step]", "int", help="what is read") for name in traced.arguments]
    columns += [Column(name, "int", help="after this step") for name in traced.variables]
    outputs = traced.outputs.shape[1]
    columns += [Column(f"output {k + 1}" if outputs > 1 else "output", "int") for k in range(outputs)]
    rows = tuple(
        (t + 1, *x[0, t].tolist(), *(values[t] for values in traced.variables.values()), *traced.outputs[t].tolist())
        for t in range(x.shape[1])
    )
    return (
        Table(
            title=f"{program.title} on one input",
            summary=f"{len(rows)} steps; output {' '.join(str(v) for v in traced.outputs[:, 0].tolist())}",
            columns=tuple(columns),
            rows=rows,
        ),
    )


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
