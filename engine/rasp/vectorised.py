"""Programs on many inputs at once. A column is integer codes and one table of what the codes mean, so a function is
called once per distinct value (or pair) instead of once per position.

Exactly `interpreter.evaluate`, values and types (1, 1.0 and True are three values), None and errors included.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Hashable, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
from jaxtyping import Bool, Int

from engine.rasp.functions import Value
from engine.rasp.interpreter import mean
from engine.rasp.language import (
    Aggregate,
    ConstantSOp,
    Full,
    Indices,
    Length,
    LinearSequenceMap,
    Map,
    Node,
    Select,
    Selector,
    SelectorAnd,
    SelectorNot,
    SelectorOr,
    SelectorWidth,
    SequenceMap,
    SOp,
    Tokens,
    nodes,
)

NOTHING = -1  # the code of None
_EXACT = 2.0**53  # whole numbers up to here are the same in float64
_MOST_PAIRS = 65_536  # of codes that are looked up in a dense table


class Column(NamedTuple):
    """One s-op on all inputs: `codes` per group of inputs of one length, into `table`; NOTHING is None."""

    codes: tuple[Int[np.ndarray, "inputs pos"], ...]
    table: tuple[Value, ...]


class Batch:
    """Inputs to evaluate programs on. What a node gave is remembered while the node lives, so a program that grows by
    one node costs one node.

    Errors are `interpreter.evaluate`'s, of whichever input meets one first; `evaluate` raises for all if one fails.
    """

    def __init__(self, inputs: Sequence[Sequence[Value]], causal: bool = False) -> None:
        self.causal = causal
        self.size = len(inputs)
        by_length: dict[int, list[int]] = {}
        for i, row in enumerate(inputs):
            by_length.setdefault(len(row), []).append(i)
        self._rows = [rows for _, rows in sorted(by_length.items())]  # which inputs, per group
        self._lengths = sorted(by_length)
        self._triangles = [np.tri(n, dtype=bool) for n in self._lengths]
        self._positions = sum(n * len(rows) for n, rows in zip(self._lengths, self._rows))
        table = _Table()
        self._tokens = Column(
            tuple(
                np.array([[table.code(v) for v in inputs[i]] for i in rows], dtype=np.int32).reshape(len(rows), n)
                for n, rows in zip(self._lengths, self._rows)
            ),
            (),
        )._replace(table=table.values())
        self._columns: _Memory[Column] = _Memory()
        self._selectors: _Memory[tuple[Bool[np.ndarray, "inputs query key"], ...]] = _Memory()

    def evaluate(self, program: SOp) -> list[list[Value]]:
        """The program's values on every input, in the order the inputs were given."""
        column = self.codes(program)
        table = [*column.table, None]  # NOTHING is the last
        found: list[list[Value]] = [[] for _ in range(self.size)]
        for rows, codes in zip(self._rows, column.codes):
            for i, row in zip(rows, codes.tolist()):
                found[i] = [table[code] for code in row]
        return found

    def codes(self, program: SOp) -> Column:
        """One s-op's column."""
        self._run(program)
        return self._columns[program]

    def selector(self, selector: Selector) -> tuple[Bool[np.ndarray, "inputs query key"], ...]:
        """One selector's matrices, per group of inputs of one length (shortest first)."""
        self._run(selector)
        return self._selectors[selector]

    def rows(self) -> list[list[int]]:
        """Which inputs each group holds, shortest first."""
        return [list(rows) for rows in self._rows]

    def _run(self, program: Node) -> None:
        if program in self._columns or program in self._selectors:
            return
        if all(of in self._columns or of in self._selectors for of in program.inputs):
            missing: Sequence[Node] = (program,)
        else:
            missing = [n for n in nodes(program) if n not in self._columns and n not in self._selectors]
        for node in missing:
            if isinstance(node, Selector):
                made = self._select(node)
                if self.causal:
                    made = tuple(m & triangle for m, triangle in zip(made, self._triangles))
                self._selectors[node] = made
            else:
                self._columns[node] = self._column(node)

    # -- s-ops

    def _column(self, node: Node) -> Column:
        columns = self._columns
        match node:
            case Map():
                return self._map(node, columns[node.inner])
            case SequenceMap():
                return self._pairs(node.f, columns[node.inputs[0]], columns[node.inputs[1]])
            case LinearSequenceMap():
                a, b = node.factors
                return self._pairs(lambda x, y: a * x + b * y, columns[node.inputs[0]], columns[node.inputs[1]])
            case Aggregate():
                return self._aggregate(node, self._selectors[node.selector], columns[node.sop])
            case SelectorWidth():
                widths = [m.sum(axis=2, dtype=np.int32) for m in self._selectors[node.selector]]
                return Column(tuple(widths), tuple(range(max(self._lengths, default=0) + 1)))
            case Tokens():
                return self._tokens
            case Indices():
                return self._filled(
                    [np.arange(n, dtype=np.int32) for n in self._lengths], max(self._lengths, default=0)
                )
            case Length():
                lengths = [np.array(n, dtype=np.int32) for n in self._lengths]
                return self._filled(lengths, max(self._lengths, default=0) + 1)
            case Full():
                return self._constant([[node.value] * n for n in self._lengths])
            case ConstantSOp():
                for n in self._lengths:
                    if n != len(node.values):
                        raise ValueError(f"a constant of {len(node.values)} values on an input of {n}")
                return self._constant([list(node.values) for _ in self._lengths])
            case _:
                raise TypeError(f"{node!r} is no operation of RASP")

    def _filled(self, rows: Sequence[Any], stop: int) -> Column:
        """The same row for every input of a group."""
        return Column(
            tuple(np.broadcast_to(row, (len(r), n)) for row, r, n in zip(rows, self._rows, self._lengths)),
            tuple(range(stop)),
        )

    def _constant(self, rows: Sequence[Sequence[Value]]) -> Column:
        table = _Table()
        coded = [np.array([table.code(v) for v in row], dtype=np.int32) for row in rows]
        return self._filled(coded, 0)._replace(table=table.values())

    def _map(self, node: Map, of: Column) -> Column:
        table = _Table()
        used = _used(of)
        to = np.full(len(of.table) + 1, NOTHING, dtype=np.int32)
        for code in used:
            to[code] = table.code(node.f(of.table[code]))
        return Column(tuple(to[c] for c in of.codes), table.values())

    def _pairs(self, f: Any, first: Column, second: Column) -> Column:
        width = len(second.table) + 1  # NOTHING is the last column, so code + 1 counts from 0
        joined = [(x + 1) * width + (y + 1) for x, y in zip(first.codes, second.codes)]
        size = (len(first.table) + 1) * width
        table = _Table()
        pairs = _distinct(joined, size)
        # Which of two errors comes first may differ from the reference, which goes input by input.
        found = [
            NOTHING
            if p < width or p % width == 0
            else table.code(f(first.table[p // width - 1], second.table[p % width - 1]))
            for p in pairs
        ]
        if size <= _MOST_PAIRS:
            to = np.empty(size, dtype=np.int32)
            to[pairs] = found
            return Column(tuple(to[j] for j in joined), table.values())
        sparse, at = np.array(found, dtype=np.int32), np.array(pairs)
        return Column(tuple(sparse[np.searchsorted(at, j)] for j in joined), table.values())

    def _aggregate(
        self, node: Aggregate, selectors: tuple[Bool[np.ndarray, "inputs query key"], ...], of: Column
    ) -> Column:
        table = _Table(of.table)
        default = table.code(node.default)
        numbers = _numbers(of)
        found = []
        for selector, codes in zip(selectors, of.codes):
            counts = selector.sum(axis=2, dtype=np.int32)
            # Of exactly one selected value, its code: the sum of code * selected over the keys.
            made = (selector @ codes[:, :, None].astype(np.int32))[:, :, 0] if codes.size else counts.copy()
            made[counts == 0] = default
            many = counts > 1
            if many.any():
                made[many] = self._means(selector, codes, counts, many, of, numbers, table)
            found.append(made)
        return Column(tuple(found), table.values())

    def _means(
        self,
        selector: Bool[np.ndarray, "inputs query key"],
        codes: Int[np.ndarray, "inputs pos"],
        counts: Int[np.ndarray, "inputs query"],
        many: Bool[np.ndarray, "inputs query"],
        of: Column,
        numbers: np.ndarray[Any, Any] | None,
        table: _Table,
    ) -> Any:
        if numbers is None:  # something that is no number, or is too large to add exactly: as the definition says
            rows, queries = np.nonzero(many)
            known = [*of.table, None]
            return [
                table.code(mean([known[c] for c in codes[i][selector[i, q]].tolist()]))
                for i, q in zip(rows.tolist(), queries.tolist())
            ]
        values = numbers[codes]
        totals = np.zeros(counts.shape)
        for k in range(codes.shape[1]):  # in the order of the keys, as the definition adds
            totals += np.where(selector[:, :, k], values[:, k, None], 0.0)
        means = totals[many] / counts[many]
        distinct, inverse = np.unique(means.view(np.int64), return_inverse=True)
        coded = np.array([table.code(v) for v in distinct.view(np.float64).tolist()], dtype=np.int32)
        return coded[inverse]

    # -- selectors

    def _select(self, node: Selector) -> tuple[Bool[np.ndarray, "inputs query key"], ...]:
        match node:
            case Select():
                return self._matched(node, self._columns[node.keys], self._columns[node.queries])
            case SelectorAnd() | SelectorOr():
                left, right = (self._selectors[of] for of in node.inputs)
                if isinstance(node, SelectorAnd):
                    return tuple(a & b for a, b in zip(left, right))
                return tuple(a | b for a, b in zip(left, right))
            case SelectorNot():
                return tuple(~a for a in self._selectors[node.inputs[0]])
            case _:
                raise TypeError(f"{node!r} is no operation of RASP")

    def _matched(self, node: Select, keys: Column, queries: Column) -> tuple[Bool[np.ndarray, "inputs query key"], ...]:
        width = len(keys.table) + 1
        size = (len(queries.table) + 1) * width
        joined = [(q + 1)[:, :, None] * width + (k + 1)[:, None, :] for k, q in zip(keys.codes, queries.codes)]
        pairs = _distinct(joined, size)
        known_keys, known_queries = [None, *keys.table], [None, *queries.table]
        found = [bool(node.predicate(known_keys[p % width], known_queries[p // width])) for p in pairs]
        if size <= _MOST_PAIRS:
            to = np.zeros(size, dtype=bool)
            to[pairs] = found
            return tuple(to[j] for j in joined)
        sparse, at = np.array(found, dtype=bool), np.array(pairs)
        return tuple(sparse[np.searchsorted(at, j)] for j in joined)


T = TypeVar("T")


class _Memory(Generic[T]):
    """What nodes gave, while they live. (A WeakKeyDictionary compares keys with ==, which on s-ops builds a node.)"""

    def __init__(self) -> None:
        self._known: dict[int, T] = {}
        self._alive: dict[int, weakref.ref[Node]] = {}

    def __contains__(self, node: Node) -> bool:
        return id(node) in self._known

    def __getitem__(self, node: Node) -> T:
        return self._known[id(node)]

    def __setitem__(self, node: Node, value: T) -> None:
        key, known, alive = id(node), self._known, self._alive

        def forget(_: object) -> None:
            known.pop(key, None)
            alive.pop(key, None)

        known[key], alive[key] = value, weakref.ref(node, forget)

    def __len__(self) -> int:
        return len(self._known)


class _Table:
    """Codes for values, given out as they come."""

    def __init__(self, values: Sequence[Value] = ()) -> None:
        self._codes: dict[Hashable, int] = {}
        self._values: list[Value] = []
        for value in values:
            self.code(value)

    def code(self, value: Value) -> int:
        if value is None:
            return NOTHING
        key = identity(value)
        found = self._codes.get(key)
        if found is None:
            found = self._codes[key] = len(self._values)
            self._values.append(value)
        return found

    def values(self) -> tuple[Value, ...]:
        return tuple(self._values)


def identity(value: Value) -> Hashable:
    """Equal for values that cannot be told apart, by type either: not for 1, 1.0 and True, nor for 0.0 and -0.0."""
    kind = type(value)
    if kind is float:
        if value == 0:
            return kind, math.copysign(1.0, value), 0
        return (kind, "nan") if value != value else (kind, value)
    if kind is tuple:
        return kind, tuple(map(identity, value))
    return kind, value


def _used(of: Column) -> list[int]:
    """Which codes occur; not None's."""
    seen = np.zeros(len(of.table) + 1, dtype=bool)
    for codes in of.codes:
        seen[codes] = True
    return np.flatnonzero(seen[:-1]).tolist()


def _distinct(joined: Sequence[np.ndarray[Any, Any]], size: int) -> list[int]:
    """Which numbers below `size` occur, in order."""
    if size <= _MOST_PAIRS:
        seen = np.zeros(size, dtype=bool)
        for j in joined:
            seen[j] = True
        return np.flatnonzero(seen).tolist()
    return np.unique(np.concatenate([j.ravel() for j in joined])).tolist() if joined else []


def _numbers(of: Column) -> np.ndarray[Any, Any] | None:
    """The table as float64 where adding it up is what Python's adding gives, else None."""
    table = of.table
    if any(NOTHING in c for c in of.codes) or not all(isinstance(v, int | float) for v in table):
        return None
    if all(isinstance(v, float) or abs(v) < 1_000_000_000 for v in table):
        return np.array(table, dtype=np.float64)
    return None
