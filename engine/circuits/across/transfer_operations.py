"""What a circuit found on one model does on another, as an operation: the seed study's third table. No torch at import.

Of every circuit and model one cell: the model with everything outside the circuit ablated, measured on the prompts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import numpy as np
from msgspec import Meta

from engine.circuits.across.intervals import BOOTSTRAP, WILSON, are_hits, mean_interval
from engine.circuits.across.naming import distinct, found_on, the_circuits, the_models
from engine.circuits.asking import Ablation, Batch, MetricChoice, OnPrompts, ask
from engine.circuits.bootstrap import Bounds, PairedBootstrap
from engine.operations import Context, GraphRefs, ModelRefs, Params, PromptsRef
from sessions.artifacts import AnyArtifact, Array, Axis, Column, Graph, Matrix, Model, Table

if TYPE_CHECKING:
    from engine.circuits.asking import Asked

WHOLE = "whole model (nothing removed)"
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


class Rows(NamedTuple):
    """The whole model, then the circuits, as rows: what they are called, and which of the models each was found on."""

    names: tuple[str, ...]
    on: tuple[int | None, ...]


def transfer(params: Transfer, ctx: Context) -> Sequence[AnyArtifact]:
    """Circuits x models: each circuit alone on each model, and the whole models above them."""
    circuits, models = the_circuits(ctx, params.circuits), the_models(ctx, params.models)
    columns = distinct([model.title for model in models], params.models)
    rows = _rows(params, circuits, models, columns, ctx)
    total = (1 + len(circuits)) * len(models)
    values: list[list[Array | None]] = [[None] * len(models) for _ in range(1 + len(circuits))]
    facts = _facts(params)
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
                ctx.partial(_matrix(facts, rows, columns, values))
    ctx.progress(total, total, "circuits on models")
    share = params.metric == "accuracy" and all(are_hits(each) for row in values for each in row if each is not None)
    facts["interval"] = WILSON if share else BOOTSTRAP
    bootstrap = PairedBootstrap(facts["n"], ctx.seed)
    plain = {name: fact for name, fact in facts.items() if not name.startswith("cell_")}
    return [
        _matrix(facts, rows, columns, values),
        _wide(plain, rows, columns, values),
        _cells(plain, rows, columns, values, share=share, bootstrap=bootstrap),
    ]


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


def _facts(params: Transfer) -> dict[str, Any]:
    """What holds for all cells, and how one gets from a cell to the evaluation of its circuit on its model."""
    return {
        "definition": "the model with everything outside the circuit ablated; rows: circuits, columns: models",
        "circuits": list(params.circuits),
        "models": list(params.models),
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


def _means(values: Sequence[Sequence[Array | None]]) -> Array:
    """[row column] NaN where a cell has not been measured yet."""
    return np.array([[np.nan if v is None else v.astype(np.float64).mean() for v in row] for row in values])


def _best(means: Array, direction: str) -> list[tuple[int, int]]:
    """The best circuits of every model, ties included; the whole model is none of them."""
    turned = means if direction.startswith("higher") else -means
    found = []
    for j in range(means.shape[1]):
        column = turned[1:, j]
        known = column[np.isfinite(column)]
        if len(known):
            found += [(1 + i, j) for i in range(len(column)) if column[i] == known.max()]
    return found


def _matrix(
    facts: dict[str, Any], rows: Rows, columns: Sequence[str], values: Sequence[Sequence[Array | None]]
) -> Matrix:
    means = _means(values)
    known = int(np.isfinite(means).sum())
    best = _best(means, facts["direction"])
    words = ", ".join(f"{columns[j]}: {rows.names[i]}" for i, j in best if np.isfinite(means[:, j]).all())
    return Matrix(
        title=f"Circuits x models: {facts['metric_title']} ({facts['ablation']})",
        summary=(f"best circuit per model (marked): {words}" if known == means.size else f"{known} of {means.size}")
        + f"; n = {facts['n']}",
        facts=dict(facts),
        values=means.astype(np.float32),
        axes=(Axis("circuit from", rows.names), Axis("on model", tuple(columns))),
        unit=facts["unit"],
        marks=tuple(best),
    )


def _wide(facts: dict[str, Any], rows: Rows, columns: Sequence[str], values: Sequence[Sequence[Array | None]]) -> Table:
    """The study's table: a row per circuit, a column per model."""
    means = _means(values)
    return Table(
        title=f"Circuits on models: {facts['metric']}",
        summary=f"{len(rows.names) - 1} circuits on {len(columns)} models; {facts['direction']}, n = {facts['n']}",
        facts=dict(facts),
        columns=(
            Column("circuit from", "text", "", "the model it was found on, and what it removes"),
            *(Column(f"on {name}", "float", facts["unit"], facts["metric_title"]) for name in columns),
        ),
        rows=tuple((name, *line) for name, line in zip(rows.names, means.tolist())),
    )


def _cells(
    facts: dict[str, Any],
    rows: Rows,
    columns: Sequence[str],
    values: Sequence[Sequence[Array | None]],
    *,
    share: bool,
    bootstrap: PairedBootstrap,
) -> Table:
    """A row per cell, with its interval and how far it is behind the model's best circuit."""
    best = {j: i for i, j in reversed(_best(_means(values), facts["direction"]))}
    sign = 1.0 if facts["direction"].startswith("higher") else -1.0
    unit, found = facts["unit"], []
    for j, column in enumerate(columns):
        whole = _known(values[0][j])
        for i, name in enumerate(rows.names):
            here = _known(values[i][j])
            low, high = mean_interval(here, share=share, bootstrap=bootstrap)
            behind: float | None = None
            bounds: tuple[float | None, float | None] = (None, None)
            if i:
                lag = sign * (_known(values[best[j]][j]) - here)
                behind, bounds = float(lag.mean()), bootstrap.interval(lag) if i != best[j] else Bounds(0.0, 0.0)
            drop = float((sign * (whole - here)).mean())
            own = rows.on[i] == j
            line = (name, column, own, float(here.mean()), low, high, drop, behind, *bounds, len(here))
            found.append(line)
    unsure = [f"{line[0]} on {line[1]}" for line in found if line[7] and line[8] is not None and line[8] <= 0]
    tied = f"; not clearly behind the best: {', '.join(unsure)}" if unsure else ""
    return Table(
        title=f"Circuits on models, cell by cell: {facts['metric']}",
        summary=f"{len(found)} cells, n = {facts['n']}{tied}",
        facts=facts | {"behind_interval": f"paired {BOOTSTRAP}"},
        columns=(
            Column("circuit from", "text"),
            Column("on model", "text"),
            Column("own", "bool", "", "found on this very model"),
            Column(facts["metric"], "float", unit, facts["metric_title"]),
            Column("low", "float", unit, facts["interval"]),
            Column("high", "float", unit, facts["interval"]),
            Column("drop", "float", unit, "how much worse than the whole model"),
            Column("behind best", "float", unit, "how much worse than the best circuit on this model"),
            Column("behind low", "float", unit, f"of behind best: paired {BOOTSTRAP}"),
            Column("behind high", "float", unit, f"of behind best: paired {BOOTSTRAP}"),
            Column("n", "int", "prompts"),
        ),
        rows=tuple(found),
    )


def _known(values: Array | None) -> Array:
    assert values is not None
    return values.astype(np.float64)


__all__ = ["Transfer", "transfer"]
