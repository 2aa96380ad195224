"""Head attribution patching as an operation. Loads without torch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine.circuits.asking import head_axis, layer_axis
from engine.circuits.discovery.asking import OnEdges, ask_edges
from engine.operations import Context
from sessions.artifacts import AnyArtifact, Column, Matrix, Table
from sessions.components import Head
from sessions.errors import CallError


class HeadAttribution(OnEdges, frozen=True, kw_only=True):
    """A model, prompts, an ablation and a metric are all it takes."""


def head_attribution(params: HeadAttribution, ctx: Context) -> Sequence[AnyArtifact]:
    """Every head's effect by attribution patching: one backward pass for all of them."""
    import torch

    from engine.circuits.discovery.attribution import head_attribution as attribution

    if params.metric in ("accuracy", "kl", "l2"):
        raise CallError(
            f"{params.metric} has no gradient at the clean run", "metric", "use logit_diff, loss or prob_diff"
        )
    edges = ask_edges(params, ctx)
    asked, runs, c = edges.asked, edges.runs(), edges.asked.model.config
    total = torch.zeros(c.n_layers, c.n_heads, dtype=torch.float64)
    for index in range(len(runs.chunks)):
        asked.say(index, len(runs.chunks), "forward and backward")
        total += attribution(runs, edges.graph, index)
    asked.say(len(runs.chunks), len(runs.chunks), "forward and backward")
    values = (total / runs.size).numpy()
    facts = asked.facts(runs) | {
        "definition": "sum over positions of (z ablated - z clean) . dM/dz at the clean run",
        "sign": "change of the metric if the head were ablated, to first order",
    }
    order = np.argsort(-np.abs(values), axis=None, kind="stable")
    lines = [(str(Head(*divmod(int(i), c.n_heads))), float(values.flat[i])) for i in order]
    return [
        Matrix(
            title=f"Head attribution patching ({params.ablation})",
            summary=f"largest: {', '.join(f'{name} {value:+.3g}' for name, value in lines[:3])}",
            facts=facts,
            values=values.astype(np.float32),
            axes=(layer_axis(asked.model), head_axis(asked.model)),
            unit=runs.metric.unit,
            scale="diverging",
        ),
        Table(
            title="Heads by attribution",
            summary=f"{len(lines)} heads",
            facts=facts,
            columns=(Column("head", "text"), Column("score", "float", runs.metric.unit, facts["sign"])),
            rows=tuple(lines),
        ),
    ]


__all__ = ["HeadAttribution", "head_attribution"]
