"""Does the program do what the network does, and what the task asks? Counted, sequence by sequence, from its text.

All input sequences are tested where there are at most 2^20 of them (all the benchmark's bit tasks: 1,024 or 1,048,576),
else a sample whose size is said. A difference is given as a sequence that a person can check by hand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Int

from engine.models.protocols import RecurrentModel
from engine.synthesis.domain import Domain

Sequences = Int[np.ndarray[Any, Any], "sequence pos value"]
Outputs = Callable[[Sequences], Sequences]

EXHAUSTIVE = 2**20
SAMPLE = 2**17
CHUNK = 65_536


class Agreement(NamedTuple):
    """On how many of the tested sequences two ways of computing agree at every position, and the first difference."""

    agreed: int = 0
    tested: int = 0
    difference: str = ""

    def and_then(self, other: Agreement) -> Agreement:
        return Agreement(self.agreed + other.agreed, self.tested + other.tested, self.difference or other.difference)


def tested(domain: Domain) -> int:
    """How many sequences of the domain are tested."""
    return domain.size if domain.size <= EXHAUSTIVE else SAMPLE


def exhaustive(domain: Domain) -> bool:
    return domain.size <= EXHAUSTIVE


def in_words(domain: Domain) -> str:
    """The tested sequences, as a verdict names them."""
    if exhaustive(domain):
        return f"all {domain.size:,} {domain}"
    return f"{SAMPLE:,} random {domain}"


def chunks(domain: Domain, seed: int) -> Iterator[Sequences]:
    """The tested sequences, `CHUNK` at a time. Each chunk depends on its number and the seed only."""
    if exhaustive(domain):
        yield from domain.chunks(CHUNK)
        return
    for number in range(SAMPLE // CHUNK):
        yield domain.sample(CHUNK, np.random.default_rng([seed, number]))


def network_outputs(model: RecurrentModel, x: Sequences) -> Sequences:
    """The network's outputs, rounded (section 2.2)."""
    outputs: Sequences = model.run(torch.tensor(x, dtype=torch.float32))[1].round().to(torch.int64).cpu().numpy()
    return outputs


def compare(x: Sequences, program: Sequences, other: Sequences, other_name: str) -> Agreement:
    """Agreement of two computed outputs, (sequence, position, output), on the inputs `x`."""
    if program.shape != other.shape:
        return Agreement(0, len(x), f"the program gives {program.shape[1:]} numbers, {other_name} {other.shape[1:]}")
    same = (program == other).all(axis=(1, 2))
    if same.all():
        return Agreement(len(x), len(x))
    first = int(np.flatnonzero(~same)[0])
    position = int(np.flatnonzero((program[first] != other[first]).any(axis=1))[0])
    return Agreement(
        int(same.sum()),
        len(x),
        f"{spelled(x[first])} at position {position + 1}: program {_values(program[first, position])}, "
        f"{other_name} {_values(other[first, position])}",
    )


def spelled(x: Int[np.ndarray[Any, Any], "pos input"]) -> str:
    """One input sequence as a person writes it: `0 1 1 0`, with one group per stream."""
    return " | ".join(" ".join(str(int(v)) for v in stream) for stream in x.T)


def _values(y: Int[np.ndarray[Any, Any], " output"]) -> str:
    return ", ".join(str(int(v)) for v in y)
