"""The greedy head sweep as an operation: decisions, the circuit they leave, and how it does on prompts held out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import msgspec
import numpy as np
from msgspec import Meta

from engine.circuits.asking import Asked, OnPrompts, ask
from engine.circuits.sweeps.greedy_results import curves, decisions, drops, screened_facts
from engine.circuits.sweeps.sweep_operations import ScreenChoice
from engine.operations import Context
from sessions.artifacts import AnyArtifact, Graph
from sessions.components import Component, Head
from sessions.errors import CallError

if TYPE_CHECKING:
    from engine.circuits.judging.faithfulness import Circuit, Faithfulness
    from engine.circuits.runs import PromptRuns
    from engine.circuits.sweeps.greedy_sweep import Decision

EDGE_PROMPTS = 32


class GreedySweep(OnPrompts, frozen=True, kw_only=True):
    theta: Annotated[
        float, Meta(description="greatest drop of the metric that still removes a head; see threshold")
    ] = 0.03
    threshold: Annotated[
        Literal["absolute", "percentage", "fixed"],
        Meta(
            description="theta in the metric's unit, as a part of its value, or from the full model for the whole run"
        ),
    ] = "absolute"
    base: Annotated[
        Literal["layer", "previous"],
        Meta(description="drops count from the layer's start, or from the last removal (not with a fixed threshold)"),
    ] = "layer"
    order: Annotated[
        Literal["bottom_up", "top_down"], Meta(description="layers from the first to the last, or from the last down")
    ] = "bottom_up"
    held_out: Annotated[
        float, Meta(description="part of the prompts that selects nothing and is only measured", ge=0, le=0.95)
    ] = 0.5
    judge: Annotated[
        Literal["selection", "held_out"],
        Meta(description="held_out: half of those held out must confirm each removal, by the interval's upper end"),
    ] = "selection"
    level: Annotated[float, Meta(description="of the intervals (paired bootstrap)", ge=0.5, le=0.999)] = 0.95
    chain: Annotated[
        int, Meta(description="most heads tried at once, guessing that each goes; decisions stay the same", ge=1, le=64)
    ] = 8
    screen: ScreenChoice = "off"
    edges: Annotated[
        int, Meta(description="most edges of the circuit to measure exactly; if more, only those into the logits", ge=0)
    ] = 500


class Splits(NamedTuple):
    """Which rows of the prompts do what: indices, sorted."""

    select: Any
    judge: Any  # empty if the selection judges
    held_out: Any

    @classmethod
    def drawn(cls, n: int, params: GreedySweep, ctx: Context) -> Splits:
        """The step's generator deals them out. CallError when too few are left to judge."""
        order = ctx.rng.permutation(n)
        aside = min(n - 1, round(n * params.held_out))
        judges = aside // 2 if params.judge == "held_out" else 0
        if params.judge == "held_out" and judges < 2:
            raise CallError(
                f"{aside} of {n} prompts are held out, too few for half of them to judge",
                "circuits.greedy_sweep",
                "give more prompts, a larger held_out, or judge=selection",
            )
        parts = order[aside:], order[:judges], order[judges:aside]
        return cls(*(np.sort(part) for part in parts))


