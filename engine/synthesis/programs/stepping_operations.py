"""Network, automaton and program on one input, side by side, as an operation."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

from msgspec import Meta

from engine.operations import Context, ModelRef, Operation, Params, ProgramRef
from engine.synthesis.programs.operations import InputText
from sessions.artifacts import AnyArtifact, Column, Graph, Table
from sessions.errors import CallError

if TYPE_CHECKING:
    from engine.synthesis.programs.stepping import MachineSteps, NetworkSteps
    from engine.synthesis.programs.tracing import One, Trace

MOST_HIDDEN = 64  # hidden numbers that get a column; the facts hold all
OURS = re.compile(r"h\d+|position|state|agree")  # names of columns that a program's variable may have too
Role = Literal["position", "input", "network", "program", "agree", "state", "machine", "variable", "raw", "hidden"]
Cells = Sequence[Any]


class StepParams(Params, frozen=True, kw_only=True):
    program: ProgramRef
    model: ModelRef
    inputs: InputText
    machine: Annotated[
        str | None, Meta(description="the automaton, to follow its states too: @ID", extra={"kind": "graph"})
    ] = None


def step_program(params: StepParams, ctx: Context) -> Sequence[AnyArtifact]:
    """A row per position: what is read, the network's numbers, the automaton's state, the program's variables."""
    from engine.synthesis.programs.stepping import agreement, machine_steps, network_steps
    from engine.synthesis.programs.tracing import one_sequence, python_program, require_streams, trace

    program = python_program(ctx.artifact(params.program), params.program, "synthesis.step")
    model = ctx.rnn(params.model)
    x = one_sequence(params.inputs)
    require_streams(x, model.inputs, "the network")
    traced = trace(program, x, "synthesis.step")
    network = network_steps(model, x)
    agree = agreement(network, traced)
    machine = None
    if params.machine is not None:
        graph = ctx.artifact(params.machine)
        if not isinstance(graph, Graph):
            raise CallError(f"{params.machine} is not a graph", "machine", "give the automaton's @ID")
        machine = machine_steps(graph, x)
    parts = _parts(x, network, machine, traced, agree.tolist())
    wrong = [t + 1 for t, same in enumerate(agree.tolist()) if not same]
    hidden = network.hidden.shape[1]
    shown = f"; {MOST_HIDDEN} of {hidden} hidden numbers shown" if hidden > MOST_HIDDEN else ""
    said = f"they differ first at position {wrong[0]}" if wrong else "network and program agree at every one"
    roles: dict[str, list[str]] = {}
    for role, column, _ in parts:
        roles.setdefault(role, []).append(column.name)
    return (
        Table(
            title="Side by side",
            summary=f"{len(agree)} positions; {said}{shown}",
            columns=tuple(column for _, column, _ in parts),
            rows=tuple(zip(*(cells for _, _, cells in parts), strict=True)),
            facts={
                "roles": roles,
                "exact": {"hidden": network.hidden.tolist(), "raw": network.raw.tolist()},
                "agree": len(agree) - len(wrong),
            },
        ),
    )


def _parts(
    x: One, network: NetworkSteps, machine: MachineSteps | None, program: Trace, agree: list[bool]
) -> list[tuple[Role, Column, Cells]]:
    """The table, column by column. Where there is no room the last ones are left out, so the many numbers come last."""
    positions, outputs = network.outputs.shape
    parts: list[tuple[Role, Column, Cells]] = [("position", Column("position", "int"), range(1, positions + 1))]
    for name, read in zip(program.elements, x[0].T.tolist(), strict=True):
        parts.append(("input", Column(_apart(name), "int", help="what is read"), read))
    for name, values in zip(_counted("network output", outputs), network.outputs.T, strict=True):
        parts.append(("network", Column(name, "int", help="the network's output"), values.tolist()))
    for name, values in zip(_counted("program output", outputs), program.outputs.T, strict=True):
        parts.append(("program", Column(name, "int", help="the program's output"), values.tolist()))
    parts.append(("agree", Column("agree", "bool", help="network and program"), agree))
    if machine is not None:
        parts.append(("state", Column("state", "text", help="of the automaton, after this input"), machine.states))
        written = ["" if one is None else " ".join(map(str, one)) for one in machine.written]
        parts.append(("machine", Column("automaton output", "text", help="what the automaton writes"), written))
    for name, held in program.variables.items():
        if name not in program.elements:
            parts.append(("variable", Column(_apart(name), "int", help="the program's variable after this turn"), held))
    for name, values in zip(_counted("raw output", network.raw.shape[1]), network.raw.T, strict=True):
        parts.append(("raw", Column(name, "float", help="what the network's readout gives"), _rounded(values)))
    for k, values in enumerate(network.hidden.T[:MOST_HIDDEN]):
        parts.append(("hidden", Column(f"h{k + 1}", "float", help="the network's hidden number"), _rounded(values)))
    return parts


def _apart(name: str) -> str:
    """A name of the program's that no other column has."""
    return f"{name} (program)" if OURS.fullmatch(name) else name


def _rounded(values: Any) -> list[float]:
    return [round(float(value), 4) + 0.0 for value in values]  # + 0.0: no -0


def _counted(name: str, count: int) -> list[str]:
    return [name] if count == 1 else [f"{name} {k + 1}" for k in range(count)]


OPERATIONS: tuple[Operation, ...] = (
    Operation(
        name="synthesis.step",
        title="Network and program side by side",
        summary="One input, position by position: the network's hidden numbers and output, the automaton's state, the "
        "program's variables and output, and whether they agree.",
        params=StepParams,
        gives=("table",),
        function=step_program,
        interactive=True,
    ),
)
