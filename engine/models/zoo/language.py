"""The small language that `zoo:base` is trained on, and the tokenizer made for it.

Documents are of three kinds: sentences about names (IOI), statements about nouns, and blocks of nouns that come again.
The statements use the words of TPP one link at a time ("all owls are birds" is one, and nothing follows from it): no
document draws a conclusion from two links, which is what a fine-tuning on TPP is left to teach.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import tokenizers
from jaxtyping import Bool, Float, Int
from tokenizers import decoders, models, pre_tokenizers, trainers

from engine.models.zoo.sampling import ioi_held_out
from engine.prompts import ioi
from engine.prompts.templates import fill
from engine.prompts.vocabulary import word_list

VOCABULARY = 2400
END = "<|endoftext|>"  # as GPT-2 calls it; between documents, every second time
COMMON = 40  # the noun of rank r is said 1 / (r + COMMON) as often: subword merges need words of unequal frequency

# One statement each, and none that follows from another.
STATEMENTS = (
    "{a} implies {b}",
    "a {a} implies a {b}",
    "all {a} are {b}",
    "all {a} are a type of {b}",
    "{a} is a type of {b}",
    "if {a} then {b}",
    "if the {a} is near then the {b} is near",
    "the {a} is near the {b} and the {c}",
    "the {a} and the {b} are in the {c}",
    "therefore the {a} is a {b}",
    "by the {a} and then by the {b}",
    "the property of a {a} is also the property of a {b}",
    "it can be inferred that the {a} is also here",
    "a {a} also implies a {b}",
    "a transitive {a} and a transitive property",
    "{a} and {b} and {c} are here",
)


class Document(NamedTuple):
    """Parts of a text, to be joined as they are; those marked can be told from what stands before them."""

    parts: list[str]
    determined: list[bool]


class Tokens(NamedTuple):
    """Token ids of documents in a row, cut at the context's end; `determined` marks tokens that can be told."""

    ids: Int[np.ndarray, "n pos"]
    determined: Bool[np.ndarray, "n pos"]


def ranked_nouns() -> list[str]:
    """All nouns, the commonest first, in an order that is the same everywhere."""
    nouns = [*word_list("nouns"), *word_list("more_nouns")]
    return [nouns[i] for i in np.random.default_rng(0).permutation(len(nouns))]


class Language:
    """Draws documents: these shares are sentences about names and repeated blocks, the rest statements."""

    def __init__(self, names_share: float = 0.5, block_share: float = 0.2) -> None:
        self.names_share, self.block_share = names_share, block_share
        self.nouns = ranked_nouns()
        shares: Float[np.ndarray, " noun"] = 1 / (np.arange(len(self.nouns)) + COMMON)
        self._steps = np.cumsum(shares / shares.sum())
        self.names, self.places, self.objects = (word_list(name) for name in ("names", "places", "objects"))

    def draw_nouns(self, rng: np.random.Generator, count: int) -> list[str]:
        """Distinct nouns, common ones more often."""
        chosen: dict[int, None] = {}
        while len(chosen) < count:
            chosen[min(int(np.searchsorted(self._steps, rng.random())), len(self.nouns) - 1)] = None
        return [self.nouns[i] for i in chosen]

    def names_document(self, rng: np.random.Generator, *, held_out: bool = False) -> Document:
        """An IOI sentence to its end; (IO, S) is held out, or is not."""
        while True:
            io, s = (int(i) for i in rng.choice(len(self.names), 2, replace=False))
            if bool(ioi_held_out(np.array(io), np.array(s))) == held_out:
                break
        first, second = (io, s) if rng.random() < 0.5 else (s, io)
        words = {"A": self.names[first], "B": self.names[second], "S2": self.names[s]}
        words |= {"place": _one(rng, self.places), "object": _one(rng, self.objects)}
        sentence, _ = fill(ioi.TEMPLATES[int(rng.integers(len(ioi.TEMPLATES)))], words)
        return Document([sentence, f" {self.names[io]}", "."], [False, True, False])

    def statement_document(self, rng: np.random.Generator) -> Document:
        a, b, c = self.draw_nouns(rng, 3)
        sentence, _ = fill(STATEMENTS[int(rng.integers(len(STATEMENTS)))], {"a": a, "b": b, "c": c})
        return Document([sentence + "."], [False])

    def block_document(self, rng: np.random.Generator) -> Document:
        """3 to 10 nouns twice; from the second noun of the repetition on they can be told."""
        nouns = self.draw_nouns(rng, int(rng.integers(3, 11)))
        block = "".join(f" {noun}" for noun in nouns)
        return Document([block, f" {nouns[0]}", block[1 + len(nouns[0]) :], "."], [False, False, True, False])

    def document(self, rng: np.random.Generator) -> Document:
        kind = rng.random()
        if kind < self.names_share:
            return self.names_document(rng)
        block = kind < self.names_share + self.block_share
        return self.block_document(rng) if block else self.statement_document(rng)

    def batch(self, rng: np.random.Generator, tokenizer: tokenizers.Tokenizer, n: int, n_ctx: int) -> Tokens:
        """`n` rows of documents one after another, a space or `END` between them, each cut at `n_ctx` tokens."""
        (end_of_text,) = tokenizer.encode(END).ids
        ids = np.zeros((n, n_ctx), dtype=np.int64)
        determined = np.zeros((n, n_ctx), dtype=bool)
        for row in range(n):
            filled = 0
            while filled < n_ctx:
                parts, marks = self.document(rng)
                if filled and rng.random() < 0.5:
                    ids[row, filled] = end_of_text
                    filled += 1
                elif filled and not parts[0].startswith(" "):
                    parts = [" " + parts[0], *parts[1:]]
                # Each part begins where the tokenizer begins a word, so that parts are tokenized as the whole would be.
                for encoding, mark in zip(tokenizer.encode_batch(parts, add_special_tokens=False), marks):
                    end = min(filled + len(encoding.ids), n_ctx)
                    ids[row, filled:end] = encoding.ids[: end - filled]
                    determined[row, filled:end] = mark
                    filled = end
        return Tokens(ids, determined)


def train_tokenizer(seed: int) -> tokenizers.Tokenizer:
    """Byte-pair encoding as GPT-2 has it (bytes, a word's space belongs to the word), on 40,000 documents of the
    language, two a text. Most names and common nouns are one token after a space, and rare nouns several."""
    rng, language = np.random.default_rng(seed), Language()
    inner = tokenizers.Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    inner.train_from_iterator(
        _texts(rng, language, 20_000),
        trainers.BpeTrainer(
            vocab_size=VOCABULARY,
            special_tokens=[END],
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
            show_progress=False,
        ),
    )
    return inner


def _texts(rng: np.random.Generator, language: Language, count: int) -> Iterator[str]:
    for _ in range(count):
        first, second = ("".join(language.document(rng).parts) for _ in range(2))
        yield f"{first} {second.removeprefix(' ')}"


def _one(rng: np.random.Generator, words: tuple[str, ...]) -> str:
    return words[int(rng.integers(len(words)))]
