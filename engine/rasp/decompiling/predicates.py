"""Comparisons that fit a table of matches: the seven, then a few with an offset or a constant, then the table."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from engine.rasp.attention import matrix
from engine.rasp.decompiling.forms import TABLE, parsed, text_of, tuple_of
from engine.rasp.decompiling.parts import Bools
from engine.rasp.functions import Function
from engine.rasp.language import Comparison, Predicate
from engine.rasp.value_sets import ValueSet

ORDER = (
    Comparison.EQ,
    Comparison.LT,
    Comparison.LEQ,
    Comparison.GT,
    Comparison.GEQ,
    Comparison.NEQ,
    Comparison.TRUE,
    Comparison.FALSE,
)
ALONE, OFFSET = 0.3, 0.4  # what a test of one side, or of the difference of both, costs


class Matches(NamedTuple):
    """A predicate by its table, not yet written down."""

    keys: ValueSet
    queries: ValueSet
    table: Bools  # [query, key]

    def predicate(self) -> Predicate:
        """A comparison and a test of the key, where that is all there is to it; else the pairs that match."""
        for comparison in ORDER[:6]:
            fits = _compared(comparison, self.keys, self.queries)
            if fits is None:
                continue
            for join, other in (("and", ~(fits & ~self.table).any(0)), ("or", (self.table & ~fits).any(0))):
                both = fits & other if join == "and" else fits | other
                if (both == self.table).all():
                    some = [self.keys.values[k] for k in np.flatnonzero(other).tolist()]
                    rest = [self.keys.values[k] for k in np.flatnonzero(~other).tolist()]
                    if some and rest:
                        test = f"x != {text_of(rest[0])}" if len(rest) == 1 else f"x in {tuple_of(some)}"
                        return parsed("x, y", f"x {comparison.value} y {join} {test}")
        pairs = [(self.keys.values[k], self.queries.values[q]) for q, k in np.argwhere(self.table).tolist()]
        return Function.parse(f"lambda x, y: (x, y) in {tuple_of(pairs)}")


class Fit(NamedTuple):
    predicate: Predicate | Matches
    cost: float
    others: tuple[str, ...]  # comparisons with the same matches


_fits: dict[tuple[ValueSet, ValueSet, bytes], Fit] = {}


def fit(keys: ValueSet, queries: ValueSet, matches: Bools, occurs: Bools | None = None) -> Fit:
    """What has those matches [query, key]; where something does not occur, it may have others."""
    if occurs is not None and not occurs.all():
        return _fit(keys, queries, matches & occurs, occurs)
    key = (keys, queries, matches.tobytes())
    found = _fits.get(key)
    if found is None:
        if len(_fits) > 20_000:
            _fits.clear()
        found = _fits[key] = _fit(keys, queries, matches, np.ones_like(matches))
    return found


def _fit(keys: ValueSet, queries: ValueSet, matches: Bools, occurs: Bools) -> Fit:
    same = []
    for c in ORDER:
        table = _compared(c, keys, queries)
        if table is not None and ((table == matches) | ~occurs).all():
            same.append(c)
    if same:
        return Fit(same[0], 0.001 * ORDER.index(same[0]), tuple(c.value for c in same[1:]))
    for body, cost in _short(keys, queries, matches):
        return Fit(parsed("x, y", body), cost, ())
    return Fit(Matches(keys, queries, matches), TABLE + 0.01 * int(matches.sum()), ())


def _short(keys: ValueSet, queries: ValueSet, matches: Bools) -> list[tuple[str, float]]:
    """One side alone; the difference or the sum of whole numbers."""
    found: list[tuple[str, float]] = []
    by_key: Bools = np.asarray(matches.any(0))
    by_query: Bools = np.asarray(matches.any(1))
    for name, values, on, spread in (
        ("x", keys.values, by_key, by_key[None, :]),
        ("y", queries.values, by_query, by_query[:, None]),
    ):
        if (matches == spread).all():
            some = [values[i] for i in np.flatnonzero(on).tolist()]
            found.append((f"{name} == {text_of(some[0])}" if len(some) == 1 else f"{name} in {tuple_of(some)}", ALONE))
    if not all(type(v) is int and abs(v) < 2**31 for v in (*keys.values, *queries.values)):
        return found
    k, q = np.array(keys.values)[None, :], np.array(queries.values)[:, None]
    apart = np.broadcast_to(k - q, matches.shape)
    inside, outside = apart[matches], apart[~matches]
    if len(inside) and len(outside):
        low, high = int(inside.min()), int(inside.max())
        if low == high and (outside != low).all():
            found.append((f"x == y{_offset(low)}", OFFSET))
        elif high < outside.min():
            found.append((f"x <= y{_offset(high)}", OFFSET))
        elif low > outside.max():
            found.append((f"x >= y{_offset(low)}", OFFSET))
        elif len(set(outside.tolist())) == 1 and (inside != outside[0]).all():
            found.append((f"x != y{_offset(int(outside[0]))}", OFFSET))
        sums = np.broadcast_to(k + q, matches.shape)
        if len(set(sums[matches].tolist())) == 1 and (sums[~matches] != sums[matches][0]).all():
            found.append((f"x + y == {text_of(int(sums[matches][0]))}", OFFSET))
    return found


def _offset(by: int) -> str:
    return "" if by == 0 else f" + {by}" if by > 0 else f" - {-by}"


_tables: dict[tuple[Comparison, ValueSet, ValueSet], Bools | None] = {}


def _compared(comparison: Comparison, keys: ValueSet, queries: ValueSet) -> Bools | None:
    key = (comparison, keys, queries)
    if key not in _tables:
        if len(_tables) > 20_000:
            _tables.clear()
        try:
            _tables[key] = matrix(comparison, keys, queries)
        except (TypeError, ValueError):
            _tables[key] = None  # values that do not compare, or None
    return _tables[key]


def written(predicate: Predicate | Matches) -> Predicate:
    return predicate.predicate() if isinstance(predicate, Matches) else predicate
