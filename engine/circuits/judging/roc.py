"""Scores of edges or nodes against a known circuit: ROC curve, area, precision (circuits.md, section b, Evaluation).

The curve has one point for each different score, all ties taken in at once. The area is the trapezoid's:
P(s+ > s-) + P(s+ = s-) / 2 over pairs of a member and a non-member. The pessimistic area counts ties as lost, which is
the step curve that goes right before it goes up.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int


class Roc(NamedTuple):
    """A ROC curve from (0, 0) to (1, 1). `thresholds` begins with infinity: nothing is taken."""

    thresholds: Float[np.ndarray, " point"]
    taken: Int[np.ndarray, " point"]
    hits: Int[np.ndarray, " point"]
    positives: int
    negatives: int

    @property
    def tpr(self) -> Float[np.ndarray, " point"]:
        """Part of the reference that is taken."""
        return np.asarray(self.hits / self.positives)

    @property
    def fpr(self) -> Float[np.ndarray, " point"]:
        """Part of all that is not in the reference that is taken."""
        return np.asarray((self.taken - self.hits) / self.negatives)

    @property
    def area(self) -> float:
        """AUROC, by the trapezoid."""
        return float(np.sum(np.diff(self.fpr) * (self.tpr[1:] + self.tpr[:-1]) / 2))

    @property
    def pessimistic_area(self) -> float:
        """AUROC with every tie lost."""
        return float(np.sum(np.diff(self.fpr) * self.tpr[:-1]))

    def precision_at(self, n: int) -> float:
        """Part of the n best that is in the reference; of scores that tie across the border, the share expected."""
        after = int(np.searchsorted(self.taken, n))
        if self.taken[after] == n:
            return float(self.hits[after] / n)
        before = after - 1
        share = (n - self.taken[before]) / (self.taken[after] - self.taken[before])
        return float((self.hits[before] + share * (self.hits[after] - self.hits[before])) / n)


def roc(scores: Float[np.ndarray, " item"], truth: Bool[np.ndarray, " item"]) -> Roc:
    """The curve of scores, higher first. ValueError when they are not numbers, or all or nothing is true."""
    if not np.isfinite(scores).all():
        raise ValueError("scores must be finite")
    positives = int(truth.sum())
    if positives in (0, len(truth)):
        raise ValueError("a ROC curve needs members of the reference and others")
    order = np.argsort(-scores, kind="stable")
    ranked, members = scores[order], truth[order]
    last = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)  # of each run of equal scores
    return Roc(
        thresholds=np.append(np.inf, ranked[last]).astype(np.float64),
        taken=np.append(0, last + 1),
        hits=np.append(0, np.cumsum(members)[last]),
        positives=positives,
        negatives=len(truth) - positives,
    )


__all__ = ["Roc", "roc"]
