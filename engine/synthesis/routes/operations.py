"""From a network to a program, as an operation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta

from engine.operations import Context, ModelRef, Operation, Params
from sessions.artifacts import AnyArtifact
from sessions.errors import CallError

if TYPE_CHECKING:
    from engine.models.protocols import RecurrentModel
    from engine.synthesis.domain import Domain


class ExtractParams(Params, frozen=True, kw_only=True):
    model: ModelRef
    length: Annotated[
        Annotated[int, Meta(ge=1, le=100)] | None,
        Meta(description="longest input sequence looked at; none: what the network was trained on"),
    ] = None
    low: Annotated[
        Annotated[int, Meta(ge=-1000, le=1000)] | None,
        Meta(description="smallest input; none: what the network was trained on"),
    ] = None
    high: Annotated[
        Annotated[int, Meta(ge=-1000, le=1000)] | None,
        Meta(description="largest input; none: what the network was trained on"),
    ] = None
    tolerance: Annotated[
        Annotated[float, Meta(gt=0)] | None,
        Meta(description="hidden states this near are one state; none: the coarsest consistent clustering"),
    ] = None
    max_states: Annotated[int, Meta(description="no automaton of more states is looked for", ge=1, le=4096)] = 256
    every_route: Annotated[bool, Meta(description="try the slow routes even where formulas were found already")] = False


def extract_program(params: ExtractParams, ctx: Context) -> Sequence[AnyArtifact]:
    """A program for a recurrent network, and what it came from, stage by stage."""
    from engine.synthesis.checks.verdicts import check, chunk_count, prove_program
    from engine.synthesis.routes.artifacts import artifacts
    from engine.synthesis.routes.extraction import STAGES, extract

    model = ctx.rnn(params.model)
    domain = domain_of(model, params)
    total = len(STAGES) + chunk_count(domain) + 1

    def progress(stage: str, done: int, of: int) -> None:
        at = STAGES.index(stage) if stage in STAGES else STAGES.index("automaton")
        ctx.progress(at, total, f"{stage} {done}/{of}" if of > 1 else stage)

    extraction = extract(
        model,
        domain,
        tolerance=params.tolerance,
        most_states=params.max_states,
        every_route=params.every_route,
        rng=ctx.rng,
        progress=progress,
    )
    verdicts = check(
        extraction.best.source,
        model,
        domain,
        ctx.seed,
        saved=ctx.checkpoints(),
        keep=ctx.checkpoint,
        progress=lambda chunk: ctx.progress(len(STAGES) + chunk, total, "check"),
    )
    ctx.progress(total - 1, total, "prove")
    proofs = prove_program(extraction.best.source, model, domain)
    ctx.progress(total, total)
    return artifacts(extraction, model, verdicts, proofs)


def domain_of(model: RecurrentModel, params: ExtractParams) -> Domain:
    """The inputs looked at: the network's own where none are given."""
    from engine.synthesis.domain import Domain

    low = model.low if params.low is None else params.low
    high = model.high if params.high is None else params.high
    if high < low:
        raise CallError(f"high={high} is below low={low}", "synthesis.extract", "give low <= high")
    return Domain(model.inputs, low, high, params.length or model.length)


OPERATIONS: tuple[Operation, ...] = (
    Operation(
        name="synthesis.extract",
        title="Network to program",
        summary="Turn a recurrent network into a Python program: the shortest that any route finds (linear updates, "
        "last inputs and outputs, a minimal automaton, counts, registers), checked against network and task, and "
        "proved equal to the task's specification where a proof is found.",
        params=ExtractParams,
        gives=("program", "matrix", "graph", "points", "table"),
        function=extract_program,
        version=2,
        source="Michaud et al. 2024 (MIPS), section 4; Myhill-Nerode minimisation with the network as oracle",
    ),
)
