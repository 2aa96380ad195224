"""What if these were gone? Chosen heads and MLPs ablated at once, as an operation. Loads without torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

from msgspec import Meta

from engine.circuits.asking import MetricName, OnPrompts, ask
from engine.circuits.interventions.named_parts import named_parts
from engine.models.protocols import answers_of
from engine.operations import Context
from sessions.artifacts import AnyArtifact, Column, Table
from sessions.components import Head, Mlp
from sessions.errors import CallError

if TYPE_CHECKING:
    from engine.circuits.asking import Asked
    from engine.models.protocols import TransformerConfig

OFTEN: tuple[MetricName, ...] = ("loss", "accuracy", "kl")  # reported beside the metric asked for


class WhatIf(OnPrompts, frozen=True, kw_only=True):
    components: Annotated[str, Meta(description="what to ablate at once, with commas: L0H1,mlp2")]
    row: Annotated[int, Meta(description="prompt whose next-token predictions are shown, from 1", ge=1)] = 1
    most: Annotated[int, Meta(description="prompts that the metrics are averaged over, at most", ge=1)] = 64
    top: Annotated[int, Meta(description="next tokens to show", ge=1, le=100)] = 10


def what_if(params: WhatIf, ctx: Context) -> Sequence[AnyArtifact]:
    """The metrics before and after the components are ablated at once, and how one prompt's next tokens change."""
    import torch

    from engine.circuits.judging.faithfulness import ablated_values, final_residual
    from engine.circuits.runs import at_positions

    asked = ask(params, ctx)
    c, n = asked.model.config, len(asked.batch.tokens)
    if params.row > n:
        raise CallError(f"there is no prompt {params.row}", "row", f"the set has {n}")
    gone = chosen(params.components, c)
    heads, mlps = torch.zeros(1, c.n_layers, c.n_heads, dtype=torch.bool), torch.zeros(1, c.n_layers, dtype=torch.bool)
    for part in gone:
        if isinstance(part, Head):
            heads[0, part.layer, part.head] = True
        else:
            mlps[0, part.layer] = True
    device = asked.model.device
    heads, mlps = heads.to(device), mlps.to(device)
    shown = list(range(min(n, params.most)))
    if params.row - 1 not in shown:
        shown[-1] = params.row - 1
    first = asked.runs(shown)
    names = (params.metric, *(name for name in OFTEN if name != params.metric))
    several = (first, *(asked.runs(shown, metric=name, like=first) for name in names[1:]))
    rows = []
    for runs, after in zip(several, ablated_values(several, heads, mlps)):
        clean, changed = float(runs.clean.double().mean()), float(after.double().mean())
        rows.append((runs.metric.title, clean, changed, changed - clean, runs.metric.unit, runs.metric.direction))
    label = ", ".join(str(part) for part in gone)
    facts = asked.facts(first) | {"components": [str(part) for part in gone], "row": params.row}
    place = shown.index(params.row - 1)
    index = next(i for i, chunk in enumerate(first.chunks) if chunk.rows.start <= place < chunk.rows.stop)
    within = place - first.chunks[index].rows.start
    cache, chunk = first.cache(index), first.chunks[index]
    clean_logits = first.logits(index, at_positions(cache.resid_pre[-1], chunk.at))[0, within, -1]
    logits = first.logits(index, final_residual(first, index, heads, mlps))[0, within, -1]
    p, q = clean_logits.softmax(-1), logits.softmax(-1)
    # the likeliest of either side, and of those the ones whose probability moves most
    most_likely = torch.cat([p.topk(min(params.top, len(p))).indices, q.topk(min(params.top, len(q))).indices])
    candidates = torch.unique(most_likely)
    ids = candidates[(q - p)[candidates].abs().argsort(descending=True)][: params.top].tolist()
    texts = answers_of(asked.model.tokenizer).token_texts(ids)
    before = f"the metric over {len(shown)} prompts"
    return [
        Table(
            title=f"What if {label} were gone ({params.ablation})",
            summary=f"{first.metric.name} {rows[0][1]:.4g} -> {rows[0][2]:.4g} over {len(shown)} prompts",
            facts=facts,
            columns=(
                Column("metric", "text"),
                Column("before", "float", "", f"{before}, nothing ablated"),
                Column("after", "float", "", f"{before}, with {label} ablated"),
                Column("change", "float"),
                Column("unit", "text"),
                Column("better", "text"),
            ),
            rows=tuple(rows),
        ),
        Table(
            title=f"Next tokens of prompt {params.row} without {label}",
            summary=f"{_top(asked, p)} -> {_top(asked, q)}",
            facts=facts | {"tokens_shown": "the likeliest before or after, by how much their probability moves"},
            columns=(
                Column("token", "text"),
                Column("before", "float", "probability"),
                Column("after", "float", "probability"),
                Column("change", "float", "probability"),
                Column("logit change", "float", "logits"),
            ),
            rows=tuple(
                (text, float(p[i]), float(q[i]), float(q[i] - p[i]), float(logits[i] - clean_logits[i]))
                for i, text in zip(ids, texts)
            ),
        ),
    ]


def _top(asked: Asked, p: Any) -> str:
    best = int(p.argmax())
    return f"'{answers_of(asked.model.tokenizer).token_texts([best])[0]}' ({float(p[best]):.0%})"


def chosen(text: str, config: TransformerConfig) -> tuple[Head | Mlp, ...]:
    """The heads and MLPs that a person named. CallError when there is none, or not in this model."""
    example = "name heads and MLPs: L0H1,mlp2"
    found: list[Head | Mlp] = []
    for part in named_parts(text, config, "components", example):
        if not isinstance(part, Head | Mlp) or (isinstance(part, Head) and part.input):
            raise CallError(f"'{part}' cannot be ablated here", "components", example)
        found.append(part)
    return tuple(found)


__all__ = ["WhatIf", "chosen", "what_if"]
