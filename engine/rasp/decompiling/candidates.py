"""Functions and comparisons that fit a table: those of the sampler's pool first, then simple forms, then the table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from engine.rasp.attention import matrix
from engine.rasp.decompiling.parts import NONE, Bools
from engine.rasp.functions import Function, Value, constant
from engine.rasp.language import Comparison, Predicate
from engine.rasp.sampling.pools import FUNCTIONS, MAPS, SEQUENCE_MAPS
from engine.rasp.value_sets import DROPPED, NOTHING, Image, ValueSet, image, image_of_pairs
from sessions.errors import CallError

CLOSE = 1e-4  # of a number in the weights, relative beyond 1
MOST_SHOWN = 12  # functions of an equivalence class
COMPOSED, TABLE = 0.6, 3.0  # what a function costs that is two of the pool, or a table

ORDER = (
    Comparison.EQ,
    Comparison.LT,
    Comparison.LEQ,
    Comparison.GT,
    Comparison.GEQ,
    Comparison.NEQ,
    Comparison.TRUE,
    Comparison.FALSE,
)


class Candidate(NamedTuple):
    function: Function
    values: tuple[Value, ...]  # per output code; of a number: what it gives per input
    cost: float
    others: tuple[str, ...] = ()  # functions that give the same on these inputs
    swapped: bool = False  # the arguments are to be taken the other way round


Wanted = tuple[Value, ...] | None  # values of the output codes, where they are known


def maps(
    x: ValueSet, codes: Sequence[int], size: int, wanted: Wanted, kinds: tuple[str, str]
) -> list[Candidate]:
    """Functions of one value that send x[i] to output code codes[i] (NONE: to no value), distinct in what values they
    give to the codes, cheapest first. Never empty: a table always fits."""
    found: dict[Any, list[Any]] = {}
    for cost, f in _simple(x, kinds, _booleans(x, codes, size) if wanted is None else _known(x, codes, wanted)):
        _try(found, f, _image(f, x), codes, size, wanted, cost, False)
    if not found:
        for cost, f in _composed():
            _try(found, f, _image(f, x), codes, size, wanted, cost, False)
    found_list = _candidates(found)
    values = wanted if wanted is not None else tuple(range(size))
    if not found_list or wanted is None and all(c.cost >= COMPOSED for c in found_list):
        table = {v: None if code == NONE else values[code] for v, code in zip(x.values, codes)}
        found_list.append(Candidate(_table(table, ("x",)), values, TABLE + 0.01 * len(table)))
    return found_list


def sequence_maps(
    x: ValueSet, y: ValueSet, codes: Sequence[int], size: int, wanted: Wanted
) -> list[Candidate]:
    """Likewise of two values; codes row by row, x slowest."""
    found: dict[Any, list[Any]] = {}
    transposed = np.asarray(codes).reshape(len(x), len(y)).T.ravel().tolist()
    for cost, f in _pairs():
        _try(found, f, _pair_image(f, x, y), codes, size, wanted, cost, False)
        _try(found, f, _pair_image(f, y, x), transposed, size, wanted, cost + 0.0005, True)
    found_list = _candidates(found)
    values = wanted if wanted is not None else tuple(range(size))
    if not found_list:
        pairs = [(v, w) for v in x.values for w in y.values]
        table = {p: None if code == NONE else values[code] for p, code in zip(pairs, codes)}
        found_list.append(Candidate(_table(table, ("x", "y")), values, TABLE + 0.01 * len(table)))
    return found_list


def numbers(x: ValueSet, wanted: Sequence[float], kinds: tuple[str, str]) -> Candidate:
    """The first function that gives those numbers (up to float32)."""
    target = np.array(wanted)
    first: tuple[float, Function] | None = None
    others: list[str] = []
    for cost, f in [*_simple(x, kinds, list(wanted))]:
        if _gives(f, x, target):
            others.append(f.text)
            if first is None or cost < first[0]:
                first = (cost, f)
    if first is None:
        for cost, f in _composed():
            if _gives(f, x, target):
                first = (cost, f)
                break
    if first is None:
        f = _table(dict(zip(x.values, map(_plain, wanted))), ("x",))
        first = (TABLE + 0.01 * len(x), f)
    rest = tuple(dict.fromkeys(t for t in others if t != first[1].text))
    return Candidate(first[1], tuple(wanted), first[0], rest[:MOST_SHOWN])


def predicates(keys: ValueSet, queries: ValueSet, matches: Bools) -> tuple[Predicate, float, tuple[str, ...]]:
    """A predicate with those matches [query, key], what it costs, and the other comparisons that have them too."""
    found: list[Comparison] = []
    for comparison in ORDER:
        try:
            if (matrix(comparison, keys, queries) == matches).all():
                found.append(comparison)
        except (TypeError, ValueError):
            continue
    if found:
        return found[0], 0.001 * ORDER.index(found[0]), tuple(c.value for c in found[1:])
    for cost, f in _relations(keys, queries, matches):
        try:
            if (matrix(f, keys, queries) == matches).all():
                return f, cost, ()
        except (TypeError, ValueError, ArithmeticError):
            continue
    pairs = [(keys.values[k], queries.values[q]) for q, k in np.argwhere(matches).tolist()]
    text = f"lambda x, y: (x, y) in {_tuple(pairs)}"
    return Function.parse(text), TABLE + 0.01 * len(pairs), ()


def _relations(keys: ValueSet, queries: ValueSet, matches: Bools) -> Iterator[tuple[float, Function]]:
    """The key at an offset from the query, one key or query value alone, a set of keys."""
    by_key = matches.any(0)
    if (matches == by_key).all():  # the query does not matter
        chosen = [keys.values[k] for k in np.flatnonzero(by_key).tolist()]
        yield 0.3, _parsed("x, y", f"x == {_text(chosen[0])}" if len(chosen) == 1 else f"x in {_tuple(chosen)}")
    by_query = matches.any(1)
    if (matches == by_query[:, None]).all():
        chosen = [queries.values[q] for q in np.flatnonzero(by_query).tolist()]
        yield 0.3, _parsed("x, y", f"y == {_text(chosen[0])}" if len(chosen) == 1 else f"y in {_tuple(chosen)}")
    if all(isinstance(v, int) and not isinstance(v, bool) for v in (*keys.values, *queries.values)):
        q, k = np.argwhere(matches)[0].tolist()
        for op in ("==", "<=", ">=", "!="):
            offsets = {int(keys.values[k] - queries.values[q])}
            if op != "==":
                offsets = set(range(-5, 6))
            for offset in sorted(offsets, key=abs):
                sign = "+" if offset > 0 else "-"
                yield 0.4, _parsed("x, y", f"x {op} y {sign} {abs(offset)}" if offset else f"x {op} y")
        total = keys.values[k] + queries.values[q]
        yield 0.4, _parsed("x, y", f"x + y == {total}")
    for op in ("==", "<", "<=", ">", ">=", "!="):
        for join in ("and", "or"):
            for v in (*keys.values,)[:MOST_SHOWN]:
                for test in ("==", "!="):
                    yield 0.6, _parsed("x, y", f"x {op} y {join} x {test} {_text(v)}")


def _simple(x: ValueSet, kinds: tuple[str, str], outputs: Sequence[Any] | None) -> Iterator[tuple[float, Function]]:
    """The pool of those encodings, the rest of the pool, and forms with constants out of the table."""
    seen: set[Function] = set()
    cost = 0.0
    for (source, to), pool in MAPS.items():
        if ("categorical" if source == "categorical" else "numerical", "categorical" if to == "categorical" else "numerical") == kinds:
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
        f = _parsed("x", body)
        if f not in seen:
            seen.add(f)
            yield 0.2 + cost, f
            cost += 0.001


def _forms(x: ValueSet, outputs: Sequence[Any] | None) -> Iterator[str]:
    values = x.values
    numeric = all(isinstance(v, int | float) for v in values)
    if outputs is not None:
        plain = [_plain(o) for o in outputs]
        if all(_same(o, plain[0]) for o in plain):
            yield _text(plain[0])
        truth = [bool(o) for o in plain if isinstance(o, int | float)]
        if len(truth) == len(values) and all(o in (0, 1) for o in plain):
            yield from _tests(values, truth)
        if numeric and len(plain) == len(values) and all(isinstance(o, int | float) for o in plain):
            a, b = values[0], plain[0]
            yield f"x + {_text(_plain(b - a))}" if b >= a else f"x - {_text(_plain(a - b))}"
            yield f"{_text(_plain(a + b))} - x"
            for v, o in zip(values, plain):
                if v and o:
                    yield f"x * {_text(_plain(o / v))}"
                    yield f"x / {_text(_plain(v / o))}"
                    yield f"{_text(_plain(o * v))} / x"
                    break
            if len(values) > 1 and values[-1] != values[0]:
                slope = _plain((plain[-1] - plain[0]) / (values[-1] - values[0]))
                shift = _plain(plain[0] - slope * values[0])
                yield f"x * {_text(slope)} + {_text(shift)}" if shift >= 0 else f"x * {_text(slope)} - {_text(-shift)}"
            yield from ("-x", "abs(x)", "x * x", "round(x)", "1 / x", "1 / (x + 1)")
    if numeric:
        yield from (f"x {op} {n}" for op in ("%", "//") for n in (2, 3, 4, 5))


def _tests(values: Sequence[Value], truth: Sequence[bool]) -> Iterator[str]:
    on = [v for v, t in zip(values, truth) if t]
    off = [v for v, t in zip(values, truth) if not t]
    if len(on) == 1:
        yield f"x == {_text(on[0])}"
    if len(off) == 1:
        yield f"x != {_text(off[0])}"
    if on and off and all(isinstance(v, int | float) for v in values):
        if min(on) > max(off):
            yield f"x > {_text(max(off))}"
            yield f"x >= {_text(min(on))}"
        elif max(on) < min(off):
            yield f"x < {_text(min(off))}"
            yield f"x <= {_text(max(on))}"
    if on and off:
        yield f"x in {_tuple(on)}" if len(on) <= len(off) else f"x not in {_tuple(off)}"


def _booleans(x: ValueSet, codes: Sequence[int], size: int) -> list[bool] | None:
    """A two-valued table as a test, with the code of fewer inputs as the true one."""
    if size != 2 or NONE in codes:
        return None
    ones = sum(codes)
    rare = 1 if ones * 2 <= len(codes) else 0
    return [code == rare for code in codes]


def _known(x: ValueSet, codes: Sequence[int], wanted: tuple[Value, ...]) -> list[Value] | None:
    return None if NONE in codes else [wanted[code] for code in codes]


_PAIRS = tuple(
    Function.parse(f"lambda x, y: {body}")
    for body in (
        "x + y",
        "(x, y)",
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


def _pairs() -> Iterator[tuple[float, Function]]:
    for i, f in enumerate((*SEQUENCE_MAPS, *_PAIRS)):
        yield 0.001 * i + (0.1 if i >= len(SEQUENCE_MAPS) else 0.0), f


_compositions: list[tuple[float, Function]] = []


def _composed() -> list[tuple[float, Function]]:
    if not _compositions:
        single = [f for f in FUNCTIONS if f.arity == 1 and f.text != "lambda x: x"]
        for outer in single:
            for inner in single:
                _compositions.append((COMPOSED, outer.after(inner)))
    return _compositions


def _try(
    found: dict[Any, list[Any]],
    f: Function,
    of: Image | None,
    codes: Sequence[int],
    size: int,
    wanted: Wanted,
    cost: float,
    swapped: bool,
) -> None:
    values = None if of is None else _values(of, codes, size)
    if values is None or (wanted is not None and not all(_same(v, w) for v, w in zip(values, wanted))):
        return
    values = values if wanted is None else wanted
    found.setdefault(values, []).append((cost, len(found), f, swapped))


def _candidates(found: dict[Any, list[Any]]) -> list[Candidate]:
    listed = []
    for values, fitting in found.items():
        cost, _, f, swapped = min(fitting, key=lambda c: c[:2])
        others = tuple(dict.fromkeys(g.text for _, _, g, _ in fitting if g.text != f.text))
        listed.append(Candidate(f, values, cost, others[:MOST_SHOWN], swapped))
    return sorted(listed, key=lambda c: c.cost)


def _values(of: Image, codes: Sequence[int], size: int) -> tuple[Value, ...] | None:
    """What each code stands for when the function is this one; None where it does not fit."""
    if len(of.out) < size:
        return None
    meaning: dict[int, int] = {}
    taken: dict[int, int] = {}
    for code, to in zip(codes, of.to):
        if to == DROPPED:
            continue
        if (code == NONE) != (to == NOTHING):
            return None
        if code == NONE:
            continue
        if meaning.setdefault(code, to) != to or taken.setdefault(to, code) != code:
            return None
    if len(meaning) != size:
        return None
    return tuple(of.out.values[meaning[code]] for code in range(size))


def _image(f: Function, x: ValueSet) -> Image | None:
    try:
        return image(f, x, "")
    except CallError:
        return None


def _pair_image(f: Function, x: ValueSet, y: ValueSet) -> Image | None:
    try:
        return image_of_pairs(f, x, y, "")
    except CallError:
        return None


def _gives(f: Function, x: ValueSet, target: Any) -> bool:
    of = _image(f, x)
    if of is None or NOTHING in of.to:
        return False
    for to, wanted in zip(of.to, target.tolist()):
        if to != DROPPED and not _same(of.out.values[to], wanted):
            return False
    return True


def _same(a: Value, b: Value) -> bool:
    if isinstance(a, int | float) and isinstance(b, int | float):
        return abs(a - b) <= CLOSE * max(1.0, abs(b))
    return bool(a == b)


def _table(table: dict[Value, Value], names: tuple[str, ...]) -> Function:
    at = names[0] if len(names) == 1 else f"({', '.join(names)})"
    body = ", ".join(f"{_text(k)}: {_text(v)}" for k, v in table.items())
    return Function.parse(f"lambda {', '.join(names)}: {{{body}}}[{at}]")


def _text(value: Value) -> str:
    import ast

    return ast.unparse(constant(value))


def _tuple(values: Sequence[Value]) -> str:
    return "(" + ", ".join(map(_text, values)) + ("," if len(values) == 1 else "") + ")"


def _parsed(names: str, body: str) -> Function:
    key = f"lambda {names}: {body}"
    found = _functions.get(key)
    if found is None:
        if len(_functions) > 20_000:
            _functions.clear()
        found = _functions[key] = Function.parse(key)
    return found


_functions: dict[str, Function] = {}


def _plain(value: Value) -> Value:
    """A float that is a whole number as an int, else with the digits that float32 carries."""
    if isinstance(value, float):
        if value == int(value):
            return int(value)
        return float(f"{value:.6g}")
    return value
