"""Rotary positions (Su et al., RoFormer, section 3.2): queries and keys turned by an angle proportional to position."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from engine.models.protocols import RotaryScaling, TransformerConfig


def rotary_table(config: TransformerConfig, length: int) -> tuple[Float[Tensor, "length r"], Float[Tensor, "length r"]]:
    """Cosine and sine of position times frequency, for the first `rotary_dim` coordinates of a head, in float64.

    Frequencies are base^(-2i / rotary_dim). With `rotary_adjacent_pairs` coordinates 2i and 2i+1 turn together (GPT-J),
    else i and i + rotary_dim / 2 (NeoX, Llama).
    """
    half = config.rotary_dim // 2
    frequency = config.rotary_base ** (-torch.arange(half, dtype=torch.float64) / half)
    if config.rotary_scaling is not None:
        frequency = stretched(frequency, config.rotary_scaling)
    angle = torch.arange(length, dtype=torch.float64)[:, None] * frequency
    angle = angle.repeat_interleave(2, dim=1) if config.rotary_adjacent_pairs else torch.cat([angle, angle], dim=1)
    return angle.cos(), angle.sin()


def stretched(frequency: Float[Tensor, " half"], scaling: RotaryScaling) -> Float[Tensor, " half"]:
    """Llama 3's frequencies for long contexts (the "NTK-by-parts" of Peng et al., YaRN, section 3.2)."""
    turns = scaling.original_ctx * frequency / (2 * math.pi)  # of a pair over the original context
    kept = ((turns - scaling.low) / (scaling.high - scaling.low)).clamp(0, 1)
    return frequency * (kept + (1 - kept) / scaling.factor)


def rotate(
    x: Float[Tensor, "rows pos head d_head"],
    cos: Float[Tensor, "... pos 1 r"],
    sin: Float[Tensor, "... pos 1 r"],
    adjacent_pairs: bool,
) -> Float[Tensor, "rows pos head d_head"]:
    """`x` with its first r coordinates turned; the others pass."""
    width = cos.shape[-1]
    turning, rest = x[..., :width], x[..., width:]
    if adjacent_pairs:
        pairs = turning.reshape(*turning.shape[:-1], width // 2, 2)
        quarter = torch.stack([-pairs[..., 1], pairs[..., 0]], dim=-1).flatten(-2)
    else:
        first, second = turning.chunk(2, dim=-1)
        quarter = torch.cat([-second, first], dim=-1)
    turned = turning * cos + quarter * sin
    return torch.cat([turned, rest], dim=-1) if rest.shape[-1] else turned
