"""How many sampled programs come back from their weights, as an operation."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, wait
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import numpy as np
from msgspec import Meta, field

from engine.operations import Context, Operation, Params
from sessions.artifacts import AnyArtifact, Column, Curve, Series, Table

if TYPE_CHECKING:
    from engine.rasp.decompiling.benchmark import Outcome, Row
    from engine.rasp.sampling.sampler import Samples

CHUNK = 25  # programs of one unit of work
META_MODEL = 0.77  # whole programs right at length 5, on dense models (the reference, section 6)


class BenchmarkParams(Params, frozen=True, kw_only=True):
    n: Annotated[int, Meta(description="programs", ge=1, le=100_000)] = 200
    length: Annotated[int, Meta(description="s-ops of a program, tokens and indices counted", ge=3, le=12)] = 6
    dense: Annotated[
        Annotated[float, Meta(gt=0, le=1)] | None,
        Meta(description="share of residual directions kept in the dense models; none: no dense models"),
    ] = 0.9
    more: Annotated[list[float], Meta(description="further shares to try, for the curve: [0.95,0.8]")] = field(
        default_factory=list
    )


def benchmark(params: BenchmarkParams, ctx: Context) -> Sequence[AnyArtifact]:
    """A row per condition (as compiled, rotated, on fewer directions), and the curve over the directions kept."""
    from engine.rasp.sampling.sampler import sample_many
    from sessions.errors import CallError

    if not all(0 < keep <= 1 for keep in params.more):
        raise CallError(f"more={params.more} holds no shares", "rasp.benchmark", "give numbers above 0 and up to 1")
    dense = [] if params.dense is None else [params.dense]
    keeps = sorted({*dense, *params.more}, reverse=True)
    total = params.n * (2 + len(keeps))
    ctx.progress(0, total, "sampling")
    sampled = sample_many(params.n, length=params.length, rng=np.random.default_rng(ctx.seed))
    rows = _measured(sampled, keeps, ctx)
    return [_table(rows, sampled, params, ctx), *_curve(rows, keeps, params)]


class Unit(NamedTuple):
    """Some programs under one condition: what a process is handed."""

    name: str
    condition: str
    texts: Sequence[str]
    keep: float | None
    whole: bool
    seed: int


def chunk(unit: Unit) -> list[Outcome]:
    """The unit's programs read back, in whatever process."""
    from engine.rasp.compiled import Domain
    from engine.rasp.decompiling.benchmark import outcomes
    from engine.rasp.syntax import parse

    programs = [parse(text) for text in unit.texts]
    rng = np.random.default_rng(unit.seed)
    return outcomes(programs, Domain((0, 1, 2, 3, 4), 5), unit.keep, rng, whole=unit.whole)


def _measured(sampled: Samples, keeps: Sequence[float], ctx: Context) -> list[Row]:
    """All chunks of all conditions, those of an earlier run taken from its checkpoints."""
    from engine.rasp.decompiling.benchmark import Outcome, condition_name, summary
    from engine.rasp.printing import to_text

    texts = [to_text(one.program) for one in sampled]
    conditions: list[tuple[float | None, bool]] = [(None, False), (1.0, True), *((keep, False) for keep in keeps)]
    units = []
    for keep, whole in conditions:
        name = condition_name(keep, whole=whole)
        for at in range(0, len(texts), CHUNK):
            seed = ctx.seed * 1_000_003 + at
            units.append(Unit(f"{name} {at}", name, texts[at : at + CHUNK], keep, whole, seed))
    found = {name: [Outcome(*one) for one in saved] for name, saved in ctx.checkpoints().items()}
    todo = [unit for unit in units if unit.name not in found]
    total = len(texts) * len(conditions)

    def keep_outcomes(unit: Unit, outcomes: list[Outcome]) -> None:
        found[unit.name] = outcomes
        ctx.checkpoint(unit.name, [list(one) for one in outcomes])

    def progress(note: str) -> None:
        ctx.progress(sum(map(len, found.values())), total, note)

    if len(todo) <= 2 * len(conditions):  # to start processes costs more than it saves
        for unit in todo:
            progress(unit.condition)
            keep_outcomes(unit, chunk(unit))
    else:
        executor = ctx.executor()
        waiting = {executor.submit(chunk, unit): unit for unit in todo}
        while waiting:
            progress("decompiling")
            done, _ = wait(waiting, timeout=0.2, return_when=FIRST_COMPLETED)
            for future in done:
                keep_outcomes(waiting.pop(future), future.result())
    ctx.progress(total, total)
    by_condition: dict[str, list[Outcome]] = {}
    for unit in units:
        by_condition.setdefault(unit.condition, []).extend(found[unit.name])
    return [summary(condition, outcomes) for condition, outcomes in by_condition.items()]


def _table(rows: Sequence[Row], sampled: Samples, params: BenchmarkParams, ctx: Context) -> Table:
    best = "; ".join(f"{row.condition} {row.behaves:.1%}" for row in rows)
    return Table(
        title=f"{len(sampled):,} programs of length {params.length} read back",
        summary=f"verified: {best}; median {rows[0].median_ms:.1f} ms sparse "
        f"(the published meta-model on dense models: {META_MODEL:.0%}, length 5)",
        columns=(
            Column("condition", "text"),
            Column("models", "int"),
            Column("verified", "float", help="compiled again the same weights, or the same outputs on all inputs"),
            Column("same weights", "float", help="compiled again, every weight is the same up to order and rotation"),
            Column("median", "float", unit="ms"),
            Column("in part", "float", help="a program, but not verified"),
            Column("nothing", "float"),
            Column("outputs survive", "float", help="models whose own outputs stay, on more than 99 % of inputs"),
            Column("verified of those", "float"),
            Column("same text", "float", help="word for word; names of inner values are not in the weights"),
            Column("slowest", "float", unit="ms"),
        ),
        rows=tuple(
            (
                row.condition,
                row.models,
                row.behaves,
                row.exact,
                round(row.median_ms, 2),
                row.partial,
                row.nothing,
                row.faithful,
                row.behaves_of_faithful,
                row.same_text,
                round(row.slowest_ms, 1),
            )
            for row in rows
        ),
        facts={
            "n": len(sampled),
            "length": params.length,
            "published dense, length 5": META_MODEL,
            "seed": ctx.seed,
        },
    )


def _curve(rows: Sequence[Row], keeps: Sequence[float], params: BenchmarkParams) -> list[Series]:
    if len(keeps) < 2:
        return []
    kept = list(reversed(list(zip(keeps, rows[2:]))))
    facts: dict[str, Any] = {"n": rows[0].models, "length": params.length}
    return [
        Series(
            title="read back by directions kept",
            summary="share of models",
            x=np.array([keep for keep, _ in kept]),
            x_name="share of residual directions kept",
            y_name="share of models",
            curves=(
                Curve("verified", np.array([row.behaves for _, row in kept])),
                Curve("own outputs survive", np.array([row.faithful for _, row in kept])),
            ),
            facts=facts,
        )
    ]


OPERATIONS: tuple[Operation, ...] = (
    Operation(
        name="rasp.benchmark",
        title="Read sampled programs back from their weights",
        summary="Random programs compiled, rotated and compressed, and how many the exact decompiler reads back, "
        "verified, in how many milliseconds.",
        params=BenchmarkParams,
        gives=("table", "series"),
        function=benchmark,
        source="Towards meta-models for automated interpretability (dense models, 77 %)",
    ),
)
