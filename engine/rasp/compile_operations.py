"""From a program to a model of the workbench, and what the model would be while the program is being written."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
import numpy as np
from msgspec import Meta

from engine.operations import Context, Params, RaspText
from sessions.artifacts import AnyArtifact, Edge, Graph, Model, Node, Program, Table, Verdict
from sessions.errors import CallError

if TYPE_CHECKING:
    from engine.rasp.agreement import Agreement
    from engine.rasp.compiled import Compiled
    from engine.rasp.reading import Source

ROWS = 500  # inputs in one pass

Vocab = Annotated[str, Meta(description="the tokens, 1,2,3 or a,b,c; a program of the library knows some")]
MaxLen = Annotated[
    Annotated[int, Meta(ge=1, le=1000)] | None, Meta(description="longest input, in tokens; none: the library's, or 5")
]
Causal = Annotated[bool | None, Meta(description="attend to earlier positions only; none: as the program is meant")]


class CompileParams(Params, frozen=True, kw_only=True):
    program: RaspText
    vocab: Vocab = ""
    max_len: MaxLen = None
    causal: Causal = None
    layer_norm: Annotated[bool, Meta(description="put LayerNorm before every block, faithfully")] = False
    pack: Annotated[bool, Meta(description="fewer heads and layers: share heads, start every part early")] = False
    rotate: Annotated[bool, Meta(description="turn the residual stream into a random orthogonal basis")] = False
    keep: Annotated[
        float, Meta(description="share of residual directions kept by a truncated SVD; 1 keeps all", gt=0, le=1)
    ] = 1.0
    construction: Annotated[
        Literal["repaired", "original", "tracr"],
        Meta(
            description="original: as Tracr builds it, its errors included, to compare with its models; "
            "tracr: by Tracr itself, where it is installed"
        ),
    ] = "repaired"
    device: Annotated[
        Literal["cpu", "auto", "cuda", "mps"], Meta(description="where the model will run; these are small")
    ] = "cpu"


class CheckParams(Params, frozen=True, kw_only=True):
    program: RaspText
    vocab: Vocab = ""
    max_len: MaxLen = None
    causal: Causal = None


def compile_(params: CompileParams, ctx: Context) -> Sequence[AnyArtifact]:
    """The model, the program beside it, the true circuit as a graph, and the table of variables."""
    from engine.rasp.accounts import lines, sizes, variables_table
    from engine.rasp.circuit import edges
    from engine.rasp.compiled import OURS, TRACR
    from engine.rasp.compiler import compile_program
    from engine.rasp.compression import compressed
    from engine.rasp.normalised import with_layer_norm
    from engine.rasp.reading import read_domain, read_program
    from engine.rasp.rotation import rotated

    where = "rasp.compile"
    source = with_lines(read_program(ctx, params.program, where, params.max_len))
    domain = read_domain(source, params.vocab, params.max_len, params.causal, where)
    if params.construction != "repaired" and (params.layer_norm or params.pack):
        raise CallError("the original construction has neither LayerNorm nor packing", where, "leave them out")
    if params.construction == "tracr":
        from engine.rasp.original import compile_with_tracr, find_tracr

        ctx.progress(0, 1, "Tracr")
        find_tracr()  # importing JAX takes seconds that are not the compiler's
    started = time.perf_counter()
    if params.pack:
        from engine.rasp.packing import packed

        compiled = packed(source.program, domain)
    elif params.construction == "tracr":
        compiled = compile_with_tracr(source.program, domain)
    else:
        compiled = compile_program(source.program, domain, TRACR if params.construction == "original" else OURS)
    milliseconds = (time.perf_counter() - started) * 1000
    options: list[str] = []
    facts: dict[str, Any] = {
        "vocab": list(domain.vocab),
        "max_len": domain.max_len,
        "causal": domain.causal,
        "construction": params.construction,
        "milliseconds": round(milliseconds, 3),
    }
    plain = compiled  # what the circuit and the variables are read from: their names survive no change of basis
    if params.pack:
        options.append("packed")
    if params.keep < 1:
        compiled, fidelity = compressed(compiled, params.keep, ctx.rng)
        options.append(f"{compiled.d_model} of {plain.d_model} directions")
        facts["fidelity"] = msgspec.to_builtins(fidelity)
    if params.rotate:
        compiled = rotated(compiled, ctx.rng)
        options.append("rotated")
    if params.layer_norm:  # last: its anchors would not survive a change of basis
        compiled = with_layer_norm(compiled)
        options.append("LayerNorm")
    facts["options"] = options
    facts |= sizes(compiled)
    verdict = _verdict(compiled, ctx)
    title = source.title if not options else f"{source.title} ({', '.join(options)})"
    model = keep(ctx, compiled, title, params.device, facts)
    program = Program(
        title=title,
        summary=f"{len(plain.variables)} s-ops, compiled in {milliseconds:.2f} ms; {verdict}",
        source=source.text,
        language="rasp",
        verdicts=(verdict,),
        facts=facts | {"lines": lines(plain.variables)},
    )
    graph = _graph(edges(compiled), title, facts)
    return model, program, graph, variables_table(plain, title, facts)


def check(params: CheckParams, ctx: Context) -> Sequence[AnyArtifact]:
    """The variables of the program as it stands, or the mistake in it and where."""
    from engine.rasp.accounts import COLUMNS, sizes, variables_table
    from engine.rasp.compiler import compile_program
    from engine.rasp.reading import read_domain, read_program

    where = "rasp.check"
    started = time.perf_counter()
    try:
        source = read_program(ctx, params.program, where, params.max_len)
        domain = read_domain(source, params.vocab, params.max_len, params.causal, where)
        compiled = compile_program(source.program, domain)
    except CallError as error:
        place = {name: getattr(error, name, 0) for name in ("line", "column", "length")}
        message = error.what + (f"; {error.remedy}" if error.remedy else "")
        mistake = place | {"message": message, "where": error.where}
        return [Table(title="program", summary=message, columns=COLUMNS, rows=(), facts={"error": mistake})]
    milliseconds = round((time.perf_counter() - started) * 1000, 3)
    return [variables_table(compiled, source.title, {"error": None, "milliseconds": milliseconds} | sizes(compiled))]


def with_lines(source: Source) -> Source:
    """A program whose every node knows its line: one that was made in Python is printed and read again."""
    from engine.rasp.printing import to_text
    from engine.rasp.syntax import parse

    if source.program.line:
        return source
    text = to_text(source.program)
    return source._replace(program=parse(text), text=text)


def keep(ctx: Context, compiled: Compiled, title: str, device: str, facts: dict[str, Any]) -> Model:
    """The compiled model's weights in the session, and the handle that finds them."""
    from engine.hardware import choose_device
    from engine.models.labelled import handle_of
    from engine.rasp.model import to_bytes

    data = to_bytes(compiled)
    place = device if device == "cpu" else choose_device(device)  # asking for another one takes torch
    return handle_of(data, title=title, source=ctx.keep_weights(data), device=place, facts=facts)


