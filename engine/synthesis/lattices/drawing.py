"""A lattice as a scatter of hidden states shows it: its origin and at most two basis vectors, in the plane."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float

from engine.synthesis.lattices.reduction import Lattice


def drawn(
    lattice: Lattice, axes: Float[np.ndarray[Any, Any], "hidden 2"], centre: Float[np.ndarray[Any, Any], " hidden"]
) -> dict[str, list[Any]]:
    """What `facts["lattice"]` of a Points artifact holds: `origin` (2 numbers) and `basis` (one or two vectors).

    The points are drawn at (h - centre) axes. Of more than two basis vectors the two are drawn that span the largest
    parallelogram in the plane; vectors that the plane shows as nothing are left out.
    """
    flat = lattice.basis @ axes
    origin = (lattice.offset - centre) @ axes
    length = np.linalg.norm(flat, axis=1)
    shown = [int(k) for k in np.argsort(-length, kind="stable") if length[k] > 1e-6 * length.max(initial=0.0)]
    pairs = [(i, j) for place, i in enumerate(shown) for j in shown[place + 1 :]]
    area = {(i, j): abs(float(np.linalg.det(flat[[i, j]]))) for i, j in pairs}
    best = max(area, key=lambda pair: area[pair], default=None)
    chosen = sorted(best) if best is not None and area[best] > 1e-6 * length.max() ** 2 else shown[:1]
    return {"origin": [float(v) for v in origin], "basis": [[float(v) for v in flat[k]] for k in chosen]}


def axes_of(
    hidden: Float[np.ndarray[Any, Any], "point hidden"],
) -> tuple[Float[np.ndarray[Any, Any], "hidden 2"], Float[np.ndarray[Any, Any], " hidden"], tuple[str, str]]:
    """The plane in which hidden states are drawn: axes, centre and the axes' names. One number upwards (over time), two
    as they are; more by their two principal components (the sign of each such that its largest entry is positive, so
    that runs agree)."""
    size = hidden.shape[1]
    if size == 1:
        return np.array([[0.0, 1.0]]), np.zeros(1), ("time", "h1")
    if size == 2:
        return np.eye(2), np.zeros(2), ("h1", "h2")
    centre = hidden.mean(axis=0, dtype=np.float64)
    values, vectors = np.linalg.eigh((hidden - centre).T @ (hidden - centre))
    axes = vectors[:, ::-1][:, :2]
    axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), [0, 1]])
    share = values[::-1] / values.sum() if values.sum() > 0 else np.zeros_like(values)
    return axes, centre, (f"PC1 ({share[0]:.0%})", f"PC2 ({share[1]:.0%})")
