"""The circuit of a compiled model, known by construction: which component feeds which, through which input.

Nodes and edges are named as in `engine.circuits.circuit_graph`, so what a circuit method finds can be laid beside it.
"""

from __future__ import annotations

from typing import NamedTuple

from engine.rasp.compiled import Compiled, Variable
from sessions.artifacts import Edge, Node
from sessions.components import Component, Embed, Head, HeadInput, Logits, Mlp

_PORTS: tuple[HeadInput, ...] = ("k", "q", "v")


class Read(NamedTuple):
    """`target` (a head with its input named, an MLP, or the logits) reads `variable` where `source` wrote it."""

    source: Component
    target: Component
    variable: str


class Circuit(NamedTuple):
    nodes: tuple[Node, ...]  # every component of the model; those that do nothing are not kept
    edges: tuple[Edge, ...]  # one for each input of a head that reads; weight 0: it reads nothing but a constant


def writer(variable: Variable) -> Component:
    """Where the values of a variable come from (for a selector width the MLP, which reads what its head counted)."""
    if variable.units is not None:
        return Mlp(variable.units.layer)
    if variable.head is not None:
        return Head(variable.head.layer, variable.head.head)
    return Embed()


def reads(compiled: Compiled) -> list[Read]:
    """Every use of a variable, in the order of `variables`. Constants (the one, and the beginning token where
    it only cleans up) are left out: they carry nothing from the input."""
    written = {v.label: writer(v) for v in compiled.variables}
    found: list[Read] = []
    for v in compiled.variables:
        if v.head is not None:
            for port, label in zip(_PORTS, v.reads):
                found.append(Read(written[label], Head(v.head.layer, v.head.head, port), label))
            if v.op == "SelectorWidth":
                counted = f"{v.label}_selector_width_attn_output"
                found.append(Read(Embed(), Head(v.head.layer, v.head.head, "v"), "tokens:compiler_bos"))
                found.append(Read(Head(v.head.layer, v.head.head), writer(v), counted))
        else:
            found.extend(Read(written[label], writer(v), label) for label in v.reads)
    last = next(v for v in compiled.variables if v.node is compiled.program)
    found.append(Read(writer(last), Logits(), last.label))
    return found


def constant_reads(compiled: Compiled) -> list[tuple[Component, HeadInput | None]]:
    """Who reads the directions of the embeddings that are the same for every input: the one, the beginning token. Such
    an edge carries nothing, but an ablation that takes the constant away breaks what needs it. Unknown, and so empty,
    after a change of basis."""
    names = compiled.residual
    constant = [i for i, name in enumerate(names) if name == "one" or name.startswith("tokens:compiler")]
    found: list[tuple[Component, HeadInput | None]] = []
    if not constant:
        return found
    for layer in range(compiled.n_layers):
        at = f"blocks.{layer}."
        for head in range(compiled.n_heads):
            for port in _PORTS:
                if compiled.state[f"{at}attn.W_{port.upper()}"][head][constant].any():
                    found.append((Head(layer, head), port))
        if compiled.state[f"{at}mlp.W_in"][constant].any():
            found.append((Mlp(layer), None))
    if compiled.state["unembed.W_U"][constant].any():
        found.append((Logits(), None))
    return found


def edges(compiled: Compiled) -> Circuit:
    """The reference graph."""
    found: dict[tuple[Component, Component, HeadInput | None], None] = {}
    for read in reads(compiled):
        target, port = read.target, None
        if isinstance(target, Head):
            target, port = Head(target.layer, target.head), target.input
        found[read.source, target, port] = None
    kept = {component for source, target, _ in found for component in (source, target)}
    constants = [(Embed(), *read) for read in constant_reads(compiled) if (Embed(), *read) not in found]
    every: list[tuple[int, Component]] = [(0, Embed())]
    for layer in range(compiled.n_layers):
        every += [(1 + 2 * layer, Head(layer, head)) for head in range(compiled.n_heads)]
        every.append((2 + 2 * layer, Mlp(layer)))
    every.append((1 + 2 * compiled.n_layers, Logits()))
    return Circuit(
        tuple(Node(str(c), str(c), row, component=c, kept=c in kept) for row, c in every),
        tuple(
            Edge(str(s), str(t), weight, input=port)
            for weight, links in ((1.0, found), (0.0, constants))
            for s, t, port in links
        ),
    )
