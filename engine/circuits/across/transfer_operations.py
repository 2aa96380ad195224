"""What a circuit found on one model does on another, as an operation: the seed study's third table. No torch at import.

Of every circuit and model one cell: the model with everything outside the circuit ablated, measured on the prompts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from msgspec import Meta

from engine.circuits.across.intervals import BOOTSTRAP, WILSON, are_hits
from engine.circuits.across.naming import distinct, found_on, the_circuits, the_models
from engine.circuits.across.transfer_results import (
    WHOLE,
    Rows,
    cells_table,
    directions_table,
    transfer_matrix,
    transfer_table,
)
from engine.circuits.asking import Ablation, Batch, MetricChoice, OnPrompts, ask
from engine.circuits.bootstrap import PairedBootstrap
from engine.operations import Context, GraphRefs, ModelRefs, Params, PromptsRef
from sessions.artifacts import AnyArtifact, Array, Graph, Model

if TYPE_CHECKING:
    from engine.circuits.asking import Asked

# What a fact of one model's runs says of all of them.
_SHARED = (
    *("metric", "metric_title", "direction", "unit", "ablation", "replacement", "sites", "positions", "n"),
    *("prompts", "task"),
)


class Transfer(Params, frozen=True, kw_only=True):
    circuits: Annotated[GraphRefs, Meta(description="circuits, wherever they were found: @ID,@ID")]
    models: Annotated[ModelRefs, Meta(description="models to try them on: @ID,@ID or sources")]
    prompts: PromptsRef
    ablation: Ablation = "zero"
    metric: MetricChoice = "accuracy"
    batch: Batch = 0


def transfer(params: Transfer, ctx: Context) -> Sequence[AnyArtifact]:
    """Circuits x models: each circuit alone on each model, and the whole models above them."""
    circuits, models = the_circuits(ctx, params.circuits), the_models(ctx, params.models)
    columns = distinct([model.title for model in models], params.models)
    rows = _rows(params, circuits, models, columns, ctx)
    total = (1 + len(circuits)) * len(models)
    values: list[list[Array | None]] = [[None] * len(models) for _ in range(1 + len(circuits))]
    facts = _facts(params, circuits)
    saved = ctx.checkpoints()
    done = 0
    for j, (ref, column) in enumerate(zip(params.models, columns)):
        asked: Asked | None = None
        for i in range(1 + len(circuits)):
            unit, note = f"{i}:{j}", f"{rows.names[i]} on {column}"
            ctx.progress(done, total, note)
            if unit not in saved:
                if asked is None:
                    asked = _asked(params, ref, ctx)
                    asked.say(done, total, note)
                    runs = asked.runs()
                    told = asked.facts(runs)
                asked.say(done, total, note)
                found = runs.clean if i == 0 else _alone(runs, circuits[i - 1])
                saved[unit] = {"values": found.float().numpy(), "facts": told}
                ctx.checkpoint(unit, saved[unit])
            values[i][j] = np.asarray(saved[unit]["values"])
            told_here = saved[unit]["facts"]
            facts |= {name: told_here[name] for name in _SHARED}
            facts["weights"] = facts.get("weights", {}) | {column: told_here["weights"]}
            done += 1
            if done < total:
                ctx.partial(transfer_matrix(facts, rows, columns, values))
    ctx.progress(total, total, "circuits on models")
    share = params.metric == "accuracy" and all(are_hits(each) for row in values for each in row if each is not None)
    facts["interval"] = WILSON if share else BOOTSTRAP
    bootstrap = PairedBootstrap(facts["n"], ctx.seed)
    plain = {name: fact for name, fact in facts.items() if not name.startswith("cell_")}
    made: list[AnyArtifact] = [
        transfer_matrix(facts, rows, columns, values),
        transfer_table(plain, rows, columns, values),
        cells_table(plain, rows, columns, values, share=share, bootstrap=bootstrap),
    ]
    if len(models) > 1 and any(own is not None for own in rows.on):
        made.append(directions_table(plain, rows, columns, values, bootstrap=bootstrap))
    return made


def _asked(params: Transfer, model: str, ctx: Context) -> Asked:
    one = OnPrompts(
        model=model, prompts=params.prompts, ablation=params.ablation, metric=params.metric, batch=params.batch
    )
    return ask(one, ctx)


def _alone(runs: Any, graph: Graph) -> Any:
    from engine.circuits.across.applied import applied, applied_values

    return applied_values((runs,), applied(graph, runs.model.config))[0]


def _rows(
    params: Transfer, circuits: Sequence[Graph], models: Sequence[Model], columns: Sequence[str], ctx: Context
) -> Rows:
    """Names and sizes of the circuits, which must fit every model: what does not is refused before anything runs."""
    from engine.circuits.across.applied import applied

    removed: list[str] = []
    for ref in params.models:
        config = ctx.transformer(ref).config
        removed = [applied(graph, config).words for graph in circuits]
    names = [f"{found_on(graph, models, columns)} ({words})" for graph, words in zip(circuits, removed)]
    sources = [model.source for model in models]
    on = [sources.index(of) if (of := graph.facts.get("model")) in sources else None for graph in circuits]
    return Rows((WHOLE, *distinct(names, params.circuits)), (None, *on))


def _facts(params: Transfer, circuits: Sequence[Graph]) -> dict[str, Any]:
    """What holds for all cells, and how one gets from a cell to the evaluation of its circuit on its model."""
    return {
        "definition": "the model with everything outside the circuit ablated; rows: circuits, columns: models",
        "circuits": list(params.circuits),
        "models": list(params.models),
        "levels": [graph.level for graph in circuits],
        "of_edges": "of a circuit of edges every edge outside it is ablated, at the input that reads it",
        "cell_operation": "circuits.evaluate",
        "cell_parameters": {
            "rows": [None, *({"circuit": ref} for ref in params.circuits)],
            "columns": [{"model": ref} for ref in params.models],
            "shared": {
                "prompts": params.prompts,
                "ablation": params.ablation,
                "metric": params.metric,
                "batch": params.batch,
            },
        },
        "replacement_of": "each model's own values replace what is ablated in it",
    }


__all__ = ["Transfer", "transfer"]
