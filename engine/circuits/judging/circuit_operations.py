"""Is this circuit, of nodes or of edges, enough? The judgement of a whole one, as an operation. Loads without torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from msgspec import Meta

from engine.circuits.asking import Asked, MetricName, OnPrompts, ask
from engine.circuits.bootstrap import Bounds, PairedBootstrap
from engine.operations import Context, GraphRef
from sessions.artifacts import AnyArtifact, Column, Graph, Table
from sessions.components import Head, Mlp
from sessions.errors import CallError

if TYPE_CHECKING:
    from engine.circuits.judging.faithfulness import Circuit, Faithfulness
    from engine.circuits.runs import PromptRuns

OFTEN: tuple[MetricName, ...] = ("loss", "accuracy", "kl")  # reported beside the metric asked for
Level = Annotated[
    Literal["own", "nodes", "edges"],
    Meta(
        description="own: as the circuit was found; nodes: everything but its nodes is ablated; edges: every edge that "
        "is not in it is cut"
    ),
]


class Evaluate(OnPrompts, frozen=True, kw_only=True):
    circuit: Annotated[GraphRef, Meta(description="circuit to judge: @ID of its graph")]
    level: Level = "own"


def evaluate(params: Evaluate, ctx: Context) -> Sequence[AnyArtifact]:
    """What a circuit keeps of the model's behaviour when all else is ablated, by several metrics."""
    from engine.circuits.discovery.asking import EDGE_SITES, AskedEdges
    from engine.circuits.discovery.computational_graph import computational_graph
    from engine.circuits.discovery.edge_circuit import mask_of
    from engine.circuits.judging.faithfulness import edge_faithfulness, faithfulness

    graph = the_circuit(ctx, params.circuit)
    asked = ask(params, ctx)
    c = asked.model.config
    by_edges = (graph.level if params.level == "own" else params.level) == "edges"
    whole = computational_graph(c)
    mask = mask_of(graph, whole) if by_edges else None
    circuit = circuit_of_nodes(graph, asked)
    edges = AskedEdges(asked, whole)
    runs = edges.runs() if by_edges else asked.runs()
    names = (params.metric, *(name for name in OFTEN if name != params.metric and measurable(asked, name)))
    several = (runs, *(asked.runs(metric=name, like=runs) for name in names[1:]))
    asked.say(0, 1, "circuit, nothing, and all but the circuit")
    found = faithfulness(several, circuit) if mask is None else edge_faithfulness(several, mask, whole)
    asked.say(1, 1, "circuit, nothing, and all but the circuit")
    heads, mlps = circuit
    n_heads, n_mlps = int(heads.sum()), int(mlps.sum()) if c.d_mlp else 0
    untouched = mask is None and bool(mlps.all())
    facts = asked.facts(runs) | {
        "circuit": graph.title,
        "circuit_found_with": {
            k: graph.facts[k] for k in ("model", "ablation", "metric", "theta", "tau", "method") if k in graph.facts
        },
        "heads_kept": n_heads,
        "heads_removed": heads.numel() - n_heads,
        "mlps": "kept, never ablated" if untouched else f"{n_mlps} of {c.n_layers if c.d_mlp else 0} kept",
        "level": "nodes; everything outside the circuit is ablated"
        if mask is None
        else "edges; every edge outside the circuit is cut",
        "circuit_level": graph.level,
        "definition": "f = (circuit - nothing) / (whole model - nothing)",
        "interval": "95 %, paired bootstrap over prompts",
    }
    if mask is not None:
        facts |= {"sites": EDGE_SITES, "edges_kept": int(mask.sum()), "edges_total": whole.size}
    bootstrap = PairedBootstrap(runs.size, ctx.seed)
    rows = tuple(tuple(_row(each, one, bootstrap)) for each, one in zip(several, found))
    fraction = found[0].fraction
    words = "undefined" if fraction != fraction else f"{fraction:.3f}"
    accuracy = [one for runs, one in zip(several, found) if runs.metric.name == "accuracy"]
    told = f"; accuracy {accuracy[0].full:.3f} -> {accuracy[0].circuit:.3f}" if accuracy else ""
    return [
        Table(
            title=f"Evaluation of '{graph.title}' ({params.ablation}, {'nodes' if mask is None else 'edges'})",
            summary=f"faithfulness {words} by {runs.metric.name}{told}; n = {runs.size}",
            facts=facts,
            columns=COLUMNS,
            rows=rows,
        )
    ]


