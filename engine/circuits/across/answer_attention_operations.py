"""Attention to the answer before and after fine-tuning, as an operation. Loads without torch."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Any

import numpy as np
from msgspec import Meta

from engine.circuits.across.naming import distinct, the_models
from engine.circuits.across.subsets import DOUBT, subset
from engine.circuits.asking import conditions, head_axis, layer_axis, the_prompts
from engine.circuits.reading.attention_operations import prompts_at_once, tokens_of
from engine.operations import Context, ModelRefs, Params, PromptsRef
from sessions.artifacts import AnyArtifact, Array, Axis, Column, Matrix, Table
from sessions.components import Head
from sessions.errors import CallError


class AttentionToAnswer(Params, frozen=True, kw_only=True):
    models: Annotated[ModelRefs, Meta(description="models in order, the one before fine-tuning first: @ID,@ID")]
    prompts: PromptsRef
    threshold: Annotated[
        float, Meta(description="mean attention above which a head counts as attending to the answer", ge=0, le=1)
    ] = 0.4


def attention_to_answer(params: AttentionToAnswer, ctx: Context) -> Sequence[AnyArtifact]:
    """Per model the heads' mean attention to the answer, its change from the first model, and whether each model's
    attending heads are among the next one's."""
    models, prompts = the_models(ctx, params.models, least=2), the_prompts(ctx, params.prompts)
    names = distinct([model.title for model in models], params.models)
    saved = ctx.checkpoints()
    total = len(models) * len(prompts.rows)
    facts: dict[str, Any] = {
        "definition": "attention from the scored position to where the answer stands, summed over its places, mean "
        "over the prompts where it stands somewhere",
        "models": list(params.models),
        "prompts": prompts.title,
        "task": prompts.task,
        "threshold": params.threshold,
        "weights": {},
        "prompts_with_answer": {},
    }
    means: list[Array] = []
    errors: list[Array] = []
    axes: tuple[Axis, Axis] | None = None
    for i, (ref, name) in enumerate(zip(params.models, names)):
        ctx.progress(i * len(prompts.rows), total, name)
        model = ctx.transformer(ref)
        here = (layer_axis(model), head_axis(model))
        axes = axes or here
        if here != axes:
            raise CallError(
                f"{name} has {len(here[0].labels)} layers of {len(here[1].labels)} heads, {names[0]} has "
                f"{len(axes[0].labels)} of {len(axes[1].labels)}",
                "models",
                "compare models of one shape",
            )
        if str(i) not in saved:
            saved[str(i)] = _measured(ctx, model, prompts, i, total, name)
            ctx.checkpoint(str(i), saved[str(i)])
        means.append(np.asarray(saved[str(i)]["mean"]))
        errors.append(np.asarray(saved[str(i)]["error"]))
        facts["weights"] |= {name: conditions(model, prompts)["weights"]}
        facts["prompts_with_answer"] |= {name: saved[str(i)]["n"]}
        if i + 1 < len(models):
            ctx.partial(_matrix(facts, names, means, axes, params.threshold))
    ctx.progress(total, total, "attention to the answer")
    assert axes is not None
    return [
        _matrix(facts, names, means, axes, params.threshold),
        _change(facts, names, means, axes, params.threshold),
        _relations(facts, names, means, errors, params.threshold),
        _heads(facts, names, means, errors, params.threshold),
    ]


def _measured(ctx: Context, model: Any, prompts: Any, index: int, total: int, name: str) -> dict[str, Any]:
    """Mean over prompts and its standard error, per layer and head."""
    from engine.circuits.reading.answer_attention import answer_places, per_prompt, within
    from engine.circuits.reading.attention import patterns
    from engine.hardware import halving

    batch = tokens_of(model, prompts.rows, answers=True)
    pairs = answer_places(model, prompts.rows, batch)
    n = len(batch.tokens)
    c = model.config
    total_sum, squares, seen = np.zeros((c.n_layers, c.n_heads)), np.zeros((c.n_layers, c.n_heads)), 0

    def measured(start: int, stop: int) -> Array:
        ctx.progress(index * n + start, total, name)
        rows = slice(start, stop)
        found = per_prompt(patterns(model, batch.tokens[rows]), within(pairs, rows), mean_over="queries").values
        values: Array = found.numpy()
        return values

    for values in halving(measured, n, prompts_at_once(model, batch), device=str(model.device)):
        known = values[np.isfinite(values).all((1, 2))].astype(np.float64)
        total_sum, squares, seen = total_sum + known.sum(0), squares + (known**2).sum(0), seen + len(known)
    if not seen:
        raise CallError(
            "the answer stands in none of the prompts", "prompts", "use a task that repeats a word: tpp, ioi, induction"
        )
    mean = total_sum / seen
    variance = np.maximum(squares / seen - mean**2, 0) * seen / max(seen - 1, 1)
    return {"mean": mean, "error": np.sqrt(variance / seen), "n": seen}


