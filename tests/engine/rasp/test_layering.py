"""Which half layer computes what."""

from __future__ import annotations

from engine.rasp.compiled import Head
from engine.rasp.functions import Function
from engine.rasp.language import (
    Aggregate,
    Comparison,
    Map,
    Select,
    SelectorWidth,
    SequenceMap,
    SOp,
    indices,
    labels,
    tokens,
)
from engine.rasp.language import nodes as in_order
from engine.rasp.layering import Layers, allocate

SAME = Select(tokens, tokens, Comparison.EQ)
BEFORE = Select(indices, indices, Function.parse("lambda k, q: k == q - 1"))


def layers(program: SOp) -> Layers:
    return allocate(in_order(program), list(labels(program)))


def more(x: SOp) -> Map:
    return Map(Function.parse("lambda x: x"), x, simplify=False)


def test_aggregates_share_a_layer_with_the_maps_that_follow() -> None:
    moved = Aggregate(BEFORE, tokens)
    mapped = more(moved)
    found = layers(mapped)
    assert (found.layer[moved], found.layer[mapped], len(found.mlps)) == (0, 0, 1)
    assert found.mlps == [[mapped]]


def test_a_width_takes_both_halves() -> None:
    width = SelectorWidth(SAME)
    mapped = more(width)
    found = layers(mapped)
    assert (found.layer[width], found.layer[mapped]) == (0, 1)
    assert found.mlps == [[width], [mapped]]


def test_a_depth_with_both_is_not_merged() -> None:
    moved, width = Aggregate(BEFORE, tokens), SelectorWidth(SAME)
    both = SequenceMap(Function.parse("lambda x, y: y"), moved, width)
    found = layers(both)
    assert (found.layer[moved], found.layer[width], found.layer[both]) == (0, 0, 1)
    assert found.heads == {moved: Head(0, 0), width: Head(0, 1)}
    assert found.n_heads == 2


def test_depth_is_the_longest_path_in_operations() -> None:
    short = more(tokens)
    deep = Aggregate(BEFORE, more(more(more(tokens))))
    both = SequenceMap(Function.parse("lambda x, y: x"), short, deep)
    found = layers(both)
    assert (found.layer[short], found.layer[deep], found.layer[both]) == (0, 3, 3)
    assert len(found.mlps) == 4


def test_heads_are_numbered_breadth_first_from_the_output() -> None:
    first, second, third = (Aggregate(BEFORE, tokens) for _ in range(3))
    pair = SequenceMap(Function.parse("lambda x, y: x"), first, second)
    both = SequenceMap(Function.parse("lambda x, y: x"), third, pair)
    found = layers(both)
    assert [found.heads[node].head for node in (third, first, second)] == [0, 1, 2]
