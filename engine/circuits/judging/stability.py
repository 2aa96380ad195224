"""Would other prompts have given the same circuit? A discovery method run again on resampled prompts, or in another
order, and how often each part is in what it finds.

A method is a function of prompt rows and a random generator (for its order) that gives a mask: of edges, or of heads.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

Rows = Int[np.ndarray, " row"]
Method = Callable[[Rows, np.random.Generator], Bool[np.ndarray, "*item"]]
Vary = Literal["prompts", "order", "both"]


def one_run(method: Method, prompts: int, vary: Vary, seed: int, number: int) -> Bool[np.ndarray, "*item"]:
    """Run `number`: on as many prompts drawn with replacement (or on all), with its own generator. The same numbers
    give the same run, whichever others are made."""
    rows = np.arange(prompts)
    if vary != "order":
        rows = np.sort(np.random.default_rng([seed, number, 0]).integers(0, prompts, prompts))
    return method(rows, np.random.default_rng([seed, 0 if vary == "prompts" else number, 1]))


class Agreement(NamedTuple):
    """How alike several circuits are."""

    frequency: Float[np.ndarray, " item"]  # in which part of the circuits an item is
    jaccard: float  # mean over pairs of circuits of |both| / |either|; NaN for one circuit
    least: float  # of the two that are least alike
    by_chance: float  # what circuits of the same sizes would have if they were drawn at random, to first order
    sizes: Int[np.ndarray, " circuit"]


def agreement(found: Bool[np.ndarray, "circuit item"]) -> Agreement:
    """Frequencies and pairwise likeness. Two empty circuits are alike."""
    sets = found.astype(np.int64)
    shared, sizes = sets @ sets.T, sets.sum(1)
    united = sizes[:, None] + sizes[None] - shared
    chance = sizes[:, None] * sizes[None] / found.shape[1]
    pairs = np.triu_indices(len(found), 1)
    alike = np.where(united > 0, shared / np.maximum(united, 1), 1.0)[pairs]
    random = (chance / np.maximum(sizes[:, None] + sizes[None] - chance, 1e-300))[pairs]
    if not len(alike):
        return Agreement(found.mean(0), float("nan"), float("nan"), float("nan"), sizes)
    return Agreement(found.mean(0), float(alike.mean()), float(alike.min()), float(random.mean()), sizes)


__all__ = ["Agreement", "Method", "Vary", "agreement", "one_run"]
