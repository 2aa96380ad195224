"""Training a meta-model as an operation, and the list of what can be done with one."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
import numpy as np
from msgspec import Meta

from engine.operations import Context, Operation, Params
from engine.rasp.metamodel_decoding_operations import DecodeParams, EvaluateParams, decode, evaluate
from sessions.artifacts import AnyArtifact, Curve, Model, Series, Text
from sessions.compare import OF_THIS_MACHINE
from sessions.errors import CallError

if TYPE_CHECKING:
    from engine.rasp.metamodel.architecture import Metamodel
    from engine.rasp.metamodel.data import Corpus, Row, Source
    from engine.rasp.metamodel.presets import Preset
    from engine.rasp.metamodel.scaling import Scaling
    from engine.rasp.metamodel.training import Measured, Training
    from engine.rasp.sampling.shard import Split

_SOURCE = "Towards meta-models for automated interpretability; section 6 of the reference"
_WHERE = "rasp.train_metamodel"
_DEVICES = Literal["auto", "cpu", "cuda", "mps"]
CHECKPOINT_SECONDS = {"smoke": 20.0, "published": 300.0}  # 2 MB and 60 MB
FEWEST = 20  # programs to learn from

Length = Annotated[int, Meta(ge=2, le=12)] | None
Count = Annotated[int, Meta(ge=1, le=10_000_000)] | None


class TrainParams(Params, frozen=True, kw_only=True):
    size: Annotated[
        Literal["smoke", "published"],
        Meta(
            description="smoke: 165 thousand parameters and programs of two operations, minutes on two cores; "
            "published: 5 million, programs of up to nine s-ops, a GPU for a day"
        ),
    ] = "smoke"
    programs: Annotated[Count, Meta(description="programs drawn for it, in all splits; none: the size's own")] = None
    dataset: Annotated[str, Meta(description="a folder of rasp.dataset to train on; empty: programs are drawn")] = ""
    shortest: Annotated[Length, Meta(description="shortest program, tokens and indices counted")] = None
    longest: Annotated[Length, Meta(description="longest program")] = None
    vocab_size: Annotated[
        Annotated[int, Meta(ge=2, le=20)] | None, Meta(description="the tokens are 0 to this, not included")
    ] = None
    max_len: Annotated[Annotated[int, Meta(ge=2, le=20)] | None, Meta(description="longest input, in tokens")] = None
    steps: Annotated[Count, Meta(description="batches; none: the size's own")] = None
    batch: Annotated[Annotated[int, Meta(ge=1, le=65_536)] | None, Meta(description="programs in a batch")] = None
    lr: Annotated[Annotated[float, Meta(gt=0, le=1)] | None, Meta(description="learning rate of Adam")] = None
    dense: Annotated[
        bool, Meta(description="models in a random basis and with 0.9 of their directions, as in the dense variant")
    ] = False
    device: Annotated[_DEVICES, Meta(description="where to train")] = "auto"


def train(params: TrainParams, ctx: Context) -> Sequence[AnyArtifact]:
    """The meta-model, its curves, and what the published size would take."""
    from engine.hardware import choose_device
    from engine.rasp.metamodel.architecture import encode
    from engine.rasp.metamodel.data import Corpus
    from engine.rasp.metamodel.presets import PRESETS
    from engine.rasp.metamodel.training import Training, from_plain, plain

    preset = PRESETS[params.size]
    device = choose_device(params.device)
    source = _source(params, ctx.seed, preset)
    given = {"steps": params.steps, "batch": params.batch, "lr": params.lr}
    recipe = msgspec.structs.replace(
        preset.recipe, seed=ctx.seed, **{name: value for name, value in given.items() if value is not None}
    )
    rows = _rows(params, ctx, source, preset, recipe.steps)
    train_set, validation = (Corpus(rows[split], preset.size, device=device) for split in ("train", "val"))
    if len(train_set) < FEWEST:
        raise CallError(
            f"only {len(train_set)} programs to train on fit the meta-model (at most {preset.size.m:,} weights and "
            f"{preset.size.r} tokens)",
            _WHERE,
            "give more programs, or size=published",
        )
    told = f"{train_set.dropped} too large" if train_set.dropped else "all fit"
    ctx.log(f"{len(train_set):,} programs to train on, {len(validation):,} to validate ({told}), on {device}")
    saved = ctx.checkpoints().get("training")
    training = Training(preset.size, recipe, train_set, validation, state=None if saved is None else from_plain(saved))
    kept_at = time.monotonic()

    def watch(training: Training) -> None:
        nonlocal kept_at
        try:
            ctx.progress(training.step, recipe.steps, _note(training))
        except BaseException:
            ctx.checkpoint("training", plain(training.state()))
            raise
        if time.monotonic() - kept_at > CHECKPOINT_SECONDS[params.size]:
            ctx.checkpoint("training", plain(training.state()))
            kept_at = time.monotonic()
        if training.curves and training.curves[-1].step == training.step:
            ctx.partial(_curves(training.curves, "Training so far", {}))

    ctx.progress(training.step, recipe.steps, "training")
    model = training.run(watch)
    model.describes = {"source": msgspec.to_builtins(source), "recipe": msgspec.to_builtins(recipe)}
    data = encode(model)
    facts = _facts(params, source, training, train_set, validation, device)
    title = f"meta-model, {params.size}{', dense' if params.dense else ''}"
    return [
        _handle(ctx.keep_weights(data), model, training, title, facts, device),
        _curves(training.curves, f"{title}: training", facts),
        _note_on_scaling(training, device, facts),
    ]


def _source(params: TrainParams, seed: int, preset: Preset) -> Source:
    from engine.rasp.metamodel.data import Source
    from engine.rasp.metamodel.presets import KEPT
    from engine.rasp.sampling.dataset import read_manifest

    dense = KEPT if params.dense else None
    chosen = {
        name: value
        for name in ("shortest", "longest", "vocab_size", "max_len")
        if (value := getattr(params, name)) is not None
    }
    if params.dataset:
        if chosen or params.programs is not None:
            name = next(iter(chosen), "programs")
            raise CallError(
                f"{name} and dataset were both given", _WHERE, "the dataset says what its programs are: give one"
            )
        folder = Path(params.dataset).expanduser()
        return Source(plan=read_manifest(folder).plan, dense=dense, folder=str(folder))
    plan = msgspec.structs.replace(preset.plan, seed=seed, **chosen)
    if plan.longest < plan.shortest:
        raise CallError(
            f"the longest program ({plan.longest}) is shorter than the shortest ({plan.shortest})",
            _WHERE,
            "give shortest <= longest",
        )
    return Source(plan=plan, dense=dense)


def _rows(params: TrainParams, ctx: Context, source: Source, preset: Preset, steps: int) -> dict[Split, list[Row]]:
    from engine.rasp.metamodel.data import draw, load

    def progress(done: int, total: int, note: str) -> None:
        ctx.progress(0, steps, f"{done:,} of {total:,} {note}")

    if source.folder:
        return {"train": load(source, "train", progress), "val": load(source, "val", progress)}
    n = params.programs or preset.programs
    drawn = draw(source, n, splits=("train", "val"), executor=ctx.executor(), progress=progress)
    found = sum(map(len, drawn.rows.values()))
    if found < n:
        ctx.log(f"there are few different programs of these lengths: {found:,} were found in {drawn.draws:,} draws")
    return drawn.rows


def _note(training: Training) -> str:
    if not training.curves:
        return "training"
    last = training.curves[-1]
    return f"loss {last.validation:.3f}, tokens {last.tokens:.1%}, programs {last.programs:.1%}"


def _facts(
    params: TrainParams, source: Source, training: Training, train_set: Corpus, validation: Corpus, device: str
) -> dict[str, Any]:
    plan = source.plan
    last = training.curves[-1]
    return {
        "size": params.size,
        "programs": f"length {plan.shortest} to {plan.longest}, tokens 0 to {plan.vocab_size - 1}, inputs of up to "
        f"{plan.max_len}",
        "dense": source.dense or False,
        "dataset": source.folder or "drawn for this training",
        "trained on": len(train_set),
        "validated on": len(validation),
        "too large": train_set.dropped,
        "steps": training.step,
        "batch": training.recipe.batch,
        "epochs": round(training.step * min(training.recipe.batch, len(train_set)) / len(train_set), 2),
        "device": device,
        "validation loss": round(last.validation, 4),
        "validation tokens right": round(last.tokens, 4),
        "validation programs right": round(last.programs, 4),
    }


def _handle(source: str, model: Metamodel, training: Training, title: str, facts: dict[str, Any], device: str) -> Model:
    size = model.size
    last = training.curves[-1]
    return Model(
        title=title,
        summary=f"{size.layers} layers, width {size.d}, {size.parameters:,} parameters; after {training.step:,} steps "
        f"{last.programs:.1%} of validation programs exactly right, {last.tokens:.1%} of tokens",
        source=source,
        family="metamodel",
        architecture="rasp-metamodel",
        sha256=source.removeprefix("session:"),
        config={"size": msgspec.to_builtins(size), **model.describes},
        parameters=size.parameters,
        device=device,
        bytes_needed=4 * size.parameters,
        facts=facts,
    )


def _curves(points: Sequence[Measured], title: str, facts: dict[str, Any]) -> Series:
    def of(name: str) -> np.ndarray[Any, np.dtype[np.float64]]:
        return np.array([getattr(point, name) for point in points], dtype=np.float64)

    last = points[-1]
    return Series(
        title=title,
        summary=f"validation at step {last.step:,}: loss {last.validation:.3f}, {last.tokens:.1%} of tokens, "
        f"{last.programs:.1%} of whole programs right",
        x=of("step"),
        x_name="step",
        y_name="loss (nats a token), share right",
        curves=(
            Curve("loss, training", of("loss")),
            Curve("loss, validation", of("validation")),
            Curve("tokens right", of("tokens")),
            Curve("programs right", of("programs")),
        ),
        facts=facts,
    )


def _note_on_scaling(training: Training, device: str, facts: dict[str, Any]) -> Text:
    from engine.hardware import is_out_of_memory
    from engine.rasp.metamodel.scaling import measure

    scaling: Scaling | None = None
    rows = 256 if device.startswith("cuda") else 4
    while scaling is None and rows:
        try:
            scaling = measure(device, rows)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            rows //= 4
    step = training.seconds / training.ran if training.ran else float("nan")
    return Text(
        title="What the published size would take",
        markdown=_scaling_text(step, scaling),
        facts=facts | {OF_THIS_MACHINE: True},
    )


def _scaling_text(step: float, scaling: Scaling | None) -> str:
    from engine.hardware import human_bytes
    from engine.rasp.metamodel.scaling import PROGRAMS, PUBLISHED_HOURS, USED

    here = f"A step of this training took {step * 1000:.0f} ms (validation left out).\n\n"
    if scaling is None:
        return here + "A step of the published size does not fit into the memory of this machine.\n"
    s = scaling
    scaled = f", measured with {s.measured_batch} rows" if s.measured_batch < 256 else ""
    return (
        here
        + f"""**The published size** (4.9 million parameters, batches of 256, {PROGRAMS / 1e6:.1f} million programs):

