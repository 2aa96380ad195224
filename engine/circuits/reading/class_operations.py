"""Head classes by the seed study's rule as an operation, with attention to the answer. Loads without torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from msgspec import Meta

from engine.circuits.asking import conditions, head_axis, layer_axis, rows_of, the_prompts
from engine.circuits.reading.attention_operations import prompts_at_once, tokens_of
from engine.circuits.reading.lens_operations import check_row
from engine.operations import Context, GraphRef, ModelRef, Params, PromptsRef
from sessions.artifacts import AnyArtifact, Array, Column, Graph, Matrix, Table
from sessions.components import Head
from sessions.errors import CallError

if TYPE_CHECKING:
    from engine.circuits.reading.head_classes import Classified
    from engine.models.protocols import TransformerModel


class HeadClasses(Params, frozen=True, kw_only=True):
    """The rule, and which heads it counts."""

    model: ModelRef
    prompts: PromptsRef
    most: Annotated[int, Meta(description="examples, at most: the first of the prompts; 0: all", ge=0)] = 100
    attention: Annotated[float, Meta(description="an example is a hit above this mean attention", ge=0, lt=1)] = 0.4
    share: Annotated[float, Meta(description="a head is of a class above this share of hits", ge=0, lt=1)] = 0.8
    exclude_row_0: Annotated[
        bool, Meta(description="leave out the first token's row, which can only attend to itself; the seed counts it")
    ] = False
    answer_threshold: Annotated[
        float, Meta(description="a head attends to the answer above this mean attention", ge=0, lt=1)
    ] = 0.4
    circuit: Annotated[GraphRef | None, Meta(description="count only the heads that this circuit keeps: @ID")] = None


WHERE = {
    "first": "mean of the pattern's first column",
    "self": "mean of its diagonal",
    "previous": "mean attention from token i to token i - 1",
    "induction": "mean attention from a repeated token i to the token after its last earlier occurrence; where that is "
    "token i itself, it does not count",
    "answer": "attention from the scored position to where the answer stands, summed over its places, mean over the "
    "examples that have one",
}


def head_classes(params: HeadClasses, ctx: Context) -> Sequence[AnyArtifact]:
    """Every head's classes, the runner-up, and attention to the answer, with what chance would give."""
    import torch

    from engine.circuits.reading.head_classes import CLASSES, classify, counts

    model, prompts = ctx.transformer(params.model), the_prompts(ctx, params.prompts)
    check_row(1, len(prompts.rows))
    among = _heads(params, ctx, model)
    rows = prompts.rows[: params.most] if params.most else prompts.rows
    c, n = model.config, len(rows)
    # [example, 5 x (layer head) and 5 levels of chance]: the four classes, then the answer
    every = _measured(params, ctx, model, rows)
    values = every[:, : 5 * c.n_layers * c.n_heads].reshape(n, 5, c.n_layers, c.n_heads)
    chance = every[:, 5 * c.n_layers * c.n_heads :]
    found = classify(torch.tensor(values[:, :4]), attention=params.attention, share=params.share)
    to_answer = _mean(values[:, 4])
    inside = torch.tensor(among)
    counted = counts(found, inside)
    above = among & (np.nan_to_num(to_answer) > params.answer_threshold)
    attending = [Head(layer, head) for layer, head in np.argwhere(above).tolist()]
    none = int((inside & ~found.member.any(0)).sum())
    several = int((inside & (found.member.sum(0) > 1)).sum())
    sentence = f"{_words(counted)}; {len(attending)} attend to the answer"
    facts = conditions(model, prompts) | {
        "n": n,
        "rule": f"a hit: mean attention above {params.attention:g}; a class: hit in over {params.share:.0%} of the "
        "examples (the seed study, section 5.4)",
        "attention": params.attention,
        "share": params.share,
        "row_0": "excluded" if params.exclude_row_0 else "counted, as in the seed: it attends only to itself",
        "definitions": WHERE,
        "answer_threshold": params.answer_threshold,
        "examples_with": {name: int(np.isfinite(chance[:, i]).sum()) for i, name in enumerate((*CLASSES, "answer"))},
        "without_such_places": "an example without repeated tokens is no hit for induction",
        "heads": f"{int(among.sum())} of {among.size}"
        + ("" if params.circuit is None else ", those the circuit keeps"),
        "counts": counted | {"none": none, "of several classes": several},
        "attend_to_answer": [str(head) for head in attending],
        "chance": {name: _number(_mean(chance[:, i])) for i, name in enumerate((*CLASSES, "answer"))},
        "chance_is": f"what uniform attention over {'the tokens so far' if _causal(model) else 'all tokens'} would pay",
    }
    if params.circuit is not None:
        facts["circuit"] = ctx.artifact(params.circuit).title
    brief = {name: fact for name, fact in facts.items() if name != "definitions"}  # there each says its own
    return [
        _summary(facts, sentence, found, among, attending, none),
        _by_head(brief, sentence, found, to_answer, among, params.answer_threshold),
        *(_rates(model, brief, found, among, index) for index in range(len(CLASSES))),
        _answer_matrix(model, brief, to_answer, attending),
        _by_template(brief, [row.group for row in rows], chance),
    ]


