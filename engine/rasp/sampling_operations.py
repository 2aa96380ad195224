"""Random RASP programs as a table, and datasets of them beside the weights they compile to."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

from msgspec import Meta

from engine.operations import Context, Operation, Params
from sessions.artifacts import AnyArtifact, Column, Table, Text
from sessions.errors import CallError

if TYPE_CHECKING:
    from engine.rasp.sampling.dataset import Manifest
    from engine.rasp.sampling.sampler import Samples

PUBLISHED_SHARES = {
    "Map": 0.37,
    "SequenceMap": 0.30,
    "LinearSequenceMap": 0.08,
    "SelectAggregate": 0.24,
    "SelectorWidth": 0.01,
}  # at length 6
_SOURCE = "rasp-gen; Towards meta-models for automated interpretability"

Length = Annotated[int, Meta(description="s-ops of a program, tokens and indices counted", ge=2, le=12)]
VocabSize = Annotated[int, Meta(description="the tokens are 0 to this, not included; 5 as published", ge=2, le=100)]
MaxLen = Annotated[int, Meta(description="longest input, in tokens; 5 as published", ge=2, le=100)]


class SampleParams(Params, frozen=True, kw_only=True):
    n: Annotated[int, Meta(description="programs", ge=1, le=100_000)] = 100
    length: Length = 6
    unique: Annotated[bool, Meta(description="leave out programs whose tokens or behaviour came before")] = True
    vocab_size: VocabSize = 5
    max_len: MaxLen = 5
    exact: Annotated[
        bool,
        Meta(
            description="only programs whose compiled model is right on every input; no: the published, weaker rule "
            "for categorical aggregates"
        ),
    ] = True


class DatasetParams(Params, frozen=True, kw_only=True):
    folder: Annotated[str, Meta(description="where it goes; what is there of the same dataset is not made again")]
    n: Annotated[int, Meta(description="programs, no two alike", ge=1, le=10_000_000)] = 10_000
    shortest: Annotated[int, Meta(description="shortest program, tokens and indices counted", ge=2, le=12)] = 4
    longest: Annotated[int, Meta(description="longest program", ge=2, le=12)] = 9
    shard_size: Annotated[int, Meta(description="draws for one file, the unit of work", ge=1, le=100_000)] = 1_000
    held_out: Annotated[
        float, Meta(description="share of programs for validation, and as many for the test", ge=0, le=0.45)
    ] = 0.03
    most_weights: Annotated[int, Meta(description="larger models are left out", ge=1, le=10_000_000)] = 65_536
    vocab_size: VocabSize = 5
    max_len: MaxLen = 5


def sample(params: SampleParams, ctx: Context) -> Sequence[AnyArtifact]:
    """A table of programs; in its facts, how often each operation occurs and how many draws were left out."""
    from engine.rasp.printing import to_text
    from engine.rasp.sampling.sampler import sample_many
    from engine.rasp.sampling.trials import Settings

    started = time.perf_counter()
    found = sample_many(
        params.n,
        length=params.length,
        rng=ctx.rng,
        settings=Settings(params.vocab_size, params.max_len, params.exact),
        unique=params.unique,
        progress=lambda done, total: ctx.progress(done, total, "programs"),
    )
    seconds = time.perf_counter() - started
    shares = {name: round(share, 4) for name, share in found.shares().items()}
    facts: dict[str, Any] = {
        "seed": ctx.seed,
        "n": len(found),
        "length": params.length,
        "vocab": list(range(params.vocab_size)),
        "max_len": params.max_len,
        "draws": found.draws,
        "repeated_tokens": found.same_tokens,
        "repeated_behaviour": found.same_behaviour,
        "shares": shares,
        "seconds": round(seconds, 3),
        "rate": round(found.draws / seconds, 1),
    }
    if params.length == 6:
        facts["published_shares"] = PUBLISHED_SHARES
    _tell(ctx, params, found, seconds)
    rows = tuple(
        (
            to_text(one.program),
            one.length,
            one.operations,
            len(one.tokens),
            ", ".join(one.classes),
            one.program.encoding,
            " ".join(map(str, one.tokens)),
        )
        for one in found
    )
    columns = (
        Column("program", "text"),
        Column("length", "int", help="s-ops, tokens and indices counted, as rasp-gen counts"),
        Column("operations", "int", help="s-ops without tokens and indices"),
        Column("tokens", "int", help="words of the program as a meta-model reads it"),
        Column("classes", "text", help="its operations, inputs first"),
        Column("output", "text", help="encoding of the output: one-hot (categorical) or a number"),
        Column("token ids", "text"),
    )
    common = ", ".join(f"{name} {share:.0%}" for name, share in shares.items() if share)
    return [
        Table(
            title=f"{len(found):,} RASP programs of length {params.length}",
            summary=f"{common}; {found.draws:,} draws, {found.same_tokens:,} repeated tokens and "
            f"{found.same_behaviour:,} more repeated a behaviour",
            columns=columns,
            rows=rows,
            facts=facts,
        )
    ]


def _tell(ctx: Context, params: SampleParams, found: Samples, seconds: float) -> None:
    if len(found) < params.n:
        ctx.log(
            f"there are few different programs of length {params.length}: {len(found):,} were found in "
            f"{found.draws:,} draws"
        )
    ctx.log(f"{found.draws:,} programs in {seconds:.1f} s, {found.draws / seconds:,.0f} a second, compiling included")


def dataset(params: DatasetParams, ctx: Context) -> Sequence[AnyArtifact]:
    """The shards as a table, and what is in them."""
    from pathlib import Path

    from engine.rasp.sampling.shard import Plan
    from engine.rasp.sampling.writing import write

    if params.longest < params.shortest:
        raise CallError(
            f"the longest program ({params.longest}) is shorter than the shortest ({params.shortest})",
            "longest",
            "give shortest <= longest",
        )
    plan = Plan(
        seed=ctx.seed,
        shard_size=params.shard_size,
        shortest=params.shortest,
        longest=params.longest,
        vocab_size=params.vocab_size,
        max_len=params.max_len,
        most_weights=params.most_weights,
        held_out=params.held_out,
    )
    folder = Path(params.folder).expanduser()
    done = write(folder, params.n, plan, ctx.executor(), ctx.progress)
    manifest = done.manifest
    speed = done.extrapolation()
    ctx.log(speed)
    if manifest.datapoints < params.n:
        ctx.log(f"there are no more such programs: {manifest.datapoints:,} instead of {params.n:,}")
    facts: dict[str, Any] = {
        "seed": ctx.seed,
        "n": manifest.datapoints,
        "folder": str(folder),
        "draws": manifest.draws,
        "repeated": manifest.repeated,
        "too_large": manifest.too_large,
        "seconds": round(done.seconds, 3),
        "rate": round(done.per_cpu_second, 1),
        "time": speed,
    }
    title = f"{manifest.datapoints:,} RASP programs and their weights"
    return [
        Table(
            title=f"{title}: shards",
            summary=f"{len(manifest.shards)} shards in {folder}",
            columns=(
                Column("file", "text"),
                Column("datapoints", "int", help="that count"),
                Column("left out", "int", help="in the file, but an earlier shard has the same program"),
                Column("sha256", "text"),
            ),
            rows=tuple((e.file, e.datapoints - len(e.left_out), len(e.left_out), e.sha256) for e in manifest.shards),
            facts=facts,
        ),
        Text(title=title, markdown=_markdown(manifest, str(folder)), facts=facts),
    ]


def _markdown(manifest: Manifest, folder: str) -> str:
    plan = manifest.plan
    lengths = "\n".join(f"| {length} | {count:,} |" for length, count in manifest.lengths.items())
    splits = ", ".join(f"{count:,} {name}" for name, count in manifest.splits.items())
    return f"""**{manifest.datapoints:,} programs** of length {plan.shortest} to {plan.longest} over the tokens \
