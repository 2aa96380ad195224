"""Every head without its attention, as an operation. Loads without torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from msgspec import Meta

from engine.circuits.asking import Batch, MetricChoice, OnPrompts, ask
from engine.circuits.sweeps.sweep_operations import swept
from engine.operations import Context, ModelRef, Params, PromptsRef
from sessions.artifacts import AnyArtifact


class AttentionAblation(Params, frozen=True, kw_only=True):
    model: ModelRef
    prompts: PromptsRef
    what: Annotated[
        Literal["pattern", "scores"],
        Meta(
            description="pattern: weights after the softmax := 0, nothing is mixed; scores: before the softmax := 0, "
            "all that the mask allows is attended to alike"
        ),
    ] = "pattern"
    metric: MetricChoice = "logit_diff"
    batch: Batch = 0


def attention_ablation(params: AttentionAblation, ctx: Context) -> Sequence[AnyArtifact]:
    """Every head's attention taken away alone: a heatmap of what each is worth, and a table sorted by it."""
    from engine.circuits.interventions.attention_ablation import UniformAttention

    as_zero = OnPrompts(
        model=params.model, prompts=params.prompts, ablation="zero", metric=params.metric, batch=params.batch
    )
    asked = ask(as_zero, ctx)
    runs = asked.runs()
    folded = asked.model.handle.processing.fold_value_biases
    if params.what == "scores":
        runs = UniformAttention(asked.model, asked.batch, runs.metric, like=runs, before=asked.voice.again)
        causal = asked.model.config.attention == "causal"
        facts = {
            "ablation": "attention scores := 0",
            "replacement": runs.replacement_words,
            "sites": "a head's scores before the softmax, all queries: uniform attention over "
            + ("the query's own and earlier tokens" if causal else "all tokens of the prompt"),
            "value_biases": "weights add up to 1, so a head's b_V W_O stays, folded into b_O or not",
        }
    else:
        facts = {
            "ablation": "attention pattern := 0",
            "replacement": "zero",
            "sites": "a head's weights after the softmax, all queries: z = 0, b_O stays",
            "value_biases": "folded into b_O: the head's b_V W_O stays, only its input-dependent part goes"
            if folded
            else "not folded: the head's b_V W_O goes with its pattern, as in zero ablation of z",
        }
    return swept(ctx, asked, runs, asked.facts(runs) | facts, mlps=False)


__all__ = ["AttentionAblation", "attention_ablation"]
