"""How much a lattice says about a set of points in how few numbers. Section 4.3."""

from __future__ import annotations

import numpy as np

from engine.synthesis.lattices.reduction import Lattice, Points

EPS = 1e-4


def description_length(points: Points, lattice: Lattice, eps: float = EPS) -> float:
    """mean log(1 + |k|^2) + mean log(1 + (residual/eps)^2): small integers and small residuals."""
    k = lattice.nearest(points).astype(np.float64)
    left = np.linalg.norm(lattice.residual(points), axis=1)
    return float(np.log1p((k**2).sum(axis=1)).mean() + np.log1p((left / eps) ** 2).mean())


def unexplained(points: Points, eps: float = EPS) -> float:
    """The description length of the points by no lattice at all: each is its own residual from the mean."""
    left = np.linalg.norm(points - points.mean(axis=0), axis=1)
    return float(np.log1p((left / eps) ** 2).mean())
