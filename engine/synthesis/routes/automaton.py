"""The automaton route: hidden states into clusters, the minimal machine, the shortest formulas for it.

Neither the task's name nor its target is looked at: the network is asked, on inputs from a stated range and length.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from engine.models.protocols import RecurrentModel
from engine.synthesis.automata.learning import by_asking
from engine.synthesis.automata.machine import UNKNOWN, Mealy, build, minimise, reachable
from engine.synthesis.automata.states import Clusters, Explored, apart, cluster, explore
from engine.synthesis.domain import Domain
from engine.synthesis.routes.candidate import Candidate
from engine.synthesis.routes.machine_search import Found, simplest
from sessions.errors import IwbError

STAGES = ("walk", "cluster", "minimise", "formulas")
MOST_SYMBOLS = 256  # different inputs beyond which no automaton is looked for
MOST_WALKED = 400_000  # hidden states visited
MOST_MERGED = 400  # visited states that are merged by behaviour: more of them make no readable machine


class Automaton(NamedTuple):
    """Every stage's result."""

    domain: Domain
    explored: Explored
    clusters: Clusters
    unminimised: Mealy
    asked: int  # transitions that the walk left open and the network was asked about
    machine: Mealy
    by_behaviour: bool  # states told apart by what follows them, up to the length, not by distance
    found: Found | None = None

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

    def labels(self) -> tuple[tuple[str, ...], Int[np.ndarray[Any, Any], "state variable"]]:
        """What the states are called: the program's variables and their values, else their numbers."""
        if self.found is not None and self.found.parts.names.state:
            return self.found.parts.names.state, self.found.parts.labelling.codes
        return ("state",), np.arange(self.machine.states)[:, None]

    def places(self) -> Float[np.ndarray[Any, Any], "state hidden"]:
        """The mean of the visited hidden states of each state of the machine."""
        state = self.state_of_clusters()[self.clusters.label]
        seen = state >= 0
        hidden = self.explored.hidden[seen].astype(np.float64)
        sums = np.zeros((self.machine.states, hidden.shape[1]))
        np.add.at(sums, state[seen], hidden)
        found: Float[np.ndarray[Any, Any], "state hidden"] = (
            sums / np.bincount(state[seen], minlength=self.machine.states)[:, None]
        )
        return found


def find_automaton(
    model: RecurrentModel,
    domain: Domain,
    *,
    tolerance: float | None = None,
    most_states: int = 256,
    merge: bool = True,
    rng: np.random.Generator,
    progress: Callable[[str, int, int], None] = lambda stage, done, total: None,
) -> Automaton:
    """The network's minimal machine on inputs of that domain. `progress(stage, done, total)` counts within each stage.

    `merge`: also where it is open, or distance tells no states apart, merge states that agree on all that is known to
    follow them (slow).
    Raises IwbError when the hidden states form no finite set of at most `most_states`.
    """
    if domain.symbols > MOST_SYMBOLS:
        raise IwbError(f"more than {MOST_SYMBOLS} different inputs", "synthesis")
    symbols = domain.alphabet()
    explored = explore(
        model, symbols, domain.length, most=MOST_WALKED, rng=rng, progress=lambda d, n: progress("walk", d, n)
    )
    by_behaviour = False
    try:
        clusters = cluster(
            explored, tolerance=tolerance, most=most_states, progress=lambda d, n: progress("cluster", d, n)
        )
    except IwbError:
        # Distance tells nothing: the states are learned by asking, or else merged where all that follows agrees.
        learned = by_asking(model, symbols, explored, most_states) if tolerance is None else None
        small = explored.whole and len(explored.hidden) <= MOST_MERGED
        if learned is None and (not merge or tolerance is not None or not small):
            raise
        clusters, by_behaviour = learned or apart(explored), True
    progress("minimise", 0, 1)
    unminimised, asked = build(model, symbols, explored, clusters)
    if not merge and not reachable(unminimised).complete:
        raise IwbError("open: its states are known up to a length only", "synthesis")
    machine = minimise(unminimised)
    if machine.states > most_states:
        raise IwbError(
            f"the network's automaton has {machine.states} states, more than {most_states}",
            "synthesis",
            "raise max_states or shorten length",
        )
    return Automaton(domain, explored, clusters, unminimised, len(asked), machine, by_behaviour)


def automaton_program(
    automaton: Automaton, hidden: int, progress: Callable[[int, int], None] | None = None
) -> tuple[Automaton, Candidate]:
    """The shortest program of a machine, and the automaton with what it was chosen from."""
    about = _about(hidden, automaton.machine, automaton.domain, closed=automaton.closed)
    found = simplest(automaton.machine, about, progress=progress, places=automaton.places())
    loop = found.parts.loop()
    facts = {"labelling": found.parts.labelling.kind, "labellings tried": found.tried}
    route = "automaton" if loop is not None else f"automaton, {found.route}"
    return automaton._replace(found=found), Candidate(route, found.source, found.length, loop, about, facts)


def _about(hidden: int, machine: Mealy, domain: Domain, *, closed: bool) -> str:
    states = "1 state" if machine.states == 1 else f"{machine.states} states"
    numbers = "1 hidden number" if hidden == 1 else f"{hidden} hidden numbers"
    extent = "" if closed else f", known for sequences of up to {domain.length} elements only"
    return f"The automaton of a network with {numbers}: {states}{extent}."
