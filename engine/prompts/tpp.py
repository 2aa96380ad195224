"""TPP, the transitive property: given that a leads to b and b leads to c, the prompt ends where c must follow.

Templates as the seed paper prints them (1 and 5 are identical there). The seed has no corrupt partners; ours keep the
length and change one word.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from engine.prompts.templates import choose, fill
from engine.prompts.vocabulary import Pool, word_list
from sessions.artifacts import PromptRow

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
_CHANGED: dict[Corrupt, str] = {"answer_swap": "c", "broken_link": "b2", "subject_swap": "a2"}


def make(
    rng: np.random.Generator,
    n: int,
    *,
    template: int | None = None,
    corrupt: Corrupt = "answer_swap",
    variant: Variant = "single_token",
    tokenizer: Tokenizer | None = None,
) -> list[PromptRow]:
    """`n` prompts with three distinct random nouns each; the answer is c, the foil b.

    Variant `single_token`: " c" is one token. Variant `main`: the prompt ends with a space, c may be several tokens,
    and its first is scored. Corrupt partner: `answer_swap` puts another c (which becomes the right answer),
    `broken_link` another second b (nothing leads to c any more), `subject_swap` another final a (nothing follows).
    """
    main = variant == "main"
    pool = Pool(word_list("nouns"), tokenizer, single=not main, paired=True, lead="" if main else " ")
    rows = []
    for number in choose(rng, n, len(TEMPLATES), template, "tpp"):
        a, b, c = pool.draw(rng, 3)
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
