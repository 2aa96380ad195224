"""Training with a falling temperature, epoch by epoch, so that it can be watched, stopped and taken up again.

Paper section 4.1 and appendix B: Adam at 0.05, batches of 512, temperature 3.0 to 0.01 over all epochs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from engine.rasp.transformer_programs.gates import Choice, gumbel, hard, soft, temperature
from engine.rasp.transformer_programs.model import Shape, Weights, forward, initial
from engine.rasp.transformer_programs.tasks import NO_TARGET, Data, Examples


class Recipe(NamedTuple):
    epochs: int = 250
    batch: int = 512
    lr: float = 0.05
    first_temperature: float = 3.0
    last_temperature: float = 0.01


class Progress(NamedTuple):
    """After an epoch: the mean loss, and on the validation set the share of positions that are right, with soft and
    with hard choices."""

    epoch: int
    temperature: float
    loss: float
    soft: float
    discrete: float


class Training:
    """Weights, optimizer and random state between two epochs. `state()` and `restore()` make it resumable exactly."""

    def __init__(self, shape: Shape, data: Data, recipe: Recipe, seed: int) -> None:
        self.shape, self.data, self.recipe = shape, data, recipe
        self.generator = torch.Generator().manual_seed(seed)
        self.weights = {n: w.requires_grad_() for n, w in initial(shape, self.generator).items()}
        self.optimizer = torch.optim.Adam(self.weights.values(), lr=recipe.lr)
        self.ids, self.targets = (torch.from_numpy(part) for part in data.train)
        self.history: list[Progress] = []

    @property
    def steps(self) -> int:
        """Batches in an epoch."""
        return -(-len(self.ids) // self.recipe.batch)

    def epoch(self, between: Callable[[], None] | None = None) -> Progress:
        """Train one epoch and score the validation set. `between` is called after every batch."""
        recipe, done = self.recipe, len(self.history)
        order = torch.randperm(len(self.ids), generator=self.generator)
        losses = []
        tau = recipe.first_temperature
        for step, rows in enumerate(torch.split(order, recipe.batch)):
            share = (done + step / self.steps) / max(recipe.epochs - 1, 1)
            tau = temperature(share, recipe.first_temperature, recipe.last_temperature)
            stream = forward(self.shape, self.weights, self.ids[rows], gumbel(tau, self.generator))
            loss = sequence_loss(stream.logits, self.targets[rows])
            self.optimizer.zero_grad()
            torch.autograd.backward(loss)
            for weight in self.weights.values():  # a relaxed choice near a tie now and then has no finite gradient
                if weight.grad is not None:
                    weight.grad.nan_to_num_(0.0, 0.0, 0.0)
            self.optimizer.step()
            losses.append(float(loss.detach()))
            if between is not None:
                between()
        validation = self.data.validation
        progress = Progress(
            done + 1,
            tau,
            float(np.mean(losses)),
            accuracy(self.shape, self.weights, validation, soft(tau)),
            accuracy(self.shape, self.weights, validation, hard),
        )
        self.history.append(progress)
        return progress

    def trained(self) -> Weights:
        return {name: weight.detach().clone() for name, weight in self.weights.items()}

    def state(self) -> dict[str, Any]:
        """Everything as plain values and numpy arrays."""
        moments = self.optimizer.state_dict()["state"]
        return {
            "weights": {n: w.detach().numpy().copy() for n, w in self.weights.items()},
            "adam": [{k: v.numpy().copy() for k, v in moments[i].items()} for i in sorted(moments)],
            "generator": self.generator.get_state().numpy().copy(),
            "history": [list(p) for p in self.history],
        }

    def restore(self, state: dict[str, Any]) -> None:
        with torch.no_grad():
            for name, weight in self.weights.items():
                weight.copy_(torch.from_numpy(np.array(state["weights"][name])))
        saved = self.optimizer.state_dict()
        saved["state"] = {
            i: {k: torch.from_numpy(np.array(v)) for k, v in part.items()} for i, part in enumerate(state["adam"])
        }
        self.optimizer.load_state_dict(saved)
        self.generator.set_state(torch.from_numpy(np.array(state["generator"], dtype=np.uint8)))
        self.history = [Progress(*row) for row in state["history"]]


def sequence_loss(
    logits: Float[Tensor, "batch position class"], targets: Int[Tensor, "batch position"]
) -> Float[Tensor, ""]:
    """Cross-entropy, averaged over the predicted positions of a sequence and then over sequences."""
    there = targets != NO_TARGET
    wanted = logits.log_softmax(-1).gather(2, targets.clamp(min=0)[..., None])[..., 0]
    return (-(wanted * there).sum(1) / there.sum(1).clamp(min=1)).mean()


def predict(
    shape: Shape, weights: Weights, ids: Int[np.ndarray, "sequence position"], choose: Choice
) -> Int[np.ndarray, "sequence position"]:
    """The class with the highest logit at every position, in batches."""
    parts = []
    with torch.no_grad():
        for rows in torch.split(torch.from_numpy(ids), 4096):
            parts.append(forward(shape, weights, rows, choose).logits.argmax(-1).numpy())
    return np.concatenate(parts)


def accuracy(shape: Shape, weights: Weights, examples: Examples, choose: Choice) -> float:
    """The share of positions with a target that are predicted right."""
    there = examples.targets != NO_TARGET
    return float((predict(shape, weights, examples.ids, choose) == examples.targets)[there].mean())
