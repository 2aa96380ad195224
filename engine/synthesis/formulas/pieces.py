"""The expressions of a bank as pieces of a formula: looked up by what they give on some of the rows.

An expression's hash over the rows of every mask is one matrix product.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from engine.synthesis.formulas.bank import Bank, Columns
from engine.synthesis.formulas.expressions import Expression

Column = Int[np.ndarray[Any, Any], " row"]
Masks = Bool[np.ndarray[Any, Any], "mask row"]
Mask = Bool[np.ndarray[Any, Any], " row"]
Product = Float[np.ndarray[Any, Any], "mask column"]
Found = Int[np.ndarray[Any, Any], "wanted mask"]

AT_ONCE = 4_000_000  # numbers of one matrix product
NONE = -1


class Pieces:
    """Expressions in the order of their sizes, `most` of them."""

    def __init__(self, bank: Bank, most: int) -> None:
        self.bank = bank
        sizes = sorted(bank.levels)
        self.columns: Columns = np.concatenate([bank.levels[s].columns for s in sizes])[:most]
        self.places = [(s, k) for s in sizes for k in range(len(bank.levels[s].how))][:most]
        self.sizes = np.array([s for s, _ in self.places], dtype=np.int64)
        # Sums of products below 2^53 are exact as floating-point numbers.
        bits = 52 - int(np.ceil(np.log2(bank.limit) + np.log2(max(bank.count, 2))))
        self.factors = np.random.default_rng(26).integers(1, 2 ** max(bits, 8), bank.count).astype(np.float64)
        self.numbers = self.columns.astype(np.float64)

    def expression(self, index: int) -> Expression:
        return self.bank.expression(*self.places[index])

    def on_both_sides(self, masks: Masks, wanted: Columns, rows: Mask) -> tuple[Found, Found]:
        """For each wanted column and mask, the smallest expression that gives it on the mask's rows, and the smallest
        that does on the others among `rows`; NONE where there is none."""
        inside, outside = (np.full((len(wanted), len(masks)), NONE, dtype=np.int64) for _ in range(2))
        everywhere = self._hashes(rows[None])
        stride = max(1, AT_ONCE // max(len(self.columns), 1))
        for start in range(0, len(masks), stride):
            part = masks[start : start + stride] & rows
            hashed = self._hashes(part)
            for k, y in enumerate(wanted):
                inside[k, start : start + stride] = self._first(hashed, y, part)
                outside[k, start : start + stride] = self._first(everywhere - hashed, y, rows & ~part)
        return inside, outside

    def _hashes(self, masks: Masks) -> Product:
        hashed: Product = (self.factors * masks) @ self.numbers.T
        return hashed

    def _first(self, hashed: Product, wanted: Column, masks: Masks) -> Int[np.ndarray[Any, Any], " mask"]:
        targets = (self.factors * masks) @ wanted.astype(np.float64)
        index = (hashed == targets[:, None]).argmax(axis=1)
        fits = ((self.columns[index] == wanted) | ~masks).all(axis=1) & masks.any(axis=1)
        return np.where(fits, index, NONE)


def constants(masks: Masks, wanted: Column) -> Sequence[int | None]:
    """The one wanted number on each mask's rows, None where there are several."""
    low = np.where(masks, wanted, np.iinfo(np.int64).max).min(axis=1)
    high = np.where(masks, wanted, np.iinfo(np.int64).min).max(axis=1)
    return [int(a) if a == b else None for a, b in zip(low, high, strict=True)]
