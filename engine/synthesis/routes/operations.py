"""From a network to a program, as an operation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from msgspec import Meta

from engine.operations import Context, ModelRef, Operation, Params
from sessions.artifacts import AnyArtifact, Edge, Graph, Node, Points, Program, Verdict
from sessions.errors import CallError

if TYPE_CHECKING:
    from engine.models.protocols import RecurrentModel
    from engine.synthesis.checks.agreement import Agreement
    from engine.synthesis.routes.extraction import Extraction

MOST_POINTS = 2_000  # hidden states drawn


class ExtractParams(Params, frozen=True, kw_only=True):
    model: ModelRef
    length: Annotated[int, Meta(description="longest input sequence looked at", ge=1, le=100)] = 10
    low: Annotated[int, Meta(description="smallest input", ge=-1000, le=1000)] = 0
    high: Annotated[int, Meta(description="largest input", ge=-1000, le=1000)] = 1
    tolerance: Annotated[
        Annotated[float, Meta(gt=0)] | None,
        Meta(description="hidden states this near are one state; none: the coarsest consistent clustering"),
    ] = None
    max_states: Annotated[int, Meta(description="give up beyond so many states", ge=1, le=4096)] = 256


def extract_program(params: ExtractParams, ctx: Context) -> Sequence[AnyArtifact]:
    """A program for a recurrent network, its automaton, and the hidden states it came from."""
    from engine.synthesis.domain import Domain
    from engine.synthesis.routes.extraction import MOST_SYMBOLS, STAGES, extract

    model = ctx.rnn(params.model)
    if params.high < params.low:
        raise CallError(f"high={params.high} is below low={params.low}", "synthesis.extract", "give low <= high")
    domain = Domain(model.inputs, params.low, params.high, params.length)
    values = (params.high - params.low + 1) ** model.inputs
    if values > MOST_SYMBOLS:
        raise CallError(
            f"there are {values:,} different inputs",
            "synthesis.extract",
            f"narrow low..high to at most {MOST_SYMBOLS:,}",
        )
    total = len(STAGES) + _chunk_count(domain)

    def progress(stage: str, done: int, of: int) -> None:
        ctx.progress(STAGES.index(stage), total, f"{stage} {done}/{of}" if of > 1 else stage)

    extraction = extract(
        model,
        domain,
        tolerance=params.tolerance,
        most_states=params.max_states,
        rng=ctx.rng,
        progress=progress,
    )
    verdicts = _check(extraction, model, ctx, total)
    return _program(extraction, model, verdicts), automaton(extraction, model.task), _points(extraction, model.task)


def _chunk_count(domain: Any) -> int:
    from engine.synthesis.checks.agreement import CHUNK, tested

    return -(-tested(domain) // CHUNK)


def _check(extraction: Extraction, model: RecurrentModel, ctx: Context, total: int) -> tuple[Verdict, ...]:
    """Run the program's text on the tested sequences, beside the network and, where the task is known, its target."""
    from engine.synthesis.checks.agreement import Agreement, chunks, compare, exhaustive, in_words, network_outputs
    from engine.synthesis.programs.sandbox import Sandbox
    from engine.synthesis.routes.extraction import STAGES
    from engine.synthesis.tasks.benchmark import TASKS

    domain = extraction.domain
    target = next((t.target for t in TASKS if t.name == model.task and t.inputs == model.inputs), None)
    sums = [Agreement(), Agreement()]
    saved = ctx.checkpoints()
    with Sandbox(extraction.found.source) as sandbox:
        for number, x in enumerate(chunks(domain, ctx.seed)):
            ctx.progress(len(STAGES) + number, total, "check")
            unit = f"check {number}"
            if unit not in saved:
                y = sandbox.outputs(x)
                parts = [compare(x, y, network_outputs(model, x), "network")]
                if target is not None:
                    parts.append(compare(x, y, target(x), "target"))
                saved[unit] = [list(part) for part in parts]
                ctx.checkpoint(unit, saved[unit])
            sums = [one.and_then(Agreement(*part)) for one, part in zip(sums, saved[unit])]
    ctx.progress(total, total)
    return tuple(
        _verdict(against, agreement, exhaustive(domain), in_words(domain))
        for against, agreement in zip(("the network", "the task's target"), sums)
    )


def _verdict(against: str, agreement: Agreement, exhaustive: bool, domain: str) -> Verdict:
    return Verdict(
        against=against,
        agreed=agreement.agreed,
        tested=agreement.tested,
        exhaustive=exhaustive,
        domain=domain,
        counterexample=agreement.difference,
    )


