"""Networks with random weights: no task was learned, so every sort of head and table turns up."""

from __future__ import annotations

import torch

from engine.rasp.transformer_programs.model import Shape, Weights, initial
from engine.rasp.transformer_programs.settings import shape_of
from engine.rasp.transformer_programs.tasks import Task, make_task


def random_network(
    name: str, seed: int, *, vocabulary: int = 6, length: int = 5, layers: int = 2
) -> tuple[Task, Shape, Weights]:
    task = make_task(name, vocabulary=vocabulary, length=length)
    shape = shape_of(
        task, layers=layers, categorical_heads=2, numerical_heads=2, categorical_mlps=1, numerical_mlps=1, hidden=8
    )
    weights = initial(shape, torch.Generator().manual_seed(seed))
    for name, weight in weights.items():
        if name.endswith(".out_bias") or name == "classifier.numerical":
            weight.copy_(torch.randn(weight.shape, generator=torch.Generator().manual_seed(seed + 1)))
    return task, shape, weights