def _causal(model: TransformerModel) -> bool:
    return model.config.attention == "causal"


def _heads(params: HeadClasses, ctx: Context, model: TransformerModel) -> Array:
    """[layer head] which heads count."""
    from engine.circuits.circuit_graph import kept_components

    c = model.config
    if params.circuit is None:
        return np.ones((c.n_layers, c.n_heads), bool)
    graph = ctx.artifact(params.circuit)
    if not isinstance(graph, Graph):
        raise CallError(f"{params.circuit} is a {graph.kind}, not a graph", "circuit", "give a circuit's graph")
    among = np.zeros((c.n_layers, c.n_heads), bool)
    for part in kept_components(graph, n_layers=c.n_layers, n_heads=c.n_heads, has_mlps=c.d_mlp > 0):
        if isinstance(part, Head):
            among[part.layer, part.head] = True
    return among


def _measured(params: HeadClasses, ctx: Context, model: TransformerModel, rows: Sequence[Any]) -> Array:
    import torch

    from engine.circuits.reading import answer_attention as answer
    from engine.circuits.reading.attention import patterns
    from engine.circuits.reading.head_classes import CLASSES, class_means, classify
    from engine.circuits.reading.in_chunks import per_prompt

    answered = all(row.answers or row.scored_from is not None for row in rows)
    batch = tokens_of(model, rows, answers=answered)
    places = answer.answer_places(model, rows, batch) if answered else None
    c, n, causal = model.config, len(rows), _causal(model)

    def compute(chunk: slice) -> Array:
        part = rows_of(batch, chunk)
        pattern = patterns(model, part.tokens)
        classes = class_means(pattern, part.tokens, part.lengths, exclude_row_0=params.exclude_row_0, causal=causal)
        values = torch.full((len(part.tokens), 5, c.n_layers, c.n_heads), torch.nan, dtype=torch.double)
        chance = torch.full((len(part.tokens), 5), torch.nan, dtype=torch.double)
        values[:, :4], chance[:, :4] = classes.values, classes.chance
        if places is not None:
            lengths = None if causal else part.lengths
            paid = answer.per_prompt(pattern, answer.within(places, chunk), lengths=lengths, mean_over="queries")
            values[:, 4], chance[:, 4] = paid.values, paid.chance
        return torch.cat([values.flatten(1), chance], 1).numpy()

    def so_far(known: Array) -> None:
        values = torch.tensor(known[:, : 4 * c.n_layers * c.n_heads]).view(-1, 4, c.n_layers, c.n_heads)
        found = classify(values, attention=params.attention, share=params.share)
        facts = {"n": f"{len(known)} of {n} so far"}
        ctx.partial(_rates(model, facts, found, np.ones((c.n_layers, c.n_heads), bool), CLASSES.index("first")))

    step = prompts_at_once(model, batch)
    return per_prompt(ctx, n, step, "attention", compute, device=model.device, so_far=so_far)


def _mean(values: Array) -> Any:
    """Over the examples that have one; NaN where none has."""
    known = np.isfinite(values)
    total, count = np.where(known, values, 0.0).sum(0), known.sum(0)
    with np.errstate(invalid="ignore"):
        return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _words(counted: dict[str, int]) -> str:
    """`29 first-token, 4 previous, 1 self, 3 induction`: the order of the seed's sentence."""
    said = {"first": "first-token", "previous": "previous", "self": "self", "induction": "induction"}
    return ", ".join(f"{counted[name]} {word}" for name, word in said.items())


def _summary(
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


def _by_head(
    facts: dict[str, Any], sentence: str, found: Classified, to_answer: Array, among: Array, threshold: float
) -> Table:
    from engine.circuits.reading.head_classes import CLASSES

    rows = []
    for layer, head in np.argwhere(among).tolist():
        best, second = int(found.best[layer, head]), int(found.runner_up[layer, head])
        paid = _number(to_answer[layer, head])
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
    return CLASSES[index], rate, _number(mean)


def _rates(model: TransformerModel, facts: dict[str, Any], found: Classified, among: Array, index: int) -> Matrix:
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


def _answer_matrix(
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


def _by_template(facts: dict[str, Any], groups: Sequence[str], chance: Array) -> Table:
    from engine.circuits.reading.head_classes import CLASSES

    rows = []
    for group in dict.fromkeys(groups):
        mine = np.array([other == group for other in groups])
        levels = (_number(_mean(chance[mine, i])) for i in range(len(CLASSES) + 1))
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


def _number(value: Any) -> float | None:
    return None if value != value else float(value)


__all__ = ["HeadClasses", "head_classes"]
