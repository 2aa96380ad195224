"""Direct logit attribution as an operation. Loads without torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import numpy as np
from msgspec import Meta

from engine.circuits.asking import conditions, rows_of, the_prompts
from engine.circuits.reading.direct_results import by_prompt, by_source, heatmaps, of_head, table
from engine.circuits.reading.lens_operations import check_row
from engine.operations import Context, ModelRef, Params, PromptsRef
from sessions.artifacts import AnyArtifact, Array, PromptRow
from sessions.errors import CallError

if TYPE_CHECKING:
    from engine.models.protocols import TransformerModel
    from engine.prompts.tokenized import TokenBatch


class DirectEffects(Params, frozen=True, kw_only=True):
    """On which prompts, and what of them."""

    model: ModelRef
    prompts: PromptsRef
    row: Annotated[int, Meta(description="only this prompt, from 1; none: the mean over prompts", ge=1)] | None = None
    most: Annotated[int, Meta(description="prompts that are averaged over, at most; 0: all", ge=0)] = 64
    per_prompt: Annotated[bool, Meta(description="every component's effect on every prompt as well")] = False
    by_source: Annotated[
        bool, Meta(description="heads' effects by the token they come from as well; prompts of one length")
    ] = False
    layer: (
        Annotated[int, Meta(description="with head: one head's effects by source, prompt by prompt", ge=0)] | None
    ) = None
    head: (
        Annotated[int, Meta(description="with layer: one head's effects by source, prompt by prompt", ge=0)] | None
    ) = None


def direct_effects(params: DirectEffects, ctx: Context) -> Sequence[AnyArtifact]:
    """What every component adds to the logit difference by itself: heatmaps, and a table sorted by size."""
    from engine.circuits.reading.direct_effects import component_names

    model, prompts = ctx.transformer(params.model), the_prompts(ctx, params.prompts)
    chosen = _chosen_head(params, model)
    rows, numbers = _rows(params, prompts.rows)
    batch = _tokens(model, rows)
    n, length = batch.tokens.shape
    names = component_names(model.config)
    split = params.by_source or chosen is not None
    if params.by_source and not bool((batch.lengths == length).all()):
        raise CallError(
            "effects by source are averaged by position, and these prompts differ in length",
            "by_source",
            "give a row, a head (layer= head=), or prompts of one template",
        )
    every = _measured(ctx, model, batch, len(names), split=split)
    effects, clean = every[:, : len(names)], every[:, len(names)]
    mean = effects.mean(0)
    facts = conditions(model, prompts) | {
        "metric": "logit_diff",
        "metric_title": "logit difference, answer - foil",
        "unit": "logits",
        "sign": "positive raises the answer over the foil",
        "definition": "(o_s - mean o_s) / sigma_final . w (W_U[answer] - W_U[foil]); the final norm's scale frozen per "
        "example and position",
        "biases": f"{names[-3]}, {names[-2]} and {names[-1]} are parts of their own; b_V belongs to its head, an MLP's "
        "output bias to its MLP",
        "positions": "the answer position" if batch.at.shape[1] == 1 else f"{batch.at.shape[1]} scored, averaged",
        "clean": float(clean.mean()),
        "n": n,
        "rows": numbers[0] if n == 1 else f"{numbers[0]} to {numbers[-1]}",
        "sum_minus_clean": float(np.abs(effects.sum(1) - clean).max()),
    }
    over = f"prompt {numbers[0]}" if n == 1 else f"mean of {n} prompts"
    results: list[AnyArtifact] = list(heatmaps(model, facts, names, mean, over))
    results.append(table(facts, names, effects, over))
    if params.per_prompt:
        results.append(by_prompt(facts, names, effects, numbers))
    if split:
        c = model.config
        sources = every[:, len(names) + 1 :].reshape(n, c.n_layers, c.n_heads, length)
        if chosen is not None:
            results.append(of_head(model, facts, rows, batch, sources[:, chosen[0], chosen[1]], chosen, numbers))
        if params.by_source:
            results.append(by_source(model, facts, rows, batch, sources.mean(0), over))
    return results


def _chosen_head(params: DirectEffects, model: TransformerModel) -> tuple[int, int] | None:
    if (params.layer is None) != (params.head is None):
        raise CallError("a head is a layer and a number in it", "head", "give both layer= and head=, or neither")
    if params.layer is None or params.head is None:
        return None
    return check_head(model, params.layer, params.head)


def check_head(model: TransformerModel, layer: int, head: int) -> tuple[int, int]:
    """The head, which exists. CallError otherwise."""
    c = model.config
    if layer >= c.n_layers or head >= c.n_heads:
        what = "layer" if layer >= c.n_layers else "head"
        raise CallError(f"this model has no L{layer}H{head}", what, f"it has {c.n_layers} layers of {c.n_heads} heads")
    return layer, head


def _rows(params: DirectEffects, rows: Sequence[PromptRow]) -> tuple[Sequence[PromptRow], tuple[int, ...]]:
    """The prompts asked for, and their numbers from 1."""
    check_row(params.row or 1, len(rows))
    if params.row is not None:
        return rows[params.row - 1 : params.row], (params.row,)
    shown = rows[: params.most] if params.most else rows
    return shown, tuple(range(1, len(shown) + 1))


def _tokens(model: TransformerModel, rows: Sequence[PromptRow]) -> TokenBatch:
    from engine.prompts.tokenized import tokenize

    return tokenize(rows, model.tokenizer, n_ctx=model.config.n_ctx, need_foils=True)


def _measured(ctx: Context, model: TransformerModel, batch: TokenBatch, components: int, *, split: bool) -> Array:
    """[prompt, ...]: the effects, the logit difference as the model computes it, and with `split` every head's effects
    by source, zero beyond a prompt's end."""
    import torch

    from engine.circuits.batching import sizes
    from engine.circuits.metrics import Targets, logit_difference
    from engine.circuits.reading.attention_operations import prompts_at_once
    from engine.circuits.reading.direct_effects import direct_effects, direction, head_effects_by_source
    from engine.circuits.reading.in_chunks import per_prompt
    from engine.circuits.runs import at_positions

    n, length = batch.tokens.shape
    step = sizes(model, prompts=n, pos=length, scored=batch.at.shape[1], vocabulary=False).prompts
    if split:
        step = min(step, prompts_at_once(model, batch))

    def compute(chunk: slice) -> Array:
        part = rows_of(batch, chunk)
        pairs = ((part.answers, part.all_answers), (part.foils, part.all_foils))
        answers, foils = (
            (first[:, :, None] if every is None else every[:, None]).to(model.device)
            for first, every in pairs
            if first is not None
        )
        tokens, at = part.tokens.to(model.device), part.at.to(model.device)
        k = at.shape[1]
        targets = Targets(answers.expand(-1, k, -1), foils.expand(-1, k, -1))
        cache = model.forward(tokens, pattern=split)
        final = at_positions(cache.resid_pre[-1], at)
        with torch.no_grad():
            toward = direction(model, final, targets)
            effects = direct_effects(model, cache, tokens, at, toward)
            assert effects.shape[-1] == components
            clean = logit_difference(model.unembed(final).float(), targets)
            found = [effects.mean(1), clean[:, None]]
            if split:
                found.append(head_effects_by_source(model, cache, at, toward).mean(1).flatten(1))
        return torch.cat([one.cpu().double() for one in found], 1).numpy()

    return per_prompt(ctx, n, step, "direct effects", compute, device=model.device)


__all__ = ["DirectEffects", "check_head", "direct_effects"]
