"""What reading the weights finds, before anything has a name: s-ops over codes (which value, nobody knows yet) and
numbers, each with the vectors it adds to the residual stream."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from engine.rasp.compiled import Head

Floats = np.ndarray[Any, np.dtype[np.float64]]
Bools = np.ndarray[Any, np.dtype[np.bool_]]
Ints = np.ndarray[Any, np.dtype[np.intp]]

NONE = -1  # in a table of codes: no value
UNSEEN = -2  # in a table of codes: inputs that do not occur, of which projected weights say nothing (numbers: nan)
Kind = Literal[
    "Tokens", "Indices", "Map", "SequenceMap", "LinearSequenceMap", "Aggregate", "SelectorWidth", "Count", "Nothing"
]


@dataclass
class Part:
    """An s-op. Categorical: code c adds vectors[c]. Numerical: the number x adds x * vectors[0].

    "Count" is what the head of a SelectorWidth leaves, 1/(d+1). "Nothing" is a direction that is read and that nothing
    writes: the number 0.
    """

    kind: Kind
    encoding: Literal["categorical", "numerical"]
    half: int  # the half layer that writes it; -1: the embedding. Later ones read it.
    vectors: Floats  # [codes, d_model]; tokens: without the constant that every row of W_E holds
    reads: tuple[int, ...] = ()  # parts: arguments; keys, queries and values of an aggregate
    values: tuple[Any, ...] | None = None  # of numbers, of tokens, indices and widths; None: not in the weights
    inputs: tuple[float, ...] | None = None  # Map of a number: the values that its table runs over
    codes: Ints | None = None  # Map, SequenceMap: per input code (or value, or pair) the output code
    numbers: Floats | None = None  # Map to a number: per input code or value
    factors: tuple[float, float] = (0.0, 0.0)
    matches: Bools | None = None  # [query code, key code]
    occurs: Bools | None = None  # [query code, key code]: what is not here is not known; None: all is
    head: Head | None = None
    layer: int | None = None  # of the MLP
    units: tuple[int, ...] = ()
    notes: list[str] = field(default_factory=list)

    @property
    def size(self) -> int:
        return len(self.vectors)

    @property
    def where(self) -> str:
        """The component as a person writes it."""
        found = [] if self.head is None else [f"L{self.head.layer}H{self.head.head}"]
        if self.layer is not None:
            found.append(f"mlp{self.layer}")
        return " and ".join(found) or "embed"
