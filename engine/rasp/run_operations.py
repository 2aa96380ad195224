"""An input through a program, through the model it became, or through both: outputs, and everything in between."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from msgspec import Meta

from engine.operations import Context, ModelRef, Params, RaspText
from engine.rasp.compile_operations import Causal, Vocab
from sessions.artifacts import AnyArtifact, Axis, Column, Matrix, PromptRow, Prompts, Table
from sessions.components import Head
from sessions.errors import CallError

if TYPE_CHECKING:
    from engine.models.protocols import TransformerModel
    from engine.rasp.compiled import Domain
    from engine.rasp.functions import Value
    from engine.rasp.language import Node, SOp


class RunParams(Params, frozen=True, kw_only=True):
    program: Annotated[RaspText | None, Meta(description="a program, for the interpreter")] = None
    model: Annotated[ModelRef | None, Meta(description="a compiled model, for its weights")] = None
    inputs: Annotated[str, Meta(description="one input or several: [3,1,2] or [[3,1,2],[1,1]]")]
    vocab: Vocab = ""
    causal: Causal = None


class TraceParams(Params, frozen=True, kw_only=True):
    program: Annotated[RaspText | None, Meta(description="the program; none: the one the model was made from")] = None
    model: Annotated[ModelRef | None, Meta(description="a compiled model, for its attention patterns")] = None
    inputs: Annotated[str, Meta(description="one input, [3,1,2]")]
    vocab: Vocab = ""
    causal: Causal = None


class PromptsParams(Params, frozen=True, kw_only=True):
    model: ModelRef
    n: Annotated[int, Meta(description="prompts", ge=1, le=100_000)] = 100
    length: Annotated[
        Annotated[int, Meta(ge=1, le=1000)] | None,
        Meta(description="tokens of an input; none: the longest it takes, or all lengths where every position counts"),
    ] = None
    scored: Annotated[
        Literal["last", "every"],
        Meta(description="the answer at the last token, paired with one that differs; or the output at every position"),
    ] = "last"


def run(params: RunParams, ctx: Context) -> Sequence[AnyArtifact]:
    """A table: each input, what the interpreter says, what the weights say."""
    from engine.rasp.agreement import compare
    from engine.rasp.execution import outputs
    from engine.rasp.reading import read_inputs

    where = "rasp.run"
    inputs = read_inputs(params.inputs, where)
    program, model, domain = _subjects(ctx, params, where)
    _check(inputs, domain, model, where)
    columns, answers = [Column("input", "text")], []
    facts: dict[str, Any] = {"inputs": inputs}
    if program is not None:
        answers.append(_reference(program, inputs, params, domain))
        columns.append(Column("interpreter", "text", help="what the program says; none: a transformer cannot say it"))
    if model is not None:
        answers.append(outputs(model, inputs))
        columns.append(Column("weights", "text", help="what the model says, decoded"))
    summary = f"{_shown(inputs[0])} gives {_shown(answers[-1][0])}"
    rows: list[tuple[Any, ...]] = [
        (_shown(x), *(_shown(answer[i]) for answer in answers)) for i, x in enumerate(inputs)
    ]
    if len(answers) == 2:
        columns.append(Column("same", "bool", help="wherever the program's value is not none"))
        same = [compare([x], [w], [f], exhaustive=False).holds for x, w, f in zip(inputs, *answers)]
        rows = [(*row, right) for row, right in zip(rows, same)]
        summary += f"; {sum(same)} of {len(same)} inputs the same"
    facts["outputs"] = answers[-1]
    title = model.handle.title if model is not None else params.program or "program"
    return [
        Table(
            title=f"{_one_line(title)} run",
            summary=summary,
            columns=tuple(columns),
            rows=tuple(rows),
            facts=facts,
        )
    ]


def trace(params: TraceParams, ctx: Context) -> Sequence[AnyArtifact]:
    """Every s-op's values, every selector's matrix, and beside them the attention patterns of the model."""
    from engine.rasp.accounts import plain_names
    from engine.rasp.interpreter import evaluate_all
    from engine.rasp.language import Selector, SOp, labels, nodes
    from engine.rasp.reading import read_inputs

    where = "rasp.trace"
    inputs = read_inputs(params.inputs, where)
    if len(inputs) > 1:
        raise CallError(f"{len(inputs)} inputs were given", where, "trace one at a time, or use rasp.run")
    program, model, domain = _subjects(ctx, params, where)
    _check(inputs, domain, model, where)
    row = inputs[0]
    facts: dict[str, Any] = {"input": row}
    made: list[AnyArtifact] = []
    heads: dict[str, str] = {}
    if program is None and model is not None:
        program = _program_of(model)
    if program is not None:
        try:
            values = evaluate_all(program, row, causal=_causal(params, domain))
        except (ValueError, TypeError, ArithmeticError) as error:
            raise _undefined(row, error, where) from None
        names = plain_names(labels(program))
        facts["output"] = values[program]
        heads = _heads(program, domain, model)
        positions = tuple(Column(f"{i}: {token}", "text") for i, token in enumerate(row))
        made.append(
            Table(
                title="values",
                summary=f"{_shown(row)} gives {_shown(values[program])}",
                columns=(Column("s-op", "text"), Column("operation", "text"), *positions),
                rows=tuple(
                    (names[node], type(node).__name__, *(_word(v) for v in values[node]))
                    for node in nodes(program)
                    if isinstance(node, SOp)
                ),
                facts=facts,
            )
        )
        selectors = [node for node in nodes(program) if isinstance(node, Selector)]
        if selectors:
            made.append(_selectors(selectors, values, names, heads, row, facts))
    if model is not None:
        made.append(_patterns(model, row, heads, facts))
    return made


def prompts(params: PromptsParams, ctx: Context) -> Sequence[AnyArtifact]:
    """Inputs of one length whose answer at the last token differs between the clean and the corrupt one."""
    from engine.rasp.execution import labels_of, outputs
    from engine.rasp.reading import domain_of

    where = "rasp.prompts"
    model = ctx.transformer(params.model)
    labels = labels_of(model, where)
    if params.scored == "every":
        return [_everywhere(params, ctx, model)]
    if labels.outputs is None:
        raise CallError(
            f"{model.handle.title} gives a number, not a choice", where, "use scored=every, and measure by l2"
        )
    domain = domain_of(labels, model.config.n_ctx, model.config.attention == "causal")
    length = params.length or domain.max_len
    if length > domain.max_len:
        raise CallError(f"length={length} is more than the model takes", where, f"give at most {domain.max_len}")
    rows: list[PromptRow] = []
    for _ in range(20):
        drawn = ctx.rng.integers(len(domain.vocab), size=(2 * params.n, length))
        inputs = [[domain.vocab[i] for i in row] for row in drawn.tolist()]
        answers = [row[-1] for row in outputs(model, inputs)]
        pairs = zip(inputs[::2], inputs[1::2], answers[::2], answers[1::2])
        rows += [_prompt(a, b, x, y) for a, b, x, y in pairs if x != y]
        if len(rows) >= params.n:
            break
    if not rows:
        raise CallError("every input has the same answer at its last token", where, "choose another length")
    rows = rows[: params.n]
    return [
        Prompts(
            title=f"{model.handle.title} inputs",
            summary=f"{len(rows)} inputs of {length} tokens; the answer is the model's own at the last token",
            task="rasp",
            rows=tuple(rows),
            facts={"length": length, "seed": ctx.seed},
        )
    ]


def _everywhere(params: PromptsParams, ctx: Context, model: TransformerModel) -> Prompts:
    from engine.rasp.inputs import scored_everywhere

    rows = tuple(scored_everywhere(ctx.rng, params.n, model=model, length=params.length))
    lengths = "of all lengths" if params.length is None else f"of {params.length} tokens"
    answered = "answers are the model's own" if rows[0].answers else "a number has no answers: measure by l2"
    return Prompts(
        title=f"{model.handle.title} inputs",
        summary=f"{len(rows)} inputs {lengths}, scored at every position; {answered}",
        task="rasp",
        rows=rows,
        facts={"length": params.length or "all", "scored": "every position", "seed": ctx.seed},
    )


def _prompt(clean: list[Any], corrupt: list[Any], answer: Any, foil: Any) -> PromptRow:
    return PromptRow(
        clean=" ".join(map(str, clean)),
        corrupt=" ".join(map(str, corrupt)),
        answers=(str(answer),),
        foils=(str(foil),),
        group="rasp",
    )


def _subjects(
    ctx: Context, params: RunParams | TraceParams, where: str
) -> tuple[SOp | None, TransformerModel | None, Domain | None]:
    """The program and the model that were asked for, and the inputs they take, where that is known."""
    from engine.rasp.execution import labels_of
    from engine.rasp.reading import domain_of, read_domain, read_program

    if params.program is None and params.model is None:
        raise CallError("neither a program nor a model was given", where, "give program=sort, or model=@last, or both")
    domain = program = model = None
    if params.program is not None:
        source = read_program(ctx, params.program, where)
        program = source.program
        if params.vocab.strip() or params.causal is not None:
            domain = read_domain(source, params.vocab or "0", None, params.causal, where)
            if not params.vocab.strip():
                domain = None
    if params.model is not None:
        model = ctx.transformer(params.model)
        domain = domain_of(labels_of(model, where), model.config.n_ctx, model.config.attention == "causal")
    return program, model, domain


def _check(
    inputs: Sequence[Sequence[Value]], domain: Domain | None, model: TransformerModel | None, where: str
) -> None:
    from engine.rasp.reading import check_inputs

    if domain is not None:
        longest = domain.max_len if model is not None else max(len(row) for row in inputs)
        check_inputs(inputs, domain.vocab, longest, where)


def _causal(params: RunParams | TraceParams, domain: Domain | None) -> bool:
    if params.causal is not None:
        return params.causal
    return domain.causal if domain is not None else False


def _reference(
    program: SOp, inputs: Sequence[Sequence[Value]], params: RunParams, domain: Domain | None
) -> list[list[Value]]:
    """As the program stands: where it is not defined, that is what the person is told."""
    from engine.rasp.interpreter import evaluate

    found = []
    for row in inputs:
        try:
            found.append(evaluate(program, row, causal=_causal(params, domain)))
        except (ValueError, TypeError, ArithmeticError) as error:
            raise _undefined(row, error, "rasp.run") from None
    return found


def _undefined(row: Sequence[Value], error: Exception, where: str) -> CallError:
    return CallError(f"the program fails on {_shown(row)} ({error})", where, "give inputs it is made for")


def _program_of(model: TransformerModel) -> SOp | None:
    """The program a model says it was compiled from."""
    from engine.rasp.syntax import parse

    return parse(model.labels.program) if model.labels is not None and model.labels.program else None


def _heads(program: SOp, domain: Domain | None, model: TransformerModel | None) -> dict[str, str]:
    """Which head each selector became, by the selector's name: known when the model is the plain compilation."""
    from engine.rasp.accounts import plain_names
    from engine.rasp.compiler import compile_program
    from engine.rasp.language import Aggregate, SelectorWidth, labels

    if model is None or domain is None:
        return {}
    try:
        compiled = compile_program(program, domain)
    except CallError:
        return {}
    if (compiled.n_layers, compiled.n_heads) != (model.config.n_layers, model.config.n_heads):
        return {}
    names: dict[Node, str] = plain_names(labels(program))
    found = {}
    for variable in compiled.variables:
        if variable.head is not None and isinstance(variable.node, Aggregate | SelectorWidth):
            found[names[variable.node.selector]] = str(Head(variable.head.layer, variable.head.head))
    return found


