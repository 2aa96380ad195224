"""Mealy machines: built from clusters with the network as oracle, minimised, compared.

A machine may be partial: where neither the walk nor the network's answer names a state, the transition is unknown and
whatever is made of it cannot be wrong on the inputs that were walked. A complete machine says something about inputs of
every length; a partial one only about those.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int

from engine.models.protocols import RecurrentModel
from engine.synthesis.automata.states import Clusters, Explored, Symbols, ask

UNKNOWN = -1
Transitions = Int[np.ndarray[Any, Any], "state symbol"]
Outputs = Int[np.ndarray[Any, Any], "state symbol output"]


class Mealy(NamedTuple):
    """State 0 is the start. `next` is UNKNOWN (and `output` meaningless) where a transition is not known."""

    symbols: tuple[tuple[int, ...], ...]
    next: Transitions
    output: Outputs

    @property
    def states(self) -> int:
        return len(self.next)

    @property
    def complete(self) -> bool:
        return bool((self.next != UNKNOWN).all())

    def depths(self) -> list[int]:
        """How many inputs the shortest way from the start to each state takes (-1: no way)."""
        found = [0] + [-1] * (self.states - 1)
        queue = [0]
        for state in queue:
            for after in self.next[state]:
                if after != UNKNOWN and found[after] < 0:
                    found[after] = found[state] + 1
                    queue.append(int(after))
        return found


def build(
    model: RecurrentModel, symbols: Symbols, explored: Explored, clusters: Clusters
) -> tuple[Mealy, Int[np.ndarray[Any, Any], "ask 2"]]:
    """One state per cluster. Also the (state, symbol) pairs that the walk left open and the network was asked about.

    A pair is asked from the cluster's representative, and answered when the reached hidden state lies within the
    clusters' tolerance of some representative.
    """
    count = len(clusters.representative)
    machine = Mealy(
        tuple(symbols),
        np.full((count, len(symbols)), UNKNOWN, dtype=np.int64),
        np.zeros((count, len(symbols), explored.outputs.shape[2]), dtype=np.int64),
    )
    representative = clusters.representative
    walked = explored.known[representative]
    machine.next[walked] = clusters.label[explored.successor[representative[walked]]]
    machine.output[walked] = explored.outputs[representative[walked]]
    open_states = np.flatnonzero(~walked)
    centres = explored.hidden[representative]
    asked = []
    for number, symbol in enumerate(symbols):
        if not len(open_states):
            break
        after, output = ask(model, centres[open_states], symbol)
        distance = np.linalg.norm(after[:, None] - centres[None], axis=2)
        near = np.where(distance.min(axis=1) <= clusters.tolerance, distance.argmin(axis=1), UNKNOWN)
        machine.next[open_states, number] = near
        machine.output[open_states, number] = output
        asked += [(int(state), number) for state in open_states]
    return machine, np.array(asked, dtype=np.int64).reshape(-1, 2)


def minimise(machine: Mealy) -> Mealy:
    """The smallest machine with the same behaviour, when complete (Moore: Myhill-Nerode classes).

    A partial machine is made smaller by merging states that agree wherever both are known, earliest first; the result
    agrees with it on every known path, but need not be the smallest such machine (finding that one is NP-hard).
    """
    machine = reachable(machine)  # what is never reached must lend no transition to what is
    return _refined(machine) if machine.complete else _merged(machine)


def _refined(machine: Mealy) -> Mealy:
    outputs = machine.output.reshape(machine.states, -1)
    classes = np.unique(outputs, axis=0, return_inverse=True)[1].reshape(-1)
    while True:
        signature = np.concatenate([classes[:, None], classes[machine.next]], axis=1)
        finer = np.unique(signature, axis=0, return_inverse=True)[1].reshape(-1)
        if finer.max() == classes.max():
            return _quotient(machine, classes)
        classes = finer


def _merged(machine: Mealy) -> Mealy:
    """State merging with folding: two states become one only if they agree on at least one known output."""
    leader = np.arange(machine.states)
    next_, output = machine.next.copy(), machine.output
    known = next_ != UNKNOWN
    values = output.copy()
    for later in range(1, machine.states):
        if leader[later] != later:
            continue
        for earlier in range(later):
            if leader[earlier] != earlier:
                continue
            trial = _fold(earlier, later, leader.copy(), next_.copy(), values.copy(), known.copy())
            if trial is not None:
                leader, next_, values, known = trial
                break
    return _quotient(Mealy(machine.symbols, np.where(known, next_, UNKNOWN), values), leader)


def _fold(
    one: int,
    other: int,
    leader: Int[np.ndarray[Any, Any], " state"],
    next_: Transitions,
    values: Outputs,
    known: np.ndarray[Any, np.dtype[np.bool_]],
) -> tuple[Int[np.ndarray[Any, Any], " state"], Transitions, Outputs, np.ndarray[Any, np.dtype[np.bool_]]] | None:
    """Make two states one, and with them every pair they lead to; None when outputs contradict or nothing is shared."""
    waiting, evidence = [(one, other)], 0
    while waiting:
        a, b = (int(leader[s]) for s in waiting.pop())
        if a == b:
            continue
        a, b = min(a, b), max(a, b)
        both = known[a] & known[b]
        if (values[a][both] != values[b][both]).any():
            return None
        evidence += int(both.sum())
        waiting += [(int(x), int(y)) for x, y in zip(next_[a][both], next_[b][both])]
        gained = known[b] & ~known[a]
        next_[a][gained], values[a][gained] = next_[b][gained], values[b][gained]
        known[a] |= known[b]
        leader[leader == b] = a
    return (leader, next_, values, known) if evidence else None


def _quotient(machine: Mealy, classes: Int[np.ndarray[Any, Any], " state"]) -> Mealy:
    """One state per class, the unreachable ones dropped, numbered breadth first from the start."""
    example = {int(c): int(np.flatnonzero(classes == c)[0]) for c in np.unique(classes)}
    number = {int(classes[0]): 0}
    order = [int(classes[0])]
    for c in order:
        for after in machine.next[example[c]]:
            if after != UNKNOWN and int(classes[after]) not in number:
                number[int(classes[after])] = len(order)
                order.append(int(classes[after]))
    rows = [example[c] for c in order]
    following = np.array(
        [[UNKNOWN if s == UNKNOWN else number[int(classes[s])] for s in machine.next[row]] for row in rows],
        dtype=np.int64,
    )
    return Mealy(machine.symbols, following.reshape(len(rows), -1), machine.output[rows])


def reachable(machine: Mealy) -> Mealy:
    """The same machine without states the start never leads to, numbered breadth first: its canonical numbering."""
    return _quotient(machine, np.arange(machine.states))


def isomorphic(one: Mealy, other: Mealy) -> bool:
    """Whether two machines are the same but for the names of their reachable states."""
    a, b = reachable(one), reachable(other)
    if a.symbols != b.symbols or a.next.shape != b.next.shape or (a.next != b.next).any():
        return False
    known = a.next != UNKNOWN
    return bool((a.output[known] == b.output[known]).all())


def run(
    machine: Mealy, x: Int[np.ndarray[Any, Any], "sequence pos input"]
) -> tuple[Int[np.ndarray[Any, Any], "sequence pos"], Int[np.ndarray[Any, Any], "sequence pos output"]]:
    """State before each input (from the start) and outputs. After an unknown transition both are meaningless (-1)."""
    known = np.array(machine.symbols, dtype=np.int64)
    low, widths = known.min(axis=0), np.ptp(known, axis=0) + 1
    places = np.cumprod(np.concatenate([[1], widths[:-1]]))
    numbered = np.full(int(widths.prod()), -1)
    numbered[(known - low) @ places] = np.arange(len(known))
    symbols = numbered[(x - low) @ places]
    state = np.zeros(len(x), dtype=np.int64)
    states, outputs = [], []
    for t in range(x.shape[1]):
        states.append(state)
        after = machine.next[state, symbols[:, t]]
        dead = (state == UNKNOWN) | (after == UNKNOWN)
        outputs.append(np.where(dead[:, None], -1, machine.output[state, symbols[:, t]]))
        state = np.where(dead, UNKNOWN, after)
    return np.stack(states, axis=1), np.stack(outputs, axis=1)
