"""Hidden states in the plane, for the scatter."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float, Int


def projected(
    hidden: Float[np.ndarray[Any, Any], "point hidden"], time: Int[np.ndarray[Any, Any], " point"]
) -> tuple[Float[np.ndarray[Any, Any], "point 2"], tuple[str, str]]:
    """Hidden states in the plane, and the axes' names: one number over time, two as they are, more by their two
    principal components."""
    count = hidden.shape[1]
    if count == 1:
        return np.stack([time.astype(np.float64), hidden[:, 0].astype(np.float64)], axis=1), ("time", "h1")
    if count == 2:
        return hidden.astype(np.float64), ("h1", "h2")
    centred = hidden.astype(np.float64) - hidden.mean(axis=0, dtype=np.float64)
    values, vectors = np.linalg.eigh(centred.T @ centred)
    share = values[::-1] / values.sum() if values.sum() > 0 else np.zeros_like(values)
    axes = vectors[:, ::-1][:, :2]
    # The sign of a principal component is arbitrary: the largest entry is made positive, so runs agree.
    axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), [0, 1]])
    return centred @ axes, (f"PC1 ({share[0]:.0%})", f"PC2 ({share[1]:.0%})")
