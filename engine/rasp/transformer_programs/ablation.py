"""What each head and MLP is worth: how many more positions the discrete network gets wrong when it is taken out."""

from __future__ import annotations

from collections.abc import Callable

import torch

from engine.rasp.transformer_programs.conversion import variable_names
from engine.rasp.transformer_programs.gates import hard
from engine.rasp.transformer_programs.model import Present, Shape, Weights, forward
from engine.rasp.transformer_programs.tasks import NO_TARGET, Examples


def accuracy_drops(
    shape: Shape,
    weights: Weights,
    examples: Examples,
    outputs: list[str],
    progress: Callable[[int], None] | None = None,
) -> list[float]:
    """For each variable, the fall in the share of right positions when it is all zeros."""
    whole = _accuracy(shape, weights, examples, "")
    drops = []
    for k, name in enumerate(outputs):
        drops.append(whole - _accuracy(shape, weights, examples, name))
        if progress is not None:
            progress(k + 1)
    return drops


def _accuracy(shape: Shape, weights: Weights, examples: Examples, without: str) -> float:
    masks = Present(*(torch.tensor([float(name != without) for name in names]) for names in variable_names(shape)))
    with torch.no_grad():
        predicted = forward(shape, weights, torch.from_numpy(examples.ids), hard, masks).logits.argmax(-1).numpy()
    return float((predicted == examples.targets)[examples.targets != NO_TARGET].mean())
