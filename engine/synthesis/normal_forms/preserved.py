"""What a step of normalising really preserved, and undoing one that broke the function."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from engine.synthesis.normal_forms.change_of_basis import Change, unchanged
from engine.synthesis.normal_forms.network import Network

ARITHMETIC = 1e-8  # a difference between outputs that float64 explains
Sequences = Float[np.ndarray[Any, Any], "sequence pos inputs"]


class Preserved(NamedTuple):
    """Measured: outputs on a sample of input sequences against the original network, W against the step before."""

    output_difference: float  # the largest between raw outputs
    agreement: float  # fraction of the outputs that round to the same integer
    update_difference: float = 0.0  # the largest between entries of W


class Checked(NamedTuple):
    """A step as it stands after the measurement: undone where it broke the function."""

    change: Change
    preserved: Preserved  # of the step as it was tried
    undone: str = ""

    @property
    def network(self) -> Network:
        return self.change.network


def measure(before: Network, after: Network, x: Sequences) -> Preserved:
    """How far the outputs of two networks are apart on these sequences; infinite where one is not finite."""
    with np.errstate(over="ignore", invalid="ignore"):
        one, other = before.run(x)[1], after.run(x)[1]
    difference = np.abs(one - other)
    largest = float(np.where(np.isnan(difference), np.inf, difference).max(initial=0.0))
    return Preserved(largest, float((np.rint(one) == np.rint(other)).mean()))


def checked(original: Network, before: Network, change: Change, x: Sequences) -> Checked:
    """The step, undone if any output of the sample rounds to another integer than the original network's (unless it
    stood so near to a half that the arithmetic's own rounding decided). `before` is what the step started from."""
    moved = np.abs(change.network.hidden_columns - before.hidden_columns).max(initial=0.0)
    preserved = measure(original, change.network, x)._replace(update_difference=float(moved))
    if preserved.agreement == 1.0 or preserved.output_difference < ARITHMETIC:
        return Checked(change, preserved)
    reason = f"undone: {1 - preserved.agreement:.2%} of the rounded outputs changed"
    return Checked(unchanged(change.step, before, change.claims, change.threshold, change.decided), preserved, reason)