def agreement_of(compiled: Compiled, rng: np.random.Generator, most: int) -> Agreement:
    """The model's decoded outputs beside the interpreter's, on all inputs or a sample."""
    from engine.rasp import forward
    from engine.rasp.agreement import compare, defined, inputs_of
    from engine.rasp.vectorised import Batch

    domain = compiled.domain
    inputs, exhaustive = inputs_of(domain, rng, most)
    reference = defined(lambda some: Batch(some, domain.causal).evaluate(compiled.program), inputs)
    found = [row for at in range(0, len(inputs), ROWS) for row in forward.outputs(compiled, inputs[at : at + ROWS])]
    return compare(inputs, reference, found, exhaustive=exhaustive)


def _verdict(compiled: Compiled, ctx: Context) -> Verdict:
    from engine.rasp.agreement import in_words

    ctx.progress(0, 1, "beside the interpreter")
    work = compiled.n_layers * compiled.d_model * (compiled.d_mlp + 4 * compiled.n_heads * compiled.d_head)
    most = max(50, min(20_000, 2_000_000_000 // (work * compiled.domain.max_len)))  # a second or so
    found = agreement_of(compiled, ctx.rng, most)
    ctx.progress(1, 1)
    return verdict_of(found, "the interpreter", in_words(compiled.domain, found.exhaustive))


def verdict_of(found: Agreement, against: str, domain: str) -> Verdict:
    left_out = f", {found.undefined:,} of them not defined" if found.undefined else ""
    return Verdict(
        against=against,
        agreed=found.agreed,
        tested=found.tested,
        exhaustive=found.exhaustive,
        domain=domain + left_out,
        counterexample=found.difference,
    )


def _graph(found: Any, title: str, facts: dict[str, Any]) -> Graph:
    nodes: tuple[Node, ...] = found.nodes
    links: tuple[Edge, ...] = found.edges
    return Graph(
        title=f"{title}: true circuit",
        summary=f"{len(nodes)} components, {sum(e.weight > 0 for e in links)} edges, by construction",
        nodes=nodes,
        edges=links,
        facts=facts,
        weight_name="reads (1: a variable, 0: only a constant)",
        level="edges",
    )