def _selectors(
    selectors: list[Any],
    values: dict[Any, Any],
    names: dict[Any, str],
    heads: dict[str, str],
    row: Sequence[Value],
    facts: dict[str, Any],
) -> Matrix:
    at = tuple(f"{i}:{token}" for i, token in enumerate(row))
    shown = tuple(f"{names[s]} {heads[names[s]]}" if names[s] in heads else names[s] for s in selectors)
    return Matrix(
        title="selectors",
        summary=f"{len(selectors)} selectors; rows are queries",
        values=np.array([np.asarray(values[s], dtype=np.float32) for s in selectors]),
        axes=(Axis("selector", shown), Axis("query", at), Axis("key", at)),
        unit="selected",
        facts=facts,
    )


def _patterns(model: TransformerModel, row: Sequence[Value], heads: dict[str, str], facts: dict[str, Any]) -> Matrix:
    import torch

    from engine.rasp.execution import decoded, labels_of, token_ids

    labels = labels_of(model, "rasp.trace")
    tokens = torch.tensor(token_ids(labels, [row]), device=model.device)
    cache = model.forward(tokens, pattern=True)
    assert cache.pattern is not None
    facts["decoded"] = decoded(labels, model.unembed(cache.resid_pre[-1])[0, 1:].float().cpu())
    selector_of = {head: name for name, head in heads.items()}
    c = model.config
    every = [str(Head(layer, head)) for layer in range(c.n_layers) for head in range(c.n_heads)]
    at = ("BOS", *(f"{i}:{token}" for i, token in enumerate(row)))
    return Matrix(
        title="attention patterns",
        summary=f"{len(every)} heads; the model says {_shown(facts['decoded'])}",
        values=cache.pattern[:, 0].flatten(0, 1).float().cpu().numpy(),
        axes=(
            Axis("head", tuple(f"{head} {selector_of[head]}" if head in selector_of else head for head in every)),
            Axis("query", at),
            Axis("key", at),
        ),
        unit="attention",
        facts=facts,
    )


def _word(value: Value) -> str:
    return "none" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def _shown(values: Sequence[Value]) -> str:
    return "[" + ", ".join(_word(v) for v in values) + "]"


def _one_line(text: str) -> str:
    return text if "\n" not in text and len(text) <= 40 else "program"
