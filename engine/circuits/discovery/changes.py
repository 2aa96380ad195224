"""How what sources write moves when edges are cut, and what that adds up to where targets read it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor


class Changes:
    """What sources write now, less what they wrote in the circuit's own pass."""

    def __init__(self, variants: int, at: Int[Tensor, "batch k"]) -> None:
        self.variants, self.at = variants, at
        self.sources: list[int] = []
        self._full: list[Float[Tensor, "some variant_batch pos d_model"]] = []
        self._scored: list[Float[Tensor, "some variant_batch k d_model"]] = []

    def add(
        self, sources: Sequence[int], deltas: Float[Tensor, "some variant_batch pos d_model"], *, scored: bool
    ) -> None:
        """`scored`: the deltas are those at the scored positions, and no target reads the others."""
        self.sources += sources
        if not scored:
            self._full.append(deltas)
        self._scored.append(deltas if scored else each_at(deltas, self.at.repeat(self.variants, 1)))

    def reach(self, rows: Float[Tensor, "row source"]) -> list[bool]:
        """Whether each of these targets reads any of them."""
        if not self.sources:
            return [False] * len(rows)
        found: list[bool] = rows[:, self.sources].any(1).tolist()
        return found

    def into(
        self, rows: Float[Tensor, "row source"], *, scored: bool
    ) -> Float[Tensor, "row variant batch pos d_model"]:
        """By how much these targets' inputs move. Zeros of size 1 where nothing does."""
        parts = self._scored if scored else self._full
        count = sum(len(part) for part in parts)
        if not count:
            return rows.new_zeros(len(rows), self.variants, 1, 1, 1)
        deltas = parts[0] if len(parts) == 1 else torch.cat(parts)
        if len(parts) > 1:
            parts[:] = [deltas]
        moved = mixed(rows[:, self.sources[:count]], deltas)
        return moved.view(len(rows), self.variants, -1, *moved.shape[2:])


def mixed(
    rows: Float[Tensor, "row source"], values: Float[Tensor, "source batch pos d_model"]
) -> Float[Tensor, "row batch pos d_model"]:
    """Sums over sources."""
    return (rows @ values.flatten(1)).view(len(rows), *values.shape[1:])


def each_at(
    values: Float[Tensor, "source batch_or_1 pos_or_1 d_model"], at: Int[Tensor, "batch k"]
) -> Float[Tensor, "source batch_or_1 k_or_1 d_model"]:
    """`at_positions` of every source."""
    if values.shape[2] == 1:
        return values
    if values.shape[1] == 1:
        return values[:, 0][:, at]
    return values[:, torch.arange(len(at), device=at.device)[:, None], at]


__all__ = ["Changes", "each_at", "mixed"]
