"""What models, sets and circuits are called where several stand side by side. Loads without torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from engine.circuits.asking import the_prompts
from engine.operations import Context
from sessions.artifacts import Graph, Model, Prompts
from sessions.errors import CallError


def distinct(names: Sequence[str], refs: Sequence[str]) -> tuple[str, ...]:
    """The names, those that occur twice with their reference."""
    counts = Counter(names)
    return tuple(f"{name} {ref}" if counts[name] > 1 else name for name, ref in zip(names, refs))


def each_once(refs: Sequence[str], where: str, what: str, *, least: int = 1) -> None:
    """CallError when a reference is there twice, or there are too few."""
    for ref, count in Counter(refs).items():
        if count > 1:
            raise CallError(f"{ref} is named twice", where, f"name each {what} once")
    if len(refs) < least:
        few = f"one {what} is named" if refs else f"no {what} is named"
        raise CallError(few, where, "name one: @ID" if least == 1 else f"name at least {least}: @ID,@ID")


def the_models(ctx: Context, refs: Sequence[str], *, least: int = 1) -> tuple[Model, ...]:
    each_once(refs, "models", "model", least=least)
    found = []
    for ref in refs:
        model = ctx.artifact(ref)
        if not isinstance(model, Model):
            raise CallError(f"{ref} is a {model.kind}, not a model", "models", "give models that were loaded")
        found.append(model)
    return tuple(found)


def the_circuits(ctx: Context, refs: Sequence[str], *, least: int = 1) -> tuple[Graph, ...]:
    each_once(refs, "circuits", "circuit", least=least)
    found = []
    for ref in refs:
        graph = ctx.artifact(ref)
        if not isinstance(graph, Graph):
            raise CallError(f"{ref} is a {graph.kind}, not a graph", "circuits", "give circuits' graphs")
        found.append(graph)
    return tuple(found)


def the_sets(ctx: Context, refs: Sequence[str]) -> tuple[Prompts, ...]:
    each_once(refs, "prompts", "set of prompts")
    return tuple(the_prompts(ctx, ref) for ref in refs)


def found_on(graph: Graph, models: Sequence[Model], names: Sequence[str]) -> str:
    """What the model is called on which a circuit was found: as among `models` where it is one of them. Where nobody
    says (a reference from a paper), the circuit's title."""
    source = str(graph.facts.get("model", ""))
    for model, name in zip(models, names):
        if model.source == source:
            return name
    return str(graph.facts.get("model_title", source or graph.title))


def short_name(graph: Graph, kept: str) -> str:
    """What a circuit is called beside others: its model (or title, see `found_on`) and what it keeps."""
    return f"{found_on(graph, (), ())}: {kept}"


__all__ = ["distinct", "each_once", "found_on", "short_name", "the_circuits", "the_models", "the_sets"]
