"""What the edge methods are asked for beyond model and prompts, and the facts their results carry. No torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import numpy as np
from msgspec import Meta

from engine.circuits.asking import Ablation, Asked, MetricChoice, OnPrompts, ask, the_prompts
from engine.operations import Context
from sessions.artifacts import Array, Axis, Matrix

if TYPE_CHECKING:
    from engine.circuits.batching import Sizes
    from engine.circuits.discovery.computational_graph import ComputationalGraph
    from engine.circuits.runs import PromptRuns

EDGE_SITES = "edges: what a source writes, as one target reads it (q, k, v of a head apart), before the target's norm"


class OnEdges(OnPrompts, frozen=True, kw_only=True):
    """A model, prompts, and how edges are cut and measured."""

    ablation: Ablation = "resample"
    metric: MetricChoice = "logit_diff"


HeldOut = Annotated[
    float, Meta(description="part of the prompts that decides nothing and is only measured", ge=0, le=0.95)
]


SignTest = Annotated[
    Literal["signed", "absolute"],
    Meta(description="signed: an improvement removes an edge too; absolute: only a small change does"),
]


class AskedEdges(NamedTuple):
    """A request about edges: what was asked, and the model's computational graph."""

    asked: Asked
    graph: ComputationalGraph

    def sizes(self, prompts: int) -> Sizes:
        """Batch sizes when what every source writes, and how that changes, is held for each row."""
        c, pos = self.asked.model.config, self.asked.batch.tokens.shape[1]
        return self.asked.sizes(prompts, floats=3 * len(self.graph.sources) * pos * c.d_model)

    def runs(self, rows: Any = None, **options: Any) -> PromptRuns:
        count = len(self.asked.batch.tokens) if rows is None else len(rows)
        return self.asked.runs(rows, sizes=self.sizes(count), **options)

    def facts(self, runs: PromptRuns) -> dict[str, Any]:
        c = self.asked.model.config
        grouped = c.n_kv_heads not in (0, c.n_heads)
        shared = {"grouped_query": f"{c.n_kv_heads} keys and values, counted once for each of {c.n_heads} heads"}
        return (
            self.asked.facts(runs)
            | {
                "level": "edges",
                "sites": EDGE_SITES,
                "norms": "applied anew to what a target reads",
                "edges_total": self.graph.size,
            }
            | (shared if grouped else {})
        )


def ask_edges(params: OnPrompts, ctx: Context) -> AskedEdges:
    """The model, the prompts as its tokens (with their foils, where every row has one), and its graph."""
    from engine.circuits.discovery.computational_graph import computational_graph

    rows = the_prompts(ctx, params.prompts).rows
    asked = ask(params, ctx, metrics=("logit_diff",) if all(row.foils for row in rows) else ())
    return AskedEdges(asked, computational_graph(asked.model.config))


def score_matrix(
    graph: ComputationalGraph, values: Array, *, title: str, summary: str, facts: dict[str, Any], unit: str
) -> Matrix:
    """Numbers of edges as an artifact: rows are targets, columns sources, NaN where there is no edge."""
    return Matrix(
        title=title,
        summary=summary,
        facts=facts,
        values=np.where(graph.edges.numpy(), values, np.nan).astype(np.float32),
        axes=(
            Axis("target", tuple(str(target) for target in graph.targets)),
            Axis("source", tuple(str(source) for source in graph.sources)),
        ),
        unit=unit,
        scale="diverging",
    )


__all__ = ["AskedEdges", "HeldOut", "OnEdges", "SignTest", "ask_edges", "score_matrix"]
