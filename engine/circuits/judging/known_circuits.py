"""Circuits that are known from papers, from data files to masks of edges (circuits.md, section c).

A file names heads by class and gives rules: each class of `from` feeds, through the `inputs` named (all three, if none
is), every later component of each class of `to`. The internal edges that ACDC counts besides (a head's q, k and v into
the head itself) are the inputs of heads that any edge of the circuit enters.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Literal

import msgspec
import torch
from jaxtyping import Bool
from torch import Tensor

from engine.circuits.discovery.computational_graph import ComputationalGraph
from sessions.components import Component, Head, HeadInput, Logits, parse_component

KnownTask = Literal["ioi", "greater_than", "docstring"]


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    senders: tuple[str, ...] = msgspec.field(name="from")
    receivers: tuple[str, ...] = msgspec.field(name="to")
    inputs: str = "qkv"  # of the receivers that are heads


class Counts(msgspec.Struct, frozen=True):
    """As published: a file that expands to other numbers is wrong."""

    edges: int
    internal: int
    possible: int | None = None


class KnownCircuit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One circuit from a paper, for a model of this shape. `classes` name components, as `sessions.components` do."""

    title: str
    model: str
    source: str
    layers: int
    heads: int
    mlps: bool
    counts: Counts
    classes: dict[str, tuple[str, ...]]
    rules: tuple[Rule, ...]

    def fits(self, graph: ComputationalGraph) -> bool:
        return (graph.n_layers, graph.n_heads, graph.has_mlps) == (self.layers, self.heads, self.mlps)

    def components(self, name: str) -> tuple[Component, ...]:
        """The components of a class, or the one component of that name."""
        return tuple(map(parse_component, self.classes.get(name, (name,))))

    def class_of(self) -> dict[Component, str]:
        return {parse_component(part): name for name, parts in self.classes.items() for part in parts}


def known_circuit(task: KnownTask) -> KnownCircuit:
    """The circuit of a task."""
    text = files("engine.circuits.judging.references").joinpath(f"{task}.json").read_bytes()
    return msgspec.json.decode(text, type=KnownCircuit)


def expand(known: KnownCircuit, graph: ComputationalGraph) -> Bool[Tensor, "target source"]:
    """Its edges in a model of its shape. ValueError for a model of another."""
    if not known.fits(graph):
        raise ValueError(f"this circuit is one of {known.layers} layers of {known.heads} heads")
    mask = torch.zeros_like(graph.edges)
    for rule in known.rules:
        senders = [part for name in rule.senders for part in known.components(name)]
        sources = [graph.source(part) for part in senders if not isinstance(part, Logits)]
        targets = [graph.target(t) for name in rule.receivers for c in known.components(name) for t in _reads(c, rule)]
        mask[torch.tensor(targets)[:, None], torch.tensor(sources)] = True
    return mask & graph.edges  # `later` is what the graph says


def internal_edges(graph: ComputationalGraph, mask: Bool[Tensor, "target source"]) -> int:
    """How many edges ACDC counts inside heads: one for each q, k or v that something enters."""
    used = mask.any(1).tolist()
    return sum(some for target, some in zip(graph.targets, used) if isinstance(target, Head))


def _reads(component: Component, rule: Rule) -> list[Component]:
    if not isinstance(component, Head):
        return [component]
    names: list[HeadInput] = [name for name in ("q", "k", "v") if name in rule.inputs]
    return [Head(component.layer, component.head, name) for name in names]


__all__ = ["KnownCircuit", "KnownTask", "expand", "internal_edges", "known_circuit"]
