"""Attention as operations: patterns with their tokens, and the scores that name a head's habit. Loads without torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from msgspec import Meta

from engine.circuits.asking import conditions, head_axis, layer_axis, the_prompts
from engine.operations import Context, ModelRef, Params, PromptsRef
from sessions.artifacts import AnyArtifact, Array, Axis, Column, Matrix, Prompts, Table
from sessions.errors import CallError

if TYPE_CHECKING:
    from engine.models.protocols import TransformerModel
    from engine.prompts.tokenized import TokenBatch

MOST_BYTES = 32 * 2**20  # of one artifact: it travels to the screen whole
FIRST = 8  # prompts shown when nobody said how many


class AttentionPatterns(Params, frozen=True, kw_only=True):
    """Which patterns."""

    model: ModelRef
    prompts: PromptsRef
    first: Annotated[int, Meta(description="the first prompt, from 1", ge=1)] = 1
    count: Annotated[int, Meta(description="how many prompts; 0: as many as are to be shown or averaged", ge=0)] = 0
    side: Annotated[
        Literal["clean", "corrupt", "difference"],
        Meta(description="of the clean prompts, the corrupt ones, or clean minus corrupt"),
    ] = "clean"
    average: Annotated[bool, Meta(description="average over the prompts; they must be equally long")] = False


class HeadScores(Params, frozen=True, kw_only=True):
    model: ModelRef
    prompts: PromptsRef


def attention_patterns(params: AttentionPatterns, ctx: Context) -> Sequence[AnyArtifact]:
    """The attention of every head, prompt by prompt or averaged."""
    model, prompts = ctx.transformer(params.model), the_prompts(ctx, params.prompts)
    prompts = _with_positions(model, prompts)
    start, stop = _range(params, prompts)
    batch = _tokens(model, prompts, start, stop, corrupt=params.side != "clean")
    n, pos = batch.tokens.shape
    c = model.config
    size = 4 * (1 if params.average else n) * c.n_layers * c.n_heads * pos * pos
    if size > MOST_BYTES:
        fit = MOST_BYTES // (size // (1 if params.average else n))
        raise CallError(
            f"the patterns of {n} prompts take {size / 2**20:.0f} MiB, more than the {MOST_BYTES // 2**20} MiB "
            "that a result may have",
            "count",
            f"ask for at most {fit} prompts, or their average" if fit else "use shorter prompts",
        )
    aligned = bool((batch.lengths == batch.lengths[0]).all())
    if params.average and not aligned:
        raise CallError(
            f"prompts of {int(batch.lengths.min())} to {int(batch.lengths.max())} tokens cannot be averaged",
            "average",
            "choose prompts of one template, or look at them one by one",
        )
    values = _patterns(ctx, model, batch, params.side, average=params.average)
    if not params.average:
        for row, length in enumerate(batch.lengths.tolist()):  # beyond a shorter prompt's end there is nothing
            values[row, :, :, length:] = np.nan
            values[row, :, :, :, length:] = np.nan
    labels = _token_labels(model, prompts, batch, start, params.side)
    which = "average" if params.average else "prompt"
    rows = ("average",) if params.average else tuple(f"{start + i + 1}" for i in range(n))
    of = f"{n} prompts, averaged" if params.average else (f"prompt {start + 1}" if n == 1 else f"{n} prompts")
    facts = conditions(model, prompts) | {
        "side": params.side,
        "first": start + 1,
        "n": n,
        "average": params.average,
        "of": "softmax weights; rows are queries and sum to 1"
        if params.side != "difference"
        else "clean minus corrupt weights",
        "tokens": [_texts(model, batch.tokens[i, : int(batch.lengths[i])]) for i in range(min(n, 64))],
    }
    difference = params.side == "difference"
    return [
        Matrix(
            title=f"Attention patterns, {params.side}, {of}",
            summary=f"{c.n_layers} layers x {c.n_heads} heads, {pos} tokens",
            facts=facts,
            values=values,
            axes=(
                Axis(which, rows),
                layer_axis(model),
                head_axis(model),
                Axis("query", labels),
                Axis("key", labels),
            ),
            unit="attention weight",
            scale="diverging" if difference else "sequential",
        )
    ]


def head_scores(params: HeadScores, ctx: Context) -> Sequence[AnyArtifact]:
    """How much each head is a previous-token head, an induction head, and a reader of the answer."""
    from engine.circuits.attention import (
        answer_pairs,
        induction_pairs,
        named_pairs,
        patterns,
        previous_token_pairs,
        score,
    )

    model, prompts = ctx.transformer(params.model), the_prompts(ctx, params.prompts)
    prompts = _with_positions(model, prompts)
    first = prompts.rows[0].positions if prompts.rows else {}
    names = [name for name in first if all(name in row.positions for row in prompts.rows)]
    batch = _tokens(model, prompts, 0, len(prompts.rows), corrupt=False, answers=True)
    n, step = len(batch.tokens), _at_once(model, batch)
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
            ("answer", answer_pairs(tokens, batch.at[rows], batch.answers[rows])),
        ):
            found = score(pattern, pairs)
            totals[name] = totals[name].plus(found) if name in totals else found
        for name in names:
            at_name = [row.positions[name] for row in prompts.rows[rows]]
            found = score(pattern, named_pairs(batch.at[rows], at_name))
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
        "chance_is": "what uniform attention over the tokens so far would pay",
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


def _with_positions(model: TransformerModel, prompts: Prompts) -> Prompts:
    """Named positions count this model's tokens."""
    from engine.prompts.tokenized import look

    if prompts.tokenizer == model.tokenizer.name or not any(row.spans for row in prompts.rows):
        return prompts
    return look(prompts, model.tokenizer, model.config.n_ctx)


