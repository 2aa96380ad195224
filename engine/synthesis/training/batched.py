"""Training the networks of MIPS, many seeds side by side in one batched computation (`torch.func.vmap`).

The loss is the paper's: the mean of 0.5 log(1 + (y_hat - y)^2), Adam, default layer initialisation (section 2.2). Two
additions: an optional curriculum that scores only the first positions until they are right, and a learning rate that
falls along a cosine, which leaves the states of an exact network in tight clusters. The other options of `Recipe` are
for hard tasks and off unless asked for.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from engine.models.rnn import RnnConfig, Weights, mlp, unroll
from sessions.errors import IwbError

Batch = Callable[[torch.Generator], tuple[Float[Tensor, "batch pos inputs"], Float[Tensor, "batch pos outputs"]]]


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


class Trained(NamedTuple):
    """One network per seed: stacked weights (seed first), accuracy and the largest output error on the last batch."""

    weights: dict[str, Tensor]
    accuracy: Float[Tensor, " seed"]
    worst: Float[Tensor, " seed"]
    positions: int  # how many the last batch scored


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


def unroll_prefixes(
    weights: Weights, symbols: Float[Tensor, "symbol inputs"], positions: int
) -> Float[Tensor, "batch pos outputs"]:
    """Outputs on every sequence over `symbols`, in counting order: (symbol ** positions, positions, outputs).

    Sequences that begin alike share the states of their common prefix, so that position t costs symbol ** t.
    """
    last = max(name for name in weights if name.startswith("f.") and name.endswith(".bias"))
    h = symbols.new_zeros((1, weights[last].shape[0]))
    outputs = []
    for t in range(positions):
        h = mlp(weights, "f", torch.cat([h.repeat_interleave(len(symbols), 0), symbols.repeat(len(h), 1)], dim=-1))
        outputs.append(mlp(weights, "g", h).repeat_interleave(len(symbols) ** (positions - 1 - t), 0))
    return torch.stack(outputs, dim=1)


def squared_loss(
    predicted: Float[Tensor, "*batch pos outputs"], wanted: Float[Tensor, "*batch pos outputs"]
) -> Float[Tensor, "*batch"]:
    """0.5 (y_hat - y)^2, averaged over positions and outputs."""
    return (0.5 * (predicted - wanted) ** 2).mean(dim=(-1, -2))


def mips_loss(
    predicted: Float[Tensor, "*batch pos outputs"], wanted: Float[Tensor, "*batch pos outputs"]
) -> Float[Tensor, "*batch"]:
    """0.5 log(1 + (y_hat - y)^2), averaged over positions and outputs (section 2.2)."""
    return (0.5 * torch.log1p((predicted - wanted) ** 2)).mean(dim=(-1, -2))


def train(
    config: RnnConfig,
    batch: Batch,
    recipe: Recipe,
    *,
    seeds: int,
    seed: int,
    report: Callable[[int, Trained], bool] | None = None,
) -> Trained:
    """Train `seeds` networks side by side on the same batches; each has its own weights and its own Adam state.

    `report(step, trained)` is called every 250 steps with what there is; it may return True to stop.
    """
    if recipe.prefixes and (recipe.state_noise or config.inputs > 1):
        raise IwbError("every prefix at once is for one input and without state noise")
    generator = torch.Generator().manual_seed(seed)
    weights = {
        name: value.requires_grad_() for name, value in initial(config, seeds, generator, spread=recipe.spread).items()
    }
    optimizer = torch.optim.Adam(weights.values(), lr=recipe.lr)
    networks = torch.func.vmap(lambda w, x, noise: unroll(w, x, noise)[1], in_dims=(0, None, None))
    on_prefixes = torch.func.vmap(unroll_prefixes, in_dims=(0, None, None))
    symbols = torch.arange(config.low, config.high + 1, dtype=torch.float32)[:, None]
    loss_of = squared_loss if recipe.squared else mips_loss
    scored = 2 if recipe.curriculum else None
    for step in range(1, recipe.steps + 1):
        optimizer.param_groups[0]["lr"] = recipe.lr * _cosine(step - 1, recipe)
        x, wanted = (part[:, :scored] for part in batch(generator))
        if recipe.prefixes:
            wanted = wanted[:: len(wanted) // len(symbols) ** x.shape[1]]
            predicted = on_prefixes(weights, symbols, wanted.shape[1])
        else:
            noise = torch.randn((*x.shape[:2], config.hidden), generator=generator) * recipe.state_noise
            predicted = networks(weights, x, noise)
        loss = loss_of(predicted, wanted[None]).mean(dim=1)
        optimizer.zero_grad()
        torch.autograd.backward(loss.sum())  # the networks share nothing, so the gradient of the sum is each one's own
        _clip_each(list(weights.values()))
        optimizer.step()
        if step % 250 == 0 or step == recipe.steps:
            error = (predicted.detach() - wanted[None]).abs().flatten(1)
            accuracy = (error < 0.5).float().mean(dim=1)
            trained = Trained(
                {n: w.detach().clone() for n, w in weights.items()}, accuracy, error.amax(dim=1), x.shape[1]
            )
            if scored is not None and float(accuracy.max()) > 0.999:
                scored += 1 + scored // 4
            if report is not None and report(step, trained):
                break
            if step in recipe.halve and len(accuracy) > 1:
                better = (accuracy - 1e-3 * loss.detach()).argsort(descending=True)[: len(accuracy) // 2]
                weights, optimizer = _only(better, weights, optimizer)
    return trained


def _only(
    kept: Int[Tensor, " kept"], weights: dict[str, Tensor], optimizer: torch.optim.Adam
) -> tuple[dict[str, Tensor], torch.optim.Adam]:
    """The networks `kept` of those side by side, each with what Adam knows about it."""
    fewer = {name: w.detach()[kept].requires_grad_() for name, w in weights.items()}
    renewed = torch.optim.Adam(fewer.values(), lr=optimizer.param_groups[0]["lr"])
    for name, w in weights.items():
        known = optimizer.state[w]
        renewed.state[fewer[name]] = {key: value[kept] if value.dim() else value for key, value in known.items()}
    return fewer, renewed


def _cosine(step: int, recipe: Recipe) -> float:
    low = recipe.final_lr / recipe.lr
    return low + (1 - low) * 0.5 * (1 + math.cos(math.pi * min(step / recipe.steps, 1.0)))


def _clip_each(weights: list[Tensor], largest: float = 1.0) -> None:
    """Scale each network's gradient (first axis) to a norm of at most `largest`, and drop what is not finite.

    A recurrent network near a bifurcation now and then meets an enormous gradient.
    """
    gradients = [w.grad.nan_to_num_(0.0, 0.0, 0.0) for w in weights if w.grad is not None]
    norms = torch.stack([g.flatten(1).norm(dim=1) for g in gradients]).norm(dim=0)
    factor = (largest / norms.clamp(min=1e-12)).clamp(max=1.0)
    for g in gradients:
        g.mul_(factor.view(-1, *[1] * (g.dim() - 1)))
