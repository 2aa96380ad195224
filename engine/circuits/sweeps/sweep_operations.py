"""The head sweep as an operation: progress, partial heatmaps, checkpoints, results. Loads without torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from msgspec import Meta

from engine.circuits.asking import Asked, OnPrompts, ask, head_axis, layer_axis
from engine.operations import Context
from sessions.artifacts import AnyArtifact, Array, Axis, Column, Matrix, Table
from sessions.components import Head, Mlp, parse_component

if TYPE_CHECKING:
    from engine.circuits.runs import PromptRuns


class HeadSweep(OnPrompts, frozen=True, kw_only=True):
    mlps: Annotated[bool, Meta(description="ablate every MLP as well")] = True


def head_sweep(params: HeadSweep, ctx: Context) -> Sequence[AnyArtifact]:
    """Every head and MLP ablated alone: a heatmap of what each is worth, and a table sorted by it."""
    asked = ask(params, ctx)
    runs = asked.runs()
    return swept(ctx, asked, runs, asked.facts(runs), mlps=params.mlps)


def swept(ctx: Context, asked: Asked, runs: PromptRuns, known: dict[str, Any], *, mlps: bool) -> Sequence[AnyArtifact]:
    """The sweep with whatever `runs` puts in a component's place; `known` are its facts, `ablation` names it."""
    from engine.circuits.sweeps.head_sweep import components_of
    from engine.circuits.sweeps.head_sweep import head_sweep as sweep

    c = asked.model.config
    order = components_of(c.n_layers, c.n_heads, mlps=mlps and c.d_mlp > 0)
    place = {component: index for index, component in enumerate(order)}
    values = np.full((len(order), runs.size), np.nan, np.float32)
    for saved in ctx.checkpoints().values():
        at = [place[component] for text in saved["components"] if (component := _part(text)) in place]
        values[at, saved["start"] : saved["stop"]] = saved["values"]
    wanted = [[part for part, row in zip(order, values[:, chunk.rows]) if np.isnan(row).any()] for chunk in runs.chunks]
    asked.say(int(np.isfinite(values).sum()), values.size, f"{len(order)} components x {runs.size} prompts")
    facts = known | {"sign": "ablated minus clean"}
    for swept in sweep(runs, wanted, variants=asked.sizes(runs.size).variants):
        found = swept.values.float().cpu().numpy()
        first, last, rows = swept.components[0], swept.components[-1], swept.rows
        values[[place[component] for component in swept.components], rows] = found
        ctx.checkpoint(
            f"{first}-{last}:{rows.start}-{rows.stop}",
            {
                "components": [str(component) for component in swept.components],
                "start": rows.start,
                "stop": rows.stop,
                "values": found,
            },
        )
        if isinstance(first, Head):
            seen = int(np.isfinite(values[place[first]]).sum())
            so_far = facts | {"n": f"{seen} of {runs.size} so far"} if seen < runs.size else facts
            ctx.partial(_matrix(asked, so_far, _effects_so_far(runs, order, values), order, Head))
        asked.say(int(np.isfinite(values).sum()), values.size, f"{first} to {last}" if first != last else str(first))
    effects = _effects(runs, order, values)
    results: list[AnyArtifact] = [_matrix(asked, facts, effects, order, Head)]
    if any(isinstance(component, Mlp) for component in order):
        results.append(_matrix(asked, facts, effects, order, Mlp))
    results.append(_ranking(runs, facts, order, values))
    return results


def _part(text: str) -> Head | Mlp:
    component = parse_component(text)
    assert isinstance(component, Head | Mlp)
    return component


def _effects(runs: PromptRuns, order: Sequence[Head | Mlp], values: Array) -> dict[Head | Mlp, float]:
    """The mean change from the clean run per component; NaN until all prompts are done."""
    clean = float(runs.clean.double().mean())
    return {part: float(mean) - clean for part, mean in zip(order, values.astype(np.float64).mean(1))}


def _effects_so_far(runs: PromptRuns, order: Sequence[Head | Mlp], values: Array) -> dict[Head | Mlp, float]:
    """As `_effects`, over the prompts that each component has been ablated on; NaN where there is none yet."""
    clean = runs.clean.double().cpu().numpy()
    seen = np.isfinite(values)
    return {
        part: float((row[done].astype(np.float64) - clean[done]).mean()) if done.any() else float("nan")
        for part, row, done in zip(order, values, seen)
    }


def _matrix(
    asked: Asked, facts: dict[str, Any], effects: dict[Head | Mlp, float], order: Sequence[Head | Mlp], kind: type
) -> Matrix:
    """Heads as layer x head, MLPs as layer x 1."""
    c, heads = asked.model.config, kind is Head
    values = np.full((c.n_layers, c.n_heads if heads else 1), np.nan, np.float32)
    for part in order:
        if isinstance(part, kind):
            values[part.layer, part.head if isinstance(part, Head) else 0] = effects[part]
    what = "head" if heads else "MLP"
    known = {str(part): effect for part, effect in effects.items() if isinstance(part, kind) and effect == effect}
    summary = f"{len(known)} of {values.size} {what}s ablated one by one"
    if known:
        worst = (min if facts["direction"].startswith("higher") else max)(known, key=lambda part: known[part])
        summary += f"; {worst} matters most ({known[worst]:+.3g} {facts['unit']})"
    return Matrix(
        title=f"{what} ablation ({facts['ablation']}): change in {facts['metric_title']}",
        summary=summary,
        facts=facts,
        values=values,
        axes=(layer_axis(asked.model), head_axis(asked.model) if heads else Axis("mlp", ("mlp",))),
        unit=facts["unit"],
        scale="diverging",
    )


def _ranking(runs: PromptRuns, facts: dict[str, Any], order: Sequence[Head | Mlp], values: Array) -> Table:
    """Most missed first."""
    clean = runs.clean.double().cpu().numpy()
    changes = values.astype(np.float64) - clean
    n = changes.shape[1]
    errors = changes.std(1, ddof=1) / np.sqrt(n) if n > 1 else np.full(len(order), np.nan)
    drops = [runs.metric.performance(float(change)) for change in changes.mean(1)]
    rows = tuple(
        (str(order[i]), float(changes[i].mean()), _known(errors[i]), float(values[i].mean(dtype=np.float64)))
        for i in sorted(range(len(order)), key=lambda i: drops[i])
    )
    unit = facts["unit"]
    return Table(
        title=f"Components by what their ablation costs ({facts['ablation']}, {facts['metric']})",
        summary=f"most missed: {', '.join(str(row[0]) for row in rows[:3])}; {facts['direction']}",
        facts=facts,
        columns=(
            Column("component", "text", help="head or MLP that was ablated"),
            Column("change", "float", unit, "ablated minus clean, mean over prompts"),
            Column("standard error", "float", unit, "of the change, over prompts"),
            Column(facts["metric"], "float", unit, f"with the component ablated; clean: {facts['clean']:.4g}"),
        ),
        rows=rows,
    )


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


__all__ = ["HeadSweep", "head_sweep", "swept"]
