"""Two random models of one shape, circuits made up on them, and a desk that hands out handles of models."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from engine.circuits.circuit_graph import row_of
from engine.models.transformer import Transformer
from sessions.artifacts import Edge, Graph, Node
from sessions.components import Component, Embed, Head, Logits, Mlp

from ..conftest import Desk, Pair, make_pair

TUNED = "session:" + "0" * 64


class Shelf(Desk):
    def artifact(self, ref: str) -> Any:
        found = self.inputs[ref]
        return found.handle if isinstance(found, Transformer) else found

    def fresh(self) -> Shelf:
        """The same desk with nothing saved on it."""
        return Shelf(**self.inputs)


def named(pair: Pair, title: str, source: str) -> Pair:
    pair.ours.handle = msgspec.structs.replace(pair.ours.handle, title=title, source=source)
    return pair


@pytest.fixture(scope="session")
def pairs() -> tuple[Pair, Pair]:
    return named(make_pair(), "base", "zoo:base"), named(make_pair(seed=7), "tuned", TUNED)


@pytest.fixture
def shelf(desk: Desk, pairs: tuple[Pair, Pair]) -> Shelf:
    """The prompts of the desk as @2, and two models: @1 base, @3 tuned."""
    return Shelf(**desk.inputs | {"@1": pairs[0].ours, "@3": pairs[1].ours})


def node(component: Component, *, kept: bool = True) -> Node:
    return Node(str(component), str(component), row_of(component, 3), component, kept=kept)


def of_heads(*kept: Head, mlps: tuple[int, ...] | None = (0, 1, 2), title: str = "c", **facts: Any) -> Graph:
    """A circuit of nodes on 3 layers of 4 heads; with `mlps` None it says nothing of MLPs."""
    heads = [node(head, kept=head in kept) for head in (Head(layer, h) for layer in range(3) for h in range(4))]
    blocks = [] if mlps is None else [node(Mlp(layer), kept=layer in mlps) for layer in range(3)]
    nodes = sorted([node(Embed()), *heads, *blocks, node(Logits())], key=lambda one: one.layer)
    return Graph(title=title, nodes=tuple(nodes), edges=(), facts=facts)


def of_edges(*edges: Edge, title: str = "e", **facts: Any) -> Graph:
    """A circuit of edges: a node is kept where a kept edge touches it."""
    ends = {end for edge in edges if edge.kept for end in (edge.source, edge.target)} | {"logits"}
    nodes = tuple(msgspec.structs.replace(one, kept=one.id in ends) for one in of_heads().nodes)
    return Graph(title=title, nodes=nodes, edges=edges, level="edges", facts=facts)
