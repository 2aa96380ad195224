"""How far a mean over prompts can be trusted: the paired bootstrap (Efron & Tibshirani 1993, section 13.3)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float


class Bounds(NamedTuple):
    low: float
    high: float


class PairedBootstrap:
    """Percentile intervals for the mean of per-example differences, from one fixed set of resamples.

    The resamples are drawn once from `seed`, so every comparison over the same examples sees the same ones, and a
    resumed run draws what an undisturbed run drew.
    """

    def __init__(self, examples: int, seed: int, *, resamples: int = 2000, level: float = 0.95) -> None:
        drawn = np.random.default_rng([seed, examples]).multinomial(
            examples, np.full(examples, 1 / examples), size=resamples
        )
        self._weights = (drawn / examples).astype(np.float32)
        self.level = level

    def interval(self, differences: Float[np.ndarray, " example"]) -> Bounds:
        """The interval that holds the mean difference in `level` of the resamples."""
        means = self._weights @ differences.astype(np.float64)
        low, high = np.quantile(means, [(1 - self.level) / 2, (1 + self.level) / 2])
        return Bounds(float(low), float(high))


__all__ = ["Bounds", "PairedBootstrap"]
