"""Where heads look: patterns, their averages, and the scores that name a head's habit.

Rows of a pattern are queries, columns keys; each row is a distribution over the tokens up to its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from engine.models.protocols import TransformerModel


def patterns(model: TransformerModel, tokens: Int[Tensor, "batch pos"]) -> Float[Tensor, "batch layer head query key"]:
    """The attention of every head on every prompt, in single precision on the CPU."""
    found = model.forward(tokens.to(model.device), pattern=True).pattern
    assert found is not None
    return found.float().transpose(0, 1).cpu()


class Pairs(NamedTuple):
    """Places of a prompt set's patterns: prompt, query and key of each."""

    prompt: Int[Tensor, " pair"]
    query: Int[Tensor, " pair"]
    key: Int[Tensor, " pair"]


def previous_token_pairs(lengths: Int[Tensor, " batch"]) -> Pairs:
    """(i, i - 1) for every real token but the first."""
    places = [(row, i, i - 1) for row, length in enumerate(lengths.tolist()) for i in range(1, length)]
    return _pairs(places)


def induction_pairs(tokens: Int[Tensor, "batch pos"], lengths: Int[Tensor, " batch"]) -> Pairs:
    """(i, j + 1) for every token i that occurred before, last at j: what followed it then (Olsson et al. 2022).

    Where the repeated token follows itself, j + 1 is i and says nothing, so it is left out.
    """
    places: list[tuple[int, int, int]] = []
    for row, (ids, length) in enumerate(zip(tokens.tolist(), lengths.tolist())):
        last: dict[int, int] = {}
        for i, token in enumerate(ids[:length]):
            if token in last and last[token] + 1 < i:
                places.append((row, i, last[token] + 1))
            last[token] = i
    return _pairs(places)


def answer_pairs(
    tokens: Int[Tensor, "batch pos"], at: Int[Tensor, "batch k"], answers: Int[Tensor, "batch k"]
) -> Pairs:
    """(scored position, each place up to it where its answer's token stands): attention paid to the answer itself. An
    answer of -1 stands nowhere."""
    places: list[tuple[int, int, int]] = []
    for row, (ids, queries, wanted) in enumerate(zip(tokens.tolist(), at.tolist(), answers.tolist())):
        for query, answer in zip(queries, wanted):
            places.extend((row, query, key) for key in range(query + 1) if ids[key] == answer)
    return _pairs(places)


def named_pairs(at: Int[Tensor, "batch k"], places: Sequence[int]) -> Pairs:
    """(last scored position, the place a name has in this prompt), where that is not later."""
    queries = at[:, -1].tolist()
    return _pairs([(row, query, key) for row, (query, key) in enumerate(zip(queries, places)) if key <= query])


def _pairs(places: list[tuple[int, int, int]]) -> Pairs:
    return Pairs(*torch.tensor(places, dtype=torch.long).reshape(-1, 3).T)


class Score(NamedTuple):
    """Sums over pairs, so that chunks of prompts add up; `chance` is what uniform attention would pay."""

    total: Float[Tensor, "layer head"]
    chance: float
    pairs: int

    def plus(self, other: Score) -> Score:
        return Score(self.total + other.total, self.chance + other.chance, self.pairs + other.pairs)

    @property
    def mean(self) -> Float[Tensor, "layer head"]:
        """NaN where the prompts have no such pair."""
        return self.total / self.pairs if self.pairs else torch.full_like(self.total, torch.nan)

    @property
    def mean_chance(self) -> float:
        return self.chance / self.pairs if self.pairs else float("nan")


def score(
    pattern: Float[Tensor, "batch layer head query key"], pairs: Pairs, lengths: Int[Tensor, " batch"] | None = None
) -> Score:
    """The attention that each head pays at these pairs. Chance is over the tokens up to the query; with `lengths`, for
    bidirectional attention, over all tokens of the prompt."""
    found = pattern.permute(0, 3, 4, 1, 2)[pairs.prompt, pairs.query, pairs.key]
    visible = pairs.query + 1.0 if lengths is None else lengths[pairs.prompt].double()
    return Score(found.double().sum(0), float((1 / visible).sum()), len(pairs.prompt))


__all__ = [
    "Pairs",
    "Score",
    "answer_pairs",
    "induction_pairs",
    "named_pairs",
    "patterns",
    "previous_token_pairs",
    "score",
]
