"""Circuits in one table, as the seed study prints them: how large each is, and how well it does alone. No torch.

Nothing is computed anew: a circuit's graph says how it was found, and what was measured of it then.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from engine.circuits.across.naming import found_on, the_circuits
from engine.circuits.across.overlap import parts_of
from engine.operations import Context, GraphRefs, Params
from sessions.artifacts import AnyArtifact, Column, Graph, Table

# What discovery measures of a circuit beside the metric that it was found by: fact, name in the table.
MEASURED = (("loss", "NLL"), ("accuracy", "Frac correct"), ("logit_diff", "Logit diff"))

_WHICH = (
    Column("found on", "text", "", "the model"),
    Column("metric", "text", "", "what the search kept, under which ablation, and what its threshold is a part of"),
    Column("threshold", "float", "", "tau or theta, in the metric's unit unless a percentage"),
)


class Summary(Params, frozen=True, kw_only=True):
    circuits: Annotated[GraphRefs, Meta(description="circuits, wherever they were found: @ID,@ID")]


def summary(params: Summary, ctx: Context) -> Sequence[AnyArtifact]:
    """Two tables with a row per circuit: its size in every way of counting, and whole model against circuit alone.
    Columns in which no circuit has a number are left out."""
    graphs = the_circuits(ctx, params.circuits)
    facts: dict[str, Any] = {
        "circuits": list(params.circuits),
        "counting": "nodes: embeddings, heads, MLPs and logits that are kept; inputs: q, k, v, MLP inputs and logits "
        "that a kept edge enters; of a circuit of nodes, edges and inputs are not counted",
        "measured": "when the circuit was found: whole model -> everything outside the circuit ablated",
        "empty cells": "not measured then",
    }
    return [_sizes(graphs, facts), _scores(graphs, facts)]


def _which(graph: Graph) -> tuple[str, str, float | None]:
    told = graph.facts
    threshold = told.get("tau", told.get("theta"))
    words = ", ".join(str(told[key]) for key in ("metric", "ablation") if key in told)
    mode = str(told.get("mode", told.get("threshold", "absolute")))
    words += f", {mode}" if mode != "absolute" else ""
    return found_on(graph, (), ()), words, None if threshold is None else float(threshold)


def _sizes(graphs: Sequence[Graph], facts: dict[str, Any]) -> Table:
    rows = []
    for graph in graphs:
        parts, told = parts_of(graph), graph.facts
        nodes = told.get("nodes_kept", sum(node.kept for node in graph.nodes))
        edges = None if parts.edges is None else len(parts.edges)
        counts = (nodes, len(parts.heads), len(parts.mlps), told.get("inputs_kept"), edges, parts.edges_total)
        rows.append((*_which(graph), *counts, graph.title))
    words = ", ".join(f"{row[0]} {row[3]:,} ({row[4]:,} heads)" for row in rows)
    return _without_empty(
        Table(
            title="Circuits: how large",
            summary=f"nodes kept: {words}",
            facts=facts,
            columns=(
                *_WHICH,
                Column("nodes", "int", "", "embeddings, heads, MLPs and logits that are kept"),
                Column("heads", "int"),
                Column("MLPs", "int"),
                Column("inputs", "int", "", "q, k, v, MLP inputs and logits that a kept edge enters"),
                Column("edges", "int"),
                Column("of edges", "int", "", "that the model has"),
                Column("circuit", "text"),
            ),
            rows=tuple(rows),
        )
    )


def _scores(graphs: Sequence[Graph], facts: dict[str, Any]) -> Table:
    rows = []
    for graph in graphs:
        told = graph.facts
        values = [_number(told, f"{fact}_{which}") for fact, _ in MEASURED for which in ("full", "circuit")]
        where = str(told.get("measured_on", ""))
        n = told.get("n_held_out") if where == "held-out prompts" else told.get("n_select", told.get("n"))
        rows.append((*_which(graph), *values, _number(told, "kl_circuit"), _number(told, "faithfulness"), n, where))
    known = [row for row in rows if row[5] is not None and row[6] is not None]
    words = ", ".join(f"{row[0]} {row[5]:.3f} -> {row[6]:.3f}" for row in known)
    names = [
        (f"{name} whole" if which == "full" else f"{name}") for _, name in MEASURED for which in ("full", "circuit")
    ]
    return _without_empty(
        Table(
            title="Circuits: how well they do alone",
            summary=f"Frac correct, whole model -> circuit: {words}" if words else f"{len(rows)} circuits",
            facts=facts,
            columns=(
                *_WHICH,
                *(
                    Column(name, "float", "", "whole model" if "whole" in name else "the circuit alone")
                    for name in names
                ),
                Column("KL", "float", "nats", "whole model || circuit"),
                Column("faithfulness", "float", "", "(circuit - nothing) / (whole model - nothing), by its own metric"),
                Column("n", "int", "prompts"),
                Column("measured on", "text"),
            ),
            rows=tuple(rows),
        )
    )


def _without_empty(table: Table) -> Table:
    """Without the columns that no circuit has anything in, such as the edges of circuits of heads."""
    kept = [i for i in range(len(table.columns)) if any(row[i] is not None for row in table.rows)]
    columns, rows = tuple(table.columns[i] for i in kept), tuple(tuple(row[i] for i in kept) for row in table.rows)
    return msgspec.structs.replace(table, columns=columns, rows=rows)


def _number(told: dict[str, Any], name: str) -> float | None:
    value = told.get(name)
    return None if value is None else float(value)


__all__ = ["MEASURED", "Summary", "summary"]
