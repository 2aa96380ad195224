"""What the portfolio asks of the data, and how networks are judged."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.synthesis.tasks.benchmark import task
from engine.synthesis.training.batched import Recipe
from engine.synthesis.training.judging import awkward, judge, trials
from engine.synthesis.training.portfolio import better, linear_rank, stages
from engine.synthesis.training.sampling import batches

# Sums and lags need one number per lag; a freebody its speed and place; in a magnetic field two of each.
RANKS = {"Sum_All": 1, "Sum_Last3": 3, "Prev2": 3, "Newton_Spring": 2, "Newton_Magnetic": 4, "Parity_Bits_Mod2": 0}


@pytest.mark.parametrize(("name", "rank"), RANKS.items())
def test_how_many_numbers_an_affine_task_must_remember(name: str, rank: int) -> None:
    x, y = task(name).data(4096, 3)
    assert linear_rank(x, y) == rank


@pytest.mark.parametrize("name", ["Bitwise_Or", "Abs_Current", "Parity_All", "Majority_0_1", "Abs_Diff"])
def test_what_is_not_affine_has_no_rank(name: str) -> None:
    assert linear_rank(*task(name).data(4096, 3)) is None


def test_an_output_that_depends_on_the_position_is_not_affine_in_the_same_way_everywhere() -> None:
    x, _ = task("Sum_All").data(4096, 3)
    assert linear_rank(x, x * np.arange(10)[None, :, None]) is None


def test_the_smallest_networks_come_first() -> None:
    base = Recipe(6_000)
    assert [stage.entries[0].network.hidden for stage in stages(task("Prev3"), base, 0)] == [4, 5, 6]
    first, second = stages(task("Parity_All"), base, 0)
    assert first.entries[0].network == (1, (), ())
    assert [entry.network.hidden for entry in second.entries[:-2]] == [1, 1, 1, 1, 2, 2, 3, 3, 4, 4]
    assert all(entry.network.g for entry in second.entries[-2:])


def test_the_better_half_in_order_and_the_smaller_of_equals() -> None:
    assert better([0.1, 0.9, 0.5, 0.5, 0.2]) == [1, 2, 3]
    assert better([0.5, 0.5, 0.5, 0.5]) == [0, 1]


def test_few_sequences_are_all_judged_and_of_many_none_repeats_the_training_data() -> None:
    few = np.concatenate(list(trials(task("Parity_All"), 0)))
    assert len(np.unique(few, axis=0)) == len(few) == 1_024
    chosen = task("Sum_All")
    first = next(iter(trials(chosen, 5)))
    assert (first == awkward(chosen, 5)).all()
    assert first.min() == 0
    assert first.max() == 99
    constant = (first == first[:, :1]).all(axis=(1, 2))
    assert constant.sum() >= 24
    inputs, _ = batches(chosen, 2_000, 5, whole=False)(torch.Generator().manual_seed(0))
    trained = {row.tobytes() for row in inputs.numpy().astype(np.int64)[:, :, 0]}
    fresh = list(trials(chosen, 5))[1]
    assert not trained & {row.tobytes() for row in fresh[:, :, 0]}


def test_a_network_that_fails_on_one_sequence_of_all_is_not_exact() -> None:
    """y = x on bits, but for a run of ten ones, where the sum kept beside it passes 9.5."""
    weights = {
        "f.0.weight": torch.tensor([[0.0, 0.0, 1.0], [0.0, 1.0, 1.0]]),
        "f.0.bias": torch.zeros(2),
        "g.0.weight": torch.tensor([[1.0, 0.0], [0.0, 1.0]]),
        "g.0.bias": torch.tensor([0.0, -9.5]),
        "g.1.weight": torch.tensor([[1.0, -2.0]]),
        "g.1.bias": torch.zeros(1),
    }
    bits = task("Bitwise_Not")._replace(target=lambda x: x)
    judged = judge(weights, bits, 0)
    assert (judged.right, judged.tested, judged.exhaustive, judged.exact) == (1_023, 1_024, True, False)
    assert judged.worst == pytest.approx(1.0)


def test_batches_of_a_wide_range_hold_small_numbers_and_targets_fit() -> None:
    chosen = task("Diff_Last2")
    x, y = batches(chosen, 1_000, 0, whole=False)(torch.Generator().manual_seed(0))
    assert (chosen.target(x.numpy().astype(np.int64)) == y.numpy()).all()
    assert (x.abs().amax(dim=(1, 2)) < 10).float().mean() > 0.02
    everything, _ = batches(task("Parity_All"), 7, 0, whole=True)(torch.Generator())
    assert everything.shape == (1_024, 10, 1)
