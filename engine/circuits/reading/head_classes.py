"""What a head habitually looks at, by the seed study's rule (section 5.4; circuits.md, Head classes).

In one example a head gets a class hit when the attention it pays there, averaged over the example, is above 0.4; it is
of the class when that happens in over 80 % of the examples.

- first: to the first token (column 0 of the pattern)
- self: to the token itself (the diagonal)
- previous: to the token before (A[i, i-1])
- induction: to what followed the last earlier occurrence of a repeated token (A[i, j+1])

Row 0 can only attend to itself, which raises first and self; the rule counts it, and `exclude_row_0` leaves it out.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from engine.circuits.reading.answer_attention import per_prompt
from engine.circuits.reading.attention import Pairs, induction_pairs, previous_token_pairs

CLASSES = ("first", "self", "previous", "induction")


class ClassMeans(NamedTuple):
    """Mean attention per example at the places of each class, and what uniform attention would pay there. NaN where an
    example has no such place: induction without a repeated token, previous in a prompt of one token."""

    values: Float[Tensor, "example class layer head"]
    chance: Float[Tensor, "example class"]


def class_means(
    pattern: Float[Tensor, "example layer head query key"],
    tokens: Int[Tensor, "example pos"],
    lengths: Int[Tensor, " example"],
    *,
    exclude_row_0: bool = False,
    causal: bool = True,
) -> ClassMeans:
    """Per example and class, in double precision."""
    real = torch.arange(pattern.shape[3]) < lengths[:, None]
    real[:, 0] &= not exclude_row_0
    prompt, query = real.nonzero().T
    places = (
        Pairs(prompt, query, torch.zeros_like(query)),
        Pairs(prompt, query, query),
        previous_token_pairs(lengths),
        induction_pairs(tokens, lengths),
    )
    found = [per_prompt(pattern, pairs, lengths=None if causal else lengths) for pairs in places]
    return ClassMeans(torch.stack([one.values for one in found], 1), torch.stack([one.chance for one in found], 1))


class Classified(NamedTuple):
    """`rates`: the share of all examples with a hit. `means`: the attention, over the examples that have such places.
    `best` and `runner_up`: the two classes with the highest rates (of equal rates, the higher mean), as indices."""

    rates: Float[Tensor, "class layer head"]
    means: Float[Tensor, "class layer head"]
    member: Bool[Tensor, "class layer head"]
    best: Int[Tensor, "layer head"]
    runner_up: Int[Tensor, "layer head"]

    def of(self, layer: int, head: int) -> list[str]:
        """The classes that a head is of, best first: mostly one or none, but two habits may share a head."""
        mine = [c for c in range(len(CLASSES)) if self.member[c, layer, head]]
        mine.sort(key=lambda c: (-float(self.rates[c, layer, head]), -float(self.means[c, layer, head])))
        return [CLASSES[c] for c in mine]


def classify(
    values: Float[Tensor, "example class layer head"], *, attention: float = 0.4, share: float = 0.8
) -> Classified:
    """Both thresholds must be exceeded. An example that lacks the places of a class is not a hit."""
    n = len(values)
    # patterns are in single precision: a mean of exactly the threshold is compared in it, and is no hit
    hits = (values.float() > torch.tensor(attention, dtype=torch.float32)).sum(0)
    rates = hits.double() / n
    means = values.nanmean(0)
    order = torch.argsort(means.nan_to_num(-1.0), dim=0, descending=True, stable=True)
    by_rate = torch.argsort(rates.gather(0, order), dim=0, descending=True, stable=True)
    ranked = order.gather(0, by_rate)
    return Classified(rates, means, hits > share * n + 1e-9, ranked[0], ranked[1])


def counts(found: Classified, among: Bool[Tensor, "layer head"]) -> dict[str, int]:
    """How many of these heads are of each class; a head of two classes counts in both."""
    return {name: int((found.member[c] & among).sum()) for c, name in enumerate(CLASSES)}


__all__ = ["CLASSES", "ClassMeans", "Classified", "class_means", "classify", "counts"]
