"""Fine-tuning as an operation: parameters, progress, curves, and going on after an interruption."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import numpy as np
from msgspec import Meta

from engine.operations import Context, ModelRef, Operation, Params, PromptsRef
from sessions.artifacts import AnyArtifact, Curve, Model, Prompts, Series
from sessions.errors import CallError, CancelledError

if TYPE_CHECKING:
    from engine.models.finetuning.examples import Example
    from engine.models.finetuning.training import Plan, Trainer
    from engine.models.transformer import Transformer

SAVE_SECONDS = 30.0  # between two saved states
PIECE = 2**28  # bytes of a saved state in one unit: SQLite takes no more than a thousand million at once


class FinetuneParams(Params, frozen=True, kw_only=True):
    model: ModelRef
    prompts: PromptsRef
    held_out: Annotated[
        float, Meta(description="fraction of the prompts that is not trained on but measured", ge=0, lt=1)
    ] = 0.1
    evaluate: Annotated[PromptsRef | None, Meta(description="measure on these prompts; held_out is then not used")] = (
        None
    )
    label: Annotated[
        Literal["answer", "first", "all"],
        Meta(
            description="what is predicted of an answer of several tokens: its tokens with end-of-text tokens as "
            "inputs, its first token alone, or every token from those before"
        ),
    ] = "answer"
    epochs: Annotated[float, Meta(description="how often every prompt is seen", gt=0, le=10_000)] = 3.0
    batch: Annotated[int, Meta(description="prompts of one update", ge=1, le=65_536)] = 64
    lr: Annotated[float, Meta(description="learning rate at its highest", gt=0, le=1)] = 5e-5
    schedule: Annotated[
        Literal["linear", "constant", "cosine"], Meta(description="how the learning rate falls, after the warmup")
    ] = "linear"
    warmup: Annotated[
        float, Meta(description="fraction of the updates in which the learning rate rises from 0", ge=0, le=1)
    ] = 0.0
    weight_decay: Annotated[
        float, Meta(description="AdamW's, on matrices only (not on biases and gains of norms)", ge=0, le=1)
    ] = 0.0
    clip: Annotated[float, Meta(description="largest norm of the gradient; 0: any", ge=0)] = 1.0
    checkpoints: Annotated[int, Meta(description="how many models on the way to keep, evenly spaced", ge=0, le=100)] = 0
    evaluations: Annotated[int, Meta(description="how often to measure on the way", ge=1, le=1000)] = 20
    name: Annotated[str, Meta(description="what to call the model in tables; empty: after model and prompts")] = ""

    def plan(self, seed: int) -> Plan:
        from engine.models.finetuning.training import Plan

        return Plan(
            epochs=self.epochs,
            batch=self.batch,
            lr=self.lr,
            schedule=self.schedule,
            warmup=self.warmup,
            weight_decay=self.weight_decay,
            clip=self.clip,
            seed=seed,
        )


class History(NamedTuple):
    """What was measured on the way: at which step, the mean training loss since the last time, and held-out numbers."""

    step: list[int]
    training: list[float]
    loss: list[float]
    accuracy: list[float]
    recent: list[float]  # losses of the steps since


def finetune(params: FinetuneParams, ctx: Context) -> Sequence[AnyArtifact]:
    """The fine-tuned model, models on the way if wanted, and how the losses went."""
    from engine.models.finetuning.training import Trainer
    from engine.models.transformer import Transformer

    base = ctx.transformer(params.model)
    assert isinstance(base, Transformer)
    handle = base.handle
    tokenizer = _tokenizer(base, params.model, ctx)
    prompts, rows, held = _split(params, ctx, base)
    plan = params.plan(ctx.seed)
    trainer = Trainer(base, rows, plan, _most_rows(base, (*rows, *held), plan.batch))
    called = params.name or f"{handle.title}, fine-tuned on {prompts.task or prompts.title}"
    run = _Run(params, ctx, trainer, held, called)
    run.train(tokenizer)

    facts = _facts(params, base, prompts, trainer, len(held)) | run.numbers
    title = params.name or f"{run.title} ({len(rows):,} x {params.epochs:g})"
    made: list[AnyArtifact] = [
        _model(
            ctx,
            run.stored(step),
            f"{title}, after {step:,} of {trainer.steps:,} updates",
            handle.device,
            facts | {"step": step},
        )
        for step in run.stops
    ]
    made.insert(0, _model(ctx, run.final(tokenizer), title, handle.device, facts | {"step": trainer.steps}))
    return [*made, run.series(facts)]


class _Run:
    """One training run: the loop, its curves, and what is saved of it."""

    def __init__(
        self, params: FinetuneParams, ctx: Context, trainer: Trainer, held: Sequence[Example], title: str
    ) -> None:
        self.title = title
        self._ctx, self._trainer, self._held = ctx, trainer, held
        steps = trainer.steps
        self._measured_at = _spaced(steps, min(params.evaluations, steps))
        self.stops = [step for step in _spaced(steps, params.checkpoints + 1) if 0 < step < steps]
        self._history = History([], [], [], [], [])
        self._saved = -1  # the step whose state was saved last
        self._slot = 0
        self._stored: dict[int, bytes] = {}

    def train(self, tokenizer: dict[str, Any]) -> None:
        trainer = self._trainer
        self._resume()
        saved = time.monotonic()
        try:
            while True:
                self._look(tokenizer)
                if trainer.done == trainer.steps:
                    break
                self._history.recent.append(trainer.step(self._say))
                if (started := time.monotonic()) - saved > SAVE_SECONDS:
                    self._save()
                    # Where saving takes long it is done less often: a twentieth of the time at most.
                    saved = time.monotonic() + 19 * (time.monotonic() - started)
        except CancelledError:
            self._save()
            raise
        self._say()

    def _look(self, tokenizer: dict[str, Any]) -> None:
        """What is due after the steps that are done, and was not done before an interruption."""
        from engine.models.stored import as_bytes

        done = self._trainer.done
        if done in self.stops and done not in self._stored:
            self._stored[done] = as_bytes(self._trainer.model, tokenizer)
            self._put(f"model {done}", np.frombuffer(self._stored[done], dtype=np.uint8))
        if done in (0, *self._measured_at) and done not in self._history.step[-1:]:
            self._measure()

    def final(self, tokenizer: dict[str, Any]) -> bytes:
        from engine.models.stored import as_bytes

        return as_bytes(self._trainer.model, tokenizer)

    def stored(self, step: int) -> bytes:
        return self._stored[step]

    @property
    def numbers(self) -> dict[str, Any]:
        """How it ended, for the facts."""
        last = self._history
        held = {"held_out_loss": last.loss[-1], "held_out_accuracy": last.accuracy[-1]} if self._held else {}
        return {"training_loss": last.training[-1]} | held

    def series(self, facts: dict[str, Any]) -> Series:
        history = self._history
        curves = [Curve("training loss", np.array(history.training))]
        if self._held:
            curves.append(Curve("held-out loss", np.array(history.loss)))
            curves.append(Curve("held-out accuracy", np.array(history.accuracy)))
        ends = [f"training loss {history.training[-1]:.3f}"]
        if self._held:
            ends += [f"held-out loss {history.loss[0]:.3f} to {history.loss[-1]:.3f}"]
            ends += [f"accuracy {history.accuracy[0]:.1%} to {history.accuracy[-1]:.1%}"]
        return Series(
            title=f"Losses of {self.title}",
            summary="; ".join(ends),
            x=np.array(history.step),
            x_name="update",
            curves=tuple(curves),
            y_name="loss in nats per scored token; accuracy from 0 to 1",
            facts=facts,
        )

    def _say(self) -> None:
        done, history = self._trainer.done, self._history
        note = f"loss {np.mean(history.recent[-50:]):.3f}" if history.recent else "measuring"
        if history.accuracy and self._held:
            note += f", held-out accuracy {history.accuracy[-1]:.1%}"
        self._ctx.progress(done, self._trainer.steps, note)

    def _measure(self) -> None:
        history = self._history
        found = self._trainer.measure(self._held, self._say) if self._held else None
        history.step.append(self._trainer.done)
        history.training.append(float(np.mean(history.recent)) if history.recent else float("nan"))
        history.loss.append(found.loss if found else float("nan"))
        history.accuracy.append(found.accuracy if found else float("nan"))
        history.recent.clear()
        self._ctx.partial(self.series({}))

    # -- saved states: two places in turn, so that one is whole whenever the other is being written -----------------

    def _save(self) -> None:
        if self._trainer.done == self._saved:
            return
        self._slot = 1 - self._slot
        pieces = self._put(f"state {self._slot}", self._trainer.state())
        self._saved = self._trainer.done
        self._ctx.checkpoint(
            "newest",
            {
                "slot": self._slot,
                "pieces": pieces,
                "done": self._trainer.done,
                "micro": self._trainer.micro,
                "history": {name: list(part) for name, part in self._history._asdict().items()},
            },
        )

    def _put(self, name: str, array: np.ndarray[Any, Any]) -> int:
        size = PIECE // array.itemsize
        starts = range(0, len(array), size)
        for i, start in enumerate(starts):
            self._ctx.checkpoint(f"{name}.{i}", array[start : start + size])
        return len(starts)

    def _resume(self) -> None:
        units = self._ctx.checkpoints()
        newest = units.get("newest")
        if newest is None:
            return
        state = np.concatenate([units[f"state {newest['slot']}.{i}"] for i in range(newest["pieces"])])
        self._trainer.restore(state, newest["done"], newest["micro"])
        self._slot, self._saved = newest["slot"], newest["done"]
        self._history = History(**newest["history"])
        for step in self.stops:
            if step < self._saved:  # that of this very step may not have been written whole: it is made again
                pieces: list[np.ndarray[Any, Any]] = []
                while (piece := units.get(f"model {step}.{len(pieces)}")) is not None:
                    pieces.append(piece)
                self._stored[step] = np.concatenate(pieces).tobytes()
        self._ctx.log(f"goes on after {self._saved:,} of {self._trainer.steps:,} updates")


def _split(
    params: FinetuneParams, ctx: Context, base: Transformer
) -> tuple[Prompts, tuple[Example, ...], tuple[Example, ...]]:
    """The prompts, the examples to train on, and those to measure on."""
    from engine.models.finetuning.examples import make_examples

    def read(ref: str, name: str) -> tuple[Prompts, tuple[Example, ...]]:
        prompts = ctx.artifact(ref)
        if not isinstance(prompts, Prompts):
            raise CallError(f"{ref} is a {prompts.kind}, not prompts", name, "give a set made by prompts.make")
        try:
            return prompts, make_examples(prompts.rows, base.tokenizer, n_ctx=base.config.n_ctx, label=params.label)
        except CallError as error:
            others = "prompts.look with keep=usable leaves out what this model cannot use"
            where = f"{name}, {error.where}" if error.where != name else name
            raise CallError(error.what, where, f"{error.remedy}; {others}" if error.remedy else others) from None

    prompts, examples = read(params.prompts, "prompts")
    if params.evaluate is not None:
        return prompts, examples, read(params.evaluate, "evaluate")[1]
    order = np.random.default_rng([ctx.seed, 1]).permutation(len(examples))
    aside = min(len(examples) - 1, round(len(examples) * params.held_out))
    taken = [tuple(examples[i] for i in np.sort(part)) for part in (order[aside:], order[:aside])]
    return prompts, taken[0], taken[1]


def _tokenizer(base: Transformer, ref: str, ctx: Context) -> dict[str, Any]:
    """How the tokenizer is written beside the weights. CallError for models that cannot be trained."""
    from engine.models.stored import describe_tokenizer

    handle = base.handle
    if base.labels is not None:
        problem = f"{handle.title} was compiled: its weights are a program, and nothing is learnt by moving them"
        raise CallError(problem, "model", "choose a trained model")
    if base.config.attention != "causal":
        raise CallError(f"{handle.title} attends to later tokens too", "model", "choose a causal model")
    stored = ctx.stored_weights(ref) if handle.source.startswith("session:") else None
    return describe_tokenizer(base.tokenizer, handle, stored)


def _most_rows(base: Transformer, examples: Sequence[Example], batch: int) -> int:
    """Examples that go through the model at once. CallError when it cannot be trained in the memory there is."""
    from engine.hardware import free_memory, human_bytes, rows_that_fit
    from engine.models.finetuning.training import row_bytes, weight_bytes

    device = str(base.device)
    longest, scored = max(len(e.tokens) for e in examples), max(len(e.at) for e in examples)
    one, fixed, free = row_bytes(base, longest, scored), weight_bytes(base), free_memory(device)
    if fixed + one > free:
        raise CallError(
            f"training needs {human_bytes(fixed + one)} (weights, gradients, two moments, and one example), and "
            f"{human_bytes(free)} are free on {device}",
            base.handle.source,
            "choose a smaller model, shorter prompts, or a device with more memory",
        )
    return min(batch, max(1, int(0.8 * (free - fixed)) // one), rows_that_fit(one, device, share=0.8))


def _model(ctx: Context, data: bytes, title: str, device: str, facts: dict[str, Any]) -> Model:
    from engine.models.stored import trained_handle

    return trained_handle(data, title=title, source=ctx.keep_weights(data), device=device, facts=facts)


def _facts(params: FinetuneParams, base: Transformer, prompts: Prompts, trainer: Trainer, held: int) -> dict[str, Any]:
    from engine.models.finetuning.examples import LABELS

    handle = base.handle
    fraction = f"{params.held_out:g} of the prompts, drawn by the seed"
    started = "" if handle.dtype == "float32" else f", starting from {handle.dtype}"
    return {
        "base": handle.source,
        "base_title": handle.title,
        "base_sha256": handle.sha256,
        "weights": str(handle.processing),
        "prompts": prompts.title,
        "task": prompts.task,
        "n": len(trainer.examples),
        "n_held_out": held,
        "held_out": "prompts of their own" if params.evaluate is not None else fraction,
        "label": LABELS[params.label],
        "epochs": params.epochs,
        "updates": trainer.steps,
        "batch": params.batch,
        "optimiser": "AdamW, betas 0.9 and 0.999, eps 1e-8",
        "lr": params.lr,
        "schedule": params.schedule,
        "warmup": params.warmup,
        "weight_decay": f"{params.weight_decay:g}, on matrices only",
        "clip": params.clip,
        "dropout": 0,
        "trained": f"all weights, in float32{started}",
        "tied": "embedding and unembedding are one tensor" if trainer.tied else "embedding and unembedding are two",
    }


def _spaced(steps: int, count: int) -> list[int]:
    """`count` steps, evenly spaced, the last of them the end."""
    return sorted({round(steps * (i + 1) / count) for i in range(count)})


FINETUNE = Operation(
    name="models.finetune",
    title="Fine-tune a model",
    summary="Trains a copy of a model further on prompts with their answers (AdamW) and keeps it in the session, where "
    "every operation can use it; with the losses on the way, and models on the way if wanted.",
    params=FinetuneParams,
    gives=("model", "series"),
    function=finetune,
    source="Prakash et al. 2024, Fine-Tuning Enhances Existing Mechanisms; Loshchilov and Hutter 2019 (AdamW)",
)
