"""Direct logit attribution: what every part of the model adds to the logit difference by itself, through no other part.

The final residual stream x is the sum of what was written to it, and the logit difference is linear in x once the final
norm's scale is held at its value (circuits.md, Direct logit attribution; Elhage et al. 2021, "logit attribution"):

    logit(answer) - logit(foil) = sum_s (o_s - mean o_s) / sigma . w (W_U[answer] - W_U[foil]) + biases

with sigma of this example at this position, and w, b the final norm's gain and offset, where they are not folded away.
RMS norms do not centre; without a norm sigma is 1. With several answers or foils their columns are averaged first, as
the metric `logit_diff` averages their logits.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from engine.circuits.metrics import Targets
from engine.circuits.reading.model_weights import weights_of
from engine.circuits.runs import at_positions
from engine.models.protocols import Cache, TransformerConfig, TransformerModel
from sessions.components import Head, Mlp

TOKEN, POSITION = "embed: token", "embed: position"
ATTENTION_BIAS, NORM_BIAS, UNEMBED_BIAS = "b_O of all layers", "final norm's bias", "unembedding bias"


class Direction(NamedTuple):
    """What a vector in the residual stream is worth at a scored position, and the part that is there anyway."""

    vector: Float[Tensor, "batch k d_model"]
    norm_bias: Float[Tensor, "batch k"]
    unembed_bias: Float[Tensor, "batch k"]


def direction(model: TransformerModel, final: Float[Tensor, "batch k d_model"], targets: Targets) -> Direction:
    """The logit difference as a linear function of the residual stream, the norm's scale frozen at that of `final`.

    In single precision (or the model's, if higher), on the model's device. ValueError without foils.
    """
    if targets.foils is None:
        raise ValueError("the logit difference needs foils")
    weights = weights_of(model)
    final = final.to(torch.promote_types(final.dtype, torch.float32))
    columns = _mean_of(weights.unembed, targets.answers, final.dtype) - _mean_of(
        weights.unembed, targets.foils, final.dtype
    )
    gain, offset = weights.ln_final
    read = columns if gain is None else columns * gain.to(final.dtype)
    match model.config.normalization:
        case "LN":
            vector = (read - read.mean(-1, keepdim=True)) / _sigma(final.var(-1, correction=0), model.config.eps)
        case "RMS":
            vector = read / _sigma(final.square().mean(-1), model.config.eps)
        case _:
            vector = read
    nothing = torch.zeros(final.shape[:2], dtype=final.dtype, device=final.device)
    unembed_bias = nothing
    if weights.b_unembed is not None:
        bias = weights.b_unembed[:, None]
        difference = _mean_of(bias, targets.answers, final.dtype) - _mean_of(bias, targets.foils, final.dtype)
        unembed_bias = difference[..., 0]
    return Direction(vector, nothing if offset is None else columns @ offset.to(final.dtype), unembed_bias)


def component_names(config: TransformerConfig) -> tuple[str, ...]:
    """The parts that effects are given for, in the order in which they write; biases last."""
    names = [TOKEN, POSITION] if config.positions == "learned" else [TOKEN]
    for layer in range(config.n_layers):
        names += [str(Head(layer, head)) for head in range(config.n_heads)]
        names += [str(Mlp(layer))] if config.d_mlp else []
    return (*names, ATTENTION_BIAS, NORM_BIAS, UNEMBED_BIAS)


def direct_effects(
    model: TransformerModel,
    cache: Cache,
    tokens: Int[Tensor, "batch pos"],
    at: Int[Tensor, "batch k"],
    toward: Direction,
) -> Float[Tensor, "batch k component"]:
    """Every part's effect, in the order of `component_names`; they sum to the logit difference.

    A head's output is z W_O, value biases included, b_O not; an MLP's output has its output bias in it.
    """
    weights, c = weights_of(model), model.config
    vector = toward.vector
    kind = vector.dtype
    parts = [_dot(weights.embed[at_positions(tokens[:, :, None], at)[..., 0]].to(kind), vector)]
    if weights.positions is not None:
        parts.append(_dot(weights.positions[at].to(kind), vector))
    b_o = torch.zeros_like(parts[0])
    for layer, block in enumerate(weights.blocks):
        z = at_positions(cache.z[layer], at).to(kind)
        parts.extend((z * _read_by_heads(model, layer, vector)).sum(-1).unbind(-1))
        if c.d_mlp:
            parts.append(_dot(at_positions(cache.mlp_out[layer], at).to(kind), vector))
        if block.b_o is not None:
            b_o = b_o + vector @ block.b_o.to(kind)
    return torch.stack([*parts, b_o, toward.norm_bias, toward.unembed_bias], -1)


def head_effects_by_source(
    model: TransformerModel, cache: Cache, at: Int[Tensor, "batch k"], toward: Direction
) -> Float[Tensor, "batch k layer head key"]:
    """Each head's effect by the token that it comes from: A[q, j] (v_j W_O) . direction. Over j they sum to the head's.

    The cache must hold patterns.
    """
    assert cache.pattern is not None
    kind = toward.vector.dtype
    layers = []
    for layer in range(model.config.n_layers):
        value = model.projections(layer, cache.resid_pre[layer])[2].to(kind)
        worth = torch.einsum("bjhd,bkhd->bkhj", value, _read_by_heads(model, layer, toward.vector))
        paid = at_positions(cache.pattern[layer].transpose(1, 2), at).to(kind)
        layers.append(worth * paid)
    return torch.stack(layers, 2)


def _read_by_heads(
    model: TransformerModel, layer: int, vector: Float[Tensor, "batch k d_model"]
) -> Float[Tensor, "batch k head d_head"]:
    """What mixed values are worth: the direction seen through W_O."""
    w_o = weights_of(model).blocks[layer].w_o.to(vector.dtype)
    return (vector @ w_o).view(*vector.shape[:2], model.config.n_heads, model.config.d_head)


def _mean_of(
    matrix: Float[Tensor, "logit width"], tokens: Int[Tensor, "batch k token"], kind: torch.dtype
) -> Float[Tensor, "batch k width"]:
    """The mean of the rows named, -1 naming none."""
    present = (tokens >= 0).to(kind)
    rows = matrix[tokens.clamp(min=0)].to(kind)
    return (rows * present[..., None]).sum(-2) / present.sum(-1, keepdim=True).clamp(min=1)


def _sigma(variance: Float[Tensor, "batch k"], eps: float) -> Float[Tensor, "batch k 1"]:
    return (variance + eps).sqrt()[..., None]


def _dot(a: Float[Tensor, "batch k d_model"], b: Float[Tensor, "batch k d_model"]) -> Float[Tensor, "batch k"]:
    return (a * b).sum(-1)


__all__ = [
    "ATTENTION_BIAS",
    "NORM_BIAS",
    "POSITION",
    "TOKEN",
    "UNEMBED_BIAS",
    "Direction",
    "component_names",
    "direct_effects",
    "direction",
    "head_effects_by_source",
]
