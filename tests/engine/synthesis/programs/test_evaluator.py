"""The evaluator: the same numbers as Python on what it accepts, and a sentence for everything else."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.synthesis.programs import evaluator
from engine.synthesis.programs.evaluator import evaluate, parse, trace
from engine.synthesis.programs.sandbox import Sandbox
from sessions.errors import CallError, IwbError


def adder(s: list[int], t: list[int]) -> list[int]:
    c = 0
    ys = []
    for p, q in zip(s, t):
        ys.append((p + q + c) % 2)
        c = (p + q + c) // 2
    return ys


def branches(s: list[int], t: list[int]) -> list[tuple[int, int]]:
    table = {(0, 0): (1, 2), (0, 1): (3, -4), (1, 0): (5, 6), (1, 1): (7, 8)}
    row = (10, 20, 30)
    a = b = 0
    ys = []
    for p, q in zip(s, t):
        if p < q and not a > 3:
            a += 1
        elif p > q or b < -50:
            b -= abs(q) + 2
        else:
            a, b = b, a
        d = 12 // p if p else min(q, 1, a) - max(b, 0)
        u, v = table[p > 0, q > 0]
        ys.append((d + u + row[a % 3] * len(s), v ^ (b & 7) | int(0 <= p <= q) + -p % 5))
    return ys


def own_names(s: list[int], t: list[int]) -> list[int]:
    """A docstring."""
    k = 0
    ys = []
    for x in s:
        for z in t:
            k = (k + x * z) % 7
        ys.append(k)
    return ys


@pytest.mark.parametrize("native", [adder, branches, own_names])
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_it_gives_what_python_gives(native: Callable[..., Any], data: st.DataObject) -> None:
    rows = data.draw(st.lists(st.lists(st.integers(-3, 3), min_size=12, max_size=12), min_size=1, max_size=6))
    x = np.array(rows).reshape(len(rows), 6, 2)
    if native is adder:
        x = np.abs(x)
    source = textwrap.dedent(inspect.getsource(native))
    got = evaluate(source, x)
    for row, ys in zip(x, got.tolist()):
        wanted = native(row[:, 0].tolist(), row[:, 1].tolist())
        assert ys == [list(y) if isinstance(y, tuple) else [y] for y in wanted]


def body(line: str) -> str:
    return f"def f(s):\n    ys = []\n    for x in s:\n        {line}\n        ys.append(x)\n    return ys\n"


@pytest.mark.parametrize(
    "source",
    [
        "import os\n",
        body("import os"),
        body("from os import system"),
        body("__import__('os').system('true')"),
        body("open('/etc/passwd')"),
        body("eval('1')"),
        body("exec('1')"),
        body("print(x)"),
        body("x.__class__"),
        body("x = s.__class__.__bases__"),
        body("ys.extend(ys)"),
        body("ys.append.__self__"),
        body("x = __builtins__"),
        body("x = 9 ** 9 ** 9"),
        body("x = 1 << 10000000000"),
        body("x = 'a' * 10000000000") + "#",
        body("x = 10000000000"),
        body("x = 1.5"),
        body("x = None"),
        body("x = f'{x}'"),
        body("x = lambda: 1"),
        body("x = [z for z in s]"),
        body("x = (y := 1)"),
        body("while True: pass"),
        body("global q"),
        body("del x"),
        body("assert x"),
        body("raise x"),
        body("try:\n            pass\n        finally:\n            pass"),
        body("with x: pass"),
        body("yield x"),
        body("x = max(*s)"),
        body("x = int(x=1)"),
        "def f(s):\n    def g(t):\n        return t\n    return s\n",
        "async def f(s):\n    return s\n",
        "class f:\n    pass\n",
        "@print\ndef f(s):\n    return s\n",
        "def f(s, t=[]):\n    return s\n",
        "def f(*s):\n    return s\n",
        "def f():\n    return 1\n",
        "def f(s):\n    return s\nprint(1)\n",
        "x = 1\n",
        "",
        "def f(s:\n",
        "def f(s):\n    return " + "(" * 500 + "s" + ")" * 500 + "\n",
        "def f(s):\n    return s\x00\n",
    ],
)
def test_what_is_not_on_the_list_is_refused_before_it_runs(source: str) -> None:
    with pytest.raises(IwbError) as caught:
        evaluate(source, np.zeros((1, 2, 1), dtype=np.int64))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("x = x // 0", "division by zero"),
        ("x = x % (x - x)", "division by zero"),
        ("x = k", "k has no value"),
        ("x = (1, 2)[5]", "no entry 5"),
        ("x = {3: 4}[x]", "no entry"),
        ("x = s + 1", "where a number belongs"),
        ("x, z = 1", "do not match"),
        ("return ys", "return"),
        ("x = max(1)", "max does not take that"),
    ],
)
def test_what_fails_while_running_says_why(line: str, says: str) -> None:
    with pytest.raises(IwbError, match=says):
        evaluate(body(line), np.zeros((2, 3, 1), dtype=np.int64))


def test_numbers_and_lists_cannot_grow_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    square = (
        "def f(s):\n    k = 3\n    ys = []\n    for x in s:\n        k = k * k\n        ys.append(k)\n    return ys\n"
    )
    with pytest.raises(IwbError, match=r"2\*\*31"):
        evaluate(square, np.zeros((1, 60, 1), dtype=np.int64))
    doubling = (
        "def f(s):\n    ys = [0]\n    for x in s:\n        for y in ys:\n            ys.append(y)\n    return ys\n"
    )
    with pytest.raises(IwbError, match="more than"):
        evaluate(doubling, np.zeros((1, 60, 1), dtype=np.int64))
    deep = "def f(s):\n" + "    for x in s:\n".replace("    ", "    ", 1)
    for level in range(1, 4):
        deep += "    " * (level + 1) + "for x in s:\n"
    with pytest.raises(IwbError, match="nested deeper"):
        evaluate(deep + "    " * 5 + "pass\n    return s\n", np.zeros((1, 3, 1), dtype=np.int64))
    monkeypatch.setattr(evaluator, "MOST_STEPS", 1000)
    with pytest.raises(IwbError, match="1,000 steps"):
        evaluate(body("x = x + 1"), np.zeros((1, 500, 1), dtype=np.int64))


def test_a_chain_too_long_to_follow_is_refused() -> None:
    with pytest.raises(CallError):
        evaluate(body("x = " + "-" * 20_000 + "x"), np.zeros((1, 2, 1), dtype=np.int64))


def test_a_branch_not_taken_does_no_harm() -> None:
    source = body("x = 6 // x if x else -1")
    x = np.array([[0, 1, 2], [3, 0, 0]])[:, :, None]
    assert evaluate(source, x)[:, :, 0].tolist() == [[-1, 6, 3], [2, -1, -1]]
    both = body("x = int(x > 0 and 6 // x > 2)")
    assert evaluate(both, x)[:, :, 0].tolist() == [[0, 1, 1], [0, 0, 0]]


def test_the_number_of_sequences_must_fit() -> None:
    with pytest.raises(CallError, match="takes 2 sequences"):
        evaluate("def f(s, t):\n    return s\n", np.zeros((1, 2, 1), dtype=np.int64))
    assert len(parse("def f(s, t):\n    return s\n").args.args) == 2


def test_a_trace_shows_the_variables_after_each_step() -> None:
    source = (
        "def f(s):\n    c = 0\n    ys = []\n    for x in s:\n        c = c ^ x\n        ys.append(c)\n    return ys\n"
    )
    y, turns = trace(source, np.array([[1, 1, 0]])[:, :, None])
    assert y[0, :, 0].tolist() == [1, 0, 0]
    assert turns == [{"c": [1], "x": [1]}, {"c": [0], "x": [1]}, {"c": [0], "x": [0]}]


def test_the_sandbox_gives_the_same_answers_and_passes_errors_on() -> None:
    source = textwrap.dedent(inspect.getsource(adder))
    x = np.random.default_rng(0).integers(0, 2, (200, 9, 2))
    with Sandbox(source) as sandbox:
        assert (sandbox.outputs(x) == evaluate(source, x)).all()
        assert (sandbox.outputs(x - 1) == evaluate(source, x - 1)).all()
        assert sandbox.trace(x[:1])[1] == trace(source, x[:1])[1]
    with Sandbox(body("import os")) as sandbox, pytest.raises(CallError, match="Import"):
        sandbox.outputs(x[:, :, :1])
    with Sandbox(body("x = 1 // 0")) as sandbox, pytest.raises(IwbError, match="division by zero"):
        sandbox.outputs(x[:, :, :1])


def test_a_program_that_takes_too_long_is_stopped() -> None:
    loops = "    for x in s:\n        for z in s:\n            k = (k * 3 + x % 7) % 1001\n"
    slow = f"def f(s):\n    k = 0\n{loops}    return s\n"
    with Sandbox(slow, seconds=1.0) as sandbox:
        with pytest.raises(IwbError, match="within 1 seconds"):
            sandbox.outputs(np.zeros((20_000, 300, 1), dtype=np.int64))
        child = sandbox.child
    assert child.poll() is not None
