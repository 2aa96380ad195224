"""Numbers or bits for the states of a machine: the choices under which its formulas may come out short.

Few states are labelled in every way; many by what a short formula makes of them, by their order along a line in the
hidden space, along the machine's own moves (counting how often one input was read), which is what a counter or a clock
needs, and breadth first, which a table needs. The start is 0, but for the order along a line.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from engine.synthesis.automata.arithmetic import arithmetic_labels
from engine.synthesis.automata.machine import UNKNOWN, Mealy

Codes = Int[np.ndarray[Any, Any], "state variable"]
MOST_PERMUTED = 6  # states with every integer labelling tried: 120 of them
MOST_BITS = 3  # 8 states with every code tried: 5,040 of them


class Labelling(NamedTuple):
    """The values of the state variables in each state."""

    kind: Literal["no state", "integer", "arithmetic", "rank", "bits", "counter", "breadth first"]
    codes: Codes

    @property
    def variables(self) -> int:
        return int(self.codes.shape[1])


def labellings(
    machine: Mealy, places: Float[np.ndarray[Any, Any], "state hidden"] | None = None
) -> Iterator[Labelling]:
    """All labellings worth trying, each once. `places`: where in the hidden space each state lies, where known."""
    count = machine.states
    if count == 1:
        yield Labelling("no state", np.zeros((1, 0), dtype=np.int64))
        return
    tried: set[bytes] = set()
    for labelling in _candidates(machine, places):
        key = bytes([labelling.variables]) + labelling.codes.tobytes()
        if key not in tried:
            tried.add(key)
            yield labelling


def _candidates(machine: Mealy, places: Float[np.ndarray[Any, Any], "state hidden"] | None) -> Iterator[Labelling]:
    count = machine.states
    if count <= MOST_PERMUTED:
        for order in permutations(range(1, count)):
            yield Labelling("integer", np.array((0, *order), dtype=np.int64)[:, None])
    arithmetic = False
    if count > MOST_PERMUTED:
        for labels in arithmetic_labels(machine):
            arithmetic = True
            yield Labelling("arithmetic", labels[:, None])
        if places is not None and machine.complete:  # of a count broken off, the last rank means nothing
            yield from (Labelling("rank", labels[:, None]) for labels in _ranks(places))
    for counted in _counters(machine):
        yield Labelling("counter", counted[:, None])
    bits = count.bit_length() - 1
    if count == 2**bits and 2 <= bits <= MOST_BITS and not arithmetic:
        for order in permutations(range(1, count)):
            numbers = np.array((0, *order), dtype=np.int64)
            yield Labelling("bits", (numbers[:, None] >> np.arange(bits)[::-1]) & 1)
    yield Labelling("breadth first", np.arange(count, dtype=np.int64)[:, None])


def _ranks(places: Float[np.ndarray[Any, Any], "state hidden"]) -> Iterator[Int[np.ndarray[Any, Any], " state"]]:
    """The states' order along the principal component and along each hidden number, both ways."""
    centred = places - places.mean(axis=0)
    axes = [np.linalg.svd(centred, full_matrices=False)[2][0], *np.eye(places.shape[1])]
    for axis in axes:
        rank = np.argsort(np.argsort(centred @ axis, kind="stable"), kind="stable")
        yield rank.astype(np.int64)
        yield (len(rank) - 1 - rank).astype(np.int64)


def _counters(machine: Mealy) -> Iterator[Int[np.ndarray[Any, Any], " state"]]:
    """Labels by counting: +1 for each time one input was read from the start, -1 for each time another was.

    Only where that reaches every state: the two chains leave nothing out.
    """
    for up in range(len(machine.symbols)):
        for down in range(len(machine.symbols)):
            if up == down:
                continue
            labels = {0: 0}
            for symbol, stride in ((up, 1), (down, -1)):
                state, number = 0, 0
                while (after := int(machine.next[state, symbol])) != UNKNOWN and after not in labels:
                    number += stride
                    labels[after] = number
                    state = after
            if len(labels) == machine.states:
                yield np.array([labels[state] for state in range(machine.states)], dtype=np.int64)
