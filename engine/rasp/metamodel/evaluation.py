"""How often a meta-model finds the program, by the program's length, beside the published figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from engine.rasp.metamodel.architecture import Metamodel
from engine.rasp.metamodel.data import Corpus, Row, Source, compiled_of
from engine.rasp.metamodel.decoding import Written, beam, greedy, sample
from engine.rasp.metamodel.training import few_threads, right
from engine.rasp.metamodel.verified import Target, check_all

# Whole programs exactly right; by length where that was given (paper, section on results).
PUBLISHED_BY_LENGTH = {5: 0.80, 8: 0.263}
PUBLISHED_OVERALL = 0.60
PUBLISHED_TOKENS = 0.983
PUBLISHED_DENSE = 0.77  # length 5
PUBLISHED_DENSE_TOKENS = 0.99


class Scored(NamedTuple):
    """What one test program came to."""

    length: int
    right: int  # tokens predicted right after the right ones
    of_tokens: int  # of so many
    greedy: bool  # exactly the program's tokens
    beam: bool  # the likeliest of the beams
    sampled: bool  # among the candidates
    verified: bool  # a candidate was verified: same weights, or (dense) the same behaviour
    candidates: int

    @classmethod
    def of(cls, values: Sequence[Any]) -> Scored:
        return cls(*values)


class Share(NamedTuple):
    """Shares over some programs; `length` 0 is all of them."""

    length: int
    programs: int
    tokens: float
    greedy: float
    beam: float
    sampled: float
    verified: float
    published: float | None

    def error(self, share: float) -> float:
        """The standard error of a share of so many programs."""
        return float(np.sqrt(share * (1 - share) / max(self.programs, 1)))


def score(
    model: Metamodel,
    rows: Sequence[Row],
    source: Source,
    *,
    width: int,
    candidates: int,
    temperature: float,
    generator: torch.Generator,
) -> list[Scored]:
    """Test programs, decoded in every way. `width` 0: no beam search; `candidates` 0: no verified decoding.

    The candidates of verified decoding are the greedy one, the beams, and so many samples.
    """
    with few_threads(model):
        return _score(model, rows, source, width, candidates, temperature, generator)


def _score(
    model: Metamodel,
    rows: Sequence[Row],
    source: Source,
    width: int,
    candidates: int,
    temperature: float,
    generator: torch.Generator,
) -> list[Scored]:
    corpus = Corpus(rows, model.size, device=str(next(model.parameters()).device))
    which = np.arange(len(corpus))
    hits, _ = right(model, corpus, which)
    weights, _ = corpus.batch(which)
    most = int(model.size.r)
    first = greedy(model, weights, most)
    beams: list[list[Written]] = beam(model, weights, width, most) if width else [[] for _ in which]
    found = []
    for i, tokens in enumerate(corpus.tokens_of):
        some = {w.tokens: w for w in (first[i], *beams[i])}
        if candidates:
            drawn = sample(model, weights[i : i + 1], candidates, temperature, generator, most)
            some |= {w.tokens: w for w in drawn if w.tokens not in some}
        verified = False
        if candidates:
            target = Target.of(compiled_of(tokens, source))
            verified = check_all(target, list(some.values()), behaviour=False)[0].verified
        found.append(
            Scored(
                length=int(corpus.lengths[i]),
                right=hits[i][0],
                of_tokens=hits[i][1],
                greedy=first[i].tokens == tokens,
                beam=bool(beams[i]) and beams[i][0].tokens == tokens,
                sampled=tokens in some,
                verified=verified,
                candidates=len(some),
            )
        )
    return found


def shares(scored: Sequence[Scored], *, dense: bool) -> list[Share]:
    """By length, and of all."""
    found = [
        _share(length, [s for s in scored if s.length == length], _published(length, dense))
        for length in sorted({s.length for s in scored})
    ]
    return [*found, _share(0, scored, PUBLISHED_DENSE if dense else PUBLISHED_OVERALL)]


def _published(length: int, dense: bool) -> float | None:
    if dense:
        return PUBLISHED_DENSE if length == 5 else None
    return PUBLISHED_BY_LENGTH.get(length)


def _share(length: int, some: Sequence[Scored], published: float | None) -> Share:
    n = max(len(some), 1)
    return Share(
        length=length,
        programs=len(some),
        tokens=sum(s.right for s in some) / max(sum(s.of_tokens for s in some), 1),
        greedy=sum(s.greedy for s in some) / n,
        beam=sum(s.beam for s in some) / n,
        sampled=sum(s.sampled for s in some) / n,
        verified=sum(s.verified for s in some) / n,
        published=published,
    )
