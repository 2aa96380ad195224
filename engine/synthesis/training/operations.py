"""Training a recurrent network for a task, as an operation: live curves, and going on after an interruption."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
import numpy as np
from msgspec import Meta

from engine.models.operations import DeviceName
from engine.operations import Context, Operation, Params
from sessions.artifacts import AnyArtifact, Column, Curve, Model, Series, Table
from sessions.errors import CallError

if TYPE_CHECKING:
    from engine.synthesis.tasks.benchmark import Task
    from engine.synthesis.training.architectures import Network
    from engine.synthesis.training.arm import Point
    from engine.synthesis.training.batched import Recipe
    from engine.synthesis.training.searching import Best, Plan, Search

SAVE_SECONDS = 10.0  # between two saved states
Width = Annotated[int, Meta(ge=1, le=1024)]


class TrainParams(Params, frozen=True, kw_only=True):
    task: Annotated[str, Meta(description="task of the benchmark: Sum_Last3, Parity_All, Div_3...")]
    search: Annotated[
        Literal["portfolio", "paper", "none"],
        Meta(
            description="which networks are tried: a short list, side by side, of which the worse half is given up "
            "again and again; the paper's search; or none but the one that hidden, f and g say"
        ),
    ] = "portfolio"
    seeds: Annotated[
        Annotated[int, Meta(ge=1, le=1024)] | None,
        Meta(description="networks of each architecture, side by side; none: 8, and 5 in the paper's search"),
    ] = None
    hidden: Annotated[
        Annotated[int, Meta(ge=1, le=512)] | None, Meta(description="hidden numbers; given, only that network is tried")
    ] = None
    f: Annotated[tuple[Width, ...], Meta(description="widths of hidden layers of f, [16]; none: an affine map")] = ()
    g: Annotated[tuple[Width, ...], Meta(description="widths of hidden layers of g; none: an affine map")] = ()
    steps: Annotated[
        Annotated[int, Meta(ge=1, le=10_000_000)] | None,
        Meta(description="updates of each network; none: 6,000, and 10,000 in the paper's search"),
    ] = None
    lr: Annotated[
        Annotated[float, Meta(gt=0, le=10)] | None,
        Meta(description="learning rate of Adam; none: 0.005 falling along a cosine, in the paper's search 0.001"),
    ] = None
    batch: Annotated[
        Annotated[int, Meta(ge=1, le=1_000_000)] | None,
        Meta(description="sequences of one update; none: 512 or all there are, in the paper's search 4,096"),
    ] = None
    curriculum: Annotated[
        bool | None,
        Meta(description="score the first positions first; none: where f is not affine, never in the paper's search"),
    ] = None
    l1: Annotated[float, Meta(description="penalty on the size of weights, for a tidier network", ge=0)] = 0.0
    noise: Annotated[float, Meta(description="standard deviation of noise on the hidden states", ge=0)] = 0.0
    squared: Annotated[bool, Meta(description="squared error in place of the paper's logarithmic loss")] = False
    spread: Annotated[bool, Meta(description="start with the kinks of f spread over the range of the inputs")] = False
    device: DeviceName = "auto"


def train_network(params: TrainParams, ctx: Context) -> Sequence[AnyArtifact]:
    """Every network that was tried, how training went, and the best network."""
    from engine.hardware import choose_device, share_cores
    from engine.models.stored_rnn import rnn_bytes, stored_rnn
    from engine.synthesis.tasks.benchmark import task
    from engine.synthesis.training.arm import FINISH, Setting, configuration
    from engine.synthesis.training.judging import judge
    from engine.synthesis.training.searching import Search

    _check(params)
    chosen = task(params.task)
    plan, recipe = planned(params, chosen, ctx.seed)
    papers = params.search == "paper"
    share_cores(1)
    setting = Setting(
        chosen,
        params.seeds or (5 if papers else 8),
        params.batch or (4096 if papers else 512),
        ctx.seed,
        0 if papers else FINISH,
        choose_device(params.device),
    )
    search = Search(setting, plan)
    run(search, setting.task, ctx)
    found = search.best or search.nearest
    assert found is not None  # at least one stage ran
    judged = found.judged or judge(found.weights, chosen, ctx.seed, tick=lambda: _say(search, ctx))
    data = rnn_bytes(configuration(chosen, found.row.network), found.weights)
    facts = {
        "task": chosen.name,
        "exact": judged.exact,
        "right": judged.right,
        "tested": judged.tested,
        "tested_on": "all sequences there are" if judged.exhaustive else "fresh and awkward sequences, not all",
        "largest_error": judged.worst,
        "seed": ctx.seed,
        "network": found.row.seed,
        "steps": found.row.steps,
        "search": "none" if params.hidden is not None else params.search,
        **{name: getattr(recipe, name) for name in ("lr", "l1", "state_noise")},
    }
    model = stored_rnn(data, title=f"RNN {chosen.name}", source=ctx.keep_weights(data), facts=facts)
    model = msgspec.structs.replace(model, summary=f"{model.summary}; {judged}")
    return table(search, chosen, found, model), curves(search, chosen), model


def _check(params: TrainParams) -> None:
    if params.search == "paper" and params.hidden is not None:
        raise CallError("the paper's search chooses hidden itself", "hidden", "leave out hidden, or search=paper")
    if params.hidden is None and (params.f or params.g):
        raise CallError("f and g belong to one network", "f" if params.f else "g", "give hidden=... too")
    if params.hidden is None and params.search == "none":
        raise CallError("without a search there is no network to train", "search", "give hidden=... (and f, g)")


def planned(params: TrainParams, task: Task, seed: int) -> tuple[Plan, Recipe]:
    """Which networks are tried, and how they are trained where the plan says nothing else."""
    from engine.synthesis.training.architectures import Network
    from engine.synthesis.training.batched import Recipe
    from engine.synthesis.training.portfolio import Entry, Stage, stages
    from engine.synthesis.training.sampling import every_sequence
    from engine.synthesis.training.searching import in_order, papers

    papers_search = params.search == "paper"
    lr = params.lr or (1e-3 if papers_search else 5e-3)
    recipe = Recipe(
        steps=params.steps or (10_000 if papers_search else 6_000),
        lr=lr,
        final_lr=lr if papers_search else min(1e-5, lr),
        curriculum=bool(params.f) if params.curriculum is None else params.curriculum,
        state_noise=params.noise,
        squared=params.squared,
        spread=params.spread,
        prefixes=every_sequence(task) and not params.noise and params.batch is None and not papers_search,
        l1=params.l1,
    )
    if papers_search:
        return papers(recipe), recipe
    if params.hidden is not None:
        entry = Entry(Network(params.hidden, params.f, params.g), recipe)
        return in_order([Stage((entry,), (recipe.steps,))]), recipe
    return in_order(stages(task, recipe._replace(curriculum=params.curriculum is not False), seed)), recipe


def run(search: Search, task: Task, ctx: Context) -> None:
    """Advance a search to its end, from where an interrupted run of the same step left it."""
    saved = ctx.checkpoints().get("state")
    if saved is not None:
        search.restore(saved)
        ctx.log(f"goes on after {search.steps[0]:,} steps")
    last = time.monotonic()
    while not search.over:
        if search.advance(lambda: _say(search, ctx)):
            ctx.partial(curves(search, task))
        if (now := time.monotonic()) - last > SAVE_SECONDS:
            ctx.checkpoint("state", search.state())
            last = now


def _say(search: Search, ctx: Context) -> None:
    done, planned_steps = search.steps
    note = "judging"
    if not search.over:
        arm = search.arm
        note = words(arm.entry.network)
        if arm.curve:
            point = arm.curve[-1]
            note += f": {100 * point.accuracy:.2f} % right at the first {point.positions} positions"
    ctx.progress(done, max(planned_steps, done), note)


def words(network: Network) -> str:
    """`n 2, f 16, g affine`."""
    f, g = ("+".join(map(str, widths)) or "affine" for widths in (network.f, network.g))
    return f"n {network.hidden}, f {f}" + (f", g {g}" if network.g else "")


def curves(search: Search, task: Task) -> Series:
    """Of one architecture the accuracies and the loss; of several the best accuracy of each and the lowest loss."""
    tried = search.tried()
    x = np.array(sorted({point.step for _, points, _ in tried for point in points}), dtype=np.float64)

    def over(points: list[Point], name: str) -> np.ndarray[Any, np.dtype[np.float64]]:
        y = np.full(len(x), np.nan)
        for point in points:
            share = point.positions / task.length if name != "loss" else 1.0
            y[np.searchsorted(x, point.step)] = getattr(point, name) * share
        return y

    if len(tried) == 1:
        points = tried[0][1]
        best = over(points, "accuracy")
        drawn = [Curve("accuracy", best, over(points, "lowest"), best), Curve("loss", over(points, "loss"))]
    else:
        drawn = [Curve(words(network), over(points, "accuracy")) for network, points, _ in tried]
        if tried:
            closest = max(tried, key=lambda one: max(over(one[1], "accuracy")[~np.isnan(over(one[1], "accuracy"))]))
            drawn.append(Curve(f"loss, {words(closest[0])}", over(closest[1], "loss")))
    top = max((float(np.nanmax(curve.y)) for curve in drawn if not curve.name.startswith("loss")), default=0.0)
    return Series(
        title=f"Training {task.name}",
        summary=f"{len(tried)} architectures, {sum(len(rows) for *_, rows in tried)} networks; "
        f"best accuracy {100 * top:.2f} %",
        x=x,
        x_name="update",
        y_name="share of all outputs right (of the best network); mean loss",
        curves=tuple(drawn),
    )


def table(search: Search, task: Task, found: Best, model: Model) -> Table:
    """A row for each network that was trained."""
    rows: list[tuple[Any, ...]] = []
    for network, _, trained in search.tried():
        for row in trained:
            chosen = (row.network, row.seed) == (found.row.network, found.row.seed)
            row = found.row if chosen else row
            rows.append(
                (
                    words(network),
                    row.seed,
                    row.steps,
                    row.accuracy,
                    row.worst if np.isfinite(row.worst) else None,
                    row.since or None,
                    "exact" if row.exact else "",
                    "this one" if chosen else "",
                )
            )
    exact = sum(row[6] == "exact" for row in rows)
    return Table(
        title=f"Networks for {task.name}",
        summary=f"{len(rows)} networks; {exact} exact; {'best' if found.judged else 'nearest'}: {model.summary}",
        columns=(
            Column("architecture", "text"),
            Column("network", "int", help="which of those side by side"),
            Column("updates", "int", help="when it was last looked at; fewer where it was given up"),
            Column("accuracy", "float", help="share of the outputs of the last batch that are right, after rounding"),
            Column("largest error", "float", help="of an output, before rounding, on what it was last looked at with"),
            Column("right since", "int", help="the update since when all outputs of the batches looked at are right"),
            Column("exact", "text", help="on everything it was tested on after training"),
            Column("kept", "text"),
        ),
        rows=tuple(rows),
        facts=dict(model.facts),
    )


OPERATIONS: tuple[Operation, ...] = (
    Operation(
        name="synthesis.train",
        title="Train a network for a task",
        summary="Train recurrent networks for one of the 62 tasks, many side by side, until one is exact; the network "
        "is kept, ready for synthesis.extract, with the curves and a row for each network.",
        params=TrainParams,
        gives=("table", "series", "model"),
        function=train_network,
        source="Michaud et al. 2024 (MIPS), section 2",
    ),
)
