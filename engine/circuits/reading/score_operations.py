"""The scores that name a head's habit, as an operation. Loads without torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.circuits.asking import conditions, head_axis, layer_axis
from engine.circuits.reading.attention_operations import prompts_at_once, tokens_of, with_positions
from engine.operations import Context, ModelRef, Params, PromptsRef
from sessions.artifacts import AnyArtifact, Array, Axis, Column, Matrix, Table

if TYPE_CHECKING:
    from engine.models.protocols import TransformerModel


class HeadScores(Params, frozen=True, kw_only=True):
    model: ModelRef
    prompts: PromptsRef


def head_scores(params: HeadScores, ctx: Context) -> Sequence[AnyArtifact]:
    """How much each head is a previous-token head, an induction head, and a reader of the answer."""
    from engine.circuits.reading.answer_attention import answers_as_tokens
    from engine.circuits.reading.attention import (
        answer_pairs,
        induction_pairs,
        named_pairs,
        patterns,
        previous_token_pairs,
        score,
    )

    model, prompts = ctx.transformer(params.model), with_positions(ctx, params)
    first = prompts.rows[0].positions if prompts.rows else {}
    names = [name for name in first if all(name in row.positions for row in prompts.rows)]
    batch = tokens_of(model, prompts.rows, answers=True)
    answers = answers_as_tokens(model, batch.answers)
    n, step = len(batch.tokens), prompts_at_once(model, batch)
    causal = model.config.attention == "causal"
    totals: dict[str, Any] = {}
    places: dict[str, Any] = {}
    for begin in range(0, n, step):
        ctx.progress(begin, n, "attention")
        rows = slice(begin, begin + step)
        tokens, lengths = batch.tokens[rows], batch.lengths[rows]
        pattern = patterns(model, tokens)
        for name, pairs in (
            ("previous token", previous_token_pairs(lengths)),
            ("induction", induction_pairs(tokens, lengths)),
            ("answer", answer_pairs(tokens, batch.at[rows], answers[rows])),
        ):
            found = score(pattern, pairs, None if causal else lengths)
            totals[name] = totals[name].plus(found) if name in totals else found
        for name in names:
            at_name = [row.positions[name] for row in prompts.rows[rows]]
            found = score(pattern, named_pairs(batch.at[rows], at_name), None if causal else lengths)
            places[name] = places[name].plus(found) if name in places else found
    ctx.progress(n, n, "attention")
    help_texts = {
        "previous token": "mean attention from token i to token i - 1",
        "induction": "mean attention from a repeated token i to what followed its last earlier occurrence",
        "answer": "attention from the scored position to each earlier place where the answer's token stands, mean",
    }
    facts = conditions(model, prompts) | {
        "n": n,
        "pairs": {name: found.pairs for name, found in totals.items()},
        "chance": {name: None if not found.pairs else found.mean_chance for name, found in totals.items()},
        "chance_is": f"what uniform attention over {'the tokens so far' if causal else 'all tokens'} would pay",
        "definitions": help_texts,
    }
    results: list[AnyArtifact] = []
    for name, found in totals.items():
        values = found.mean.float().numpy()
        results.append(_score_matrix(model, name, values, found, facts | {"definition": help_texts[name]}))
    if names:
        results.append(_to_named(model, places, facts))
    c = model.config
    means = {name: found.mean.tolist() for name, found in totals.items()}
    lines = [
        (f"L{layer}H{head}", *(_number(means[name][layer][head]) for name in totals))
        for layer in range(c.n_layers)
        for head in range(c.n_heads)
    ]
    lines.sort(key=lambda line: -max((value for value in line[1:] if isinstance(value, float)), default=0.0))
    results.append(
        Table(
            title="Head scores",
            summary=f"{len(lines)} heads on {n} prompts; highest: {', '.join(str(line[0]) for line in lines[:3])}",
            facts=facts,
            columns=(
                Column("head", "text"),
                *(Column(name, "float", "attention weight", help_texts[name]) for name in totals),
            ),
            rows=tuple(lines),
        )
    )
    return results


def _score_matrix(model: TransformerModel, name: str, values: Array, found: Any, facts: dict[str, Any]) -> Matrix:
    if found.pairs:
        layer, head = np.unravel_index(int(values.argmax()), values.shape)
        summary = f"highest L{layer}H{head} with {values.max():.2f}; chance {found.mean_chance:.2f}"
    else:
        summary = "these prompts have no such pair of tokens"
    return Matrix(
        title=f"Attention score: {name}",
        summary=summary,
        facts=facts,
        values=values,
        axes=(layer_axis(model), head_axis(model)),
        unit="attention weight",
    )


def _to_named(model: TransformerModel, places: dict[str, Any], facts: dict[str, Any]) -> Matrix:
    """One row per head, one column per name."""
    values = np.stack([found.mean.float().numpy().ravel() for found in places.values()], axis=1)
    heads = tuple(f"L{layer}H{head}" for layer in range(model.config.n_layers) for head in range(model.config.n_heads))
    row, column = np.unravel_index(int(np.nan_to_num(values).argmax()), values.shape)
    return Matrix(
        title="Attention from the scored position to named positions",
        summary=f"highest {heads[row]} to {list(places)[int(column)]} with {values[row, column]:.2f}",
        facts=facts
        | {
            "definition": "mean attention from the last scored position to the position of that name",
            "chance": {name: found.mean_chance if found.pairs else None for name, found in places.items()},
        },
        values=values,
        axes=(Axis("component", heads), Axis("position", tuple(places))),
        unit="attention weight",
    )


def _number(value: float) -> float | None:
    return None if value != value else float(value)


__all__ = ["HeadScores", "head_scores"]
