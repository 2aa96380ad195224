"""Training networks side by side, beside training the same networks one after another.

The other side is a plain torch script, as the paper's: a module of linear layers, autograd, torch's Adam, one network
at a time. Both sides start from the same weights and see the same batches, so their losses must agree; a second row
trains ours one at a time, to tell what is due to the batching. Same run, same machine, one thread; the sides take turns
and the ratio is of the fastest rounds. Seconds are of computing (other work on the machine does not count), per 1,000
updates of all networks.
"""

from __future__ import annotations

import collections
import itertools
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from engine.models.rnn import RnnConfig
from engine.synthesis.training.batched import Batch, Recipe, Trained, initial, train

STEPS = 60
# what, the networks' shape, how many, sequences of a batch
CASES: tuple[tuple[str, RnnConfig, int, int], ...] = (
    ("n 3, f affine", RnnConfig(hidden=3, inputs=1), 16, 512),
    ("n 2, f 6", RnnConfig(hidden=2, inputs=2, f=(6,)), 16, 512),
    ("n 2, f 16", RnnConfig(hidden=2, inputs=1, f=(16,)), 16, 512),
    ("n 4, f 64", RnnConfig(hidden=4, inputs=1, f=(64,)), 8, 512),
)


class Network(nn.Module):
    """The network as one writes it in torch."""

    def __init__(self, config: RnnConfig) -> None:
        super().__init__()
        self.hidden = config.hidden
        self.f = self._layers((config.hidden + config.inputs, *config.f, config.hidden))
        self.g = self._layers((config.hidden, *config.g, config.outputs))

    @staticmethod
    def _layers(sizes: tuple[int, ...]) -> nn.Sequential:
        layers: list[nn.Module] = []
        for fan_in, fan_out in itertools.pairwise(sizes):
            layers += [nn.Linear(fan_in, fan_out), nn.ReLU()]
        return nn.Sequential(*layers[:-1])

    def forward(self, x: Tensor) -> Tensor:
        h = x.new_zeros((len(x), self.hidden))
        outputs = []
        for t in range(x.shape[1]):
            h = self.f(torch.cat([h, x[:, t]], dim=1))
            outputs.append(self.g(h))
        return torch.stack(outputs, dim=1)


def batch_of(config: RnnConfig, size: int) -> Batch:
    def batch(generator: torch.Generator) -> tuple[Tensor, Tensor]:
        x = torch.randint(0, 2, (size, 10, config.inputs), generator=generator).float()
        return x, x.sum(dim=2, keepdim=True).cumsum(dim=1) % 2

    return batch


def theirs(config: RnnConfig, recipe: Recipe, seeds: int, batch: Batch) -> list[float]:
    """Each network's last loss; one after another."""
    start = initial(config, seeds, torch.Generator().manual_seed(0))
    losses = []
    for one in range(seeds):
        network = Network(config)
        with torch.no_grad():
            for mine, (name, weights) in zip(network.parameters(), start.items(), strict=True):
                assert mine.shape == weights.shape[1:], name
                mine.copy_(weights[one])
        generator = torch.Generator().manual_seed(0)
        initial(config, seeds, generator)  # the generator stands where ours does after drawing the weights
        optimizer = torch.optim.Adam(network.parameters(), lr=recipe.lr)
        loss = torch.zeros(())
        for _ in range(recipe.steps):
            x, wanted = batch(generator)
            loss = (0.5 * torch.log1p((network(x) - wanted) ** 2)).mean()
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
        losses.append(float(loss.detach()))
    return losses


def one_after_another(config: RnnConfig, recipe: Recipe, seeds: int, batch: Batch) -> list[float]:
    """The same number of networks by our training, one at a time."""
    return [float(train(config, batch, recipe, seeds=1, seed=seed).loss[0]) for seed in range(seeds)]


def measure(rounds: int = 1, cases: tuple[Any, ...] = CASES) -> list[dict[str, Any]]:
    """Two rows per case. Raises ValueError when the losses of the two sides differ by more than 1e-4."""
    rows: list[dict[str, Any]] = []
    recipe = Recipe(STEPS, lr=3e-3, final_lr=3e-3, curriculum=False)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for title, config, seeds, size in cases:
            rows += _case(title, config, seeds, size, recipe, rounds)
    finally:
        torch.set_num_threads(threads)
    return rows


def _case(title: str, config: RnnConfig, seeds: int, size: int, recipe: Recipe, rounds: int) -> list[dict[str, Any]]:
    batch = batch_of(config, size)
    seconds: dict[str, list[float]] = collections.defaultdict(list)
    results: dict[str, list[float]] = {}

    def clocked(name: str, work: Callable[[], list[float]]) -> None:
        started = time.process_time()
        results[name] = work()
        seconds[name].append((time.process_time() - started) * 1_000 / recipe.steps)

    def ours() -> list[float]:
        trained: Trained = train(config, batch, recipe, seeds=seeds, seed=0)
        return trained.loss.tolist()

    train(config, batch, recipe._replace(steps=3), seeds=seeds, seed=0)
    for _ in range(rounds):
        clocked("ours", ours)
        clocked("torch", lambda: theirs(config, recipe, seeds, batch))
        clocked("singly", lambda: one_after_another(config, recipe, seeds, batch))
    difference = max(abs(a - b) for a, b in zip(results["ours"], results["torch"], strict=True))
    if not difference < 1e-4:
        raise ValueError(f"the losses differ by {difference:.2g}")
    mine = min(seconds["ours"])
    peers = (
        ("torch", "plain torch, one after another", f"losses agree to {difference:.0e}"),
        ("singly", "ours, one after another", "what the batching gives"),
    )
    return [
        {
            "name": f"{seeds} networks of {title}, 1,000 updates",
            "ours": mine,
            "peer": min(seconds[key]),
            "ratio": min(seconds[key]) / mine,
            "unit": "s",
            "peer_name": peer,
            "note": f"{size} sequences of 10, float32, 1 thread, from {recipe.steps} updates, best of {rounds}; {note}",
        }
        for key, peer, note in peers
    ]


if __name__ == "__main__":
    for row in measure():
        print("  ".join(f"{key}={value:.4g}" if isinstance(value, float) else f"{value}" for key, value in row.items()))