def greedy_sweep(params: GreedySweep, ctx: Context) -> Sequence[AnyArtifact]:
    """Every head removed that the metric does not miss, layer by layer; what is left is the circuit."""
    from engine.circuits.bootstrap import PairedBootstrap
    from engine.circuits.judging.faithfulness import faithfulness
    from engine.circuits.sweeps.greedy_sweep import Decision, Judge
    from engine.circuits.sweeps.greedy_sweep import greedy_sweep as sweep
    from engine.circuits.sweeps.screening import screening_model

    asked = ask(params, ctx)
    c, n = asked.model.config, len(asked.batch.tokens)
    total = c.n_layers * c.n_heads
    splits = Splits.drawn(n, params, ctx)
    through, screen = screening_model(asked.model, params.screen)
    select = asked.runs(splits.select)
    judges, aside = len(splits.judge), len(splits.held_out)
    held_out = asked.runs(splits.held_out) if aside else None
    judge = None
    if judges:
        judge = Judge(asked.runs(splits.judge), PairedBootstrap(judges, ctx.seed, level=params.level))
    facts = asked.facts(select) | _rule_facts(params, select, splits) | {"screen": screen}
    log = [msgspec.convert(line, Decision) for lines in ctx.checkpoints().values() for line in lines]
    upwards = 1 if params.order == "bottom_up" else -1
    log.sort(key=lambda line: (upwards * line.layer, line.head))
    roles = f"{len(splits.select)} prompts select, " + (f"{judges} judge, " if judges else "") + f"{aside} are held out"
    asked.say(len(log), total, roles)
    made = sweep(
        select,
        held_out,
        theta=params.theta,
        threshold=params.threshold,
        base=params.base,
        order=params.order,
        judge=judge,
        chain=params.chain,
        rows=asked.sizes(n).rows,
        bootstrap=PairedBootstrap(aside, ctx.seed, level=params.level) if aside else None,
        through=through,
        decided=tuple(log),
    )
    for chain in made:
        ctx.checkpoint(f"{chain[0].component}-{chain[-1].component}", [msgspec.to_builtins(line) for line in chain])
        log.extend(chain)
        ctx.partial(drops(asked, facts, log))
        ctx.partial(curves(facts, log, select, held_out))
        gone = sum(line.removed for line in log)
        asked.say(len(log), total, f"{chain[-1].component}; {gone} removed")
    circuit = circuit_of(asked, {line.component for line in log if line.removed})
    judged, rows = (held_out, splits.held_out) if held_out is not None else (select, splits.select)
    accuracy = asked.runs(rows, metric="accuracy", like=judged)
    by_metric, by_accuracy = faithfulness((judged, accuracy), circuit)
    facts |= found_facts(by_metric, by_accuracy, "held-out prompts" if aside else "the prompts that decided") | {
        "heads_removed": sum(line.removed for line in log),
        "heads_kept": sum(not line.removed for line in log),
    }
    facts |= screened_facts(log) if through is not None else {}
    graph = _graph(asked, facts, log, circuit, rows[:EDGE_PROMPTS], params.edges)
    return [decisions(facts, log), drops(asked, facts, log), graph, curves(facts, log, select, held_out)]


def _rule_facts(params: GreedySweep, select: PromptRuns, splits: Splits) -> dict[str, Any]:
    from engine.circuits.sweeps.verdicts import Criterion

    measured = "at each layer's start" if params.base == "layer" else "after the last removal"
    judging = "the prompts that select"
    if params.judge == "held_out":
        judging += f", and others by the upper end of the {params.level:.0%} interval of their drop (paired bootstrap)"
    return {
        "n": sum(len(part) for part in splits),
        "n_select": len(splits.select),
        "n_judge": len(splits.judge),
        "n_held_out": len(splits.held_out),
        "theta": params.theta,
        "threshold": params.threshold,
        "rule": f"removed if {Criterion(select.metric, params.theta, params.threshold).words}",
        "judged_on": judging,
        "level": params.level,
        "order": f"layers from the {'first to the last' if params.order == 'bottom_up' else 'last to the first'}, "
        "heads from 0",
        "base": "the full model" if params.threshold == "fixed" else f"measured {measured}",
        "mlps": "kept, never tried",
        "sign": "drop: how much worse than the base",
    }


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
    direction = "bottom up" if "first to the last" in facts["order"] else "top down"
    return circuit_graph(
        components,
        n_layers=c.n_layers,
        removed={line.component for line in log if line.removed},
        scores=scores,
        edges=weights,
        title=f"Circuit of {facts['heads_kept']} heads (greedy sweep, theta {facts['theta']:g}, {direction})",
        summary=("faithfulness undefined" if fraction is None else f"faithfulness {fraction:.3f}")
        + f" on {facts['measured_on']}; accuracy {facts['accuracy_full']:.3f} -> {facts['accuracy_circuit']:.3f}",
        facts=facts | edge_facts,
        score_name=f"drop in {facts['metric']} when it was tried ({facts['unit']})",
        weight_name=f"drop in {facts['metric']} when the edge alone is ablated ({facts['unit']})",
    )


__all__ = ["GreedySweep", "circuit_of", "greedy_sweep", "measured_edges"]
