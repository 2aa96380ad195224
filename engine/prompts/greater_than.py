"""Greater-than (Hanna et al. 2023): "The war lasted from the year 1732 to 17" goes on with a later year's digits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from engine.prompts.templates import fill
from engine.prompts.vocabulary import Pool, word_list
from sessions.artifacts import PromptRow
from sessions.errors import CallError

if TYPE_CHECKING:
    from engine.models.protocols import Tokenizer

TEMPLATE = "The {noun} lasted from the year {XX1}{YY} to {XX2}"
CENTURIES = range(11, 18)


def years(tokenizer: Tokenizer | None = None) -> list[str]:
    """The years to begin from: those the tokenizer writes as [century][two digits], all of them without a tokenizer.

    The first and last of each century are left out: they leave nothing smaller, or nothing greater.
    """
    found = []
    for century in CENTURIES:
        kept = [
            f"{century}{y:02}" for y in range(1, 100) if tokenizer is None or _splits(f"{century}{y:02}", tokenizer)
        ]
        found += kept[1:-1]
    return found


def make(rng: np.random.Generator, n: int, *, tokenizer: Tokenizer | None = None) -> list[PromptRow]:
    """`n` prompts. Answers: every two-digit string greater than the year's; foils: the others, its own among them.

    The corrupt partner starts in year 01 of the century, so that nearly every continuation is greater. Positions: noun,
    XX1 (century), YY (the two digits), XX2 (century again), end.
    """
    nouns = Pool(word_list("events"), tokenizer)
    start = years(tokenizer)
    if not start:
        assert tokenizer is not None
        raise CallError(
            f"{tokenizer.name} writes no year as a century and two digits, which this task needs",
            "task greater_than",
            "take a model with GPT-2's tokenizer, or another task",
        )
    rows = []
    for _ in range(n):
        year = start[int(rng.integers(len(start)))]
        century, digits = year[:2], int(year[2:])
        words = {"noun": nouns.draw(rng, 1)[0], "XX1": century, "YY": year[2:], "XX2": century}
        clean, spans = fill(TEMPLATE, words)
        rows.append(
            PromptRow(
                clean=clean,
                corrupt=fill(TEMPLATE, words | {"YY": "01"})[0],
                answers=tuple(f"{y:02}" for y in range(digits + 1, 100)),
                foils=tuple(f"{y:02}" for y in range(digits + 1)),
                group=f"century {century}",
                spans=spans,
            )
        )
    return rows


def _splits(year: str, tokenizer: Tokenizer) -> bool:
    try:
        before = len(tokenizer.encode("year"))
        texts = tokenizer.token_texts(tokenizer.encode(f"year {year}"))
    except CallError:
        return False
    return [text.strip() for text in texts[before:]] == [year[:2], year[2:]]
