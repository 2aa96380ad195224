"""Proofs about programs as operations: beside a task or another program, for one length and for every one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

from msgspec import Meta

from engine.operations import Context, Operation, Params, ProgramRef
from sessions.artifacts import AnyArtifact, Column, Program, Table
from sessions.errors import CallError, IwbError

if TYPE_CHECKING:
    from engine.synthesis.checks.proving import Proved
    from engine.synthesis.domain import Domain

Bound = Annotated[int, Meta(ge=-1000, le=1000)] | None
Length = Annotated[int, Meta(ge=1, le=100)] | None
COLUMNS = (
    Column("claim", "text"),
    Column("status", "text", help="proved, refuted or not proved"),
    Column("how", "text", help="the method, or why it is not proved"),
    Column("counterexample", "text", help="an input on which they differ; the evaluator ran both on it"),
)


class ProveParams(Params, frozen=True, kw_only=True):
    program: ProgramRef
    task: Annotated[str, Meta(description="the benchmark's task that it should do")] = ""
    specification: Annotated[ProgramRef | None, Meta(description="or a program that says what it should do: @ID")] = (
        None
    )
    low: Annotated[Bound, Meta(description="smallest input; none: the task's")] = None
    high: Annotated[Bound, Meta(description="largest input; none: the task's")] = None
    length: Annotated[Length, Meta(description="length of the second claim; none: the task's, else 10")] = None
    seconds: Annotated[float, Meta(description="what the search for a proof may take", gt=0, le=3600)] = 20.0


class CompareParams(Params, frozen=True, kw_only=True):
    program: ProgramRef
    other: Annotated[ProgramRef, Meta(description="the program to compare with: @ID")]
    low: Annotated[int, Meta(description="smallest input", ge=-1000, le=1000)] = 0
    high: Annotated[int, Meta(description="largest input", ge=-1000, le=1000)] = 1
    length: Annotated[int, Meta(description="length of the second claim", ge=1, le=100)] = 10
    seconds: Annotated[float, Meta(description="what the search for a proof may take", gt=0, le=3600)] = 20.0


def prove_program(params: ProveParams, ctx: Context) -> Sequence[AnyArtifact]:
    """The two claims, and the proof as text where there is one for every length."""
    from engine.synthesis.checks.proving import prove
    from engine.synthesis.programs.tracing import python_program
    from engine.synthesis.tasks.benchmark import task
    from engine.synthesis.tasks.specifications import SPECIFICATIONS

    where = "synthesis.prove"
    program = python_program(ctx.artifact(params.program), params.program, where)
    if bool(params.task) == (params.specification is not None):
        raise CallError("what it should do is not said", where, "give either task=NAME or specification=@ID")
    if params.specification is not None:
        other = python_program(ctx.artifact(params.specification), params.specification, where)
        source, name, domain = (
            other.source,
            params.specification,
            _domain(other, params.low, params.high, params.length),
        )
    else:
        chosen = task(params.task)
        source, name = SPECIFICATIONS[chosen.name], f"the specification of {chosen.name}"
        domain = _chosen(
            chosen.inputs, (chosen.low, chosen.high, chosen.length), params.low, params.high, params.length
        )
    ctx.progress(0, 2, "induction")
    proved = prove(program.source, source, domain, params.seconds, name=name)
    ctx.progress(1, 2, "export")
    texts, why_not = _texts(program.title, proved)
    ctx.progress(2, 2)
    return (_claims(f"Proof of {program.title}", proved, domain, why_not), *texts)


def compare_programs(params: CompareParams, ctx: Context) -> Sequence[AnyArtifact]:
    """Whether two programs give the same outputs."""
    from engine.synthesis.checks.proving import prove
    from engine.synthesis.programs.tracing import python_program

    one, other = (python_program(ctx.artifact(ref), ref, "synthesis.compare") for ref in (params.program, params.other))
    domain = _domain(one, params.low, params.high, params.length)
    ctx.progress(0, 1, "induction")
    proved = prove(one.source, other.source, domain, params.seconds, name=params.other)
    ctx.progress(1, 1)
    return (_claims(f"{params.program} and {params.other}", proved, domain, ""),)


def _domain(program: Program, low: int | None, high: int | None, length: int | None) -> Domain:
    """For a program of unknown domain: bits of length 10 where nothing else is said."""
    from engine.synthesis.programs.evaluator import parse

    return _chosen(len(parse(program.source).args.args), (0, 1, 10), low, high, length)


def _chosen(inputs: int, known: tuple[int, int, int], low: int | None, high: int | None, length: int | None) -> Domain:
    from engine.synthesis.domain import Domain

    domain = Domain(
        inputs,
        known[0] if low is None else low,
        known[1] if high is None else high,
        known[2] if length is None else length,
    )
    if domain.high < domain.low:
        raise CallError(f"high={domain.high} is below low={domain.low}", "high", "give low <= high")
    return domain


def _claims(title: str, proved: Proved, domain: Domain, why_not: str) -> Table:
    proofs = proved.proofs
    facts: dict[str, Any] = {"stage": "proof", "domain": str(domain)}
    if proved.induction is not None and proved.induction.relations:
        facts["relation"] = [one.words for one in proved.induction.relations]
    if why_not:
        facts["not exported"] = why_not
    return Table(
        title=title,
        summary="; ".join(f"{_short(proof.every_length, domain)}: {proof.status}" for proof in proofs),
        columns=COLUMNS,
        rows=tuple((one.claim, one.status, one.method or one.reason, one.counterexample) for one in proofs),
        facts=facts,
    )


def _short(every_length: bool, domain: Domain) -> str:
    return "every length" if every_length else f"length {domain.length}"


def _texts(title: str, proved: Proved) -> tuple[list[Program], str]:
    """The proof for every length in the languages there are, and why one is missing."""
    from engine.synthesis.checks.dafny import dafny, is_on_bits
    from engine.synthesis.checks.exported import exported
    from engine.synthesis.checks.smtlib import ASKED, answers, smtlib

    if proved.pair is None or proved.induction is None or not proved.induction.proved:
        return [], ""
    texts: list[Program] = []
    try:
        proof = exported(proved.pair, proved.induction)
        text = smtlib(proof)
        agreed = answers(text).count("unsat")
        summary = f"{ASKED} questions to a solver; z3 answers unsat to {agreed} of them"
        texts.append(_text(f"{title}, SMT-LIB", summary, text, "smt2"))
        if is_on_bits(proof):
            texts.append(_text(f"{title}, Dafny", "for Dafny 4; not run through Dafny here", dafny(proof), "dafny"))
    except IwbError as error:
        return texts, str(error)
    return texts, ""


def _text(title: str, summary: str, source: str, language: str) -> Program:
    return Program(title=title, summary=summary, source=source, language=language, facts={"stage": "proof"})


OPERATIONS: tuple[Operation, ...] = (
    Operation(
        name="synthesis.prove",
        title="Prove a program",
        summary="Prove that a program does what a task or another program says, on every sequence of every length "
        "(induction, z3) and of one length, or find an input where it does not. The proof is given as SMT-LIB text, "
        "for bits also as Dafny.",
        params=ProveParams,
        gives=("table", "program"),
        function=prove_program,
        source="Flanagan and Leino 2001 (Houdini); de Moura and Bjorner 2008 (Z3); Michaud et al. 2024 (MIPS)",
    ),
    Operation(
        name="synthesis.compare",
        title="Compare two programs",
        summary="Whether two programs give the same outputs on every sequence of a range of numbers: proved, or an "
        "input on which they differ.",
        params=CompareParams,
        gives=("table",),
        function=compare_programs,
        source="Flanagan and Leino 2001 (Houdini); de Moura and Bjorner 2008 (Z3)",
    ),
)
