"""Boolean formulas against brute force: every function of two and three variables, and many of more."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from engine.synthesis.formulas.boolean import algebraic, boolean, disjunction, symmetric
from engine.synthesis.formulas.expressions import Expression, evaluate, size, written
from engine.synthesis.formulas.table import Column, Rows
from engine.synthesis.formulas.truth_tables import truth_tables


def bits(count: int) -> Rows:
    return np.array(list(product(range(2), repeat=count)), dtype=np.int64)


def value(expression: Expression, rows: Rows, names: str) -> Column:
    return evaluate(expression, {name: rows[:, k] for k, name in enumerate(names)} | {"": np.zeros(len(rows), int)})


def brute_force(count: int, largest: int) -> dict[tuple[int, ...], int]:
    """The size of the shortest formula of `&`, `|`, `^`, `1 - f` (and one comparison on top) for each function, by
    making all of them, without any of the engine's searches."""
    rows = bits(count)
    leaves = [tuple(rows[:, k].tolist()) for k in range(count)] + [(0,) * len(rows), (1,) * len(rows)]
    best = dict.fromkeys(leaves, 1)
    for length in range(3, largest + 1):
        made: set[tuple[int, ...]] = set()
        for f, a in best.items():
            if a + 2 == length:
                made.add(tuple(1 - v for v in f))
            for g, b in best.items():
                if a + b + 1 == length:
                    made |= {
                        tuple(v & w for v, w in zip(f, g)),
                        tuple(v | w for v, w in zip(f, g)),
                        tuple(v ^ w for v, w in zip(f, g)),
                    }
        for f in made:
            best.setdefault(f, length)
    compared = dict(best)
    for f, a in best.items():
        for g, b in best.items():
            for h in (
                tuple(int(v == w) for v, w in zip(f, g)),
                tuple(int(v < w) for v, w in zip(f, g)),
                tuple(int(v <= w) for v, w in zip(f, g)),
            ):
                compared[h] = min(compared.get(h, 99), a + b + 2)
    return compared


@pytest.mark.parametrize(("count", "largest"), [(2, 5), (3, 11)])
def test_every_function_of_two_and_three_variables_is_exact_and_the_shortest(count: int, largest: int) -> None:
    rows, names = bits(count), "abc"[:count]
    shortest = brute_force(count, largest)
    assert len(shortest) == 2 ** len(rows)
    for wanted, length in shortest.items():
        column = np.array(wanted)
        formula = boolean(rows, tuple(names), column)
        assert formula is not None
        assert (value(formula, rows, names) == column).all()
        assert size(formula) <= length


def test_all_functions_of_four_variables_have_a_formula() -> None:
    tables = truth_tables(4)
    assert int(tables.length.max()) <= 19  # the farthest functions
    rng = np.random.default_rng(0)
    rows = bits(4)
    for code in rng.integers(0, 2**16, 200).tolist():
        given = evaluate(tables.formula(code), {k: rows[:, k] for k in range(4)})  # type: ignore[misc]
        assert given.tolist() == [code >> row & 1 for row in range(16)]
        assert size(tables.formula(code)) == tables.length[code]


def test_rows_that_were_never_seen_are_free() -> None:
    rows = np.array([(0, 0, 1), (0, 1, 1), (1, 0, 0), (1, 1, 0)])
    formula = boolean(rows, ("a", "b", "c"), rows[:, 0] & rows[:, 1])
    assert formula is not None
    assert written(formula) == "a & b"
    assert boolean(rows, ("a", "b", "c"), 1 - rows[:, 2]) == ("var", "a")


@pytest.mark.parametrize("count", [5, 6, 7])
def test_sums_of_bits_are_recognised(count: int) -> None:
    rows, names = bits(count), "abcdefg"[:count]
    total = rows.sum(axis=1)
    chain, sum_of = " ^ ".join(names), " + ".join(names)
    for wanted, text in (
        (total % 2, chain),
        (1 - total % 2, f"1 - ({chain})"),
        ((total > 1).astype(np.int64), f"int({sum_of} > 1)"),
        ((total < 3).astype(np.int64), f"int({sum_of} < 3)"),
        ((total == 2).astype(np.int64), f"int({sum_of} == 2)"),
        ((total % 3 == 1).astype(np.int64), f"int(({sum_of}) % 3 == 1)"),
    ):
        formula = boolean(rows, tuple(names), wanted)
        assert formula is not None
        assert written(formula) == text
        assert formula in list(symmetric(rows, tuple(names), wanted))


@pytest.mark.parametrize("count", [5, 6])
def test_a_disjunction_and_an_algebraic_normal_form_give_any_function(count: int) -> None:
    rows, names = bits(count), tuple("abcdef"[:count])
    rng = np.random.default_rng(count)
    for share in (0.1, 0.5, 0.9):
        wanted = (rng.random(len(rows)) < share).astype(np.int64)
        for formula in (disjunction(rows, names, wanted), algebraic(rows, names, wanted)):
            assert formula is not None
            assert (value(formula, rows, "".join(names)) == wanted).all()
    product_of_two = rows[:, 0] & rows[:, 1] ^ rows[:, 2] & rows[:, 4]
    formula = algebraic(rows, names, product_of_two)
    assert formula is not None
    assert written(formula) == "a & b ^ c & e"


def test_a_disjunction_has_prime_implicants_only() -> None:
    """McCluskey's example: 1 on 4, 8, 10, 11, 12, 15 and free on 9, 14 is three products."""
    rows = bits(4)
    known = np.array([row not in (9, 14) for row in range(16)])
    wanted = np.isin(np.arange(16), (4, 8, 10, 11, 12, 15)).astype(np.int64)
    formula = disjunction(rows[known], ("a", "b", "c", "d"), wanted[known])
    assert (value(formula, rows[known], "abcd") == wanted[known]).all()
    assert str(formula).count("'|'") == 2


def test_numbers_are_no_bits() -> None:
    assert boolean(np.array([(0, 2)]), ("a", "b"), np.array([1])) is None
    assert boolean(bits(1), ("a",), np.array([0, 2])) is None
