"""Functions that fit a table, distinct in the values they give to its codes; where none does, the table itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from engine.rasp.decompiling.forms import (
    COMPOSED,
    TABLE,
    compositions,
    pair_functions,
    plain,
    same,
    simple_functions,
    text_of,
)
from engine.rasp.decompiling.parts import NONE, UNSEEN
from engine.rasp.functions import Function, Value
from engine.rasp.value_sets import ValueSet

MOST_SHOWN = 12  # functions of an equivalence class


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
    for cost, f in simple_functions(
        x, kinds, _booleans(x, codes, size) if wanted is None else _known(x, codes, wanted)
    ):
        _try(found, f, arguments, codes, size, wanted, cost, False)
    if not found:
        for cost, f in compositions():
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
    for cost, f in pair_functions():
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
    for cost, f in simple_functions(x, kinds, list(wanted)):
        if first is not None and cost > 0.2:
            break
        if _gives(f, x, target):
            others.append(f.text)
            if first is None or cost < first[0]:
                first = (cost, f)
    if first is None:
        for cost, f in compositions():
            if _gives(f, x, target):
                first = (cost, f)
                break
    if first is None:
        return Candidate(Table(dict(zip(x.values, map(plain, wanted))), ("x",)), tuple(wanted), TABLE + 0.01 * len(x))
    chosen = first[1].text
    rest = tuple(dict.fromkeys(t for t in others if t != chosen))
    return Candidate(first[1], tuple(wanted), first[0], rest[:MOST_SHOWN])


def _booleans(x: ValueSet, codes: Sequence[int], size: int) -> list[bool] | None:
    """A two-valued table as a test, with the code of fewer inputs as the true one."""
    if size != 2 or min(codes) < 0:
        return None
    ones = sum(codes)
    rare = 1 if ones * 2 <= len(codes) else 0
    return [code == rare for code in codes]


def _known(x: ValueSet, codes: Sequence[int], wanted: tuple[Value, ...]) -> list[Value] | None:
    return None if min(codes) < 0 else [wanted[code] for code in codes]


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
        if known != code or not same(value, meaning.setdefault(code, value)):
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
        if not isinstance(value, int | float) or not same(value, wanted):
            return False
    return True
