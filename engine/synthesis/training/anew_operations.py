"""All networks of the benchmark trained anew, as a table that fills while one watches, and a folder of networks."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, wait
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
from msgspec import Meta

from engine.operations import Context, Operation, Params
from sessions.artifacts import AnyArtifact, Column, Table
from sessions.errors import CallError, nearest

if TYPE_CHECKING:
    from engine.synthesis.training.anew import Anew


class TrainAllParams(Params, frozen=True, kw_only=True):
    folder: Annotated[str, Meta(description="folder that the exact networks are written into, TASK.safetensors")]
    tasks: Annotated[tuple[str, ...], Meta(description="only these tasks; none: all 62")] = ()
    how: Annotated[
        Literal["plans", "portfolio"],
        Meta(
            description="each task's plan where it has one, and the portfolio where it has none or the plan fails; "
            "or the portfolio alone, which knows nothing of the task"
        ),
    ] = "plans"


def train_all(params: TrainAllParams, ctx: Context) -> Sequence[AnyArtifact]:
    """A row for each task; the exact networks are in the folder."""
    from engine.synthesis.tasks.benchmark import TASKS
    from engine.synthesis.training.anew import Anew, train_anew

    names = [task.name for task in TASKS]
    for name in params.tasks:
        if name not in names:
            raise CallError(f"'{name}' is not a task of the benchmark", "tasks", nearest(name, names))
    chosen = [name for name in names if not params.tasks or name in params.tasks]
    folder = Path(params.folder)
    if folder.exists() and not folder.is_dir():
        raise CallError(f"'{params.folder}' is a file", "folder", "give a folder, new or empty")
    folder.mkdir(parents=True, exist_ok=True)
    found = {name: msgspec.convert(saved, Anew) for name, saved in ctx.checkpoints().items() if name in chosen}
    for one in found.values():
        write(folder, one)
    todo = [name for name in chosen if name not in found]

    def keep(one: Anew) -> None:
        found[one.task] = one
        write(folder, one)
        ctx.checkpoint(one.task, msgspec.structs.asdict(one))
        ctx.partial(table(chosen, found, params.folder))

    def progress() -> None:
        ctx.progress(len(found), len(chosen), f"{sum(one.exact for one in found.values())} exact")

    if len(todo) == 1:  # to start processes costs more than it saves
        progress()
        keep(train_anew(todo[0], ctx.seed, params.how == "plans"))
    elif todo:
        executor = ctx.executor()
        waiting = {executor.submit(train_anew, name, ctx.seed, params.how == "plans") for name in todo}
        while waiting:
            progress()
            done, waiting = wait(waiting, timeout=0.2, return_when=FIRST_COMPLETED)
            for future in done:
                keep(future.result())
    progress()
    return (table(chosen, found, params.folder),)


def write(folder: Path, one: Anew) -> None:
    """TASK.safetensors and TASK.json; nothing, and what was there goes, if the network is not exact."""
    from engine.models.stored_rnn import read_rnn

    weights, described = (folder / f"{one.task}.{kind}" for kind in ("safetensors", "json"))
    if not one.exact:
        weights.unlink(missing_ok=True)
        described.unlink(missing_ok=True)
        return
    config, _ = read_rnn(one.weights, one.task)
    document = {"family": "rnn", "architecture": "mips-rnn", **msgspec.to_builtins(config)}
    weights.write_bytes(one.weights)
    described.write_bytes(msgspec.json.format(msgspec.json.encode(document), indent=1) + b"\n")


def table(chosen: Sequence[str], found: dict[str, Anew], folder: str) -> Table:
    """One row per task; unknown where it is not done yet."""
    rows: list[tuple[Any, ...]] = []
    for name in chosen:
        one = found.get(name)
        if one is None:
            rows.append((name, "", "", None, "", "", None, None, "", None, None))
            continue
        f, g = ("+".join(map(str, widths)) or "affine" for widths in (one.f, one.g))
        tested = "all there are" if one.exhaustive else "a sample"
        exact = "yes" if one.exact else "no"
        rows.append(
            (name, exact, one.how, one.hidden, f, g, one.right, one.tested, tested, one.worst, round(one.seconds, 1))
        )
    number = sum(one.exact for one in found.values())
    seconds = sum(one.seconds for one in found.values())
    return Table(
        title="Networks trained anew",
        summary=f"{number} of {len(chosen)} exact, in {folder}; {seconds:,.0f} seconds of computing",
        columns=(
            Column("task", "text"),
            Column("exact", "text", help="right on everything it was tested on"),
            Column("how", "text", help="by the task's plan, or by the portfolio that knows no task"),
            Column("hidden", "int"),
            Column("f", "text", help="widths of its hidden layers"),
            Column("g", "text", help="widths of its hidden layers"),
            Column("right", "int", help="sequences whose outputs are all right"),
            Column("tested", "int"),
            Column("sequences", "text", help="which were tested"),
            Column("largest error", "float", help="of an output, before rounding"),
            Column("seconds", "float", unit="s"),
        ),
        rows=tuple(rows),
        facts={"exact": number, "folder": folder},
    )


OPERATIONS: tuple[Operation, ...] = (
    Operation(
        name="synthesis.train_all",
        title="Train all 62 networks",
        summary="A network for each of the 62 tasks, trained anew with another seed, judged, and written into a folder "
        "that synthesis.benchmark takes.",
        params=TrainAllParams,
        gives=("table",),
        function=train_all,
        outputs=("folder",),
        source="Michaud et al. 2024 (MIPS), section 2",
    ),
)
