"""The parts of regression, each against something that does not use it: brute force, evaluation, closed forms."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.synthesis.formulas.bank import Bank
from engine.synthesis.formulas.conditional import conditional
from engine.synthesis.formulas.covering import covering
from engine.synthesis.formulas.decision_list import decision_list
from engine.synthesis.formulas.expressions import COMPARISONS, OPERATORS, TRUTH, WEIGHTS, Expression, evaluate, size
from engine.synthesis.formulas.guards import Guards, opposite
from engine.synthesis.formulas.linear import linear
from engine.synthesis.formulas.modular import modular
from engine.synthesis.formulas.outermost import Outermost
from engine.synthesis.formulas.regression import regress
from engine.synthesis.formulas.table import Column, Rows, Table
from engine.synthesis.formulas.tidy import combination, tidied

NAMES = ("x", "k")
ROWS: Rows = np.array([(x, k) for x in range(5) for k in range(-3, 6)], dtype=np.int64)
VALUES = {name: ROWS[:, k] for k, name in enumerate(NAMES)}

LEAVES = st.sampled_from([("var", "x"), ("var", "k"), ("const", 0), ("const", 1), ("const", 2), ("const", 3)])
EXPRESSIONS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.tuples(st.sampled_from(sorted(OPERATORS)), inner, inner),
        st.tuples(st.just("abs"), inner),
        st.tuples(st.just("if"), inner, inner, inner),
    ),
    max_leaves=7,
)


def grown(largest: int, constants: tuple[int, ...] = (0, 1, 2), rows: Rows = ROWS) -> Bank:
    bank = Bank(rows, NAMES, constants)
    while bank.largest < largest and bank.grow():
        pass
    return bank


@settings(max_examples=300, deadline=None)
@given(EXPRESSIONS)
def test_a_tidied_formula_has_the_same_values_and_is_no_longer(expression: Expression) -> None:
    better = tidied(expression, NAMES)
    assert size(better) <= size(expression)
    try:
        wanted = evaluate(expression, VALUES)
    except ZeroDivisionError:
        return
    assert (evaluate(better, VALUES) == wanted).all()


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(-6, 6), min_size=2, max_size=2), st.integers(-6, 6))
def test_a_combination_is_what_its_coefficients_say(coefficients: list[int], constant: int) -> None:
    expression = combination([("var", name) for name in NAMES], coefficients, constant)
    assert (evaluate(expression, VALUES) == ROWS @ np.array(coefficients) + constant).all()
    assert linear(ROWS, NAMES, ROWS @ np.array(coefficients) + constant) == expression


@pytest.mark.parametrize("symbol", sorted(OPERATORS))
def test_the_outermost_operator_finds_every_pair_that_brute_force_finds(symbol: str) -> None:
    bank = grown(3)
    columns = np.concatenate([bank.levels[s].columns for s in (1, 3)])
    sizes = [1] * len(bank.levels[1].columns) + [3] * len(bank.levels[3].columns)
    rng = np.random.default_rng(0)
    weight = TRUTH if symbol in COMPARISONS else WEIGHTS[symbol]
    checked = 0
    for _ in range(400):
        i, j = rng.integers(0, len(columns), 2)
        if symbol in ("//", "%") and (columns[j] <= 0).any():
            continue
        if symbol in ("&", "|", "^") and not np.isin(columns[[i, j]], (0, 1)).all():
            continue
        wanted = OPERATORS[symbol](columns[i], columns[j])
        found = next(Outermost(bank, wanted).of_size(weight + sizes[i] + sizes[j], (symbol,)), None)
        assert found is not None
        assert (evaluate(found, VALUES) == wanted).all()
        checked += 1
    assert checked > 0


def test_the_outermost_operator_on_some_rows_looks_at_no_others() -> None:
    bank = grown(3)
    some = ROWS[:, 1] > 0
    wanted = np.where(some, ROWS[:, 0] * ROWS[:, 1] // 3, -77)
    found = next(Outermost(Bank(ROWS, NAMES, (3,)), wanted, some).of_size(5), None)
    assert found is None  # the bank holds leaves only
    three = grown(3, (0, 1, 2, 3))
    found = next(Outermost(three, wanted, some).of_size(5), None)
    assert found is not None
    assert (evaluate(found, VALUES)[some] == wanted[some]).all()
    assert next(Outermost(bank, wanted).of_size(5), None) is None


@pytest.mark.parametrize("modulus", [2, 4, 6, 12, 7])
def test_sums_modulo_any_number_are_solved(modulus: int) -> None:
    rng = np.random.default_rng(modulus)
    for _ in range(20):
        rows = rng.integers(0, modulus, (200, 3))
        coefficients, constant = rng.integers(0, modulus, 3), int(rng.integers(0, modulus))
        wanted = (rows @ coefficients + constant) % modulus
        found = modular(rows, ("a", "b", "c"), wanted, (modulus,))
        assert found is not None
        given = evaluate(found, {name: rows[:, k] for k, name in enumerate("abc")})
        assert (given == wanted).all()


def test_what_is_no_sum_modulo_anything_is_not_solved() -> None:
    rows = np.array(list(product(range(5), repeat=2)))
    assert modular(rows, ("a", "b"), rows[:, 0] * rows[:, 1] % 5, (5, 6)) is None


def test_guards_are_sets_of_rows_with_a_condition_each() -> None:
    guards = Guards.of(grown(3), 7, 1_000)
    seen = set()
    for mask, expression in zip(guards.masks, guards.expressions, strict=True):
        assert ((evaluate(expression, VALUES) != 0) == mask).all()
        assert ((evaluate(opposite(expression), VALUES) != 0) == ~mask).all()
        seen |= {mask.tobytes(), (~mask).tobytes()}
    assert len(seen) == 2 * len(guards.masks)
    assert (ROWS[:, 1] < 0).tobytes() in seen


def test_a_cover_is_exact() -> None:
    guards = Guards.of(grown(3), 7, 1_000)
    for wanted in (
        (ROWS[:, 0] < 2) | (ROWS[:, 1] == 4),
        (ROWS[:, 0] < 2) & (ROWS[:, 1] > 0) & (ROWS[:, 1] < 4),
        np.isin(ROWS[:, 1], (-3, 0, 5)),
    ):
        found = covering(guards, wanted.astype(np.int64))
        assert found is not None
        assert (evaluate(found, VALUES) == wanted).all()
    assert covering(guards, ROWS[:, 0]) is None


def test_a_decision_list_gives_every_row() -> None:
    wanted = np.where(ROWS[:, 1] < ROWS[:, 0], 5, np.where(ROWS[:, 0] == 0, -2, 9)).astype(np.int64)
    found = decision_list([grown(3)], wanted, work=10**8)
    assert found is not None
    assert found[0] == "if"
    assert (evaluate(found, VALUES) == wanted).all()
    assert decision_list([grown(3)], np.arange(len(ROWS)), work=10**8) is None


@pytest.mark.parametrize(
    "wanted",
    [
        np.where(ROWS[:, 1] < 0, 7 * ROWS[:, 0] + 3, 4 - 5 * ROWS[:, 1]),  # linear on both sides
        np.where(ROWS[:, 0] == 2, ROWS[:, 1] ** 2, ROWS[:, 1] + 1),
    ],
)
def test_conditionals_of_pieces(wanted: Column) -> None:
    found = conditional(grown(5), wanted[None])[0]
    assert found[0] == "if"
    assert (evaluate(found, VALUES) == wanted).all()


def test_a_conditional_within_a_conditional() -> None:
    wanted = np.where(ROWS[:, 0] == 2, ROWS[:, 1], np.where(ROWS[:, 1] < 0, 2 * ROWS[:, 0], 3 - ROWS[:, 1]))
    bank = grown(3)
    assert conditional(bank, wanted[None]) == {}
    found = conditional(bank, wanted[None], nested=True)[0]
    assert (evaluate(found, VALUES) == wanted).all()
    assert size(found) <= 18


PIECES = st.one_of(LEAVES, st.tuples(st.sampled_from(["+", "-", "*", "min", "max"]), LEAVES, LEAVES))
CONDITIONS = st.tuples(st.sampled_from(sorted(COMPARISONS)), PIECES, LEAVES)


@settings(max_examples=12, deadline=None)
@given(CONDITIONS, PIECES, PIECES)
def test_a_conditional_is_found_no_longer_than_it(guard: Expression, then: Expression, otherwise: Expression) -> None:
    expression = ("if", guard, then, otherwise)
    wanted = evaluate(expression, VALUES)
    found = regress(ROWS, NAMES, wanted, constants=(0, 1, 2, 3))
    assert found is not None
    assert found.size <= size(expression)
    assert (evaluate(found.expression, VALUES) == wanted).all()


def test_a_table_has_each_row_once_and_no_idle_variables() -> None:
    rows = np.array([(1, 5, 1), (2, 5, 2), (1, 5, 1), (3, 5, 3)])
    table = Table.of(rows, ("a", "same", "again"), np.array([(4, 5, 4, 6), (0, 0, 1, 0)]))
    assert table.names == ("a",)
    assert table.rows.tolist() == [[1], [2], [3]]
    assert table.wanted[0] is not None
    assert table.wanted[0].tolist() == [4, 5, 6]
    assert table.wanted[1] is None


def test_a_selection_holds_every_wanted_value_and_the_ends() -> None:
    rng = np.random.default_rng(1)
    rows = rng.integers(-500, 500, (20_000, 2))
    rare = (np.arange(20_000) == 777).astype(np.int64)
    table = Table.of(rows, ("a", "b"), rare[None])
    chosen = table.selection()
    assert len(chosen) <= 128
    wanted = table.wanted[0]
    assert wanted is not None
    assert set(wanted[chosen].tolist()) == {0, 1}
    for k in range(2):
        assert table.rows[chosen, k].min() == rows[:, k].min()
        assert table.rows[chosen, k].max() == rows[:, k].max()
