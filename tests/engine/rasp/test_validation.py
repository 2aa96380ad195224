"""What is refused, by name; and averages that only running shows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from engine.rasp.compiled import BOS, PAD, Domain
from engine.rasp.compiler import compile_program
from engine.rasp.functions import Function
from engine.rasp.language import (
    Aggregate,
    Comparison,
    ConstantSOp,
    Full,
    LinearSequenceMap,
    Map,
    Select,
    SelectorWidth,
    SequenceMap,
    SOp,
    categorical,
    indices,
    length,
    numerical,
    tokens,
)
from engine.rasp.validation import CompileError, check, dynamic_check
from sessions.errors import CallError

EQ, TRUE = Comparison.EQ, Comparison.TRUE
DOMAIN = Domain((1, 2, 3), 3)
same = Select(tokens, tokens, EQ)
number = numerical(Map(Function.parse("lambda x: x"), tokens)).named("number")
marks = numerical(Map(Function.parse("lambda x: x == 1"), tokens))
add = Function.parse("lambda x, y: x + y")

STATIC: dict[str, tuple[Callable[[], SOp], str]] = {
    "and of different s-ops": (lambda: SelectorWidth(same & Select(indices, indices, EQ)), "selector_and_2"),
    "or of different s-ops": (lambda: SelectorWidth(same | Select(indices, indices, EQ)), "selector_or_2"),
    "the first of several, inputs first": (
        lambda: SelectorWidth(~(same & Select(indices, indices, EQ))),
        "selector_and_3",
    ),
    "numerical keys": (lambda: SelectorWidth(Select(number, tokens, EQ)), "keys from 'number_3'"),
    "numerical queries": (lambda: SelectorWidth(Select(tokens, number, EQ)), "queries from 'number_3'"),
    "numerical argument": (lambda: SequenceMap(add, tokens, number), "reads 'number_2'"),
    "numerical result": (lambda: numerical(SequenceMap(add, tokens, indices)), "numerical sequence_map"),
    "categorical sum": (lambda: categorical(LinearSequenceMap(number, marks, 1, 1)), "is categorical"),
    "sum of categories": (lambda: numerical(LinearSequenceMap(tokens, number, 1, 1)), "reads 'tokens'"),
    "sum by infinity": (lambda: numerical(LinearSequenceMap(number, marks, float("inf"), 1)), "factors"),
    "numerical of categorical": (lambda: numerical(Aggregate(same, tokens, 0)), "is numerical, but aggregates"),
    "categorical of numerical": (lambda: Aggregate(same, marks), "is categorical, but aggregates"),
    "categorical default": (lambda: Aggregate(same, tokens, 1), "default 1"),
    "numerical default": (lambda: numerical(Aggregate(same, marks, 1)), "default 1"),
    "numerical default None": (lambda: numerical(Aggregate(same, marks)), "default None"),
    "average of other numbers": (lambda: numerical(Aggregate(same, number, 0)), "only 0 and 1"),
    "average of halves": (
        lambda: numerical(Aggregate(same, numerical(Map(Function.parse("lambda x: x / 2"), tokens)), 0)),
        "can be 1.5|can be 0.5",
    ),
    "numerical tokens": (lambda: Map(Function.parse("lambda x: x"), numerical(tokens)), "'tokens' is numerical"),
    "numerical indices": (lambda: SequenceMap(add, tokens, numerical(indices)), "'indices'"),
    "length": (lambda: SequenceMap(add, length, tokens), "length_2"),
    "full": (lambda: SequenceMap(add, Full(1), tokens), "full_2"),
    "constant": (lambda: SequenceMap(add, ConstantSOp([1, 2]), tokens), "constant_2"),
    "no tokens": (lambda: Map(Function.parse("lambda x: x"), indices), "does not read tokens"),
    "no operation": (lambda: tokens, "alone"),
    "words as numbers": (lambda: numerical(Map(Function.parse("lambda x: str(x)"), tokens)), "'1'"),
    "a function that fails": (lambda: Map(Function.parse("lambda x: x + 'a'"), tokens), "fails on 1"),
    "a predicate that fails": (
        lambda: SelectorWidth(Select(tokens, Map(Function.parse("lambda x: str(x)"), tokens), Comparison.LT)),
        "predicate of 'select_2' fails",
    ),
    "a list as a value": (lambda: Map(lambda x: [x], tokens), "fails on 1"),
}


@pytest.mark.parametrize("case", STATIC)
def test_refused_with_the_node_s_name(case: str) -> None:
    make, words = STATIC[case]
    with pytest.raises(CallError, match=words):
        compile_program(make(), DOMAIN)


def test_every_node_is_looked_at_even_under_one_name() -> None:
    """The original's check skips a node that shares its default name with another."""
    fine = Aggregate(Select(indices, indices, EQ), tokens)
    wrong = Aggregate(same, tokens, 7)
    with pytest.raises(CompileError, match="default 7"):
        check(SequenceMap(add, fine, wrong))


def test_the_error_says_the_line() -> None:
    wrong = Aggregate(same, tokens, 7)
    wrong.line, wrong.column = 4, 9
    with pytest.raises(CompileError) as caught:
        check(Map(Function.parse("lambda x: x"), wrong))
    assert (caught.value.where, caught.value.line, caught.value.column) == ("line 4", 4, 9)


def test_the_line_of_a_value_set_is_said_too() -> None:
    wrong = Map(Function.parse("lambda x: x + 'a'"), tokens)
    wrong.line = 2
    with pytest.raises(CompileError) as caught:
        compile_program(SelectorWidth(Select(wrong, tokens, EQ)), DOMAIN)
    assert caught.value.line == 2


@pytest.mark.parametrize("vocab", [(), (BOS, 1), (PAD,), (1, True), (None,), (float("nan"),)])
def test_vocabularies_that_cannot_be(vocab: Any) -> None:
    with pytest.raises(CallError):
        compile_program(SelectorWidth(same), Domain(vocab, 3))


def test_no_length() -> None:
    with pytest.raises(CallError, match="max_len"):
        compile_program(SelectorWidth(same), Domain((1,), 0))


def test_averages_show_when_running() -> None:
    mixes = Aggregate(Select(indices, indices, TRUE), tokens).named("mix")
    mixes.line = 3
    assert dynamic_check(mixes, DOMAIN, [(1,), (2, 2)]) == []
    assert dynamic_check(mixes, DOMAIN, [(1,), (2, 3)]) == [
        "'mix_1' (line 3) averages values that differ: 2 and 3 on [2, 3]"
    ]
    # 2 is a value too, but a transformer does not come to it
    assert len(dynamic_check(mixes, DOMAIN, [(1, 3)])) == 1
    assert dynamic_check(mixes, Domain((1, 2, 3), 3, causal=True), [(1, 3)])
    assert dynamic_check(SelectorWidth(same), DOMAIN, [(1, 3)]) == []


def test_inputs_without_a_meaning_show_nothing() -> None:
    words = Aggregate(Select(indices, indices, TRUE), tokens)
    assert dynamic_check(words, Domain(("a", "b"), 2), [("a", "b")]) == []
