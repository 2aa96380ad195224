"""Training the networks of MIPS, many seeds side by side in one batched computation.

The loss is the paper's: the mean of 0.5 log(1 + (y_hat - y)^2), Adam, default layer initialisation (section 2.2). Two
additions: an optional curriculum that scores only the first positions until they are right, and a learning rate that
falls along a cosine, which leaves the states of an exact network in tight clusters. The other options of `Recipe` are
for hard tasks and off unless asked for. The gradient is that of `gradient`, equal to autograd's under
`torch.func.vmap` and many times as fast on a CPU.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from engine.models.rnn import RnnConfig, Weights
from engine.synthesis.training.gradient import of_prefixes, of_sequences, slope
from sessions.errors import IwbError

Batch = Callable[[torch.Generator], tuple[Float[Tensor, "batch pos inputs"], Float[Tensor, "batch pos outputs"]]]
EVERY = 250  # steps between two reports


class Recipe(NamedTuple):
    """How to train. `curriculum`: score only as many positions as the best network already answers, and a few more.

    `state_noise`: standard deviation of what is added to every hidden state while training. It forbids the network to
    pack its states ever closer together (a counter kept as powers of 1/2, say) and makes for tight, distant clusters.
    `squared`: 0.5 (y_hat - y)^2 in place of the paper's loss, which all but ignores an error of several units.
    `spread`: initial biases put the kink of each unit of f's first layer at a random input of the alphabet; with the
    default ones most lie within 0..1, and a function of 0..9 with many kinks is hardly ever found.
    `halve`: after these steps (multiples of 250) the worse half of the networks is given up.
    `prefixes`: the batch is every sequence over low..high, in counting order, and each distinct prefix is computed once
    (2,046 states in place of 10,240 for ten bits); without state noise.
    `l1`: this times the sum of the sizes of all weights is added to the loss (section 2.4).
    """

    steps: int = 10_000
    lr: float = 1e-3
    final_lr: float = 1e-5  # reached by a cosine
    curriculum: bool = True
    state_noise: float = 0.0
    squared: bool = False
    spread: bool = False
    halve: tuple[int, ...] = ()
    prefixes: bool = False
    l1: float = 0.0


class Trained(NamedTuple):
    """One network per seed: stacked weights (seed first), accuracy and the largest output error on the last batch."""

    weights: dict[str, Tensor]
    accuracy: Float[Tensor, " seed"]
    worst: Float[Tensor, " seed"]
    positions: int  # how many the last batch scored
    loss: Float[Tensor, " seed"]
    kept: tuple[int, ...]  # which of the networks that training began with these are


def initial(
    config: RnnConfig, seeds: int, generator: torch.Generator, *, spread: bool = False
) -> dict[str, Float[Tensor, "seed ..."]]:
    """Default initialisation of torch's linear layers, uniform in +-1/sqrt(fan_in), for `seeds` networks.

    `spread` draws the biases of f's first layer anew, each so that its unit is 0 at h = 0 and a random point between
    low and high.
    """
    shapes = config.shapes()
    weights = {}
    for name, shape in shapes.items():
        fan_in = shapes[name.rsplit(".", 1)[0] + ".weight"][1]
        bound = 1 / math.sqrt(fan_in)
        weights[name] = (torch.rand((seeds, *shape), generator=generator) * 2 - 1) * bound
    if spread:
        slopes = weights["f.0.weight"][:, :, config.hidden :]
        kinks = config.low + (config.high - config.low) * torch.rand(slopes.shape, generator=generator)
        weights["f.0.bias"] = -(slopes * kinks).sum(dim=-1)
    return weights


class Training:
    """Weights, Adam's moments and the generator between two steps. `state` and `restore` make it resumable exactly."""

    def __init__(
        self,
        config: RnnConfig,
        batch: Batch,
        recipe: Recipe,
        *,
        seeds: int,
        seed: int,
        start: Weights | None = None,
        device: str = "cpu",
    ) -> None:
        if recipe.prefixes and (recipe.state_noise or config.inputs > 1):
            raise IwbError("every prefix at once is for one input and without state noise")
        self._config, self._batch, self._recipe, self._device = config, batch, recipe, device
        self._generator = torch.Generator().manual_seed(seed)
        begun = initial(config, seeds, self._generator, spread=recipe.spread)
        if start is not None:
            begun = {name: start[name] for name in begun}
        self._flat = torch.cat([w.flatten(1) for w in begun.values()], dim=1).to(device)  # (seed, parameter)
        self._mean, self._square = torch.zeros_like(self._flat), torch.zeros_like(self._flat)
        self._symbols = torch.arange(config.low, config.high + 1, dtype=torch.float32, device=device)[:, None]
        self._kept = tuple(range(seeds))
        self._positions: int | None = 2 if recipe.curriculum else None
        self._falls = (0, recipe.lr, recipe.steps)  # the learning rate, from which step and value, until which step
        self.done = 0

    @property
    def steps(self) -> int:
        """At which step it ends."""
        return self._falls[2]

    @property
    def lr(self) -> float:
        """The learning rate of the next step: it falls along a cosine."""
        start, highest, end = self._falls
        low = self._recipe.final_lr
        return low + (highest - low) * 0.5 * (1 + math.cos(math.pi * (self.done - start) / (end - start)))

    def finish(self, steps: int) -> None:
        """Let the learning rate fall from where it is within so many steps, and end then, unless it ends sooner."""
        if self.done + steps < self.steps:
            self._falls = (self.done, self.lr, self.done + steps)

    def step(self) -> Trained | None:
        """One update of every network. Each 250 steps, and after the last, what there is."""
        recipe = self._recipe
        x, wanted = (part[:, : self._positions].to(self._device) for part in self._batch(self._generator))
        if recipe.prefixes:
            wanted = wanted[:: len(wanted) // len(self._symbols) ** x.shape[1]]
            columns, noise = of_prefixes(self._symbols, wanted), None
        else:
            columns, noise = of_sequences(x, wanted), self._noise(x)
        found = slope(self._weights(self._flat), columns, noise=noise, squared=recipe.squared)
        gradient = torch.cat([g.flatten(1) for g in found.gradients.values()], dim=1)
        _clip_each(gradient)
        if recipe.l1:
            gradient.add_(self._flat.sign(), alpha=recipe.l1)
        lr = self.lr
        self.done += 1
        adam(self._flat, gradient, self._mean, self._square, self.done, lr)
        if self.done % EVERY and self.done < self.steps:
            return None
        trained = Trained(
            {name: w.clone() for name, w in self._weights(self._flat).items()},
            1 - (~(found.error < 0.5) * columns.share).sum(dim=2).mean(dim=1),
            found.error.flatten(1).amax(dim=1),
            x.shape[1],
            found.loss,
            self._kept,
        )
        if self._positions is not None and float(trained.accuracy.max()) > 0.999:
            self._positions += 1 + self._positions // 4
        return trained

    def keep(self, networks: Int[Tensor, " kept"]) -> None:
        """Give up all networks but these (places among those that are left)."""
        self._flat, self._mean, self._square = (part[networks] for part in (self._flat, self._mean, self._square))
        self._kept = tuple(self._kept[one] for one in networks.tolist())

    def state(self) -> dict[str, Any]:
        """Everything as plain values and numpy arrays."""
        return {
            "numbers": torch.stack([self._flat, self._mean, self._square]).cpu().numpy(),
            "generator": self._generator.get_state().numpy().copy(),
            "kept": list(self._kept),
            "positions": self._positions,
            "done": self.done,
            "falls": list(self._falls),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        self._flat, self._mean, self._square = torch.tensor(np.array(state["numbers"]), device=self._device).unbind(0)
        self._generator.set_state(torch.from_numpy(np.array(state["generator"], dtype=np.uint8)))
        self._kept, self._positions = tuple(state["kept"]), state["positions"]
        self.done, self._falls = state["done"], tuple(state["falls"])

    def _weights(self, flat: Float[Tensor, "seed parameter"]) -> dict[str, Float[Tensor, "seed ..."]]:
        """The tensors that the rows of numbers are, as views."""
        shapes = self._config.shapes()
        parts = torch.split(flat, [math.prod(shape) for shape in shapes.values()], dim=1)
        return {name: part.view(-1, *shape) for (name, shape), part in zip(shapes.items(), parts)}

    def _noise(self, x: Float[Tensor, "batch pos inputs"]) -> Float[Tensor, "pos hidden batch"] | None:
        if not self._recipe.state_noise:
            return None
        shape = (x.shape[1], self._config.hidden, x.shape[0])
        return (torch.randn(shape, generator=self._generator) * self._recipe.state_noise).to(self._device)


def train(
    config: RnnConfig,
    batch: Batch,
    recipe: Recipe,
    *,
    seeds: int,
    seed: int,
    report: Callable[[int, Trained], bool] | None = None,
    start: Weights | None = None,
    device: str = "cpu",
) -> Trained:
    """Train `seeds` networks side by side on the same batches; each has its own weights and its own Adam state.

    `start`: stacked weights of `seeds` networks to train on from, in place of random ones.

    `report(step, trained)` is called every 250 steps with what there is; it may return True to stop.
    """
    training = Training(config, batch, recipe, seeds=seeds, seed=seed, start=start, device=device)
    while True:
        trained = training.step()
        if trained is None:
            continue
        if (report is not None and report(training.done, trained)) or training.done == recipe.steps:
            return trained
        if training.done in recipe.halve and len(trained.accuracy) > 1:
            training.keep(better_half(trained))


def better_half(trained: Trained) -> Int[Tensor, " kept"]:
    """The networks of higher accuracy, and among equals of lower loss."""
    order = (trained.accuracy - 1e-3 * trained.loss.nan_to_num(nan=math.inf)).argsort(descending=True)
    return order[: len(order) // 2]


def adam(
    values: Float[Tensor, "seed parameter"],
    gradient: Float[Tensor, "seed parameter"],
    mean: Float[Tensor, "seed parameter"],
    square: Float[Tensor, "seed parameter"],
    step: int,
    lr: float,
) -> None:
    """One step of Adam in place, with torch's constants, for all weights at once; `step` counts from 1."""
    mean.lerp_(gradient, 0.1)
    square.mul_(0.999).addcmul_(gradient, gradient, value=0.001)
    root = square.sqrt().div_(math.sqrt(1 - 0.999**step)).add_(1e-8)
    values.addcdiv_(mean, root, value=-lr / (1 - 0.9**step))


def _clip_each(gradient: Float[Tensor, "seed parameter"], largest: float = 1.0) -> None:
    """Scale each network's gradient to a norm of at most `largest`, and drop what is not finite.

    A recurrent network near a bifurcation now and then meets an enormous gradient.
    """
    gradient.nan_to_num_(0.0, 0.0, 0.0)
    norms = gradient.norm(dim=1, keepdim=True)
    gradient.mul_((largest / norms.clamp(min=1e-12)).clamp(max=1.0))
