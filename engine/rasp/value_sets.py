"""Which values an s-op can take (section 2 of the reference): what a categorical s-op's directions stand for, and where
a map of numbers needs its thresholds."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from engine.rasp.compiled import OURS, Construction, Domain
from engine.rasp.functions import Function, Value
from engine.rasp.language import (
    Aggregate,
    Indices,
    LinearSequenceMap,
    Map,
    Node,
    SelectorWidth,
    SequenceMap,
    SOp,
    Tokens,
    labels,
    nodes,
)
from engine.rasp.remembered import Remembered
from engine.rasp.validation import CompileError, check_nodes, placed
from sessions.errors import CallError

MOST_VALUES = 100_000  # of one s-op
MOST_PAIRS = 4_000_000  # of values that a two-argument function is tried on
_AS_PYTHON = 2_000  # sums of numbers: beyond it in numpy, which is faster
DROPPED = -2  # f raised ArithmeticError: the value is assumed never to occur
NOTHING = -1  # f gave None


class ValueSet:
    """Values in the order of their directions. One object per content (1, True and 1.0 count as different here, so that
    what `str` makes of them is not mixed up), so sets are compared and cached by identity."""

    __slots__ = ("index", "values")

    def __init__(self, values: tuple[Value, ...]) -> None:
        self.values = values
        self.index: dict[Value, int] = {v: i for i, v in enumerate(values)}

    def __len__(self) -> int:
        return len(self.values)

    def __bool__(self) -> bool:
        return True  # an empty set is one too

    @staticmethod
    def of(values: Iterable[Value]) -> ValueSet:
        """Of distinct values in any order; of those that compare equal, the first stands for all."""
        ordered = in_order(dict.fromkeys(values))
        key = (ordered, tuple(map(type, ordered)))
        return _sets.get(key) or _sets.keep(key, ValueSet(ordered), len(ordered))


class Image(NamedTuple):
    """A function on a value set (or on a product of two, row by row)."""

    out: ValueSet
    to: tuple[int, ...]  # per input: which output value; NOTHING or DROPPED


_sets: Remembered[ValueSet] = Remembered()
_images: Remembered[Image] = Remembered()


def infer(program: SOp, domain: Domain, construction: Construction = OURS) -> dict[SOp, tuple[Value, ...]]:
    """Value sets of a program's s-ops, each in the order of its directions; a numerical s-op has one only where
    something needs it. CallError as for compiling."""
    order, names = nodes(program), labels(program)
    check_nodes(program, order, names)
    return {node: of.values for node, of in infer_nodes(order, domain, construction, names).items()}


def infer_nodes(
    order: Sequence[Node], domain: Domain, construction: Construction, names: dict[Node, str]
) -> dict[SOp, ValueSet]:
    """Value sets of every categorical s-op, and of the numerical ones that something needs (a map's thresholds, the
    check that an average is over 0 and 1). `order`: inputs before what reads them.

    CallError names the s-op whose set would be too large, whose function fails, or whose numbers are none.
    """
    needed: set[Node] = set()
    for node in reversed(order):
        if not isinstance(node, SOp):
            continue
        if node.encoding == "categorical":
            needed.add(node)
        if isinstance(node, Map) or (isinstance(node, SequenceMap | LinearSequenceMap) and node in needed):
            needed.update(node.inputs)
        elif isinstance(node, Aggregate):
            needed.add(node.sop)
    found: dict[SOp, ValueSet] = {}
    for node in order:
        if node in needed and isinstance(node, SOp):
            with placed(node):
                found[node] = _set_of(node, found, domain, construction, names)
    for node in order:
        if isinstance(node, Aggregate) and node.encoding == "numerical":
            _check_zero_one(node, found[node.sop], construction, names)
    return found


def _set_of(
    node: SOp, known: dict[SOp, ValueSet], domain: Domain, construction: Construction, names: dict[Node, str]
) -> ValueSet:
    match node:
        case Tokens():
            return ValueSet.of(domain.vocab)
        case Indices():
            return whole_numbers(domain.max_len)
        case SelectorWidth():
            return whole_numbers(domain.max_len + 1)
        case Map():
            out = image(node.f, known[node.inner], names[node]).out
        case SequenceMap():
            out = image_of_sequence_map(node, known, names[node]).out
        case LinearSequenceMap():
            out = _sums(node, known[node.inputs[0]], known[node.inputs[1]], names[node])
        case Aggregate():
            if node.encoding == "categorical":
                return known[node.sop]
            return averages(known[node.sop], domain.max_len, construction)
        case _:
            raise CallError(f"'{names[node]}' cannot be compiled")
    if not len(out):
        raise CallError(f"'{names[node]}' has no value at all", remedy="its function is not defined anywhere")
    if len(out) > MOST_VALUES:
        raise CallError(
            f"'{names[node]}' can take {len(out):,} values, more than {MOST_VALUES:,}",
            "use a smaller vocabulary or max_len",
        )
    return out


def whole_numbers(stop: int) -> ValueSet:
    """0 to stop - 1."""
    return _sets.get(stop) or _sets.keep(stop, ValueSet.of(range(stop)), stop)


def averages(of: ValueSet, most: int, construction: Construction) -> ValueSet:
    """Of up to `most` zeros and ones: k/n. (The original compiler has v/n only, and so misses 2/3.)"""
    key = (of, most, construction.repaired)
    found = _sets.get(key)
    if found is None:
        if not construction.repaired:
            found = ValueSet.of(v / n for v in of.values for n in range(1, most + 1))
        elif all(v == 0 for v in of.values):
            found = ValueSet.of([0.0])
        elif all(v == 1 for v in of.values):
            found = ValueSet.of([0.0, 1.0])
        else:
            found = ValueSet.of(k / n for n in range(1, most + 1) for k in range(n + 1))
        _sets.keep(key, found, len(found))
    return found


def image(f: Function, of: ValueSet, label: str) -> Image:
    """f over the set. ArithmeticError drops a value; any other error is the person's to see."""
    key = (f, of)
    return _images.get(key) or _images.keep(key, _images_of(f, ((v,) for v in of.values), label), len(of))


