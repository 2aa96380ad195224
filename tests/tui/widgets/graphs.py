"""Graphs that several tests draw."""

import numpy as np

from sessions.artifacts import Edge, Graph, Node
from sessions.components import Embed, Head, Logits, Mlp


def small_circuit() -> Graph:
    nodes = [Node("embed", "embed", 0, Embed()), Node("L0H3", "L0H3", 1, Head(0, 3), 0.4)]
    nodes += [Node("mlp0", "mlp0", 2, Mlp(0), 0.9)]
    nodes += [Node(f"L5H{h}", f"L5H{h}", 3, Head(5, h), h / 5 - 0.4, kept=h != 9) for h in (0, 5, 7, 9)]
    nodes += [Node(f"L8H{h}", f"L8H{h}", 4, Head(8, h), 1.4) for h in (3, 9)]
    nodes += [Node("logits", "logits", 5, Logits())]
    ends = [
        ("embed", "L0H3", 1.0), ("embed", "mlp0", 2.0), ("L0H3", "mlp0", 0.4), ("mlp0", "L5H0", 1.5),
        ("mlp0", "L5H5", -0.3), ("mlp0", "L5H7", 1.2), ("L5H0", "L8H3", 2.0), ("L5H5", "L8H9", -1.0),
        ("L5H7", "L8H3", 0.5), ("L5H7", "L8H9", 1.0), ("L8H3", "logits", 3.0), ("L8H9", "logits", -2.0),
    ]  # fmt: skip
    return Graph(
        title="circuit", nodes=tuple(nodes), edges=tuple(Edge(a, b, w) for a, b, w in ends), score_name="effect",
        weight_name="logits",
    )  # fmt: skip


def random_circuit(layers: int, heads: int, edges: int, seed: int = 0) -> Graph:
    rng = np.random.default_rng(seed)
    nodes = [Node("embed", "embed", 0, Embed())]
    for layer in range(layers):
        nodes += [
            Node(f"L{layer}H{h}", f"L{layer}H{h}", 1 + 2 * layer, Head(layer, h), float(rng.normal()))
            for h in range(heads)
        ]
        nodes += [Node(f"mlp{layer}", f"mlp{layer}", 2 + 2 * layer, Mlp(layer), float(rng.normal()))]
    nodes += [Node("logits", "logits", 1 + 2 * layers, Logits())]
    pairs = [(a, b) for a in nodes for b in nodes if a.layer < b.layer]
    chosen = rng.choice(len(pairs), size=min(edges, len(pairs)), replace=False)
    made = tuple(Edge(pairs[i][0].id, pairs[i][1].id, float(rng.normal())) for i in sorted(chosen))
    return Graph(title="random", nodes=tuple(nodes), edges=made)


def automaton(states: int, step, accepting=frozenset({0})) -> Graph:
    """`step(state, bit) -> (next state, output)`; one edge per pair of states, labels joined as synthesis does."""
    labels: dict[tuple[int, int], list[str]] = {}
    for state in range(states):
        for bit in (0, 1):
            after, output = step(state, bit)
            labels.setdefault((state, after), []).append(f"{bit}/{output}")
    return Graph(
        title="automaton",
        nodes=tuple(Node(str(i), f"S{i}", min(i, 1), accepting=i in accepting) for i in range(states)),
        edges=tuple(Edge(str(a), str(b), label=", ".join(words)) for (a, b), words in labels.items()),
        layout="automaton",
    )


def division_by_three() -> Graph:
    return automaton(3, lambda r, bit: ((2 * r + bit) % 3, int((2 * r + bit) % 3 == 0)))
