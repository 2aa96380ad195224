"""The benchmark: every network of a folder to a program, as a table that fills while one watches."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, wait
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import Meta

from engine.operations import Context, Operation, Params
from sessions.artifacts import AnyArtifact, Column, Table, Text
from sessions.errors import CallError, nearest

if TYPE_CHECKING:
    from engine.synthesis.routes.solving import Solved

STAGES = ("observe", "linear", "inputs", "counts", "automaton", "outputs", "registers", "again", "check", "prove")
ZOO = Path(__file__).parent.parent.parent / "models" / "zoo" / "rnn"


class BenchmarkParams(Params, frozen=True, kw_only=True):
    folder: Annotated[
        str, Meta(description="folder of networks, TASK.safetensors with TASK.json; none: the bundled ones")
    ] = ""
    tasks: Annotated[tuple[str, ...], Meta(description="only these tasks; none: all 62")] = ()


def benchmark(params: BenchmarkParams, ctx: Context) -> Sequence[AnyArtifact]:
    """A row for each of the tasks, the seconds by stage, and the programs."""
    from engine.synthesis.routes.solving import Solved, solve
    from engine.synthesis.tasks.benchmark import TASKS

    folder = Path(params.folder) if params.folder else ZOO
    if not folder.is_dir():
        raise CallError(f"'{params.folder}' is not a folder", "folder", "give a folder of networks")
    names = [task.name for task in TASKS]
    for name in params.tasks:
        if name not in names:
            raise CallError(f"'{name}' is not a task of the benchmark", "tasks", nearest(name, names))
    chosen = [name for name in names if not params.tasks or name in params.tasks]
    found: dict[str, Solved] = {
        name: msgspec.convert(saved, Solved) for name, saved in ctx.checkpoints().items() if name in chosen
    }
    todo = []
    for name in chosen:
        if name in found:
            continue
        if (folder / f"{name}.safetensors").exists():
            todo.append(name)
        else:
            found[name] = Solved(task=name, open="there is no network in the folder")

    def keep(solved: Solved) -> None:
        found[solved.task] = solved
        ctx.checkpoint(solved.task, msgspec.to_builtins(solved))
        ctx.partial(results(chosen, found))

    def progress(note: str) -> None:
        ctx.progress(len(found), len(chosen), note)

    if len(todo) <= 2:  # to start processes costs more than it saves
        for name in todo:
            progress(name)
            keep(solve(str(folder / f"{name}.safetensors"), ctx.seed))
    else:
        executor = ctx.executor()
        waiting = {executor.submit(solve, str(folder / f"{name}.safetensors"), ctx.seed): name for name in todo}
        while waiting:
            progress(f"{sum(one.solved for one in found.values())} solved")
            done, _ = wait(waiting, timeout=0.2, return_when=FIRST_COMPLETED)
            for future in done:
                del waiting[future]
                keep(future.result())
    progress("done")
    return results(chosen, found), stages(chosen, found), programs(chosen, found)


def results(chosen: Sequence[str], found: dict[str, Solved]) -> Table:
    """One row per task; unknown yet where it is not done."""
    from engine.synthesis.tasks.benchmark import TASKS
    from engine.synthesis.tasks.published import PUBLISHED, TOTALS

    numbers = {task.name: number for number, task in enumerate(TASKS, 1)}
    rows: list[tuple[Any, ...]] = []
    for name in chosen:
        one, published = found.get(name), PUBLISHED[name]
        paper = ("yes" if published.mips else "no", published.gpt4)
        if one is None:
            rows.append((numbers[name], name, "", "", None, "", "", "", "", "", None, *paper))
            continue
        rows.append(
            (
                numbers[name],
                name,
                "yes" if one.solved else "no",
                one.route or f"open: {one.open}",
                one.length if one.source else None,
                ("yes" if one.table else "no") if one.source else "",
                "yes" if one.against("the network") else "no",
                "yes" if one.against("the task's target") else "no",
                _proof(one, every_length=False),
                _proof(one, every_length=True),
                round(sum(one.seconds.values()), 2),
                *paper,
            )
        )
    done = [one for one in found.values() if one.task in chosen]
    solved = sum(one.solved for one in done)
    everywhere = sum(one.solved and one.proved(every_length=True) for one in done)
    tables = sum(one.table for one in done)
    return Table(
        title="MIPS benchmark",
        summary=f"{solved} of {len(chosen)} solved, {everywhere} proved for every length"
        + (f", {tables} more with a table" if tables else "")
        + f"; the paper: MIPS {TOTALS['MIPS']}, GPT-4 {TOTALS['GPT-4']} ({TOTALS['GPT-4 strict']} strictly) of 62",
        columns=(
            Column("#", "int"),
            Column("task", "text"),
            Column("solved", "text", help="formulas only, right on every sequence that was tested"),
            Column("route", "text", help="the way from the network to the program"),
            Column("length", "int", help="description length in tokens"),
            Column("table", "text", help="whether something is looked up in a table; counted apart"),
            Column("network", "text", help="agrees with the network on all that was tested"),
            Column("target", "text", help="agrees with the task's target on all that was tested"),
            Column("its length", "text", help="equal to the specification at the benchmark's length"),
            Column("every length", "text", help="equal to the specification at every length, by induction"),
            Column("seconds", "float", unit="s"),
            Column("MIPS", "text", help="solved in the paper"),
            Column("GPT-4", "text", help="solved in the paper; partly: not on every printed row"),
        ),
        rows=tuple(rows),
        facts={"solved": solved, "proved for every length": everywhere, "with a table": tables},
    )


def _proof(one: Solved, *, every_length: bool) -> str:
    return next((p.status for p in one.proofs if p.every_length == every_length), "")


def stages(chosen: Sequence[str], found: dict[str, Solved]) -> Table:
    """Seconds per task and stage, and their sums."""
    rows: list[tuple[Any, ...]] = [
        (name, *(round(found[name].seconds.get(stage, 0.0), 2) for stage in STAGES))
        for name in chosen
        if found[name].source
    ]
    sums = tuple(round(sum(found[name].seconds.get(stage, 0.0) for name in chosen), 2) for stage in STAGES)
    total = sum(sum(found[name].seconds.values()) for name in chosen)
    return Table(
        title="Seconds by stage",
        summary=f"{total:.0f} seconds of computing in all",
        columns=(Column("task", "text"), *(Column(stage, "float", unit="s") for stage in STAGES)),
        rows=(*rows, ("all", *sums)),
    )


def programs(chosen: Sequence[str], found: dict[str, Solved]) -> Text:
    """All programs, one after the other."""
    parts = []
    for name in chosen:
        one = found[name]
        head = f"## {name}\n\n"
        if not one.source:
            parts.append(f"{head}open: {one.open}\n")
            continue
        told = "".join(f"- {line}\n" for line in (*map(str, one.verdicts), *map(str, one.proofs)))
        parts.append(f"{head}```python\n{one.source}```\n\n{told}")
    return Text(title="Programs of the benchmark", summary=f"{len(parts)} tasks", markdown="\n".join(parts))


OPERATIONS: tuple[Operation, ...] = (
    Operation(
        name="synthesis.benchmark",
        title="The 62 tasks",
        summary="Every bundled network, or every network of a folder, to a program: by which route, how long, tested "
        "and proved how far, in how many seconds, beside the paper's results.",
        params=BenchmarkParams,
        gives=("table", "text"),
        function=benchmark,
        files=("folder",),
        source="Michaud et al. 2024 (MIPS), table of the 62 tasks",
    ),
)
