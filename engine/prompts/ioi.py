"""IOI, indirect object identification (Wang et al. 2022): of two names, the one mentioned once follows.

The wording of the templates is ours. {A} and {B} are the names in order of appearance, {S2} is the subject again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from engine.prompts.templates import choose, fill
from engine.prompts.vocabulary import Pool, word_list
from sessions.artifacts import PromptRow

if TYPE_CHECKING:
    from engine.models.protocols import Tokenizer

TEMPLATES = (
    "When {A} and {B} walked to the {place}, {S2} gave a {object} to",
    "After {A} and {B} arrived at the {place}, {S2} handed a {object} to",
    "While {A} and {B} were at the {place}, {S2} showed a {object} to",
    "Then {A} and {B} met near the {place}, and {S2} gave a {object} to",
    "Yesterday {A} and {B} visited the {place}, and {S2} brought a {object} to",
    "Today {A} and {B} worked at the {place}, and {S2} passed a {object} to",
    "Before {A} and {B} left the {place}, {S2} sold a {object} to",
    "Once {A} and {B} found the {place}, {S2} offered a {object} to",
    "Since {A} and {B} liked the {place}, {S2} bought a {object} there for",
    "Later {A} and {B} sat in the {place}, where {S2} lent a {object} to",
    "Friends {A} and {B} went to the {place}, where {S2} gave a {object} to",
    "As {A} and {B} left the {place} together, {S2} threw a {object} to",
    "One day {A} and {B} came to the {place}, and {S2} sent a {object} to",
    "The day {A} and {B} talked at the {place}, {S2} promised a {object} to",
    "At the {place}, {A} and {B} found a {object}, and {S2} gave it to",
)

Order = Literal["both", "ABBA", "BABA"]


def make(
    rng: np.random.Generator,
    n: int,
    *,
    template: int | None = None,
    order: Order = "both",
    tokenizer: Tokenizer | None = None,
) -> list[PromptRow]:
    """`n` prompts with two distinct one-token names each; the answer is the indirect object IO, the foil is S.

    ABBA names IO first, BABA names S first; `both` gives equal parts. The corrupt partner (ABC) puts three new names
    for IO, S1 and S2, all distinct, so that none is repeated. Positions: IO, S1, S1+1, S2, end.
    """
    names = Pool(word_list("names"), tokenizer)
    places = Pool(word_list("places"), tokenizer, single=False)
    objects = Pool(word_list("objects"), tokenizer, single=False)
    orders: tuple[Literal["ABBA", "BABA"], ...] = ("ABBA", "BABA") if order == "both" else (order,)
    numbers = choose(rng, n, len(TEMPLATES), template, "ioi")
    turns = rng.permutation(np.arange(n) % len(orders))
    rows = []
    for number, turn in zip(numbers, turns):
        io, s, *unrelated = names.draw(rng, 5)
        setting = {"place": places.draw(rng, 1)[0], "object": objects.draw(rng, 1)[0]}
        abba = orders[int(turn)] == "ABBA"
        first, second = ("IO", "S1") if abba else ("S1", "IO")
        clean_names = {"IO": io, "S1": s, "S2": s}
        corrupt_names = dict(zip(("IO", "S1", "S2"), unrelated))
        clean, holes = fill(TEMPLATES[number], setting | _placed(clean_names, first, second))
        corrupt, _ = fill(TEMPLATES[number], setting | _placed(corrupt_names, first, second))
        spans = {first: holes["A"], second: holes["B"], "S2": holes["S2"]}
        rows.append(
            PromptRow(
                clean=clean,
                corrupt=corrupt,
                answers=(f" {io}",),
                foils=(f" {s}",),
                group=f"template {number + 1} {orders[int(turn)]}",
                spans=spans | {"S1+1": spans["S1"]},
            )
        )
    return rows


def _placed(names: dict[str, str], first: str, second: str) -> dict[str, str]:
    return {"A": names[first], "B": names[second], "S2": names["S2"]}
