"""De-bias: the part of f's bias that f itself never reads moves into g's bias. Section 3."""

from __future__ import annotations

import numpy as np

from engine.synthesis.normal_forms.change_of_basis import Change, unchanged
from engine.synthesis.normal_forms.network import Affine, Network

_CLAIMS = "outputs, exactly if the null space is exact"


def debias(network: Network, eps: float = 0.1) -> Change:
    """Remove from b its part in the null space of the hidden columns of f's first layer (singular values at most
    `eps`), and add the image of that part under g's first layer to g's first bias. The states move by a constant."""
    n = network.hidden
    read = network.f[0].weight[:, :n]
    _, values, right = np.linalg.svd(read, full_matrices=True)
    values = np.concatenate([values, np.zeros(n - len(values))])
    unread = right[values <= eps]
    last = network.f[-1]
    part = unread.T @ (unread @ last.bias)
    if not len(unread) or not part.any():
        return unchanged("debias", network, _CLAIMS, eps, "f reads every direction of the hidden state")
    first = network.g[0]
    after = Network(
        (*network.f[:-1], Affine(last.weight, last.bias - part)),
        (Affine(first.weight, first.bias + first.weight @ part), *network.g[1:]),
    )
    largest = float(values[values <= eps].max())
    decided = f"{len(unread)} of {n} directions are not read by f (largest singular value {largest:.2g})"
    return Change("debias", after, np.eye(n), _CLAIMS, eps, decided)
