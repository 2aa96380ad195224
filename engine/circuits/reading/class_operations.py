"""Head classes by the seed study's rule as an operation, with attention to the answer. Loads without torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from msgspec import Meta

from engine.circuits.asking import conditions, rows_of, the_prompts
from engine.circuits.reading.attention_operations import prompts_at_once, tokens_of
from engine.circuits.reading.class_results import (
    WHERE,
    answer_matrix,
    by_head,
    by_template,
    mean,
    number,
    rates,
    summary,
    words,
)
from engine.circuits.reading.lens_operations import check_row
from engine.operations import Context, GraphRef, ModelRef, Params, PromptsRef
from sessions.artifacts import AnyArtifact, Array, Graph
from sessions.components import Head
from sessions.errors import CallError

if TYPE_CHECKING:
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
    to_answer = mean(values[:, 4])
    inside = torch.tensor(among)
    counted = counts(found, inside)
    above = among & (np.nan_to_num(to_answer) > params.answer_threshold)
    attending = [Head(layer, head) for layer, head in np.argwhere(above).tolist()]
    none = int((inside & ~found.member.any(0)).sum())
    several = int((inside & (found.member.sum(0) > 1)).sum())
    sentence = f"{words(counted)}; {len(attending)} attend to the answer"
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
        "chance": {name: number(mean(chance[:, i])) for i, name in enumerate((*CLASSES, "answer"))},
        "chance_is": f"what uniform attention over {'the tokens so far' if _causal(model) else 'all tokens'} would pay",
    }
    if params.circuit is not None:
        facts["circuit"] = ctx.artifact(params.circuit).title
    brief = {name: fact for name, fact in facts.items() if name != "definitions"}  # there each says its own
    return [
        summary(facts, sentence, found, among, attending, none),
        by_head(brief, sentence, found, to_answer, among, params.answer_threshold),
        *(rates(model, brief, found, among, index) for index in range(len(CLASSES))),
        answer_matrix(model, brief, to_answer, attending),
        by_template(brief, [row.group for row in rows], chance),
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

    from engine.circuits.batching import sizes
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
        ctx.partial(rates(model, facts, found, np.ones((c.n_layers, c.n_heads), bool), CLASSES.index("first")))

    most = sizes(model, prompts=n, pos=batch.tokens.shape[1], scored=0, vocabulary=False).prompts
    step = min(most, prompts_at_once(model, batch))
    return per_prompt(ctx, n, step, "attention", compute, device=model.device, so_far=so_far)


__all__ = ["HeadClasses", "head_classes"]
