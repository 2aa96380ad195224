"""Whether the heads that attend to something in one model are among those of another: the seed's claim, with doubt.

The seed's claim: heads that attend to c in Featherweight are a subset of Lightweight's, those a subset of
Welterweight's. A head belongs to a model's set when its mean attention exceeds a threshold, so a head near the
threshold may be in one set and not in the other by chance of the prompts alone.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

Verdict = Literal["holds", "does not hold", "undecided"]
DOUBT = 2.0  # standard errors within which a mean may be on either side of the threshold


class Subset(NamedTuple):
    """Whether one model's heads are among another's. `missing` are those that are not, `clearly` those of them that
    are clear of the threshold in both models."""

    smaller: int
    larger: int
    missing: Bool[np.ndarray, "layer head"]
    clearly: Bool[np.ndarray, "layer head"]

    @property
    def verdict(self) -> Verdict:
        if not self.missing.any():
            return "holds"
        return "does not hold" if self.clearly.any() else "undecided"


def subset(
    first: Float[np.ndarray, "layer head"],
    second: Float[np.ndarray, "layer head"],
    first_error: Float[np.ndarray, "layer head"],
    second_error: Float[np.ndarray, "layer head"],
    threshold: float,
) -> Subset:
    """Whether the heads above the threshold in `first` (means over prompts, with their standard errors) are all above
    it in `second`. "undecided" when each exception is within two standard errors of the threshold in either model."""
    above, among = first > threshold, second > threshold
    missing = above & ~among
    clearly = missing & (first - DOUBT * first_error > threshold) & (second + DOUBT * second_error < threshold)
    return Subset(int(above.sum()), int(among.sum()), missing, clearly)


__all__ = ["DOUBT", "Subset", "Verdict", "subset"]
