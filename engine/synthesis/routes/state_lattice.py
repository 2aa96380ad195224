"""The lattice on which a network's hidden states lie, from an affine update or from the states alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from engine.synthesis.lattices.gcd import gcd_lattice
from engine.synthesis.lattices.linear import linear_lattice
from engine.synthesis.lattices.reduction import Lattice
from engine.synthesis.routes.affine_fit import AffineNetwork
from sessions.errors import IwbError

States = Float[np.ndarray[Any, Any], "sequence pos hidden"]


class LatticeUsed(NamedTuple):
    """A lattice with what a picture needs. A bias that W forgets after some steps keeps the first states off it; they
    are not counted."""

    lattice: Lattice
    settled: int  # positions before which states are not counted: 0, or as many as there are hidden numbers
    residual: float  # root mean square distance of the states from it, in units of its shortest vector
    coordinates: Int[np.ndarray[Any, Any], "sequence pos vector"]


def lattice_of_update(network: AffineNetwork) -> LatticeUsed:
    """From the columns W^k V. IwbError where the states lie on no lattice that these make."""
    n = len(network.bias)

    def from_position(first: int) -> LatticeUsed:
        points = network.hidden[:, first:].reshape(-1, n)
        return _used(linear_lattice(network.update, network.driven, points, 2 * n), network.hidden, first)

    try:
        return from_position(0)
    except IwbError:
        if not 0 < n < network.hidden.shape[1] or not network.bias.any():
            raise
        return from_position(n)


def lattice_of_states(
    hidden: States, rng: np.random.Generator, progress: Callable[[int, int], None] | None = None
) -> LatticeUsed:
    """From the volumes that states span (the GCD finder), for few hidden numbers, whatever the update is. IwbError
    where they lie on none."""
    return _used(gcd_lattice(hidden.reshape(-1, hidden.shape[2]), rng, progress), hidden, 0)


def _used(lattice: Lattice, hidden: States, settled: int) -> LatticeUsed:
    left = np.linalg.norm(lattice.residual(hidden[:, settled:].reshape(-1, hidden.shape[2])), axis=1)
    shortest = float(np.linalg.norm(lattice.basis, axis=1).min())
    k = lattice.nearest(hidden.reshape(-1, hidden.shape[2])).reshape(*hidden.shape[:2], -1)
    return LatticeUsed(lattice, settled, float(np.sqrt((left**2).mean()) / shortest), k)
