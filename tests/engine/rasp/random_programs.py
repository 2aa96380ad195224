"""Random program graphs for property tests: any node, any name, shared subterms; many fail on many inputs."""

from __future__ import annotations

import warnings
from typing import Literal

from hypothesis import strategies as st

from engine.rasp.functions import Function, Value
from engine.rasp.language import (
    Aggregate,
    Baked,
    Both,
    Comparison,
    ConstantSOp,
    Either,
    Full,
    LinearSequenceMap,
    Map,
    Negated,
    Node,
    Predicate,
    Select,
    Selector,
    SelectorAnd,
    SelectorNot,
    SelectorOr,
    SelectorWidth,
    SequenceMap,
    SOp,
    categorical,
    indices,
    length,
    numerical,
    tokens,
)

MAPS = [
    "lambda x: x",
    "lambda x: x == 'a'",
    "lambda x: x == 1",
    "lambda x: x * 2",
    "lambda x: x + 0.5",
    "lambda x: str(x)",
    "lambda x: None if x == 1 else x",
    "lambda x: (x, 1)",
    "lambda x: int(x) if x != 'a' else -1",
    "lambda x: {0: 'n', 1: True, 2: 1.0}[x]",
    "lambda x: 1 / x",
    "lambda x: -0.0 * x",
]
PAIRS = [
    "lambda x, y: x * y",
    "lambda x, y: x - y",
    "lambda x, y: (x, y)",
    "lambda x, y: x or y",
    "lambda x, y: x and y",
    "lambda x, y: x == y",
    "lambda x, y: None if x == y else 1.5",
]
PREDICATES = [
    "lambda key, query: key == query",
    "lambda key, query: query is None",
    "lambda key, query: key * 2 < query",
]
NAMES = [
    "a",
    "hist",
    "map",
    "map_2",
    "shift_by(1)",
    "tokens",
    "lambda",
    "select",
    "length",
    "x y",
    "é",
    "select_1",
    "''",
]
VALUES: list[Value] = [None, 0, 1, True, False, 1.0, 0.5, -1, -2.5, "a", "", "it's", (1, "a"), float("inf"), -0.0]

values = st.sampled_from(VALUES)


@st.composite
def predicates(draw: st.DrawFn, depth: int = 2) -> Predicate:
    kind = draw(st.integers(0, 7 if depth else 3))
    if kind <= 2:
        return draw(st.sampled_from(list(Comparison)))
    if kind == 3:
        return Function.parse(draw(st.sampled_from(PREDICATES)))
    inner = predicates(depth - 1)
    match kind:
        case 4:
            return Both(draw(inner), draw(inner))
        case 5:
            return Either(draw(inner), draw(inner))
        case 6:
            return Negated(draw(inner))
        case _:
            key, query = draw(st.sampled_from([(True, False), (False, True), (True, True)]))
            constants: dict[Literal["key", "query"], Value] = {"key": 1} if key else {}
            return Baked(draw(inner), constants | ({"query": "a"} if query else {}))


@st.composite
def programs(draw: st.DrawFn, most: int = 9) -> SOp:
    """An s-op, with up to `most` nodes in the scope it was drawn from."""
    sops: list[SOp] = [tokens, indices, length]
    selectors: list[Selector] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(draw(st.integers(1, most))):
            made = draw(_steps(sops, selectors))
            if draw(st.integers(0, 3)) == 0:
                made = made.named(draw(st.sampled_from(NAMES)))
            if isinstance(made, SOp):
                sops.append(made)
            else:
                assert isinstance(made, Selector)
                selectors.append(made)
    return sops[-1]


@st.composite
def _steps(draw: st.DrawFn, sops: list[SOp], selectors: list[Selector]) -> Node:
    # Counted from the end: the newest is the likeliest, so that programs grow deep.
    sop = st.integers(0, len(sops) - 1).map(lambda i: sops[-1 - i])
    kind = draw(st.integers(0, 14))
    if kind >= 9 and not selectors:
        kind = 5
    match kind:
        case 0 | 1:
            f = Function.parse(draw(st.sampled_from(MAPS)))
            return Map(f, draw(sop), simplify=draw(st.booleans()))
        case 2:
            return SequenceMap(Function.parse(draw(st.sampled_from(PAIRS))), draw(sop), draw(sop))
        case 3:
            factors = st.sampled_from([1, -1, 2, -3, 0.5])
            return LinearSequenceMap(draw(sop), draw(sop), draw(factors), draw(factors))
        case 4 | 5 | 6:
            return Select(draw(sop), draw(sop), draw(predicates()))
        case 7:
            return draw(st.one_of(values.map(Full), st.lists(values, min_size=2, max_size=3).map(ConstantSOp)))
        case 8:
            return draw(st.sampled_from([numerical, categorical]))(draw(sop))
        case _:
            pass
    selector = st.integers(0, len(selectors) - 1).map(lambda i: selectors[-1 - i])
    match kind:
        case 9 | 10 | 11:
            return Aggregate(draw(selector), draw(sop), draw(st.one_of(st.none(), values)))
        case 12:
            return SelectorWidth(draw(selector))
        case 13:
            left, right = draw(selector), draw(selector)
            if draw(st.booleans()):
                return left & right if draw(st.booleans()) else left | right
            return SelectorAnd(left, right) if draw(st.booleans()) else SelectorOr(left, right)
        case _:
            of = draw(selector)
            return SelectorNot(of) if draw(st.booleans()) else ~of
