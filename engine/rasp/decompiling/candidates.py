"""Functions that fit a table: those of the sampler's pool first, then simple forms, then the table itself."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from engine.rasp.decompiling.parts import NONE, UNSEEN
from engine.rasp.functions import Function, Value, constant
from engine.rasp.sampling.pools import FUNCTIONS, MAPS, SEQUENCE_MAPS
from engine.rasp.value_sets import ValueSet

CLOSE = 1e-4  # of a number in the weights, relative beyond 1
MOST_SHOWN = 12  # functions of an equivalence class
COMPOSED, TABLE = 0.6, 3.0  # what a function costs that is two of the pool, or a table


class Table(NamedTuple):
    """A function by its entries, not yet written down: most are given up for something shorter."""

    entries: dict[Value, Value]
    names: tuple[str, ...]

    def function(self) -> Function:
        at = self.names[0] if len(self.names) == 1 else f"({', '.join(self.names)})"
        body = ", ".join(f"{text_of(k)}: {text_of(v)}" for k, v in self.entries.items())
        return Function.parse(f"lambda {', '.join(self.names)}: {{{body}}}[{at}]")


class Candidate(NamedTuple):
    function: Function | Table
    values: tuple[Value, ...]  # per output code; of a number: what it gives per input
    cost: float
    others: tuple[str, ...] = ()  # functions that give the same on these inputs
    swapped: bool = False  # the arguments are to be taken the other way round


Wanted = tuple[Value, ...] | None  # values of the output codes, where they are known


def maps(x: ValueSet, codes: Sequence[int], size: int, wanted: Wanted, kinds: tuple[str, str]) -> list[Candidate]:
    """Functions of one value that send x[i] to output code codes[i] (NONE: to no value), distinct in what values they
    give to the codes, cheapest first. Never empty: a table always fits."""
    found: dict[Any, list[Any]] = {}
    arguments = [(v,) for v in x.values]
    for cost, f in _simple(x, kinds, _booleans(x, codes, size) if wanted is None else _known(x, codes, wanted)):
        _try(found, f, arguments, codes, size, wanted, cost, False)
    if not found:
        for cost, f in _composed():
            _try(found, f, arguments, codes, size, wanted, cost, False)
    found_list = _candidates(found)
    values = wanted if wanted is not None else tuple(range(size))
    if not found_list or (wanted is None and all(c.cost >= COMPOSED for c in found_list)):
        table = {v: None if code < 0 else values[code] for v, code in zip(x.values, codes)}
        found_list.append(Candidate(Table(table, ("x",)), values, TABLE + 0.01 * len(table)))
    return found_list


def sequence_maps(x: ValueSet, y: ValueSet, codes: Sequence[int], size: int, wanted: Wanted) -> list[Candidate]:
    """Likewise of two values; codes row by row, x slowest."""
    found: dict[Any, list[Any]] = {}
    pairs = [(v, w) for v in x.values for w in y.values]
    reverse = [(w, v) for v, w in pairs]
    for cost, f in _pairs():
        _try(found, f, pairs, codes, size, wanted, cost, False)
        _try(found, f, reverse, codes, size, wanted, cost + 0.0005, True)
    found_list = _candidates(found)
    values = wanted if wanted is not None else tuple(range(size))
    if not found_list:
        table = {p: None if code < 0 else values[code] for p, code in zip(pairs, codes)}
        found_list.append(Candidate(Table(table, ("x", "y")), values, TABLE + 0.01 * len(table)))
    return found_list


def numbers(x: ValueSet, wanted: Sequence[float], kinds: tuple[str, str]) -> Candidate:
    """The first function that gives those numbers (up to float32)."""
    target = list(wanted)
    wanted = [0.0 if v != v else v for v in wanted]
    first: tuple[float, Function] | None = None
    others: list[str] = []
    for cost, f in _simple(x, kinds, list(wanted)):
        if first is not None and cost > 0.2:
            break
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
        return Candidate(Table(dict(zip(x.values, map(plain, wanted))), ("x",)), tuple(wanted), TABLE + 0.01 * len(x))
    chosen = first[1].text
    rest = tuple(dict.fromkeys(t for t in others if t != chosen))
    return Candidate(first[1], tuple(wanted), first[0], rest[:MOST_SHOWN])


def _simple(x: ValueSet, kinds: tuple[str, str], outputs: Sequence[Any] | None) -> Iterator[tuple[float, Function]]:
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
        if all(_same(o, given[0]) for o in given):
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


def _booleans(x: ValueSet, codes: Sequence[int], size: int) -> list[bool] | None:
    """A two-valued table as a test, with the code of fewer inputs as the true one."""
    if size != 2 or min(codes) < 0:
        return None
    ones = sum(codes)
    rare = 1 if ones * 2 <= len(codes) else 0
    return [code == rare for code in codes]


def _known(x: ValueSet, codes: Sequence[int], wanted: tuple[Value, ...]) -> list[Value] | None:
    return None if min(codes) < 0 else [wanted[code] for code in codes]


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
    arguments: Sequence[tuple[Value, ...]],
    codes: Sequence[int],
    size: int,
    wanted: Wanted,
    cost: float,
    swapped: bool,
) -> None:
    values = _values(f, arguments, codes, size, wanted)
    if values is not None:
        found.setdefault(values, []).append((cost, len(found), f, swapped))


def _candidates(found: dict[Any, list[Any]]) -> list[Candidate]:
    listed = []
    for values, fitting in found.items():
        cost, _, f, swapped = min(fitting, key=lambda c: c[:2])
        others = tuple(dict.fromkeys(g.text for _, _, g, _ in fitting if g.text != f.text))
        listed.append(Candidate(f, values, cost, others[:MOST_SHOWN], swapped))
    return sorted(listed, key=lambda c: c.cost)


def _values(
    f: Function, arguments: Sequence[tuple[Value, ...]], codes: Sequence[int], size: int, wanted: Wanted
) -> tuple[Value, ...] | None:
    """What each code stands for when the function is this one; None as soon as it does not fit."""
    meaning: dict[int, Value] = {} if wanted is None else dict(enumerate(wanted))
    taken: dict[Value, int] = {}
    for given, code in zip(arguments, codes):
        if code == UNSEEN:
            continue
        try:
            value = f(*given)
            if (code == NONE) != (value is None):
                return None
            if code == NONE:
                continue
            known = taken.setdefault(value, code)
        except ArithmeticError:
            continue  # the compiler leaves such a value out
        except Exception:
            return None
        if known != code or not _same(value, meaning.setdefault(code, value)):
            return None
    if len(set(taken.values())) != size:
        return None
    return tuple(meaning[code] for code in range(size))


def _gives(f: Function, x: ValueSet, target: Sequence[float]) -> bool:
    for v, wanted in zip(x.values, target):
        if wanted != wanted:
            continue
        try:
            value = f(v)
        except ArithmeticError:
            continue
        except Exception:
            return False
        if not isinstance(value, int | float) or not _same(value, wanted):
            return False
    return True


def _same(a: Value, b: Value) -> bool:
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
