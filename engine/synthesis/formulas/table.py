"""The rows a formula is wanted for: each once, with a small selection on which formulas are told apart.

A formula found on the selection counts only when it holds on every row; a row on which it does not joins the selection
(counterexample-guided inductive synthesis, Solar-Lezama 2006).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
from jaxtyping import Int

from engine.synthesis.formulas.bank import LARGEST_VALUE
from engine.synthesis.formulas.expressions import Expression, evaluate

Rows = Int[np.ndarray[Any, Any], "row variable"]
Columns = Int[np.ndarray[Any, Any], "column row"]
Column = Int[np.ndarray[Any, Any], " row"]
Indices = Int[np.ndarray[Any, Any], " index"]

SELECTED = 128  # rows
ADDED = 8  # counterexamples of one failing formula
AGAIN = 12  # selections

Result = TypeVar("Result")


class RefutedError(Exception):
    """A formula holds on the selection and fails on these rows."""

    def __init__(self, rows: Indices) -> None:
        super().__init__("a formula was refuted")
        self.rows = rows


class Table(NamedTuple):
    """Distinct rows with the columns wanted for them; None for a column that wants two values in one row."""

    names: tuple[str, ...]
    rows: Rows
    wanted: tuple[Column | None, ...]

    @classmethod
    def of(cls, rows: Rows, names: Sequence[str], wanted: Columns) -> Table:
        """Variables that never change and those equal to an earlier one are left out."""
        distinct, first, which = _distinct(rows)
        columns: list[Column | None] = []
        for column in wanted:
            once = column[first].astype(np.int64)
            columns.append(once if (once[which] == column).all() else None)
        kept: list[int] = []
        for k in range(distinct.shape[1]):
            column = distinct[:, k]
            if (column != column[0]).any() and not any((column == distinct[:, j]).all() for j in kept):
                kept.append(k)
        return cls(tuple(names[k] for k in kept), np.ascontiguousarray(distinct[:, kept]), tuple(columns))

    @property
    def limit(self) -> int:
        """The largest number that is worth having in between."""
        numbers = [self.rows, *(y for y in self.wanted if y is not None)]
        return max(LARGEST_VALUE, 2 * max(int(np.abs(part).max(initial=0)) for part in numbers))

    @property
    def values(self) -> dict[str, Column]:
        """Columns by name, and one without a name that gives formulas of constants their length."""
        return {name: self.rows[:, k] for k, name in enumerate(self.names)} | {"": np.zeros(len(self.rows), np.int64)}

    def wrong(self, expression: Expression, wanted: Column) -> Indices:
        """Rows on which the expression does not give the wanted value; all of them where it divides by zero."""
        try:
            return np.flatnonzero(evaluate(expression, self.values) != wanted)
        except ZeroDivisionError:
            return np.arange(len(self.rows))

    def holds(self, expression: Expression, wanted: Column) -> bool:
        return not len(self.wrong(expression, wanted))

    def check(self, expression: Expression, wanted: Column) -> None:
        """RefutedError with some of the rows on which the expression does not give the wanted value."""
        wrong = self.wrong(expression, wanted)
        if len(wrong):
            raise RefutedError(wrong[np.linspace(0, len(wrong) - 1, min(ADDED, len(wrong))).astype(np.int64)])

    def selection(self, most: int = SELECTED) -> Indices:
        """Rows to begin with: where each variable and each wanted column is smallest and largest, a few of every wanted
        value, and others at random. All, where there are at most twice as many."""
        count = len(self.rows)
        if count <= 2 * most:
            return np.arange(count)
        order = np.random.default_rng(count).permutation(count)
        columns = [column for column in self.wanted if column is not None]
        chosen: list[int] = []
        for column in (*self.rows.T, *columns):
            chosen += [int(column.argmin()), int(column.argmax())]
        for column in columns:
            values, first = np.unique(column[order], return_index=True)
            chosen += order[first][: most // 4].tolist()
            if len(values) <= 16:
                share = most // (2 * len(values) * len(columns))
                chosen += [int(row) for value in values for row in order[column[order] == value][:share]]
        chosen += np.argsort(np.abs(self.rows).sum(axis=1), kind="stable")[:8].tolist()
        chosen += order[:most].tolist()
        return np.sort(np.array(list(dict.fromkeys(chosen))[:most], dtype=np.int64))

    def refined(self, attempt: Callable[[Indices], Result], most: int = SELECTED) -> Result | None:
        """What `attempt` returns for a selection of rows, after those it raised RefutedError for have joined; None when
        that never ends."""
        selected = self.selection(most)
        for _ in range(AGAIN):
            try:
                return attempt(selected)
            except RefutedError as refuted:
                selected = np.unique(np.concatenate([selected, refuted.rows]))
        return None


def contradicts(rows: Rows, wanted: Column) -> bool:
    """Whether some row is there twice with different wanted values."""
    _, first, which = _distinct(rows)
    return bool((wanted[first][which] != wanted).any())


def _distinct(rows: Rows) -> tuple[Rows, Indices, Indices]:
    """Rows each once, where each is first, and which one every row is."""
    if not rows.shape[1]:
        return rows[:1], np.zeros(min(len(rows), 1), dtype=np.int64), np.zeros(len(rows), dtype=np.int64)
    low = rows.min(axis=0) if len(rows) else np.zeros(rows.shape[1], dtype=np.int64)
    spans = [int(v) + 1 for v in (rows - low).max(axis=0, initial=0)]
    if np.prod([float(s) for s in spans]) < 2**62:  # one number per row sorts faster than rows
        code = np.zeros(len(rows), dtype=np.int64)
        for k, span in enumerate(spans):
            code = code * span + (rows[:, k] - low[k])
        _, first, which = np.unique(code, return_index=True, return_inverse=True)
        return rows[first], first, which.reshape(-1)
    distinct, first, which = np.unique(rows, axis=0, return_index=True, return_inverse=True)
    return distinct, first, which.reshape(-1)
