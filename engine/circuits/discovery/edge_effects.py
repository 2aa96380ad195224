"""What single edges of a circuit are worth: exact edge patching (circuits.md, section a, the residual rewrite).

Removing the edge s -> r changes only what r reads: x_r + (o_s^{ablated} - o_s), before r's LayerNorm, which is applied
anew. All three inputs of a head (q, k, v) lose the edge together. Everything else stays as it is in the circuit's own
pass, and what r now writes is carried through the rest of the model.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from engine.circuits.ablation import Ablate
from engine.circuits.discovery.computational_graph import Source, is_before
from engine.circuits.judging.faithfulness import Circuit
from engine.circuits.resume import Entering, Listen, go_on, mlp_is_fixed
from engine.circuits.runs import PromptRuns, at_positions
from engine.models.protocols import TransformerModel
from sessions.components import Component, Embed, Head, Logits, Mlp


class EdgeValues(NamedTuple):
    """The metric per example with one edge removed from the circuit."""

    source: Source
    target: Component
    rows: slice
    values: Float[Tensor, " example"]


class _Pass(NamedTuple):
    """The circuit's own pass over one chunk, at full length."""

    residual: Float[Tensor, "layers_plus_1 batch pos d_model"]
    middle: Float[Tensor, "layer batch pos d_model"]
    z: Float[Tensor, "layer batch pos head d_head"]
    mlp_out: Float[Tensor, "layer batch pos d_model"]


def kept_nodes(model: TransformerModel, circuit: Circuit) -> tuple[Source, ...]:
    """The embeddings and the kept components, in the order in which they compute."""
    nodes: list[Source] = [Embed()]
    for layer in range(model.config.n_layers):
        nodes.extend(Head(layer, head) for head in range(model.config.n_heads) if circuit.heads[layer, head])
        if model.config.d_mlp and circuit.mlps[layer]:
            nodes.append(Mlp(layer))
    return tuple(nodes)


def edges_of(model: TransformerModel, circuit: Circuit) -> tuple[tuple[Source, Component], ...]:
    """All edges between kept nodes, and from them to the logits."""
    nodes = kept_nodes(model, circuit)
    targets: tuple[Component, ...] = (*nodes, Logits())
    parallel = model.config.parallel_attn_mlp
    return tuple((s, t) for t in targets for s in nodes if is_before(s, t, parallel=parallel))


def circuit_values(runs: PromptRuns, circuit: Circuit) -> Float[Tensor, " example"]:
    """The metric of the circuit with all its edges: what `edge_effects` is to be compared with."""
    parts = []
    for index, chunk in enumerate(runs.chunks):
        final = at_positions(_circuit_pass(runs, index, circuit).residual[-1], chunk.at)
        parts.append(runs.values(index, final)[0])
    return torch.cat(parts)


def edge_effects(
    runs: PromptRuns, circuit: Circuit, *, variants: int = 16, only_logits: bool = False
) -> Iterator[tuple[EdgeValues, ...]]:
    """The metric with each edge of the circuit removed alone, batch by batch.

    `only_logits` does the edges into the logits alone: they cost no pass through the model.
    """
    nodes = kept_nodes(runs.model, circuit)
    parallel = runs.model.config.parallel_attn_mlp
    for index in range(len(runs.chunks)):
        own = _circuit_pass(runs, index, circuit)
        deltas = {node: _delta(runs, index, own, node) for node in nodes}
        for target in (*nodes, Logits()):
            sources = [s for s in nodes if is_before(s, target, parallel=parallel)]
            if only_logits and not isinstance(target, Logits):
                continue
            for start in range(0, len(sources), variants):
                some = sources[start : start + variants]
                change = torch.stack([deltas[s] for s in some])
                final = _without(runs, index, circuit, own, target, change)
                rows = runs.chunks[index].rows
                values = runs.values(index, final)
                yield tuple(EdgeValues(s, target, rows, v) for s, v in zip(some, values))


def _circuit_pass(runs: PromptRuns, index: int, circuit: Circuit) -> _Pass:
    model, residual = runs.model, [runs.cache(index).resid_pre[0]]
    edit = Ablate(runs.replacement(index), ~circuit.heads[None], ~circuit.mlps[None])
    layers = range(model.config.n_layers)
    listen = Listen(*layers, inner=edit)
    model.run_from(0, residual[0], edit=listen)
    middle = []
    nothing = torch.zeros_like(residual[0])
    for layer in layers:
        middle.append(residual[-1] + model.attention_output(layer, listen.heard_z[layer]))
        residual.append(middle[-1] + listen.heard_mlp.get(layer, nothing))
    return _Pass(
        torch.stack(residual),
        torch.stack(middle),
        torch.stack([listen.heard_z[layer] for layer in layers]),
        torch.stack([listen.heard_mlp.get(layer, nothing) for layer in layers]),
    )


def _delta(runs: PromptRuns, index: int, own: _Pass, node: Source) -> Float[Tensor, "batch pos d_model"]:
    """o_s^{ablated} - o_s."""
    instead = runs.replacement(index)
    match node:
        case Embed():
            return instead.embed - own.residual[0]
        case Mlp(layer=layer):
            return instead.mlp_of(layer) - own.mlp_out[layer]
        case Head(layer=layer, head=head):
            return runs.model.head_output(layer, head, (instead.z_of(layer) - own.z[layer])[:, :, head])


def _without(
    runs: PromptRuns,
    index: int,
    circuit: Circuit,
    own: _Pass,
    target: Component,
    change: Float[Tensor, "variant batch pos d_model"],
) -> Float[Tensor, "variant_batch k d_model"]:
    model, chunk, count = runs.model, runs.chunks[index], len(change)
    edit = Ablate(runs.replacement(index), ~circuit.heads.expand(count, -1, -1), ~circuit.mlps.expand(count, -1))
    at = chunk.at.repeat(count, 1)
    match target:
        case Head(layer=layer, head=head):
            read = (own.residual[layer] + change).flatten(0, 1)
            with torch.no_grad():
                z = model.attend(layer, read).z[:, :, head]
            moved = model.head_output(layer, head, z - own.z[layer][:, :, head].repeat(count, 1, 1))
            fixed = own.mlp_out[layer] if mlp_is_fixed(model) else None
            state = Entering(layer, own.residual[layer], own.z[layer], fixed, chunk.at)
            return go_on(model, state, own.middle[layer] + moved.view(change.shape), edit)
        case Mlp(layer=layer):
            before = own.residual[layer] if model.config.parallel_attn_mlp else own.middle[layer]
            with torch.no_grad():
                out = model.mlp(layer, (before + change).flatten(0, 1))
            moved = own.residual[layer + 1] + (out.view(change.shape) - own.mlp_out[layer])
            return model.run_from(layer + 1, moved.flatten(0, 1), at=at, edit=edit)
        case _:
            return at_positions((own.residual[-1] + change).flatten(0, 1), at)


__all__ = ["EdgeValues", "Source", "circuit_values", "edge_effects", "edges_of", "is_before", "kept_nodes"]
