"""A pass that remembers, for gradients, what every target of the computational graph reads.

The q, k and v of all heads, the inputs of the MLPs and of the logits are kept as places of the autograd graph of their
own: a gradient taken there flows through that one target alone (circuits.md, section b, EAP).
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from engine.circuits.discovery.computational_graph import INPUTS, ComputationalGraph
from engine.circuits.metrics import Metric, Targets
from engine.circuits.runs import at_positions
from engine.models.protocols import TransformerModel
from sessions.components import Mlp

Half = Literal["attention", "mlp"]


class Tape(NamedTuple):
    """What was read on the way, from a layer on. Entries of earlier places are missing."""

    entering: dict[int, Float[Tensor, "batch pos d_model"]]  # what a layer's heads read
    inputs: dict[int, tuple[Float[Tensor, "batch pos head d_head"], ...]]  # their q, k and v
    z: dict[int, Float[Tensor, "batch pos head d_head"]]
    mlps: dict[int, Float[Tensor, "batch pos d_model"]]  # what the MLPs read
    final: Float[Tensor, "batch pos d_model"]  # what the logits read


def record(
    model: TransformerModel, x: Float[Tensor, "batch pos d_model"], *, layer: int = 0, start: Half = "attention"
) -> Tape:
    """The pass from a residual stream on: what enters a layer, or what stands between its attention and its MLP."""
    if not x.requires_grad:
        x = x.detach().requires_grad_()
    parallel = model.config.parallel_attn_mlp
    entering: dict[int, Tensor] = {}
    inputs: dict[int, tuple[Tensor, ...]] = {}
    zs: dict[int, Tensor] = {}
    mlps: dict[int, Tensor] = {}
    for now in range(layer, model.config.n_layers):
        before, middle = x, x
        if start == "attention" or now > layer:
            entering[now] = x
            inputs[now] = model.projections(now, x)
            zs[now] = model.mix(*inputs[now]).z
            middle = x + model.attention_output(now, zs[now])
        if model.config.d_mlp:
            read = before if parallel else middle
            mlps[now] = read.view_as(read)  # a place of its own: the gradient here does not see the residual stream
            middle = middle + model.mlp(now, mlps[now])
        x = middle
    return Tape(entering, inputs, zs, mlps, x.view_as(x))


def metric_of(
    model: TransformerModel,
    tape: Tape,
    metric: Metric,
    targets: Targets,
    at: Int[Tensor, "batch k"],
    columns: Int[Tensor, " column"] | None,
) -> Float[Tensor, ""]:
    """The sum of the metric over the examples, differentiable."""
    logits = model.unembed(at_positions(tape.final, at), columns).float()
    return metric.function(logits, targets).sum()


def gradients(
    model: TransformerModel, graph: ComputationalGraph, tape: Tape, value: Float[Tensor, ""]
) -> dict[int, Float[Tensor, "target batch pos d_model"]]:
    """dM/dx_r of every target on the tape, by the first target of a block that belongs together: a layer's heads (all
    q, then all k, then all v), an MLP, the logits."""
    layers, mlps = list(tape.inputs), list(tape.mlps)
    places = [part for layer in layers for part in tape.inputs[layer]] + [tape.mlps[layer] for layer in mlps]
    found = torch.autograd.grad(value, [*places, tape.final], allow_unused=True)
    filled = [torch.zeros_like(place) if g is None else g for place, g in zip([*places, tape.final], found)]
    wanted = [(name, head) for name in INPUTS for head in range(graph.n_heads)]
    result: dict[int, Tensor] = {}
    with torch.no_grad():
        for number, layer in enumerate(layers):
            of_inputs = torch.cat(filled[3 * number : 3 * number + 3], dim=2)
            first = graph.heads_of(layer, "q").start
            result[first] = model.pull_back(layer, wanted, tape.entering[layer], of_inputs)
        for layer, g in zip(mlps, filled[3 * len(layers) :]):
            result[graph.target(Mlp(layer))] = g[None]
        result[len(graph.targets) - 1] = filled[-1][None]
    return result


__all__ = ["Half", "Tape", "gradients", "metric_of", "record"]
