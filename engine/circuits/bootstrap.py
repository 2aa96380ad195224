"""How far a mean over prompts can be trusted: the paired bootstrap (Efron & Tibshirani 1993, section 13.3)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

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

    def interval_of(self, statistic: Callable[..., Any], *examples: Float[np.ndarray, " example"]) -> Bounds:
        """The same for a statistic of several means (a ratio, say): it gets the means of all resamples at once.

        Resamples where it is not a number are left out; NaN where it is none in any.
        """
        means = [self._weights @ values.astype(np.float64) for values in examples]
        with np.errstate(divide="ignore", invalid="ignore"):
            found = np.asarray(statistic(*means), np.float64)
        found = found[np.isfinite(found)]
        if not len(found):
            return Bounds(float("nan"), float("nan"))
        low, high = np.quantile(found, [(1 - self.level) / 2, (1 + self.level) / 2])
        return Bounds(float(low), float(high))


__all__ = ["Bounds", "PairedBootstrap"]
