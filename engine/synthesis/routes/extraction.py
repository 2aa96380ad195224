"""The whole road from a network to a program: explore, cluster, build, minimise, search for the shortest formulas.

Neither the task's name nor its target is looked at: the network is asked, on inputs from a stated range and length.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from engine.models.protocols import RecurrentModel
from engine.synthesis.automata.machine import UNKNOWN, Mealy, build, minimise
from engine.synthesis.automata.states import Clusters, Explored, apart, cluster, explore
from engine.synthesis.domain import Domain
from engine.synthesis.routes.machine_search import Found, simplest
from sessions.errors import IwbError

STAGES = ("walk", "cluster", "minimise", "formulas")
MOST_SYMBOLS = 4096
MOST_MERGED = 5_000  # visited states that are merged by behaviour


class Extraction(NamedTuple):
    """Every stage's result."""

    domain: Domain
    explored: Explored
    clusters: Clusters
    unminimised: Mealy
    asked: int  # transitions that the walk left open and the network was asked about
    machine: Mealy
    found: Found
    by_behaviour: bool  # states told apart by what follows them, up to the length, not by distance

    @property
    def closed(self) -> bool:
        """Whether the machine says something about every length: clusters of states, none of which leads out."""
        return self.machine.complete and not self.by_behaviour

    def state_of_clusters(self) -> Int[np.ndarray[Any, Any], " cluster"]:
        """The minimal machine's state for each cluster (-1: only an unknown transition leads there)."""
        state = np.full(self.unminimised.states, -1, dtype=np.int64)
        state[0] = 0
        queue = [0]
        for one in queue:
            for symbol, after in enumerate(self.unminimised.next[one]):
                if after != UNKNOWN and state[after] < 0:
                    state[after] = self.machine.next[state[one], symbol]
                    queue.append(int(after))
        return state


def extract(
    model: RecurrentModel,
    domain: Domain,
    *,
    tolerance: float | None = None,
    most_states: int = 256,
    rng: np.random.Generator,
    progress: Callable[[str, int, int], None] | None = None,
) -> Extraction:
    """The simplest program found for a network on inputs of that domain, with everything it came from.

    `progress(stage, done, total)` counts within each stage. Raises IwbError when the hidden states form no finite set
    of at most `most_states`.
    """

    def report(stage: str, done: int, total: int) -> None:
        if progress is not None:
            progress(stage, done, total)

    symbols = domain.alphabet()
    explored = explore(model, symbols, domain.length, rng=rng, progress=lambda d, n: report("walk", d, n))
    by_behaviour = False
    try:
        clusters = cluster(
            explored, tolerance=tolerance, most=most_states, progress=lambda d, n: report("cluster", d, n)
        )
    except IwbError:
        if tolerance is not None or not explored.whole or len(explored.hidden) > MOST_MERGED:
            raise
        # Distance tells nothing: merge the visited states that agree on everything that was seen to follow them.
        clusters, by_behaviour = apart(explored), True
    report("minimise", 0, 1)
    unminimised, asked = build(model, symbols, explored, clusters)
    machine = minimise(unminimised)
    if machine.states > most_states:
        raise IwbError(
            f"the network's automaton has {machine.states} states, more than {most_states}",
            "synthesis",
            "raise max_states or shorten length",
        )
    about = _about(model.hidden, machine, domain, closed=machine.complete and not by_behaviour)
    found = simplest(machine, about, progress=lambda d, n: report("formulas", d, n))
    return Extraction(domain, explored, clusters, unminimised, len(asked), machine, found, by_behaviour)


def _about(hidden: int, machine: Mealy, domain: Domain, *, closed: bool) -> str:
    states = "1 state" if machine.states == 1 else f"{machine.states} states"
    numbers = "1 hidden number" if hidden == 1 else f"{hidden} hidden numbers"
    extent = "" if closed else f", known for sequences of up to {domain.length} elements only"
    return f"The automaton of a network with {numbers}: {states}{extent}."


def projected(
    hidden: Float[np.ndarray[Any, Any], "point hidden"], time: Int[np.ndarray[Any, Any], " point"]
) -> tuple[Float[np.ndarray[Any, Any], "point 2"], tuple[str, str]]:
    """Hidden states in the plane, and the axes' names: one number over time, two as they are, more by their two
    principal components."""
    count = hidden.shape[1]
    if count == 1:
        return np.stack([time.astype(np.float64), hidden[:, 0].astype(np.float64)], axis=1), ("time", "h1")
    if count == 2:
        return hidden.astype(np.float64), ("h1", "h2")
    centred = hidden.astype(np.float64) - hidden.mean(axis=0, dtype=np.float64)
    values, vectors = np.linalg.eigh(centred.T @ centred)
    share = values[::-1] / values.sum() if values.sum() > 0 else np.zeros_like(values)
    axes = vectors[:, ::-1][:, :2]
    # The sign of a principal component is arbitrary: the largest entry is made positive, so runs agree.
    axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), [0, 1]])
    return centred @ axes, (f"PC1 ({share[0]:.0%})", f"PC2 ({share[1]:.0%})")
