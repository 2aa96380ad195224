"""What one attention head is made of (section 3, "Attention"): which query values attend to which key values, and that
a query that selects nothing attends to the beginning of the sequence."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from engine.rasp.compiled import Construction
from engine.rasp.functions import Value
from engine.rasp.language import Comparison, Predicate
from engine.rasp.remembered import Remembered
from engine.rasp.value_sets import ValueSet

Bools = np.ndarray[Any, np.dtype[np.bool_]]
Ints = np.ndarray[Any, np.dtype[np.intp]]


class Pattern(NamedTuple):
    """W_Q and W_K of one head, in coordinates of its own.

    Queries read [query values..., one, BOS]; columns are [key values..., BOS, PAD, one], as far as they are used
    (`width`). W_K is one where what a key reads and the column are the same thing."""

    reads: Ints  # of W_Q: index into what queries read
    columns: Ints
    weights: np.ndarray[Any, np.dtype[np.float32]]
    width: int
    d_head: int  # what the head needs


_patterns: Remembered[Pattern] = Remembered()


def pattern(
    predicate: Predicate,
    keys: ValueSet,
    queries: ValueSet,
    construction: Construction,
    *,
    counts: bool,
    none: tuple[bool, bool] = (False, False),
) -> Pattern:
    """A match scores C. BOS scores C / 2, less than any match, or C when matches are counted (`counts`). Padding, where
    it is masked, scores -2 C more than it would: never as much as BOS. `none`: can a key, can a query be None?

    Errors of the predicate itself propagate.
    """
    key = (predicate, keys, queries, construction.coldness, construction.repaired, counts, none)
    found = _patterns.get(key)
    if found is not None:
        return found
    cold = construction.coldness
    n, m = len(queries), len(keys)
    matches = matrix(predicate, keys, queries)
    bos = cold if counts else cold / 2
    if (
        construction.repaired
        and any(none)
        and (of_none := _matches_of_none(predicate, keys, queries, none)) is not None
    ):
        scores = cold * _with_none(matches, *of_none)
        scores[:, m] += [0.0] * n + [bos, 2 * cold]  # the beginning attends to itself, whatever None matches
        scores[n, m + 1] = -2 * cold
    else:
        scores = np.zeros((n + 1, m + 1 + construction.repaired))
        scores[:n, :m] = cold * matches
        scores[n, m:] = [bos, -2 * cold] if construction.repaired else [bos]
    reads, columns = np.nonzero(scores)
    width = scores.shape[1]
    found = Pattern(reads, columns, scores[reads, columns].astype(np.float32), width, max(n + 2, width))
    return _patterns.keep(key, found, 3 * len(reads))


def _matches_of_none(
    predicate: Predicate, keys: ValueSet, queries: ValueSet, none: tuple[bool, bool]
) -> tuple[Bools, Bools, bool] | None:
    """What a None key means to every query, and a None query to every key, and one to the other; None where it selects
    nothing, as most predicates have it (comparisons raise, so the program is not defined there)."""

    def selects(key: Value, query: Value) -> bool:
        try:
            return bool(predicate(key, query))
        except Exception:
            return False

    by_query = np.array([none[0] and selects(None, q) for q in queries.values], dtype=bool)
    by_key = np.array([none[1] and selects(k, None) for k in keys.values], dtype=bool)
    both = all(none) and selects(None, None)
    return (by_query, by_key, both) if by_query.any() or by_key.any() or both else None


def _with_none(matches: Bools, by_query: Bools, by_key: Bools, both: bool) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Scores between [queries..., one, BOS] and [keys..., BOS, PAD, one] that come out right for absent values too:
    what None is worth stands at the one, and every value says by how much it differs. BOS is a key without a value."""
    n, m = matches.shape
    scores = np.zeros((n + 2, m + 3))
    q, k = by_query.astype(np.float64), by_key.astype(np.float64)
    scores[:n, :m] = matches - q[:, None] - k[None, :] + both
    scores[n, :m] = k - both
    scores[:n, m + 2] = q - both
    scores[n, m + 2] = both
    scores[: n + 1, m] = -scores[: n + 1, m + 2]
    return scores


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
