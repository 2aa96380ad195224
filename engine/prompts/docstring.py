"""Docstring (Heimersheim and Janiak 2023): the documentation of a function names its arguments in order; which is next?

{R1}, {R2} and {R3} are arguments that are not documented, {A}, {B} and {C} those that are: the prompt ends where C must
follow. Their prompts have 41 tokens of the model they study; the wording of ours is the same, the words are ours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from engine.prompts.templates import fill
from engine.prompts.vocabulary import Pool, word_list
from sessions.artifacts import PromptRow

if TYPE_CHECKING:
    from engine.models.protocols import Tokenizer

TEMPLATE = (
    "def {function}(self, {R1}, {R2}, {A_def}, {B_def}, {C_def}, {R3}):\n"
    '    """{w1} {w2} {w3}\n\n'
    "    :param {A_doc}: {w4} {w5}\n"
    "    :param {B_doc}: {w6} {w7}\n"
    "    :param"
)
ARGUMENTS = ("R1", "R2", "A_def", "B_def", "C_def", "R3")
DOCUMENTED = ("A_doc", "B_doc")
_OTHERS = ("function", *(f"w{i}" for i in range(1, 8)))


def make(rng: np.random.Generator, n: int, *, tokenizer: Tokenizer | None = None) -> list[PromptRow]:
    """`n` prompts with six distinct arguments, each one token after a space. Answer: C; foils: the five others.

    The corrupt partner puts eight new names for all arguments, in the definition and (others) in the documentation, so
    that nothing tells which comes next. Positions: R1, R2, A_def, B_def, C_def, R3, A_doc, B_doc, end.
    """
    pool = Pool(word_list("nouns"), tokenizer)
    rows = []
    for _ in range(n):
        words = pool.draw(rng, len(_OTHERS) + 2 * len(ARGUMENTS) + len(DOCUMENTED))
        told, names, unrelated = words[:8], words[8:14], words[14:]
        setting = dict(zip(_OTHERS, told))
        arguments = dict(zip(ARGUMENTS, names))
        clean, spans = fill(TEMPLATE, setting | arguments | {f"{x}_doc": arguments[f"{x}_def"] for x in "AB"})
        corrupt, _ = fill(TEMPLATE, setting | dict(zip((*ARGUMENTS, *DOCUMENTED), unrelated)))
        rows.append(
            PromptRow(
                clean=clean,
                corrupt=corrupt,
                answers=(f" {arguments['C_def']}",),
                foils=tuple(f" {name}" for hole, name in arguments.items() if hole != "C_def"),
                group="2 + 3 + 1 arguments",
                spans={hole: spans[hole] for hole in (*ARGUMENTS, *DOCUMENTED)},
            )
        )
    return rows
