"""Values, functions and comparisons for the parts. The weights say which inputs share an output, not what the output is
called: a map that is read one-hot could be x + 1 or x - 1. The names are chosen together, so that as much as possible
reads as a function of the sampler's pool and a plain comparison; whatever is chosen computes the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from engine.rasp.decompiling import candidates
from engine.rasp.decompiling.candidates import Candidate, Table
from engine.rasp.decompiling.parts import Ints, Part
from engine.rasp.decompiling.predicates import Matches, fit, written
from engine.rasp.functions import Function, Value
from engine.rasp.language import (
    Aggregate,
    Indices,
    LinearSequenceMap,
    Map,
    Predicate,
    Select,
    SelectorWidth,
    SequenceMap,
    SOp,
    Tokens,
    numerical,
)
from engine.rasp.value_sets import ValueSet, in_order

BEAM = 16
DISORDER = 0.5  # what values cost that are not in the order of their directions


class Choice(NamedTuple):
    """What a part is called: its values by code, and its function or comparison."""

    values: tuple[Value, ...]
    function: Function | Table | None = None
    predicate: Predicate | Matches | None = None
    others: tuple[str, ...] = ()  # as good on these values
    swapped: bool = False


@dataclass
class _Hypothesis:
    chosen: dict[int, Choice]
    cost: float


def needed(parts: Sequence[Part], sink: int) -> list[int]:
    """The parts behind the sink, inputs first."""
    found = {sink}
    for i in range(sink, -1, -1):
        if i in found:
            found.update(parts[i].reads)
    return sorted(found)


def chosen(parts: Sequence[Part], sink: int, outputs: tuple[Value, ...] | None) -> dict[int, Choice]:
    """A choice for every part behind the sink. `outputs`: the sink's values by code, where it is categorical."""
    wanted: dict[int, tuple[Value, ...]] = {}
    at, values = sink, outputs
    while values is not None:
        wanted[at] = values
        if parts[at].kind != "Aggregate":
            break
        at = parts[at].reads[2]
    beam = [_Hypothesis({}, 0.0)]
    for i in needed(parts, sink):
        grown: list[_Hypothesis] = []
        for hypothesis in beam:
            for choice, cost in _choices(parts, i, hypothesis.chosen, wanted.get(i)):
                grown.append(_Hypothesis({**hypothesis.chosen, i: choice}, hypothesis.cost + cost))
        grown.sort(key=lambda h: h.cost)
        beam = grown[:BEAM]
    return {i: _written(choice) for i, choice in beam[0].chosen.items()}


def _written(choice: Choice) -> Choice:
    function, predicate = choice.function, choice.predicate
    return choice._replace(
        function=function.function() if isinstance(function, Table) else function,
        predicate=written(predicate) if predicate is not None else None,
    )


def _choices(
    parts: Sequence[Part], at: int, so_far: dict[int, Choice], wanted: tuple[Value, ...] | None
) -> list[tuple[Choice, float]]:
    part = parts[at]
    if part.kind in ("Tokens", "Indices", "Nothing", "Count"):
        return [(Choice(tuple(part.values or ())), 0.0)]
    if part.kind == "LinearSequenceMap":
        return [(Choice(tuple(part.values or ())), 0.0)]
    if part.kind in ("Aggregate", "SelectorWidth"):
        assert part.matches is not None
        keys, queries = (_set(so_far[i].values) for i in part.reads[:2])
        predicate, cost, others = fit(keys, queries, part.matches, part.occurs)
        values = part.values or ()
        if part.kind == "Aggregate" and part.encoding == "categorical":
            values = so_far[part.reads[2]].values
        return [(Choice(tuple(values), predicate=predicate, others=others), cost)]
    first = parts[part.reads[0]]
    if first.kind == "Nothing":
        return [(_constant(part, wanted), 0.0)]
    x = _set(so_far[part.reads[0]].values)
    kinds = (first.encoding, part.encoding)
    if part.numbers is not None:
        found = candidates.numbers(x, part.numbers.tolist(), kinds)
        return [(Choice(tuple(part.values or ()), found.function, None, found.others), found.cost)]
    assert part.codes is not None
    y = _set(so_far[part.reads[1]].values) if part.kind == "SequenceMap" else None
    key = (x, y, part.codes.tobytes(), part.size, wanted and (wanted, tuple(map(type, wanted))), kinds)
    fitting = _fitting.get(key)
    if fitting is None:
        if len(_fitting) > 20_000:
            _fitting.clear()
        codes = part.codes.ravel().tolist()
        if y is None:
            fitting = candidates.maps(x, codes, part.size, wanted, kinds)
        else:
            fitting = candidates.sequence_maps(x, y, codes, part.size, wanted)
        _fitting[key] = fitting
    rank = _rank(part)
    return [(Choice(c.values, c.function, None, c.others, c.swapped), c.cost + _disorder(c, rank)) for c in fitting]


