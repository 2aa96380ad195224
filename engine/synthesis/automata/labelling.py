"""Numbers or bits for the states of a machine: the choices under which its formulas may come out short.

The start is always 0 (h_0 = 0). Few states are labelled in every way; many along the machine's own moves (counting how
often one input was read), which is what a counter or a clock needs, and breadth first, which a table needs.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Int

from engine.synthesis.automata.machine import UNKNOWN, Mealy

Codes = Int[np.ndarray[Any, Any], "state variable"]
MOST_PERMUTED = 6  # states with every integer labelling tried: 120 of them
MOST_BITS = 3  # 8 states with every code tried: 5,040 of them


class Labelling(NamedTuple):
    """The values of the state variables in each state."""

    kind: Literal["no state", "integer", "bits", "counter", "breadth first"]
    codes: Codes

    @property
    def variables(self) -> int:
        return int(self.codes.shape[1])


def labellings(machine: Mealy) -> Iterator[Labelling]:
    """All labellings worth trying, each once."""
    count = machine.states
    if count == 1:
        yield Labelling("no state", np.zeros((1, 0), dtype=np.int64))
        return
    tried: set[bytes] = set()
    for labelling in _candidates(machine):
        key = bytes([labelling.variables]) + labelling.codes.tobytes()
        if key not in tried:
            tried.add(key)
            yield labelling


def _candidates(machine: Mealy) -> Iterator[Labelling]:
    count = machine.states
    if count <= MOST_PERMUTED:
        for order in permutations(range(1, count)):
            yield Labelling("integer", np.array((0, *order), dtype=np.int64)[:, None])
    for counted in _counters(machine):
        yield Labelling("counter", counted[:, None])
    bits = count.bit_length() - 1
    if count == 2**bits and 2 <= bits <= MOST_BITS:
        for order in permutations(range(1, count)):
            numbers = np.array((0, *order), dtype=np.int64)
            yield Labelling("bits", (numbers[:, None] >> np.arange(bits)[::-1]) & 1)
    yield Labelling("breadth first", np.arange(count, dtype=np.int64)[:, None])


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
