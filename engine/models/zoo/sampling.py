"""Training examples for the bundled transformers, drawn as token ids in whole batches.

The sentences are those of `engine.prompts`; what is trained on them is stated here, with the combinations held out.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from engine.prompts import ioi, tpp
from engine.prompts.templates import fill
from engine.prompts.vocabulary import word_list

BOS = "<bos>"
NOTHING = "unknown"  # what follows when nothing can be concluded
INDUCTION_WORDS = 96
_HOLES = ("a1", "b1", "b2", "c", "a2", "A", "B", "S2", "place", "object")


Allowed = Callable[["Int[np.ndarray, 'n word']"], "Bool[np.ndarray, ' n']"]


class Examples(NamedTuple):
    """`tokens`, right-padded with 0; `target` should follow position `last`."""

    tokens: Int[Tensor, "batch pos"]
    last: Int[Tensor, " batch"]
    target: Int[Tensor, " batch"]


def split(text: str) -> list[str]:
    """Words and punctuation marks, as the word-level tokenizer reads them."""
    return re.findall(r"<\w+>|\w+|[^\w\s]", text)


def relation_vocabulary() -> list[str]:
    """Every word of the TPP and IOI sentences, one token each."""
    words = [BOS, NOTHING]
    for template in (*tpp.TEMPLATES, *ioi.TEMPLATES):
        words += split(fill(template, dict.fromkeys(_HOLES, ""))[0])
    for name in ("nouns", "names", "places", "objects"):
        words += word_list(name)
    return list(dict.fromkeys(words))


def induction_vocabulary() -> list[str]:
    return [BOS, *word_list("nouns")[:: len(word_list("nouns")) // INDUCTION_WORDS][:INDUCTION_WORDS]]


def tpp_held_out(
    a: Int[np.ndarray, " n"], b: Int[np.ndarray, " n"], c: Int[np.ndarray, " n"]
) -> Bool[np.ndarray, " n"]:
    """One in ten triples of noun numbers is never trained on."""
    held_out: Bool[np.ndarray, " n"] = (7 * a + 13 * b + 29 * c) % 10 == 0
    return held_out


def ioi_held_out(io: Int[np.ndarray, " n"], s: Int[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
    """One in ten pairs of name numbers is never trained on."""
    held_out: Bool[np.ndarray, " n"] = (7 * io + 13 * s) % 10 == 0
    return held_out


class Mixture(NamedTuple):
    """Shares of a training batch: TPP in it; within TPP those with a broken link and with another subject at the end;
    within IOI those with three different names."""

    tpp: float
    broken: float
    subject: float
    three_names: float = 0.1


class RelationSampler:
    """Draws TPP and IOI examples over `relation_vocabulary`.

    To be right on all of them a model must check that the links hold. Some of TPP is altered as the corrupt partners
    are: after a broken link b follows, because it is all that a leads to; after another subject `unknown` follows. In
    some of IOI three different names stand, after which either of the first two may follow.
    """

    def __init__(self, vocab: list[str]) -> None:
        ids = {word: index for index, word in enumerate(vocab)}
        self.width = 0
        self.bos, self.nothing = ids[BOS], ids[NOTHING]
        self.tpp = [self._pattern(t, ids) for t in tpp.TEMPLATES]
        self.ioi = [self._pattern(t, ids) for t in ioi.TEMPLATES]
        self.lists = {
            name: np.array([ids[w] for w in word_list(name)]) for name in ("nouns", "names", "places", "objects")
        }

    def _pattern(self, template: str, ids: dict[str, int]) -> tuple[list[int], dict[str, int]]:
        """The template's token ids, and the token index of each hole."""
        marked = split(fill(template, {hole: f"<{hole}>" for hole in _HOLES})[0])
        holes = {word[1:-1]: i + 1 for i, word in enumerate(marked) if word.startswith("<")}
        pattern = [self.bos, *(0 if word.startswith("<") else ids[word] for word in marked)]
        self.width = max(self.width, len(pattern))
        return pattern, holes

    def _filled(
        self,
        rng: np.random.Generator,
        patterns: list[tuple[list[int], dict[str, int]]],
        words: dict[str, Int[np.ndarray, " n"]],
    ) -> tuple[Int[np.ndarray, "n pos"], Int[np.ndarray, " n"]]:
        n = len(next(iter(words.values())))
        which = rng.integers(len(patterns), size=n)
        tokens = np.zeros((n, self.width), dtype=np.int64)
        last = np.zeros(n, dtype=np.int64)
        for number, (pattern, holes) in enumerate(patterns):
            rows = np.flatnonzero(which == number)
            tokens[rows, : len(pattern)] = pattern
            last[rows] = len(pattern) - 1
            for hole, index in holes.items():
                tokens[rows, index] = words[hole][rows]
        return tokens, last

    def tpp_batch(
        self, rng: np.random.Generator, n: int, *, held_out: bool, broken: float = 0.0, subject: float = 0.0
    ) -> Examples:
        """`n` TPP examples, with (a, b, c) held out or not; these shares have a broken link, another subject."""
        nouns = self.lists["nouns"]
        chosen = _distinct(rng, n, len(nouns), 4, lambda w: tpp_held_out(w[:, 0], w[:, 1], w[:, 2]) == held_out)
        a, b, c, other = nouns[chosen.T]
        kind = rng.random(n)
        unlinked, elsewhere = kind < broken, (kind >= broken) & (kind < broken + subject)
        words = {"a1": a, "b1": b, "b2": np.where(unlinked, other, b), "c": c, "a2": np.where(elsewhere, other, a)}
        tokens, last = self._filled(rng, self.tpp, words)
        return _examples(tokens, last, np.where(unlinked, b, np.where(elsewhere, self.nothing, c)))

    def ioi_batch(self, rng: np.random.Generator, n: int, *, held_out: bool, three_names: float = 0.0) -> Examples:
        """`n` IOI examples whose (IO, S) are held out, or are not; this share has three different names."""
        names = self.lists["names"]
        chosen = _distinct(rng, n, len(names), 3, lambda w: ioi_held_out(w[:, 0], w[:, 1]) == held_out)
        io, s, third = names[chosen.T]
        swap = rng.random(n) < 0.5
        three = rng.random(n) < three_names
        words = {"A": np.where(swap, s, io), "B": np.where(swap, io, s), "S2": np.where(three, third, s)}
        words |= {hole: rng.choice(self.lists[f"{hole}s"], n) for hole in ("place", "object")}
        tokens, last = self._filled(rng, self.ioi, words)
        return _examples(tokens, last, io)  # with three names: IO or S at random, because their order is

    def batch(self, rng: np.random.Generator, n: int, mixture: Mixture) -> Examples:
        """`n` training examples, nothing held out among them."""
        of_tpp = int(n * mixture.tpp)
        tpp_part = self.tpp_batch(rng, of_tpp, held_out=False, broken=mixture.broken, subject=mixture.subject)
        ioi_part = self.ioi_batch(rng, n - of_tpp, held_out=False, three_names=mixture.three_names)
        return Examples(*(torch.cat(pair) for pair in zip(tpp_part, ioi_part)))


