"""Induction: a random block of words, then the same block again, which a model with induction heads can predict.

The offline variant of the induction task (Olsson et al. 2022 define the heads; Conmy et al. 2023 use text instead).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from engine.prompts.reading import SCORED
from engine.prompts.vocabulary import Nouns, Pool, nouns_called
from sessions.artifacts import PromptRow

if TYPE_CHECKING:
    from engine.models.protocols import Tokenizer


def make(
    rng: np.random.Generator,
    n: int,
    *,
    length: int = 12,
    nouns: Nouns = "common",
    tokenizer: Tokenizer | None = None,
) -> list[PromptRow]:
    """`n` prompts of two equal blocks of `length` distinct one-token nouns; those of the second are scored.

    The corrupt partner has the same first block and a fresh second one, with no word of the first. The second
    block's first token (position start2) is not scored: nothing says beforehand that the repetition begins.
    """
    pool = Pool(nouns_called(nouns), tokenizer)
    rows = []
    for _ in range(n):
        words = pool.draw(rng, 2 * length)
        block, fresh = " ".join(words[:length]), " ".join(words[length:])
        # A leading space, because the first word must be the same token as when it comes again.
        clean = f" {block} {block}"
        second = len(block) + 1
        known = second + 1 + len(words[0])
        rows.append(
            PromptRow(
                clean=clean,
                corrupt=f" {block} {fresh}",
                group=f"block of {length}",
                scored_from=length + 1,
                spans={SCORED: (known, len(clean)), "start2": (second + 1, known)},
            )
        )
    return rows