| | here ({s.device}) | one RTX 3090, at {USED:.0%} of its float32 peak |
|---|---|---|
| a step | {s.seconds:.3g} s{scaled} | {s.gpu_step:.2g} s (computed, not measured) |
| one pass over the dataset | {s.epoch_hours:.3g} hours | {s.epoch_hours * s.gpu_step / s.seconds:.2g} hours |
| the published training | {s.days:.3g} days | {PUBLISHED_HOURS} hours (published) |

A step is {s.flop / 1e12:.2g} TFLOP, {s.rate / 1e9:.3g} GFLOP a second here, and takes about {human_bytes(s.memory)}.
Several GPUs: `torchrun --nproc-per-node N -m engine.rasp.metamodel.launch DATASET OUT`, with a folder that \
`rasp.dataset` wrote.
"""
    )


OPERATIONS: tuple[Operation, ...] = (
    Operation(
        name="rasp.train_metamodel",
        title="Train a meta-model",
        summary="A transformer that reads the weights of a compiled program and writes the program: the published "
        "architecture, small enough for this machine or whole, with its curves and what the published size would take.",
        params=TrainParams,
        gives=("model", "series", "text"),
        function=train,
        files=("dataset",),
        source=_SOURCE,
    ),
    Operation(
        name="rasp.evaluate_metamodel",
        title="Evaluate a meta-model",
        summary="On programs it has not seen: how often it finds the whole program, greedily, by beam search and by "
        "verified decoding, by the program's length and beside the published figures.",
        params=EvaluateParams,
        gives=("table", "text"),
        function=evaluate,
        source=_SOURCE,
    ),
    Operation(
        name="rasp.decode",
        title="Decode a program with a meta-model",
        summary="Candidate programs for a model, each compiled and held against it: the same weights, the same "
        "behaviour, or where they differ.",
        params=DecodeParams,
        gives=("table", "program"),
        function=decode,
        source=_SOURCE,
    ),
)