def induction_batch(rng: np.random.Generator, n: int, vocab: int, n_ctx: int) -> tuple[Tensor, Tensor]:
    """Token ids (n, n_ctx): `<bos>`, a lead of 0 to 7 random tokens, then a random block of 6 to 24 repeated.

    Beside them a mask: which next tokens the repetition determines. Lead and block length vary, so that no fixed offset
    gives the answer: the earlier occurrence has to be looked up.
    """
    tokens = rng.integers(1, vocab, size=(n, n_ctx))
    lead, block = 1 + rng.integers(8, size=(n, 1)), rng.integers(6, 25, size=(n, 1))
    draws = rng.permuted(np.tile(np.arange(1, vocab), (n, 1)), axis=1)  # distinct tokens within a block
    place = np.arange(n_ctx)[None, :]
    repeated = place >= lead
    tokens = np.where(repeated, np.take_along_axis(draws, np.maximum(place - lead, 0) % block, axis=1), tokens)
    tokens[:, 0] = 0
    known = place >= lead + block  # the token at `place` with its successor has been seen before
    return torch.from_numpy(tokens), torch.from_numpy(known)


def _distinct(rng: np.random.Generator, n: int, size: int, count: int, allowed: Allowed) -> Int[np.ndarray, "n count"]:
    """`n` rows of `count` distinct numbers below `size` that are allowed."""
    kept: list[np.ndarray] = []
    while sum(map(len, kept)) < n:
        rows = rng.integers(size, size=(4 * n + 64, count))
        ordered = np.sort(rows, axis=1)
        kept.append(rows[(ordered[:, 1:] != ordered[:, :-1]).all(axis=1) & allowed(rows)])
    return np.concatenate(kept)[:n]


def _examples(tokens: Int[np.ndarray, "n pos"], last: Int[np.ndarray, " n"], target: Int[np.ndarray, " n"]) -> Examples:
    return Examples(torch.from_numpy(tokens), torch.from_numpy(last), torch.from_numpy(target))