def _number(value: float) -> float | None:
    return None if value != value else float(value)


def _range(params: AttentionPatterns, prompts: Prompts) -> tuple[int, int]:
    n = len(prompts.rows)
    if not n:
        raise CallError("the set of prompts is empty", "prompts", "make or open at least one prompt")
    if params.first > n:
        raise CallError(f"there is no prompt {params.first}", "first", f"the set has {n}")
    start = params.first - 1
    count = params.count or (n if params.average else FIRST)
    return start, min(n, start + count)


def _tokens(
    model: TransformerModel, prompts: Prompts, start: int, stop: int, *, corrupt: bool, answers: bool = False
) -> TokenBatch:
    """The rows as tokens. Only what is needed is asked of them: a pattern has no answer."""
    import msgspec

    from engine.prompts.tokenized import tokenize

    rows = prompts.rows[start:stop]
    if not answers and any(not row.answers and row.scored_from is None for row in rows):
        rows = tuple(msgspec.structs.replace(row, scored_from=1) for row in rows)
    return tokenize(rows, model.tokenizer, n_ctx=model.config.n_ctx, need_corrupt=corrupt)


def _at_once(model: TransformerModel, batch: TokenBatch) -> int:
    from engine.hardware import rows_that_fit

    c, pos = model.config, batch.tokens.shape[1]
    # the pattern of all layers twice (stacked, and moved to the CPU), and the kept residual streams
    per_row = 4 * c.n_layers * pos * (2 * c.n_heads * pos + 2 * c.d_model + c.n_heads * c.d_head)
    return rows_that_fit(per_row, str(model.device), share=0.25, most=256)


def _patterns(ctx: Context, model: TransformerModel, batch: TokenBatch, side: str, *, average: bool) -> Array:
    from engine.circuits.attention import patterns

    n, step = len(batch.tokens), _at_once(model, batch)
    parts: list[Array] = []
    total: Array | None = None
    for begin in range(0, n, step):
        ctx.progress(begin, n, "attention")
        rows = slice(begin, begin + step)
        found = None
        if side != "corrupt":
            found = patterns(model, batch.tokens[rows])
        if side != "clean":
            assert batch.corrupt is not None
            other = patterns(model, batch.corrupt[rows])
            found = other if found is None else found - other
        assert found is not None
        if average:
            added = found.double().sum(0, keepdim=True).numpy()
            total = added if total is None else total + added
        else:
            parts.append(found.numpy())
    ctx.progress(n, n, "attention")
    if total is not None:
        return (total / n).astype(np.float32)
    return np.concatenate(parts)


def _texts(model: TransformerModel, ids: Any) -> list[str]:
    return model.tokenizer.token_texts(ids.tolist())


def _token_labels(
    model: TransformerModel, prompts: Prompts, batch: TokenBatch, start: int, side: str
) -> tuple[str, ...]:
    """One prompt: its tokens. Several of equal length: the token where all agree, else the name of the position where
    they have one, else its number. Of different lengths: none."""
    n, pos = batch.tokens.shape
    tokens = batch.corrupt if side == "corrupt" and batch.corrupt is not None else batch.tokens
    if n == 1:
        return tuple(_texts(model, tokens[0]))
    if not bool((batch.lengths == pos).all()):
        return ()
    rows = prompts.rows[start : start + n]
    names: dict[int, str] = {}
    shared = set(rows[0].positions.items()).intersection(*(row.positions.items() for row in rows[1:]))
    for name, place in sorted(shared):
        names.setdefault(place, name)
    first = _texts(model, tokens[0])
    same = (tokens == tokens[0]).all(0).tolist()
    return tuple(first[i] if same[i] else names.get(i, str(i)) for i in range(pos))


__all__ = ["AttentionPatterns", "HeadScores", "attention_patterns", "head_scores"]
