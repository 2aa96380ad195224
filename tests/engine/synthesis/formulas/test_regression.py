"""The front door: formulas that are exact on every row, as short as a person's, and refusals where there is none."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.synthesis.formulas.expressions import Expression, evaluate, size, written
from engine.synthesis.formulas.regression import STANDARD, Budget, Found, contradicts, regress, regress_all
from engine.synthesis.formulas.table import Rows
from engine.synthesis.programs.evaluator import evaluate as evaluate_source

QUICK = Budget(work=100_000_000, largest=7, kept=5_000)


def grid(*spans: tuple[int, int]) -> Rows:
    return np.array(list(product(*(range(low, high + 1) for low, high in spans))), dtype=np.int64)


def drawn(count: int, *spans: tuple[int, int]) -> Rows:
    rng = np.random.default_rng(count)
    return np.stack([rng.integers(low, high + 1, count) for low, high in spans], axis=1)


def found(rows: Rows, names: str, function: Callable[..., int], budget: Budget = STANDARD) -> Found:
    """What regression finds for a Python function, checked against it by the evaluator of programs."""
    wanted = np.array([int(function(*(int(v) for v in row))) for row in rows])
    result = regress(rows, names.split(), wanted, budget=budget)
    assert result is not None
    arguments = ", ".join(f"s{k}" for k in range(rows.shape[1]))
    read = ", ".join(names.split())
    over = f"zip({arguments})" if rows.shape[1] > 1 else arguments
    source = f"def f({arguments}):\n    ys = []\n    for {read} in {over}:\n"
    source += f"        ys.append({written(result.expression)})\n    return ys\n"
    assert (evaluate_source(source, rows[:, None, :])[:, 0, 0] == wanted).all()
    assert result.size == size(result.expression)
    return result


@pytest.mark.parametrize(
    ("names", "rows", "function", "text"),
    [
        ("x", grid((0, 9)), lambda x: 7, "7"),
        ("p q k", grid((0, 2), (0, 2), (0, 1)), lambda p, q, k: (p + q + k) // 3, "(p + q + k) // 3"),
        ("x k", grid((0, 1), (0, 4)), lambda x, k: (2 * k + x) % 5, "(x + 2 * k) % 5"),
        ("x k", drawn(3000, (0, 9), (0, 10)), lambda x, k: k + 1 - x % 2, "k + 1 - x % 2"),
        ("x k", drawn(3000, (0, 99), (0, 99)), max, "max(x, k)"),
        ("x k", drawn(3000, (-100, 99), (-100, 99)), lambda x, k: abs(x - k), "abs(x - k)"),
        ("x k", drawn(3000, (-100, 99), (-100, 99)), lambda x, k: abs(x) - abs(k), "abs(x) - abs(k)"),
        ("x k", grid((0, 7), (0, 7)), lambda x, k: x == k, "int(x == k)"),
        ("x e", grid((0, 15), (0, 14)), lambda x, e: (e + x) // 15, "(x + e) // 15"),
        ("x k", drawn(2000, (-9, 9), (-9, 9)), lambda x, k: x if x > k else 0, "x if k < x else 0"),
        ("x", grid((-20, 20)), lambda x: max(-5, min(5, x)), "min(max(x, -5), 5)"),
        ("a b", drawn(2000, (0, 10), (0, 10)), lambda a, b: b > a, "int(a < b)"),
    ],
)
def test_small_formulas_are_found_as_a_person_writes_them(
    names: str, rows: Rows, function: Callable[..., int], text: str
) -> None:
    assert written(found(rows, names, function).expression) == text


@pytest.mark.parametrize(
    ("names", "rows", "function", "text"),
    [
        ("x a b", drawn(20_000, (0, 99), (0, 198), (0, 99)), lambda x, a, b: x + a - b, "x + a - b"),
        ("v p", drawn(500, (-50, 50), (-900, 900)), lambda v, p: v - 2 * p, "v - 2 * p"),
        ("a b", drawn(500, (0, 99), (0, 99)), lambda a, b: 3 * a - 3 * b, "3 * (a - b)"),
        ("a b", drawn(500, (0, 99), (0, 99)), lambda a, b: 5 - a - b, "5 - a - b"),
        ("a b", drawn(500, (0, 99), (0, 99)), lambda a, b: -a - 2, "-a - 2"),
        ("a b c d e f g h", drawn(9000, *[(0, 99)] * 8), lambda *v: v[1] + v[4] + v[6], "b + e + g"),
        ("x a b c", drawn(3000, *[(0, 5)] * 4), lambda *v: sum(v) % 6, "(x + a + b + c) % 6"),
        ("x a b", drawn(3000, *[(0, 5)] * 3), lambda x, a, b: (x - 3 * a + 2) % 12, "(x + 2 - 3 * a) % 12"),
    ],
)
def test_linear_formulas_use_few_variables_and_read_well(
    names: str, rows: Rows, function: Callable[..., int], text: str
) -> None:
    result = found(rows, names, function)
    assert written(result.expression) == text
    assert result.method in ("linear", "modular", "enumeration")


def test_variables_that_depend_on_each_other_leave_the_shortest_combination() -> None:
    base = drawn(500, (0, 9), (0, 9))
    rows = np.concatenate([base, base.sum(axis=1, keepdims=True), base[:, :1]], axis=1)
    result = regress(rows, ("a", "b", "total", "again"), base.sum(axis=1) * 2 + 1)
    assert result is not None
    assert written(result.expression) == "2 * total + 1"


@pytest.mark.parametrize(
    ("names", "rows", "function", "longest"),
    [
        ("x k", grid((0, 1), (-1, 6)), lambda x, k: k if k < 0 else k + 1 - 2 * x, 12),
        ("x", grid((1, 199)), lambda x: x // 2 if x % 2 == 0 else 3 * x + 1, 12),
        ("x k", drawn(3000, (-10, 10), (0, 20)), lambda x, k: min(max(k + x, 0), 20), 9),
        ("x k", drawn(3000, (0, 2), (0, 9)), lambda x, k: (k + 1, k - 1, 0)[x], 12),
        ("x k", drawn(2000, (0, 9), (0, 10)), lambda x, k: k + (x == 3), 8),
    ],
)
def test_conditionals(names: str, rows: Rows, function: Callable[..., int], longest: int) -> None:
    assert found(rows, names, function).size <= longest


@pytest.mark.parametrize("count", [2, 3, pytest.param(4, marks=pytest.mark.slow)])
def test_the_most_frequent_value_ties_to_the_smaller(count: int) -> None:
    rows = drawn(3000, *[(0, 10)] * count)
    result = found(rows, " ".join("abcd"[:count]), lambda *v: v.index(max(v)))
    # Beyond the rows it was found on the rule is the same.
    more = drawn(999, *[(0, 500)] * count)
    given = evaluate(result.expression, {name: more[:, k] for k, name in enumerate("abcd"[:count])})
    assert (given == more.argmax(axis=1)).all()


def test_conditions_are_joined() -> None:
    rows = drawn(3000, (0, 9), (0, 9), (0, 9), (0, 9))
    both = found(rows, "a b c d", lambda a, b, c, d: a < b and c < d)
    assert written(both.expression) == "int((a < b) & (c < d))"
    either = found(rows[:, :3], "a b x", lambda a, b, x: a < b or x == 3)
    assert written(either.expression) == "int((a < b) | (x == 3))"


def test_membership_of_a_few_numbers_is_no_longer_than_the_chain_of_comparisons() -> None:
    chain: Expression = ("==", ("var", "x"), ("const", 0))
    for square in (1, 4, 9, 16):
        chain = ("|", chain, ("==", ("var", "x"), ("const", square)))
    assert found(grid((0, 19)), "x", lambda x: x in (0, 1, 4, 9, 16)).size < size(chain)


def test_bitwise_operators_on_numbers_and_large_products_are_found() -> None:
    rows = drawn(2000, (0, 63), (0, 63))
    assert written(found(rows, "x k", lambda x, k: x & k).expression) == "x & k"
    assert found(rows, "x k", lambda x, k: (x ^ k) | 8).size <= 5
    large = drawn(2000, (-2000, 2000), (-2000, 2000))
    assert written(found(large, "x k", lambda x, k: x * k - k).expression) == "x * k - k"


def test_an_order_of_four_is_found() -> None:
    rows = drawn(3000, *[(0, 10)] * 4)
    assert found(rows, "a b c d", lambda a, b, c, d: c < max(a, b, d)).size <= 10


# ---- what is refused


def test_rows_that_contradict_each_other_have_no_formula() -> None:
    rows = np.array([(1, 2), (3, 4), (1, 2)])
    assert contradicts(rows, np.array([0, 1, 1]))
    assert not contradicts(rows, np.array([0, 1, 0]))
    assert regress(rows, ("a", "b"), np.array([0, 1, 1])) is None
    both = regress_all(rows, ("a", "b"), np.array([(0, 1, 1), (3, 7, 3)]))
    assert both[0] is None
    assert both[1] is not None


@pytest.mark.parametrize("wrong", [0, 1234, 2999])
def test_a_formula_that_misses_one_row_is_not_accepted(wrong: int) -> None:
    """One row of thousands differs: what is returned gives that row too, or nothing is."""
    rows = grid((0, 54), (0, 54))
    wanted = (rows[:, 0] + rows[:, 1]) // 3
    wanted[wrong] += 1
    result = regress(rows, ("a", "b"), wanted, budget=QUICK)
    if result is not None:
        given = evaluate(result.expression, {"a": rows[:, 0], "b": rows[:, 1]})
        assert (given == wanted).all()
        assert written(result.expression) != "(a + b) // 3"


def test_random_numbers_have_no_formula() -> None:
    rows = grid((0, 19), (0, 19))
    wanted = np.random.default_rng(0).integers(0, 50, len(rows))
    assert regress(rows, ("a", "b"), wanted, budget=QUICK) is None


def test_a_formula_longer_than_a_table_is_none() -> None:
    rows = grid(*[(0, 1)] * 8)
    wanted = np.random.default_rng(0).integers(0, 2, len(rows))
    assert regress(rows, tuple("abcdefgh"), wanted, budget=QUICK) is None
    long = regress(rows, tuple("abcdefgh"), wanted, budget=QUICK._replace(longest=10_000))
    assert long is not None
    assert long.size > 64


def test_no_rows_no_formula() -> None:
    assert regress(np.zeros((0, 2), dtype=np.int64), ("a", "b"), np.zeros(0, dtype=np.int64)) is None


def test_a_division_that_is_by_zero_outside_the_selected_rows_is_not_accepted() -> None:
    rows = np.array([(a, b) for a in range(300) for b in (1, 2, 3)] + [(a, 0) for a in range(3)])
    wanted = np.where(rows[:, 1] == 0, rows[:, 0], rows[:, 0] // np.maximum(rows[:, 1], 1))
    result = regress(rows, ("a", "b"), wanted)
    assert result is not None
    assert (evaluate(result.expression, {"a": rows[:, 0], "b": rows[:, 1]}) == wanted).all()


# ---- against formulas that are known


LEAVES = st.sampled_from([("var", "x"), ("var", "k"), ("const", 0), ("const", 1), ("const", 2)])
SHORT = st.recursive(
    LEAVES,
    lambda inner: st.tuples(st.sampled_from(["+", "-", "*", "//", "%", "min", "max", "<", "==", "<="]), inner, inner),
    max_leaves=4,
)


@settings(max_examples=40, deadline=None)
@given(SHORT)
def test_what_a_short_formula_gives_is_found_no_longer_than_it(expression: Expression) -> None:
    rows = drawn(1500, (0, 9), (-4, 9))
    try:
        wanted = evaluate(expression, {"x": rows[:, 0], "k": rows[:, 1]})
    except ZeroDivisionError:
        return
    if size(expression) > 7 or _divides_by_what_may_be_negative(expression):
        return  # the search divides by positive numbers only
    result = regress(rows, ("x", "k"), wanted, budget=QUICK, constants=(0, 1, 2))
    assert result is not None
    assert result.size <= size(expression)
    assert (evaluate(result.expression, {"x": rows[:, 0], "k": rows[:, 1]}) == wanted).all()


def _divides_by_what_may_be_negative(expression: Expression) -> bool:
    if expression[0] in ("//", "%") and expression[2][0] != "const":
        return True
    return any(_divides_by_what_may_be_negative(part) for part in expression[1:] if isinstance(part, tuple))