COLUMNS = (
    Column("metric", "text"),
    Column("whole model", "float", "", "nothing ablated"),
    Column("circuit", "float", "", "everything outside the circuit ablated"),
    Column("nothing", "float", "", "every component (or edge) that circuits may lack ablated"),
    Column("all but the circuit", "float", "", "the circuit ablated, the rest left"),
    Column("faithfulness", "float", "", "(circuit - nothing) / (whole model - nothing); 1 is all of it"),
    Column("difference", "float", "", "|whole model - circuit|"),
    Column("unit", "text"),
    Column("better", "text"),
    Column("n", "int", "prompts"),
    Column("left without it", "float", "", "(all but the circuit - nothing) / (whole model - nothing); 0: nothing"),
    *(
        Column(f"{name} {end}", "float", "", f"{end} end of the 95 % interval (paired bootstrap)")
        for name in (
            "whole model",
            "circuit",
            "nothing",
            "all but the circuit",
            "faithfulness",
            "difference",
            "left without it",
        )
        for end in ("low", "high")
    ),
)


def _row(runs: PromptRuns, found: Faithfulness, bootstrap: PairedBootstrap) -> Iterator[Any]:
    full = runs.clean.double().numpy()
    kept, nothing, without = found.examples.double().numpy()
    fraction, left = (None if value != value else value for value in (found.fraction, found.left))
    yield from (runs.metric.title, found.full, found.circuit, found.empty, found.without, fraction, found.difference)
    yield from (runs.metric.unit, runs.metric.direction, runs.size, left)
    for values in (full, kept, nothing, without):
        yield from bootstrap.interval(values)
    defined = fraction is not None
    yield from share_interval(bootstrap, kept, nothing, full) if defined else (None, None)
    yield from bootstrap.interval_of(lambda a, b: np.abs(a - b), full, kept)
    yield from share_interval(bootstrap, without, nothing, full) if defined else (None, None)


def share_interval(bootstrap: PairedBootstrap, part: Any, nothing: Any, full: Any) -> Bounds:
    """The interval of (part - nothing) / (full - nothing): all three means over the same resampled prompts."""
    return bootstrap.interval_of(lambda p, n, f: (p - n) / (f - n), part, nothing, full)


def measurable(asked: Asked, name: MetricName) -> bool:
    """Whether these prompts have what a metric needs."""
    from engine.circuits.metrics import METRICS

    needs = METRICS[name]
    answers = not needs.needs_answers or asked.answered
    foils = not needs.needs_foils or asked.batch.foils is not None
    return answers and foils and (name in ("l2",) or asked.model.config.logits > 1)


def the_circuit(ctx: Context, ref: str) -> Graph:
    """The graph behind a reference. CallError when it is something else."""
    graph = ctx.artifact(ref)
    if not isinstance(graph, Graph):
        raise CallError(f"{ref} is a {graph.kind}, not a graph", "circuit", "give a circuit's graph")
    return graph


def circuit_of_nodes(graph: Graph, asked: Asked) -> Circuit:
    """The heads and MLPs that a graph keeps, on the model's device. CallError for a graph of another shape."""
    import torch

    from engine.circuits.circuit_graph import kept_components
    from engine.circuits.judging.faithfulness import Circuit

    c = asked.model.config
    heads = torch.zeros(c.n_layers, c.n_heads, dtype=torch.bool)
    mlps = torch.full((c.n_layers,), c.d_mlp == 0)
    for part in kept_components(graph, n_layers=c.n_layers, n_heads=c.n_heads, has_mlps=c.d_mlp > 0):
        if isinstance(part, Head):
            heads[part.layer, part.head] = True
        elif isinstance(part, Mlp):
            mlps[part.layer] = True
    return Circuit(heads, mlps).to(asked.model.device)


__all__ = [
    "Evaluate",
    "Level",
    "circuit_of_nodes",
    "evaluate",
    "measurable",
    "share_interval",
    "the_circuit",
]
