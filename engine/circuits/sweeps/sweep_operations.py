"""The head sweep as an operation: progress, partial heatmaps, checkpoints, results. Loads without torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import numpy as np
from msgspec import Meta

from engine.circuits.asking import Asked, OnPrompts, ask, head_axis, layer_axis
from engine.operations import Context
from sessions.artifacts import AnyArtifact, Array, Axis, Column, Matrix, Table
from sessions.components import Head, Mlp

if TYPE_CHECKING:
    from engine.circuits.runs import PromptRuns
    from engine.circuits.sweeps.head_values import HeadValues
    from engine.models.protocols import TransformerModel

ScreenChoice = Annotated[
    Literal["off", "bf16", "auto"],
    Meta(description="try in bfloat16 first, and again exactly what that could decide wrongly; auto: where it is fast"),
]


class HeadSweep(OnPrompts, frozen=True, kw_only=True):
    mlps: Annotated[bool, Meta(description="ablate every MLP as well")] = True
    top: Annotated[
        int, Meta(description="how many heads are marked as mattering: those of the largest change", ge=0)
    ] = 10
    matters: Annotated[
        float,
        Meta(description="mark instead every head whose ablation changes the metric by more than this; 0: top", ge=0),
    ] = 0.0
    screen: ScreenChoice = "off"


def head_sweep(params: HeadSweep, ctx: Context) -> Sequence[AnyArtifact]:
    """Every head and MLP ablated alone: a heatmap of what each is worth, and a table sorted by it."""
    from engine.circuits.sweeps.screening import screening_model

    asked = ask(params, ctx)
    through, why = screening_model(asked.model, params.screen)
    runs = asked.runs()
    rule = Rule(params.top, params.matters)
    facts = asked.facts(runs) | {"screen": why}
    return swept(ctx, asked, runs, facts, mlps=params.mlps, rule=rule, through=through)


class Rule(NamedTuple):
    """Which heads are marked as mattering."""

    top: int = 0
    matters: float = 0.0

    def chosen(self, sizes: Array) -> Array:
        """Of heads with effects of those sizes, which matter. Of equal ones, the first."""
        if self.matters > 0:
            return np.asarray(sizes > self.matters)
        chosen = np.zeros(len(sizes), bool)
        chosen[np.argsort(-sizes, kind="stable")[: self.top]] = True
        return chosen

    def undecided(self, sizes: Array, bounds: Array) -> Array:
        """Which of them may turn out on either side, their sizes being known to within those bounds."""
        from engine.circuits.sweeps.screening import undecided_rank

        if self.matters > 0:
            return np.asarray(np.abs(sizes - self.matters) <= bounds)
        return undecided_rank(sizes, bounds, self.top)

    @property
    def words(self) -> str:
        if self.matters > 0:
            return f"the heads whose ablation changes the metric by more than {self.matters:g}"
        return f"the {self.top} heads of the largest change" if self.top else "none"


def swept(
    ctx: Context,
    asked: Asked,
    runs: PromptRuns,
    known: dict[str, Any],
    *,
    mlps: bool,
    rule: Rule | None = None,
    through: TransformerModel | None = None,
) -> Sequence[AnyArtifact]:
    """The sweep with whatever `runs` puts in a component's place; `known` are its facts, `ablation` names it.

    `through` screens: see `head_values`.
    """
    from engine.circuits.sweeps.head_sweep import components_of
    from engine.circuits.sweeps.head_values import HeadValues
    from engine.circuits.sweeps.screening import sample_of

    c, rule = asked.model.config, rule or Rule()
    order = components_of(c.n_layers, c.n_heads, mlps=mlps and c.d_mlp > 0)
    found = HeadValues(ctx, runs, order, asked.sizes(runs.size).variants)
    asked.say(found.done, len(order) * runs.size, f"{len(order)} components x {runs.size} prompts")
    facts = known | {"sign": "ablated minus clean", "marked": rule.words}
    if through is None:
        batches = found.measure(np.ones(len(order), bool))
    else:
        sample = sample_of(int(found.heads.sum()), c.n_heads)
        batches = found.screened(through, sample, rule.undecided)
    place = {part: index for index, part in enumerate(order)}
    for batch in batches:
        if isinstance(batch.first, Head):
            seen = int(np.isfinite(found.values[place[batch.first]]).sum())
            so_far = facts | {"n": f"{seen} of {runs.size} so far"} if seen < runs.size else facts
            ctx.partial(_matrix(asked, so_far, _effects_so_far(runs, order, found.values), order, Head))
        span = f"{batch.first} to {batch.last}" if batch.first != batch.last else str(batch.first)
        asked.say(batch.done, batch.total, span)
    facts |= _screened_facts(found) if through is not None else {}
    effects = _effects(runs, order, found.values)
    marked = _marked(rule, order, effects)
    results: list[AnyArtifact] = [_matrix(asked, facts, effects, order, Head, marked)]
    if any(isinstance(component, Mlp) for component in order):
        results.append(_matrix(asked, facts, effects, order, Mlp))
    results.append(_ranking(runs, facts, order, found.values, marked, found.is_rough))
    return results


def _screened_facts(found: HeadValues) -> dict[str, Any]:
    from engine.circuits.sweeps.screening import SAFETY

    heads = found.exact[found.heads]
    again = int(np.isfinite(heads).all(1).sum())
    return {
        "screen_error": found.error,
        "screen_bound": SAFETY * found.error,
        "screen_words": f"{len(heads) - again} heads are given as screened in bfloat16, off by {found.error:.2g} at "
        f"most where both formats were done ({again} heads); whatever {SAFETY:g} times that could have put on the "
        "wrong side of the mark was done again",
        "heads_screened": len(heads) - again,
        "heads_recomputed": again,
    }


def _marked(rule: Rule, order: Sequence[Head | Mlp], effects: dict[Head | Mlp, float]) -> frozenset[Head | Mlp]:
    heads = [part for part in order if isinstance(part, Head)]
    chosen = rule.chosen(np.abs([effects[part] for part in heads]))
    return frozenset(part for part, is_in in zip(heads, chosen) if is_in)


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
    asked: Asked,
    facts: dict[str, Any],
    effects: dict[Head | Mlp, float],
    order: Sequence[Head | Mlp],
    kind: type,
    marked: frozenset[Head | Mlp] = frozenset(),
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
        marks=tuple((part.layer, part.head) for part in sorted(marked) if isinstance(part, Head)),
    )


def _ranking(
    runs: PromptRuns,
    facts: dict[str, Any],
    order: Sequence[Head | Mlp],
    values: Array,
    marked: frozenset[Head | Mlp],
    rough: Array,
) -> Table:
    """Most missed first."""
    clean = runs.clean.double().cpu().numpy()
    changes = values.astype(np.float64) - clean
    n = changes.shape[1]
    errors = changes.std(1, ddof=1) / np.sqrt(n) if n > 1 else np.full(len(order), np.nan)
    drops = [runs.metric.performance(float(change)) for change in changes.mean(1)]
    rows = tuple(
        (
            str(order[i]),
            float(changes[i].mean()),
            _known(errors[i]),
            float(values[i].mean(dtype=np.float64)),
            order[i] in marked,
            bool(rough[i]),
        )
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
            Column("marked", "bool", "", facts["marked"]),
            Column("screened", "bool", "", "the values are those of the screening copy of the model, and less exact"),
        ),
        rows=rows,
    )


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


__all__ = ["HeadSweep", "Rule", "ScreenChoice", "head_sweep", "swept"]
