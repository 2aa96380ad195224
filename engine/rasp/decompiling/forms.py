"""The functions that are tried on a table, with what each costs: those of the sampler's pool first, then simple forms
with constants out of the table, then two of the pool one after the other. And values and functions as text."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from typing import Any

from engine.rasp.functions import Function, Value, constant
from engine.rasp.sampling.pools import FUNCTIONS, MAPS, SEQUENCE_MAPS
from engine.rasp.value_sets import ValueSet

CLOSE = 1e-4  # of a number in the weights, relative beyond 1
COMPOSED, TABLE = 0.6, 3.0  # what a function costs that is two of the pool, or a table


def simple_functions(
    x: ValueSet, kinds: tuple[str, str], outputs: Sequence[Any] | None
) -> Iterator[tuple[float, Function]]:
    """The pool of those encodings, the rest of the pool, and forms with constants out of the table."""
    seen: set[Function] = set()
    cost = 0.0
    for (source, to), pool in MAPS.items():
        if (
            "categorical" if source == "categorical" else "numerical",
            "categorical" if to == "categorical" else "numerical",
        ) == kinds:
            for f in pool:
                if f not in seen:
                    seen.add(f)
                    yield cost, f
                    cost += 0.001
    for f in FUNCTIONS:
        if f.arity == 1 and f not in seen:
            seen.add(f)
            yield 0.1 + cost, f
            cost += 0.001
    for body in _forms(x, outputs):
        f = parsed("x", body)
        if f not in seen:
            seen.add(f)
            yield 0.2 + cost, f
            cost += 0.001


def _forms(x: ValueSet, outputs: Sequence[Any] | None) -> Iterator[str]:
    values = x.values
    numeric = all(isinstance(v, int | float) for v in values)
    if outputs is not None:
        given = [plain(o) for o in outputs]
        if all(same(o, given[0]) for o in given):
            yield text_of(given[0])
        truth = [bool(o) for o in given if isinstance(o, int | float)]
        if len(truth) == len(values) and all(o in (0, 1) for o in given):
            yield from _tests(values, truth)
        if numeric and len(given) == len(values) and all(isinstance(o, int | float) for o in given):
            a, b = values[0], given[0]
            yield f"x + {text_of(plain(b - a))}" if b >= a else f"x - {text_of(plain(a - b))}"
            yield f"{text_of(plain(a + b))} - x"
            for v, o in zip(values, given):
                if v and o:
                    yield f"x * {text_of(plain(o / v))}"
                    yield f"x / {text_of(plain(v / o))}"
                    yield f"{text_of(plain(o * v))} / x"
                    break
            if len(values) > 1 and values[-1] != values[0]:
                slope = plain((given[-1] - given[0]) / (values[-1] - values[0]))
                shift = plain(given[0] - slope * values[0])
                yield (
                    f"x * {text_of(slope)} + {text_of(shift)}"
                    if shift >= 0
                    else f"x * {text_of(slope)} - {text_of(-shift)}"
                )
            yield from ("-x", "abs(x)", "x * x", "round(x)", "1 / x", "1 / (x + 1)")
    if numeric:
        yield from (f"x {op} {n}" for op in ("%", "//") for n in (2, 3, 4, 5))


def _tests(values: Sequence[Value], truth: Sequence[bool]) -> Iterator[str]:
    on = [v for v, t in zip(values, truth) if t]
    off = [v for v, t in zip(values, truth) if not t]
    if len(on) == 1:
        yield f"x == {text_of(on[0])}"
    if len(off) == 1:
        yield f"x != {text_of(off[0])}"
    if on and off and all(isinstance(v, int | float) for v in values):
        if min(on) > max(off):
            yield f"x > {text_of(max(off))}"
            yield f"x >= {text_of(min(on))}"
        elif max(on) < min(off):
            yield f"x < {text_of(min(off))}"
            yield f"x <= {text_of(max(on))}"
    if on and off:
        yield f"x in {tuple_of(on)}" if len(on) <= len(off) else f"x not in {tuple_of(off)}"


_PAIRS = tuple(
    Function.parse(f"lambda x, y: {body}")
    for body in (
        "x + y",
        "(x, y)",
        "(x, -y)",
        "min(x, y)",
        "max(x, y)",
        "x == y",
        "x != y",
        "x < y",
        "x <= y",
        "x % y",
        "x // y",
        "x / y",
        "x + y - 1",
        "x - y - 1",
        "x - y + 1",
        "x",
    )
)


def pair_functions() -> Iterator[tuple[float, Function]]:
    for i, f in enumerate((*SEQUENCE_MAPS, *_PAIRS)):
        yield 0.001 * i + (0.1 if i >= len(SEQUENCE_MAPS) else 0.0), f


_compositions: list[tuple[float, Function]] = []


def compositions() -> list[tuple[float, Function]]:
    if not _compositions:
        single = [f for f in FUNCTIONS if f.arity == 1 and f.text != "lambda x: x"]
        for outer in single:
            for inner in single:
                _compositions.append((COMPOSED, outer.after(inner)))
    return _compositions


def same(a: Value, b: Value) -> bool:
    if isinstance(a, int | float) and isinstance(b, int | float):
        return abs(a - b) <= CLOSE * max(1.0, abs(b))
    return bool(a == b)


def text_of(value: Value) -> str:
    return ast.unparse(constant(value))


def tuple_of(values: Sequence[Value]) -> str:
    return "(" + ", ".join(map(text_of, values)) + ("," if len(values) == 1 else "") + ")"


def parsed(names: str, body: str) -> Function:
    key = f"lambda {names}: {body}"
    found = _functions.get(key)
    if found is None:
        if len(_functions) > 20_000:
            _functions.clear()
        found = _functions[key] = Function.parse(key)
    return found


_functions: dict[str, Function] = {}


def plain(value: Value) -> Value:
    """A float that is a whole number as an int, else with the digits that float32 carries."""
    if isinstance(value, float):
        if value == int(value):
            return int(value)
        return float(f"{value:.6g}")
    return value
