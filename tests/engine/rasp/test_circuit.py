"""The true circuit: removing an edge it does not have changes nothing, removing one it has does."""

from __future__ import annotations

import itertools

import numpy as np

from engine.rasp import forward
from engine.rasp.circuit import Read, edges, reads
from engine.rasp.compiled import Domain
from engine.rasp.compiler import compile_program
from engine.rasp.language import Aggregate, Comparison, Select, SelectorWidth, indices, tokens
from sessions.components import Component, Embed, Head, Logits, Mlp
from sessions.errors import CallError
from tests.engine.rasp.by_hand import random_program

DOMAIN = Domain((0, 1, 2), 4)


def sort() -> Aggregate:
    place = SelectorWidth(Select(tokens, tokens, Comparison.LT)).named("place")
    return Aggregate(Select(place, indices, Comparison.EQ), tokens).named("sort")


def test_sort() -> None:
    c = compile_program(sort(), DOMAIN)
    assert reads(c) == [
        Read(Embed(), Head(0, 0, "k"), "tokens"),
        Read(Embed(), Head(0, 0, "q"), "tokens"),
        Read(Embed(), Head(0, 0, "v"), "tokens:compiler_bos"),
        Read(Head(0, 0), Mlp(0), "place_3_selector_width_attn_output"),
        Read(Mlp(0), Head(1, 0, "k"), "place_3"),
        Read(Embed(), Head(1, 0, "q"), "indices"),
        Read(Embed(), Head(1, 0, "v"), "tokens"),
        Read(Head(1, 0), Logits(), "sort_1"),
    ]
    graph = edges(c)
    assert [(n.id, n.layer, n.kept) for n in graph.nodes] == [
        ("embed", 0, True),
        ("L0H0", 1, True),
        ("mlp0", 2, True),
        ("L1H0", 3, True),
        ("mlp1", 4, False),
        ("logits", 5, True),
    ]
    assert {(e.source, e.target, e.input) for e in graph.edges if e.weight} == {
        ("embed", "L0H0", "k"),
        ("embed", "L0H0", "q"),
        ("embed", "L0H0", "v"),
        ("L0H0", "mlp0", None),
        ("mlp0", "L1H0", "k"),
        ("embed", "L1H0", "q"),
        ("embed", "L1H0", "v"),
        ("L1H0", "logits", None),
    }
    assert {(e.source, e.target, e.input) for e in graph.edges if not e.weight} == {
        ("embed", "mlp0", None),
        ("embed", "L1H0", "k"),
    }
    assert len(graph.edges) == 10


def test_it_is_what_the_weights_say() -> None:
    """A component reads another exactly where the product of the writer's and the reader's weights is not zero: the
    constants (the one, the beginning token) aside."""
    for seed in range(40):
        try:
            c = compile_program(random_program(np.random.default_rng(seed), 6), DOMAIN)
        except CallError:
            continue
        writes: dict[Component, np.ndarray] = {
            Embed(): np.concatenate([c.state["embed.W_E"], c.state["pos_embed.W_pos"]])
        }
        read: dict[Component, np.ndarray] = {}
        for layer, head in itertools.product(range(c.n_layers), range(c.n_heads)):
            b = f"blocks.{layer}."
            w = {name: c.state[f"{b}attn.W_{name}"][head] for name in "QKVO"}
            m = w["Q"] @ w["K"].T
            writes[Head(layer, head)] = w["V"] @ w["O"]
            read[Head(layer, head)] = np.concatenate([m.T, m, (w["V"] @ w["O"]).T])
            writes[Mlp(layer)] = c.state[b + "mlp.W_out"]
            read[Mlp(layer)] = c.state[b + "mlp.W_in"].T
        read[Logits()] = c.state["unembed.W_U"].T
        constants = [i for i, name in enumerate(c.residual) if name == "one" or name.startswith("tokens:compiler")]
        found = set()
        for (s, written), (t, r) in itertools.product(writes.items(), read.items()):
            touched = np.abs(written).max(0) * np.abs(r).max(0)
            touched[constants] = 0
            if touched.any() and order(s) < order(t):
                found.add((str(s), str(t)))
        wanted = {(e.source, e.target) for e in edges(c).edges if e.weight}
        # The weights show no read where a function gives the same for all values; they never show one more
        assert found <= wanted


def order(component: Component) -> int:
    match component:
        case Embed():
            return 0
        case Head(layer=layer):
            return 1 + 2 * layer
        case Mlp(layer=layer):
            return 2 + 2 * layer
        case _:
            return 10_000


def test_outputs_are_unharmed() -> None:
    c = compile_program(sort(), DOMAIN)
    assert forward.outputs(c, [(2, 0, 1)]) == [[0, 1, 2]]
