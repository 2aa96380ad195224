"""A lattice of hidden states, h = sum_i k_i basis_i + offset with integer k, and its reduction. Section 4.3."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

Points = Float[np.ndarray[Any, Any], "point hidden"]
Basis = Float[np.ndarray[Any, Any], "vector hidden"]
Whole = Int[np.ndarray[Any, Any], "point vector"]
SWEEPS = 10


class Lattice(NamedTuple):
    """Basis vectors as rows, at most as many as there are hidden dimensions, linearly independent."""

    basis: Basis
    offset: Float[np.ndarray[Any, Any], " hidden"]

    @property
    def volume(self) -> float:
        """The volume of a unit cell (within the span of the basis)."""
        return volume(self.basis)

    def coordinates(self, points: Points) -> Float[np.ndarray[Any, Any], "point vector"]:
        """Real coordinates; of a lattice's own points they are integers."""
        found: Float[np.ndarray[Any, Any], "point vector"] = (points - self.offset) @ np.linalg.pinv(self.basis)
        return found

    def nearest(self, points: Points) -> Whole:
        """The integer coordinates of the lattice points nearest along the basis."""
        whole: Whole = np.rint(self.coordinates(points)).astype(np.int64)
        return whole

    def residual(self, points: Points) -> Points:
        """What the nearest lattice points leave, out of the basis' span included."""
        left: Points = points - self.offset - self.nearest(points) @ self.basis
        return left


def volume(basis: Basis) -> float:
    return float(np.sqrt(max(np.linalg.det(basis @ basis.T), 0.0)))


def reduced(basis: Basis) -> Basis:
    """A basis of the same lattice with short vectors: from each other vector the rounded projection on one is taken
    away while that shortens, at most ten sweeps; then signs are flipped so that each vector's entries sum to >= 0."""
    vectors = np.array(basis, dtype=np.float64)
    for _ in range(SWEEPS):
        before = vectors.copy()
        for i, one in enumerate(vectors):
            for j in range(len(vectors)):
                if i != j:
                    shorter = vectors[j] - np.rint(vectors[j] @ one / (one @ one)) * one
                    if shorter @ shorter < vectors[j] @ vectors[j] * (1 - 1e-9):
                        vectors[j] = shorter
        if np.array_equal(before, vectors):
            break
    signs = np.where(vectors.sum(axis=1) < -1e-12, -1.0, 1.0)
    return vectors * signs[:, None]


def placed(basis: Basis, points: Points) -> Lattice:
    """The lattice of that basis whose offset suits the points best, moved so that no integer coordinate is negative.

    The offset is a circular mean of the fractional coordinates: noise and a few strangers do not move it to another
    cell.
    """
    inverse = np.linalg.pinv(basis)
    middle = points.mean(axis=0)
    turns = np.exp(2j * np.pi * (points - middle) @ inverse).mean(axis=0)
    offset = middle + np.angle(turns) / (2 * np.pi) @ basis
    lowest = Lattice(basis, offset).nearest(points).min(axis=0)
    moved = Lattice(basis, offset + lowest @ basis)
    left = moved.residual(points)
    near = (left**2).sum(axis=1)
    typical = left[near <= np.quantile(near, 0.9)].mean(axis=0)
    return Lattice(basis, moved.offset + typical)


def refitted(lattice: Lattice, points: Points) -> Lattice:
    """Basis and offset by least squares on the points' integer coordinates: noise averages out.

    From the innermost points outwards, each time twice as many: an error of a hundredth in a basis vector makes the far
    points' coordinates wrong, but not the near ones', and those mend the vector. Unchanged where the points do not
    determine it.
    """
    order = np.argsort(((points - points.mean(axis=0)) ** 2).sum(axis=1), kind="stable")
    count = min(16 * (1 + len(lattice.basis)), len(points))
    while True:
        near = points[order[:count]]
        k = lattice.nearest(near).astype(np.float64)
        design = np.concatenate([k, np.ones((len(k), 1))], axis=1)
        solved, _, rank, _ = np.linalg.lstsq(design, near, rcond=None)
        if rank == design.shape[1]:
            lattice = Lattice(solved[:-1], solved[-1])
        if count == len(points):
            return lattice
        count = min(2 * count, len(points))
