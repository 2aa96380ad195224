"""What a removed component writes instead: nothing, its mean, or what it writes on the corrupt prompt.

`circuits.md`, section (b), Interventions. A head is ablated at z, its mixed values before W_O, so the output bias b_O,
which belongs to no head, is kept; an MLP at its output, bias included.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from engine.models.protocols import Cache, TransformerConfig

AblationKind = Literal["zero", "mean", "resample"]


class Replacement(NamedTuple):
    """The values that ablated components write. Sizes of 1 stand for every layer, prompt or position alike."""

    z: Float[Tensor, "layer_or_1 batch_or_1 pos_or_1 head d_head"]
    mlp_out: Float[Tensor, "layer_or_1 batch_or_1 pos_or_1 d_model"]
    embed: Float[Tensor, "batch_or_1 pos_or_1 d_model"]  # for edges out of the embeddings

    def z_of(self, layer: int) -> Float[Tensor, "batch_or_1 pos_or_1 head d_head"]:
        return self.z[min(layer, len(self.z) - 1)]

    def mlp_of(self, layer: int) -> Float[Tensor, "batch_or_1 pos_or_1 d_model"]:
        return self.mlp_out[min(layer, len(self.mlp_out) - 1)]


def zero_replacement(config: TransformerConfig, device: torch.device, dtype: torch.dtype) -> Replacement:
    """Zeros. Simple and off-distribution: prefer mean or resample for claims (Wang et al. 2022)."""

    def zeros(*shape: int) -> Tensor:
        return torch.zeros(shape, device=device, dtype=dtype)

    return Replacement(
        z=zeros(1, 1, 1, config.n_heads, config.d_head),
        mlp_out=zeros(1, 1, 1, config.d_model),
        embed=zeros(1, 1, config.d_model),
    )


def mean_replacement(caches: Iterable[tuple[Cache, Int[Tensor, " batch"]]], *, per_position: bool) -> Replacement:
    """Means over the prompts of all caches, each given with its prompts' lengths; padding does not count.

    `per_position` keeps one mean per position, which has a meaning only where all prompts are built alike (same length,
    same template); otherwise the mean also runs over positions. Sums are in double precision where the device
    has it.
    """
    totals: list[Tensor] = []
    count: Tensor = torch.zeros(1, dtype=torch.float64)
    dtype = torch.float32
    for cache, lengths in caches:
        dtype = cache.z.dtype
        exact = torch.float32 if cache.z.device.type == "mps" else torch.float64  # mps has no doubles
        pos = cache.z.shape[2]
        real = torch.arange(pos, device=cache.z.device) < lengths.to(cache.z.device)[:, None]
        dims = [0] if per_position else [0, 1]
        parts = []
        for values in (cache.z.flatten(3), cache.mlp_out, cache.resid_pre[:1]):  # [layer batch pos width]
            weighted = values.to(exact) * real[None, :, :, None]
            parts.append(weighted.sum([d + 1 for d in dims], keepdim=True))
        counted = real.to(exact).sum(dims, keepdim=True)
        if not totals:
            heads = cache.z.shape[3:]
            totals, count = parts, counted
        else:
            totals = [total + part for total, part in zip(totals, parts)]
            count = count + counted
    if not totals:
        raise ValueError("a mean needs at least one prompt")
    z, mlp_out, embed = ((total / count[None, :, :, None]).to(dtype) for total in totals)
    return Replacement(z=z.view(*z.shape[:3], *heads), mlp_out=mlp_out, embed=embed[0])


def resample_replacement(corrupt: Cache) -> Replacement:
    """What each component writes on the paired corrupt prompts, position by position."""
    return Replacement(z=corrupt.z, mlp_out=corrupt.mlp_out, embed=corrupt.resid_pre[0])


class Ablate:
    """An Edit that ablates other components in every variant; rows are variant-major, as protocols.Edit wants them.

    `heads` and `mlps` are true where a variant's component is ablated.
    """

    def __init__(
        self,
        replacement: Replacement,
        heads: Bool[Tensor, "variant layer head"],
        mlps: Bool[Tensor, "variant layer"],
    ) -> None:
        self.replacement, self.heads, self.mlps = replacement, heads, mlps
        touched = heads.any(2).any(0) | mlps.any(0)
        self.layers = frozenset(int(layer) for layer in touched.nonzero())

    def z(self, layer: int, z: Float[Tensor, "rows pos head d_head"]) -> Float[Tensor, "rows pos head d_head"]:
        mask = self.heads[:, layer]
        if not mask.any():
            return z
        variants = z.reshape(len(mask), -1, *z.shape[1:])
        return torch.where(mask[:, None, None, :, None], self.replacement.z_of(layer), variants).flatten(0, 1)

    def mlp_out(self, layer: int, out: Float[Tensor, "rows pos d_model"]) -> Float[Tensor, "rows pos d_model"]:
        mask = self.mlps[:, layer]
        if not mask.any():
            return out
        variants = out.reshape(len(mask), -1, *out.shape[1:])
        return torch.where(mask[:, None, None, None], self.replacement.mlp_of(layer), variants).flatten(0, 1)


__all__ = ["Ablate", "AblationKind", "Replacement", "mean_replacement", "resample_replacement", "zero_replacement"]
