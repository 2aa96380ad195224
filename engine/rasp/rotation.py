"""A random orthogonal basis of the residual stream: no direction means anything by itself any more."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from engine.rasp.basis import in_basis
from engine.rasp.compiled import Array, Compiled
from sessions.errors import CallError


def orthogonal(size: int, rng: np.random.Generator) -> Float[Array, "size size"]:
    """Uniformly drawn (Haar measure): the Q of a Gaussian matrix, the signs of R's diagonal taken out."""
    q, r = np.linalg.qr(rng.standard_normal((size, size)))
    turned: Array = q * np.sign(np.diag(r))
    return turned


def rotated(compiled: Compiled, rng: np.random.Generator) -> Compiled:
    """The same function in a random orthogonal basis, exact up to float32.

    CallError for a model with LayerNorm: turned, its large anchors would cost the other numbers their digits.
    """
    if compiled.layer_norm:
        raise CallError("a model with LayerNorm cannot be rotated", "rotation", "rotate first, then add it")
    turn = orthogonal(compiled.d_model, rng)
    return in_basis(compiled, turn, turn.T, masks_pad=compiled.masks_pad)
