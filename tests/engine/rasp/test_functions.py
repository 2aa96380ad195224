"""Functions are text that means what Python means, of a small kind, and never more than that."""

from __future__ import annotations

import contextlib

import pytest

from engine.rasp.functions import Function
from sessions.errors import CallError


@pytest.mark.parametrize(
    "text",
    [
        "lambda x: x + 1",
        "lambda x: -x * 2 - 3 / 4 // 5 % 6",
        "lambda x: 1 < x <= 3 or x in (5, 6) and not x == 6",
        "lambda x: 'a' if x > 2 else None",
        "lambda x: (x, str(x))[1]",
        "lambda x: {0: 'n', 1: 'o', 2: True, 3: 1.5, 4: None, 5: (), 6: -1}[x]",
        "lambda x: max(x, 3) + min(2, x) + abs(-x) + round(x / 4) + len('abc') + int('7') + float(x) + bool(x)",
        "lambda x: 'ab' * x",
    ],
)
def test_it_is_python(text: str) -> None:
    ours, python = Function.parse(text), eval(text)  # noqa: S307
    assert [ours(x) for x in range(7)] == [python(x) for x in range(7)]
    assert Function.parse(ours.text) == ours


@pytest.mark.parametrize(
    "text",
    [
        "lambda x: x.real",
        "lambda x: open(x)",
        "lambda x: [x]",
        "lambda x: [y for y in x]",
        "lambda x: x ** 9",
        "lambda x: f'{x}'",
        "lambda x: (lambda y: y)(x)",
        "lambda x: {x: 1}[0]",
        "lambda x: y",
        "x + 1",
        "lambda x:",
    ],
)
def test_nothing_else_is_read(text: str) -> None:
    with pytest.raises(CallError):
        Function.parse(text)


def test_failures_are_value_and_type_errors() -> None:
    for text in (
        "lambda x: {0: 1}[x]",
        "lambda x: (1, 2)[x]",
        "lambda x: 'aaaa' * 10 * 10 * 1000000",
        "lambda x: int('a')",
    ):
        with pytest.raises(ValueError):
            Function.parse(text)(7)
    with pytest.raises(TypeError):
        Function.parse("lambda x: '%9999999999d' % x")(7)


@pytest.mark.parametrize("text", ["x * x", "x + x", "(x, x)", "x - -x * x"])
@pytest.mark.parametrize("start", [3, "ab", (1, 2)])
def test_no_value_grows_without_end(text: str, start: object) -> None:
    """Sixty doublings or squarings would fill any memory."""
    value, f = start, Function.parse(f"lambda x: {text}")
    with contextlib.suppress(ValueError, TypeError):
        for _ in range(60):
            value = f(value)
    assert len(repr(value)) < 200_000


def test_a_tuple_of_long_words_counts_their_characters() -> None:
    with pytest.raises(ValueError, match="too long"):
        Function.parse("lambda x: str(('a' * 10000,) * 9999)")(7)


def test_no_number_of_places_takes_forever() -> None:
    with pytest.raises(ValueError, match="places"):
        Function.parse("lambda x: round(x, -1000000000)")(7)
    assert Function.parse("lambda x: round(x / 3, 2)")(7) == 2.33


def test_no_function_grows_without_end() -> None:
    """Map(f, Map(f, ...)) is one function; of a square, its text doubles with every map."""
    f = g = Function.parse("lambda x: x * x")
    made = 0
    with contextlib.suppress(CallError):
        while made < 60:
            g = f.after(g)
            made += 1
    assert 5 < made < 20
    assert len(g.text) < 100_000


def test_compositions() -> None:
    f, g = Function.parse("lambda a: a * 2"), Function.parse("lambda b: b + 1")
    assert f.after(g).text == "lambda x: (x + 1) * 2"
    h = Function.parse("lambda key, query: key - query")
    assert (h(5, 2), h.swapped()(5, 2), h.diagonal()(5)) == (3, -3, 0)
    assert h.text == "lambda x, y: x - y"
    python = Function.opaque(lambda v: v * 3, "triple", 1)
    assert f.after(python)(2) == 12
    assert python != Function.opaque(lambda v: v * 3, "triple", 1)
