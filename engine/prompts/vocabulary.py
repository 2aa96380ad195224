"""The words that prompts are made of: our own lists, and the part of them that a tokenizer can use."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import cache
from importlib import import_module
from importlib.resources import files
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from sessions.errors import CallError, nearest

if TYPE_CHECKING:
    from engine.models.protocols import Tokenizer

List = Literal["nouns", "more_nouns", "names", "places", "objects", "events"]
Nouns = Literal["common", "all", "wordnet"]
LONG = 5000  # words; of longer lists the words to try are drawn one by one, because ordering the list takes too long


@cache
def word_list(name: List) -> tuple[str, ...]:
    """A list that ships with iwb: common nouns, first names, places, objects, or nouns of things that last."""
    return tuple((files("engine.prompts") / "words" / f"{name}.txt").read_text("utf-8").split())


@cache
def nouns_called(choice: Nouns) -> tuple[str, ...]:
    """`common`: the list that ships (366); `all`: with a second list (1,250 together); `wordnet`: every single-word
    noun of WordNet in lower case, where nltk and its data are installed (nothing is downloaded).

    CallError when WordNet is not there.
    """
    if choice not in get_args(Nouns):
        close = nearest(choice, get_args(Nouns))
        raise CallError(f"there is no list of nouns called '{choice}'", "parameter 'nouns'", close)
    if choice == "common":
        return word_list("nouns")
    if choice == "all":
        return (*word_list("nouns"), *word_list("more_nouns"))
    remedy = "take nouns=all, or install nltk and its wordnet data (iwb downloads nothing)"
    try:
        wordnet = import_module("nltk.corpus").wordnet  # by name, because it is no requirement of iwb
    except ImportError:
        raise CallError("nltk is not installed, which reads WordNet", "parameter 'nouns'", remedy) from None
    try:
        lemmas = set(wordnet.all_lemma_names(pos="n"))
    except LookupError:  # nltk's own error is a page of advice
        raise CallError("nltk is installed, but its wordnet data are not", "parameter 'nouns'", remedy) from None
    return tuple(sorted(word for word in lemmas if word.isascii() and word.isalpha() and word.islower()))


class Pool:
    """Words to draw from, with what one tokenizer makes of them.

    Without a tokenizer every word counts as one token. With one, words it cannot write are left out, `single` keeps
    those that are one token after a space, and `paired` those that have partners of the same length. `lead` is what
    stands before an answer: a space, or nothing where the prompt itself ends with one.
    """

    def __init__(
        self,
        words: Sequence[str],
        tokenizer: Tokenizer | None = None,
        *,
        single: bool = True,
        paired: bool = False,
        lead: str = " ",
    ) -> None:
        self._length: dict[str, int] = {}
        self._first: dict[str, int | str] = {}
        self._alike: dict[int, list[str]] = defaultdict(list)
        first: int | str
        for word in dict.fromkeys(words):
            length, first = 1, word
            if tokenizer is not None:
                try:
                    length, first = len(tokenizer.encode(" " + word)), tokenizer.encode(lead + word)[0]
                except CallError:
                    continue
                if length == 0 or (single and length != 1):
                    continue
            self._length[word], self._first[word] = length, first
            self._alike[length].append(word)
        # With three words of a sentence taken, a fourth must be left among those of the same length.
        rare = {n for n, alike in self._alike.items() if paired and len({self._first[w] for w in alike}) < 4}
        self.words = [word for word, length in self._length.items() if length not in rare]
        self._reader = tokenizer.name if tokenizer else "any tokenizer"

    def draw(self, rng: np.random.Generator, count: int) -> list[str]:
        """Distinct words whose first tokens differ too. CallError when the pool is too small."""
        chosen: dict[int | str, str] = {}
        for index in _in_any_order(rng, len(self.words)):
            word = self.words[index]
            chosen.setdefault(self._first[word], word)
            if len(chosen) == count:
                return list(chosen.values())
        raise CallError(
            f"this task needs {count} different words, and {self._reader} can write {len(chosen)} of ours as needed",
            "prompts",
            "take another model or task, or fewer words",
        )

    def partner(self, rng: np.random.Generator, word: str, others: Sequence[str]) -> str:
        """Another word of the same number of tokens, with another first token than `word` and `others` have."""
        taken = {self._first[w] for w in (word, *others)}
        alike = self._alike[self._length[word]]
        for index in _in_any_order(rng, len(alike)):
            other = alike[index]
            if self._first[other] not in taken:
                return other
        raise CallError(
            f"no word of ours has as many tokens as '{word}' in {self._reader}", "prompts", "take variant=single_token"
        )


def _in_any_order(rng: np.random.Generator, size: int) -> Iterator[int]:
    """The numbers below `size` in a random order; where that is long, a hundred draws come first."""
    if size > LONG:
        for _ in range(100):
            yield int(rng.integers(size))
    for index in rng.permutation(size):
        yield int(index)
