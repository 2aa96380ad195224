"""From a model's weights back to its program, with the part of the weights every line came from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

from msgspec import Meta

from engine.operations import Context, ModelRef, Params
from sessions.artifacts import AnyArtifact, Column, Program, Table, Verdict
from sessions.components import Head, Mlp

if TYPE_CHECKING:
    from engine.rasp.decompiling import Decompiled, Line
    from engine.rasp.language import Node


class DecompileParams(Params, frozen=True, kw_only=True):
    model: ModelRef
    most_inputs: Annotated[
        int, Meta(description="inputs that model and program are compared on; all, where there are no more", ge=1)
    ] = 20_000


def decompile(params: DecompileParams, ctx: Context) -> Sequence[AnyArtifact]:
    """The program, how it was verified, and a table of what every line was read from."""
    from engine.models.weights import state_dict
    from engine.rasp import decompiling
    from engine.rasp.execution import labels_of

    where = "rasp.decompile"
    model = ctx.transformer(params.model)
    labels = labels_of(model, where)
    ctx.progress(0, 2, "reading the weights")
    state = {name: tensor.cpu().numpy() for name, tensor in state_dict(model.config, model.weights).items()}  # type: ignore[attr-defined]
    found = decompiling.decompile(model.config, state, labels, rng=ctx.rng)
    ctx.progress(1, 2, "running model and program")
    verdicts = _verdicts(found, model, params, ctx)
    text, line_of = _text(found)
    written = text.splitlines()
    records = [_record(line, line_of, written) for line in found.lines]
    title = f"{model.handle.title} decompiled"
    facts: dict[str, Any] = {
        "vocab": list(found.domain.vocab),
        "max_len": found.domain.max_len,
        "causal": found.domain.causal,
        "verification": found.verification.what,
        "milliseconds": round(found.milliseconds, 2),
        "method": found.method,
        "unread": list(found.unread),
    }
    whole = found.program is not None and all(line.read for line in found.lines)
    state_of = "read whole" if whole and found.verification.holds else "read in part" if found.lines else "not read"
    program = Program(
        title=title,
        summary=f"{state_of} in {found.milliseconds:.1f} ms; {found.verification.what}",
        source=text,
        language="rasp",
        verdicts=verdicts,
        facts=facts | {"lines": [*records, *_selector_records(found, line_of, written)]},
    )
    ctx.progress(2, 2)
    return program, _parts(found, records, title, facts)


def _verdicts(found: Decompiled, model: Any, params: DecompileParams, ctx: Context) -> tuple[Verdict, ...]:
    """The program's outputs beside the model's own; the reference is the program, which says where it is defined."""
    from engine.rasp.agreement import compare, defined, in_words, inputs_of
    from engine.rasp.compile_operations import verdict_of
    from engine.rasp.execution import outputs
    from engine.rasp.vectorised import Batch

    if found.program is None:
        return ()
    program, domain = found.program, found.domain
    inputs, exhaustive = inputs_of(domain, ctx.rng, params.most_inputs)
    reference = defined(lambda some: Batch(some, domain.causal).evaluate(program), inputs)
    agreement = compare(inputs, reference, outputs(model, inputs), exhaustive=exhaustive)
    return (verdict_of(agreement, "the model", in_words(domain, exhaustive)),)


def _text(found: Decompiled) -> tuple[str, dict[Node, int]]:
    """The program, what could not be read said beside its line or on top, and the line every s-op stands in."""
    from engine.rasp.language import nodes
    from engine.rasp.printing import to_text
    from engine.rasp.syntax import parse

    head = [f"# not read: {sentence}" for sentence in found.unread]
    if found.program is None:
        return "\n".join([*head, "# the output could not be traced back to the input"]) + "\n", {}
    printed = to_text(found.program)
    again = nodes(parse(printed))
    line_of = {node: twin.line + len(head) for node, twin in zip(nodes(found.program), again, strict=True)}
    rows = [*head, *printed.splitlines()]
    for line in found.lines:
        if not line.read and (at := line_of.get(line.node, 0)):
            rows[at - 1] += f"  # read in part: {line.how}"
    return "\n".join(rows) + "\n", line_of


def _name(node: Node, at: int, written: Sequence[str]) -> str:
    """What the node is called in the text."""
    name, equals, _ = written[at - 1].partition(" = ") if at else ("", "", "")
    return name if equals else node.name


def _selector_records(found: Decompiled, line_of: dict[Node, int], written: Sequence[str]) -> list[dict[str, Any]]:
    """The lines of the selectors: each is the head that selects by it."""
    from engine.rasp.accounts import selector_line
    from engine.rasp.language import Aggregate, SelectorWidth

    records = []
    for line in found.lines:
        if line.head is not None and isinstance(line.node, Aggregate | SelectorWidth):
            selector = line.node.selector
            at = line_of.get(selector, 0)
            records += selector_line(at, _name(selector, at, written), str(Head(line.head.layer, line.head.head)))
    return records


def _record(line: Line, line_of: dict[Node, int], written: Sequence[str]) -> dict[str, Any]:
    at = 0 if line.op in ("Tokens", "Indices") else line_of.get(line.node, 0)
    parts = [] if line.head is None else [str(Head(line.head.layer, line.head.head))]
    parts += [str(Mlp(layer)) for layer in dict.fromkeys(units.layer for units in line.units)]
    return {
        "line": at,
        "name": _name(line.node, at, written),
        "components": parts or ["embed"],
        "units": list(line.units[0]) if len(line.units) == 1 else None,
        "dims": list(line.dims or ()),
        "read": line.read,
    }


def _parts(found: Decompiled, records: Sequence[dict[str, Any]], title: str, facts: dict[str, Any]) -> Table:
    return Table(
        title=f"{title}: parts",
        summary=f"{sum(line.read for line in found.lines)} of {len(found.lines)} s-ops read whole",
        columns=(
            Column("line", "int"),
            Column("s-op", "text"),
            Column("component", "text"),
            Column("units", "text", help="hidden units of the MLP, the last not included"),
            Column("directions", "text", help="residual directions; none where the basis is turned"),
            Column("what was read", "text"),
            Column("as well", "text", help="what the weights do not tell from the one chosen"),
            Column("whole", "bool"),
            Column("operation", "text"),
            Column("encoding", "text"),
        ),
        rows=tuple(
            (
                record["line"] or None,
                record["name"],
                ", ".join(record["components"]),
                ", ".join(f"{u.start}:{u.stop}" for u in line.units),
                _ranges(line.dims),
                line.how,
                "; ".join(line.alternatives),
                line.read,
                line.op,
                line.encoding,
            )
            for line, record in zip(found.lines, records)
        ),
        facts=facts,
    )


def _ranges(dims: Sequence[int] | None) -> str:
    """3, 4, 5, 9 as `3:6, 9`, the last not included."""
    if not dims:
        return ""
    runs: list[list[int]] = []
    for d in sorted(dims):
        if runs and runs[-1][1] == d:
            runs[-1][1] = d + 1
        else:
            runs.append([d, d + 1])
    return ", ".join(str(a) if b == a + 1 else f"{a}:{b}" for a, b in runs)
