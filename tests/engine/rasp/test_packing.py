"""Packed models compute what the plain ones do, in no more layers, and in the fewest there can be."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from engine.rasp import forward
from engine.rasp.compiled import Compiled, Domain
from engine.rasp.compiler import compile_program
from engine.rasp.language import Aggregate, Indices, Node, Select, SelectorWidth, SOp, Tokens, nodes
from engine.rasp.layering import Layers, allocate
from engine.rasp.library import LIBRARY, program
from engine.rasp.packing import arrangement, packed
from engine.rasp.sampling.sampler import Sampler
from engine.rasp.syntax import parse

DOMAIN = Domain((0, 1, 2, 3, 4), 5)

SHARING = """
last = select(indices, indices, <)
a = aggregate(select(indices, indices, ==), map(lambda x: x + 1, tokens))
one = numerical(aggregate(last, numerical(tokens == 1), default=0))
two = numerical(aggregate(last, numerical(tokens == 2), default=0))
both = numerical(linear_sequence_map(one, two, 1, 1))
n = selector_width(select(tokens, tokens, ==))
m = selector_width(select(tokens, tokens, ==))
s = sequence_map(lambda x, y: x * y, n, m)
return sequence_map(lambda x, y: (x, y), map(lambda x: x > 0.4, both), sequence_map(lambda x, y: x + y, s, a))
"""


def sampled(count: int, length: int) -> list[SOp]:
    sampler = Sampler(np.random.default_rng(length))
    return [sampler.program(length).program for _ in range(count)]


def same_function(a: Compiled, b: Compiled, rows: list[tuple[object, ...]]) -> None:
    found, wanted = (forward.run(c, forward.encode(c, rows)).logits for c in (a, b))
    for i, row in enumerate(rows):
        difference = np.abs(found[i, 1 : len(row) + 1] - wanted[i, 1 : len(row) + 1])
        assert difference.max() < 1e-3, row


def fewest_layers(program: SOp) -> int:
    """The longest chain, in half layers, worked out from the output backwards."""

    def halves(node: Node) -> int:  # half layers used up when it is done
        before = max((halves(n) for n in node.inputs), default=0)
        if isinstance(node, Tokens | Indices | Select):
            return before
        if isinstance(node, Aggregate):
            return before + 1 if before % 2 == 0 else before + 2
        if isinstance(node, SelectorWidth):
            return before + 2 if before % 2 == 0 else before + 3
        return before + 1 if before % 2 == 1 else before + 2

    return (halves(program) + 1) // 2


@pytest.mark.parametrize("name", LIBRARY)
def test_library(name: str) -> None:
    entry, made = LIBRARY[name], program(name)
    domain = Domain(entry.vocab, entry.max_len, entry.causal)
    plain, small = compile_program(made, domain), packed(made, domain)
    rows = [x for n in (1, 2, 3) for x in itertools.product(entry.vocab, repeat=n)]
    rows += [tuple(r) for r in np.random.default_rng(0).choice(np.array(entry.vocab, object), (50, entry.max_len))]
    if name == "sort_unique":
        rows = [row for row in rows if len(set(row)) == len(row)]
    same_function(small, plain, rows)
    assert small.n_layers == fewest_layers(made) <= plain.n_layers
    assert sum(a.size for a in small.state.values()) <= sum(a.size for a in plain.state.values())


@pytest.mark.parametrize("length", [5, 8, 11])
def test_sampled_programs(length: int) -> None:
    rows = [tuple(r) for r in np.random.default_rng(0).integers(0, 5, (40, 5)).tolist()]
    for made in sampled(15, length):
        plain, small = compile_program(made, DOMAIN), packed(made, DOMAIN)
        same_function(small, plain, rows)
        assert small.n_layers == fewest_layers(made) <= plain.n_layers


def test_equal_selectors_share_a_head() -> None:
    made = parse(SHARING)
    domain = Domain((0, 1, 2), 4)
    order = nodes(made)
    shared, apart = (arrangement(order, order[::-1], share=share) for share in (True, False))
    assert len(set(shared.heads.values())) == 3  # last, the shift, and one for both widths
    assert len(set(apart.heads.values())) == 5
    assert allocate(order, order[::-1]).n_heads > shared.n_heads == 1
    rows = [x for n in (1, 2, 3, 4) for x in itertools.product(domain.vocab, repeat=n)]
    for arrange in (shared, apart):
        compiled = compile_program(made, domain, arrange=lambda *_, a=arrange: a)
        same_function(compiled, compile_program(made, domain), rows)


@pytest.mark.parametrize("share", [True, False])
def test_everything_is_ready_before_it_is_read(share: bool) -> None:
    for made in [*sampled(30, 10), parse(SHARING)]:
        order = nodes(made)
        layers = arrangement(order, order[::-1], share=share)

        def done(node: Node, layers: Layers = layers) -> int:
            if isinstance(node, Tokens | Indices):
                return -1
            if isinstance(node, Select):
                return max(map(done, node.inputs))
            assert isinstance(node, SOp)
            return 2 * layers.layer[node] + (not isinstance(node, Aggregate))

        for node in order:
            if isinstance(node, SOp) and not isinstance(node, Tokens | Indices):
                begins = done(node) - isinstance(node, SelectorWidth)
                assert all(done(of) < begins for of in node.inputs)
                assert isinstance(node, Aggregate) or node in dict.fromkeys(layers.mlps[layers.layer[node]])
