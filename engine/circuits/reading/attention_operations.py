"""Attention patterns as an operation, with their tokens as labels. Loads without torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from msgspec import Meta

from engine.circuits.asking import conditions, head_axis, layer_axis, rows_of, the_prompts
from engine.operations import Context, ModelRef, Params, PromptsRef
from sessions.artifacts import AnyArtifact, Array, Axis, Matrix, PromptRow, Prompts
from sessions.errors import CallError

if TYPE_CHECKING:
    from engine.circuits.reading.score_operations import HeadScores
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
    average: Annotated[
        bool, Meta(description="average over the prompts of the first one's template and length, in the whole set")
    ] = False


def attention_patterns(params: AttentionPatterns, ctx: Context) -> Sequence[AnyArtifact]:
    """The attention of every head, prompt by prompt or averaged."""
    model, prompts = ctx.transformer(params.model), with_positions(ctx, params)
    start, stop = _range(params, prompts)
    rows = prompts.rows[start:stop]
    batch = tokens_of(model, rows, corrupt=params.side != "clean")
    if params.average:
        like = _like(prompts.rows[params.first - 1], rows, batch)
        rows, batch = tuple(rows[i] for i in like), rows_of(batch, like)
        batch = batch._replace(tokens=batch.tokens[:, : int(batch.lengths.max())])
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
    values = _patterns(ctx, model, batch, params.side, average=params.average)
    if not params.average:
        for row, length in enumerate(batch.lengths.tolist()):  # beyond a shorter prompt's end there is nothing
            values[row, :, :, length:] = np.nan
            values[row, :, :, :, length:] = np.nan
    labels = token_labels(model, rows, batch, params.side)
    numbers = ("average",) if params.average else tuple(f"{start + i + 1}" for i in range(n))
    of = f"{n} prompts, averaged" if params.average else (f"prompt {start + 1}" if n == 1 else f"{n} prompts")
    difference = params.side == "difference"
    facts = conditions(model, prompts) | {
        "side": params.side,
        "first": params.first,
        "n": n,
        "average": params.average,
        "of": "clean minus corrupt weights" if difference else "softmax weights; rows are queries and sum to 1",
    }
    summary = f"{c.n_layers} layers x {c.n_heads} heads, {pos} tokens"
    if params.average:
        among = f"the {n} of {stop - start} prompts built like prompt {params.first}: same template, {pos} tokens"
        facts["averaged_over"] = among
        summary += f"; {among}"
    else:
        facts["tokens"] = [_texts(model, batch.tokens[i, : int(batch.lengths[i])]) for i in range(min(n, 64))]
    return [
        Matrix(
            title=f"Attention patterns, {params.side}, {of}",
            summary=summary,
            facts=facts,
            values=values,
            axes=(
                Axis("average" if params.average else "prompt", numbers),
                layer_axis(model),
                head_axis(model),
                Axis("query", labels),
                Axis("key", labels),
            ),
            unit="attention weight",
            scale="diverging" if difference else "sequential",
        )
    ]


def _like(first: PromptRow, rows: Sequence[PromptRow], batch: TokenBatch) -> list[int]:
    """The rows of the same template and token length as `first`, which is one of them."""
    length = int(batch.lengths[rows.index(first)])
    return [
        i
        for i, (row, own) in enumerate(zip(rows, batch.lengths.tolist()))
        if row.group == first.group and own == length
    ]


def _range(params: AttentionPatterns, prompts: Prompts) -> tuple[int, int]:
    """The prompts asked for; an average without a count looks through the whole set."""
    n = len(prompts.rows)
    if not n:
        raise CallError("the set of prompts is empty", "prompts", "make or open at least one prompt")
    if params.first > n:
        raise CallError(f"there is no prompt {params.first}", "first", f"the set has {n}")
    if params.average and not params.count:
        return 0, n
    start = params.first - 1
    return start, min(n, start + (params.count or FIRST))


def with_positions(ctx: Context, params: AttentionPatterns | HeadScores) -> Prompts:
    """The prompts, with named positions that count this model's tokens."""
    from engine.prompts.tokenized import look

    model, prompts = ctx.transformer(params.model), the_prompts(ctx, params.prompts)
    if prompts.tokenizer == model.tokenizer.name or not any(row.spans for row in prompts.rows):
        return prompts
    return look(prompts, model.tokenizer, model.config.n_ctx)


def tokens_of(
    model: TransformerModel, rows: Sequence[PromptRow], *, corrupt: bool = False, answers: bool = False
) -> TokenBatch:
    """The rows as tokens. Only what is needed is asked of them: a pattern has no answer."""
    from engine.prompts.tokenized import tokenize

    return tokenize(rows, model.tokenizer, n_ctx=model.config.n_ctx, need_corrupt=corrupt, need_answers=answers)


def prompts_at_once(model: TransformerModel, batch: TokenBatch) -> int:
    """Prompts whose patterns are held at once."""
    from engine.hardware import rows_that_fit

    c, pos = model.config, batch.tokens.shape[1]
    # the pattern of all layers twice (stacked, and moved to the CPU), and the kept residual streams
    per_row = 4 * c.n_layers * pos * (2 * c.n_heads * pos + 2 * c.d_model + c.n_heads * c.d_head)
    return rows_that_fit(per_row, str(model.device), share=0.25, most=256)


def _patterns(ctx: Context, model: TransformerModel, batch: TokenBatch, side: str, *, average: bool) -> Array:
    from engine.circuits.reading.attention import patterns

    n, step = len(batch.tokens), prompts_at_once(model, batch)
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


def token_labels(model: TransformerModel, rows: Sequence[PromptRow], batch: TokenBatch, side: str) -> tuple[str, ...]:
    """One prompt: its tokens. Several of equal length: the token where all agree, else the name of the position where
    they have one, else its number. Of different lengths: none."""
    n, pos = batch.tokens.shape
    tokens = batch.corrupt if side == "corrupt" and batch.corrupt is not None else batch.tokens
    if n == 1:
        return tuple(_texts(model, tokens[0]))
    if not bool((batch.lengths == pos).all()):
        return ()
    names: dict[int, str] = {}
    shared = set(rows[0].positions.items()).intersection(*(row.positions.items() for row in rows[1:]))
    for name, place in sorted(shared):
        names.setdefault(place, name)
    first = _texts(model, tokens[0])
    same = (tokens == tokens[0]).all(0).tolist()
    return tuple(first[i] if same[i] else names.get(i, str(i)) for i in range(pos))


__all__ = ["AttentionPatterns", "attention_patterns", "prompts_at_once", "token_labels", "tokens_of", "with_positions"]
