"""What one attention head is made of (section 3, "Attention"): which query values attend to which key values, and that
a query that selects nothing attends to the beginning of the sequence."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from engine.rasp.compiled import Construction
from engine.rasp.language import Comparison, Predicate
from engine.rasp.remembered import Remembered
from engine.rasp.value_sets import ValueSet

Bools = np.ndarray[Any, np.dtype[np.bool_]]
Ints = np.ndarray[Any, np.dtype[np.intp]]


class Pattern(NamedTuple):
    """W_Q and W_K of one head, in coordinates of its own.

    Queries read [query values..., one]; keys read [key values..., BOS, PAD]; columns are the key values, BOS, PAD. W_K
    is one where the read and the column are the same thing."""

    reads: Ints  # of W_Q: index into what queries read
    columns: Ints
    weights: np.ndarray[Any, np.dtype[np.float32]]
    width: int  # columns in use
    d_head: int  # what the head needs


_patterns: Remembered[Pattern] = Remembered()


def pattern(
    predicate: Predicate, keys: ValueSet, queries: ValueSet, construction: Construction, *, counts: bool
) -> Pattern:
    """A match scores C. BOS scores C / 2, less than any match, or C when matches are counted (`counts`). Padding, where
    it is masked, scores -2 C more than it would: never as much as BOS.

    Errors of the predicate itself propagate.
    """
    key = (predicate, keys, queries, construction.coldness, construction.repaired, counts)
    found = _patterns.get(key)
    if found is not None:
        return found
    cold = construction.coldness
    n, m = len(queries), len(keys)
    matches = matrix(predicate, keys, queries)
    reads, columns = np.nonzero(matches)
    extra_columns = [m] + ([m + 1] if construction.repaired else [])
    extra = [cold if counts else cold / 2] + ([-2 * cold] if construction.repaired else [])
    width = m + len(extra)
    found = Pattern(
        np.concatenate([reads, np.full(len(extra), n)]),
        np.concatenate([columns, extra_columns]).astype(np.intp),
        np.concatenate([np.full(len(reads), cold), extra]).astype(np.float32),
        width,
        max(n + 2, width),
    )
    return _patterns.keep(key, found, 3 * len(reads))


def matrix(predicate: Predicate, keys: ValueSet, queries: ValueSet) -> Bools:
    """Which query values (rows) select which key values (columns)."""
    if isinstance(predicate, Comparison):
        if predicate in (Comparison.TRUE, Comparison.FALSE):
            return np.full((len(queries), len(keys)), predicate is Comparison.TRUE)
        if _plain_numbers(keys) and _plain_numbers(queries):
            k, q = np.array(keys.values)[None, :], np.array(queries.values)[:, None]
            found: Bools = _VECTORISED[predicate](k, q)
            return found
    rows = [[bool(predicate(k, q)) for k in keys.values] for q in queries.values]
    return np.array(rows, dtype=bool).reshape(len(queries), len(keys))


_VECTORISED: dict[Comparison, Any] = {
    Comparison.EQ: np.equal,
    Comparison.NEQ: np.not_equal,
    Comparison.LT: np.less,
    Comparison.LEQ: np.less_equal,
    Comparison.GT: np.greater,
    Comparison.GEQ: np.greater_equal,
}


def _plain_numbers(values: ValueSet) -> bool:
    return all(isinstance(v, bool | int | float) and abs(v) < 2**53 for v in values.values)
