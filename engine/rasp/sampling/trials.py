"""The inputs random programs are tried on, and what makes one worth keeping."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool

from engine.rasp.sampling import evaluation
from engine.rasp.sampling.evaluation import Inputs, Values
from engine.rasp.sampling.steps import CATEGORICAL, ELEMENTWISE, NUMERICAL, Step, aggregated, evaluated

MOST_NONE = 0.5  # of the positions of any input
LEAST_SPREAD = 0.5  # sum over positions of the standard deviation across inputs
MOST_INPUTS = 4_000  # a domain with more inputs than this is tried on a sample
FIXED = 42  # the seed of the inputs that programs are tested on: the same for every sampler


class Settings(NamedTuple):
    """Tokens are 0 to vocab_size - 1. `exact`: a categorical aggregate may average only values that are equal, on every
    input of the domain, because a compiled model cannot average words. The published rule, `exact=False`, is weaker:
    outputs on test inputs lie among the values that were read (the mean of 0 and 2 may pass, where 1 is there too)."""

    vocab_size: int = 5
    max_len: int = 5
    exact: bool = True


DEFAULTS = Settings()
PUBLISHED = Settings(exact=False)


class Trials(NamedTuple):
    test: Inputs  # about 18: looked at for every operation
    extra: Inputs  # about 100: looked at for every program
    domain: Inputs  # all inputs, or a sample
    exact: bool


def trials(settings: Settings) -> Trials:
    n, longest = settings.vocab_size, settings.max_len
    rng = np.random.default_rng(FIXED)

    def draw(count: int, least: int = 1) -> list[tuple[int, ...]]:
        return [tuple(rng.integers(n, size=rng.integers(least, longest + 1)).tolist()) for _ in range(count)]

    fixed = [(0,), (0,) * longest, tuple(i % n for i in range(1, min(longest, 4) + 1))]
    test = dict.fromkeys(draw(15) + fixed)
    extra = dict.fromkeys(draw(50) + draw(50, least=longest))
    count = sum(n**k for k in range(1, longest + 1))
    every = (
        [x for k in range(1, longest + 1) for x in product(range(n), repeat=k)]
        if count <= MOST_INPUTS
        else list(dict.fromkeys(draw(MOST_INPUTS // 2) + draw(MOST_INPUTS // 2, least=longest)))
    )
    return Trials(Inputs.of(list(test)), Inputs.of(list(extra)), Inputs.of(every), settings.exact)


class Run(NamedTuple):
    output: Values
    undefined: Bool[np.ndarray, " input"]  # the interpreter raises there
    mixed: Bool[np.ndarray, " input"]  # a categorical aggregate averages there


def run(scope: Sequence[Step], entries: Sequence[int], inputs: Inputs, *, exact: bool) -> Run:
    """The entries of a scope on inputs; `exact` as in the settings."""
    values: dict[int, Values] = {0: inputs.tokens, 1: inputs.indices}
    n = len(inputs.lengths)
    undefined, mixed = np.zeros(n, dtype=bool), np.zeros(n, dtype=bool)
    missing: dict[int, bool] = {0: False, 1: False}
    for i in entries:
        if i < 2:
            continue
        step = scope[i]
        arguments = [values[j] for j in step.inputs]
        nones = any(missing[j] for j in step.inputs)
        kind, constants = step.sop.kind, step.sop.constants
        if nones and kind not in ELEMENTWISE:
            for j in step.inputs[:2]:  # a selector of None
                if missing[j]:
                    undefined |= evaluation.nones(values[j], inputs) > 0
        if kind == CATEGORICAL:
            made = aggregated(constants, arguments, nones, inputs)
            values[i] = made.values
            undefined |= made.undefined
            mixed |= made.differing if exact else evaluation.outside(made.values, arguments[2], inputs)
        else:
            if kind == NUMERICAL and missing[step.inputs[2]]:
                undefined |= evaluation.nones(arguments[2], inputs) > 0
            values[i] = evaluated(kind, constants, arguments, nones, inputs)
        missing[i] = bool(evaluation.nones(values[i], inputs).any())
    return Run(values[entries[-1]], undefined, mixed)


def useful(ran: Run, extra: Inputs) -> bool:
    """Defined on all extra inputs, not the identity, seldom None, not nearly constant, no averaging of words."""
    if ran.undefined.any() or ran.mixed.any():
        return False
    if (evaluation.nones(ran.output, extra) > MOST_NONE * extra.lengths).any():
        return False
    if ((ran.output == extra.tokens) | ~extra.valid).all():
        return False
    # only inputs of one length are compared position by position: the commonest length, which is the longest
    of_a_length = ran.output[:, extra.lengths == extra.lengths.max()]
    spread = np.where(np.isnan(of_a_length), 0.0, of_a_length).std(axis=1).sum()
    return bool(spread >= LEAST_SPREAD)


def behaviour(ran: Run, inputs: Inputs) -> bytes:
    """16 bytes, equal where outputs are: rounded to 1e-5, None and what is undefined marked."""
    output = np.round(ran.output, 5).astype(np.float32) + np.float32(0)  # no negative zeros
    output[:, ran.undefined] = np.inf
    output[np.isnan(output)] = -np.inf  # there are many NaNs
    return hashlib.blake2b(output[inputs.valid].tobytes(), digest_size=16).digest()
