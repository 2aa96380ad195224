"""What a model goes on with, beside another: whether fine-tuning cost it what it could do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta

from engine.operations import Context, ModelRef, Operation, Params, PromptsRef
from sessions.artifacts import AnyArtifact, Column, Prompts, Table
from sessions.errors import CallError

if TYPE_CHECKING:
    from engine.models.transformer import Transformer


class GenerateParams(Params, frozen=True, kw_only=True):
    model: ModelRef
    other: Annotated[ModelRef | None, Meta(description="a second model to ask alike: its base model, say")] = None
    prompts: Annotated[PromptsRef | None, Meta(description="begin with these prompts")] = None
    text: Annotated[str, Meta(description="or begin with this text")] = ""
    n: Annotated[int, Meta(description="how many of the prompts, from the first", ge=1, le=10_000)] = 10
    tokens: Annotated[int, Meta(description="tokens to add", ge=1, le=1000)] = 20
    temperature: Annotated[
        float, Meta(description="0: the likeliest token each time; else tokens are drawn, by the seed", ge=0, le=10)
    ] = 0.0
    batch: Annotated[int, Meta(description="prompts at once", ge=1, le=4096)] = 64


def generate_beside(params: GenerateParams, ctx: Context) -> Sequence[AnyArtifact]:
    """A table: prompt, what the model makes of it, what the other does, and whether they are the same."""
    from engine.models.finetuning.generation import generate

    texts, answers = _texts(params, ctx)
    refs = [params.model] if params.other is None else [params.model, params.other]
    continued: list[list[str]] = []
    found: list[tuple[str, str]] = []
    for turn, ref in enumerate(refs):
        model = _causal(ctx, ref)
        prompts = _prompts(model, texts, params.tokens)
        title = model.handle.title

        def before(done: int, turn: int = turn, title: str = title) -> None:
            ctx.progress(turn * len(texts) + done, len(refs) * len(texts), title)

        made = generate(
            model,
            prompts,
            tokens=params.tokens,
            temperature=params.temperature,
            seed=ctx.seed,
            rows=params.batch,
            before=before,
        )
        continued.append([model.tokenizer.decode(ids) for ids in made])
        found.append((title, model.handle.source))
    ctx.progress(len(refs) * len(texts), len(refs) * len(texts))
    return [_table(params, texts, answers, continued, found)]


def _table(
    params: GenerateParams,
    texts: Sequence[str],
    answers: Sequence[str],
    continued: Sequence[Sequence[str]],
    found: Sequence[tuple[str, str]],
) -> Table:
    columns = [Column("prompt", "text")]
    parts: list[Sequence[str | bool]] = [texts]
    if any(answers):
        columns.append(Column("answer", "text", help="what the prompt's task asks for"))
        parts.append(answers)
    names = [title for title, _ in found]
    if len(set(names)) < len(names):
        names = [f"{names[0]} (model)", f"{names[1]} (other)"]
    columns += [Column(name, "text") for name in names]
    parts += continued
    facts = {
        "model": found[0][1],
        "tokens": params.tokens,
        "decoding": "greedy" if params.temperature == 0 else f"drawn at temperature {params.temperature:g}",
        "stops": "after the tokenizer's end-of-text token, if it has one",
        "computed": "a whole pass for every token: keys and values are not kept",
        "n": len(texts),
    }
    summary = f"{len(texts):,} prompts, {params.tokens} tokens each"
    if len(continued) == 2:
        same = [a == b for a, b in zip(*continued)]
        columns.append(Column("same", "bool", help="whether both went on alike, to the last token"))
        parts.append(same)
        facts |= {"other": found[1][1], "same": sum(same) / len(same)}
        summary += f"; the same in {sum(same):,}"
    title = f"{found[0][0]} goes on" if len(found) == 1 else f"{found[0][0]} and {found[1][0]} go on"
    return Table(title=title, summary=summary, columns=tuple(columns), rows=tuple(zip(*parts)), facts=facts)


def _texts(params: GenerateParams, ctx: Context) -> tuple[list[str], list[str]]:
    if (params.prompts is None) == (not params.text):
        raise CallError("there is nothing to go on with, or two things", "prompts", "give either prompts or text")
    if params.prompts is None:
        return [params.text], [""]
    prompts = ctx.artifact(params.prompts)
    if not isinstance(prompts, Prompts):
        raise CallError(f"{params.prompts} is a {prompts.kind}, not prompts", "prompts", "give a set of prompts")
    if not prompts.rows:
        raise CallError("the set of prompts is empty", "prompts", "make or open at least one prompt")
    rows = prompts.rows[: params.n]
    return [row.clean for row in rows], [row.answers[0] if row.answers else "" for row in rows]


def _causal(ctx: Context, ref: str) -> Transformer:
    from engine.models.transformer import Transformer

    model = ctx.transformer(ref)
    assert isinstance(model, Transformer)
    if model.labels is not None or model.config.attention != "causal":
        problem = f"{model.handle.title} does not predict next tokens"
        raise CallError(problem, "model", "choose a causal model that was trained on text")
    return model


def _prompts(model: Transformer, texts: Sequence[str], tokens: int) -> list[list[int]]:
    begins = [] if model.tokenizer.bos_id is None else [model.tokenizer.bos_id]
    made = []
    for number, text in enumerate(texts, 1):
        try:
            ids = begins + model.tokenizer.encode(text)
        except CallError as error:
            raise CallError(f"{error.what} ({model.handle.title})", f"row {number}", error.remedy) from None
        if not ids:
            raise CallError("the prompt is empty", f"row {number}")
        if len(ids) + tokens > model.config.n_ctx:
            raise CallError(
                f"the prompt has {len(ids)} tokens, and {tokens} more do not fit into the {model.config.n_ctx} "
                f"of {model.handle.title}",
                f"row {number}",
                "ask for fewer tokens",
            )
        made.append(ids)
    return made


GENERATE = Operation(
    name="models.generate",
    title="Let a model go on with a text",
    summary="What a model makes of prompts, token by token, beside what another makes of them: a base model and its "
    "fine-tuned copy, to see what was forgotten.",
    params=GenerateParams,
    gives=("table",),
    function=generate_beside,
)
