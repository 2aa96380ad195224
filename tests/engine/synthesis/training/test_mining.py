"""A network that is nearly right is put right by what it does worst."""

from __future__ import annotations

import torch

from engine.synthesis.tasks.benchmark import task
from engine.synthesis.training.judging import judge
from engine.synthesis.training.mining import mined
from tests.engine.synthesis.conftest import bundled


def test_a_damaged_network_is_mended() -> None:
    chosen = task("Parity_Last2")
    generator = torch.Generator().manual_seed(0)
    exact = bundled("Parity_Last2").weights
    damaged = {name: w + 0.12 * torch.randn(w.shape, generator=generator) for name, w in exact.items()}
    assert not judge(damaged, chosen, seed=5).exact
    looks: list[float] = []
    mended = mined(damaged, chosen, rounds=12, lr=3e-3, seed=1, report=lambda number, worst: looks.append(worst))
    assert judge(mended, chosen, seed=5).exact
    assert looks[-1] < 0.5 < looks[0]
    again = mined(damaged, chosen, rounds=2, lr=3e-3, seed=1)
    same = mined(damaged, chosen, rounds=2, lr=3e-3, seed=1)
    assert all(torch.equal(again[name], same[name]) for name in again)
