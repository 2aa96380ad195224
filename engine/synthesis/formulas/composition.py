"""Formulas with conditions in them, for what no plain expression of moderate size gives.

Tried on one wanted column: larger expressions of one family of operators (order, arithmetic, bits), conditionals of
pieces, decision lists, unions and intersections of conditions. The shortest that holds on every row is taken.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from engine.synthesis.formulas.bank import ARITHMETIC, BITS, ORDER, SYMBOLS, Bank
from engine.synthesis.formulas.conditional import FULL, LARGEST_GUARD, conditional
from engine.synthesis.formulas.covering import covering
from engine.synthesis.formulas.decision_list import decision_list
from engine.synthesis.formulas.enumeration import Budget
from engine.synthesis.formulas.expressions import Expression, size
from engine.synthesis.formulas.guards import Guards
from engine.synthesis.formulas.outermost import Outermost
from engine.synthesis.formulas.table import Column, Indices, RefutedError, Table
from engine.synthesis.formulas.tidy import tidied

SELECTED = 256  # rows: conditions need more of them than plain expressions
FAMILIES = 8  # a family may use this part of the budget
FAMILY = 4_000  # expressions kept of one family
MIXED = 8_000  # expressions kept of all operators together
MIXED_LARGEST = 5
LARGEST = 13  # description length within a family
SMALL_CONSTANTS = 17  # that a formula of a single variable may have, whatever the data


class Composed(NamedTuple):
    expression: Expression
    method: str
    tried: int


def compose(table: Table, constants: Sequence[int], budget: Budget, *, nested: bool) -> list[Composed]:
    """Formulas that hold on every row of a table with one wanted column.

    `nested` asks for conditionals within conditionals only, which cost most.
    """
    (wanted,) = table.wanted
    assert wanted is not None
    held: list[Composed] = []
    if table.rows.shape[1] == 1:
        constants = (*constants, *(c for c in range(SMALL_CONSTANTS) if c not in constants))

    def attempt(selected: Indices) -> None:
        candidates = _Candidates(table, wanted, constants, budget, selected)
        refuted: RefutedError | None = None
        for candidate in candidates.nested() if nested else candidates.plain():
            length = size(candidate.expression)
            try:
                table.check(candidate.expression, wanted)
            except RefutedError as wrong:
                if not any(size(one.expression) <= length for one in held):
                    refuted = refuted or wrong
            else:
                held.append(candidate)
        if refuted is not None:
            raise refuted

    table.refined(attempt, SELECTED)
    return held


class _Candidates:
    """Formulas that hold on some rows of a table."""

    def __init__(
        self, table: Table, wanted: Column, constants: Sequence[int], budget: Budget, selected: Indices
    ) -> None:
        self.rows, self.y, self.names = table.rows[selected], wanted[selected], table.names
        self.constants, self.budget, self.limit = constants, budget, table.limit

    def plain(self) -> Iterator[Composed]:
        ranks = self._bank(FAMILY, (), ORDER)
        mixed = self._mixed()
        arithmetic = self._bank(FAMILY, self.constants, (*ARITHMETIC, "abs"))
        order = self._bank(FAMILY, self.constants, ORDER)
        bits = self._bank(FAMILY, self.constants, BITS, wide_bits=True)
        for bank in (ranks, order, arithmetic, bits, mixed):
            search = Outermost(bank, self.y)
            formula = _within(bank, search, self.y, self.budget.work // FAMILIES)
            yield from self._made(formula, "enumeration", (bank.work + search.work) // bank.count)
        guards = Guards.of(mixed, LARGEST_GUARD, FULL.guards)
        yield from self._made(covering(guards, self.y), "covering", len(guards.masks))
        ordered = decision_list([ranks, mixed], self.y, work=self.budget.work // FAMILIES)
        yield from self._made(ordered, "decision list", len(mixed.seen))
        yield from self._made(conditional(mixed, self.y[None]).get(0), "conditional", len(mixed.seen))

    def nested(self) -> Iterator[Composed]:
        mixed = self._mixed()
        yield from self._made(conditional(mixed, self.y[None], nested=True).get(0), "conditional", len(mixed.seen))

    def _bank(self, most: int, constants: Sequence[int], operators: Sequence[str], *, wide_bits: bool = False) -> Bank:
        return Bank(
            self.rows, self.names, constants, most=most, operators=operators, wide_bits=wide_bits, limit=self.limit
        )

    def _mixed(self) -> Bank:
        bank = self._bank(MIXED, self.constants, SYMBOLS)
        while bank.largest < MIXED_LARGEST and bank.grow():
            pass
        return bank

    def _made(self, formula: Expression | None, method: str, tried: int) -> Iterator[Composed]:
        if formula is not None:
            yield Composed(tidied(formula, self.names), method, tried)


def _within(bank: Bank, search: Outermost, wanted: Column, work: int) -> Expression | None:
    """The smallest formula of one family: kept ones, and one operator more."""
    for total in range(1, LARGEST + 1):
        if total > bank.largest and not bank.full and bank.operators != SYMBOLS:
            bank.grow()
        if total < bank.largest or (total == bank.largest and not bank.full):
            found = bank.find(wanted[None]).get(0)
        else:
            found = next(search.of_size(total, bank.operators), None)
        if found is not None:
            return found
        if search.work > work:
            break
    return None
