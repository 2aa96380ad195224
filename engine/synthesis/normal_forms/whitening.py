"""Whitening: hidden states of unit uncentred covariance. Section 3."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float

from engine.synthesis.normal_forms.change_of_basis import Change, change_basis
from engine.synthesis.normal_forms.network import Network


def whiten(network: Network, hidden: Float[np.ndarray[Any, Any], "sequence pos hidden"], eps: float = 0.1) -> Change:
    """A = C^(-1/2), symmetric, C the uncentred covariance of all given hidden states. Directions whose eigenvalue of C
    is at most `eps` keep their scale."""
    points = hidden.reshape(-1, network.hidden)
    values, vectors = np.linalg.eigh(points.T @ points / len(points))
    scaled = values > eps
    factors = np.where(scaled, 1 / np.sqrt(np.where(scaled, values, 1.0)), 1.0)
    basis = (vectors * factors) @ vectors.T
    inverse = (vectors / factors) @ vectors.T
    left = int((~scaled).sum())
    decided = f"{int(scaled.sum())} of {len(values)} directions scaled" + (
        f"; {left} with a mean square of at most {eps:g} left as they are" if left else ""
    )
    return Change("whiten", change_basis(network, basis, inverse), basis, "outputs, exactly", eps, decided)
