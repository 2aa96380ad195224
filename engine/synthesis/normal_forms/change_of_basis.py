"""h -> A h, exact for every f and g: the hidden state enters both linearly, and h_0 = 0 stays 0. Section 3."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from engine.synthesis.normal_forms.network import Affine, Network

Square = Float[np.ndarray[Any, Any], "hidden hidden"]


class Change(NamedTuple):
    """One step of normalising: the network after it and what decided. `basis` is A, the identity where the hidden state
    keeps its coordinates."""

    step: str
    network: Network
    basis: Square
    claims: str  # what the step promises to preserve
    threshold: float
    decided: str  # what the threshold decided, in a sentence
    applied: bool = True

    @property
    def condition(self) -> float:
        """The condition number of A."""
        return float(np.linalg.cond(self.basis))


def change_basis(network: Network, basis: Square, inverse: Square | None = None) -> Network:
    """The same network with hidden state A h. numpy's LinAlgError where A has no inverse.

    The last layer of f is multiplied by A from the left; the hidden columns of the first layer of f and the first layer
    of g by A^-1 from the right. Where f is one layer both apply to it: W -> A W A^-1.
    """
    inverse = np.linalg.inv(basis) if inverse is None else inverse
    n = network.hidden
    first, *middle = network.f
    f = [Affine(np.concatenate([first.weight[:, :n] @ inverse, first.weight[:, n:]], axis=1), first.bias), *middle]
    f[-1] = Affine(basis @ f[-1].weight, basis @ f[-1].bias)
    read, *rest = network.g
    return Network(tuple(f), (Affine(read.weight @ inverse, read.bias), *rest))


def unchanged(step: str, network: Network, claims: str, threshold: float, why: str) -> Change:
    """The identity, with the reason."""
    return Change(step, network, np.eye(network.hidden), claims, threshold, why, applied=False)
