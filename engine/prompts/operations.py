"""The prompt operations: make a task's set, open one's own file, see a set as another model sees it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
from msgspec import Meta

from engine.operations import Context, ModelRef, Operation, Params, PromptsRef
from engine.prompts.joining import JOIN
from sessions.artifacts import AnyArtifact, Prompts
from sessions.errors import CallError

if TYPE_CHECKING:
    from engine.models.protocols import TransformerModel


FILLED = (
    20_000  # prompts; larger sets, which are for training, would take minutes to fill in and hundreds of MB to keep
)


class Make(Params, frozen=True, kw_only=True):
    """Which set to make."""

    task: Annotated[Literal["tpp", "ioi", "greater_than", "induction", "docstring"], Meta(description="the task")] = (
        "tpp"
    )
    n: Annotated[int, Meta(description="how many prompts", ge=1, le=200_000)] = 100
    model: Annotated[
        ModelRef | None,
        Meta(
            description="make the set for this model: only words its tokenizer can use; tokens are filled in (up to "
            "20,000 prompts)"
        ),
    ] = None
    corrupt: Annotated[
        Literal["standard", "answer_swap", "broken_link", "subject_swap", "none"],
        Meta(description="corrupt partner: the task's standard one, one of TPP's three kinds, or none"),
    ] = "standard"
    template: (
        Annotated[int, Meta(description="one template, numbered from 1 (tpp, ioi); none: all, evenly", ge=1, le=15)]
        | None
    ) = None
    variant: (
        Annotated[
            Literal["single_token", "main"],
            Meta(
                description="tpp: the answer is one token, or the prompt ends with a space and its first token counts"
            ),
        ]
        | None
    ) = None
    order: (
        Annotated[Literal["both", "ABBA", "BABA"], Meta(description="ioi: which name comes first; none: both evenly")]
        | None
    ) = None
    length: (
        Annotated[int, Meta(description="induction: tokens in the block that is repeated; none: 12", ge=2, le=200)]
        | None
    ) = None
    nouns: (
        Annotated[
            Literal["common", "all", "wordnet"],
            Meta(
                description="tpp, induction: nouns to draw from: 366 common ones, all 1,250 of ours, or WordNet's "
                "where nltk and its data are installed; none: common"
            ),
        ]
        | None
    ) = None
    part: (
        Annotated[
            Literal["all", "train", "test"],
            Meta(
                description="tpp: only noun triples for training, or only the 15 % kept for testing, which train never "
                "has; none: all"
            ),
        ]
        | None
    ) = None


class Open(Params, frozen=True, kw_only=True):
    """Which file to open."""

    path: Annotated[
        str,
        Meta(
            description="a .csv, .jsonl or .json file with columns clean (or prompt), answer, and where wanted "
            "corrupt, foil, group; several answers: separated by | in CSV, a list in JSON"
        ),
    ]
    model: Annotated[ModelRef | None, Meta(description="see the prompts as this model does")] = None


class Look(Params, frozen=True, kw_only=True):
    """Whose eyes to look with."""

    prompts: PromptsRef
    model: ModelRef
    keep: Annotated[
        Literal["all", "usable"], Meta(description="keep all prompts, or only those this model can be used on")
    ] = "all"


def make(params: Make, ctx: Context) -> Sequence[AnyArtifact]:
    """A seeded set of a task's prompts."""
    from engine.prompts.tasks import generate

    model = ctx.transformer(params.model) if params.model else None
    rows = generate(
        params.task,
        ctx.rng,
        params.n,
        corrupt=params.corrupt,
        tokenizer=model.tokenizer if model else None,
        template=params.template,
        variant=params.variant,
        order=params.order,
        length=params.length,
        nouns=params.nouns,
        part=params.part,
    )
    prompts = Prompts(
        title=f"{params.task}, {params.n:,} prompts",
        task=params.task,
        rows=tuple(rows),
        facts={"seed": ctx.seed} | {name: value for name, value in msgspec.structs.asdict(params).items() if value},
    )
    if len(rows) <= FILLED:
        return [_summarised(_seen(prompts, model))]
    made = _summarised(prompts)
    note = f"{made.summary}, tokens not filled in (more than {FILLED:,} prompts)"
    return [msgspec.structs.replace(made, summary=note) if model else made]


