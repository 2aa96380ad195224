"""Is this circuit enough? The judgement of a whole circuit, as an operation. Loads without torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from msgspec import Meta

from engine.circuits.asking import MetricName, OnPrompts, ask
from engine.operations import Context, GraphRef
from sessions.artifacts import AnyArtifact, Column, Graph, Table
from sessions.components import Head, Mlp
from sessions.errors import CallError

OFTEN: tuple[MetricName, ...] = ("loss", "accuracy", "kl")  # reported beside the metric asked for


class Evaluate(OnPrompts, frozen=True, kw_only=True):
    circuit: Annotated[GraphRef, Meta(description="circuit to judge: @ID of its graph")]


def evaluate(params: Evaluate, ctx: Context) -> Sequence[AnyArtifact]:
    """What a circuit keeps of the model's behaviour when all else is ablated, by several metrics."""
    import torch

    from engine.circuits.circuit_graph import kept_components
    from engine.circuits.judging.faithfulness import Circuit, faithfulness

    graph = ctx.artifact(params.circuit)
    if not isinstance(graph, Graph):
        raise CallError(f"{params.circuit} is a {graph.kind}, not a graph", "circuit", "give a circuit's graph")
    asked = ask(params, ctx)
    c = asked.model.config
    kept = kept_components(graph, n_layers=c.n_layers, n_heads=c.n_heads, has_mlps=c.d_mlp > 0)
    heads = torch.zeros(c.n_layers, c.n_heads, dtype=torch.bool)
    mlps = torch.full((c.n_layers,), c.d_mlp == 0)
    for part in kept:
        if isinstance(part, Head):
            heads[part.layer, part.head] = True
        elif isinstance(part, Mlp):
            mlps[part.layer] = True
    circuit = Circuit(heads, mlps).to(asked.model.device)
    runs = asked.runs()
    names = (params.metric, *(name for name in OFTEN if name != params.metric))
    several = (runs, *(asked.runs(metric=name, like=runs) for name in names[1:]))
    asked.say(0, 1, "circuit, nothing, and all but the circuit")
    found = faithfulness(several, circuit)
    asked.say(1, 1, "circuit, nothing, and all but the circuit")
    n_heads, n_mlps = int(heads.sum()), int(mlps.sum()) if c.d_mlp else 0
    all_mlps = bool(mlps.all())
    facts = asked.facts(runs) | {
        "circuit": graph.title,
        "circuit_found_with": {k: graph.facts[k] for k in ("model", "ablation", "metric", "theta") if k in graph.facts},
        "heads_kept": n_heads,
        "heads_removed": heads.numel() - n_heads,
        "mlps": "kept, never ablated" if all_mlps else f"{n_mlps} of {c.n_layers} kept",
        "level": "nodes; everything outside the circuit is ablated",
        "definition": "f = (circuit - nothing) / (whole model - nothing)",
    }
    rows = tuple(
        (
            each.metric.title,
            one.full,
            one.circuit,
            one.empty,
            one.without,
            None if one.fraction != one.fraction else one.fraction,
            one.difference,
            each.metric.unit,
            each.metric.direction,
            each.size,
        )
        for each, one in zip(several, found)
    )
    fraction = found[0].fraction
    words = "undefined" if fraction != fraction else f"{fraction:.3f}"
    accuracy = next(one for runs, one in zip(several, found) if runs.metric.name == "accuracy")
    return [
        Table(
            title=f"Evaluation of '{graph.title}' ({params.ablation})",
            summary=f"faithfulness {words} by {runs.metric.name}; accuracy "
            f"{accuracy.full:.3f} -> {accuracy.circuit:.3f}; n = {runs.size}",
            facts=facts,
            columns=(
                Column("metric", "text"),
                Column("whole model", "float", "", "nothing ablated"),
                Column("circuit", "float", "", "everything outside the circuit ablated"),
                Column("nothing", "float", "", "every component that circuits may lack ablated"),
                Column("all but the circuit", "float", "", "the circuit ablated, the rest left"),
                Column("faithfulness", "float", "", "(circuit - nothing) / (whole model - nothing); 1 is all of it"),
                Column("difference", "float", "", "|whole model - circuit|"),
                Column("unit", "text"),
                Column("better", "text"),
                Column("n", "int", "prompts"),
            ),
            rows=rows,
        )
    ]


__all__ = ["Evaluate", "evaluate"]
