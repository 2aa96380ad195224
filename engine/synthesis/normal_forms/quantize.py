"""Quantize: weights that are nearly integers become integers. It may change outputs: test again. Section 3."""

from __future__ import annotations

import numpy as np

from engine.synthesis.normal_forms.change_of_basis import Change
from engine.synthesis.normal_forms.network import Affine, Array, Network


def quantize(network: Network, eps: float = 0.01) -> Change:
    """Round every weight and bias within `eps` of an integer."""

    def rounded(values: Array) -> Array:
        # Adding 0 turns -0 into 0, which is how a person writes it.
        return np.where(np.abs(values - np.rint(values)) < eps, np.rint(values) + 0.0, values)

    def layer(one: Affine) -> Affine:
        return Affine(rounded(one.weight), rounded(one.bias))

    after = Network(tuple(map(layer, network.f)), tuple(map(layer, network.g)))
    parts = [part for one in (*after.f, *after.g) for part in one]
    whole = sum(int((part == np.rint(part)).sum()) for part in parts)
    total = sum(part.size for part in parts)
    decided = f"{whole} of {total} numbers are integers now"
    return Change("quantize", after, np.eye(network.hidden), "nothing: measured", eps, decided)
