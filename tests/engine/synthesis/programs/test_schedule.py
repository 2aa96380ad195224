"""The text of a loop does what the loop does, however its lines are ordered and shared."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.synthesis.formulas.expressions import Expression
from engine.synthesis.programs.emission import description_length, emit_loop
from engine.synthesis.programs.evaluator import evaluate
from engine.synthesis.programs.loop import Loop
from engine.synthesis.programs.schedule import combination, linear


def var(name: str) -> Expression:
    return ("var", name)


def lines(loop: Loop) -> list[str]:
    text = emit_loop(loop, "made").splitlines()
    start = next(k for k, line in enumerate(text) if line.strip().startswith("for "))
    return [line.strip() for line in text[start + 1 : -1]]


def test_a_later_line_uses_what_an_earlier_one_computed() -> None:
    faster: Expression = ("+", var("v"), var("x"))
    loop = Loop(("x",), ("pos", "v"), (0, 0), (("+", var("pos"), faster), faster), (var("pos"),), from_new=True)
    assert lines(loop) == ["v += x", "pos += v", "ys.append(pos)"]


def test_what_is_computed_twice_has_a_name() -> None:
    value: Expression = ("+", ("*", ("const", 2), var("r")), var("x"))
    loop = Loop(("x",), ("r",), (0,), (("%", value, ("const", 3)),), (("//", value, ("const", 3)),))
    assert lines(loop) == ["v = 2 * r + x", "y = v // 3", "r = v % 3", "ys.append(y)"]


def test_a_shift_register_moves_all_at_once() -> None:
    loop = Loop(("x",), ("a", "b"), (0, 0), (var("x"), var("a")), (var("b"),))
    assert lines(loop) == ["y = b", "a, b = x, a", "ys.append(y)"]


NAMES = ("a", "b", "c", "x")
COEFFICIENTS = st.lists(st.integers(-2, 2), min_size=5, max_size=5)


@settings(max_examples=150, deadline=None)
@given(rows=st.lists(COEFFICIENTS, min_size=3, max_size=3), read=COEFFICIENTS, new=st.booleans())
def test_linear_loops_keep_their_meaning(rows: list[list[int]], read: list[int], new: bool) -> None:
    def formula(row: list[int]) -> Expression:
        return combination(dict(zip((*NAMES, ""), row)))

    loop = Loop(("x",), ("a", "b", "c"), (0, 1, -1), tuple(map(formula, rows)), (formula(read),), from_new=new)
    x = np.random.default_rng(0).integers(-3, 4, (20, 5, 1))
    np.testing.assert_array_equal(evaluate(emit_loop(loop, "made"), x), loop.run(x)[1])


@given(COEFFICIENTS)
def test_a_combination_has_the_coefficients_it_was_made_of(row: list[int]) -> None:
    told = linear(combination(dict(zip((*NAMES, ""), row))))
    assert told is not None
    assert [told.get(name, 0) for name in (*NAMES, "")] == row


def test_tokens_are_counted_without_brackets_and_the_docstring() -> None:
    assert description_length('def f(s):\n    """Words, words."""\n    return (s)\n') == 5
