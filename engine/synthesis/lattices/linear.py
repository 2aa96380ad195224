"""The lattice that an affine update makes of integer inputs: its basis comes from the columns W^k V. Section 4.1.

Where W has eigenvalues of size 1 there are more columns than dimensions, and some may lie between the points of a
lattice that others span; so a basis of everything they generate is computed, the smallest unit cell.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float

from engine.synthesis.lattices.description_length import description_length
from engine.synthesis.lattices.realization import row_lattice
from engine.synthesis.lattices.reduction import Basis, Lattice, Points, placed, reduced, refitted
from sessions.errors import IwbError

Square = Float[np.ndarray[Any, Any], "hidden hidden"]
MOST_CELLS = 1000  # unit cells in a cell that independent columns span
TOLERANCES = np.geomspace(1e-4, 0.2, 12)  # fractions of the longest column that count as nothing
MEASURED = 2_000  # points whose description length decides
ROUGH = 0.1  # a residual of so much of the shortest basis vector is no lattice


def columns(w: Square, v: Float[np.ndarray[Any, Any], "hidden inputs"], count: int) -> Basis:
    """W^k V for k = 0 .. count - 1, every input column, as rows."""
    found, power = [], v
    for _ in range(count):
        found.append(power.T)
        power = w @ power
    return np.concatenate(found)


def generated(generators: Basis, tolerance: float) -> Basis:
    """A basis of all integer combinations of the generators, given that lengths below `tolerance` are noise.

    Independent generators, short ones first, span a lattice of which the others are fractions: with the smallest common
    denominator that leaves no more than noise, the rest is exact arithmetic on integers, so that noise does not grow
    with every quotient. The basis is at last fitted to all generators. Empty where there is no such denominator.
    """
    ordered = generators[np.argsort(np.linalg.norm(generators, axis=1), kind="stable")]
    frame = np.zeros((0, generators.shape[1]))
    for one in ordered:
        across = one - one @ np.linalg.pinv(frame) @ frame if len(frame) else one
        if np.linalg.norm(across) > tolerance:
            frame = np.concatenate([frame, one[None]])
    if not len(frame):
        return frame
    k = ordered @ np.linalg.pinv(frame)
    for denominator in range(1, MOST_CELLS):
        parts = np.rint(k * denominator)
        if np.linalg.norm((k - parts / denominator) @ frame, axis=1).max() <= tolerance:
            whole = row_lattice(parts.astype(np.int64)).astype(np.float64)
            counts = np.rint(parts @ np.linalg.inv(whole))
            fitted: Basis = np.linalg.lstsq(counts, ordered, rcond=None)[0]
            # Where the frame itself is noise, the counts are too large to be right.
            if np.linalg.norm(counts @ fitted - ordered, axis=1).max() <= 2 * tolerance:
                return fitted
            break
    return np.zeros((0, generators.shape[1]))


def linear_lattice(w: Square, v: Float[np.ndarray[Any, Any], "hidden inputs"], points: Points, steps: int) -> Lattice:
    """The lattice of hidden states under h = W h + V x + b with integers x, reduced, placed on the given points.

    What counts as noise is swept; the description length of the points decides. IwbError when no lattice fits them.
    """
    generators = columns(w, v, steps)
    longest = float(np.linalg.norm(generators, axis=1).max(initial=0.0))
    measured = points[np.unique(np.linspace(0, len(points) - 1, min(len(points), MEASURED)).astype(np.int64))]
    best: tuple[float, Lattice | None] = (np.inf, None)
    seen: list[Basis] = []
    for tolerance in TOLERANCES * longest:
        basis = reduced(generated(generators, float(tolerance)))
        if any(one.shape == basis.shape and np.allclose(one, basis) for one in seen) or not len(basis):
            continue
        seen.append(basis)
        lattice = refitted(placed(basis, measured), measured)
        if fits(lattice, measured):
            best = min(best, (description_length(measured, lattice), lattice), key=lambda pair: pair[0])
    if best[1] is None:
        raise IwbError("the hidden states lie on no lattice that the update makes of integer inputs", "lattices")
    return placed(reduced(best[1].basis), points)


def fits(lattice: Lattice, points: Points) -> bool:
    """Whether nine in ten of the points lie nearer to the lattice than a tenth of its shortest vector."""
    left = np.linalg.norm(lattice.residual(points), axis=1)
    shortest = float(np.linalg.norm(lattice.basis, axis=1).min())
    return bool(np.quantile(left, 0.9) < ROUGH * shortest)
