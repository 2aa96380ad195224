"""Hidden states in the plane, for the scatter."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float, Int

from engine.synthesis.lattices.drawing import axes_of


def projected(
    hidden: Float[np.ndarray[Any, Any], "point hidden"], time: Int[np.ndarray[Any, Any], " point"]
) -> tuple[Float[np.ndarray[Any, Any], "point 2"], tuple[str, str]]:
    """Hidden states in the plane, and the axes' names: one number over time, two as they are, more by their two
    principal components."""
    axes, centre, names = axes_of(hidden)
    xy = (hidden - centre) @ axes
    if hidden.shape[1] == 1:
        xy[:, 0] = time
    return xy, names
