"""One turn of a loop: columns and solver terms against Python itself, and what is refused."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import z3

from engine.synthesis.checks.numbers import Numbers, TooLargeError
from engine.synthesis.checks.terms import Terms
from engine.synthesis.checks.transitions import NotCoveredError, transition
from engine.synthesis.checks.turns import turn

LOOP = """def f(s, t):
    {start}
    ys = []
    for p, q in zip(s, t):
        y = {body}
        ys.append(y)
    return ys
"""
NUMBERS = range(-17, 18)


def computed(body: str, p: int, q: int, start: str = "k = 0", width: int = 8) -> tuple[int, int]:
    """The output for one input pair: with columns, and by the solver with both inputs unknown but fixed."""
    of = transition(LOOP.format(start=start, body=body))
    _, (column,) = turn(
        of, {name: np.array([value]) for name, value in of.start.items()}, [np.array([p]), np.array([q])], Numbers()
    )
    terms, x, y = Terms(width), z3.Int("x"), z3.Int("y")
    _, (term,) = turn(of, {name: z3.Int(name) for name in of.start}, [x, y], terms)
    solver = z3.Solver()
    solver.add(x == p, y == q, *[z3.Int(name) == value for name, value in of.start.items()], *terms.required)
    assert solver.check() == z3.sat, "what is required does not hold"
    return int(np.broadcast_to(column, 1)[0]), solver.model().eval(term + z3.IntVal(0), model_completion=True).as_long()


@pytest.mark.parametrize("divisor", [-16, -7, -3, -2, -1, 1, 2, 3, 5, 15])
def test_quotient_and_remainder_round_down_as_pythons_do(divisor: int) -> None:
    terms, x = Terms(), z3.Int("x")
    quotient, remainder = terms.divided(x, divisor), terms.remainder(x, divisor)
    for value in (*NUMBERS, -(10**6) - 1, 10**6 + 3):
        given = [(x, z3.IntVal(value))]
        assert z3.simplify(z3.substitute(quotient, *given)).as_long() == value // divisor
        assert z3.simplify(z3.substitute(remainder, *given)).as_long() == value % divisor


@pytest.mark.parametrize(
    "body",
    [
        "p // -3 + q % -4",
        "abs(p - q) + min(p, q, 3) - max(p, -q)",
        "(p < q) + 2 * (p <= q) + 4 * (p == q) + 8 * (p != q) + 16 * (p > q) + 32 * (p >= q)",
        "p if q > 0 else -q",
        "p and q",
        "p or q",
        "p and q or 7",
        "not p",
        "0 < p < q < 9",
        "int(p > 2) + bool(q)",
        "(p == 1 or q == 2) and p - 1",
        "1 if p % 3 else 0",
        "p * q - p * p + k",
    ],
)
def test_expressions_are_what_python_says(body: str) -> None:
    code = compile(body, "body", "eval")
    for p, q in product((-17, -4, -1, 0, 1, 2, 3, 8, 16), repeat=2):
        wanted = int(eval(code, {"p": p, "q": q, "k": 5}))  # noqa: S307 - the texts above
        assert computed(body, p, q, start="k = 5") == (wanted, wanted), (p, q)


@pytest.mark.parametrize("body", ["p & q", "p | q", "p ^ q", "(p ^ q) & 5 | p"])
def test_bitwise_operations(body: str) -> None:
    code = compile(body, "body", "eval")
    for p, q in product((0, 1, 2, 5, 100, 255), repeat=2):
        wanted = eval(code, {"p": p, "q": q})  # noqa: S307 - the texts above
        assert computed(body, p, q) == (wanted, wanted)
    for p, q in product((0, 1), repeat=2):
        assert computed("p & q ^ (p | q)", p, q, width=1)[1] == p & q ^ (p | q)


def test_bits_of_other_numbers_are_not_claimed() -> None:
    for p, q in ((256, 1), (1, -1)):
        with pytest.raises(AssertionError, match="required"):
            computed("p ^ q", p, q)
    # Where they are not reached, nothing is required of them.
    assert computed("p ^ q if p >= 0 else 3", -1, 1) == (3, 3)


def test_tables_and_their_missing_keys() -> None:
    table = "g = {(0, 1): 4, (1, 0): 7}"
    assert computed("g[p, q]", 1, 0, start=table) == (7, 7)
    assert computed("g[p, q] if p != q else -1", 3, 3, start=table) == (-1, -1)
    with pytest.raises(NotCoveredError, match="no entry"):
        computed("g[p, q]", 1, 1, start=table)
    with pytest.raises(NotCoveredError, match="another size"):
        computed("g[p]", 1, 1, start=table)


def test_numbers_never_wrap() -> None:
    of = transition(LOOP.format(start="v = 1", body="p").replace("y = p", "y = v = v * 65536"))
    state = turn(of, {"v": 1}, [np.array([0])] * 2, Numbers())[0]
    with pytest.raises(TooLargeError):
        turn(of, state, [np.array([0])] * 2, Numbers())


GOOD = """def f(s, t):
    c = 0
    ys = []
    for p, q in zip(s, t):
        c = p
        ys.append(c)
    return ys
"""


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("return ys", "return s", "returning"),
        ("zip(s, t)", "zip(t, s)", "in their order"),
        ("zip(s, t)", "zip(s, s)", "in their order"),
        ("ys.append(c)", "ys.append(c)\n        ys.append(c)", "once per turn"),
        ("ys.append(c)", "if p:\n            ys.append(c)", "under a condition"),
        ("    return", "    c = 1\n    return", "neither"),
        ("c = p", "c = p // 0", "divides by 0"),
        ("c = 0", "c = (1, 2)", "two things"),
        ("c = p", "d = d + 1 if p else c", "no value"),
        ("c = 0", "c = len(s)", "more than a number"),
        ("c = 0", "s = 0", "two things"),
        ("c = p", "c = len(s)", "it calls len|no value"),
        ("c = p", "c = (p, q) == (q, p)", "uses"),
        ("c = p", "import os", "not allowed"),
    ],
)
def test_what_the_proof_would_not_be_about_is_refused(old: str, new: str, why: str) -> None:
    assert old in GOOD
    with pytest.raises(NotCoveredError, match=why):
        turn(transition(GOOD.replace(old, new)), {"c": 0}, [np.array([1]), np.array([2])], Numbers())
    turn(transition(GOOD), {"c": 0}, [np.array([1]), np.array([2])], Numbers())
