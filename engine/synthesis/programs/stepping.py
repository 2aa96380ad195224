"""A network, its automaton and its program on the same input, position by position: what moves with what."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from engine.models.protocols import HasLogits, RecurrentModel
from engine.synthesis.programs.tracing import One, Trace
from sessions.artifacts import Graph
from sessions.errors import CallError


class NetworkSteps(NamedTuple):
    """After each input: the hidden numbers, what the readout gives before it is rounded or a class is chosen, the
    outputs as integers."""

    hidden: Float[np.ndarray[Any, Any], "pos hidden"]
    raw: Float[np.ndarray[Any, Any], "pos written"]
    outputs: Int[np.ndarray[Any, Any], "pos output"]


class MachineSteps(NamedTuple):
    """After each input: the state's name (empty from the first transition on that is not known), what was written."""

    states: list[str]
    written: list[tuple[int, ...] | None]


def network_steps(model: RecurrentModel, x: One) -> NetworkSteps:
    """CallError for an input that the network has no code for."""
    hidden, y = model.run(torch.tensor(x, dtype=torch.float32))
    raw = model.logits(hidden) if isinstance(model, HasLogits) else y
    return NetworkSteps(
        hidden[0].to("cpu", torch.float64).numpy(),
        raw[0].to("cpu", torch.float64).numpy(),
        y[0].round().to("cpu", torch.int64).numpy(),
    )


def machine_steps(graph: Graph, x: One) -> MachineSteps:
    """The walk through an automaton whose edges are labelled `read/written, read/written`, from its marked state.

    CallError when the graph is none, or its labels are of another number of sequences.
    """
    start = next((node.id for node in graph.nodes if node.accepting), None)
    if graph.layout != "automaton" or start is None:
        raise CallError(f"{graph.title} is not an automaton", "machine", "give the graph that synthesis.extract made")
    labels = {node.id: node.label for node in graph.nodes}
    ways: dict[tuple[str, tuple[int, ...]], tuple[str, tuple[int, ...]]] = {}
    for edge in graph.edges:
        for word in edge.label.split(", "):
            read, _, written = word.partition("/")
            ways[edge.source, _numbers(read, x.shape[2])] = (edge.target, _numbers(written, 0))
    state: str | None = start
    steps = MachineSteps([], [])
    for symbol in x[0].tolist():
        after = ways.get((state, tuple(symbol))) if state is not None else None
        state = after[0] if after else None
        steps.states.append(labels[state] if state is not None else "")
        steps.written.append(after[1] if after else None)
    return steps


def _numbers(text: str, count: int) -> tuple[int, ...]:
    """`01` and `1,12` as they stand on an edge, of `count` numbers; 0: one number, or what commas separate."""
    parts = text.split(",") if "," in text else [text] if count in (0, 1) else list(text)
    if count and len(parts) != count:
        raise CallError(
            f"the automaton's transition '{text}' does not read {count} numbers", "machine", "give this network's own"
        )
    try:
        return tuple(int(part) for part in parts)
    except ValueError:
        raise CallError(f"'{text}' is not what a transition reads or writes", "machine") from None


def agreement(network: NetworkSteps, program: Trace) -> Bool[np.ndarray[Any, Any], " pos"]:
    """Where the program's outputs are the network's. CallError when they are not equally many."""
    if network.outputs.shape != program.outputs.shape:
        raise CallError(
            f"the network gives {network.outputs.shape[1]} numbers at a position, the program "
            f"{program.outputs.shape[1]}",
            "program",
            "give a program of this network",
        )
    same: Bool[np.ndarray[Any, Any], " pos"] = (network.outputs == program.outputs).all(axis=1)
    return same
