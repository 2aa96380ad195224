"""Formulas: accepted on every row only, shortest first, and with Python's own meaning."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.synthesis.formulas.bank import Bank
from engine.synthesis.formulas.conditional import conditional
from engine.synthesis.formulas.expressions import OPERATORS, Expression, evaluate, size, written
from engine.synthesis.programs.evaluator import evaluate as evaluate_source

NAMES = ("x", "k")
ROWS = np.array(list(product(range(2), range(3))))
VALUES = {name: ROWS[:, k] for k, name in enumerate(NAMES)}


def bank(largest: int, constants: tuple[int, ...] = (0, 1, 2)) -> Bank:
    made = Bank(ROWS, NAMES, constants, wide_bits=True)
    while made.largest < largest and made.grow():
        pass
    return made


LEAVES = st.sampled_from([("var", "x"), ("var", "k"), ("const", 0), ("const", 1), ("const", 2)])
EXPRESSIONS = st.recursive(
    LEAVES, lambda inner: st.tuples(st.sampled_from(sorted(OPERATORS)), inner, inner), max_leaves=5
)


@settings(max_examples=200, deadline=None)
@given(EXPRESSIONS, st.one_of(st.none(), st.tuples(EXPRESSIONS, EXPRESSIONS)))
def test_source_and_expression_mean_the_same(
    expression: Expression, more: tuple[Expression, Expression] | None
) -> None:
    if more is not None:
        expression = ("if", ("<", ("var", "k"), ("const", 2)), expression, more[0])
    try:
        wanted = evaluate(expression, VALUES)
    except ZeroDivisionError:
        return
    loop = f"    for x, k in zip(x, k):\n        ys.append({written(expression)})\n"
    source = f"def f(x, k):\n    ys = []\n{loop}    return ys\n"
    assert evaluate_source(source, ROWS[:, None, :])[:, 0, 0].tolist() == wanted.tolist()


@settings(max_examples=100, deadline=None)
@given(EXPRESSIONS)
def test_what_a_short_expression_gives_is_found_no_longer_than_it(expression: Expression) -> None:
    try:
        wanted = evaluate(expression, VALUES)
    except ZeroDivisionError:
        return
    if size(expression) > 5 or np.abs(wanted).max() > 100:
        return
    if "//" in str(expression) or "%" in str(expression):
        return  # the search divides by positive numbers only
    found = bank(5).find(wanted[None])
    assert 0 in found
    assert size(found[0]) <= size(expression)
    assert (evaluate(found[0], VALUES) == wanted).all()


def test_nothing_is_accepted_that_misses_one_row() -> None:
    wanted = np.array([3, 1, 4, 1, 5, 9])
    assert bank(5).find(wanted[None]) == {}


def test_the_ripple_carry_adder_is_found() -> None:
    rows = np.array(list(product(range(2), repeat=3)))
    made = Bank(rows, ("p", "q", "c"), (0, 1, 2))
    while made.largest < 7 and made.grow():
        pass
    found = made.find(np.stack([rows.sum(1) % 2, rows.sum(1) // 2]))
    assert written(found[0]) == "p ^ q ^ c"
    assert written(found[1]) == "(p + q + c) // 2"


def test_a_guarded_counter_is_found_and_its_guard_is_a_comparison() -> None:
    rows = np.array([(x, k) for k in range(-1, 7) for x in range(2)])
    made = Bank(rows, NAMES, (0, 1, 2))
    while made.largest < 7 and made.grow():
        pass
    wanted = np.where(rows[:, 1] < 0, -1, rows[:, 1] + 1 - 2 * rows[:, 0])
    assert made.find(wanted[None]) == {}
    found = conditional(made, wanted[None])[0]
    assert (evaluate(found, {"x": rows[:, 0], "k": rows[:, 1]}) == wanted).all()
    assert found[0] == "if"
    assert found[1][0] in ("<", "==")
    # The rule holds beyond the rows it was found on.
    assert evaluate(found, {"x": np.array([0, 1]), "k": np.array([50, 50])}).tolist() == [51, 49]


def test_a_full_bank_stops_growing() -> None:
    made = Bank(ROWS, NAMES, (0, 1, 2), most=100)
    while made.grow():
        pass
    assert made.full
    assert len(made.seen) < 10_000


@pytest.mark.parametrize(("expression", "text"), [(("<", ("var", "k"), ("const", 1)), "int(k < 1)")])
def test_truth_values_are_written_as_numbers(expression: Expression, text: str) -> None:
    assert written(expression) == text
