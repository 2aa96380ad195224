"""The fast evaluator is the reference, value by value and error by error."""

from __future__ import annotations

import gc
import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.rasp.functions import Function, Value
from engine.rasp.interpreter import evaluate, evaluate_all
from engine.rasp.language import (
    Aggregate,
    Comparison,
    Map,
    Select,
    Selector,
    SelectorWidth,
    SOp,
    indices,
    nodes,
    tokens,
)
from engine.rasp.library import LIBRARY
from engine.rasp.vectorised import Batch, identity
from tests.engine.rasp.random_programs import programs

ERRORS = (ValueError, TypeError, ArithmeticError)
INPUTS: list[Value] = [0, 1, 2, True, 1.0, 0.5, -2.5, "a", "b"]
inputs = st.one_of(
    st.lists(st.lists(st.integers(0, 3), min_size=0, max_size=4), min_size=1, max_size=6),
    st.lists(st.lists(st.sampled_from(INPUTS), min_size=0, max_size=4), min_size=1, max_size=4),
)


@settings(max_examples=500, deadline=None)
@given(programs(), inputs, st.booleans())
def test_agrees_with_the_reference(program: SOp, rows: list[list[Value]], causal: bool) -> None:
    wanted: list[list[Value]] = []
    for row in rows:
        try:
            with np.errstate(all="ignore"):
                wanted.append(evaluate(program, row, causal=causal))
        except ERRORS:
            # Which of several errors is met first may differ, that there is one may not.
            with pytest.raises(ERRORS):
                Batch(rows, causal).evaluate(program)
            with pytest.raises(ERRORS):
                Batch([row], causal).evaluate(program)
            return
    found = Batch(rows, causal).evaluate(program)
    assert [list(map(identity, row)) for row in found] == [list(map(identity, row)) for row in wanted]


@settings(max_examples=100, deadline=None)
@given(programs(), st.lists(st.integers(0, 3), min_size=1, max_size=4), st.booleans())
def test_selectors_agree(program: SOp, row: list[Value], causal: bool) -> None:
    try:
        wanted = evaluate_all(program, row, causal=causal)
    except ERRORS:
        return
    batch = Batch([row], causal)
    for node in nodes(program):
        if isinstance(node, Selector):
            assert batch.selector(node)[0][0].tolist() == wanted[node]


@pytest.mark.parametrize("name", LIBRARY)
def test_library_on_all_inputs(name: str) -> None:
    entry = LIBRARY[name]
    program = entry.make(**entry.parameters)
    rows = [list(x) for n in range(4) for x in itertools.product(entry.vocab, repeat=n)]
    if name == "sort_unique":
        rows = [row for row in rows if len(set(row)) == len(row)]
    wanted = [evaluate(program, row) for row in rows]
    assert repr(Batch(rows).evaluate(program)) == repr(wanted)


def test_types_stay_apart() -> None:
    shown = Map(Function.parse("lambda x: str(x)"), tokens)
    assert Batch([[1, 1.0, True], [0.0, -0.0, False]]).evaluate(shown) == [
        ["1", "1.0", "True"],
        ["0.0", "-0.0", "False"],
    ]


def test_large_numbers_are_added_as_python_adds() -> None:
    everything = Aggregate(Select(tokens, tokens, Comparison.TRUE), tokens)
    for row in ([2**60, 1, 1], [1e16, 1.0, 1.0], [0.1, 0.2, 0.3], [math.inf, 1], [2**60 + 1, 0.5]):
        assert repr(Batch([row]).evaluate(everything)) == repr([evaluate(everything, row)])
    with pytest.raises(OverflowError):
        Batch([[10**400, 1]]).evaluate(everything)


def test_many_values() -> None:
    rows: list[list[Value]] = np.random.default_rng(0).integers(0, 5000, (60, 30)).tolist()
    for program in (tokens - indices, SelectorWidth(Select(tokens, tokens, Comparison.LT))):
        assert Batch(rows).evaluate(program) == [evaluate(program, row) for row in rows]


def test_what_a_node_gave_is_remembered_while_it_lives() -> None:
    calls: list[Value] = []

    def recorded(x: Value) -> Value:
        calls.append(x)
        return x

    inner = Map(recorded, tokens)
    batch = Batch([[1, 2], [2, 1]])
    batch.evaluate(inner)
    assert sorted(calls) == [1, 2]  # once per value
    batch.evaluate(Map(Function.parse("lambda x: x + 1"), inner, simplify=False))
    assert len(calls) == 2
    assert len(batch._columns) == 2  # tokens and inner: the outer map is gone
    del inner
    gc.collect()
    assert len(batch._columns) == 1
