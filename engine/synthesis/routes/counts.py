"""Loops that count how often each input was read: for networks that do not care about the order of their inputs.

Whether the order matters is asked of the network: shuffled sequences must end in the same output. Then the output is a
function of the counts (all actions commute), and a formula of them is searched.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from engine.synthesis.formulas.expressions import Expression
from engine.synthesis.formulas.regression import regress_all
from engine.synthesis.programs.loop import Loop
from engine.synthesis.programs.names import input_names
from engine.synthesis.programs.schedule import variables
from engine.synthesis.routes.behaviour import Behaviour
from engine.synthesis.routes.candidate import Candidate, Refused, candidate

MOST_COUNTED = 10  # different inputs
ASKED, SHUFFLES = 256, 8


def commutes(behaviour: Behaviour, rng: np.random.Generator) -> bool:
    """Whether the last output stays the same however the inputs are ordered."""
    x = behaviour.x[rng.integers(0, len(behaviour.x), ASKED)]
    expected = behaviour.ask(x)[:, -1]
    for _ in range(SHUFFLES):
        order = rng.permuted(np.tile(np.arange(x.shape[1]), (len(x), 1)), axis=1)
        if (behaviour.ask(np.take_along_axis(x, order[:, :, None], axis=1))[:, -1] != expected).any():
            return False
    return True


def count_loops(behaviour: Behaviour, rng: np.random.Generator) -> Iterator[Candidate | Refused]:
    """A program with one counter per input value, as many as its formulas use."""
    alphabet = behaviour.domain.alphabet() if behaviour.inputs == 1 else ()
    if not 2 <= len(alphabet) <= MOST_COUNTED:
        yield Refused("counts", f"only one input of 2 to {MOST_COUNTED} values is counted")
        return
    if not commutes(behaviour, rng):
        yield Refused("counts", "the order of the inputs matters to the network")
        return
    values = [symbol[0] for symbol in alphabet]
    (read,) = input_names(1)
    names = tuple(f"n{value}" if value >= 0 else f"m{-value}" for value in values)
    counted = np.stack([np.cumsum(behaviour.x[:, :, 0] == value, axis=1) for value in values], axis=2)
    rows = counted.reshape(-1, len(values))
    found = regress_all(rows, names, behaviour.y.reshape(len(rows), -1).T, constants=(0, 1, 2))
    if any(f is None for f in found):
        yield Refused("counts", f"no formula of the {len(values)} counts was found")
        return
    outputs = tuple(f.expression for f in found if f is not None)
    used = set().union(*(variables(e) for e in outputs))
    kept = [(name, value) for name, value in zip(names, values) if name in used]
    update = tuple(_counting(name, value, values, read) for name, value in kept)
    loop = Loop((read,), tuple(n for n, _ in kept), (0,) * len(kept), update, outputs, from_new=True)
    wrong = behaviour.difference(loop)
    yield candidate("counts", loop, "Counts how often each input was read.") if not wrong else Refused("counts", wrong)


def _counting(name: str, value: int, values: list[int], read: str) -> Expression:
    """One more where the input is that value; for bits without a comparison."""
    if values == [0, 1]:
        more: Expression = ("+", ("var", name), ("var", read))
        return more if value == 1 else ("-", ("+", ("var", name), ("const", 1)), ("var", read))
    return ("+", ("var", name), ("==", ("var", read), ("const", value)))
