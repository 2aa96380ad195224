"""What inputs add to later outputs, told from the network's rounded outputs alone, whatever happens inside."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Int

from engine.synthesis.lattices.realization import Response

Sequences = Int[np.ndarray[Any, Any], "sequence pos value"]


def observed_response(x: Sequences, y: Sequences) -> Response | None:
    """The response of a network whose outputs are integer combinations of the inputs so far on every sampled sequence;
    None where they are not, or where the sample does not determine them."""
    count, length, inputs = x.shape
    design = np.concatenate([x.reshape(count, -1), np.ones((count, 1))], axis=1).astype(np.float64)
    solved, _, rank, _ = np.linalg.lstsq(design, y[:, -1].astype(np.float64), rcond=None)
    if rank < design.shape[1] or not np.isfinite(solved).all():
        return None
    weights = np.rint(solved[:-1]).astype(np.int64).reshape(length, inputs, -1)
    impulse = weights[::-1].transpose(0, 2, 1)  # by lag, (output, input)
    left = y.copy()
    for t in range(length):
        for lag in range(t + 1):
            left[:, t] -= x[:, t - lag] @ impulse[lag].T
    return Response(impulse, left[0]) if (left == left[0]).all() else None
