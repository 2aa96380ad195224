"""Input sequences: all of them where there are few enough, in a fixed order, in chunks that fit in memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

Sequences = np.ndarray[Any, np.dtype[np.int64]]


class Domain(NamedTuple):
    """Sequences of `length` elements, each a tuple of `inputs` integers from low..high, both included."""

    inputs: int
    low: int
    high: int
    length: int

    @property
    def size(self) -> int:
        return int((self.high - self.low + 1) ** (self.inputs * self.length))

    @property
    def symbols(self) -> int:
        """How many different inputs there are at one position."""
        return int((self.high - self.low + 1) ** self.inputs)

    def __str__(self) -> str:
        values = "bit" if (self.low, self.high) == (0, 1) else f"{self.low}..{self.high}"
        streams = {1: "", 2: "pairs of "}.get(self.inputs, f"{self.inputs}-tuples of ")
        return f"{streams}{values} sequences of length {self.length}"

    def alphabet(self) -> tuple[tuple[int, ...], ...]:
        """Every input tuple, in counting order."""
        values = np.indices((self.high - self.low + 1,) * self.inputs).reshape(self.inputs, -1).T + self.low
        return tuple(tuple(int(v) for v in row) for row in values)

    def numbered(self, numbers: Sequences) -> Sequences:
        """The sequences of those numbers in counting order (the first element counts most): (n, position, input)."""
        base = self.high - self.low + 1
        digits = self.length * self.inputs
        flat = np.empty((len(numbers), digits), dtype=np.int64)
        rest = numbers.astype(np.int64)
        for place in reversed(range(digits)):
            rest, flat[:, place] = rest // base, rest % base
        return (flat + self.low).reshape(len(numbers), self.length, self.inputs)

    def chunks(self, size: int = 65_536) -> Iterator[Sequences]:
        """All sequences, in counting order, `size` at a time."""
        for start in range(0, self.size, size):
            yield self.numbered(np.arange(start, min(start + size, self.size)))

    def sample(self, count: int, rng: np.random.Generator) -> Sequences:
        """`count` uniform random sequences, (n, position, input)."""
        drawn: Sequences = rng.integers(self.low, self.high + 1, (count, self.length, self.inputs), dtype=np.int64)
        return drawn
