"""Every rule of the reference evaluator, on inputs worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest

from engine.rasp.functions import Function
from engine.rasp.interpreter import evaluate, evaluate_all
from engine.rasp.language import (
    Aggregate,
    Comparison,
    ConstantSOp,
    Full,
    LinearSequenceMap,
    Map,
    Select,
    SelectorAnd,
    SelectorNot,
    SelectorOr,
    SelectorWidth,
    SequenceMap,
    indices,
    length,
    tokens,
)


def exactly(values: list[object], wanted: list[object]) -> bool:
    return values == wanted and [type(v) for v in values] == [type(w) for w in wanted]


def test_sources() -> None:
    assert evaluate(tokens, ["a", "b"]) == ["a", "b"]
    assert evaluate(indices, ["a", "b"]) == [0, 1]
    assert evaluate(length, ["a", "b"]) == [2, 2]
    assert evaluate(Full("c"), ["a", "b"]) == ["c", "c"]
    assert evaluate(ConstantSOp([5, 6]), ["a", "b"]) == [5, 6]
    with pytest.raises(ValueError, match="2 values on an input of 1"):
        evaluate(ConstantSOp([5, 6]), ["a"])
    assert evaluate(tokens, []) == []


def test_none_goes_through_maps_uncalled() -> None:
    nothing = Aggregate(Select(tokens, tokens, Comparison.FALSE), tokens)
    assert evaluate(nothing, ["a"]) == [None]
    assert evaluate(Map(Function.parse("lambda x: 1 / 0"), nothing), ["a"]) == [None]
    assert evaluate(SequenceMap(Function.parse("lambda x, y: y"), nothing, tokens), ["a"]) == [None]
    assert evaluate(LinearSequenceMap(nothing, indices, 1, 2), ["a"]) == [None]
    with pytest.raises(ZeroDivisionError):
        evaluate(Map(Function.parse("lambda x: 1 / x"), tokens), [0])


def test_comparisons_read_key_then_query() -> None:
    less = Select(tokens, indices, Comparison.LT)  # key (a token) < query (an index)
    assert evaluate_all(less, [1, 0])[less] == [[False, False], [False, True]]
    custom = Select(tokens, indices, Function.parse("lambda key, query: key == query + 1"))
    assert evaluate_all(custom, [1, 2])[custom] == [[True, False], [False, True]]


def test_comparisons_refuse_none_but_functions_receive_it() -> None:
    nothing = Aggregate(Select(tokens, tokens, Comparison.FALSE), tokens)
    for comparison in Comparison:
        with pytest.raises(ValueError, match="key is None!"):
            evaluate(SelectorWidth(Select(nothing, tokens, comparison)), ["a"])
        with pytest.raises(ValueError, match="query is None!"):
            evaluate(SelectorWidth(Select(tokens, nothing, comparison)), ["a"])
    assert evaluate(SelectorWidth(Select(nothing, tokens, lambda k, q: k is None)), ["a", "b"]) == [2, 2]


def test_aggregates_keep_one_value_and_average_several() -> None:
    same = Select(tokens, tokens, Comparison.EQ)
    assert exactly(evaluate(Aggregate(same, tokens), [1, 2, 2]), [1, 2.0, 2.0])
    assert exactly(evaluate(Aggregate(same, tokens == 1), [1, 2, 2]), [True, 0.0, 0.0])
    everything = Select(tokens, tokens, Comparison.TRUE)
    assert exactly(evaluate(Aggregate(everything, tokens == 1), [1, 2]), [0.5, 0.5])
    assert exactly(evaluate(Aggregate(~everything, tokens, default=0), [1, 2]), [0, 0])
    with pytest.raises(ValueError, match="cannot be averaged"):
        evaluate(Aggregate(everything, tokens), ["a", "a"])
    assert evaluate(Aggregate(everything, tokens), ["a"]) == ["a"]


def test_selectors_combine_elementwise() -> None:
    a, b = Select(tokens, tokens, Comparison.EQ), Select(indices, indices, Comparison.LEQ)
    x = ["u", "v", "u"]
    left, right = evaluate_all(a, x)[a], evaluate_all(b, x)[b]
    for node, rule in ((SelectorAnd(a, b), all), (SelectorOr(a, b), any)):
        wanted = [[rule((left[q][k], right[q][k])) for k in range(3)] for q in range(3)]
        assert evaluate_all(node, x)[node] == wanted
    no = SelectorNot(a)
    assert evaluate_all(no, x)[no] == [[not s for s in row] for row in left]
    assert evaluate(SelectorWidth(a & b), x) == [1, 1, 2]


def test_causal_evaluation_cuts_after_every_selector() -> None:
    everything = Select(tokens, tokens, Comparison.TRUE)
    assert evaluate(SelectorWidth(everything), ["a", "b", "c"], causal=True) == [1, 2, 3]
    # Not of a causal selector is the complement within the triangle, not the part above it.
    assert evaluate(SelectorWidth(SelectorNot(everything)), ["a", "b", "c"], causal=True) == [0, 0, 0]
    assert evaluate(SelectorWidth(SelectorNot(~everything)), ["a", "b", "c"], causal=True) == [1, 2, 3]


def test_a_selector_is_combined_with_selectors_only() -> None:
    same = Select(tokens, tokens, Comparison.EQ)
    others: list[Any] = [tokens, True]
    for other in others:
        with pytest.raises(TypeError, match="selector"):
            same & other
        with pytest.raises(TypeError, match="selector"):
            same | other
