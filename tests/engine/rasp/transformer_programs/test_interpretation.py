"""A file from a stranger: what is refused, and that nothing in it ever runs."""

from __future__ import annotations

import numpy as np
import pytest

from engine.rasp.transformer_programs.interpretation import ProgramText, closest
from engine.rasp.transformer_programs.library import library
from sessions.errors import CallError, IwbError

TOKENS = np.array([[0, 1, 1], [1, 0, 0]])


def run(body: str, before: str = "", causal: bool = False) -> list[list[object]]:
    text = "\n\n".join([*library(causal).values(), before, f"def run(tokens):\n{body}"])
    column = ProgramText(text).outputs(("a", "b"), TOKENS)
    return [[column.values[c] for c in row] for row in column.codes]


def test_a_small_program() -> None:
    same = "def same(q, k):\n    return q == k"
    ones = "    ones = [1 for t in tokens]\n"
    counted = "    n = aggregate_sum(select(tokens, tokens, same), ones)\n    return n[0:]"
    assert run(ones + counted, same) == [[1, 2, 2], [1, 2, 2]]
    assert run(ones + counted, same, causal=True) == [[1, 1, 2], [1, 1, 2]]
    body = '    tokens = ["<s>"] + tokens\n    return tokens'
    assert run(body) == [["<s>", "a", "b", "b"], ["<s>", "b", "a", "a"]]


def test_the_closest_match() -> None:
    matches = np.array([[[1, 0, 1, 1], [1, 0, 1, 0], [1, 1, 1, 0], [0, 0, 0, 0]]], dtype=bool)
    assert closest(matches).tolist() == [[2, 0, 1, 0]]
    assert closest(np.eye(3, dtype=bool)[None]).tolist() == [[0, 1, 2]]


@pytest.mark.parametrize(
    ("before", "body"),
    [
        ("import os", "    return tokens"),
        ("x = __import__('os')", "    return tokens"),
        ("x = [1 for _ in range(10)]", "    return tokens"),
        ("def f(t):\n    return t.upper()", "    return [f(t) for t in tokens]"),
        ("def f(t):\n    while True:\n        pass", "    return [f(t) for t in tokens]"),
        ("def f(t):\n    return f(t)", "    return [f(t) for t in tokens]"),
        ("def f(t):\n    return 2 ** 99", "    return [f(t) for t in tokens]"),
        ("def f(t=print()):\n    return t", "    return [f(t) for t in tokens]"),
        ("class A:\n    pass", "    return tokens"),
        ("", "    print(tokens)\n    return tokens"),
        ("", "    return eval('tokens')"),
        ("", "    return [t for t in tokens]"),
        ("", "    for t in tokens:\n        pass\n    return tokens"),
        ("", "    tokens = tokens"),
        ("", "    return unknown"),
        ("", "    return tokens[0]"),
        ("", "    return classify(tokens, tokens)"),
        ("", "    return look_up(NOTHING, tokens)"),
        ("", "    return aggregate_sum(select(tokens, tokens, f), tokens)"),
        ("def aggregate(chosen, values):\n    return values", "    return tokens"),
        ("@print\ndef f(t):\n    return t", "    return tokens"),
    ],
)
def test_what_is_refused(before: str, body: str) -> None:
    with pytest.raises(CallError):
        run(body, before)


def test_an_entry_that_is_not_there_is_a_failure_of_the_program() -> None:
    with pytest.raises(IwbError, match="'b'"):
        run("    return look_up(T, tokens)", 'T = {"a": 1}')


def test_what_is_no_program_at_all() -> None:
    for text in ("", "def run(tokens:", "x" * 3_000_000, "def run():\n    return 1", "((((" * 5_000):
        with pytest.raises(CallError):
            ProgramText(text)


def test_lists_cannot_grow_for_ever_nor_work() -> None:
    with pytest.raises(CallError, match="elements"):
        run("\n".join(["    tokens = tokens + tokens"] * 60 + ["    return tokens"]))
    deep = "def f(t):\n    return " + "+".join(["1"] * 50_000)
    with pytest.raises(CallError):
        run("    return [f(t) for t in tokens]", deep)
    long = "def f(a, b):\n" + "    x = (a, b)\n" * 40_000 + "    return 1"
    with pytest.raises(CallError, match="combinations"):
        ProgramText(
            long + "\n\ndef run(tokens):\n    p = list(range(len(tokens)))\n    return [f(a, b) for a, b in zip(p, p)]"
        ).outputs(("a",), np.zeros((1, 400), dtype=np.int64))


def test_sums_cannot_grow_for_ever() -> None:
    every = "def every(q, k):\n    return True"
    lines = ["    n = [1 for t in tokens]", *["    n = aggregate_sum(select(tokens, tokens, every), n)"] * 60]
    with pytest.raises(CallError, match="too large"):
        run("\n".join([*lines, "    return n"]), every)
