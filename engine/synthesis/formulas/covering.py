"""Truths that are joined: `(x < 2) | (x == 4) | (x == 9)`, `(a == f) & (b == e)`, from conditions on the rows.

A wanted column of bits is the union of conditions that hold on wanted rows only, or the intersection of conditions that
hold on all of them: a set cover, by total description length (greedy, Chvátal 1979, begun in several ways).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Bool, Int

from engine.synthesis.formulas.expressions import Expression, size
from engine.synthesis.formulas.guards import Guards, opposite

Column = Int[np.ndarray[Any, Any], " row"]
Masks = Bool[np.ndarray[Any, Any], "condition row"]

BEGUN = 48  # conditions that a cover is begun with
MOST_PARTS = 12


def covering(guards: Guards, wanted: Column) -> Expression | None:
    """The shortest union or intersection found; None where there is none or the wanted values are no bits."""
    if not ((wanted == 0) | (wanted == 1)).all() or not len(guards.masks):
        return None
    masks = np.concatenate([guards.masks, ~guards.masks])
    expressions = [*guards.expressions, *(opposite(e) for e in guards.expressions)]
    candidates = []
    for symbol, conditions, target in (("|", masks, wanted == 1), ("&", ~masks, wanted == 0)):
        for chosen in _covers(conditions, expressions, target):
            ordered = sorted(chosen)
            joined = expressions[ordered[0]]
            for number in ordered[1:]:
                joined = (symbol, joined, expressions[number])
            candidates.append(joined)
    return min(candidates, key=size, default=None)


def _covers(
    conditions: Masks, expressions: list[Expression], target: Bool[np.ndarray[Any, Any], " row"]
) -> list[list[int]]:
    """Sets of conditions whose union is exactly the target."""
    inside = np.flatnonzero(~conditions[:, ~target].any(axis=1) & conditions[:, target].any(axis=1))
    masks = conditions[inside][:, target]
    if not target.any() or not masks.any(axis=0).all():
        return []
    cost = np.array([size(expressions[k]) + 1 for k in inside], dtype=np.float64)
    worth = masks.sum(axis=1) / cost
    covers = []
    for first in np.argsort(-worth, kind="stable")[:BEGUN]:
        chosen, left = [int(first)], ~masks[first]
        while left.any() and len(chosen) < MOST_PARTS:
            best = int(np.argmax((masks & left).sum(axis=1) / cost))
            chosen.append(best)
            left &= ~masks[best]
        if left.any():
            continue
        for one in sorted(chosen, key=lambda k: -cost[k]):
            others = [k for k in chosen if k != one]
            if others and masks[others].any(axis=0).all():
                chosen = others
        covers.append([int(inside[k]) for k in chosen])
    return covers