def open_file(params: Open, ctx: Context) -> Sequence[AnyArtifact]:
    """The prompts of a file, with a sentence for every row that could not be read."""
    from pathlib import Path

    from engine.prompts.opening import open_prompts

    rows, rejected = open_prompts(params.path)
    model = ctx.transformer(params.model) if params.model else None
    for sentence in rejected[:20]:
        ctx.log(sentence)
    prompts = Prompts(
        title=f"{Path(params.path).name}, {len(rows):,} prompts",
        task="own",
        rows=tuple(rows),
        rejected=tuple(rejected),
        facts={"file": params.path, "n": len(rows), "rejected": len(rejected)},
    )
    return [_summarised(_seen(prompts, model))]


def look_again(params: Look, ctx: Context) -> Sequence[AnyArtifact]:
    """The same prompts with this model's tokens, named positions and problems."""
    prompts = ctx.artifact(params.prompts)
    if not isinstance(prompts, Prompts):
        raise CallError(f"{params.prompts} is a {prompts.kind}, not prompts", "parameter 'prompts'")
    model = ctx.transformer(params.model)
    seen = _seen(prompts, model)
    if params.keep == "usable":
        usable = tuple(row for row in seen.rows if not row.problem)
        if not usable:
            raise CallError(
                f"none of the {len(seen.rows)} prompts can be used with this model (the first: {seen.rows[0].problem})",
                "parameter 'keep'",
                "make the set for the model: prompts.make model=...",
            )
        seen = msgspec.structs.replace(seen, rows=usable)
    title = f"{prompts.task}, {len(seen.rows):,} prompts as {seen.tokenizer} reads them"
    return [_summarised(msgspec.structs.replace(seen, title=title, facts=prompts.facts | {"n": len(seen.rows)}))]


def _seen(prompts: Prompts, model: TransformerModel | None) -> Prompts:
    if model is None:
        return prompts
    from engine.prompts.tokenized import look

    return look(prompts, model.tokenizer, model.config.n_ctx)


def _summarised(prompts: Prompts) -> Prompts:
    """With one line beside the title: what they are, and what is wrong with how many."""
    groups = {row.group for row in prompts.rows if row.group}
    parts = [f"{len(groups)} groups"] if len(groups) > 1 else sorted(groups)
    paired = sum(bool(row.corrupt) for row in prompts.rows)
    parts.append("all with a corrupt partner" if paired == len(prompts.rows) else f"{paired:,} with a corrupt partner")
    if prompts.tokenizer:
        parts.append(f"tokens of {prompts.tokenizer}")
    if problems := sum(bool(row.problem) for row in prompts.rows):
        parts.append(f"{problems:,} cannot be used")
    if prompts.rejected:
        parts.append(f"{len(prompts.rejected):,} of the file's rows rejected")
    return msgspec.structs.replace(prompts, summary=", ".join(parts))


OPERATIONS: tuple[Operation, ...] = (
    Operation(
        name="prompts.make",
        title="Make prompts",
        summary="A seeded set of a task's prompts, each with its answer, foil and corrupt partner of the same length.",
        params=Make,
        gives=("prompts",),
        function=make,
        source="TPP: the seed paper; IOI: Wang et al. 2022; greater-than: Hanna et al. 2023; induction: Olsson et al.; "
        "docstring: Heimersheim and Janiak 2023",
    ),
    Operation(
        name="prompts.open",
        title="Open prompts from a file",
        summary="Your own prompts from CSV, JSONL or JSON. Bad rows are listed with line and reason, good ones kept.",
        params=Open,
        gives=("prompts",),
        function=open_file,
        files=("path",),
    ),
    Operation(
        name="prompts.look",
        title="See prompts as a model does",
        summary="The same prompts with that model's tokens and named positions, and with what is wrong with each row.",
        params=Look,
        gives=("prompts",),
        function=look_again,
    ),
    JOIN,
)
