"""Back-propagation by hand against autograd through torch.func.vmap, on every shape of network."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor

from engine.models.rnn import RnnConfig, unroll
from engine.synthesis.training.batched import initial
from engine.synthesis.training.gradient import Columns, of_prefixes, of_sequences, slope

SHAPES = [
    RnnConfig(hidden=3, inputs=1),
    RnnConfig(hidden=2, inputs=2, f=(6,)),
    RnnConfig(hidden=2, inputs=1, outputs=2, f=(6, 5), g=(4,)),
    RnnConfig(hidden=2, inputs=2, outputs=2, g=(3, 2)),
]


def stacked(config: RnnConfig) -> dict[str, Tensor]:
    return {name: w.double() for name, w in initial(config, 4, torch.Generator().manual_seed(0)).items()}


def by_autograd(
    weights: dict[str, Tensor], x: Tensor, wanted: Tensor, noise: Tensor | None, squared: bool
) -> tuple[Tensor, dict[str, Tensor]]:
    leaves = {name: w.clone().requires_grad_() for name, w in weights.items()}
    networks = torch.func.vmap(lambda w, x, noise: unroll(w, x, noise)[1], in_dims=(0, None, None))
    square = (networks(leaves, x, noise) - wanted) ** 2
    loss = (0.5 * (square if squared else torch.log1p(square))).mean(dim=(1, 2, 3))
    found = torch.autograd.grad(loss.sum(), list(leaves.values()))
    return loss.detach(), dict(zip(leaves, found))


@pytest.mark.parametrize("squared", [False, True])
@pytest.mark.parametrize("config", SHAPES, ids=str)
def test_the_gradient_is_autograds(config: RnnConfig, squared: bool) -> None:
    numbers = torch.Generator().manual_seed(1)
    x, wanted, noise = (
        torch.randn((32, 7, size), generator=numbers, dtype=torch.float64)
        for size in (config.inputs, config.outputs, config.hidden)
    )
    loss, gradients = by_autograd(stacked(config), x, wanted, noise, squared)
    found = slope(stacked(config), of_sequences(x, wanted), noise=noise.permute(1, 2, 0), squared=squared)
    torch.testing.assert_close(found.loss, loss)
    assert found.gradients.keys() == gradients.keys()
    for name, gradient in gradients.items():
        torch.testing.assert_close(found.gradients[name], gradient)


@pytest.mark.parametrize("config", [SHAPES[0], SHAPES[2]], ids=str)
def test_prefixes_computed_once_give_what_whole_sequences_give(config: RnnConfig) -> None:
    symbols = torch.arange(3, dtype=torch.float64)[:, None]
    x = torch.tensor(list(itertools.product(range(3), repeat=4)), dtype=torch.float64)[:, :, None]
    wanted = (x.cumsum(dim=1) % 2).expand(-1, -1, config.outputs)
    loss, gradients = by_autograd(stacked(config), x, wanted, None, False)
    columns = of_prefixes(symbols, wanted)
    assert len(columns.share) == 3 + 9 + 27 + 81
    found = slope(stacked(config), columns)
    torch.testing.assert_close(found.loss, loss)
    for name, gradient in gradients.items():
        torch.testing.assert_close(found.gradients[name], gradient)


def test_the_loss_is_the_papers() -> None:
    """A network of zeros with bias 1 and 3 in its two outputs; the target is 1."""
    config = RnnConfig(hidden=1, inputs=1, outputs=2)
    weights = {name: torch.zeros(1, *shape) for name, shape in config.shapes().items()}
    weights["g.0.bias"][0] = torch.tensor([1.0, 3.0])
    columns: Columns = of_sequences(torch.zeros(5, 2, 1), torch.ones(5, 2, 2))
    assert slope(weights, columns).loss.item() == pytest.approx((0 + 0.5 * math.log(1 + 4)) / 2)
    assert slope(weights, columns, squared=True).loss.item() == pytest.approx((0 + 0.5 * 4) / 2)