0 to {plan.vocab_size - 1} and inputs of up to {plan.max_len} tokens, in `{folder}`.

- Splits: {splits}. A program's tokens decide its split, so none is in two.
- {manifest.draws:,} draws: {manifest.repeated:,} repeated a program, {manifest.too_large:,} were too large (more than \
{plan.most_weights:,} weights or {plan.most_tokens} tokens).
- A datapoint: flattened weights, the ids of the program in {len(manifest.vocabulary)} words, sizes, and the text.

| length | programs |
|---|---|
{lengths}
"""


OPERATIONS: tuple[Operation, ...] = (
    Operation(
        name="rasp.sample",
        title="Sample random RASP programs",
        summary="Random programs that compile, as rasp-gen draws them: their text, lengths and tokens, without "
        "repetition, and how often each operation occurs.",
        params=SampleParams,
        gives=("table",),
        function=sample,
        source=_SOURCE,
    ),
    Operation(
        name="rasp.dataset",
        title="Write a dataset of programs and weights",
        summary="Sampled programs beside the weights they compile to, as a folder of safetensors for a meta-model: "
        "split, without repetition, resumable, made by as many workers as there are.",
        params=DatasetParams,
        gives=("table", "text"),
        function=dataset,
        volatile=True,
        source=_SOURCE,
    ),
)
