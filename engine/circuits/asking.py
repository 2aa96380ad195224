"""What every circuit operation is asked for, and how it becomes a model, prompts and a metric. Loads without torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import numpy as np
from msgspec import Meta

from engine.operations import Context, ModelRef, Params, PromptsRef
from sessions.artifacts import Axis, Prompts, WeightProcessing
from sessions.errors import CallError

if TYPE_CHECKING:
    from engine.circuits.batching import Sizes
    from engine.circuits.runs import PromptRuns
    from engine.models.protocols import TransformerModel
    from engine.prompts.tokenized import TokenBatch

MetricName = Literal["logit_diff", "logit_diff_max", "loss", "accuracy", "kl", "prob_diff", "l2"]
SITES = "head: z, before W_O (b_O stays); MLP: its output"

Ablation = Annotated[
    Literal["zero", "mean", "resample"],
    Meta(description="what an ablated part writes: nothing, its mean, or its value on the corrupt prompt"),
]
MetricChoice = Annotated[
    MetricName,
    Meta(
        description="what is measured: logit difference (of the means, or over the best foil), loss, accuracy, KL "
        "from the clean model, probabilities, or how far the logits move (l2)"
    ),
]
Batch = Annotated[int, Meta(description="most prompts x ablated versions at once; 0: as many as fit", ge=0, le=65536)]


class OnPrompts(Params, frozen=True, kw_only=True):
    """A model, prompts, and how to ablate and measure."""

    model: ModelRef
    prompts: PromptsRef
    ablation: Ablation = "zero"
    metric: MetricChoice = "logit_diff"
    batch: Batch = 0


class Voice:
    """Progress that can be repeated: before every batch the last word is said again, so that a cancel takes effect and
    a question is answered there, however long the unit is that the progress counts."""

    def __init__(self, ctx: Context) -> None:
        self._ctx, self._last = ctx, (0, 1, "clean passes")

    def say(self, done: int, total: int, note: str) -> None:
        self._last = (done, total, note)
        self.again()

    def again(self) -> None:
        self._ctx.progress(*self._last)


class Asked(NamedTuple):
    model: TransformerModel
    prompts: Prompts
    batch: TokenBatch
    metric: MetricName
    ablation: Literal["zero", "mean", "resample"]
    most_rows: int
    voice: Voice

    def say(self, done: int, total: int, note: str) -> None:
        self.voice.say(done, total, note)

    @property
    def answered(self) -> bool:
        """Whether there is anything to compare outputs with; programs that compute a number have no answers."""
        return bool((self.batch.answers >= 0).any())

    def runs(
        self,
        rows: Any = None,
        *,
        metric: MetricName | None = None,
        like: PromptRuns | None = None,
        sizes: Sizes | None = None,
    ) -> PromptRuns:
        """The prompts (or those rows) with their clean passes; `like` are the same prompts with another metric.

        `sizes`: of a method that needs more memory for a prompt than ablating its nodes does. Where memory runs out,
        the chunks are halved.
        """
        from engine.circuits.metrics import METRICS
        from engine.circuits.runs import PromptRuns
        from engine.hardware import is_out_of_memory

        batch = self.batch if rows is None else rows_of(self.batch, rows)
        chosen = METRICS[metric or self.metric]
        size = sizes or self.sizes(len(batch.tokens))
        chunk = size.prompts
        while True:
            try:
                return PromptRuns(
                    self.model,
                    batch,
                    chosen,
                    self.ablation,
                    rows=chunk,
                    keep_bytes=size.keep_bytes,
                    like=like,
                    before=self.voice.again,
                )
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error) or chunk == 1 or like is not None:
                    raise
            chunk //= 2

    def sizes(self, prompts: int, *, floats: int = 0) -> Sizes:
        """Batch sizes; `floats` are further numbers that one row holds at once."""
        from engine.circuits.batching import sizes
        from engine.circuits.metrics import METRICS

        return sizes(
            self.model,
            prompts=prompts,
            pos=self.batch.tokens.shape[1],
            scored=self.batch.at.shape[1],
            vocabulary=METRICS[self.metric].needs_vocabulary,
            most_rows=self.most_rows,
            extra_floats=floats,
        )

    def facts(self, runs: PromptRuns) -> dict[str, Any]:
        """The conditions a number depends on."""
        metric, k = runs.metric, self.batch.at.shape[1]
        mean = float(runs.clean.double().mean())
        return conditions(self.model, self.prompts) | {
            "metric": metric.name,
            "metric_title": metric.title,
            "direction": metric.direction,
            "unit": metric.unit,
            "ablation": runs.ablation,
            "replacement": runs.replacement_words,
            "sites": SITES,
            "positions": "the answer position" if k == 1 else f"{k} scored positions per prompt, averaged",
            "clean": mean,
            "n": runs.size,
        }


def conditions(model: TransformerModel, prompts: Prompts) -> dict[str, Any]:
    """Which model, with weights processed how, on which prompts."""
    processing = model.handle.processing
    flags = {name: bool(getattr(processing, name)) for name in WeightProcessing.__struct_fields__}
    return {
        "model": model.handle.source,
        "model_title": model.handle.title,
        "weights": str(processing),
        "processing": flags,
        "dtype": model.handle.dtype,
        "prompts": prompts.title,
        "task": prompts.task,
    }


def ask(params: OnPrompts, ctx: Context, *, metrics: tuple[MetricName, ...] = ()) -> Asked:
    """The model loaded, the prompts as its tokens. CallError when they do not go together."""
    from engine.circuits.metrics import METRICS
    from engine.prompts.tokenized import tokenize

    model, prompts = ctx.transformer(params.model), the_prompts(ctx, params.prompts)
    wanted = {params.metric, *metrics}
    try:
        batch = tokenize(
            prompts.rows,
            model.tokenizer,
            n_ctx=model.config.n_ctx,
            need_corrupt=params.ablation == "resample",
            need_foils=any(METRICS[name].needs_foils for name in wanted),
        )
    except CallError as error:
        others = "prompts.look with keep=usable leaves out what this model cannot use"
        raise CallError(error.what, error.where, f"{error.remedy}; {others}" if error.remedy else others) from None
    asked = Asked(model, prompts, batch, params.metric, params.ablation, params.batch, Voice(ctx))
    if any(METRICS[name].needs_answers for name in wanted) and not asked.answered:
        raise CallError("these prompts have no answers", "metric", "use kl or l2, which need none")
    return asked


def the_prompts(ctx: Context, ref: str) -> Prompts:
    found = ctx.artifact(ref)
    if not isinstance(found, Prompts):
        raise CallError(f"{ref} is a {found.kind}, not prompts", "prompts", "give a set made by prompts.make")
    return found


def rows_of(batch: TokenBatch, rows: Any) -> TokenBatch:
    """Some rows of a batch: a slice, or indices."""
    parts: list[Any] = [None if part is None else part[rows] for part in batch]
    return type(batch)(*parts)


def split_rows(rng: np.random.Generator, n: int, part: float) -> tuple[Any, Any]:
    """Which prompts decide, and which `part` of them is held out: both in order, at least one decides."""
    order = rng.permutation(n)
    aside = min(n - 1, round(n * part))
    return np.sort(order[aside:]), np.sort(order[:aside])


def layer_axis(model: TransformerModel) -> Axis:
    return Axis("layer", tuple(f"L{layer}" for layer in range(model.config.n_layers)))


def head_axis(model: TransformerModel) -> Axis:
    return Axis("head", tuple(f"H{head}" for head in range(model.config.n_heads)))


__all__ = ["Asked", "OnPrompts", "ask", "conditions", "head_axis", "layer_axis", "rows_of", "split_rows", "the_prompts"]
