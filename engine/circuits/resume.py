"""Start a pass where an ablation first changes it: after a layer's attention, or after the whole layer.

What a removed head changes is linear in the residual stream: cached attention output - z_h W_O + what stands in for it
(circuits.md, section e). So no ablated layer computes its attention again. Where the MLP does not read what attention
writes (parallel blocks) or there is none, even its output is known and the pass goes on at the next layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from engine.circuits.ablation import Replacement
from engine.circuits.runs import at_positions
from engine.models.protocols import Edit, TransformerModel


class Entering(NamedTuple):
    """What is known at a layer before any of its heads is removed. In the last layer `pos` is only the scored ones:
    no later token reads the others."""

    layer: int
    residual: Float[Tensor, "batch pos d_model"]
    z: Float[Tensor, "batch pos head d_head"]
    mlp_out: Float[Tensor, "batch pos d_model"] | None  # None where it depends on what attention writes
    at: Int[Tensor, "batch k"] | None  # the scored positions; None in the last layer


def mlp_is_fixed(model: TransformerModel) -> bool:
    """A layer's MLP output does not depend on its attention: parallel blocks, or no MLP at all."""
    return model.config.parallel_attn_mlp or not model.config.d_mlp


def entering(
    model: TransformerModel,
    layer: int,
    residual: Float[Tensor, "batch pos d_model"],
    z: Float[Tensor, "batch pos head d_head"],
    mlp_out: Float[Tensor, "batch pos d_model"] | None,
    at: Int[Tensor, "batch k"],
) -> Entering:
    """The state at a layer from tensors of the full length, cut down to the scored positions in the last one."""
    out = mlp_out if mlp_is_fixed(model) else None
    if layer < model.config.n_layers - 1:
        return Entering(layer, residual, z, out, at)
    out = None if out is None else at_positions(out, at)
    return Entering(layer, at_positions(residual, at), at_positions(z, at), out, None)


def head_deltas(
    model: TransformerModel,
    state: Entering,
    replacement: Replacement,
    at: Int[Tensor, "batch k"],
    heads: Sequence[int],
) -> Float[Tensor, "head batch pos d_model"]:
    """By how much the residual stream changes when each of `heads` alone is ablated: (replacement - z_h) W_O."""
    instead = replacement.z_of(state.layer)
    if state.at is None:
        instead = at_positions(instead, at)
    changed = instead - state.z
    return torch.stack([model.head_output(state.layer, head, changed[:, :, head]) for head in heads])


def after_attention(
    model: TransformerModel,
    state: Entering,
    deltas: Float[Tensor, "head batch pos d_model"],
    removed: Bool[Tensor, "variant head"],
) -> Float[Tensor, "variant batch pos d_model"]:
    """The residual stream after a layer's attention in every variant, which lacks the heads true in `removed` (in the
    order of `deltas`)."""
    whole = state.residual + model.attention_output(state.layer, state.z)
    changes = removed.to(deltas.dtype) @ deltas.flatten(1)
    return whole + changes.view(-1, *deltas.shape[1:])


def go_on(
    model: TransformerModel,
    state: Entering,
    middle: Float[Tensor, "variant batch pos d_model"],
    edit: Edit | None = None,
    through: TransformerModel | None = None,
) -> Float[Tensor, "variant_batch k d_model"]:
    """The final residual stream at the scored positions, from what stands after a layer's attention.

    `edit` may listen to (or change) what follows, this layer's MLP included where it has to be computed. `through` is
    a copy of the model in another number format: the pass takes place there (an `edit` too) and is brought back.
    """
    if through is not None:
        there = state if state.mlp_out is None else state._replace(mlp_out=state.mlp_out.to(through.dtype))
        return go_on(through, there, middle.to(through.dtype), edit).to(middle.dtype)
    variants = len(middle)
    at = None if state.at is None else state.at.repeat(variants, 1)
    if state.mlp_out is None:
        return model.run_from(state.layer, middle.flatten(0, 1), start="mlp", at=at, edit=edit)
    return model.run_from(state.layer + 1, (middle + state.mlp_out).flatten(0, 1), at=at, edit=edit)


class Listen:
    """An Edit that keeps what passes, by layer, in `heard_z` and `heard_mlp`; `inner` may change it before."""

    def __init__(self, *layers: int, inner: Edit | None = None) -> None:
        self.layers = frozenset(layers) | (inner.layers if inner is not None else frozenset())
        self.inner = inner
        self.heard_z: dict[int, Tensor] = {}
        self.heard_mlp: dict[int, Tensor] = {}

    def z(self, layer: int, z: Float[Tensor, "rows pos head d_head"]) -> Float[Tensor, "rows pos head d_head"]:
        if self.inner is not None and layer in self.inner.layers:
            z = self.inner.z(layer, z)
        self.heard_z[layer] = z
        return z

    def mlp_out(self, layer: int, out: Float[Tensor, "rows pos d_model"]) -> Float[Tensor, "rows pos d_model"]:
        if self.inner is not None and layer in self.inner.layers:
            out = self.inner.mlp_out(layer, out)
        self.heard_mlp[layer] = out
        return out


__all__ = ["Entering", "Listen", "after_attention", "entering", "go_on", "head_deltas", "mlp_is_fixed"]
