"""What head classes are shown as: how many heads are of each, head by head, hit rates, chance. Loads without torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.circuits.asking import head_axis, layer_axis
from sessions.artifacts import Array, Column, Matrix, Table
from sessions.components import Head

if TYPE_CHECKING:
    from engine.circuits.reading.head_classes import Classified
    from engine.models.protocols import TransformerModel

WHERE = {
    "first": "mean of the pattern's first column",
    "self": "mean of its diagonal",
    "previous": "mean attention from token i to token i - 1",
    "induction": "mean attention from a repeated token i to the token after its last earlier occurrence; where that is "
    "token i itself, it does not count",
    "answer": "attention from the scored position to where the answer stands, summed over its places, mean over the "
    "examples that have one",
}


def mean(values: Array) -> Any:
    """Over the examples that have one; NaN where none has."""
    known = np.isfinite(values)
    total, count = np.where(known, values, 0.0).sum(0), known.sum(0)
    with np.errstate(invalid="ignore"):
        return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def words(counted: dict[str, int]) -> str:
    """`29 first-token, 4 previous, 1 self, 3 induction`: the order of the seed's sentence."""
    said = {"first": "first-token", "previous": "previous", "self": "self", "induction": "induction"}
    return ", ".join(f"{counted[name]} {word}" for name, word in said.items())


def summary(
    facts: dict[str, Any], sentence: str, found: Classified, among: Array, attending: Sequence[Head], none: int
) -> Table:
    from engine.circuits.reading.head_classes import CLASSES

    heads = [(layer, head) for layer, head in np.argwhere(among).tolist()]
    rows = []
    for index, name in enumerate(CLASSES):
        mine = [f"L{layer}H{head}" for layer, head in heads if found.member[index, layer, head]]
        rows.append((name, len(mine), ", ".join(mine), facts["chance"][name], WHERE[name]))
    answer = ", ".join(str(head) for head in attending)
    rows.append(("attends to the answer", len(attending), answer, facts["chance"]["answer"], WHERE["answer"]))
    without = ", ".join(f"L{layer}H{head}" for layer, head in heads if not bool(found.member[:, layer, head].any()))
    rows.append(("no class", none, without, None, "in none of the four classes"))
    return Table(
        title="Head classes: how many heads are of each",
        summary=f"{sentence}; of {len(heads)} heads, n = {facts['n']}",
        facts=facts,
        columns=(
            Column("class", "text"),
            Column("count", "int", "heads", "a head of two classes counts in both"),
            Column("heads", "text"),
            Column("chance", "float", "attention weight", facts["chance_is"]),
            Column("definition", "text"),
        ),
        rows=tuple(rows),
    )


def by_head(
    facts: dict[str, Any], sentence: str, found: Classified, to_answer: Array, among: Array, threshold: float
) -> Table:
    from engine.circuits.reading.head_classes import CLASSES

    rows = []
    for layer, head in np.argwhere(among).tolist():
        best, second = int(found.best[layer, head]), int(found.runner_up[layer, head])
        paid = number(to_answer[layer, head])
        rows.append(
            (
                f"L{layer}H{head}",
                ", ".join(found.of(layer, head)),
                *(_cells(found, best, layer, head)),
                *(_cells(found, second, layer, head)),
                *(float(found.rates[index, layer, head]) for index in range(len(CLASSES))),
                paid,
                None if paid is None else paid > threshold,
            )
        )
    shares = [Column(f"{name} hits", "float", "fraction", f"examples with a hit: {WHERE[name]}") for name in CLASSES]
    return Table(
        title="Head classes",
        summary=f"{sentence}; n = {facts['n']}",
        facts=facts,
        columns=(
            Column("head", "text"),
            Column("class", "text", help="empty: none; two: both"),
            Column("nearest", "text", help="the class with the most hits, whether or not they are enough"),
            Column("its hits", "float", "fraction", "of all examples"),
            Column("its attention", "float", "attention weight", "mean over the examples that have such places"),
            Column("runner-up", "text", help="the class with the second most hits"),
            Column("runner-up hits", "float", "fraction"),
            Column("runner-up attention", "float", "attention weight"),
            *shares,
            Column("to the answer", "float", "attention weight", WHERE["answer"]),
            Column("attends to it", "bool", help=f"more than {threshold:g}"),
        ),
        rows=tuple(rows),
    )


def _cells(found: Classified, index: int, layer: int, head: int) -> tuple[str, float, float | None]:
    from engine.circuits.reading.head_classes import CLASSES

    rate, mean = float(found.rates[index, layer, head]), float(found.means[index, layer, head])
    return CLASSES[index], rate, number(mean)


def rates(model: TransformerModel, facts: dict[str, Any], found: Classified, among: Array, index: int) -> Matrix:
    from engine.circuits.reading.head_classes import CLASSES

    name = CLASSES[index]
    rates = found.rates[index].float().numpy()
    members = [(layer, head) for layer, head in np.argwhere(found.member[index].numpy() & among).tolist()]
    return Matrix(
        title=f"Head class: {name}",
        summary=f"{len(members)} heads: {', '.join(f'L{layer}H{head}' for layer, head in members) or 'none'}",
        facts=facts | {"definition": WHERE[name], "marked": "heads of this class"},
        values=rates,
        axes=(layer_axis(model), head_axis(model)),
        unit="share of examples with a hit",
        marks=tuple(members),
    )


def answer_matrix(
    model: TransformerModel, facts: dict[str, Any], to_answer: Array, attending: Sequence[Head]
) -> Matrix:
    if np.isfinite(to_answer).any():
        layer, head = np.unravel_index(int(np.nan_to_num(to_answer).argmax()), to_answer.shape)
        chance = facts["chance"]["answer"]
        summary = f"highest L{layer}H{head} with {to_answer[layer, head]:.2f}; chance {chance:.2f}; "
        summary += f"{len(attending)} heads above {facts['answer_threshold']:g}"
    else:
        summary = "the answer stands in none of these prompts"
    return Matrix(
        title="Attention to the answer",
        summary=summary,
        facts=facts | {"definition": WHERE["answer"], "marked": "heads above the threshold"},
        values=to_answer.astype(np.float32),
        axes=(layer_axis(model), head_axis(model)),
        unit="attention weight",
        marks=tuple((head.layer, head.head) for head in attending),
    )


def by_template(facts: dict[str, Any], groups: Sequence[str], chance: Array) -> Table:
    from engine.circuits.reading.head_classes import CLASSES

    rows = []
    for group in dict.fromkeys(groups):
        mine = np.array([other == group for other in groups])
        levels = (number(mean(chance[mine, i])) for i in range(len(CLASSES) + 1))
        rows.append((group or "(no template)", int(mine.sum()), *levels))
    return Table(
        title="Chance level of head classes by template",
        summary=f"{len(rows)} templates; {facts['chance_is']}",
        facts=facts,
        columns=(
            Column("template", "text"),
            Column("n", "int", "examples"),
            *(Column(name, "float", "attention weight", WHERE[name]) for name in (*CLASSES, "answer")),
        ),
        rows=tuple(rows),
    )


def number(value: Any) -> float | None:
    return None if value != value else float(value)


__all__ = ["WHERE", "answer_matrix", "by_head", "by_template", "mean", "number", "rates", "summary", "words"]
