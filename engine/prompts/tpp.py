"""TPP, the transitive property: given that a leads to b and b leads to c, the prompt ends where c must follow.

Templates as the seed paper prints them (1 and 5 are identical there). The seed has no corrupt partners; ours keep the
length and change one word.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from engine.prompts.templates import choose, fill
from engine.prompts.vocabulary import Nouns, Pool, nouns_called
from sessions.artifacts import PromptRow
from sessions.errors import CallError

if TYPE_CHECKING:
    from engine.models.protocols import Tokenizer

TEMPLATES = (
    "{a1} implies {b1} and if {b2} then {c} therefore by the transitive property {a2} also implies",
    "if all {a1} are {b1} and {b2} are {c} then all {a2} are",
    "if all {a1} are {b1} and {b2} is a type of {c} then it can be inferred that all {a2} are a type of",
    "{a1} implies {b1} and if {b2} then {c} therefore {a2} also implies",
    "{a1} implies {b1} and if {b2} then {c} therefore by the transitive property {a2} also implies",
    "{a1} implies {b1} and {b2} implies {c} then by the transitive property {a2} also implies",
    "{a1} is a type of {b1} and all {b2} are {c} therefore {a2} is also a type of",
)

Corrupt = Literal["answer_swap", "broken_link", "subject_swap"]
Variant = Literal["single_token", "main"]
CORRUPT: tuple[Corrupt, ...] = get_args(Corrupt)
Part = Literal["all", "train", "test"]
TEST_PERCENT = 15
_TRIES = 2000  # draws for one triple of a part: 0.85^2000 of the pools with a test triple would be given up
_CHANGED: dict[Corrupt, str] = {"answer_swap": "c", "broken_link": "b2", "subject_swap": "a2"}


def part_of(a: str, b: str, c: str) -> Literal["train", "test"]:
    """Whether prompts about these three nouns are for training or, 15 % of them, for testing: by a hash of the words,
    so that it is the same for every model, template, variant, seed and machine."""
    digest = hashlib.blake2b(f"{a} {b} {c}".encode(), digest_size=4).digest()
    return "test" if int.from_bytes(digest, "big") % 100 < TEST_PERCENT else "train"


def make(
    rng: np.random.Generator,
    n: int,
    *,
    template: int | None = None,
    corrupt: Corrupt = "answer_swap",
    variant: Variant = "single_token",
    nouns: Nouns = "common",
    part: Part = "all",
    tokenizer: Tokenizer | None = None,
) -> list[PromptRow]:
    """`n` prompts with three distinct random nouns each; the answer is c, the foil b.

    Variant `single_token`: " c" is one token. Variant `main`: the prompt ends with a space, c may be several tokens,
    and its first is scored. Corrupt partner: `answer_swap` puts another c (which becomes the right answer),
    `broken_link` another second b (nothing leads to c any more), `subject_swap` another final a (nothing follows).
    `part` keeps to the triples (a, b, c) that `part_of` puts there; CallError when the words allow none.
    """
    main = variant == "main"
    pool = Pool(nouns_called(nouns), tokenizer, single=not main, paired=True, lead="" if main else " ")
    rows = []
    for number in choose(rng, n, len(TEMPLATES), template, "tpp"):
        a, b, c = _triple(rng, pool, part)
        words = {"a1": a, "b1": b, "b2": b, "c": c, "a2": a}
        changed = _CHANGED[corrupt]
        other = pool.partner(rng, words[changed], [a, b, c])
        sentence = TEMPLATES[number] + (" " if main else "")
        clean, spans = fill(sentence, words)
        rows.append(
            PromptRow(
                clean=clean,
                corrupt=fill(sentence, words | {changed: other})[0],
                answers=(c if main else f" {c}",),
                foils=(b if main else f" {b}",),
                group=f"template {number + 1}",
                spans=spans,
                first_token_only=main,
            )
        )
    return rows


def _triple(rng: np.random.Generator, pool: Pool, part: Part) -> tuple[str, str, str]:
    for _ in range(_TRIES):
        a, b, c = pool.draw(rng, 3)
        if part in ("all", part_of(a, b, c)):
            return a, b, c
    raise CallError(
        f"the {len(pool.words)} words this model can use make no three nouns of part {part}",
        "parameter 'part'",
        "take part=all, or nouns=all for more words",
    )
