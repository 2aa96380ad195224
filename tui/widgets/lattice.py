"""A lattice in the plane: an origin and basis vectors, and which of its points lie in a view; plain Python."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import NamedTuple

import numpy as np

from sessions.artifacts import Points
from tui.widgets.heatmap_layout import Floats

Box = tuple[tuple[float, float], tuple[float, float]]  # lower left and upper right corner
MANY = 200_000  # sums of basis vectors looked at, at most


class Lattice(NamedTuple):
    """All whole-number sums of the basis' rows, from the origin."""

    origin: Floats
    basis: Floats  # one row for each vector, as many columns as the drawing has dimensions

    def vectors(self, axes: tuple[int, ...]) -> Floats:
        """The basis on two of the axes, without what they show as nothing."""
        if max(axes) >= len(self.origin):
            return np.zeros((0, 2))
        basis = self.basis[:, list(axes)]
        lengths = np.linalg.norm(basis, axis=1)
        kept: Floats = basis[lengths > 1e-9 * max(1.0, float(lengths.max(initial=0.0)))]
        return kept

    def within(self, box: Box, axes: tuple[int, ...], *, most: int) -> Floats | None:
        """Its points in a box on two of the axes, (point, 2); None where there are more than `most`."""
        if max(axes) >= len(self.origin):
            return np.zeros((0, 2))
        origin, basis = self.origin[list(axes)], self.vectors(axes)
        low, high = np.array(box[0]), np.array(box[1])
        if len(basis) == 0:
            sums = np.zeros((1, 2))
        elif np.linalg.matrix_rank(basis) < len(basis):
            return None  # more vectors than the plane has dimensions: dense
        else:
            corners = np.array(list(product(*zip(low, high)))) - origin
            parts = corners @ np.linalg.pinv(basis)
            first = np.floor(parts.min(axis=0) - 1e-9).astype(int)
            last = np.ceil(parts.max(axis=0) + 1e-9).astype(int)
            if float(np.prod((last - first + 1).astype(float))) > MANY:
                return None
            grid = np.meshgrid(*(np.arange(a, b + 1) for a, b in zip(first, last)), indexing="ij")
            sums = np.stack([part.ravel() for part in grid], axis=1) @ basis
        found = origin + sums
        slack = 1e-9 * (high - low)
        inside: Floats = found[((found >= low - slack) & (found <= high + slack)).all(axis=1)]
        return None if len(inside) > most else inside


def lattice_of(points: Points) -> Lattice | None:
    """The lattice that a points artifact's facts tell of; None where they tell of none that can be read."""
    told = points.facts.get("lattice")
    if not isinstance(told, Mapping):
        return None
    try:
        origin = np.asarray(told["origin"], dtype=np.float64)
        basis = np.atleast_2d(np.asarray(told["basis"], dtype=np.float64))
    except (KeyError, TypeError, ValueError):
        return None
    fits = origin.ndim == 1 and len(origin) >= 2 and basis.ndim == 2 and basis.shape[1] == len(origin)
    return Lattice(origin, basis) if fits and np.isfinite(origin).all() and np.isfinite(basis).all() else None
