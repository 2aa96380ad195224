"""Many random programs, each only once."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from engine.rasp.sampling.sampler import Sampled, Sampler
from engine.rasp.sampling.tokens import CLASSES
from engine.rasp.sampling.trials import DEFAULTS, Settings

PATIENCE = 5_000  # draws one after another that bring nothing new


class Samples(NamedTuple):
    programs: list[Sampled]
    draws: int
    same_tokens: int  # draws whose tokens came before
    same_behaviour: int  # of the others, draws whose behaviour came before

    def shares(self) -> dict[str, float]:
        """How often each class of operation occurs."""
        counts = dict.fromkeys(CLASSES, 0)
        for one in self.programs:
            for name in one.classes:
                counts[name] += 1
        total = max(sum(counts.values()), 1)
        return {name: count / total for name, count in counts.items()}


def sample_many(
    rng: np.random.Generator,
    n: int,
    length: int,
    *,
    settings: Settings = DEFAULTS,
    unique: bool = True,
    patience: int = PATIENCE,
    progress: Callable[[int, int], None] | None = None,
) -> Samples:
    """n programs of a length. With `unique`, none has the tokens or the behaviour of an earlier one; then fewer than n
    come back when `patience` draws one after another bring nothing new (short lengths have few different programs)."""
    sampler = Sampler(rng, settings)
    found: list[Sampled] = []
    seen_tokens: set[tuple[int, ...]] = set()
    seen_behaviours: set[bytes] = set()
    by_tokens = by_behaviour = draws = in_vain = 0
    while len(found) < n and in_vain < patience:
        one = sampler.program(length)
        draws += 1
        in_vain += 1
        if one.tokens in seen_tokens:
            by_tokens += 1
        elif one.behaviour in seen_behaviours:
            by_behaviour += 1
        if not unique or (one.tokens not in seen_tokens and one.behaviour not in seen_behaviours):
            found.append(one._replace(compiled=None))  # a thousand models are much memory
            in_vain = 0
        seen_tokens.add(one.tokens)
        seen_behaviours.add(one.behaviour)
        if progress is not None:
            progress(len(found), n)
    return Samples(found, draws, by_tokens, by_behaviour)
