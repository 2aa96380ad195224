"""Training: Adam against torch's, the clipping of each network by itself, and a task that is learnt."""

from __future__ import annotations

import pytest
import torch

from engine.models.rnn import RnnConfig
from engine.synthesis.tasks.benchmark import task
from engine.synthesis.training.batched import Recipe, Trained, Training, _clip_each, adam, initial, train
from engine.synthesis.training.judging import judge
from engine.synthesis.training.zoo import PLANS, automaton_size, batch_of
from tests.engine.synthesis.conftest import bundled


def parity(generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    x = torch.randint(0, 2, (128, 4, 1), generator=generator)
    return x.float(), (x.cumsum(dim=1) % 2).float()


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
    gradient = torch.tensor([[3.0, 0.0, 4.0], [0.1, 0.0, 0.2], [float("nan"), 0.2, float("inf")]])
    _clip_each(gradient)
    assert gradient[0].tolist() == pytest.approx([0.6, 0.0, 0.8])
    assert gradient[1].tolist() == pytest.approx([0.1, 0.0, 0.2])
    assert gradient[2].tolist() == pytest.approx([0.0, 0.2, 0.0])


def test_adam_is_torchs() -> None:
    numbers = torch.Generator().manual_seed(0)
    values = torch.randn(3, 5, generator=numbers, dtype=torch.float64)
    theirs = values.clone().requires_grad_()
    optimizer = torch.optim.Adam([theirs], lr=0.01)
    mean, square = torch.zeros_like(values), torch.zeros_like(values)
    for step in range(1, 8):
        gradient = torch.randn(3, 5, generator=numbers, dtype=torch.float64)
        theirs.grad = gradient.clone()
        optimizer.step()
        adam(values, gradient, mean, square, step, 0.01)
    torch.testing.assert_close(values, theirs.detach())


def test_training_that_is_taken_up_again_ends_in_the_same_numbers() -> None:
    config, recipe = RnnConfig(hidden=2, inputs=1, f=(4,)), Recipe(600, lr=1e-2, state_noise=0.01)
    whole = train(config, parity, recipe, seeds=3, seed=5)
    first = Training(config, parity, recipe, seeds=3, seed=5)
    for _ in range(330):
        first.step()
    second = Training(config, parity, recipe, seeds=3, seed=99)  # another seed: all comes from the saved state
    second.restore(first.state())
    last = None
    while second.done < recipe.steps:
        last = second.step()
    assert last is not None
    assert last.positions == whole.positions
    for name, weights in whole.weights.items():
        assert (weights == last.weights[name]).all()


def test_a_penalty_on_the_weights_makes_them_smaller() -> None:
    config = RnnConfig(hidden=1, inputs=1, f=(6,))
    sizes = [
        sum(float(w.abs().sum()) for w in train(config, parity, Recipe(300, l1=l1), seeds=2, seed=1).weights.values())
        for l1 in (0.0, 0.1)
    ]
    assert sizes[1] < 0.9 * sizes[0]


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
    judged = judge(model.weights, task("Parity_All"), 0)
    assert (judged.right, judged.tested, judged.exhaustive) == (1024, 1024, True)
    assert judged.worst < 0.5
    config = RnnConfig(hidden=1, inputs=1, f=(6,))
    assert automaton_size(config, model.weights, task("Parity_All"))[0] == 2
    spoilt = {name: tensor * (0 if name == "g.0.weight" else 1) for name, tensor in model.weights.items()}
    assert not judge(spoilt, task("Parity_All"), 0).exact


def test_training_sequences_for_brackets_stay_alive_half_of_the_time() -> None:
    plan, chosen = PLANS["Balanced_Parenthesis"], task("Balanced_Parenthesis")
    x, wanted = batch_of(chosen, plan)(torch.Generator().manual_seed(0))
    assert x.shape == wanted.shape == (plan.batch, plan.length, 1)
    assert set(x.flatten().tolist()) == {0, 1}
    depth = (1 - 2 * x[:, :, 0]).cumsum(dim=1)
    alive = (depth.amin(dim=1) >= 0).float().mean()
    assert 0.35 < alive < 0.75
