"""What is said of every circuit of edges that a method found: how large it is, and how well it does. No torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.circuits.asking import MetricName
from engine.circuits.discovery.asking import AskedEdges
from sessions.components import Head, Mlp

if TYPE_CHECKING:
    from jaxtyping import Bool
    from torch import Tensor

    from engine.circuits.discovery.computational_graph import ComputationalGraph
    from engine.circuits.runs import PromptRuns


def counts(graph: ComputationalGraph, mask: Bool[Tensor, "target source"]) -> dict[str, Any]:
    """How large a circuit of edges is, in every way it is counted."""
    nodes = graph.nodes(mask)
    inputs = int(mask.any(1).sum())
    return {
        "edges_kept": int(mask.sum()),
        "edges_removed": graph.size - int(mask.sum()),
        "heads_kept": sum(isinstance(node, Head) for node in nodes),
        "mlps_kept": sum(isinstance(node, Mlp) for node in nodes),
        "nodes_kept": len(nodes) + 1,
        "inputs_kept": inputs,
        "counting": "nodes: embeddings, heads and MLPs that a kept edge leaves, and the logits; inputs: q, k, v, MLP "
        "inputs and logits that a kept edge enters",
    }


def judged(
    edges: AskedEdges, mask: Bool[Tensor, "target source"], runs: PromptRuns, rows: Any, where: str
) -> dict[str, Any]:
    """The circuit's metrics in whole passes, beside the whole model's and those of no edge at all."""
    import torch

    from engine.circuits.discovery.edge_passes import edge_values
    from engine.circuits.metrics import METRICS

    names: list[MetricName] = [edges.asked.metric]
    often: tuple[MetricName, ...] = ("loss", "accuracy", "logit_diff", "kl")
    for name in often:
        foils = not METRICS[name].needs_foils or edges.asked.batch.foils is not None
        answers = not METRICS[name].needs_answers or edges.asked.answered
        if name not in names and foils and answers and edges.asked.model.config.logits > 1:
            names.append(name)
    several = [runs, *(edges.runs(rows, metric=name, like=runs) for name in names[1:])]
    values = edge_values(tuple(several), torch.stack([mask, torch.zeros_like(mask)]), edges.graph)
    facts: dict[str, Any] = {"measured_on": where}
    for name, each, (circuit, nothing) in zip(names, several, values):
        full, kept, empty = (float(v.double().mean()) for v in (each.clean, circuit, nothing))
        facts |= {f"{name}_full": full, f"{name}_circuit": kept, f"{name}_empty": empty}
    metric = edges.asked.metric
    full, kept, empty = (facts[f"{metric}_{which}"] for which in ("full", "circuit", "empty"))
    facts |= {"metric_full": full, "metric_circuit": kept, "metric_empty": empty, "difference": abs(full - kept)}
    facts["faithfulness"] = (kept - empty) / (full - empty) if abs(full - empty) > 1e-9 else None
    return facts


__all__ = ["counts", "judged"]
