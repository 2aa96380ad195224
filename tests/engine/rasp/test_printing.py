"""Text and back: nothing about a program is lost."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from engine.rasp.functions import Function
from engine.rasp.language import (
    Aggregate,
    Comparison,
    Map,
    Select,
    SelectorWidth,
    SOp,
    indices,
    nodes,
    numerical,
    tokens,
)
from engine.rasp.printing import same_program, to_text
from engine.rasp.syntax import parse
from sessions.errors import CallError
from tests.engine.rasp.random_programs import programs


@settings(max_examples=400, deadline=None)
@given(programs())
def test_round_trip(program: SOp) -> None:
    text = to_text(program)
    again = parse(text)
    assert same_program(again, program), text
    assert to_text(parse(to_text(again))) == to_text(again)  # settled, once the sources are one
    assert len(text.splitlines()) <= len(nodes(program))


def test_reads_as_a_listing() -> None:
    less = Select(indices, indices, Comparison.LEQ).named("prevs")
    program = numerical(Aggregate(less, numerical(tokens == "a"), default=0)).named("frac_prevs")
    assert to_text(program) == (
        "prevs = select(indices, indices, <=)\n"
        "map_3 = numerical(map(lambda x: x == 'a', tokens))\n"
        "frac_prevs = numerical(aggregate(prevs, map_3, default=0))\n"
    )


def test_unfused_maps_stay_apart() -> None:
    inner = Map(Function.parse("lambda x: x + 1"), tokens)
    program = Map(Function.parse("lambda x: x * 2"), inner, simplify=False)
    assert len(nodes(parse(to_text(program)))) == 3


def test_differences_are_seen() -> None:
    width = SelectorWidth(Select(tokens, tokens, Comparison.EQ))
    assert same_program(width, SelectorWidth(Select(tokens, tokens, Comparison.EQ)))
    assert not same_program(width, width.named("x"))
    assert not same_program(width, numerical(width))
    assert not same_program(width, SelectorWidth(Select(tokens, indices, Comparison.EQ)))
    assert not same_program(width, SelectorWidth(Select(tokens, tokens, Comparison.NEQ)))
    assert not same_program(tokens == 1, tokens == 1.0)
    shared = tokens == 1
    with pytest.warns(UserWarning, match="itself"):
        twice = shared + shared
    assert not same_program(shared + shared.named("map"), twice)  # two equal nodes are not one shared node


def test_a_python_callable_has_no_text() -> None:
    with pytest.raises(CallError, match="'map_1' cannot be written as text"):
        to_text(Map(lambda x: x, tokens))
