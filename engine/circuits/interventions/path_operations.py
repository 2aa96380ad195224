"""Path patching as an operation: which senders reach the metric through the receivers named. Loads without torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from msgspec import Meta

from engine.circuits.asking import Asked, head_axis, layer_axis
from engine.circuits.interventions.activation_operations import (
    OnPairs,
    asked_for_pairs,
    effect_cells,
    effect_columns,
    pair_facts,
)
from engine.circuits.interventions.effects import Effect, Effects
from engine.circuits.interventions.measured import Measured
from engine.circuits.interventions.named_parts import named_parts
from engine.operations import Context
from sessions.artifacts import AnyArtifact, Axis, Column, Matrix, Table
from sessions.components import Embed, Head, Logits, Mlp
from sessions.errors import CallError

if TYPE_CHECKING:
    from engine.circuits.interventions.path_patching import Receivers, Sender
    from engine.models.protocols import TransformerConfig

RECEIVE = "name logits, or inputs of heads and MLPs: L5H1.q,L5H3.v,mlp4"
SEND = "use heads, all, or names: L1H2,mlp0,embed"


class PathPatching(OnPairs, frozen=True, kw_only=True):
    receivers: Annotated[
        str,
        Meta(description="what senders must act through: logits, or L5H1.q,L5H3.v,mlp4 (L5H1 is its q, k and v)"),
    ] = "logits"
    senders: Annotated[
        str,
        Meta(
            description="heads: each head in turn; all: the embeddings and MLPs too; or some of them: L1H2,mlp0,embed"
        ),
    ] = "heads"
    together: Annotated[bool, Meta(description="send all senders at once: one number, no heatmap")] = False
    mlps: Annotated[
        Literal["recomputed", "frozen"],
        Meta(
            description="MLPs between sender and receivers: recomputed (the effect passes through them), or frozen to "
            "clean (direct paths only)"
        ),
    ] = "recomputed"


def path_patching(params: PathPatching, ctx: Context) -> Sequence[AnyArtifact]:
    """What each sender does to the metric through the receivers alone: a heatmap of heads and a table."""
    from engine.circuits.interventions.activation_patching import corrupt_values
    from engine.circuits.interventions.path_patching import comes_before
    from engine.circuits.interventions.path_patching import path_patching as patching

    config = ctx.transformer(params.model).config
    receivers, through = _receivers(params.receivers, config)
    every = _senders(params.senders, config)
    sets: list[tuple[Sender, ...]] = [every] if params.together else [(sender,) for sender in every]
    parallel = config.parallel_attn_mlp
    early = [n for n, some in enumerate(sets) if any(comes_before(s, receivers, parallel=parallel) for s in some)]
    if not early:
        raise CallError(f"none of the senders comes before {through}", "senders", "the embeddings do: senders=all")
    asked = asked_for_pairs(params, ctx)
    runs = asked.runs()
    effects = Effects(runs.clean.numpy(), corrupt_values(runs).numpy(), "noising", params.report)
    measured = Measured(ctx, asked.voice, len(sets), runs)
    facts = pair_facts(asked, runs, effects) | {
        "patching": "path patching: senders := corrupt, other heads frozen to clean; the receivers' inputs this gives "
        "go into a clean run, in which all else is recomputed",
        "receivers": through,
        "senders": params.senders + (", together" if params.together else ", one at a time"),
        "mlps": _mlps_words(params, config),
        "positions_patched": "all positions at once",
        "differs_from": "edge patching, where nothing between source and target is recomputed",
    }
    if len(early) < len(sets):
        facts["after_the_receivers"] = f"{len(sets) - len(early)} senders: no effect by definition, not run"
        rest = [n for n in range(len(sets)) if n not in set(early)]
        measured.values[rest] = runs.clean.numpy()
    measured.say(f"{len(early)} senders x {runs.size} prompts, through {through}")
    made = patching(
        runs,
        receivers,
        sets,
        measured.missing(early),
        mlps=params.mlps,
        variants=asked.sizes(runs.size).variants,
    )
    heads = not params.together and any(isinstance(sender, Head) for sender in every)
    for patched in made:
        measured.take(patched.senders, patched.rows, patched.values.float().numpy())
        if heads:
            now = facts | measured.so_far(patched.senders[0])
            ctx.partial(_matrix(asked, now, effects, effects.of(measured.values), every, Head))
        measured.say(f"{_joined(sets[patched.senders[0]])} -> {through}")
    found = effects.of(measured.values)
    results: list[AnyArtifact] = []
    if heads:
        results.append(_matrix(asked, facts, effects, found, every, Head))
    if not params.together and any(isinstance(sender, Mlp) for sender in every):
        results.append(_matrix(asked, facts, effects, found, every, Mlp))
    results.append(_table(facts, effects, found, sets, early))
    return results


def _receivers(text: str, config: TransformerConfig) -> tuple[Receivers, str]:
    """What receives, and its name."""
    from engine.circuits.interventions.path_patching import receivers_of

    parts = named_parts(text, config, "receivers", RECEIVE)
    wanted: list[Head | Mlp | Logits] = []
    for part in parts:
        if isinstance(part, Embed):
            raise CallError("the embeddings read nothing and cannot receive", "receivers", RECEIVE)
        wanted.append(part)
    if len(wanted) > 1 and Logits() in wanted:
        raise CallError(
            "the logits can only receive alone: once what they read is set, nothing else reaches them",
            "receivers",
            "name the logits, or heads and MLPs",
        )
    return receivers_of(wanted), _joined(wanted)


def _senders(text: str, config: TransformerConfig) -> tuple[Sender, ...]:
    """The senders in the order in which they compute."""
    word = text.strip().lower()
    heads = [Head(layer, head) for layer in range(config.n_layers) for head in range(config.n_heads)]
    some: list[Sender] = list(heads)
    if word == "all":
        some = [Embed(), *heads, *(Mlp(layer) for layer in range(config.n_layers) if config.d_mlp)]
    elif word != "heads":
        some = []
        for part in named_parts(text, config, "senders", SEND):
            if isinstance(part, Logits):
                raise CallError("the logits are the end and cannot send", "senders", SEND)
            if isinstance(part, Head) and part.input:
                raise CallError(f"'{part}' is an input; a head sends its output", "senders", SEND)
            some.append(part)
    return tuple(sorted(some, key=_place))


def _place(sender: Sender) -> tuple[int, int, int]:
    match sender:
        case Head(layer=layer, head=head):
            return layer, 0, head
        case Mlp(layer=layer):
            return layer, 1, 0
        case Embed():
            return -1, 0, 0


def _mlps_words(params: PathPatching, config: TransformerConfig) -> str:
    if not config.d_mlp:
        return "the model has none"
    if params.mlps == "frozen":
        return "frozen to clean: direct paths only"
    return "recomputed: the effect passes through those between sender and receivers"


def _joined(parts: Sequence[object]) -> str:
    return ", ".join(map(str, parts))


def _matrix(
    asked: Asked, facts: dict[str, Any], effects: Effects, found: Effect, senders: Sequence[Sender], kind: type
) -> Matrix:
    """Heads as layer x head, MLPs as layer x 1; NaN where a component is no sender."""
    c, heads = asked.model.config, kind is Head
    values = np.full((c.n_layers, c.n_heads if heads else 1), np.nan, np.float32)
    for sender, effect in zip(senders, found.reported):
        if isinstance(sender, kind):
            assert isinstance(sender, Head | Mlp)
            values[sender.layer, sender.head if isinstance(sender, Head) else 0] = effect
    of = [n for n, sender in enumerate(senders) if isinstance(sender, kind)]
    known = [n for n in of if np.isfinite(found.difference[n])]
    summary = f"{len(known)} of {len(of)} {'heads' if heads else 'MLPs'} as senders"
    if known:
        best = max(known, key=lambda n: abs(found.difference[n]))
        summary += f"; strongest: {senders[best]} ({effects.said(float(found.reported[best]), facts['unit'])})"
    return Matrix(
        title=f"Path patching to {facts['receivers']}: {effects.title(facts['metric_title'])}"
        + ("" if heads else ", MLPs as senders"),
        summary=effects.undefined or summary,
        facts=facts,
        values=values,
        axes=(layer_axis(asked.model), head_axis(asked.model) if heads else Axis("mlp", ("mlp",))),
        unit=effects.unit(facts["unit"]),
        scale=effects.scale,
    )


def _table(
    facts: dict[str, Any], effects: Effects, found: Effect, sets: Sequence[Sequence[Sender]], early: Sequence[int]
) -> Table:
    """The strongest first; senders that come after the receivers are left out."""
    order = sorted(early, key=lambda n: -abs(found.difference[n]))
    return Table(
        title=f"Senders by their effect through {facts['receivers']} ({facts['metric']})",
        summary=effects.undefined or f"strongest: {'; '.join(_joined(sets[n]) for n in order[:3])}",
        facts=facts,
        columns=(
            Column("sender", "text", "", "set to its corrupt output"),
            *effect_columns(facts, effects),
        ),
        rows=tuple((_joined(sets[n]), *effect_cells(found, n)) for n in order),
    )


__all__ = ["PathPatching", "path_patching"]