def image_of_sequence_map(node: SequenceMap, known: dict[SOp, ValueSet], label: str) -> Image:
    """Of one s-op with itself it is a map, v -> f(v, v): what f makes of unequal values does not count."""
    first, second = node.inputs
    if not same_source(first, second):
        return image_of_pairs(node.f, known[first], known[second], label)
    of = known[first]
    key = (node.f, of, "diagonal")
    return _images.get(key) or _images.keep(key, _images_of(node.f, ((v, v) for v in of.values), label), len(of))


def same_source(a: Node, b: Node) -> bool:
    """The same s-op; all nodes that are tokens, or indices, are one."""
    return a is b or (isinstance(a, Tokens | Indices) and type(a) is type(b))


def image_of_pairs(f: Function, first: ValueSet, second: ValueSet, label: str) -> Image:
    """f over all pairs, the first value slowest."""
    key = (f, first, second)
    found = _images.get(key)
    if found is None:
        pairs = len(first) * len(second)
        if pairs > MOST_PAIRS:
            raise CallError(
                f"'{label}' combines {len(first):,} and {len(second):,} values: {pairs:,} pairs",
                remedy="use a smaller vocabulary or max_len",
            )
        every = ((v, w) for v in first.values for w in second.values)
        found = _images.keep(key, _images_of(f, every, label), pairs)
    return found


def _images_of(f: Callable[..., Value], arguments: Iterable[tuple[Value, ...]], label: str) -> Image:
    results: list[Value] = []
    dropped: set[int] = set()
    for i, values in enumerate(arguments):
        try:
            result = f(*values)
            hash(result)
        except ArithmeticError:
            dropped.add(i)
            result = None
        except CallError:
            raise
        except Exception as error:
            given = ", ".join(map(repr, values))
            given = given if len(given) <= 80 else given[:77] + "..."
            remedy = "give a vocabulary that the program is made for, or change the function"
            raise CallError(f"the function of '{label}' fails on {given}: {error}", remedy=remedy) from error
        results.append(result)
    out = ValueSet.of(r for r in results if r is not None)
    index = out.index
    to = tuple(DROPPED if i in dropped else NOTHING if r is None else index[r] for i, r in enumerate(results))
    return Image(out, to)


def numbers(of: ValueSet, label: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    """The set as float64. CallError when it holds anything but finite numbers."""
    for v in of.values:
        if not isinstance(v, int | float) or v != v or abs(v) == float("inf"):
            raise CallError(
                f"'{label}' is numerical, but can be {v!r}", remedy="make it categorical, or let it give numbers"
            )
    return np.array(of.values, dtype=np.float64)


def _sums(node: LinearSequenceMap, first: ValueSet, second: ValueSet, label: str) -> ValueSet:
    pairs = len(first) * len(second)
    if pairs > MOST_PAIRS:
        raise CallError(
            f"'{label}' adds {len(first):,} and {len(second):,} values: {pairs:,} sums",
            "use a smaller vocabulary or max_len, or do not map the sum",
        )
    a, b = node.factors
    if pairs <= _AS_PYTHON:
        return ValueSet.of(a * v + b * w for v in first.values for w in second.values)
    x, y = numbers(first, label), numbers(second, label)
    sums = np.unique(a * x[:, None] + b * y[None, :])
    return ValueSet.of(sums.tolist())


def _check_zero_one(node: Aggregate, of: ValueSet, construction: Construction, names: dict[Node, str]) -> None:
    for v in of.values:
        if not isinstance(v, int | float) or (v if construction.repaired else int(v)) not in (0, 1):
            raise CompileError(
                f"'{names[node]}' averages '{names[node.sop]}', which can be {v!r}; only 0 and 1 can be averaged",
                node,
                "aggregate a comparison (its values are true and false)",
            )


def in_order(values: Iterable[Value]) -> tuple[Value, ...]:
    """Sorted; values of types that do not compare are ordered by their text, as the original orders directions."""
    found = list(values)
    try:
        return tuple(sorted(found))
    except TypeError:
        return tuple(sorted(found, key=functools.cmp_to_key(_by_value_or_text)))


def _by_value_or_text(a: Value, b: Value) -> int:
    try:
        return -1 if a < b else int(b < a)
    except TypeError:
        x, y = str(a), str(b)
        return -1 if x < y else int(y < x)
