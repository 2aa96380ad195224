"""Activation patching as an operation: heatmaps by layer and position or head. Loads without torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from msgspec import Meta

from engine.circuits.asking import Asked, Batch, MetricChoice, OnPrompts, ask, head_axis, layer_axis
from engine.circuits.interventions.effects import Direction, Effect, Effects, Report
from engine.circuits.interventions.measured import Measured
from engine.circuits.interventions.places import Places, Positions, places_of
from engine.circuits.reading.attention_operations import AttentionPatterns, with_positions
from engine.operations import Context, ModelRef, Params, PromptsRef
from sessions.artifacts import AnyArtifact, Array, Axis, Column, Matrix, Table
from sessions.errors import CallError

if TYPE_CHECKING:
    from engine.circuits.interventions.activation_patching import Patch
    from engine.circuits.runs import PromptRuns

MOST_ROWS = 1000  # of the table; the heatmap has all
SITES: dict[str, str] = {
    "resid_pre": "the residual stream that enters a layer",
    "attn_out": "what a layer's attention writes (b_O included)",
    "mlp_out": "what a layer's MLP writes",
    "z": "a head's z, its mixed values before W_O",
    "q": "a head's queries, before positions are rotated in",
    "k": "a head's keys, before positions are rotated in",
    "v": "a head's values",
    "pattern": "a head's attention pattern, after the softmax",
}

ReportChoice = Annotated[
    Report,
    Meta(description="the share of the way from one run to the other, the metric's change, or the metric itself"),
]


class OnPairs(Params, frozen=True, kw_only=True):
    """A model, and prompts with corrupt partners."""

    model: ModelRef
    prompts: PromptsRef
    metric: MetricChoice = "logit_diff"
    report: ReportChoice = "normalised"
    batch: Batch = 0


class ActivationPatching(OnPairs, frozen=True, kw_only=True):
    site: Annotated[
        Literal["resid_pre", "attn_out", "mlp_out", "z", "q", "k", "v", "pattern"],
        Meta(description="what is pasted: of a layer (resid_pre, attn_out, mlp_out) or of a head (the others)"),
    ] = "resid_pre"
    direction: Annotated[
        Direction,
        Meta(description="denoising: run corrupt, paste one clean activation; noising: run clean, paste a corrupt one"),
    ] = "denoising"
    positions: Annotated[
        Positions,
        Meta(
            description="paste at all positions at once, at each alone, or at each named one alone (of a pattern: its "
            "queries); auto: each for layers, all for heads"
        ),
    ] = "auto"


def asked_for_pairs(params: OnPairs, ctx: Context) -> Asked:
    """As `ask`, of prompts that must have corrupt partners."""
    return ask(
        OnPrompts(
            model=params.model, prompts=params.prompts, ablation="resample", metric=params.metric, batch=params.batch
        ),
        ctx,
    )


def pair_facts(asked: Asked, runs: PromptRuns, effects: Effects) -> dict[str, Any]:
    """The conditions of a patch. Nothing is ablated, so what `Asked.facts` says of that is left out."""
    known = asked.facts(runs)
    c = asked.model.config
    shared = bool(c.n_kv_heads) and c.n_kv_heads != c.n_heads
    groups = {"shared_keys_and_values": "each head's copy is patched alone"} if shared else {}
    return {k: v for k, v in known.items() if k not in ("ablation", "replacement", "sites")} | effects.facts() | groups


def activation_patching(params: ActivationPatching, ctx: Context) -> Sequence[AnyArtifact]:
    """The effect of every patch of a site: a heatmap and a table."""
    from engine.circuits.interventions.activation_patching import STREAM, Patch, corrupt_values
    from engine.circuits.interventions.activation_patching import activation_patching as patching

    asked = asked_for_pairs(params, ctx)
    c = asked.model.config
    if params.site == "mlp_out" and not c.d_mlp:
        raise CallError("this model has no MLPs", "site", "use resid_pre, attn_out or a site of its heads")
    heads = params.site not in STREAM
    positions: Positions = params.positions
    if positions == "auto":
        positions = "all" if heads else "each"
    rows = with_positions(ctx, AttentionPatterns(model=params.model, prompts=params.prompts)).rows
    places = places_of(positions, asked.model, rows, asked.batch)
    runs = asked.runs()
    effects = Effects(runs.clean.numpy(), corrupt_values(runs).numpy(), params.direction, params.report)
    patches = [
        Patch(layer, head, place)
        for layer in range(c.n_layers)
        for head in range(c.n_heads if heads else 1)
        for place in range(len(places.labels))
    ]
    number = {patch: unit for unit, patch in enumerate(patches)}
    measured = Measured(ctx, asked.voice, len(patches), runs)
    facts = pair_facts(asked, runs, effects) | {
        "sites": f"{params.site}: {SITES[params.site]}",
        "positions_patched": places.words,
    }
    measured.say(f"{len(patches)} patches x {runs.size} prompts")
    wanted = [[patches[unit] for unit in units] for units in measured.missing(range(len(patches)))]
    made = patching(
        runs,
        params.site,
        params.direction,
        wanted,
        places=places.at,
        variants=asked.sizes(runs.size).variants,
    )
    for patched in made:
        units = [number[patch] for patch in patched.patches]
        measured.take(units, patched.rows, patched.values.float().numpy())
        now = facts | measured.so_far(units[0])
        ctx.partial(_matrix(asked, params, now, places, effects, effects.of(measured.values)))
        measured.say(f"{params.site} of layer {patched.patches[0].layer}")
    found = effects.of(measured.values)
    return [
        _matrix(asked, params, facts, places, effects, found),
        _table(params, facts, places, effects, found, patches),
    ]


def _matrix(
    asked: Asked, params: ActivationPatching, facts: dict[str, Any], places: Places, effects: Effects, found: Effect
) -> Matrix:
    """layer x position, layer x head, or layer x head x position."""
    c, heads = asked.model.config, params.site in ("z", "q", "k", "v", "pattern")
    place = Axis("query" if params.site == "pattern" else "position", places.labels)
    axes = [layer_axis(asked.model)]
    if heads:
        axes.append(head_axis(asked.model))
    if places.at is not None or not heads:
        axes.append(place)
    unit = effects.unit(facts["unit"])
    return Matrix(
        title=f"Activation patching ({params.direction}) of {params.site}: {effects.title(facts['metric_title'])}",
        summary=_summary(params, facts, places, effects, found, c.n_heads if heads else 1),
        facts=facts,
        values=found.reported.astype(np.float32).reshape(
            [-1 if axis.name == "layer" else _size(axis) for axis in axes]
        ),
        axes=tuple(axes),
        unit=unit,
        scale=effects.scale,
    )


def _size(axis: Axis) -> int:
    return len(axis.labels)


def _summary(
    params: ActivationPatching, facts: dict[str, Any], places: Places, effects: Effects, found: Effect, heads: int
) -> str:
    if effects.undefined:
        return effects.undefined
    known = np.isfinite(found.difference)
    text = f"{int(known.sum())} of {known.size} patches"
    if known.any():
        best = int(np.nanargmax(np.abs(found.difference)))
        layer, rest = divmod(best, heads * len(places.labels))
        head, place = divmod(rest, len(places.labels))
        where = "" if places.at is None else f" at {places.names[place]}"
        amount = effects.said(float(found.reported[best]), facts["unit"])
        text += f"; strongest: {_name(params, layer, head)}{where} ({amount})"
    return f"{text}; clean {facts['m_clean']:.4g}, corrupt {facts['m_corrupt']:.4g} {facts['unit']}"


def _name(params: ActivationPatching, layer: int, head: int) -> str:
    match params.site:
        case "mlp_out":
            return f"mlp{layer}"
        case "resid_pre" | "attn_out":
            return f"{params.site} {layer}"
        case "z" | "pattern":
            return f"L{layer}H{head}"
        case _:
            return f"L{layer}H{head}.{params.site}"


def _table(
    params: ActivationPatching,
    facts: dict[str, Any],
    places: Places,
    effects: Effects,
    found: Effect,
    patches: Sequence[Patch],
) -> Table:
    """The strongest first."""
    order = np.argsort(-np.abs(found.difference), kind="stable")[:MOST_ROWS]
    names = places.names
    first = [_name(params, patches[i].layer, patches[i].head) for i in order[:3]]
    cut = f"; the {MOST_ROWS} strongest of {len(patches)}" if len(patches) > MOST_ROWS else ""
    return Table(
        title=f"Patches of {params.site} by their effect ({params.direction}, {facts['metric']})",
        summary=effects.undefined or f"strongest: {', '.join(first)}{cut}",
        facts=facts,
        columns=(
            Column("patched", "text", "", SITES[params.site]),
            Column("position", "text", "", places.words),
            *effect_columns(facts, effects),
        ),
        rows=tuple(
            (_name(params, patches[i].layer, patches[i].head), names[patches[i].place], *effect_cells(found, i))
            for i in order
        ),
    )


def effect_columns(facts: dict[str, Any], effects: Effects) -> tuple[Column, ...]:
    unit = facts["unit"]
    shown = effects.unit(unit)
    return (
        Column("effect", "float", shown, effects.words()),
        Column("standard error", "float", shown, "of the effect, over prompts"),
        Column("change", "float", unit, f"patched minus {'corrupt' if effects.direction == 'denoising' else 'clean'}"),
        Column(
            facts["metric"],
            "float",
            unit,
            f"with the patch; clean: {facts['m_clean']:.4g}, corrupt: {facts['m_corrupt']:.4g}; {facts['direction']}",
        ),
    )


def effect_cells(found: Effect, i: int) -> tuple[float | None, ...]:
    columns: tuple[Array, ...] = (found.reported, found.error, found.difference, found.metric)
    return tuple(None if np.isnan(column[i]) else float(column[i]) for column in columns)


__all__ = [
    "ActivationPatching",
    "OnPairs",
    "activation_patching",
    "asked_for_pairs",
    "effect_cells",
    "effect_columns",
    "pair_facts",
]