def _matrix(
    facts: dict[str, Any], names: Sequence[str], means: Sequence[Array], axes: tuple[Axis, Axis], threshold: float
) -> Matrix:
    """[model layer head], NaN where a model has not been read yet."""
    values = np.full((len(names), *means[0].shape), np.nan, np.float32)
    values[: len(means)] = np.stack(means)
    marks = np.argwhere(values > threshold)
    counts = [f"{name}: {int((mean > threshold).sum())}" for name, mean in zip(names, means)]
    return Matrix(
        title="Attention to the answer, model by model",
        summary=f"heads above {threshold:g} (marked): {', '.join(counts)}",
        facts=dict(facts),
        values=values,
        axes=(Axis("model", tuple(names)), *axes),
        unit="attention weight",
        marks=tuple((int(m), int(layer), int(head)) for m, layer, head in marks),
    )


def _change(
    facts: dict[str, Any], names: Sequence[str], means: Sequence[Array], axes: tuple[Axis, Axis], threshold: float
) -> Matrix:
    """[later model layer head]: its attention less the first model's. Marked: heads that came above the threshold."""
    values = np.stack([mean - means[0] for mean in means[1:]]).astype(np.float32)
    new = np.argwhere(np.stack([(mean > threshold) & (means[0] <= threshold) for mean in means[1:]]))
    m, layer, head = (int(i) for i in np.unravel_index(int(np.abs(values).argmax()), values.shape))
    return Matrix(
        title=f"Attention to the answer: change from {names[0]}",
        summary=f"largest: {Head(layer, head)} in {names[1 + m]} ({values[m, layer, head]:+.2f}); "
        f"marked: above {threshold:g} there and not in {names[0]}",
        facts=facts | {"sign": f"model minus {names[0]}"},
        values=values,
        axes=(Axis("model", tuple(names[1:])), *axes),
        unit="attention weight",
        scale="diverging",
        marks=tuple((int(a), int(b), int(c)) for a, b, c in new),
    )


def _relations(
    facts: dict[str, Any], names: Sequence[str], means: Sequence[Array], errors: Sequence[Array], threshold: float
) -> Table:
    """Of every model and each later one: are the heads of the one among the other's? Neighbours first."""
    neighbours = list(pairwise(range(len(names))))
    others = [(a, b) for a in range(len(names)) for b in range(a + 2, len(names))]
    rows: list[tuple[str | int, ...]] = []
    for a, b in (*neighbours, *others):
        found = subset(means[a], means[b], errors[a], errors[b], threshold)
        shared = found.smaller - int(found.missing.sum())
        missing = [(int(i), int(j)) for i, j in np.argwhere(found.missing)]
        told = ", ".join(f"{Head(*at)} {means[a][at]:.2f} -> {means[b][at]:.2f}" for at in missing)
        rows.append((names[a], names[b], found.verdict, found.smaller, found.larger, shared, told))
    chain = [str(row[2]) for row in rows[: len(neighbours)]]
    word = "holds" if set(chain) == {"holds"} else "does not hold" if "does not hold" in chain else "undecided"
    return Table(
        title="Are the heads that attend to the answer among the next model's?",
        summary=f"{' within '.join(names)}: {word} (threshold {threshold:g})",
        facts=facts
        | {"undecided": f"every exception is within {DOUBT:g} standard errors of the threshold in one of the models"},
        columns=(
            Column("heads of", "text"),
            Column("among those of", "text"),
            Column("verdict", "text", "", "holds, does not hold, or undecided: exceptions are close to the threshold"),
            Column("first", "int", "heads", "above the threshold"),
            Column("second", "int", "heads", "above the threshold"),
            Column("shared", "int", "heads"),
            Column("exceptions", "text", "", "heads above the threshold in the first model only: there -> here"),
        ),
        rows=tuple(rows),
    )


def _heads(
    facts: dict[str, Any], names: Sequence[str], means: Sequence[Array], errors: Sequence[Array], threshold: float
) -> Table:
    """Every head, the most attending (in any model) first."""
    stacked, doubt = np.stack(means), np.stack(errors)
    order = sorted(np.ndindex(*means[0].shape), key=lambda at: (-float(stacked[:, at[0], at[1]].max()), at))
    rows = []
    for at in order:
        here = stacked[:, at[0], at[1]]
        above = ", ".join(name for name, value in zip(names, here) if value > threshold)
        pairs = zip(here.tolist(), doubt[:, at[0], at[1]].tolist())
        rows.append((str(Head(*at)), *(number for pair in pairs for number in pair), above))
    count = int((stacked > threshold).any(0).sum())
    return Table(
        title="Heads by their attention to the answer",
        summary=f"{count} of {len(rows)} heads are above {threshold:g} in some model",
        facts=facts,
        columns=(
            Column("head", "text"),
            *(
                column
                for name in names
                for column in (
                    Column(name, "float", "attention weight", "mean over prompts"),
                    Column(f"± {name}", "float", "attention weight", "its standard error over prompts"),
                )
            ),
            Column("above", "text", "", f"models in which it is above {threshold:g}"),
        ),
        rows=tuple(rows),
    )


__all__ = ["AttentionToAnswer", "attention_to_answer"]