def _program(extraction: Extraction, model: RecurrentModel, verdicts: tuple[Verdict, ...]) -> Program:
    found, machine = extraction.found, extraction.machine
    states = "1 state" if machine.states == 1 else f"{machine.states} states"
    return Program(
        title=f"Program {model.task}".rstrip(),
        summary=f"{found.route}, {states}, {found.length} tokens; {verdicts[0]}",
        source=found.source,
        verdicts=verdicts,
        facts={
            "route": found.route,
            "description length": f"{found.length} tokens",
            "labelling": found.parts.labelling.kind,
            "labellings tried": found.tried,
            "contains a table": bool(found.parts.looked_up),
            **_stages(extraction),
        },
    )


def _stages(extraction: Extraction) -> dict[str, Any]:
    """How the machine came about: what every one of the three results depends on."""
    explored, clusters, machine = extraction.explored, extraction.clusters, extraction.machine
    return {
        "inputs": str(extraction.domain),
        "hidden states visited": len(explored.hidden),
        "every prefix visited": explored.whole,
        "states told apart by": "what follows them" if extraction.by_behaviour else "distance",
        "tolerance": round(clusters.tolerance, 6),
        "clusters": len(clusters.representative),
        "clusters from splitting": clusters.split,
        "transitions asked of the network": extraction.asked,
        "states after minimisation": machine.states,
        # Closed says nothing about how far the network's own states drift beyond the length that was looked at.
        "automaton": "closed: no input leads out of its states"
        if extraction.closed
        else f"open: known for up to {extraction.domain.length} inputs",
    }


def automaton(extraction: Extraction, task: str) -> Graph:
    """The minimal machine as a graph: one edge per pair of states, labelled `in/out, in/out`."""
    machine, found = extraction.machine, extraction.found
    names, codes = found.parts.names.state, found.parts.labelling.codes
    depths = machine.depths()
    nodes = tuple(
        Node(
            id=str(k),
            label=", ".join(f"{name}={value}" for name, value in zip(names, codes[k])) or "start",
            layer=max(depths[k], 0),
            accepting=k == 0,
        )
        for k in range(machine.states)
    )
    labels: dict[tuple[int, int], list[str]] = {}
    for state, row in enumerate(machine.next.tolist()):
        for symbol, after in enumerate(row):
            if after >= 0:
                read, written = machine.symbols[symbol], machine.output[state, symbol].tolist()
                labels.setdefault((state, after), []).append(f"{_joined(read)}/{_joined(written)}")
    edges = tuple(
        Edge(source=str(a), target=str(b), weight=float(len(words)), label=", ".join(words))
        for (a, b), words in labels.items()
    )
    return Graph(
        title=f"Automaton {task}".rstrip(),
        summary=f"{machine.states} states, {sum(len(words) for words in labels.values())} transitions; "
        f"{len(extraction.clusters.representative)} clusters before minimisation",
        nodes=nodes,
        edges=edges,
        layout="automaton",
        weight_name="inputs that take this way",
        facts=_stages(extraction),
    )


def _joined(values: Sequence[int]) -> str:
    """`01` for bits and digits, `1,12` where that would be ambiguous."""
    plain = all(0 <= v <= 9 for v in values)
    return ("" if plain else ",").join(str(v) for v in values)


def _points(extraction: Extraction, task: str) -> Points:
    from engine.synthesis.routes.extraction import projected

    explored, clusters = extraction.explored, extraction.clusters
    state = extraction.state_of_clusters()[clusters.label]
    # The axes come from all points; of those drawn, all times and states should be seen, so they are evenly spaced.
    xy, axes = projected(explored.hidden, explored.time)
    count = len(xy)
    chosen = np.unique(np.linspace(0, count - 1, min(count, MOST_POINTS)).astype(np.int64))
    chosen = np.unique(np.concatenate([chosen, clusters.representative]))
    shown = f"{len(chosen):,} of {count:,}" if len(chosen) < count else f"{count:,}"
    return Points(
        title=f"Hidden states {task}".rstrip(),
        summary=f"{shown} visited hidden states, coloured by {extraction.machine.states} states",
        xy=xy[chosen],
        labels=tuple(f"state {state[k]}, after {explored.time[k]} inputs" for k in chosen),
        colour=state[chosen].astype(np.float64),
        axis_names=axes,
        facts=_stages(extraction),
    )


OPERATIONS: tuple[Operation, ...] = (
    Operation(
        name="synthesis.extract",
        title="Network to program",
        summary="Turn a recurrent network into a Python program: hidden states gathered into the states of a minimal "
        "automaton, formulas found for update and output, and the program checked against the network and the task.",
        params=ExtractParams,
        gives=("program", "graph", "points"),
        function=extract_program,
        source="Michaud et al. 2024 (MIPS), section 4; Myhill-Nerode minimisation with the network as oracle",
    ),
)
