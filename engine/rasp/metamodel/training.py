"""Training a meta-model: next-token loss on the program, Adam, on one device or on several through torch's launcher.

What happens at a step depends on the seed and the step's number alone, so a training that was interrupted anywhere and
goes on from a checkpoint ends in the very same weights.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol

import msgspec
import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from engine.rasp.metamodel.architecture import Metamodel, Size
from engine.rasp.metamodel.data import Array, Corpus

PAD = 0
VALIDATED = 512  # programs looked at in one validation
SMALL = 1_000_000  # parameters
STAY = 1e-3  # of the learning rate, at the end of a cosine


class Recipe(msgspec.Struct, frozen=True, kw_only=True):
    """How to train. The defaults are the published ones, but for the number of steps, which was a day."""

    steps: int = 100_000
    batch: int = 256
    lr: float = 5e-4
    weight_decay: float = 1e-4
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    warmup: int = 0  # steps of a rising learning rate
    cosine: bool = False  # then down to almost nothing along a cosine
    seed: int = 0
    validate_every: int = 1_000


PUBLISHED = Recipe()
SMOKE = Recipe(steps=4_000, batch=32, lr=3e-3, warmup=100, cosine=True, validate_every=250)


class Measured(NamedTuple):
    """One point of the curves. Accuracies are shares of validation tokens, and of programs with every token right when
    each is predicted after the right ones: the same as whole programs right in greedy decoding."""

    step: int
    loss: float  # on the batches since the point before
    validation: float
    tokens: float
    programs: float


class State(NamedTuple):
    """All that a training needs to go on, as plain values."""

    step: int
    model: dict[str, Array]
    adam: dict[str, Array]  # NAME.exp_avg and NAME.exp_avg_sq
    curves: list[list[float]]
    pending: list[float]  # losses since the last point


class World(NamedTuple):
    """Which of how many processes this is. Each takes every `size`-th row of a batch."""

    rank: int = 0
    size: int = 1


class Watch(Protocol):
    def __call__(self, training: Training) -> None:
        """Called after every step. What it raises ends the training; `state()` goes on from there."""


def token_loss(logits: Float[Tensor, "batch pos vocabulary"], tokens: Int[Tensor, "batch pos"]) -> Float[Tensor, ""]:
    """The summed cross-entropy of every token after the first, PAD left out."""
    return F.cross_entropy(logits[:, :-1].flatten(0, 1), tokens[:, 1:].flatten(), ignore_index=PAD, reduction="sum")


class Training:
    """A training that runs step by step."""

    def __init__(
        self,
        size: Size,
        recipe: Recipe,
        train: Corpus,
        validation: Corpus,
        *,
        state: State | None = None,
        world: World | None = None,
    ) -> None:
        self.recipe, self.train_set, self.validation = recipe, train, validation
        self.world = world or World()
        self.model = Metamodel(size, torch.Generator().manual_seed(recipe.seed)).to(train.device)
        self.optimizer = torch.optim.Adam(
            self.model.parameters(),
            lr=recipe.lr,
            betas=recipe.betas,
            eps=recipe.eps,
            weight_decay=recipe.weight_decay,
        )
        self.step = 0
        self.curves: list[Measured] = []
        self._pending: list[float] = []
        self._epoch = -1
        self._order: Array = np.zeros(0, np.int64)
        if state is not None:
            self._restore(state)
        self.network: nn.Module = self.model
        if self.world.size > 1:
            self.network = nn.parallel.DistributedDataParallel(self.model)
        self.seconds = 0.0  # of steps run here, validation left out
        self.ran = 0

    def run(self, watch: Callable[[Training], None] | None = None, until: int | None = None) -> Metamodel:
        """The remaining steps (or those up to `until`)."""
        with few_threads(self.model):
            return self._run(watch, until or self.recipe.steps)

    def _run(self, watch: Callable[[Training], None] | None, until: int) -> Metamodel:
        while self.step < min(self.recipe.steps, until):
            started = time.perf_counter()
            self._pending.append(self._one_step())
            self.seconds += time.perf_counter() - started
            self.ran += 1
            if self.step % self.recipe.validate_every == 0 or self.step == self.recipe.steps:
                self._measure()
            if watch is not None:
                watch(self)
        return self.model.eval()

    def _one_step(self) -> float:
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.recipe, self.step)
        which = self._batch(self.step)
        # the mean over the tokens of the whole batch, whoever has which rows (DDP takes the mean over processes)
        total = int((self.train_set.counts[which] - 1).sum())
        mine = which[self.world.rank :: self.world.size]
        weights, tokens = self.train_set.batch(mine)
        self.network.train()
        loss = token_loss(self.network(weights, tokens), tokens) * (self.world.size / total)
        self.optimizer.zero_grad()
        torch.autograd.backward(loss)
        self.optimizer.step()
        self.step += 1
        return float(loss.detach())

    def _batch(self, step: int) -> Array:
        """The rows of a step: every epoch goes once through all rows, in an order of its own; the last, incomplete
        batch of an epoch is left out."""
        rows, size = len(self.train_set), min(self.recipe.batch, len(self.train_set))
        per_epoch = rows // size
        epoch, at = divmod(step, per_epoch)
        if epoch != self._epoch:
            self._epoch, self._order = epoch, np.random.default_rng([self.recipe.seed, epoch]).permutation(rows)
        return self._order[at * size : (at + 1) * size]

    def _measure(self) -> None:
        loss = float(np.mean(self._pending))
        self._pending = []
        told = measure(self.model, self.validation, VALIDATED) if self.world.rank == 0 else (math.nan,) * 3
        self.curves.append(Measured(self.step, loss, *told))

    def state(self) -> State:
        """What a later training of the same recipe and data goes on from."""
        adam: dict[str, Array] = {}
        for name, weight in self.model.named_parameters():
            for key in ("exp_avg", "exp_avg_sq"):
                if weight in self.optimizer.state:
                    adam[f"{name}.{key}"] = self.optimizer.state[weight][key].detach().cpu().numpy().copy()
        model = {name: w.detach().cpu().numpy().copy() for name, w in self.model.state_dict().items()}
        return State(self.step, model, adam, [list(point) for point in self.curves], list(self._pending))

    def _restore(self, state: State) -> None:
        device = self.train_set.device
        self.model.load_state_dict({name: torch.from_numpy(np.array(w)) for name, w in state.model.items()})
        for name, weight in self.model.named_parameters():
            if f"{name}.exp_avg" in state.adam:
                self.optimizer.state[weight] = {
                    "step": torch.tensor(float(state.step)),
                    **{
                        key: torch.from_numpy(np.array(state.adam[f"{name}.{key}"])).to(device)
                        for key in ("exp_avg", "exp_avg_sq")
                    },
                }
        self.step = int(state.step)
        self.curves = [Measured(int(point[0]), *point[1:]) for point in state.curves]
        self._pending = list(state.pending)


@contextmanager
def few_threads(model: Metamodel) -> Iterator[None]:
    """One thread for a small model on the CPU: its products are too small to share, and threads that wait for each
    other on a busy machine made a step twenty times as long. Sums also come out the same on any number of cores."""
    before = torch.get_num_threads()
    if model.embed.weight.device.type == "cpu" and model.size.parameters < SMALL:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def learning_rate(recipe: Recipe, step: int) -> float:
    """Of the step of that number, from 0."""
    if step < recipe.warmup:
        return recipe.lr * (step + 1) / recipe.warmup
    if not recipe.cosine:
        return recipe.lr
    done = (step - recipe.warmup) / max(recipe.steps - recipe.warmup, 1)
    return recipe.lr * (STAY + (1 - STAY) * 0.5 * (1 + math.cos(math.pi * done)))


@torch.inference_mode()
def right(model: Metamodel, corpus: Corpus, rows: Array, batch: int = 128) -> tuple[list[tuple[int, int]], float]:
    """For every row how many of its tokens (the first left out) are predicted right after the right ones, and how many
    there are; and the mean loss of a token."""
    model.eval()
    found: list[tuple[int, int]] = []
    loss = 0.0
    for begin in range(0, len(rows), batch):
        weights, tokens = corpus.batch(rows[begin : begin + batch])
        logits = model(weights, tokens)
        loss += float(token_loss(logits, tokens))
        wanted = tokens[:, 1:]
        counted = wanted != PAD
        hits = (logits[:, :-1].argmax(dim=-1) == wanted) & counted
        found += list(zip(hits.sum(dim=1).tolist(), counted.sum(dim=1).tolist()))
    return found, loss / max(sum(count for _, count in found), 1)


def measure(model: Metamodel, corpus: Corpus, most: int) -> tuple[float, float, float]:
    """Loss, share of tokens right and of whole programs right, on the first `most` rows (NaN where there are none)."""
    rows = np.arange(min(len(corpus), most))
    if not len(rows):
        return math.nan, math.nan, math.nan
    found, loss = right(model, corpus, rows)
    tokens = sum(hits for hits, _ in found) / sum(count for _, count in found)
    return loss, tokens, sum(hits == count for hits, count in found) / len(found)


def plain(state: State) -> dict[str, Any]:
    """A state as plain values and arrays, for a checkpoint."""
    return dict(state._asdict())


def from_plain(value: dict[str, Any]) -> State:
    return State(**value)
