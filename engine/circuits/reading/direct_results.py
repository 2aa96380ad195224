"""What direct effects are shown as: heatmaps, the table by size, prompts, source tokens. Loads without torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.circuits.asking import head_axis, layer_axis
from engine.circuits.reading.attention_operations import token_labels
from sessions.artifacts import Array, Axis, Column, Matrix, PromptRow, Table

if TYPE_CHECKING:
    from engine.models.protocols import TransformerModel
    from engine.prompts.tokenized import TokenBatch


def heatmaps(
    model: TransformerModel, facts: dict[str, Any], names: Sequence[str], mean: Array, over: str
) -> list[Matrix]:
    """Heads as layer x head, MLPs as layer x 1."""
    c, place = model.config, {name: i for i, name in enumerate(names)}
    found = []
    for what, axis in (("head", head_axis(model)), ("mlp", Axis("mlp", ("mlp",)))):
        if what == "mlp" and not c.d_mlp:
            continue
        values = np.array(
            [
                [mean[place[f"L{layer}H{i}" if what == "head" else f"mlp{layer}"]] for i in range(len(axis.labels))]
                for layer in range(c.n_layers)
            ],
            np.float32,
        )
        layer, i = np.unravel_index(int(np.abs(values).argmax()), values.shape)
        largest = f"L{layer}H{i}" if what == "head" else f"mlp{layer}"
        found.append(
            Matrix(
                title=f"Direct effect of every {'head' if what == 'head' else 'MLP'} on the logit difference",
                summary=f"{over}: largest {largest} with {values[layer, i]:+.3g} of {facts['clean']:.3g} logits",
                facts=facts,
                values=values,
                axes=(layer_axis(model), axis),
                unit="logits",
                scale="diverging",
            )
        )
    return found


def table(facts: dict[str, Any], names: Sequence[str], effects: Array, over: str) -> Table:
    n, mean = len(effects), effects.mean(0)
    errors = effects.std(0, ddof=1) / np.sqrt(n) if n > 1 else None
    whole = facts["clean"]
    order = sorted(range(len(names)), key=lambda i: -abs(mean[i]))
    rows: list[tuple[str | float | None, ...]] = [
        (
            names[i],
            float(mean[i]),
            None if errors is None else float(errors[i]),
            float(mean[i] / whole) if whole else None,
            float((effects[:, i] > 0).mean()),
        )
        for i in order
    ]
    rows.append(("sum", float(mean.sum()), None, float(mean.sum() / whole) if whole else None, None))
    return Table(
        title=f"Direct effects on the logit difference, {over}",
        summary=f"largest: {', '.join(f'{names[i]} {mean[i]:+.3g}' for i in order[:3])}; they sum to "
        f"{mean.sum():.4g}, the model's logit difference is {whole:.4g}",
        facts=facts,
        columns=(
            Column("component", "text"),
            Column("effect", "float", "logits", facts["sign"]),
            Column("standard error", "float", "logits", "over prompts"),
            Column("share", "float", "", "of the logit difference"),
            Column("positive", "float", "", "share of the prompts on which it raises the answer over the foil"),
        ),
        rows=tuple(rows),
    )


def by_prompt(facts: dict[str, Any], names: Sequence[str], effects: Array, numbers: Sequence[int]) -> Matrix:
    spread = effects.std(0)
    return Matrix(
        title="Direct effects prompt by prompt",
        summary=f"{len(numbers)} prompts x {len(names)} components; {names[int(spread.argmax())]} differs most",
        facts=facts,
        values=effects.astype(np.float32),
        axes=(Axis("prompt", tuple(str(number) for number in numbers)), Axis("component", tuple(names))),
        unit="logits",
        scale="diverging",
    )


SOURCES = "A[q, j] (v_j W_O) . direction: which token j the head's effect comes from; over j they sum to the head's"


def by_source(
    model: TransformerModel,
    facts: dict[str, Any],
    rows: Sequence[PromptRow],
    batch: TokenBatch,
    values: Array,
    over: str,
) -> Matrix:
    c = model.config
    heads = tuple(f"L{layer}H{head}" for layer in range(c.n_layers) for head in range(c.n_heads))
    flat = values.reshape(len(heads), -1).astype(np.float32)
    labels = token_labels(model, rows, batch, "clean")
    row, column = np.unravel_index(int(np.abs(flat).argmax()), flat.shape)
    source = labels[column] if labels else str(column)
    return Matrix(
        title="Direct effects of heads by source token",
        summary=f"{over}: largest {heads[row]} from '{source}' with {flat[row, column]:+.3g} logits",
        facts=facts | {"by_source": SOURCES},
        values=flat,
        axes=(Axis("component", heads), Axis("source", labels)),
        unit="logits",
        scale="diverging",
    )


def of_head(
    model: TransformerModel,
    facts: dict[str, Any],
    rows: Sequence[PromptRow],
    batch: TokenBatch,
    values: Array,
    chosen: tuple[int, int],
    numbers: Sequence[int],
) -> Matrix:
    name = f"L{chosen[0]}H{chosen[1]}"
    shown = values.astype(np.float32)
    for row, length in enumerate(batch.lengths.tolist()):
        shown[row, length:] = np.nan
    total = values.sum(1)
    return Matrix(
        title=f"Direct effect of {name} by source token",
        summary=f"{name} adds {total.mean():+.3g} logits, mean of {len(numbers)} prompts"
        if len(numbers) > 1
        else f"{name} adds {total[0]:+.3g} logits on prompt {numbers[0]}",
        facts=facts | {"by_source": SOURCES, "head": name},
        values=shown,
        axes=(
            Axis("prompt", tuple(str(number) for number in numbers)),
            Axis("source", token_labels(model, rows, batch, "clean")),
        ),
        unit="logits",
        scale="diverging",
    )


__all__ = ["by_prompt", "by_source", "heatmaps", "of_head", "table"]
