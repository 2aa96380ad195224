"""All small formulas over a table, smallest first, for several wanted columns at once.

The bank is grown while it is small; one operator more is searched without keeping anything (`outermost`). All of that
happens on a selection of rows; a formula that fails on another row puts it into the selection, and the search begins
again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from engine.synthesis.formulas.bank import Bank
from engine.synthesis.formulas.expressions import Expression
from engine.synthesis.formulas.outermost import Outermost
from engine.synthesis.formulas.table import Column, Indices, Table
from engine.synthesis.formulas.tidy import tidied


class Budget(NamedTuple):
    """How far a search goes."""

    work: int = 1_500_000_000  # numbers computed, about 2e8 a second
    largest: int = 9  # description length up to which all formulas are enumerated
    kept: int = 30_000  # expressions kept
    longest: int = 64  # a longer formula is none: it tells no more than a table


class Better(NamedTuple):
    expression: Expression
    tried: int


def enumerated(
    table: Table, constants: Sequence[int], known: Sequence[int | None], budget: Budget
) -> dict[int, Better]:
    """For each wanted column (by its number) a formula shorter than the `known` one (None: there is none), if found.

    A known size of 0 leaves the column out.
    """
    found: dict[int, Better] = {}
    spent = 0

    def attempt(selected: Indices) -> None:
        nonlocal spent
        search = _Search(table, constants, known, budget._replace(work=budget.work - spent), selected, found)
        try:
            search.run()
        finally:
            spent += search.work

    table.refined(attempt)
    return found


class _Search:
    """One pass over one selection of rows. Formulas go to `found` as soon as they hold on every row."""

    def __init__(
        self,
        table: Table,
        constants: Sequence[int],
        known: Sequence[int | None],
        budget: Budget,
        selected: Indices,
        found: dict[int, Better],
    ) -> None:
        self.table, self.budget, self.selected, self.found = table, budget, selected, found
        self.bank = Bank(table.rows[selected], table.names, constants, most=budget.kept, limit=table.limit)
        self.open: dict[int, int] = {}  # wanted column: the largest formula that is still of use
        for k, (y, length) in enumerate(zip(table.wanted, known, strict=True)):
            if y is not None and k not in found:
                self.open[k] = budget.largest if length is None else min(length - 1, budget.largest)
        self.outer: dict[int, Outermost] = {}

    @property
    def work(self) -> int:
        return self.bank.work + sum(outer.work for outer in self.outer.values())

    def wanted(self, k: int) -> Column:
        column = self.table.wanted[k]
        assert column is not None
        return column

    def run(self) -> None:
        total = 1
        while self.open and self.work < self.budget.work:
            if total > self.bank.largest and not self.bank.full:
                self.bank.grow()
            if total <= self.bank.largest and not self.bank.full:
                keys = list(self.open)
                held = self.bank.find(np.stack([self.wanted(k)[self.selected] for k in keys]))
                for place, expression in held.items():
                    self._accept(keys[place], expression)
            else:
                for k in list(self.open):
                    self._beyond(k, total)
            total += 1
            for k, largest in list(self.open.items()):
                if total > largest:
                    del self.open[k]

    def _accept(self, k: int, expression: Expression) -> None:
        """Take a formula for a column, if it holds on every row."""
        self.table.check(expression, self.wanted(k))
        self.found[k] = Better(expression, self.work // len(self.selected))
        self.open.pop(k, None)

    def _beyond(self, k: int, total: int) -> None:
        """Look for a formula of that size which the bank does not hold."""
        if k not in self.outer:
            self.outer[k] = Outermost(self.bank, self.wanted(k)[self.selected])
        for expression in self.outer[k].of_size(total):
            self._accept(k, tidied(expression, self.table.names))
            return
