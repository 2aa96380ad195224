"""A loop over the input with integer state variables: what every route ends in, and what is written as Python.

At each position the state variables are updated all at once from their old values and the input, and the outputs are
computed from the old state and the input, or from the new state (and the input) where `from_new` says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int

from engine.synthesis.formulas.expressions import Expression, evaluate, size

Sequences = Int[np.ndarray[Any, Any], "sequence pos value"]


class Loop(NamedTuple):
    """Names, starting values and formulas. `inputs` are the loop's variables, one per input sequence."""

    inputs: tuple[str, ...]
    state: tuple[str, ...]
    start: tuple[int, ...]
    update: tuple[Expression, ...]  # one per state variable, of the old state and the inputs
    outputs: tuple[Expression, ...]  # of the old state and the inputs, or of the new state and the inputs
    from_new: bool = False

    @property
    def cost(self) -> int:
        """The description length of the formulas and of starting values other than 0."""
        return sum(size(e) for e in (*self.update, *self.outputs)) + sum(1 + (s != 0) for s in self.start)

    def run(self, x: Sequences) -> tuple[Sequences, Sequences]:
        """State variables after each input and the outputs, on (sequence, position, input) integers.

        ZeroDivisionError where Python would raise it.
        """
        old = {name: np.full(len(x), value, dtype=np.int64) for name, value in zip(self.state, self.start)}
        states, outputs = [], []
        for t in range(x.shape[1]):
            read: Mapping[str, Any] = {name: x[:, t, k] for k, name in enumerate(self.inputs)}
            new = {name: evaluate(e, {**old, **read}) for name, e in zip(self.state, self.update)}
            seen = {**(new if self.from_new else old), **read}
            outputs.append(np.stack([evaluate(e, seen) for e in self.outputs], axis=1))
            states.append(np.stack(list(new.values()), axis=1) if new else np.zeros((len(x), 0), dtype=np.int64))
            old = new
        return np.stack(states, axis=1), np.stack(outputs, axis=1)
