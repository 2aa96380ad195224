"""Training a Transformer Program, and turning it into Python, as operations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from msgspec import Meta

from engine.operations import Context, ModelRef, Operation, Params, ProgramRef
from sessions.artifacts import AnyArtifact, Column, Curve, Model, Program, Series, Table, Verdict
from sessions.errors import CallError

if TYPE_CHECKING:
    from engine.rasp.transformer_programs.agreement import Agreement
    from engine.rasp.transformer_programs.model import Shape
    from engine.rasp.transformer_programs.restarts import Attempt
    from engine.rasp.transformer_programs.storage import Stored
    from engine.rasp.transformer_programs.structure import Structure
    from engine.rasp.transformer_programs.tasks import Task
    from engine.rasp.transformer_programs.training import Progress, Recipe

TaskName = Literal[
    "histogram", "hist", "reverse", "double_histogram", "double_hist", "sort", "most_frequent", "most_freq", "dyck1",
    "dyck2",
]  # fmt: skip
Count = Annotated[int, Meta(ge=0, le=16)] | None
ABLATED = 2_000  # inputs that each part is taken out on
_SOURCE = "Friedman, Wettig, Chen 2023 (Learning Transformer Programs)"


class TrainParams(Params, frozen=True, kw_only=True):
    task: Annotated[TaskName, Meta(description="what to learn: hist, reverse, double_hist, sort, most_freq, dyck1...")]
    layers: Annotated[Annotated[int, Meta(ge=1, le=8)] | None, Meta(description="none: as in the paper")] = None
    categorical_heads: Annotated[Count, Meta(description="heads per layer that copy a value; none: the paper's")] = None
    numerical_heads: Annotated[Count, Meta(description="heads per layer that sum; none: the paper's")] = None
    categorical_mlps: Annotated[Count, Meta(description="tables of two values per layer; none: the paper's")] = None
    numerical_mlps: Annotated[Count, Meta(description="tables of two numbers per layer; none: the paper's")] = None
    hidden: Annotated[int, Meta(description="hidden units of an MLP while training", ge=1, le=1024)] = 64
    epochs: Annotated[
        Annotated[int, Meta(ge=1, le=10_000)] | None, Meta(description="per attempt; none: enough for the task")
    ] = None
    n: Annotated[int, Meta(description="different inputs: 80 % train, 10 % validate, 10 % test", ge=10)] = 20_000
    attempts: Annotated[
        Annotated[int, Meta(ge=1, le=100)] | None,
        Meta(description="networks tried until one is good enough; none: a few"),
    ] = None
    enough: Annotated[float, Meta(description="share of validation positions right that ends it", gt=0, le=1)] = 0.999
    refit: Annotated[bool, Meta(description="fit the classifier again on hard choices; not in the paper")] = True
    vocabulary: Annotated[int, Meta(description="tokens, <s>, </s> and <pad> included", ge=4, le=64)] = 8
    length: Annotated[
        Annotated[int, Meta(ge=3, le=64)] | None, Meta(description="longest input with <s>, </s>; none: the paper's")
    ] = None
    batch: Annotated[int, Meta(description="inputs per step of the optimizer", ge=1)] = 512
    lr: Annotated[float, Meta(description="learning rate of Adam", gt=0)] = 0.05
    first_temperature: Annotated[float, Meta(description="of the choices, in the beginning", gt=0)] = 3.0
    last_temperature: Annotated[float, Meta(description="in the end; it falls geometrically", gt=0)] = 0.01


class ConvertParams(Params, frozen=True, kw_only=True):
    model: ModelRef = "@last"
    most: Annotated[
        int, Meta(description="inputs tried: all if there are no more, else so many drawn", ge=1, le=10_000_000)
    ] = 400_000


class RunParams(Params, frozen=True, kw_only=True):
    program: ProgramRef = "@last"
    tokens: Annotated[list[str | int], Meta(description='the input without <s> and </s>: ["3","1","2"] or [3,1,2]')]


def train_program(params: TrainParams, ctx: Context) -> Sequence[AnyArtifact]:
    """A network of hard choices for a small task, with its curves and accuracies."""
    from engine.rasp.transformer_programs.restarts import Watch, attempts, best
    from engine.rasp.transformer_programs.settings import SIZES, shape_of
    from engine.rasp.transformer_programs.storage import Description, to_bytes
    from engine.rasp.transformer_programs.tasks import make_data, make_task
    from engine.rasp.transformer_programs.training import Recipe

    task = make_task(params.task, vocabulary=params.vocabulary, length=params.length)
    shape = shape_of(
        task,
        layers=params.layers,
        categorical_heads=params.categorical_heads,
        numerical_heads=params.numerical_heads,
        categorical_mlps=params.categorical_mlps,
        numerical_mlps=params.numerical_mlps,
        hidden=params.hidden,
    )
    recipe = Recipe(
        params.epochs or SIZES[task.name].epochs,
        params.batch,
        params.lr,
        params.first_temperature,
        params.last_temperature,
    )
    data = make_data(task, params.n, ctx.rng)
    most = params.attempts or SIZES[task.name].attempts
    total = most * recipe.epochs

    def batch(number: int, done: int) -> None:
        ctx.progress(number * recipe.epochs + done, total, f"attempt {number + 1} of up to {most}")

    def epoch(number: int, history: list[Progress]) -> None:
        ctx.partial(_curves(task, recipe, number, history))

    watch = Watch(batch, epoch, ctx.checkpoint, ctx.checkpoints())
    tried = attempts(shape, data, recipe, seed=ctx.seed, most=most, enough=params.enough, fit=params.refit, watch=watch)
    chosen = best(tried)
    ctx.progress(total, total)
    description = Description(task=task.name, vocabulary=params.vocabulary, length=params.length, shape=shape)
    source = ctx.keep_weights(to_bytes(description, chosen.weights))
    return (
        _model(task, shape, chosen, source),
        _curves(task, recipe, chosen.number, chosen.history),
        _accuracies(task, tried, chosen, most, params.n),
    )


def _words(shape: Shape) -> str:
    layers = f"{shape.layers} layer{'s' if shape.layers != 1 else ''}"
    return (
        f"{layers}, {shape.categorical_heads} + {shape.numerical_heads} heads and "
        f"{shape.categorical_mlps} + {shape.numerical_mlps} MLPs (categorical + numerical) in each"
    )


def _model(task: Task, shape: Shape, chosen: Attempt, source: str) -> Model:
    numbers = sum(int(np.prod(size)) for size in shape.shapes().values())
    right = f"{100 * chosen.test:.2f} %"
    return Model(
        title=f"Transformer Program {task.name}",
        summary=f"{_words(shape)}; discrete, it gets {right} of the test positions right",
        source=source,
        family="transformer_program",
        architecture="transformer-program",
        sha256=source.removeprefix("session:"),
        config={"task": task.name, **{name: getattr(shape, name) for name in shape.__struct_fields__}},
        parameters=numbers,
        bytes_needed=4 * numbers,
        facts={
            "task": f"{task.name}: {task.summary}",
            "inputs": task.domain,
            "test accuracy, soft": round(chosen.test_soft, 6),
            "test accuracy, hard": round(chosen.test_hard, 6),
            "test accuracy, the program": round(chosen.test, 6),
        },
    )


def _curves(task: Task, recipe: Recipe, number: int, history: list[Progress]) -> Series:
    def curve(name: str, values: list[float]) -> Curve:
        y = np.full(recipe.epochs, np.nan)
        y[: len(values)] = values
        return Curve(name, y)

    return Series(
        title=f"Training {task.name}",
        summary=f"attempt {number + 1}, {len(history)} of {recipe.epochs} epochs; loss {history[-1].loss:.4f}, "
        f"validation {100 * history[-1].discrete:.2f} % with hard choices",
        x=np.arange(1, recipe.epochs + 1, dtype=np.float64),
        x_name="epoch",
        y_name="loss (nats), share right",
        curves=(
            curve("loss", [p.loss for p in history]),
            curve("validation, soft choices", [p.soft for p in history]),
            curve("validation, hard choices", [p.discrete for p in history]),
        ),
        facts={"temperature": f"{recipe.first_temperature:g} to {recipe.last_temperature:g}, geometric"},
    )


def _accuracies(task: Task, tried: list[Attempt], chosen: Attempt, most: int, n: int) -> Table:
    columns = (
        Column("attempt", "int"),
        Column("chosen", "bool"),
        Column("loss", "float", "nats", "mean of the last epoch"),
        Column("validation", "float", "", "share of positions the program gets right; attempts are compared by it"),
        Column("test, soft", "float", "", "share of positions, softmax at the last temperature, no noise"),
        Column("test, hard", "float", "", "share of positions, argmax everywhere"),
        Column("test, program", "float", "", "share of positions, with the classifier fitted again"),
    )
    rows = tuple(
        (a.number + 1, a is chosen, a.history[-1].loss, a.validation, a.test_soft, a.test_hard, a.test) for a in tried
    )
    return Table(
        title=f"Accuracy {task.name}",
        summary=f"test positions right: {100 * chosen.test_soft:.2f} % soft, {100 * chosen.test:.2f} % as a "
        f"program; {len(tried)} of up to {most} attempts",
        columns=columns,
        rows=rows,
        facts={"n": n, "inputs": task.domain},
    )


def convert_program(params: ConvertParams, ctx: Context) -> Sequence[AnyArtifact]:
    """Python for a trained network, checked against it and against the task."""
    from engine.rasp.transformer_programs.ablation import accuracy_drops
    from engine.rasp.transformer_programs.agreement import Agreement, compare, inputs
    from engine.rasp.transformer_programs.conversion import convert, observe
    from engine.rasp.transformer_programs.interpretation import ProgramText
    from engine.rasp.transformer_programs.storage import from_bytes
    from engine.rasp.transformer_programs.tasks import make_data
    from engine.rasp.transformer_programs.writing import write

    handle = ctx.artifact(params.model)
    if not isinstance(handle, Model) or handle.family != "transformer_program":
        raise CallError(
            f"{params.model} is not a Transformer Program",
            "transformer_programs.convert",
            "train one with transformer_programs.train, and name it: model=@ID",
        )
    stored = from_bytes(ctx.stored_weights(params.model))
    task, shape, weights = stored
    cases = min(task.size, params.most)
    total = 2 * cases
    complete, payloads = inputs(task, params.most, ctx.rng)
    seen = observe(
        shape, weights, task, payloads, complete=complete, progress=lambda done: ctx.progress(done, total, "read")
    )
    structure = convert(shape, weights, task, seen)
    source = write(structure, f"Read from a trained network of {_words(shape)}.")
    program = ProgramText(source)
    sums = (Agreement(), Agreement())
    # A sample to check on is drawn anew: it must not be the one that the tables were made from.
    for payload in inputs(task, params.most, ctx.rng)[1]:
        ctx.progress(min(cases + sums[0].tested, total), total, "check")
        network, target = compare(program, shape, weights, task, payload)
        sums = (sums[0].and_then(network), sums[1].and_then(target))
    names = [part.output for part in structure.parts]
    examples = make_data(task, ABLATED, ctx.rng).train
    drops = accuracy_drops(shape, weights, examples, names)
    ctx.progress(total, total)
    verdicts = tuple(
        _verdict(against, agreement, complete, task)
        for against, agreement in zip(("the network", "the task's target"), sums)
    )
    return _program(structure, source, stored, verdicts), _parts(structure, drops, len(examples.ids))


def _verdict(against: str, agreement: Agreement, complete: bool, task: Task) -> Verdict:
    return Verdict(
        against=against,
        agreed=agreement.agreed,
        tested=agreement.tested,
        exhaustive=complete,
        domain=task.domain,
        counterexample=agreement.difference,
    )


def _program(structure: Structure, source: str, stored: Stored, verdicts: tuple[Verdict, ...]) -> Program:
    kept, dropped = len(structure.parts), len(structure.dropped)
    return Program(
        title=f"Program {structure.task}",
        summary=f"{kept} heads and MLPs of {kept + dropped}, {source.count(chr(10))} lines; {verdicts[0]}",
        source=source,
        verdicts=verdicts,
        facts={
            "task": f"{structure.task}: {structure.summary}",
            "network": _words(stored.shape),
            "symbols": list(stored.task.symbols),
            "left out, because nothing depends on it": list(structure.dropped),
            "tables made from": "every input" if structure.enumerated else "a sample of the inputs",
        },
    )


def _parts(structure: Structure, drops: list[float], cases: int) -> Table:
    rows: list[tuple[Any, ...]] = []
    for part, drop in zip(structure.parts, drops):
        rows.append((part.label, part.function, part.output, ", ".join(part.reads), round(100 * drop, 3)))
    return Table(
        title=f"Parts of program {structure.task}",
        summary=f"{len(rows)} heads and MLPs that the program uses; {len(structure.dropped)} left out",
        columns=(
            Column("part", "text", help="layer, kind and number in the network"),
            Column("function", "text", help="its name in the program"),
            Column("writes", "text"),
            Column("reads", "text"),
            Column("accuracy drop", "float", "points", f"without it, on {cases:,} inputs, in percentage points"),
        ),
        rows=tuple(rows),
        facts={"left out": list(structure.dropped)},
    )


def run_program(params: RunParams, ctx: Context) -> Sequence[AnyArtifact]:
    """The program on one input: every variable at every position."""
    from engine.rasp.transformer_programs.interpretation import MOST_POSITIONS, ProgramText

    program = ctx.artifact(params.program)
    if not isinstance(program, Program) or program.language != "python":
        raise CallError(f"{params.program} is not a Python program", "transformer_programs.run", "give the @ID of one")
    tokens = [str(token) for token in params.tokens]
    if not 1 <= len(tokens) <= MOST_POSITIONS // 4:
        raise CallError(f"{len(tokens)} tokens", "tokens", f"give 1 to {MOST_POSITIONS // 4:,}")
    known = program.facts.get("symbols") or tokens
    if strange := next((token for token in tokens if token not in known), None):
        raise CallError(f"'{strange}' is no token of this program", "tokens", f"use {', '.join(map(str, known))}")
    symbols = tuple(dict.fromkeys(tokens))
    codes = np.array([[symbols.index(token) for token in tokens]], dtype=np.int64)
    outputs, variables = ProgramText(program.source).trace(symbols, codes)
    result = [str(outputs.values[k]) for k in outputs.codes[0]]
    listed = {name: [c.values[k] for k in c.codes[0]] for name, c in variables.items()}
    length = max(len(column) for column in listed.values())
    # `run` puts <s> before the input, where nothing comes out.
    after: Sequence[str | None] = [None] * (length > len(tokens)) + [*result]
    columns: dict[str, Sequence[str | int | None]] = {"position": range(length), **listed, "output": after}
    rows = tuple(tuple(column[i] if i < len(column) else None for column in columns.values()) for i in range(length))
    numbers = {name for name, column in columns.items() if all(isinstance(v, int) for v in column)}
    return (
        Table(
            title=f"{program.title} on one input",
            summary=f"{' '.join(tokens)} gives {' '.join(result)}",
            columns=tuple(Column(name, "int" if name in numbers else "text") for name in columns),
            rows=rows,
        ),
    )


OPERATIONS: tuple[Operation, ...] = (
    Operation(
        name="transformer_programs.train",
        title="Train a Transformer Program",
        summary="Train a transformer whose parts make hard choices, on a small task: it can then be written as Python.",
        params=TrainParams,
        gives=("model", "series", "table"),
        function=train_program,
        source=f"{_SOURCE}, section 4",
    ),
    Operation(
        name="transformer_programs.convert",
        title="Transformer Program to Python",
        summary="Write a trained Transformer Program as Python: a predicate per head, a table per MLP, and what it was "
        "checked against, on all inputs where they are few enough.",
        params=ConvertParams,
        gives=("program", "table"),
        function=convert_program,
        source=f"{_SOURCE}, section 3.4",
    ),
    Operation(
        name="transformer_programs.run",
        title="Run a Transformer Program",
        summary="Interpret a Transformer Program on one input and list every variable at every position.",
        params=RunParams,
        gives=("table",),
        function=run_program,
        interactive=True,
    ),
)
