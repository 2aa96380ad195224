"""How well models answer with nothing ablated, as an operation: the seed study's first table. Loads without torch.

NLL is -log p(answer) (the study's column "Log Prob"), Frac correct the share of prompts where the answer is the
likeliest of all tokens, Logit diff the answer's logit less the foil's (c - b).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import numpy as np
from msgspec import Meta

from engine.circuits.across.intervals import WILSON, are_hits, wilson
from engine.circuits.across.naming import distinct, the_models, the_sets
from engine.circuits.asking import Batch, MetricName, OnPrompts, ask, conditions
from engine.operations import Context, ModelRefs, Params, PromptsRefs
from sessions.artifacts import AnyArtifact, Array, Column, Prompts, Table

MEASURED: tuple[MetricName, ...] = ("loss", "accuracy", "logit_diff")


class Baselines(Params, frozen=True, kw_only=True):
    models: Annotated[ModelRefs, Meta(description="models, before and after: @ID,@ID or sources")]
    prompts: Annotated[PromptsRefs, Meta(description="sets of prompts: @ID,@ID")]
    templates: Annotated[bool, Meta(description="every template of a set in a row of its own as well")] = False
    batch: Batch = 0


def baselines(params: Baselines, ctx: Context) -> Sequence[AnyArtifact]:
    """Every model on every set of prompts: loss, accuracy and logit difference."""
    models, sets = the_models(ctx, params.models), the_sets(ctx, params.prompts)
    names = distinct([model.title for model in models], params.models)
    titles = distinct([prompts.title for prompts in sets], params.prompts)
    saved = ctx.checkpoints()
    facts: dict[str, Any] = {
        "NLL": "-log p(answer), nats, mean over prompts (scored positions of a prompt first)",
        "Frac correct": "the answer is the likeliest of the whole vocabulary",
        "Logit diff": "logit of the answer - logit of the foil (c - b); of several of either, their means",
        "ablation": "none",
        "interval": f"{WILSON} of Frac correct; none where a prompt has several scored positions",
        "models": list(params.models),
        "sets": list(params.prompts),
        "weights": {},
    }
    rows: list[tuple[str | int | float | None, ...]] = []
    total, done = len(models) * sum(len(prompts.rows) for prompts in sets), 0
    for i, (ref, name) in enumerate(zip(params.models, names)):
        for j, (which, prompts, title) in enumerate(zip(params.prompts, sets, titles)):
            unit = f"{i}:{j}"
            ctx.progress(done, total, f"{name} on {title}")
            if unit not in saved:
                asked_for = OnPrompts(model=ref, prompts=which, metric="loss", batch=params.batch)
                saved[unit] = _measured(asked_for, prompts, ctx, done, total, f"{name} on {title}")
                ctx.checkpoint(unit, saved[unit])
            done += len(prompts.rows)
            held = saved[unit]
            values: dict[str, Array] = {each: np.asarray(held[each]) for each in MEASURED if each in held}
            facts["weights"] |= {name: held["weights"]}
            rows += _rows(name, title, prompts, values, templates=params.templates)
            if done < total:
                ctx.partial(_table(facts, rows, templates=params.templates, models=i + 1, sets=len(sets)))
    ctx.progress(total, total, "baselines")
    return [_table(facts, rows, templates=params.templates, models=len(models), sets=len(sets))]


def _measured(params: OnPrompts, prompts: Prompts, ctx: Context, done: int, total: int, note: str) -> dict[str, Any]:
    """Each metric per prompt. The logit difference only where every prompt has a foil."""
    metrics = MEASURED if _have_foils(prompts) else MEASURED[:2]
    asked = ask(params, ctx, metrics=metrics)
    n = len(prompts.rows)
    step = asked.sizes(n).prompts  # so that one pass serves all metrics before the next prompts need the memory
    parts: dict[str, list[Array]] = {name: [] for name in metrics}
    for start in range(0, n, step):
        asked.say(done + start, total, note)
        rows = slice(start, min(n, start + step))
        runs = asked.runs(rows)
        for name in metrics:
            each = runs if name == params.metric else asked.runs(rows, metric=name, like=runs)
            parts[name].append(each.clean.float().numpy())
    found: dict[str, Any] = {name: np.concatenate(values) for name, values in parts.items()}
    return found | {"weights": conditions(asked.model, prompts)["weights"]}


def _have_foils(prompts: Prompts) -> bool:
    return all(row.foils or (row.scored_from is not None and row.corrupt) for row in prompts.rows)


def _rows(
    model: str, title: str, prompts: Prompts, values: Mapping[str, Array], *, templates: bool
) -> list[tuple[str | int | float | None, ...]]:
    """One row for the set, and with `templates` one for each of its templates, in the order they first occur."""
    if not templates:
        return [(model, title, *_numbers(values))]
    groups = [row.group or "-" for row in prompts.rows]
    found = [(model, title, "all", *_numbers(values))]
    for group in dict.fromkeys(groups):
        here = np.array([one == group for one in groups])
        found.append((model, title, group, *_numbers({name: each[here] for name, each in values.items()})))
    return found


def _numbers(values: Mapping[str, Array]) -> tuple[int | float | None, ...]:
    hits = values["accuracy"].astype(np.float64)
    low, high = wilson(float(hits.sum()), len(hits)) if are_hits(hits) else (None, None)
    loss = float(values["loss"].astype(np.float64).mean())
    difference = float(values["logit_diff"].astype(np.float64).mean()) if "logit_diff" in values else None
    return (loss, float(hits.mean()), difference, len(hits), low, high)


def _table(facts: dict[str, Any], rows: Sequence[tuple[Any, ...]], *, templates: bool, models: int, sets: int) -> Table:
    whole = [row for row in rows if not templates or row[2] == "all"]
    best = max(whole, key=lambda row: row[-5]) if whole else None
    words = f"; most often right: {best[0]} on {best[1]} ({best[-5]:.3f})" if best else ""
    return Table(
        title="Baselines",
        summary=f"{models} model{'s' * (models != 1)} on {sets} set{'s' * (sets != 1)} of prompts{words}",
        facts=dict(facts),
        columns=(
            Column("model", "text"),
            Column("set", "text"),
            *([Column("template", "text", "", "what the prompts were written from")] if templates else []),
            Column("NLL", "float", "nats", "-log p(answer), lower is better; the seed study's column Log Prob"),
            Column("Frac correct", "float", "fraction", "argmax over the whole vocabulary"),
            Column("Logit diff", "float", "logits", "answer - foil (c - b)"),
            Column("n", "int", "prompts"),
            Column("low", "float", "fraction", f"of Frac correct: {WILSON}"),
            Column("high", "float", "fraction", f"of Frac correct: {WILSON}"),
        ),
        rows=tuple(rows),
    )


__all__ = ["Baselines", "baselines"]
