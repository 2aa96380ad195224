"""The logit lens as an operation: one prompt by layer and position, and the answer's rise over many. No torch here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from msgspec import Meta

from engine.circuits.asking import conditions, rows_of, the_prompts
from engine.circuits.reading.attention_operations import tokens_of
from engine.models.protocols import answers_of
from engine.operations import Context, ModelRef, Params, PromptsRef
from sessions.artifacts import AnyArtifact, Array, Axis, Column, Curve, Matrix, PromptRow, Series, Table
from sessions.errors import CallError

if TYPE_CHECKING:
    from engine.circuits.reading.logit_lens import Lens, Stage
    from engine.models.protocols import TransformerModel
    from engine.prompts.tokenized import TokenBatch


class LogitLens(Params, frozen=True, kw_only=True):
    """Which prompt, and how much of it."""

    model: ModelRef
    prompts: PromptsRef
    row: Annotated[int, Meta(description="prompt that is read position by position, from 1", ge=1)] = 1
    top: Annotated[int, Meta(description="likeliest tokens to show at every place", ge=1, le=20)] = 5
    after_attention: Annotated[bool, Meta(description="read the residual stream after each attention as well")] = False
    most: Annotated[int, Meta(description="prompts that the curves are averaged over, at most; 0: all", ge=0)] = 64


DEFINITIONS = {
    "lens": "LN_final(residual) W_U, with the norm's scale of that residual stream",
    "target": "the token that comes next; at the scored position the answer",
    "several_answers": "rank: of the likeliest; logit: mean; probability: that any of them comes",
    "rank": "1 is the likeliest token",
    "kl": "KL(final || here), nats",
    "entropy": "nats",
}


def logit_lens(params: LogitLens, ctx: Context) -> Sequence[AnyArtifact]:
    """The lens on one prompt as matrices and a table, and its course over the layers averaged over prompts."""
    from engine.circuits.reading.logit_lens import lens, stages

    model, prompts = ctx.transformer(params.model), the_prompts(ctx, params.prompts)
    c, rows = model.config, prompts.rows
    check_row(params.row, len(rows))
    if params.after_attention and (c.parallel_attn_mlp or not c.d_mlp):
        raise CallError(
            "attention and MLP run in parallel here: there is no residual stream between them"
            if c.parallel_attn_mlp
            else "there are no MLPs: what stands after attention is what enters the next layer",
            "after_attention",
            "leave it off",
        )
    where = stages(c.n_layers, after_attention=params.after_attention)
    answered = all(row.answers or row.scored_from is not None for row in rows)
    own = answered or bool(rows[params.row - 1].answers)
    one = tokens_of(model, rows[params.row - 1 : params.row], answers=own)
    ctx.progress(0, 1, f"prompt {params.row}")
    targets = _targets(model, one, answered=own)
    cache = model.forward(one.tokens.to(model.device))
    read = lens(model, cache, where, targets, top=params.top)
    labels = tuple(stage.label(c.n_layers) for stage in where)
    tokens = tuple(model.tokenizer.token_texts(one.tokens[0].tolist()))
    facts = conditions(model, prompts) | DEFINITIONS | {"row": params.row, "stages": len(where)}
    if not own:
        facts["target"] = "the token that comes next; the prompt has no answer"
    results: list[AnyArtifact] = list(_matrices(model, facts, read, labels, tokens, params.row))
    results.append(_table(model, facts, read, labels, tokens, targets[0].tolist(), params.row))
    if answered:
        results.extend(_averages(params, ctx, model, facts, rows, where, labels))
    return results


def check_row(row: int, n: int) -> None:
    """CallError when there is no such prompt, counted from 1."""
    if not n:
        raise CallError("the set of prompts is empty", "prompts", "make or open at least one prompt")
    if row > n:
        raise CallError(f"there is no prompt {row}", "row", f"the set has {n}")


def _targets(model: TransformerModel, batch: TokenBatch, *, answered: bool) -> Any:
    """[1 pos target] what should come at every position of the only prompt; -1 where nothing is known."""
    import torch

    answers = batch.answers[0][:, None] if batch.all_answers is None else batch.all_answers
    found = torch.full((1, batch.tokens.shape[1], answers.shape[-1]), -1)
    if answers_of(model.tokenizer) is model.tokenizer:  # else logits do not stand for the next token
        found[0, :-1, 0] = batch.tokens[0, 1:]
    if answered:
        found[0, batch.at[0]] = answers
    return found


def _matrices(
    model: TransformerModel,
    facts: dict[str, Any],
    read: Sequence[Lens],
    labels: tuple[str, ...],
    tokens: tuple[str, ...],
    row: int,
) -> list[Matrix]:
    likeliest = [answers_of(model.tokenizer).token_texts(one.top[:, 0].tolist()) for one in read]
    known = np.flatnonzero(np.isfinite(read[0].rank.numpy()))
    last = int(known[-1]) if len(known) else len(tokens) - 1
    found = []
    for name, title, unit in (
        ("probability", "probability of the target", "probability"),
        ("rank", "rank of the target", "rank"),
        ("logit", "logit of the target", "logits"),
        ("entropy", "entropy", "nats"),
        ("kl", "KL from the final distribution", "nats"),
    ):
        values = np.stack([getattr(one, name).numpy() for one in read]).astype(np.float32)
        course = ", ".join(_short(value) for value in values[:, last])
        found.append(
            Matrix(
                title=f"Logit lens, prompt {row}: {title}",
                summary=f"at position {last} ('{tokens[last]}'), {labels[0]} to the end: {course}",
                facts=facts | {"likeliest": likeliest},
                values=values,
                axes=(Axis("residual stream", labels), Axis("position", tokens)),
                unit=unit,
                scale="diverging" if name == "logit" else "sequential",
            )
        )
    return found


def _table(
    model: TransformerModel,
    facts: dict[str, Any],
    read: Sequence[Lens],
    labels: tuple[str, ...],
    tokens: tuple[str, ...],
    targets: list[list[int]],
    row: int,
) -> Table:
    spoken, lines = answers_of(model.tokenizer), []
    wanted = [spoken.token_texts([t for t in some if t >= 0][:1]) for some in targets]
    more = [f" +{n - 1}" if (n := sum(t >= 0 for t in some)) > 1 else "" for some in targets]
    for place, token in enumerate(tokens):
        for label, one in zip(labels, read):
            texts = spoken.token_texts(one.top[place].tolist())
            line: list[str | int | float | None] = [place, token, label, (wanted[place] or [""])[0] + more[place]]
            line += [_number(part[place]) for part in (one.rank, one.probability, one.logit, one.entropy, one.kl)]
            line += [f"{text} {float(p):.3f}" for text, p in zip(texts, one.top_probability[place])]
            lines.append(tuple(line))
    final = spoken.token_texts(read[-1].top[-1, :1].tolist())[0]
    first = next(
        i for i, one in enumerate(read) if all(int(o.top[-1, 0]) == int(read[-1].top[-1, 0]) for o in read[i:])
    )
    return Table(
        title=f"Logit lens, prompt {row}: likeliest tokens",
        summary=f"after the last token '{final}' is on top from '{labels[first]}' on",
        facts=facts,
        columns=(
            Column("position", "int"),
            Column("token", "text"),
            Column("residual stream", "text", help="where it is read"),
            Column("target", "text", help=facts["target"]),
            Column("rank", "float", "", "of the target; 1 is the likeliest"),
            Column("probability", "float", "", "of the target"),
            Column("logit", "float", "logits", "of the target"),
            Column("entropy", "float", "nats"),
            Column("KL", "float", "nats", "KL(final || here)"),
            *(Column(f"top {i + 1}", "text", help="token and probability") for i in range(read[0].top.shape[-1])),
        ),
        rows=tuple(lines),
    )


def _averages(
    params: LogitLens,
    ctx: Context,
    model: TransformerModel,
    facts: dict[str, Any],
    rows: Sequence[PromptRow],
    where: Sequence[Stage],
    labels: tuple[str, ...],
) -> list[AnyArtifact]:
    from engine.circuits.batching import sizes
    from engine.circuits.metrics import Targets
    from engine.circuits.reading.in_chunks import per_prompt
    from engine.circuits.reading.logit_lens import MEASURES, at_answers
    from engine.prompts.tokenized import tokenize

    shown = rows[: params.most] if params.most else rows
    foils = all(row.foils or (row.scored_from is not None and row.corrupt) for row in shown)
    batch = tokenize(shown, model.tokenizer, n_ctx=model.config.n_ctx, need_foils=foils)
    n = len(shown)
    scored = batch.at.shape[1]
    step = sizes(model, prompts=n, pos=batch.tokens.shape[1], scored=scored, vocabulary=True).prompts

    def compute(chunk: slice) -> Array:
        part = rows_of(batch, chunk)
        alternatives = [
            None if first is None else (first[:, :, None] if every is None else every[:, None]).to(model.device)
            for first, every in ((part.answers, part.all_answers), (part.foils, part.all_foils))
        ]
        assert alternatives[0] is not None
        cache = model.forward(part.tokens.to(model.device))
        targets = Targets(alternatives[0], alternatives[1])
        return at_answers(model, cache, where, part.at.to(model.device), targets).numpy()

    values = per_prompt(ctx, n, step, "prompts through the lens", compute, device=model.device)
    mean = values.mean(0)
    error = values.std(0, ddof=1) / np.sqrt(n) if n > 1 else np.full_like(mean, np.nan)
    facts = facts | {
        "n": n,
        "position": "the answer position" if scored == 1 else f"{scored} scored positions per prompt, averaged",
        "band": "mean plus and minus one standard error over prompts",
    }
    x = np.array([stage.depth for stage in where])
    place = {name: i for i, name in enumerate(MEASURES)}

    def series(title: str, unit: str, names: dict[str, str]) -> Series:
        curves = tuple(
            Curve(
                word,
                mean[:, place[name]],
                *((mean[:, place[name]] + sign * error[:, place[name]] for sign in (-1, 1)) if n > 1 else ()),
            )
            for name, word in names.items()
        )
        said = "; ".join(f"{curve.name} {curve.y[0]:.3g} -> {curve.y[-1]:.3g}" for curve in curves)
        return Series(
            title=f"Logit lens at the answer: {title}",
            summary=f"{said}; n = {n}",
            facts=facts,
            x=x,
            x_name="layers passed",
            curves=curves,
            y_name=unit,
        )

    found: list[AnyArtifact] = []
    if foils:
        found.append(series("logit difference, answer - foil", "logits", {"logit_diff": "logit difference"}))
    found += [
        series("rank of the answer", "rank", {"rank": "mean rank"}),
        series("distance from the final distribution", "nats", {"kl": "KL(final || here)", "entropy": "entropy"}),
        series("probability and accuracy", "fraction", {"probability": "p(answer)", "accuracy": "accuracy"}),
        Table(
            title="Logit lens at the answer, averaged",
            summary=f"{len(where)} places of the residual stream, {n} prompts",
            facts=facts,
            columns=(
                Column("residual stream", "text"),
                *(Column(name, "float", "", f"mean over {n} prompts") for name in MEASURES),
            ),
            rows=tuple((label, *(_number(value) for value in line)) for label, line in zip(labels, mean)),
        ),
    ]
    return found


def _number(value: Any) -> float | None:
    return None if value != value else float(value)


def _short(value: float) -> str:
    return "-" if value != value else f"{value:.3g}"


__all__ = ["LogitLens", "check_row", "logit_lens"]
