"""How far a mean over prompts can be trusted: Wilson's interval for shares, the bootstrap for anything else."""

from __future__ import annotations

from math import sqrt
from statistics import NormalDist

import numpy as np
from jaxtyping import Float

from engine.circuits.bootstrap import Bounds, PairedBootstrap

LEVEL = 0.95
WILSON = "95 % Wilson score interval"
BOOTSTRAP = "95 % percentile bootstrap over prompts, 2,000 resamples"


def wilson(hits: float, n: int, level: float = LEVEL) -> Bounds:
    """The score interval for a share of `hits` in `n` (Wilson 1927). It stays within 0 and 1, and has a width where
    none or all are hit, which a bootstrap has not."""
    z = NormalDist().inv_cdf((1 + level) / 2)
    share, spread = hits / n, z * z / n
    middle = (share + spread / 2) / (1 + spread)
    half = z * sqrt(share * (1 - share) / n + spread / (4 * n)) / (1 + spread)
    return Bounds(middle - half if hits else 0.0, middle + half if hits < n else 1.0)  # rounding leaves 1e-17 else


def are_hits(values: Float[np.ndarray, " example"]) -> bool:
    """Whether every value is 0 or 1, so that their mean is a share of examples."""
    return bool(((values == 0) | (values == 1)).all())


def mean_interval(values: Float[np.ndarray, " example"], *, share: bool, bootstrap: PairedBootstrap) -> Bounds:
    """The interval of a mean: Wilson's where `share` and the values are hits and misses, else the bootstrap's."""
    if share and are_hits(values):
        return wilson(float(values.sum()), len(values))
    return bootstrap.interval(values)


__all__ = ["BOOTSTRAP", "LEVEL", "WILSON", "are_hits", "mean_interval", "wilson"]