def _constant(part: Part, wanted: tuple[Value, ...] | None) -> Choice:
    """Of a map whose argument is not in the weights."""
    if part.numbers is not None:
        value: Value = float(part.numbers[0])
        value = int(value) if value == int(value) else value
    else:
        value = 0 if wanted is None else wanted[0]
    return Choice((value,), Function.parse(f"lambda x: {value!r}"))


def _rank(part: Part) -> Ints | None:
    """The order of the codes' directions, where they are directions of the basis: values are laid out sorted."""
    at = np.abs(part.vectors).argmax(1)
    aligned = np.abs(np.abs(part.vectors).sum(1) - np.abs(part.vectors).max(1)) < 1e-4
    return at.argsort().argsort() if aligned.all() else None


def _disorder(candidate: Candidate, rank: Ints | None) -> float:
    if rank is None:
        return 0.0
    place = {v: i for i, v in enumerate(in_order(candidate.values))}
    return 0.0 if all(place[v] == r for v, r in zip(candidate.values, rank.tolist())) else DISORDER


def _set(values: Sequence[Value]) -> ValueSet:
    """Values in the order of the codes (a value set elsewhere is sorted)."""
    key = (tuple(values), tuple(map(type, values)))
    found = _sets.get(key)
    if found is None:
        if len(_sets) > 20_000:
            _sets.clear()
        found = _sets[key] = ValueSet(tuple(values))
    return found


_sets: dict[Any, ValueSet] = {}
_fitting: dict[Any, list[Candidate]] = {}


def built(parts: Sequence[Part], sink: int, choices: dict[int, Choice]) -> tuple[SOp, dict[int, SOp]]:
    """The program, and the node of every part."""
    nodes: dict[int, SOp] = {}
    tokens, indices = Tokens(), Indices()
    for i in needed(parts, sink):
        part, choice = parts[i], choices[i]
        node: SOp
        match part.kind:
            case "Tokens":
                node = tokens
            case "Indices":
                node = indices
            case "Nothing":
                node = numerical(Map(Function.parse("lambda x: 0"), tokens).named("nothing"))
            case "Count":
                continue
            case "Map":
                assert isinstance(choice.function, Function)
                source = parts[part.reads[0]]
                inner = tokens if source.kind == "Nothing" else nodes[part.reads[0]]
                node = Map(choice.function, inner, simplify=False)
            case "SequenceMap":
                assert isinstance(choice.function, Function)
                x, y = (nodes[r] for r in part.reads)
                node = SequenceMap(choice.function, y, x) if choice.swapped else SequenceMap(choice.function, x, y)
            case "LinearSequenceMap":
                a, b = (_whole(f) for f in part.factors)
                node = LinearSequenceMap(nodes[part.reads[0]], nodes[part.reads[1]], a, b)
            case _:
                assert choice.predicate is not None
                assert not isinstance(choice.predicate, Matches)
                select = Select(nodes[part.reads[0]], nodes[part.reads[1]], choice.predicate)
                if part.kind == "SelectorWidth":
                    node = SelectorWidth(select)
                else:
                    default = 0 if part.encoding == "numerical" else None
                    node = Aggregate(select, nodes[part.reads[2]], default)
        nodes[i] = numerical(node) if part.encoding == "numerical" and part.kind != "Nothing" else node
    return nodes[sink], nodes


def _whole(x: float) -> float:
    return int(x) if x == int(x) else x
