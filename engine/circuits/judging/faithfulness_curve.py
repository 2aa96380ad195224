"""Faithfulness of ever larger circuits, in one number (Mueller et al. 2025, MIB; circuits.md, section b).

    CPR = area under f(k), higher is better        CMD = area under |1 - f(k)|, 0 is best

k is the part of the edges that a circuit may keep. Areas are trapezoids between the k that were measured; the axis is
k itself, or its natural logarithm.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

from sessions.artifacts import Array

FRACTIONS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
XAxis = Literal["linear", "log"]


class Areas(NamedTuple):
    cpr: float
    cmd: float
    width: float  # of the axis between the ends: what CPR is where f is 1 throughout


def areas(fractions: Sequence[float], faithfulness: Sequence[float], axis: XAxis = "linear") -> Areas:
    """CPR and CMD from f at these fractions. NaN if any f is."""
    k = np.asarray(fractions, np.float64)
    x = np.log(k) if axis == "log" else k
    f = np.asarray(faithfulness, np.float64)
    return Areas(_trapezoid(x, f), _trapezoid(x, np.abs(1 - f)), float(x[-1] - x[0]))


def edges_at(fraction: float, total: int) -> int:
    """How many edges a circuit of that fraction may keep: at least one."""
    return max(1, round(fraction * total))


def _trapezoid(x: Array, y: Array) -> float:
    return float(np.sum(np.diff(x) * (y[1:] + y[:-1]) / 2))


__all__ = ["FRACTIONS", "Areas", "XAxis", "areas", "edges_at"]
