"""What a trained meta-model is good for: its accuracy on unseen programs, and programs for a model at hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import numpy as np
from msgspec import Meta

from engine.operations import Context, ModelRef, Params
from sessions.artifacts import AnyArtifact, Column, Model, Program, Table, Text, Verdict
from sessions.errors import CallError

if TYPE_CHECKING:
    from engine.rasp.compiled import Array
    from engine.rasp.metamodel.architecture import Metamodel
    from engine.rasp.metamodel.data import Row, Source
    from engine.rasp.metamodel.evaluation import Scored, Share
    from engine.rasp.metamodel.verified import Candidate, Target

CHUNK = 16  # test programs between two looks at the world

MetamodelRef = Annotated[str, Meta(description="a meta-model of rasp.train_metamodel: @ID", extra={"kind": "model"})]
Beam = Annotated[int, Meta(description="width of the beam search; 0: none", ge=0, le=64)]
Temperature = Annotated[float, Meta(description="of the sampled candidates; 0: no sampling", ge=0, le=5)]


class EvaluateParams(Params, frozen=True, kw_only=True):
    model: MetamodelRef
    n: Annotated[int, Meta(description="test programs, none of which it was trained on", ge=1, le=100_000)] = 200
    beam: Beam = 4
    candidates: Annotated[
        int,
        Meta(description="samples for verified decoding, beside the greedy one and the beams; 0: none", ge=0, le=1000),
    ] = 16
    temperature: Temperature = 1.0
    dataset: Annotated[str, Meta(description="a folder of rasp.dataset, its test split; empty: programs are drawn")] = (
        ""
    )


class DecodeParams(Params, frozen=True, kw_only=True):
    metamodel: MetamodelRef
    model: ModelRef
    candidates: Annotated[int, Meta(description="samples, beside the greedy one and the beams", ge=0, le=10_000)] = 64
    beam: Beam = 4
    temperature: Temperature = 1.0


def evaluate(params: EvaluateParams, ctx: Context) -> Sequence[AnyArtifact]:
    """Accuracy by program length beside the published, as a table and in words."""
    from engine.rasp.metamodel.data import fitting
    from engine.rasp.metamodel.evaluation import Scored, score, shares

    where = "rasp.evaluate_metamodel"
    model = _metamodel(ctx, params.model)
    source = source_of(model, where)
    rows = _test_rows(params, ctx, source)
    fit = fitting(rows, model.size)
    if not fit:
        raise CallError("no test program fits the meta-model", where, "give more, or others with dataset=FOLDER")
    saved = ctx.checkpoints()
    scored: list[Scored] = []
    for begin in range(0, len(fit), CHUNK):
        ctx.progress(begin, len(fit), "programs")
        unit = f"programs {begin}"
        if unit not in saved:
            generator = ctx.torch_generator().manual_seed(
                int(np.random.SeedSequence([ctx.seed, begin]).generate_state(1)[0])
            )
            made = score(
                model,
                fit[begin : begin + CHUNK],
                source,
                width=params.beam,
                candidates=params.candidates if params.temperature > 0 else 0,
                temperature=params.temperature,
                generator=generator,
            )
            saved[unit] = [list(one) for one in made]
            ctx.checkpoint(unit, saved[unit])
        scored += [Scored.of(values) for values in saved[unit]]
    ctx.progress(len(fit), len(fit))
    found = shares(scored, dense=bool(source.dense))
    facts: dict[str, Any] = {
        "seed": ctx.seed,
        "test programs": len(fit),
        "too large": len(rows) - len(fit),
        "dense": source.dense or False,
        "beam": params.beam,
        "candidates": params.candidates,
        "temperature": params.temperature,
        "trained on": _trained_on(source),
    }
    return [
        _table(found, params, facts),
        Text(title="Accuracy in words", markdown=_in_words(found, source), facts=facts),
    ]


def source_of(model: Metamodel, where: str) -> Source:
    from engine.rasp.metamodel.data import Source

    try:
        return msgspec.convert(model.describes["source"], Source)
    except (KeyError, msgspec.ValidationError):
        raise CallError("the meta-model does not say what it was trained on", where, "train it again") from None


def _metamodel(ctx: Context, ref: str) -> Metamodel:
    from engine.hardware import choose_device
    from engine.rasp.metamodel.architecture import decode

    handle = ctx.artifact(ref)
    if not isinstance(handle, Model) or handle.family != "metamodel":
        raise CallError(f"{handle.title} is not a meta-model", "metamodel", "choose one made by rasp.train_metamodel")
    return decode(ctx.stored_weights(ref), device=choose_device("auto"))


def _test_rows(params: EvaluateParams, ctx: Context, source: Source) -> list[Row]:
    """Programs of the test split: their tokens say that they are, so none was trained on."""
    from engine.rasp.metamodel.data import draw, load
    from engine.rasp.sampling.dataset import read_manifest

    def progress(done: int, total: int, note: str) -> None:
        ctx.progress(0, params.n, f"{done:,} of {total:,} {note}")

    if params.dataset:
        folder = Path(params.dataset).expanduser()
        if read_manifest(folder).plan != source.plan:
            raise CallError(
                "it is not the dataset that the meta-model was trained on, so its test split may hold programs it has "
                "seen",
                str(folder),
                "give the same one",
            )
        rows = load(msgspec.structs.replace(source, folder=str(folder)), "test", progress)
        order = ctx.rng.permutation(len(rows))[: params.n]
        return [rows[i] for i in order.tolist()]
    drawn = draw(source, params.n, splits=("test",), executor=ctx.executor(), progress=progress)
    found = drawn.rows["test"]
    if len(found) < params.n:
        ctx.log(f"there are no more different test programs: {len(found):,} instead of {params.n:,}")
    return found


def _trained_on(source: Source) -> str:
    plan = source.plan
    return (
        f"programs of length {plan.shortest} to {plan.longest}, tokens 0 to {plan.vocab_size - 1}, inputs of up to "
        f"{plan.max_len}" + (f", dense ({source.dense:g} of the directions)" if source.dense else "")
    )


def _table(found: Sequence[Share], params: EvaluateParams, facts: dict[str, Any]) -> Table:
    whole = found[-1]
    best = f", verified decoding proves {whole.verified:.1%}" if params.candidates else ""
    return Table(
        title="Meta-model: whole programs right, by length",
        summary=f"greedy {whole.greedy:.1%} of {whole.programs:,} unseen programs{best}; {whole.tokens:.1%} of tokens",
        columns=(
            Column("length", "text", help="s-ops of the program, tokens and indices counted"),
            Column("programs", "int", help="tested, none trained on"),
            Column("tokens", "float", help="share of tokens right, each after the right ones before it"),
            Column("greedy", "float", help="share of programs exactly right, the likeliest token every time"),
            Column("± greedy", "float", help="one standard error of that share"),
            Column(f"beam {params.beam}", "float", help="share exactly right, the likeliest of the beams"),
            Column("among candidates", "float", help="share whose exact program is a candidate of verified decoding"),
            Column("verified", "float", help="share with a candidate that compiles to the same weights, or that was "
                   "proved to do the same on all inputs"),
            Column("published", "float", help="greedy, length and all; lengths 4 to 9 over five values"),
        ),
        rows=tuple(_row(share, params) for share in found),
        facts=facts,
    )  # fmt: skip


def _row(share: Share, params: EvaluateParams) -> tuple[str | int | float | None, ...]:
    sampled = params.candidates and params.temperature > 0
    return (
        str(share.length) if share.length else "all",
        share.programs,
        round(share.tokens, 4),
        round(share.greedy, 4),
        round(share.error(share.greedy), 4),
        round(share.beam, 4) if params.beam else None,
        round(share.sampled, 4) if sampled else None,
        round(share.verified, 4) if sampled else None,
        share.published,
    )


def _in_words(found: Sequence[Share], source: Source) -> str:
    from engine.rasp.metamodel import evaluation as published

    whole = found[-1]
    return f"""Trained on {_trained_on(source)}; tested on {whole.programs:,} programs that it has not seen.

