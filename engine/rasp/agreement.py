"""Does one thing compute what another does? On all inputs of a domain where there are few, on a sample of them else."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from engine.rasp.compiled import Domain
from engine.rasp.functions import Value

MOST_INPUTS = 20_000  # tried one by one; beyond it a sample
CLOSE = 1e-3  # absolute, for numbers of a float32 forward pass; the values of a program lie further apart
ROUNDING = 1e-5  # relative: a hundred roundings of float32

Outputs = Sequence[Sequence[Value] | None]  # per input, a value per position; None: not defined on that input


class Agreement(NamedTuple):
    agreed: int  # inputs on which every defined position is the same
    tested: int
    undefined: int  # inputs left out, because the reference is not defined there
    exhaustive: bool
    difference: str  # the first, in words

    @property
    def holds(self) -> bool:
        return self.agreed == self.tested and self.tested > 0


def count(domain: Domain) -> int:
    """How many inputs of length 1 to `max_len` there are."""
    return sum(len(domain.vocab) ** n for n in range(1, domain.max_len + 1))


def inputs_of(
    domain: Domain, rng: np.random.Generator, most: int = MOST_INPUTS
) -> tuple[list[tuple[Value, ...]], bool]:
    """All inputs, shortest first, and True; or, where there are more than `most`, a sample without repetition in which
    every length has an equal share (short ones as far as there are any; the longest takes the rest), and False."""
    if count(domain) <= most:
        lengths = range(1, domain.max_len + 1)
        return [x for n in lengths for x in itertools.product(domain.vocab, repeat=n)], True
    found: dict[tuple[int, ...], None] = {}
    for n in range(1, domain.max_len + 1):
        share = most // domain.max_len if n < domain.max_len else most - len(found)
        rows = rng.integers(len(domain.vocab), size=(share, n))
        found.update(dict.fromkeys(map(tuple, rows.tolist())))
    return [tuple(domain.vocab[i] for i in row) for row in found], False


def same(a: Value, b: Value, tolerance: float = CLOSE) -> bool:
    """Equal, or numbers that differ by less than the tolerance and rounding. Whole numbers are categories: 3000 is not
    3001."""
    if a is None or b is None:
        return a is b
    if isinstance(a, int) and isinstance(b, int):
        return a == b
    if isinstance(a, int | float) and isinstance(b, int | float):
        return abs(a - b) <= tolerance + ROUNDING * abs(a)
    return bool(a == b)


def compare(
    inputs: Sequence[Sequence[Value]],
    reference: Outputs,
    outputs: Outputs,
    *,
    exhaustive: bool,
    tolerance: float = CLOSE,
) -> Agreement:
    """Where the reference gives None, whatever comes out is right: a transformer cannot say None."""
    agreed = tested = undefined = 0
    difference = ""
    for x, wanted, found in zip(inputs, reference, outputs, strict=True):
        if wanted is None:
            undefined += 1
            continue
        tested += 1
        right = found is not None and all(
            w is None or same(w, f, tolerance) for w, f in zip(wanted, found, strict=True)
        )
        agreed += right
        if not right and not difference:
            difference = f"{list(x)} gives {_shown(found)}, not {_shown(wanted)}"
    return Agreement(agreed, tested, undefined, exhaustive, difference)


def _shown(values: Sequence[Value] | None) -> str:
    if values is None:
        return "nothing"
    return "[" + ", ".join(f"{v:.4g}" if isinstance(v, float) else str(v) for v in values) + "]"


def defined(
    evaluate: Callable[[Sequence[Sequence[Value]]], list[list[Value]]], inputs: Sequence[Sequence[Value]]
) -> list[list[Value] | None]:
    """The outputs of a program; None on inputs where it raises (a selector meets None, an aggregate averages words)."""
    try:
        return list(evaluate(inputs))
    except (ValueError, TypeError, ArithmeticError):
        if len(inputs) == 1:
            return [None]
        half = len(inputs) // 2
        return defined(evaluate, inputs[:half]) + defined(evaluate, inputs[half:])


def in_words(domain: Domain, exhaustive: bool) -> str:
    extent = f"{count(domain):,} inputs" if exhaustive else f"a sample of the {count(domain):,} inputs"
    kind = "all " if exhaustive else ""
    return f"{kind}{extent} of up to {domain.max_len} tokens out of {len(domain.vocab)}"
