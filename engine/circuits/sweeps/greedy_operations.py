"""The greedy head sweep as an operation: decisions, the circuit they leave, and how it does on prompts held out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import numpy as np
from msgspec import Meta

from engine.circuits.asking import Asked, OnPrompts, ask, head_axis, layer_axis
from engine.operations import Context
from sessions.artifacts import AnyArtifact, Column, Curve, Graph, Matrix, Series, Table
from sessions.components import Component, Head

if TYPE_CHECKING:
    from engine.circuits.judging.faithfulness import Circuit, Faithfulness
    from engine.circuits.runs import PromptRuns
    from engine.circuits.sweeps.greedy_sweep import Decision

EDGE_PROMPTS = 32


class GreedySweep(OnPrompts, frozen=True, kw_only=True):
    theta: Annotated[
        float, Meta(description="greatest drop of the metric, from the layer's start, that still removes a head")
    ] = 0.03
    held_out: Annotated[
        float, Meta(description="part of the prompts that decides nothing and is only measured", ge=0, le=0.95)
    ] = 0.5
    chain: Annotated[
        int, Meta(description="most heads tried at once, guessing that each goes; decisions stay the same", ge=1, le=64)
    ] = 8
    edges: Annotated[
        int, Meta(description="most edges of the circuit to measure exactly; if more, only those into the logits", ge=0)
    ] = 500


def greedy_sweep(params: GreedySweep, ctx: Context) -> Sequence[AnyArtifact]:
    """Every head removed that the metric does not miss, layer by layer; what is left is the circuit."""
    from engine.circuits.bootstrap import PairedBootstrap
    from engine.circuits.judging.faithfulness import faithfulness
    from engine.circuits.sweeps.greedy_sweep import Decision
    from engine.circuits.sweeps.greedy_sweep import greedy_sweep as sweep

    asked = ask(params, ctx)
    c, n = asked.model.config, len(asked.batch.tokens)
    total = c.n_layers * c.n_heads
    order = ctx.rng.permutation(n)
    aside = min(n - 1, round(n * params.held_out))
    select = asked.runs(np.sort(order[aside:]))
    held_out = asked.runs(np.sort(order[:aside])) if aside else None
    facts = asked.facts(select) | {
        "n": n,
        "n_select": n - aside,
        "n_held_out": aside,
        "theta": params.theta,
        "order": "layers from the first to the last, heads from 0",
        "base": "measured once at each layer's start",
        "mlps": "kept, never tried",
        "sign": "drop: how much worse than at the layer's start",
    }
    log = [msgspec.convert(line, Decision) for lines in ctx.checkpoints().values() for line in lines]
    log.sort(key=lambda line: line.component)
    asked.say(len(log), total, f"{n - aside} prompts decide, {aside} are held out")
    made = sweep(
        select,
        held_out,
        theta=params.theta,
        chain=params.chain,
        rows=asked.sizes(n).rows,
        bootstrap=PairedBootstrap(aside, ctx.seed) if aside else None,
        decided=tuple(log),
    )
    for chain in made:
        ctx.checkpoint(f"{chain[0].component}-{chain[-1].component}", [msgspec.to_builtins(line) for line in chain])
        log.extend(chain)
        ctx.partial(_drops(asked, facts, log))
        gone = sum(line.removed for line in log)
        asked.say(len(log), total, f"{chain[-1].component}; {gone} removed")
    circuit = circuit_of(asked, {line.component for line in log if line.removed})
    judged = held_out or select
    accuracy = asked.runs(_rows(order, aside), metric="accuracy", like=judged)
    by_metric, by_accuracy = faithfulness((judged, accuracy), circuit)
    facts |= found_facts(by_metric, by_accuracy, "held-out prompts" if aside else "the prompts that decided") | {
        "heads_removed": sum(line.removed for line in log),
        "heads_kept": sum(not line.removed for line in log),
    }
    graph = _graph(asked, facts, log, circuit, _rows(order, aside)[:EDGE_PROMPTS], params.edges)
    return [_table(facts, log), _drops(asked, facts, log), graph, _curves(facts, log, select, held_out)]


def _rows(order: Any, aside: int) -> Any:
    return np.sort(order[:aside] if aside else order)


def circuit_of(asked: Asked, removed: set[Head]) -> Circuit:
    """The circuit that lacks these heads and keeps every MLP."""
    import torch

    from engine.circuits.judging.faithfulness import Circuit

    c = asked.model.config
    heads = torch.ones(c.n_layers, c.n_heads, dtype=torch.bool)
    for head in removed:
        heads[head.layer, head.head] = False
    return Circuit(heads, torch.ones(c.n_layers, dtype=torch.bool)).to(asked.model.device)


def found_facts(by_metric: Faithfulness, by_accuracy: Faithfulness, where: str) -> dict[str, Any]:
    fraction = by_metric.fraction
    return {
        "measured_on": where,
        "faithfulness": None if fraction != fraction else fraction,
        "difference": by_metric.difference,
        "metric_full": by_metric.full,
        "metric_circuit": by_metric.circuit,
        "metric_empty": by_metric.empty,
        "accuracy_full": by_accuracy.full,
        "accuracy_circuit": by_accuracy.circuit,
    }


def _table(facts: dict[str, Any], log: Sequence[Decision]) -> Table:
    unit, metric = facts["unit"], facts["metric"]
    removed = facts["heads_removed"]
    return Table(
        title=f"Greedy head sweep: decisions (theta {facts['theta']:g} {unit})",
        summary=f"{removed} of {len(log)} heads removed; {metric} on {facts['measured_on']} "
        f"{facts['metric_full']:.3g} -> {facts['metric_circuit']:.3g}",
        facts=facts,
        columns=(
            Column("component", "text"),
            Column("verdict", "text"),
            Column("before", "float", unit, f"{metric} at the layer's start, on the prompts that decide"),
            Column("after", "float", unit, "with this head removed too"),
            Column("drop", "float", unit, "how much worse; removed when at most theta"),
            Column("held out", "float", unit, "on the prompts held out, after the removal"),
            Column("low", "float", unit, "95 % interval (paired bootstrap of the change from the full model)"),
            Column("high", "float", unit, "95 % interval (paired bootstrap of the change from the full model)"),
            Column("alone", "bool", "", "too close to theta for rounding: measured again by itself"),
        ),
        rows=tuple(
            (
                str(line.component),
                "removed" if line.removed else "kept",
                line.base,
                line.value,
                line.drop,
                line.held_out,
                line.low,
                line.high,
                line.alone,
            )
            for line in log
        ),
    )


def _drops(asked: Asked, facts: dict[str, Any], log: Sequence[Decision]) -> Matrix:
    c = asked.model.config
    values = np.full((c.n_layers, c.n_heads), np.nan, np.float32)
    for line in log:
        values[line.layer, line.head] = line.drop
    kept = tuple((line.layer, line.head) for line in log if not line.removed)
    return Matrix(
        title=f"Greedy head sweep: drop in {facts['metric_title']} when tried",
        summary=f"{len(log)} of {values.size} heads tried, {len(kept)} kept (marked)",
        facts=facts,
        values=values,
        axes=(layer_axis(asked.model), head_axis(asked.model)),
        unit=facts["unit"],
        scale="diverging",
        marks=kept,
    )


def _curves(facts: dict[str, Any], log: Sequence[Decision], select: PromptRuns, held_out: PromptRuns | None) -> Series:
    gone = [line for line in log if line.removed]
    clean = float(select.clean.double().mean())
    curves = [Curve("prompts that decide", np.array([clean, *(line.value for line in gone)]))]
    if held_out is not None:
        start = float(held_out.clean.double().mean())

        def column(name: str) -> Any:
            return np.array([start, *(getattr(line, name) for line in gone)], dtype=np.float64)

        curves.append(Curve("held out", column("held_out"), low=column("low"), high=column("high")))
    return Series(
        title=f"Greedy head sweep: {facts['metric']} as heads go",
        summary=f"from {clean:.3g} to {curves[0].y[-1]:.3g} on the prompts that decide"
        + (f", {curves[1].y[0]:.3g} to {curves[1].y[-1]:.3g} held out" if held_out is not None else ""),
        facts=facts,
        x=np.arange(len(gone) + 1),
        x_name="heads removed",
        curves=tuple(curves),
        y_name=f"{facts['metric_title']} ({facts['unit']})",
    )


def measured_edges(
    asked: Asked, circuit: Circuit, rows: Any, most: int
) -> tuple[dict[tuple[Component, Component], float], dict[str, Any]]:
    """What removing each edge costs, and in words what was measured."""
    from engine.circuits.discovery.edge_effects import circuit_values, edge_effects, edges_of

    runs = asked.runs(rows)
    every = edges_of(asked.model, circuit)
    only_logits = len(every) > most
    total = sum(str(target) == "logits" for _, target in every) if only_logits else len(every)
    sums: dict[tuple[Component, Component], float] = {}
    whole = float(circuit_values(runs, circuit).double().mean())
    done = 0
    for batch in edge_effects(runs, circuit, variants=asked.sizes(runs.size).variants, only_logits=only_logits):
        for edge in batch:
            key = (edge.source, edge.target)
            sums[key] = sums.get(key, 0.0) + float(edge.values.double().sum())
        done += len(batch)
        asked.say(done, total * len(runs.chunks), "edges of the circuit")
    perform = runs.metric.performance
    weights = {key: perform(whole) - perform(value / runs.size) for key, value in sums.items()}
    words = "the circuit with this one edge ablated (exact edge patching; a head's q, k and v together)"
    facts = {
        "edge_weight": f"drop in {runs.metric.name} of {words}",
        "edge_prompts": runs.size,
        "edges_measured": "those into the logits only: the circuit has too many" if only_logits else "all",
        "edges_in_circuit": len(every),
    }
    return weights, facts


def _graph(
    asked: Asked,
    facts: dict[str, Any],
    log: Sequence[Decision],
    circuit: Circuit,
    rows: Any,
    most_edges: int,
) -> Graph:
    from engine.circuits.circuit_graph import circuit_graph
    from engine.circuits.sweeps.head_sweep import components_of

    c = asked.model.config
    weights, edge_facts = measured_edges(asked, circuit, rows, most_edges)
    components = components_of(c.n_layers, c.n_heads, mlps=c.d_mlp > 0)
    scores: Mapping[Component, float] = {line.component: line.drop for line in log}
    fraction = facts["faithfulness"]
    return circuit_graph(
        components,
        n_layers=c.n_layers,
        removed={line.component for line in log if line.removed},
        scores=scores,
        edges=weights,
        title=f"Circuit of {facts['heads_kept']} heads (greedy sweep, theta {facts['theta']:g})",
        summary=("faithfulness undefined" if fraction is None else f"faithfulness {fraction:.3f}")
        + f" on {facts['measured_on']}; accuracy {facts['accuracy_full']:.3f} -> {facts['accuracy_circuit']:.3f}",
        facts=facts | edge_facts,
        score_name=f"drop in {facts['metric']} when it was tried ({facts['unit']})",
        weight_name=f"drop in {facts['metric']} when the edge alone is ablated ({facts['unit']})",
    )


__all__ = ["GreedySweep", "circuit_of", "greedy_sweep", "measured_edges"]
