"""The lattice that an affine update makes of integer inputs: its basis comes from the columns W^k V. Section 4.1.

Where W has eigenvalues of size 1 there are more columns than dimensions, and some may lie between the points of a
lattice that others span; so a basis of everything they generate is computed, the smallest unit cell.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float

from engine.synthesis.lattices.description_length import description_length
from engine.synthesis.lattices.reduction import Basis, Lattice, Points, placed, reduced, refitted
from sessions.errors import IwbError

Square = Float[np.ndarray[Any, Any], "hidden hidden"]
MOST_SWAPS = 64
TOLERANCES = np.geomspace(1e-4, 0.2, 12)  # fractions of the longest column that count as nothing
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

    Each generator is divided by the basis so far; a remainder inside the basis' cell takes the place of the basis
    vector that it holds most of (which at least halves the cell), and that vector is divided in turn: Euclid's
    algorithm for vectors.
    """
    basis = np.zeros((0, generators.shape[1]))
    waiting = list(generators)
    swaps = 0
    while waiting:
        one = waiting.pop(0)
        k = one @ np.linalg.pinv(basis) if len(basis) else np.zeros(0)
        across = one - k @ basis
        if np.linalg.norm(across) > tolerance:
            basis = np.concatenate([basis, one[None]])
            continue
        rest = (k - np.rint(k)) @ basis if len(basis) else np.zeros_like(one)
        if np.linalg.norm(rest) <= tolerance or swaps >= MOST_SWAPS:
            continue
        swaps += 1
        held = int(np.abs(k - np.rint(k)).argmax())
        waiting.append(basis[held].copy())
        basis[held] = rest
    return basis


def linear_lattice(w: Square, v: Float[np.ndarray[Any, Any], "hidden inputs"], points: Points, steps: int) -> Lattice:
    """The lattice of hidden states under h = W h + V x + b with integers x, reduced, placed on the given points.

    What counts as noise is swept; the description length of the points decides. IwbError when no lattice fits them.
    """
    generators = columns(w, v, steps)
    longest = float(np.linalg.norm(generators, axis=1).max(initial=0.0))
    best: tuple[float, Lattice | None] = (np.inf, None)
    seen: list[Basis] = []
    for tolerance in TOLERANCES * longest:
        basis = reduced(generated(generators, float(tolerance)))
        if any(one.shape == basis.shape and np.allclose(one, basis) for one in seen) or not len(basis):
            continue
        seen.append(basis)
        lattice = refitted(placed(basis, points), points)
        if not fits(lattice, points):
            continue
        best = min(best, (description_length(points, lattice), lattice), key=lambda pair: pair[0])
    if best[1] is None:
        raise IwbError("the hidden states lie on no lattice that the update makes of integer inputs", "lattices")
    return best[1]


def fits(lattice: Lattice, points: Points) -> bool:
    """Whether nine in ten of the points lie nearer to the lattice than a tenth of its shortest vector."""
    left = np.linalg.norm(lattice.residual(points), axis=1)
    shortest = float(np.linalg.norm(lattice.basis, axis=1).min())
    return bool(np.quantile(left, 0.9) < ROUGH * shortest)