- Whole programs exactly right, greedily: **{whole.greedy:.1%}** ± {whole.error(whole.greedy):.1%}; \
tokens: {whole.tokens:.1%}.
- Verified decoding found a program that is proved for **{whole.verified:.1%}**. Several programs may have the same \
weights (over few values, `x > 1` is `x == 2`), so this may be more than the share whose tokens are found, and is the \
figure that counts.
- Published, with 1.6 million programs of length 4 to 9 over five values: {published.PUBLISHED_OVERALL:.0%} overall, \
{published.PUBLISHED_BY_LENGTH[5]:.0%} at length 5, {published.PUBLISHED_BY_LENGTH[8]:.1%} at length 8, \
{published.PUBLISHED_TOKENS:.1%} of tokens; on dense weights {published.PUBLISHED_DENSE:.0%} at length 5 and \
{published.PUBLISHED_DENSE_TOKENS:.0%} of tokens.

The figures are comparable only where the programs are: by length, vocabulary and number of training programs.
"""


def decode(params: DecodeParams, ctx: Context) -> Sequence[AnyArtifact]:
    """The candidates with what became of them, and the best program that was proved, if there is one."""
    from engine.models.weights import state_dict
    from engine.rasp.metamodel.decoding import beam, greedy, sample
    from engine.rasp.metamodel.verified import Target, check_all
    from engine.rasp.sampling.flatten import padded

    where = "rasp.decode"
    metamodel = _metamodel(ctx, params.metamodel)
    model = ctx.transformer(params.model)
    weights: Any = model.weights  # type: ignore[attr-defined]
    state: dict[str, Array] = {name: w.float().cpu().numpy() for name, w in state_dict(model.config, weights).items()}
    target = Target.of_model(model, state, where)
    size = metamodel.size
    if len(target.vector) > size.m:
        raise CallError(
            f"{model.handle.title} has {len(target.vector):,} weights, the meta-model reads {size.m:,}",
            where,
            "choose a smaller model, or a meta-model of the published size",
        )
    import torch

    device = next(metamodel.parameters()).device
    read = torch.from_numpy(padded([target.vector], size.m, size.d, size.padding)).to(device)
    ctx.progress(0, 3, "writing candidates")
    written = {w.tokens: w for w in greedy(metamodel, read)}
    if params.beam:
        written |= {w.tokens: w for w in beam(metamodel, read, params.beam)[0]}
    ctx.progress(1, 3, "sampling candidates")
    if params.candidates and params.temperature > 0:
        drawn = sample(metamodel, read, params.candidates, params.temperature, ctx.torch_generator())
        written |= {w.tokens: w for w in drawn if w.tokens not in written}
    ctx.progress(2, 3, f"checking {len(written)} candidates")
    found = check_all(target, list(written.values()))
    ctx.progress(3, 3)
    facts = _decode_facts(params, ctx, metamodel, target, found)
    made: list[AnyArtifact] = [_candidates(found, model.handle.title, facts)]
    if found[0].verified:
        made.append(_program(found[0], target, model.handle.title, facts))
    return made


def _decode_facts(
    params: DecodeParams, ctx: Context, metamodel: Metamodel, target: Target, found: Sequence[Candidate]
) -> dict[str, Any]:
    source = source_of(metamodel, "rasp.decode")
    domain = target.domain
    known = (sorted(map(str, domain.vocab)), domain.max_len) == (
        sorted(map(str, source.domain.vocab)),
        source.domain.max_len,
    )
    if not known:
        ctx.log(f"the meta-model was trained on other models than this: {_trained_on(source)}")
    kinds = {kind: sum(c.kind == kind for c in found) for kind in dict.fromkeys(c.kind for c in found)}
    return {
        "seed": ctx.seed,
        "candidates": len(found),
        "verdicts": kinds,
        "temperature": params.temperature,
        "beam": params.beam,
        "trained on": _trained_on(source),
        "trained on such models": known,
    }


def _candidates(found: Sequence[Candidate], title: str, facts: dict[str, Any]) -> Table:
    from engine.rasp.printing import to_text

    proved = sum(c.verified for c in found)
    said = f"{proved} of {len(found)} candidates are proved" if proved else f"none of {len(found)} candidates is it"
    kinds = ", ".join(f"{count} {kind}" for kind, count in facts["verdicts"].items())
    return Table(
        title=f"{title}: candidates",
        summary=f"{said}; {kinds}",
        columns=(
            Column("rank", "int", help="by what was proved, then by probability"),
            Column("verdict", "text", help="same weights is the strongest; malformed the weakest"),
            Column("log probability", "float", unit="nats"),
            Column("program", "text"),
            Column("why", "text", help="what is wrong, or the first difference"),
        ),
        rows=tuple(
            (
                rank,
                c.kind,
                round(c.written.log_probability, 3),
                "" if c.program is None else to_text(c.program),
                c.why,
            )
            for rank, c in enumerate(found, 1)
        ),
        facts=facts,
    )


def _program(best: Candidate, target: Target, title: str, facts: dict[str, Any]) -> Program:
    from engine.rasp.agreement import in_words
    from engine.rasp.metamodel.verified import agreement_with
    from engine.rasp.printing import to_text

    assert best.program is not None
    agreement = agreement_with(target, best.program)
    return Program(
        title=f"{title} decoded",
        summary=f"{best.kind}: {best.why}",
        source=to_text(best.program),
        language="rasp",
        verdicts=(
            Verdict(
                against="the model",
                agreed=agreement.agreed,
                tested=agreement.tested,
                exhaustive=agreement.exhaustive,
                domain=in_words(target.domain, agreement.exhaustive),
                counterexample=agreement.difference,
            ),
        ),
        facts=facts | {"verification": best.kind},
    )
