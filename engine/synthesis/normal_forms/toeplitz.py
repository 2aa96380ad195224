"""Toeplitz: the freedom that a Jordan form leaves makes one input column of each block one-hot. Section 3."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from engine.synthesis.normal_forms.change_of_basis import Change, change_basis, unchanged
from engine.synthesis.normal_forms.network import Network

Square = Float[np.ndarray[Any, Any], "hidden hidden"]
_CLAIMS = "outputs and W"


class Blocks(NamedTuple):
    """A matrix recognised as Jordan: where its blocks begin and end, and its largest deviation from the exact form."""

    spans: tuple[tuple[int, int], ...]
    deviation: float
    gap: float  # the smallest difference between eigenvalues of two blocks


def jordan_blocks(w: Square) -> Blocks:
    """The blocks read from the matrix itself: a superdiagonal entry above 1/2 joins two rows."""
    n = len(w)
    cuts = [0, *(k + 1 for k in range(n - 1) if w[k, k + 1] <= 0.5), n]
    spans = tuple(pairwise(cuts))
    exact = np.zeros_like(w)
    for low, high in spans:
        exact[low:high, low:high] = np.eye(high - low) * np.diag(w)[low:high].mean() + np.eye(high - low, k=1)
    values = np.sort([exact[low, low] for low, _ in spans])
    gap = float(np.diff(values).min()) if len(values) > 1 else np.inf
    return Blocks(spans, float(np.abs(w - exact).max()), gap)


def toeplitz(network: Network, eps: float = 1e-4) -> Change:
    """Per Jordan block of W: the column of V with the largest bottom entry becomes one-hot, (0, ..., 0, 1).

    The change of basis is the inverse of the upper-triangular Toeplitz matrix made from that column, which commutes
    with the block. Where the bottom entry is at most `eps`, the entry above it takes its place, and so on upwards.
    """
    blocks = jordan_blocks(network.hidden_columns)
    if not (blocks.deviation < 0.5 and blocks.deviation < blocks.gap):
        why = f"W is not recognisably Jordan: it departs by {blocks.deviation:.3g}, its blocks by {blocks.gap:.3g}"
        return unchanged("toeplitz", network, _CLAIMS, eps, why)
    v = network.input_columns
    inverse = np.eye(network.hidden)
    made = 0
    for low, high in blocks.spans:
        part = v[low:high]
        kept = [k for k in range(high - low) if np.abs(part[k]).max() > eps]
        if kept:
            depth = kept[-1]
            column = part[: depth + 1, np.abs(part[depth]).argmax()]
            inverse[low:high, low:high] = _triangular(column, high - low)
            made += 1
    if not made:
        return unchanged("toeplitz", network, _CLAIMS, eps, f"no input column exceeds {eps:g}")
    basis = np.linalg.inv(inverse)
    decided = f"{made} of {len(blocks.spans)} blocks have a one-hot input column; W departs by {blocks.deviation:.2g}"
    return Change("toeplitz", change_basis(network, basis, inverse), basis, _CLAIMS, eps, decided)


def _triangular(column: Float[np.ndarray[Any, Any], " some"], size: int) -> Square:
    """The upper-triangular Toeplitz matrix that takes the unit vector at the column's last entry to the column."""
    return sum((value * np.eye(size, k=shift) for shift, value in enumerate(column[::-1])), np.zeros((size, size)))
