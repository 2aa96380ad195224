"""Training: the loss against its formula, the clipping of each network by itself, and a task that is learnt."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from engine.models.rnn import RnnConfig, unroll
from engine.synthesis.tasks.benchmark import task
from engine.synthesis.training.batched import Recipe, Trained, _clip_each, initial, mips_loss, train, unroll_prefixes
from engine.synthesis.training.zoo import PLANS, automaton_size, draw, exactness
from tests.engine.synthesis.conftest import bundled


def parity(generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    x = torch.randint(0, 2, (128, 4, 1), generator=generator)
    return x.float(), (x.cumsum(dim=1) % 2).float()


def test_the_loss_is_the_papers() -> None:
    predicted, wanted = torch.tensor([[[1.0], [3.0]]]), torch.tensor([[[1.0], [1.0]]])
    assert mips_loss(predicted, wanted).item() == pytest.approx((0 + 0.5 * math.log(1 + 4)) / 2)


def test_initial_weights_lie_within_torchs_bounds_and_differ_between_networks() -> None:
    weights = initial(RnnConfig(hidden=3, inputs=1, f=(16,)), 5, torch.Generator().manual_seed(0))
    assert weights["f.0.weight"].shape == (5, 16, 4)
    assert weights["f.0.weight"].abs().max() <= 1 / 2  # 1/sqrt(fan in 4)
    assert weights["f.1.bias"].abs().max() <= 1 / 4  # the bias has the layer's fan in, 16
    assert (weights["f.0.weight"][0] != weights["f.0.weight"][1]).any()


def test_spread_biases_put_every_kink_within_the_alphabet() -> None:
    config = RnnConfig(hidden=2, inputs=1, f=(64,), low=3, high=9)
    weights = initial(config, 4, torch.Generator().manual_seed(0), spread=True)
    kinks = -weights["f.0.bias"] / weights["f.0.weight"][:, :, 2]
    assert 3 <= kinks.min() < 4
    assert 8 < kinks.max() <= 9
    plain = initial(config, 4, torch.Generator().manual_seed(0))
    assert (plain["f.0.weight"] == weights["f.0.weight"]).all()


def test_prefixes_computed_once_give_what_whole_sequences_give() -> None:
    config = RnnConfig(hidden=2, inputs=1, f=(8,), g=(4,), high=2)
    weights = {name: w[0] for name, w in initial(config, 1, torch.Generator().manual_seed(1)).items()}
    symbols = torch.arange(3.0)[:, None]
    sequences = torch.tensor(list(itertools.product(range(3), repeat=4)), dtype=torch.float32)[:, :, None]
    torch.testing.assert_close(unroll_prefixes(weights, symbols, 4), unroll(weights, sequences)[1])


def test_halving_keeps_networks_that_train_on_as_before() -> None:
    """Up to the halving nothing differs; after it the survivors go on exactly as they would have among all."""
    config = RnnConfig(hidden=1, inputs=1, f=(6,))
    whole = train(config, parity, Recipe(500, curriculum=False), seeds=4, seed=3)
    half = train(config, parity, Recipe(500, curriculum=False, halve=(250,)), seeds=4, seed=3)
    assert len(half.accuracy) == 2
    for one in half.weights["f.0.weight"]:
        distance = (whole.weights["f.0.weight"] - one).abs().flatten(1).amax(dim=1)
        assert distance.min() < 1e-5


def test_each_network_is_clipped_by_its_own_gradient() -> None:
    w = torch.zeros(3, 2, requires_grad=True)
    b = torch.zeros(3, 1, requires_grad=True)
    w.grad = torch.tensor([[3.0, 0.0], [0.1, 0.0], [float("nan"), 0.2]])
    b.grad = torch.tensor([[4.0], [0.2], [0.0]])
    _clip_each([w, b])
    assert w.grad is not None
    assert w.grad.tolist() == [pytest.approx([0.6, 0.0]), pytest.approx([0.1, 0.0]), pytest.approx([0.0, 0.2])]
    assert b.grad is not None
    assert b.grad.flatten().tolist() == pytest.approx([0.8, 0.2, 0.0])


def test_parity_is_learnt_and_the_same_seed_gives_the_same_weights() -> None:
    config = RnnConfig(hidden=1, inputs=1, f=(6,))
    steps: list[int] = []

    def watch(step: int, trained: Trained) -> bool:
        steps.append(step)
        return trained.positions == 4 and float(trained.worst.min()) < 0.1

    runs = [train(config, parity, Recipe(1_000, lr=1e-2), seeds=6, seed=3, report=watch) for _ in range(2)]
    assert float(runs[0].accuracy.max()) == 1.0
    assert runs[0].positions == 4
    for name, weights in runs[0].weights.items():
        assert (weights == runs[1].weights[name]).all()
    assert steps[0] == 250


def test_the_script_judges_on_all_sequences() -> None:
    model = bundled("Parity_All")
    right, total, worst = exactness(model.weights, task("Parity_All"))
    assert (right, total) == (1024, 1024)
    assert worst < 0.5
    config = RnnConfig(hidden=1, inputs=1, f=(6,))
    assert automaton_size(config, model.weights, task("Parity_All"))[0] == 2
    spoilt = {name: tensor * (0 if name == "g.0.weight" else 1) for name, tensor in model.weights.items()}
    assert exactness(spoilt, task("Parity_All"))[0] < 1024


def test_training_sequences_for_brackets_stay_alive_half_of_the_time() -> None:
    plan, chosen = PLANS["Balanced_Parenthesis"], task("Balanced_Parenthesis")
    x = draw(chosen, plan, torch.Generator().manual_seed(0))
    assert x.shape == (plan.batch, plan.length, 1)
    assert set(x.reshape(-1).tolist()) == {0, 1}
    depth = (1 - 2 * x[:, :, 0]).cumsum(axis=1)
    alive = (depth.min(axis=1) >= 0).mean()
    assert 0.35 < alive < 0.75
